// SPDX-License-Identifier: Apache-2.0
//! `hostname`, `fqdn`, `preserve_hostname`, `manage_etc_hosts`: the machine's name.

use super::Reader;
use crate::decode::syntax::yaml::Node;
use crate::model::config::{EtcHosts, NodeConfig};
use crate::model::instance::short;
use crate::model::problem::{Pos, Problem};

/// The file that systemd reads the machine's name from
/// ([hostname(5)](https://www.freedesktop.org/software/systemd/man/latest/hostname.html)).
const FILE: &str = "/etc/hostname";

/// The longest name that a machine can have, in bytes: the kernel's `__NEW_UTS_LEN`.
const KERNEL: usize = 64;

/// The longest name with its domain, in bytes: [RFC 1035](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)'s 255 octets, written out.
const QUALIFIED: usize = 253;

/// Data that writes `/etc/hostname` names the machine: the file, or the one that a link there leads to, becomes the name, which
/// then is the running one in this boot too. The keys `hostname` and `fqdn` go before the file, as in cloud-init. To systemd a file
/// without a name is none.
pub(in crate::decode) fn from_file(config: &mut NodeConfig, problems: &mut Vec<Problem>) {
    let link = config.links.iter().rfind(|link| link.path == FILE);
    let written = match link.map(|link| link.target.as_str()) {
        Some(target) if target.starts_with('/') => target.to_owned(),
        Some(target) => format!("/etc/{target}"),
        None => FILE.to_owned(),
    };
    let file = config.files.iter().rfind(|f| f.path == written);
    let Some(place) = link.map(|l| &l.place).or(file.map(|f| &f.place)).cloned() else { return };
    let text = String::from_utf8_lossy(file.map_or(&[], |f| f.content.expose())).into_owned();
    let mut lines = text.lines().map(str::trim);
    let name = lines.find(|l| !l.is_empty() && !l.starts_with('#'));
    if config.hostname.is_some() {
        let what = "/etc/hostname is left out: the key `hostname` or `fqdn` names the machine";
        problems.push(Problem::warning(place, what).cure("set the name in one place"));
    } else if let Some(name) = name {
        let name = name.strip_suffix('.').unwrap_or(name);
        match check_hostname(name) {
            Ok(()) => config.hostname = Some(name.to_owned()),
            Err(what) => problems.push(Problem::error(place, format!("/etc/hostname: {what}"))),
        }
    } else {
        let what = "/etc/hostname is left out: the data gives it no name";
        problems
            .push(Problem::warning(place, what).cure("write the name, or let the platform name the machine"));
    }
    config.files.retain(|f| f.path != FILE);
    config.links.retain(|l| l.path != FILE);
}

impl Reader<'_> {
    /// `hostname`, `fqdn`, `prefer_fqdn_over_hostname`: the name before its first dot, unless the last one says
    /// otherwise.
    pub(super) fn hostname(&mut self, root: &Node) {
        let hostname = root.get("hostname").and_then(|n| self.text("hostname", n));
        let fqdn = root.get("fqdn").and_then(|n| self.text("fqdn", n));
        // A fully qualified name may end with its dot.
        let undotted = |name: String| name.strip_suffix('.').map(str::to_owned).unwrap_or(name);
        let (hostname, fqdn) = (hostname.map(undotted), fqdn.map(undotted));
        let whole = self.flag(root, "prefer_fqdn_over_hostname").unwrap_or(false);
        self.config.system.whole_hostname = whole;
        self.config.system.keep_hostname = self.flag(root, "preserve_hostname").unwrap_or(false);
        let dotted = hostname.clone().filter(|h| h.contains('.'));
        let long = fqdn.clone().or(dotted);
        let name = match (hostname, fqdn) {
            (_, Some(fqdn)) if whole => Some(fqdn),
            (Some(hostname), _) if !whole => Some(short(&hostname).to_owned()),
            (hostname, fqdn) => fqdn.map(|f| short(&f).to_owned()).or(hostname),
        };
        let Some(name) = name else { return };
        // The longer name is for `/etc/hosts` alone, and may be longer than the kernel's.
        let names = [(Some(&name), KERNEL), (long.as_ref(), QUALIFIED)];
        for (name, most) in names.into_iter().filter_map(|(name, most)| Some((name?, most))) {
            if let Err(what) = check_name(name, most) {
                let written =
                    |key| root.get(key).filter(|n| n.text().is_some_and(|t| t.starts_with(name.as_str())));
                let key = if written("hostname").is_some() { "hostname" } else { "fqdn" };
                self.error(key, root.get(key).map_or(Pos::default(), |n| n.pos), what);
                return self.cure(match name.contains("{{") {
                    true => "let `## template: jinja` be the first line of the data: only a template has names of the machine",
                    false => "write a name such as `node-1`, or remove the key: the platform gives one",
                });
            }
        }
        self.config.system.fqdn = long;
        if !self.config.system.keep_hostname {
            self.config.hostname = Some(name);
        }
    }

    pub(super) fn manage_etc_hosts(&mut self, node: &Node) {
        self.config.system.etc_hosts = match (node.bool(), node.text()) {
            (Some(true), _) | (_, Some("template")) => Some(EtcHosts::Whole),
            (Some(false), _) => None,
            (_, Some("localhost")) => Some(EtcHosts::Line),
            _ => return self.error("manage_etc_hosts", node.pos, "must be true, false or localhost"),
        };
    }
}

/// Checks a machine's name: what [RFC 1123](https://www.rfc-editor.org/rfc/rfc1123#page-13) and the kernel take. systemd reads
/// `/etc/hostname` at each boot and drops all other characters in silence: such a name would be another one after a reboot.
///
/// # Errors
/// Says what is wrong with the name.
pub fn check_hostname(name: &str) -> Result<(), String> {
    check_name(name, KERNEL)
}

fn check_name(name: &str, most: usize) -> Result<(), String> {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    if name.len() > most || !name.split('.').all(label) {
        let why = if name.contains('_') { "; systemd drops the `_` at the next boot" } else { "" };
        return Err(format!(
            "not a name for a machine: letters, digits and `-`, 63 bytes between dots, {most} in all{why}"
        ));
    }
    Ok(())
}
