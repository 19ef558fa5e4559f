// SPDX-License-Identifier: Apache-2.0
//! The commands that build images.

use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use super::{open_root, print, print_json};
use crate::bake::lock::Lock;
use crate::bake::node::Userdata;
use crate::bake::progress::Progress;
use crate::bake::{self, Order};
use crate::cli::{self, Flavour, Format};
use crate::error::{Failure, In as _, Stage};
use crate::io::{Console, live};

/// Reads a lock file.
fn read_lock(path: &Path) -> Result<(Lock, Vec<u8>), Failure> {
    let bytes = live::input(path).stage(Stage::Usage)?;
    let lock = Lock::parse(&bytes).map_err(anyhow::Error::from);
    Ok((lock.with_context(|| path.display().to_string()).stage(Stage::Decode)?, bytes))
}

/// `bake`
pub(super) fn bake(args: &cli::Bake) -> Result<u8, Failure> {
    let (lock, bytes) = read_lock(&args.lock)?;
    let root = open_root(Some(&args.root))?;
    let order = Order {
        lock: &lock,
        bytes: &bytes,
        origin: bake::origin(args.from.as_deref()),
        jobs: args.jobs.into(),
        userdata: match args.userdata {
            Flavour::CloudConfig => Userdata::CloudConfig,
            Flavour::Ignition => Userdata::Ignition,
        },
        containerd_config: args.containerd_config,
        pause_image: args.pause_image.clone(),
    };
    let baked = bake::bake(&root, &order, &Progress::new(Console::stderr()))?;
    match args.format {
        Format::Json => print_json(&serde_json::to_value(&baked).unwrap_or_default()),
        Format::Text => {
            let mut text = String::new();
            for path in &baked.changed {
                text += &format!("{path}\n");
            }
            for note in &baked.notes {
                text += &format!("note: {note}\n");
            }
            let fetched = baked.artifacts.values().filter(|s| **s == bake::store::Stocked::Fetched).count();
            text += &format!(
                "baked: {} artifacts, {fetched} of them new; {} paths changed, {} as they shall be\n",
                baked.artifacts.len(),
                baked.changed.len(),
                baked.unchanged
            );
            print(&text);
        }
    }
    Ok(0)
}

/// `verify`
pub(super) fn verify(args: &cli::Verify) -> Result<u8, Failure> {
    let wanted = args.lock.as_deref().map(read_lock).transpose()?.map(|(lock, _)| lock);
    let root = open_root(Some(&args.root))?;
    let report = bake::verify::verify(&root, wanted.as_ref());
    match args.format {
        Format::Json => print_json(&json!(report)),
        Format::Text => print(&bake::verify::text(&report)),
    }
    Ok(if report.ok { 0 } else { Stage::Verify.exit_code() })
}
