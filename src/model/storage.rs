// SPDX-License-Identifier: Apache-2.0
//! Files, directories and links, and the disks below them: what bootstrap data asks for, and what a plan consists of.

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::model::wire::{self, Word};

/// What asks for the files that footplate needs itself.
const OURS: &str = "footplate";

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// What asks for it: `write_files[3]`, or the part of footplate.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// The content, decoded; with `append` the content at the file's end.
    pub content: Secret,
    /// Who owns it; also the directories that are made on the way to it.
    pub owner: Owner,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Whether the content is added to the file that is there.
    pub append: bool,
    /// What becomes of a file that is there already.
    pub existing: Existing,
    /// A unit that reads the file and must be restarted when the file changed on a live system.
    #[serde(deserialize_with = "wire::word")]
    pub restart: Option<Word>,
}

impl File {
    /// A file of footplate's own: root's, `0644`.
    pub fn ours(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            place: OURS.to_owned(),
            path: path.into(),
            content: Secret::new(content),
            owner: Owner::root(),
            mode: 0o644,
            append: false,
            existing: Existing::Written,
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

/// What becomes of what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Existing {
    /// It holds the content then, or, with `append`, has it at its end; a symbolic link is followed.
    #[default]
    Written,
    /// It is replaced, also if it is of another kind: a directory with all that is in it. A directory keeps
    /// what is in it if it must be a directory, with the bits and the owner of a new one.
    Replaced,
    /// One that differs is an error.
    Refused,
    /// The content of a file stays; something else is an error.
    Kept {
        /// Whether the bits of the file are set to those of the data.
        mode: bool,
    },
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// What asks for it: `storage.directories[0]`, or the part of footplate.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// Who owns it.
    pub owner: Owner,
    /// Permission bits; with `None` a new directory gets `0755` and one that is there keeps its own.
    pub mode: Option<u32>,
    /// What becomes of something else at its path: [`Existing::Written`] follows a link to a directory and refuses the rest,
    /// [`Existing::Replaced`] replaces links and files.
    pub existing: Existing,
}

impl Directory {
    /// A directory of footplate's own, root's.
    pub fn ours(path: impl Into<String>, mode: u32) -> Self {
        Self {
            place: OURS.to_owned(),
            path: path.into(),
            owner: Owner::root(),
            mode: Some(mode),
            existing: Existing::Written,
        }
    }
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What asks for it: `storage.links[0]`, or the part of footplate.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// The text of a symbolic link; for a hard link the absolute path of the file.
    pub target: String,
    /// Whether it is a hard link.
    pub hard: bool,
    /// Who owns it; a hard link has the owner of its file.
    pub owner: Owner,
    /// What becomes of something else at its path: [`Existing::Written`] replaces a link and refuses the rest,
    /// [`Existing::Replaced`] replaces files and directories too.
    pub existing: Existing,
}

impl Link {
    /// A symbolic link of footplate's own, root's; it replaces another link.
    pub fn ours(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            place: OURS.to_owned(),
            path: path.into(),
            target: target.into(),
            hard: false,
            owner: Owner::root(),
            existing: Existing::Written,
        }
    }
}

/// Owner and group by name or number. With `None` what is there keeps its own, and something new is root's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub user: Option<String>,
    /// The group.
    pub group: Option<String>,
}

impl Owner {
    /// `root:root`.
    pub fn root() -> Self {
        Self { user: Some("root".to_owned()), group: Some("root".to_owned()) }
    }
}

impl std::fmt::Display for Owner {
    /// `user:group`, `-` for one that is left alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.user.as_deref().unwrap_or("-"), self.group.as_deref().unwrap_or("-"))
    }
}

/// A disk with its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSpec {
    /// Where the data names it, `disk_setup[/dev/sdb]`.
    pub place: String,
    /// Its path below `/dev`.
    pub device: String,
    /// The kind of its table.
    pub table: TableKind,
    /// Its partitions.
    pub layout: Layout,
    /// Whether what is on it may be lost.
    pub overwrite: bool,
}

/// The kind of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableKind {
    /// The old one, of four partitions.
    Mbr,
    /// The GUID partition table.
    Gpt,
}

/// What a disk must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// Nothing: no table and no filesystem.
    Remove,
    /// Partitions, of which the last takes what is left. None at all: one on a disk that has none, and any will do.
    Partitions(Vec<PartitionSpec>),
    /// Partitions by their numbers; others stay, unless the disk may be overwritten.
    Entries(Vec<EntrySpec>),
}

/// A partition of a GPT, by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntrySpec {
    /// Where the data names it, `storage.disks[0].partitions[1]`.
    pub place: String,
    /// Its number; 0 for the next that is free.
    pub number: u32,
    /// Its label; `None` for any.
    pub label: Option<String>,
    /// Where it begins, in bytes: 0 at the start of the largest gap, `None` where it is or there.
    pub start: Option<u64>,
    /// Its size in bytes: 0 for all that there is, `None` for what it has or that.
    pub size: Option<u64>,
    /// Its type's GUID; `None` for any.
    pub kind: Option<String>,
    /// Its own GUID; `None` for any.
    pub guid: Option<String>,
    /// Whether it must exist.
    pub exists: bool,
    /// Whether one that is there and differs may be lost.
    pub replace: bool,
    /// Whether one that differs by its size gets another.
    pub resize: bool,
}

/// [`PartitionSpec::share`] of a whole disk.
pub const WHOLE_DISK: u32 = 100_000;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSpec {
    /// Its part of the disk, in thousandths of a percent.
    pub share: u32,
    /// Its type as sfdisk writes it: a code without leading zeros, or a GUID in capitals. `None` where the data gives none:
    /// a new one is Linux's, and one that is there may have any.
    pub kind: Option<String>,
}

/// A filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilesystemSpec {
    /// Where the data names it, `fs_setup[0]`.
    pub place: String,
    /// The disk or partition, a path below `/dev`.
    pub device: String,
    /// Which part of it.
    pub partition: Partition,
    /// `ext4`, `swap` and so on.
    pub kind: String,
    /// Its label.
    pub label: Option<String>,
    /// Whether what is there may be lost, also one that looks as wished: the plan then gives the new one a number of its
    /// own, by which it is known again.
    pub overwrite: bool,
    /// A kind of filesystem that may be lost.
    pub replace: Option<String>,
    /// What else its program is told.
    pub options: Vec<String>,
    /// Its number, where it must be a disk that was made for this instance.
    pub uuid: Option<String>,
}

/// Which part of a device a filesystem goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Partition {
    /// The device itself.
    None,
    /// The partition of that number.
    Number(u32),
    /// One that has the kind and the label, else one that is empty.
    Auto,
    /// One that has the kind, else one that is empty.
    Any,
}

/// The path of a disk's partition: by-id and by-path names end in `-part1`, names that end in a digit in `p1`.
pub fn partition_path(device: &str, number: u32) -> String {
    let link = device.starts_with("/dev/disk/by-");
    match device.ends_with(|c: char| c.is_ascii_digit()) {
        _ if link => format!("{device}-part{number}"),
        true => format!("{device}p{number}"),
        false => format!("{device}{number}"),
    }
}

/// A mount, or a swap device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Where the data names it, `mounts[0]`.
    pub place: String,
    /// A device's path, a network path, or a filesystem without a device.
    pub what: String,
    /// Where; `None` for swap.
    pub path: Option<String>,
    /// The filesystem, `auto` to look.
    pub kind: String,
    /// Options as mount(8) takes them.
    pub options: String,
    /// Whether it is checked before.
    pub fsck: bool,
    /// Whether the author wrote `nofail`: without its device the boot goes on.
    pub optional: bool,
    /// Whether it is a device by a name that a whole disk may have: where the disk has partitions, its first one is meant.
    pub disk: bool,
}

/// Filesystems whose login mount(8) reads from a file.
pub const CIFS: &[&str] = &["cifs", "smb3", "smbfs"];

/// The lines of that file, and the options that mean the same
/// ([mount.cifs(8)](https://man7.org/linux/man-pages/man8/mount.cifs.8.html)).
pub const CIFS_LOGIN: &[(&str, &[&str])] = &[
    ("username", &["username", "user"]),
    ("password", &["password", "pass"]),
    ("domain", &["domain", "dom", "workgroup"]),
];

/// The kernel's filesystems that systemd mounts by itself. It refuses mount units for them.
const SYSTEMDS_MOUNTS: &[&str] = &[
    "/dev",
    "/dev/pts",
    "/dev/shm",
    "/proc",
    "/run",
    "/sys",
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/pstore",
    "/sys/fs/smackfs",
    "/sys/kernel/security",
];

impl MountSpec {
    /// Whether systemd mounts it by itself.
    pub fn by_systemd(&self) -> bool {
        let path = self.path.as_deref().unwrap_or_default();
        SYSTEMDS_MOUNTS.contains(&path) || path.starts_with("/sys/fs/cgroup/")
    }

    /// Its options, one by one.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.options.split(',').filter(|o| !o.is_empty())
    }

    /// Whether it has an option, and its opposite (`fail` behind `nofail`) does not follow.
    pub fn has(&self, option: &str) -> bool {
        let opposite = option.strip_prefix("no");
        self.options().filter(|o| *o == option || Some(*o) == opposite).last() == Some(option)
    }

    /// The values of an option that may be given more than once.
    pub fn values<'a>(&'a self, option: &'a str) -> impl Iterator<Item = &'a str> {
        self.options().filter_map(move |o| o.strip_prefix(option)?.strip_prefix('='))
    }

    /// The value of an option: the last one that is given.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.options().filter_map(|o| o.strip_prefix(option)?.strip_prefix('=')).last()
    }
}
