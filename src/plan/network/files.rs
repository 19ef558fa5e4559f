// SPDX-License-Identifier: Apache-2.0
//! The files that the machine is to have, and what is known about them.

use std::fmt;

use super::check::located;
use super::matching::Matched;
use super::unit::{Unit, Unwritable};
use crate::model::network::{Device, Interface, Key, Nic};
use crate::model::problem::Problem;

/// Where networkd and udev look for an administrator's files.
pub const DIR: &str = "/etc/systemd/network";

/// Where they look for those that last as long as the system runs; an initramfs leaves its own there.
pub const RUN_DIR: &str = "/run/systemd/network";

/// Sorts after what a person or the kernel's command line wrote (`00` to `10-dracut-cmdline`), before an image's
/// defaults (Flatcar's `yy-` and `zz-`).
pub const PREFIX: &str = "15-footplate-";

/// Stands where the boot waits for no link: the condition of `systemd-networkd-wait-online.service`'s drop-in.
pub const NOTHING_REQUIRED: &str = "/run/footplate/no-link-required";

/// What is to be on the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The files, in the order of their paths.
    pub files: Vec<NetFile>,
    /// What is wrong with the configuration as a whole.
    pub problems: Vec<Problem>,
    /// For each NIC that the configuration names, which one it is; empty if the machine's NICs are not known.
    pub matches: Vec<Matched>,
    /// The machine's NICs; empty if they are not known.
    pub nics: Vec<Nic>,
    /// What is set up: the interfaces that the files are for.
    pub interfaces: Vec<Interface>,
    /// Ids of interfaces that can't be set up, those of the configuration among them.
    pub unusable: Vec<String>,
    /// Whether it says enough to act on; if not, the machine should keep its image's default, DHCP.
    pub usable: bool,
    /// Whether the boot is to wait for none of the machine's links. `systemd-networkd-wait-online` does not return before its
    /// two minutes where no link is required, so it must not run then.
    pub nothing_required: bool,
}

impl Rendered {
    /// Puts the files into `dir` in place of [`DIR`], for a system whose units wait as they like.
    pub fn place_in(&mut self, dir: &str) {
        self.nothing_required &= dir == DIR;
        for file in &mut self.files {
            if let Some(name) = file.path.strip_prefix(DIR) {
                file.path = format!("{}{name}", dir.trim_end_matches('/'));
            }
        }
    }
}

/// A file to write.
#[derive(Clone, PartialEq, Eq)]
pub struct NetFile {
    /// Its absolute path.
    pub path: String,
    /// Its text.
    pub contents: String,
    /// Its permissions, `0o644`; `0o640` where it holds a key.
    pub mode: u32,
    /// The group that may read it where not everyone may.
    pub group: Option<&'static str>,
    /// Whether it holds a key, so that its text must not be shown.
    pub secret: bool,
}

impl NetFile {
    /// Whether it is one of that interface's: `eth0.5.network` is not one of `eth0`.
    pub fn is_for(&self, id: &str) -> bool {
        let name = self.path.rsplit('/').next().and_then(|name| name.strip_prefix(PREFIX));
        name.and_then(|name| name.rsplit_once('.')).is_some_and(|(stem, _)| stem == escaped(id))
    }
}

impl fmt::Debug for NetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = if self.secret { "…" } else { &self.contents };
        f.debug_struct("NetFile")
            .field("path", &self.path)
            .field("contents", &contents)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Rendered {
    /// Whether no link is to be waited for: all that are set up are optional, and each of the machine's NICs is one of these.
    pub(super) fn requires_nothing(&self, nics: &[Nic]) -> bool {
        let all_optional = self.interfaces.iter().all(|i| i.is_loopback() || !i.is_awaited());
        let any = self.interfaces.iter().any(|i| !i.is_loopback());
        // Another NIC is the image's default's, which is waited for.
        let known = |nic: &Nic| self.matches.iter().any(|m| m.nics.contains(&nic.name));
        let hardware = |nic: &&Nic| nic.kind.is_none() && nic.name != "lo";
        all_optional && any && nics.iter().filter(hardware).all(known)
    }

    pub(super) fn add(&mut self, interface: &Interface, suffix: &str, unit: &Unit) {
        let comment = format!(
            "Written by footplate from {}; written again at every boot.\nA file that sorts before this one wins over it.",
            interface.place
        );
        match unit.write(&comment) {
            Ok(contents) => {
                let path = format!("{DIR}/{PREFIX}{}.{suffix}", escaped(&interface.id));
                let secret = has_key(interface) && suffix == "netdev";
                // networkd reads keys as its own user.
                let (mode, group) = if secret { (0o640, Some("systemd-network")) } else { (0o644, None) };
                self.files.push(NetFile { path, contents, mode, group, secret });
            }
            Err(Unwritable { section, key }) => {
                let what = format!(
                    "can't be written as {section}.{key}=: a control character, a blank or a backslash at its end"
                );
                self.problems.push(located(Problem::error(&interface.place, what), interface));
                self.files.retain(|f| !f.is_for(&interface.id));
                self.unusable.push(interface.id.clone());
            }
        }
    }
}

/// Whether the file that creates the device holds a secret key.
fn has_key(interface: &Interface) -> bool {
    let Device::Tunnel(tunnel) = &interface.device else { return false };
    let shared = tunnel.peers.iter().filter_map(|peer| peer.shared.as_ref());
    tunnel.private.iter().chain(shared).any(|key| matches!(key, Key::Inline(_)))
}

/// An id as part of a file name: what is not a letter, a digit or harmless becomes `\xNN`, as systemd escapes it.
pub(super) fn escaped(id: &str) -> String {
    let mut out = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}
