// SPDX-License-Identifier: Apache-2.0
//! `footplate bake` and its subcommands: they build images.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::output;
use crate::bake::conflicts::Kind;
use crate::bake::lock::Lock;
use crate::bake::node::Userdata;
use crate::bake::progress::Progress;
use crate::bake::sysext::Filesystem;
use crate::bake::{self, Order};
use crate::cli::{self, BakeWhat, Flavour, Format};
use crate::io::{Console, live};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::context::open_root;
use crate::platform;

/// Reads a lock file.
pub(super) fn read_lock(path: &Path) -> Result<(Lock, Vec<u8>), Failure> {
    let bytes = live::input(path).map_err(|e| platform::failure(Stage::Usage, e))?;
    let lock = Lock::parse(&bytes).map_err(anyhow::Error::from);
    Ok((lock.with_context(|| path.display().to_string()).stage(Stage::Decode)?, bytes))
}

fn userdata(flavour: Flavour) -> Userdata {
    match flavour {
        Flavour::CloudConfig => Userdata::CloudConfig,
        Flavour::Ignition => Userdata::Ignition,
    }
}

/// `bake`
pub fn run(args: &cli::Bake) -> Result<u8, Failure> {
    match &args.what {
        Some(BakeWhat::Lock(args)) => return write_lock(args),
        Some(BakeWhat::Sysext(args)) => return sysext(args),
        None => {}
    }
    let required =
        |path: &Option<PathBuf>| path.clone().context("--lock and --root are required").stage(Stage::Usage);
    let (lock, bytes) = read_lock(&required(&args.lock)?)?;
    let root = open_root(Some(&required(&args.root)?))?;
    let order = Order {
        lock: &lock,
        bytes: &bytes,
        origin: bake::origin(args.from.as_deref(), args.patience.timeout)?,
        jobs: args.jobs.into(),
        userdata: userdata(args.userdata),
        containerd_config: args.containerd_config,
        pause_image: args.pause_image.clone(),
        allow: Kind::ALL
            .iter()
            .filter(|(name, _)| args.allow.iter().any(|a| a == name))
            .map(|k| k.1)
            .collect(),
    };
    if !args.force {
        bake::dry::refuse_other_systems(&root).stage(Stage::Install)?;
    }
    let baked = match args.dry_run {
        true => bake::dry::bake(&root, &order)?,
        false => bake::bake(&root, &order, &Progress::new(Console::stderr()))?,
    };
    match args.format {
        Format::Json => output::json(&baked),
        Format::Text => {
            let mut text: String = baked.changed.iter().map(|item| format!("{item}\n")).collect();
            text.extend(baked.notes.iter().map(|note| format!("note: {note}\n")));
            let new = baked.artifacts.values().filter(|s| **s != bake::store::Stocked::Present).count();
            let (done, changed) = match args.dry_run {
                true => ("dry run, nothing was written", "would change"),
                false => ("baked", "changed"),
            };
            text += &format!(
                "{done}: {} artifacts, {new} of them new; {} paths {changed}, {} right already\n",
                baked.artifacts.len(),
                baked.changed.len(),
                baked.unchanged
            );
            output::text(&text);
        }
    }
    Ok(0)
}

/// `bake lock`
fn write_lock(args: &cli::BakeLock) -> Result<u8, Failure> {
    let mut versions: Vec<(&str, &str)> =
        ["kubeadm", "kubelet", "kubectl"].map(|name| (name, args.kubernetes.as_str())).into();
    let chosen = [
        ("cni-plugins", &args.cni_plugins),
        ("containerd", &args.containerd),
        ("crictl", &args.crictl),
        ("runc", &args.runc),
    ];
    versions.extend(chosen.iter().filter_map(|(name, version)| Some((*name, version.as_deref()?))));
    let origin = bake::origin(args.from.as_deref(), args.patience.timeout)?;
    let trust = bake::published::Trust {
        authority: bake::cosign::Authority::fulcio().stage(Stage::Verify)?,
        runc_keyring: args.runc_keyring.as_deref(),
    };
    let progress = Progress::new(Console::stderr());
    let written = bake::published::lock(&versions, &args.arch, &origin, &trust, &progress)?;
    for note in &written.notes {
        Console::stderr().event(&format!("note: {note}"));
    }
    let text = format!("{:#}\n", json!(written.lock));
    match &args.output {
        Some(path) => live::output(path, text.as_bytes()).stage(Stage::Install)?,
        None => output::text(&text),
    }
    Ok(0)
}

/// `bake sysext`
fn sysext(args: &cli::BakeSysext) -> Result<u8, Failure> {
    let lock = match &args.lock {
        Some(path) => read_lock(path)?.0,
        None => bake::sysext::alone(),
    };
    let order = bake::sysext::Order {
        lock: &lock,
        origin: bake::origin(args.from.as_deref(), args.patience.timeout)?,
        jobs: args.jobs.into(),
        userdata: userdata(args.userdata),
        filesystem: if args.filesystem == "erofs" { Filesystem::Erofs } else { Filesystem::Squashfs },
        output: &args.output,
    };
    let made = bake::sysext::make(&order, &Progress::new(Console::stderr()))?;
    match args.format {
        Format::Json => output::json(&made),
        Format::Text => {
            for note in &made.notes {
                output::text(&format!("note: {note}\n"));
            }
            output::text(&format!(
                "{}: the extension {}, {}, sha256 {}\n",
                made.image,
                made.name,
                bake::progress::bytes(made.size),
                made.sha256
            ));
        }
    }
    Ok(0)
}
