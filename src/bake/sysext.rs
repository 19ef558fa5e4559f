// SPDX-License-Identifier: Apache-2.0
//! Makes a system extension image: the second way to ship, for nodes that run stock Flatcar without an image of their own.
//!
//! systemd-sysext lays the image's `/usr` over the node's
//! ([systemd-sysext(8)](https://www.freedesktop.org/software/systemd/man/latest/systemd-sysext.html)). It could do the same with
//! `/opt`, which would make that read-only; so programs stand below [`INSIDE`], and tmpfiles.d links them to where a lock puts
//! them. What reads `/opt/bin/kubeadm` finds it, whichever way it was shipped.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;

use super::lock::{CURRENT, Lock, OWN_ARCHITECTURE};
use super::node::{self, CONFIG_IGN, Choices, UNIT_DIR, Userdata};
use super::progress::Progress;
use super::store::{self, Origin, ROOT};
use crate::io::exec;
use crate::io::root::Root;
use crate::model::plan::Item;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::plan::BINARY;

/// Where an extension's files stand that belong elsewhere, each by its whole path.
pub(super) const INSIDE: &str = "/usr/lib/footplate";

/// footplate in an extension. Units name it directly: the first of them runs before tmpfiles.d makes any link.
const PROGRAM: &str = "/usr/bin/footplate";

/// Where units of an extension stand.
const UNITS: &str = "/usr/lib/systemd/system";

/// Directories of `/etc` and those of `/usr` that are read for the same.
const IN_USR: &[(&str, &str)] = &[
    (UNIT_DIR, UNITS),
    ("/etc/sysctl.d", "/usr/lib/sysctl.d"),
    ("/etc/modules-load.d", "/usr/lib/modules-load.d"),
    (node::CATALOG, "/usr/lib/systemd/catalog"),
];

/// Flatcar before 4628 lays extensions over `/usr` when PID 1 has read its units, and the targets and settings of early boot
/// have passed: footplate pulls in what has not run.
const LATE: &str = "# Written by footplate.\n\
    [Unit]\n\
    Wants=footplate-network.service\n\
    [Service]\n\
    ExecStartPre=-/usr/lib/systemd/systemd-modules-load /usr/lib/modules-load.d/50-footplate.conf\n\
    ExecStartPre=-/usr/lib/systemd/systemd-sysctl /usr/lib/sysctl.d/50-footplate.conf\n";

/// How long an image may take to be written: its programs are compressed by the processors that are there.
const WRITE_LIMIT: Duration = Duration::from_secs(1800);

/// Any UUID, but always the same: two images of one lock are equal byte for byte.
const EROFS_UUID: &str = "f00791a7-0000-4000-8000-000000000001";

/// The file system of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// Compressed by gzip, which each kernel of Flatcar reads.
    Squashfs,
    /// Compressed by lz4.
    Erofs,
}

/// What an extension is asked for.
pub struct Order<'a> {
    /// What it brings beside footplate.
    pub lock: &'a Lock,
    /// Where that comes from.
    pub origin: Origin,
    /// How many artifacts come at once.
    pub jobs: usize,
    /// Which user-data its machines get.
    pub userdata: Userdata,
    /// Its file system.
    pub filesystem: Filesystem,
    /// The image.
    pub output: &'a Path,
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// The extension's name, by which it must stand in `/etc/extensions`.
    pub name: String,
    /// The image.
    pub image: String,
    /// Its bytes.
    pub size: u64,
    /// Its digest, for who fetches it.
    pub sha256: String,
    /// What a person should know.
    #[serde(rename = "findings", serialize_with = "super::touched::findings")]
    pub notes: Vec<String>,
}

/// Makes an image. What came in stays beside it until it is made: another run goes on with that.
///
/// # Errors
/// As a bake's; the program that writes the file system is missing or fails.
pub fn make(order: &Order<'_>, progress: &Progress) -> Result<Made, Failure> {
    let file = order.output.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let stem = file.strip_suffix(".raw").filter(|s| s.starts_with(|c: char| c.is_ascii_alphanumeric()));
    let Some(stem) = stem else {
        let error = Err(anyhow!("{}: an extension's name ends in .raw", order.output.display()));
        return error.cure("name it like footplate.raw or footplate-0.1.0.raw").stage(Stage::Usage);
    };
    let above = order.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = Root::open(above, false).stage(Stage::Usage)?;
    let (work, image) = (format!("/.{file}.parts"), format!("/{file}"));
    let open = || {
        beside.make_dirs(&work, ROOT)?;
        Root::open(&above.join(&work[1..]), false)
    };
    let root = open().stage(Stage::Install)?;
    let own = super::own_artifact(order.lock).stage(Stage::Install)?;
    store::stock(&root, order.lock, &order.origin, order.jobs, progress)?;
    if let Some(own) = &own {
        let lock = Lock { artifacts: vec![own.clone()], ..order.lock.clone() };
        store::stock(&root, &lock, &Origin::default(), 1, progress)?;
    }
    let all = super::with_own(order.lock, own.as_ref());
    let write = || {
        root.remove_tree("/tree")?;
        let mut tree = Tree { root: &root, links: String::new() };
        tree.fill(order, &all, stem)?;
        root.remove_tree("/image")?;
        write_filesystem(order.filesystem, root.path())?;
        let written = root.open_file("/image")?.context("no image was written")?;
        let (size, sha256) = (written.metadata()?.len(), store::digest_of(written)?);
        beside.exchange(&format!("{work}/image"), &image)?;
        beside.remove_tree(&work)?;
        Ok::<_, anyhow::Error>((size, sha256))
    };
    let (size, sha256) = write().stage(Stage::Install)?;
    let mut notes = Vec::new();
    if order.userdata == Userdata::CloudConfig {
        notes.push(format!(
            "where a metadata service hands out cloud-config, the OEM partition needs a config.ign with {}: Ignition \
             reads user-data before any extension is there",
            CONFIG_IGN.trim()
        ));
    }
    Ok(Made { name: short(stem).to_owned(), image: order.output.display().to_string(), size, sha256, notes })
}

/// An image's name without its version.
fn short(stem: &str) -> &str {
    stem.split('-').next().unwrap_or(stem)
}

/// The tree of an image, below `/tree` of the directory in which it is made.
struct Tree<'a> {
    root: &'a Root,
    /// tmpfiles.d lines.
    links: String,
}

impl Tree<'_> {
    fn fill(&mut self, order: &Order<'_>, all: &Lock, stem: &str) -> Result<()> {
        for artifact in &all.artifacts {
            let manifest = store::manifest(self.root, artifact)?.context("the store lost an artifact")?;
            for link in store::places(artifact, &manifest) {
                let inside = match link.path.as_str() {
                    BINARY => PROGRAM.to_owned(),
                    path => format!("{INSIDE}{path}"),
                };
                let current = format!("{}/{}/{}", store::STORE, artifact.name, CURRENT);
                let stored = link.file.replacen(&current, &store::directory(artifact), 1);
                let to = format!("/tree{inside}");
                self.root.make_dirs(to.rsplit_once('/').map_or("", |(above, _)| above), ROOT)?;
                self.root.put_hard_link(&to, &stored)?;
                // A file of another way to ship gives way.
                self.link("L+", &link.path, &inside);
            }
        }
        let choices = Choices { userdata: order.userdata, pause_image: None };
        for item in node::plan(order.lock, &choices, "/oem").items {
            match item {
                Item::File(file) => self.file(&file.path, file.content.expose())?,
                Item::Link(link) => self.unit_link(&link.path, &link.target)?,
                Item::Directory(dir) => {
                    self.links += &format!("d {} {:04o} root root -\n", dir.path, dir.mode.unwrap_or(0o755))
                }
                _ => {}
            }
        }
        self.put(&format!("{UNITS}/footplate.service.d/10-extension.conf"), LATE)?;
        self.put("/usr/lib/tmpfiles.d/footplate.conf", &format!("# Written by footplate.\n{}", self.links))?;
        // It holds nothing of the /usr that it is laid over, so any release may be below it.
        let arch = if order.lock.arch == "arm64" { "arm64" } else { "x86-64" };
        let release = format!("ID=_any\nARCHITECTURE={arch}\nEXTENSION_RELOAD_MANAGER=1\n");
        // The name under which an image stands in /etc/extensions: with its version or without.
        for name in [stem, short(stem)] {
            self.put(&format!("/usr/lib/extension-release.d/extension-release.{name}"), &release)?;
        }
        Ok(())
    }

    fn put(&self, path: &str, text: &str) -> Result<()> {
        self.root.put(&format!("/tree{path}"), text.as_bytes(), 0o644, ROOT).map(drop)
    }

    /// A file of the node.
    fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        if path.starts_with("/oem/") {
            return Ok(());
        }
        let text = String::from_utf8_lossy(content).replace(BINARY, PROGRAM);
        if let Some((dir, usr)) = IN_USR.iter().find(|(dir, _)| path.starts_with(&format!("{dir}/"))) {
            return self.put(&path.replacen(dir, usr, 1), &text);
        }
        // An administrator's own file stays.
        self.link("L", path, &format!("{INSIDE}{path}"));
        self.put(&format!("{INSIDE}{path}"), &text)
    }

    /// A link of the node: a unit that is enabled, or one that is masked.
    fn unit_link(&self, path: &str, target: &str) -> Result<()> {
        let path = path.replacen(UNIT_DIR, UNITS, 1);
        let target = target.replacen(&format!("{UNIT_DIR}/"), "../", 1);
        self.root
            .make_dirs(&format!("/tree{}", path.rsplit_once('/').map_or("", |(above, _)| above)), ROOT)?;
        self.root.put_link(&format!("/tree{path}"), &target).map(drop)
    }

    /// A line of tmpfiles.d ([tmpfiles.d(5)](https://www.freedesktop.org/software/systemd/man/latest/tmpfiles.d.html)): `%`
    /// begins a specifier there, a backslash an escape.
    fn link(&mut self, kind: &str, path: &str, target: &str) {
        let quoted = |path: &str| {
            let path = path.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
            format!("\"{path}\"")
        };
        self.links += &format!("{kind} {} - - - - {}\n", quoted(path), target.replace('%', "%%"));
    }
}

/// Writes `image` from `tree`, both in `dir`.
fn write_filesystem(filesystem: Filesystem, dir: &Path) -> Result<()> {
    let (tree, image) = (dir.join("tree"), dir.join("image"));
    let (Some(tree), Some(image)) = (tree.to_str(), image.to_str()) else {
        bail!("{}: its name is not UTF-8", dir.display());
    };
    let time = store::MTIME.to_string();
    let (program, package, args): (_, _, Vec<&str>) = match filesystem {
        Filesystem::Squashfs => (
            "mksquashfs",
            "squashfs-tools",
            vec![
                tree,
                image,
                "-all-root",
                "-no-xattrs",
                "-noappend",
                "-mkfs-time",
                &time,
                "-all-time",
                &time,
                "-quiet",
                "-no-progress",
            ],
        ),
        Filesystem::Erofs => (
            "mkfs.erofs",
            "erofs-utils",
            vec!["--all-root", "-x-1", "-zlz4hc", "-T1", "-U", EROFS_UUID, "--quiet", image, tree],
        ),
    };
    match exec::run(program, &args, b"", WRITE_LIMIT)? {
        Some(ended) if ended.status == Some(0) => Ok(()),
        Some(ended) => bail!("{program}: {}", ended.complaint()),
        None => Err(anyhow!("{program} is not installed"))
            .cure(format!("install {package} on the machine that makes the image")),
    }
}

/// The lock of an extension that brings footplate alone.
pub fn alone() -> Lock {
    Lock { version: 1, arch: OWN_ARCHITECTURE.to_owned(), artifacts: Vec::new() }
}
