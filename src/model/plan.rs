// SPDX-License-Identifier: Apache-2.0
//! The node as a list of things that must be there.

use super::config::{GroupSpec, UnitSpec, UserSpec};
use super::storage::{Directory, DiskSpec, File, FilesystemSpec, Link};

/// The node as it must be. `apply` makes it so and says what it changed; nothing in it is a script.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Its parts, in the order in which `apply` makes them.
    pub items: Vec<Item>,
    /// What is started once all items are there; nothing under `--root`.
    pub bootstrap: Option<Bootstrap>,
}

/// One thing of the node. Each kind has a file in `apply`, which compares it with a root and makes it so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The machine's name.
    Hostname(Hostname),
    /// A directory.
    Directory(Directory),
    /// A file.
    File(File),
    /// A link.
    Link(Link),
    /// A path at which nothing stands.
    Absent(Absent),
    /// A disk with its partitions. Left out under `--root`: disks belong to the running machine.
    Disk(DiskSpec),
    /// A filesystem, left out likewise.
    Filesystem(FilesystemSpec),
    /// The units of a mount or a swap device.
    MountUnits(Mount),
    /// A mount or a swap device in use, left out likewise.
    Mounted(Mounted),
    /// A group.
    Group(GroupSpec),
    /// A user with its groups, home and keys.
    User(UserSpec),
    /// A systemd unit with its drop-ins: enabled, masked or as it is. On a live system it is started where it is
    /// enabled, stopped where it must not run, and restarted where its files changed.
    Unit(UnitSpec),
    /// A systemd unit that ran to its end in this boot.
    Run(Run),
}

/// The machine's name: `/etc/hostname`, and the kernel's on a live system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hostname {
    /// The name, without a domain.
    pub name: String,
}

/// A path at which nothing stands: what an earlier run of footplate left there is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Absolute path.
    pub path: String,
}

/// A mount or a swap device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// What asks for it.
    pub place: String,
    /// The mount point; `None` for swap.
    pub path: Option<String>,
    /// Its units with the source that the data names.
    pub as_named: MountUnits,
    /// Its units with the first partition of that source, where the source may be a disk. They take the place of the
    /// others where the disk has partitions.
    pub first_partition: Option<MountUnits>,
    /// Whether it is in use from now on; else only its units are written.
    pub used: bool,
    /// Whether the node is right without it where its device does not come.
    pub optional: bool,
}

/// The units of a mount or a swap device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountUnits {
    /// What is mounted.
    pub what: String,
    /// The unit that is started for it.
    pub unit: String,
    /// The unit files.
    pub files: Vec<File>,
    /// The links that start them.
    pub links: Vec<Link>,
}

/// A mount or a swap device in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted(pub Mount);

/// A systemd unit that ran to its end in this boot. Left out under `--root`, where it starts with the next boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The unit's name.
    pub unit: String,
    /// Why it runs.
    pub reason: &'static str,
    /// The paths that it makes by itself, as far as they are known.
    pub makes: Vec<String>,
}

/// The bootstrap that systemd runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The unit.
    pub unit: String,
    /// The file whose presence lets it start: not written once anything failed.
    pub permit: String,
}
