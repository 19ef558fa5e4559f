// SPDX-License-Identifier: Apache-2.0
//! What every bootstrap format means, in one shape.

use super::secret::Secret;

/// The node as its bootstrap data wants it.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// The machine's name, where the data sets one.
    pub hostname: Option<String>,
    /// Files, in the data's order.
    pub files: Vec<FileSpec>,
    /// Users, in the data's order; names are unique.
    pub users: Vec<UserSpec>,
    /// Boothooks: programs for every boot, before all else, in the data's order. They run before what include lists name
    /// is read, since they may write it.
    pub boothooks: Vec<Script>,
    /// Boothooks that include lists brought: for every boot, before anything else is applied.
    pub included_hooks: Vec<Script>,
    /// Shell lines for every boot, before anything else is applied.
    pub bootcmd: Vec<Secret>,
    /// Programs for every boot, once the network is up and all else is applied, in the data's order.
    pub boot_scripts: Vec<Script>,
    /// Programs of the bootstrap, once per instance, in the order in which they run.
    pub scripts: Vec<Script>,
    /// Shell lines for the bootstrap, once per instance.
    pub runcmd: Vec<Secret>,
    /// Time servers.
    pub ntp: Option<Ntp>,
    /// What the machine has once.
    pub system: System,
    /// Disks to partition, in the data's order.
    pub disks: Vec<DiskSpec>,
    /// Filesystems to make, in the data's order.
    pub filesystems: Vec<FilesystemSpec>,
    /// Filesystems to mount, in the data's order.
    pub mounts: Vec<MountSpec>,
    /// Directories, in the data's order.
    pub directories: Vec<DirectorySpec>,
    /// Links, in the data's order.
    pub links: Vec<LinkSpec>,
    /// Groups, in the data's order; names are unique.
    pub groups: Vec<GroupSpec>,
    /// systemd units, in the data's order; names are unique.
    pub units: Vec<UnitSpec>,
}

impl NodeConfig {
    /// A one-line account for the log: counts, no values.
    pub fn summary(&self) -> String {
        let mut summary = format!(
            "files={} users={} bootcmd={} runcmd={} scripts={}",
            self.files.len(),
            self.users.len(),
            self.bootcmd.len(),
            self.runcmd.len(),
            [&self.boothooks, &self.included_hooks, &self.boot_scripts, &self.scripts]
                .map(Vec::len)
                .iter()
                .sum::<usize>()
        );
        // Ignition's own: what there is none of is not told.
        let others = [
            ("directories", self.directories.len()),
            ("links", self.links.len()),
            ("groups", self.groups.len()),
            ("units", self.units.len()),
        ];
        for (name, count) in others.iter().filter(|(_, count)| *count > 0) {
            summary += &format!(" {name}={count}");
        }
        summary
    }
}

/// A program that the data carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Where the data has it, `part 2 (text/x-shellscript)`.
    pub place: String,
    /// Its file name: plain characters, unique among its kind.
    pub name: String,
    /// Whether it runs after the bootstrap's shell lines and not before them.
    pub after_commands: bool,
    /// The program, its interpreter's line included.
    pub content: Secret,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSpec {
    /// Where the data names it, `write_files[3]`.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// What is in it, decoded.
    pub content: Secret,
    /// Who owns it.
    pub owner: Owner,
    /// Permission bits, 0 to 0o7777.
    pub mode: u32,
    /// Whether the content goes behind what the file holds.
    pub append: bool,
    /// What becomes of a file that is there already.
    pub existing: Existing,
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// It holds the content then, or, with `append`, has it at its end; a symbolic link is followed.
    #[default]
    Written,
    /// It gives way, be it a file or a symbolic link.
    Replaced,
    /// One that differs is an error.
    Refused,
    /// What is in it stays, and its bits and its owner unless the data gives them.
    Kept {
        /// The data gives the bits.
        mode: bool,
        /// The data gives the owner.
        owner: bool,
    },
}

/// A directory to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectorySpec {
    /// Where the data names it, `storage.directories[0]`.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// Who owns it.
    pub owner: Owner,
    /// Permission bits; `None` for `0755`, or those that it has.
    pub mode: Option<u32>,
}

/// A link to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// Where the data names it, `storage.links[0]`.
    pub place: String,
    /// Absolute, without `.` and `..`.
    pub path: String,
    /// What it says; for a hard link an absolute path.
    pub target: String,
    /// Whether it is a hard link.
    pub hard: bool,
    /// Who owns it; a hard link has the owner of its file.
    pub owner: Owner,
    /// Whether a file or another link in its place gives way.
    pub overwrite: bool,
}

/// A group as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// Where the data names it, `passwd.groups[0]`.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its number, where the data fixes one.
    pub gid: Option<u32>,
    /// The password's hash.
    pub password_hash: Option<Secret>,
    /// A low number.
    pub system: bool,
    /// It shall not be there.
    pub absent: bool,
}

/// A systemd unit as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitSpec {
    /// Where the data names it, `systemd.units[0]`.
    pub place: String,
    /// Its name, `kubeadm.service`.
    pub name: String,
    /// The unit file, where the data brings one.
    pub contents: Option<Secret>,
    /// Drop-ins: names and contents.
    pub dropins: Vec<(String, Secret)>,
    /// Whether it starts with the system; `None` leaves it as it is.
    pub enabled: Option<bool>,
    /// Whether it can't be started at all; `None` leaves it as it is.
    pub mask: Option<bool>,
}

/// Owner and group by name or number; `None` leaves it to whoever writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// A user as it shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserSpec {
    /// Where the data names it, `users[0]`.
    pub place: String,
    /// The login name.
    pub name: String,
    /// The number, where the data fixes one.
    pub uid: Option<u32>,
    /// The password's hash, as `crypt(3)` takes it.
    pub password_hash: Option<Secret>,
    /// The comment field.
    pub gecos: Option<String>,
    /// The home directory; `/home/NAME` without one.
    pub home: Option<String>,
    /// The login shell.
    pub shell: Option<String>,
    /// The primary group's name; a group named as the user without one.
    pub primary_group: Option<String>,
    /// Further groups; missing ones are made.
    pub groups: Vec<String>,
    /// Whether no password shall open the account.
    pub lock_password: bool,
    /// When the account stops working.
    pub inactive: Option<Inactive>,
    /// A system account: no home, a low number.
    pub system: bool,
    /// Whether a missing home is made.
    pub create_home: bool,
    /// Without a primary group of its own name: `users` is it.
    pub no_user_group: bool,
    /// Whether number, comment, home, shell and primary group are set on an account that is there already.
    pub modify: bool,
    /// It shall not be there.
    pub absent: bool,
    /// sudo rules, each what follows the name on a sudoers line.
    pub sudo: Vec<String>,
    /// Public keys that may log in.
    pub ssh_keys: Vec<String>,
    /// The account is there already, and nothing of it changes but what is given: it is not made, locked or unlocked.
    pub existing: bool,
    /// Whether the password has to be changed at the next login.
    pub password_expired: bool,
}

/// How an account is inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inactive {
    /// It can't be used at all: what `inactive: true` means to who writes it.
    Now,
    /// This many days after its password expired: `useradd --inactive`.
    DaysAfterExpiry(u32),
}

/// Time synchronisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ntp {
    /// Servers then pools, as timesyncd takes them.
    pub servers: Vec<String>,
}

/// What the machine has once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// The name stays what it is, whatever the metadata says.
    pub keep_hostname: bool,
    /// The name with its domain, where the data sets one.
    pub fqdn: Option<String>,
    /// What of `/etc/hosts` names the machine.
    pub etc_hosts: Option<EtcHosts>,
    /// The time zone, `Europe/Berlin`.
    pub timezone: Option<String>,
    /// The locale, `en_US.UTF-8`.
    pub locale: Option<String>,
    /// Certificates to trust, PEM, one each.
    pub certificates: Vec<String>,
    /// A swap file.
    pub swap: Option<Swap>,
    /// Name servers.
    pub resolver: Option<Resolver>,
    /// Whether SSH takes passwords.
    pub password_login: Option<bool>,
    /// Whom to tell once the bootstrap succeeded.
    pub phone_home: Option<PhoneHome>,
    /// What the machine does once the bootstrap succeeded.
    pub power_state: Option<PowerState>,
    /// What is written to the console once the bootstrap succeeded.
    pub final_message: Option<String>,
}

/// What of `/etc/hosts` names the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EtcHosts {
    /// The whole file is ours.
    Whole,
    /// A line of it is.
    Line,
}

/// A swap file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Where it stands.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// Name servers of the machine as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    /// Their addresses.
    pub servers: Vec<String>,
    /// Domains that names are looked for in.
    pub domains: Vec<String>,
}

/// An HTTP request that tells somebody of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneHome {
    /// Where to; it may hold a token.
    pub url: Secret,
    /// What is sent: `hostname`, `pub_key_rsa` and so on.
    pub posts: Vec<String>,
    /// How often it is tried.
    pub tries: u32,
}

/// How the machine goes down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerState {
    /// How.
    pub mode: PowerMode,
    /// When, as shutdown(8) takes it.
    pub delay: String,
    /// What users are told.
    pub message: Option<String>,
}

/// How the machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerMode {
    /// It comes up again.
    Reboot,
    /// It is switched off.
    PowerOff,
    /// It stands still.
    Halt,
}

/// A disk with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// The old one, of four partitions.
    Mbr,
    /// The GUID partition table.
    Gpt,
}

/// What shall be on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nothing: no table and no filesystem.
    Remove,
    /// Partitions, of which the last takes what is left.
    Partitions(Vec<PartitionSpec>),
    /// Partitions by their numbers; others stay, unless the disk may be overwritten.
    Entries(Vec<EntrySpec>),
}

/// A partition of a GPT, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Whether it shall be there at all.
    pub exists: bool,
    /// Whether one that is there and differs may be lost.
    pub replace: bool,
    /// Whether one that differs by its size gets another.
    pub resize: bool,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpec {
    /// Its part of the disk, 1 to 100.
    pub percent: u32,
    /// Its type as sfdisk writes it: a code without leading zeros, or a GUID in capitals.
    pub kind: String,
}

/// A filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Its number, where it shall be one that was made for this instance.
    pub uuid: Option<String>,
}

/// Which part of a device a filesystem goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
}
