// SPDX-License-Identifier: Apache-2.0
//! networkd's and udev's files of the machine that built an image: with its address in the image, every machine made from
//! it takes that address.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::io::root::{Root, SFlag};
use crate::plan::network::{DIR, PREFIX, RUN_DIR};

/// The largest file that is looked at.
const MAX_FILE: usize = 1 << 20;

/// The files that configure a NIC. Each has drop-ins in a directory of its name and `.d`.
const ENDINGS: &[&str] = &[".link", ".netdev", ".network"];

/// Settings that belong to one machine
/// ([systemd.network(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.network.html)). A file without
/// any of them, such as one for DHCP on all NICs, is as good on another machine.
const OF_ONE_MACHINE: &[&str] = &[
    "Address",
    "DUIDRawData",
    "Gateway",
    "Hostname",
    "IAID",
    "IPv6Token",
    "Local",
    "MACAddress",
    "Peer",
    "PermanentMACAddress",
    "PresharedKey",
    "PrivateKey",
    "RequestAddress",
    "Token",
];

/// udev's own rules, by which older systems gave NICs their names.
const RULES: &str = "/etc/udev/rules.d";

/// Files of a machine that built an image.
#[derive(Default)]
pub(super) struct Found {
    /// Those to remove: footplate's own, and all that name one machine and are not the image's.
    pub(super) gone: Vec<String>,
    /// Others that are not the image's: they configure NICs of every machine made from it.
    pub(super) left: Vec<String>,
}

/// What there is of them.
pub(super) fn of_builder(root: &Root, baked: &BTreeSet<String>) -> Result<Found> {
    let mut found = Found::default();
    let mut of_networkd = |path: String| {
        let to = if names_one_machine(root, &path) { &mut found.gone } else { &mut found.left };
        to.push(path);
    };
    let mut own = Vec::new();
    for dir in [DIR, RUN_DIR] {
        for name in root.list(dir)? {
            let path = format!("{dir}/{name}");
            let main = name.strip_suffix(".d").unwrap_or(&name);
            if name.starts_with(PREFIX) {
                own.push(path);
            } else if !ENDINGS.iter().any(|ending| main.ends_with(ending)) {
                continue;
            } else if root.meta_of_link(&path)?.is_some_and(|m| m.kind == SFlag::S_IFDIR) {
                let inside = root.list(&path)?.into_iter().map(|name| format!("{path}/{name}"));
                inside.filter(|path| path.ends_with(".conf")).for_each(&mut of_networkd);
            } else {
                of_networkd(path);
            }
        }
    }
    found.gone.extend(own);
    let rules = root.list(RULES)?.into_iter().filter(|name| name.ends_with(".rules"));
    found.gone.extend(rules.map(|name| format!("{RULES}/{name}")).filter(|path| knows_a_nic(root, path)));
    found.gone.retain(|path| !baked.contains(path));
    found.left.retain(|path| !baked.contains(path));
    Ok(found)
}

/// Whether a file has a setting of one machine. What can't be read, such as a link to /dev/null, has none.
fn names_one_machine(root: &Root, path: &str) -> bool {
    let text = root.read(path, MAX_FILE).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.trim().split_once('='))
        .any(|(key, value)| !value.trim().is_empty() && OF_ONE_MACHINE.contains(&key.trim_end()))
}

/// Whether a rule of udev's matches a NIC by its address: `ATTR{address}=="…"`.
fn knows_a_nic(root: &Root, path: &str) -> bool {
    let text = root.read(path, MAX_FILE).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut rules = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    rules.any(|line| line.contains("{address}==") && line.contains("\"net\""))
}
