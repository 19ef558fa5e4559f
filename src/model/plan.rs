// SPDX-License-Identifier: Apache-2.0
//! A picture of the node as it shall be.

use super::config::{DiskSpec, Existing, FilesystemSpec, GroupSpec, Owner, UnitSpec, UserSpec};
use super::secret::Secret;

/// The node as it shall be. `apply` makes it so and says what it changed; nothing in it is a script.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What shall be, in the order in which `apply` makes it.
    pub items: Vec<Item>,
    /// What shall be started once all items are there, in this order; nothing under `--root`.
    pub bootstrap: Option<Bootstrap>,
}

/// One thing that shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The machine's name: `/etc/hostname`, and the kernel's on a live system.
    Hostname(String),
    /// A directory.
    Directory(Directory),
    /// A file.
    File(File),
    /// A link.
    Link(Link),
    /// Nothing stands at that path: what an earlier run of footplate left there is removed.
    Absent(String),
    /// A disk with its partitions. Left out under `--root`: disks are the running machine's.
    Disk(DiskSpec),
    /// A filesystem, left out likewise.
    Filesystem(FilesystemSpec),
    /// A mount or a swap device in use, left out likewise.
    Mounted {
        /// What asked for it.
        place: String,
        /// Its unit.
        unit: String,
        /// Where; `None` for swap.
        path: Option<String>,
        /// What is mounted.
        what: String,
    },
    /// A group.
    Group(GroupSpec),
    /// A user with its groups, home and keys.
    User(UserSpec),
    /// A systemd unit with its drop-ins, enabled, masked or as it is. On a live system it is started where it is enabled,
    /// stopped where it shall not run, and restarted where its files changed.
    Unit(UnitSpec),
    /// A systemd unit that ran to its end on this boot. Left out under `--root`, where it starts with the next boot.
    Run {
        /// The unit's name.
        unit: String,
        /// Why.
        reason: &'static str,
    },
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Absolute path.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Who owns it.
    pub owner: Owner,
    /// Whether one that is there already keeps its bits.
    pub keep: bool,
}

impl Directory {
    /// A directory of footplate's own, root's.
    pub fn ours(path: impl Into<String>, mode: u32) -> Self {
        Self { path: path.into(), mode, owner: Owner::root(), keep: false }
    }
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What asked for it: `storage.links[0]`, or the part of footplate.
    pub place: String,
    /// Where it stands.
    pub path: String,
    /// What it says; for a hard link the file's absolute path.
    pub target: String,
    /// Whether it is a hard link.
    pub hard: bool,
    /// Who owns it, where it is a symbolic link.
    pub owner: Owner,
    /// What becomes of what stands in its place and differs: [`Existing::Written`] replaces a link and refuses anything
    /// else, [`Existing::Replaced`] replaces files too.
    pub existing: Existing,
}

impl Link {
    /// A symbolic link of footplate's own, root's; another link gives way to it.
    pub fn ours(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            place: "footplate".to_owned(),
            path: path.into(),
            target: target.into(),
            hard: false,
            owner: Owner::root(),
            existing: Existing::Written,
        }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// What asked for it: `write_files[3]`, or the part of footplate.
    pub place: String,
    /// Absolute path.
    pub path: String,
    /// What it holds, or what stands at its end.
    pub content: Secret,
    /// Whether `content` stands behind what the file held before.
    pub append: bool,
    /// What becomes of a file that is there already.
    pub existing: Existing,
    /// Permission bits.
    pub mode: u32,
    /// Who owns it; also the directories that are made on the way to it.
    pub owner: Owner,
    /// A unit that reads it and is restarted when it changed on a live system.
    pub restart: Option<&'static str>,
}

impl File {
    /// A file of footplate's own, root's, `0644`.
    pub fn ours(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            place: "footplate".to_owned(),
            path: path.into(),
            content: Secret::new(content),
            append: false,
            existing: Existing::Written,
            mode: 0o644,
            owner: Owner::root(),
            restart: None,
        }
    }

    /// The same with other permission bits.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// The bootstrap that systemd runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The unit.
    pub unit: String,
    /// The file whose presence lets it start: not written once anything failed.
    pub permit: String,
}
