// SPDX-License-Identifier: Apache-2.0
//! What every bootstrap format means, in one shape.

use super::secret::Secret;
use super::storage::{Directory, DiskSpec, File, FilesystemSpec, Link, MountSpec};
use serde::{Deserialize, Serialize};

/// The node as its bootstrap data wants it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NodeConfig {
    /// The machine's name, where the data sets one.
    pub hostname: Option<String>,
    /// Files, in the data's order.
    pub files: Vec<File>,
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
    pub directories: Vec<Directory>,
    /// Links, in the data's order.
    pub links: Vec<Link>,
    /// Groups, in the data's order; names are unique.
    pub groups: Vec<GroupSpec>,
    /// systemd units, in the data's order; names are unique.
    pub units: Vec<UnitSpec>,
}

impl NodeConfig {
    /// The commands and programs that the data has, but for units and for programs in files.
    pub fn programs(&self) -> impl Iterator<Item = &Secret> {
        let scripts = [&self.boothooks, &self.included_hooks, &self.boot_scripts, &self.scripts];
        let scripts = scripts.into_iter().flatten().map(|script| &script.content);
        self.runcmd.iter().chain(&self.bootcmd).chain(scripts)
    }

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
        // As Ignition does: empty lists are not told.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A group and its members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Where the data names it, `passwd.groups[0]`.
    pub place: String,
    /// Its name.
    pub name: String,
    /// Its number, where the data fixes one.
    pub gid: Option<u32>,
    /// The password's hash.
    pub password_hash: Option<Secret>,
    /// Members that may be users of the machine; those who are not there are left out.
    pub members: Vec<String>,
    /// A low number.
    pub system: bool,
    /// It must not exist.
    pub absent: bool,
}

/// A systemd unit and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// A user and its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether the account has no valid password.
    pub lock_password: bool,
    /// When the account stops working.
    pub inactive: Option<Inactive>,
    /// The day on which the account expires, counted from 1 January 1970.
    pub expires: Option<u32>,
    /// A system account: a low number, and a password that does not age.
    pub system: bool,
    /// Whether a missing home is made, with what the skeleton has.
    pub create_home: bool,
    /// Without a primary group of its own name: `users` is it.
    pub no_user_group: bool,
    /// Whether number, comment, home, shell and primary group are set on an account that is there already.
    pub modify: bool,
    /// It must not exist.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inactive {
    /// It can't be used at all: what `inactive: true` means to who writes it.
    Now,
    /// This many days after its password expired: `useradd --inactive`.
    DaysAfterExpiry(u32),
}

/// Time synchronisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ntp {
    /// Servers then pools, as timesyncd takes them.
    pub servers: Vec<String>,
}

/// What the machine has once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// The user who gets the platform's keys, where it is not the image's own.
    pub default_user: Option<String>,
    /// Whether the platform's keys are left out.
    pub without_platform_keys: bool,
    /// The name stays what it is, whatever the metadata says.
    pub keep_hostname: bool,
    /// Where the metadata names the machine, its domain is a part of the name.
    pub whole_hostname: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EtcHosts {
    /// The whole file is ours.
    Whole,
    /// A line of it is.
    Line,
}

/// A swap file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swap {
    /// Where it stands.
    pub path: String,
    /// Its size.
    pub size: SwapSize,
}

/// The size of a swap file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SwapSize {
    /// So many bytes.
    Bytes(u64),
    /// What cloud-init suggests by the machine's memory and the free space of the filesystem.
    Auto {
        /// The most, in bytes.
        max: Option<u64>,
    },
}

/// Name servers of the machine as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolver {
    /// Their addresses.
    pub servers: Vec<String>,
    /// Domains that names are looked for in.
    pub domains: Vec<String>,
}

/// An HTTP request that reports the machine to a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneHome {
    /// Where to; it may hold a token.
    pub url: Secret,
    /// What is sent: `hostname`, `pub_key_rsa` and so on.
    pub posts: Vec<String>,
    /// How often it is tried.
    pub tries: u32,
}

/// How the machine goes down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerState {
    /// How.
    pub mode: PowerMode,
    /// When, as shutdown(8) takes it.
    pub delay: String,
    /// What users are told.
    pub message: Option<String>,
    /// A command of the shell: where it fails, the machine goes on.
    pub condition: Option<Secret>,
}

/// How the machine goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PowerMode {
    /// It comes up again.
    Reboot,
    /// It is switched off.
    PowerOff,
    /// It stands still.
    Halt,
}
