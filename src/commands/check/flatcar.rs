// SPDX-License-Identifier: Apache-2.0
//! A Flatcar on which bootstrap data is tried: an empty root with its accounts.

use anyhow::Result;

use crate::io::root::{Ids, Scratch};

/// Users that Flatcar has, and such as are common elsewhere: with one of these as owner the node is not said to stop. Each
/// has a group of its name.
const USERS: &[&str] = &[
    "root",
    "bin",
    "daemon",
    "adm",
    "lp",
    "sync",
    "shutdown",
    "halt",
    "mail",
    "news",
    "uucp",
    "operator",
    "man",
    "postmaster",
    "nobody",
    "sshd",
    "ntp",
    "polkitd",
    "dhcp",
    "messagebus",
    "dbus",
    "etcd",
    "docker",
    "tcpdump",
    "tss",
    "portage",
    "systemd-network",
    "systemd-resolve",
    "systemd-timesync",
    "systemd-coredump",
    "systemd-oom",
    "systemd-journal-remote",
    "systemd-journal-upload",
    "core",
];

/// Groups without a user of their name.
const GROUPS: &[&str] = &[
    "sys",
    "tty",
    "disk",
    "mem",
    "kmem",
    "wheel",
    "floppy",
    "console",
    "audio",
    "cdrom",
    "dialout",
    "tape",
    "video",
    "cdrw",
    "usb",
    "users",
    "nogroup",
    "utmp",
    "sudo",
    "render",
    "kvm",
    "input",
    "sgx",
    "shadow",
    "systemd-journal",
    "rkt",
    "rkt-admin",
];

/// Directories that every Flatcar has, where no file can stand.
const DIRECTORIES: &[&str] = &[
    "/boot",
    "/dev",
    "/etc/ssl/certs",
    "/etc/systemd/system",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run/systemd",
    "/tmp",
    "/usr",
    "/var/lib",
    "/var/log",
];

/// A root with the accounts and the directories that a system has, and nothing else.
pub fn root() -> Result<Scratch> {
    let scratch = Scratch::new()?;
    let (mut passwd, mut shadow, mut group) = (String::new(), String::new(), String::new());
    for (id, name) in USERS.iter().enumerate() {
        passwd += &format!("{name}:x:{id}:{id}::/:/bin/false\n");
        shadow += &format!("{name}:*:1::::::\n");
        group += &format!("{name}:x:{id}:\n");
    }
    for (i, name) in GROUPS.iter().enumerate() {
        group += &format!("{name}:x:{}:\n", USERS.len() + i);
    }
    for (file, text, mode) in
        [("/etc/passwd", passwd, 0o644), ("/etc/group", group, 0o644), ("/etc/shadow", shadow, 0o600)]
    {
        scratch.root().put(file, text.as_bytes(), mode, Ids::default())?;
    }
    for directory in DIRECTORIES {
        scratch.root().make_dirs(directory, Ids::default())?;
    }
    Ok(scratch)
}
