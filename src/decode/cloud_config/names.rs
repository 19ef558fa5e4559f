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

/// Data that writes `/etc/hostname` names the machine: the file becomes the name, which then is the running one in this boot
/// too. The keys `hostname` and `fqdn` go before the file, as in cloud-init. A file without a name stays a file.
pub(in crate::decode) fn from_file(config: &mut NodeConfig, problems: &mut Vec<Problem>) {
    let Some(at) = config.files.iter().rposition(|f| f.path == FILE) else { return };
    let text = String::from_utf8_lossy(config.files[at].content.expose()).into_owned();
    let mut lines = text.lines().map(str::trim);
    let Some(name) = lines.find(|l| !l.is_empty() && !l.starts_with('#')) else { return };
    let place = config.files[at].place.clone();
    if config.hostname.is_some() {
        let what = "/etc/hostname is left out: the key `hostname` or `fqdn` names the machine";
        problems.push(Problem::warning(place, what).cure("set the name in one place"));
    } else {
        let name = name.strip_suffix('.').unwrap_or(name);
        if let Err(what) = check_hostname(name) {
            problems.push(Problem::error(place, format!("/etc/hostname: {what}")));
        }
        config.hostname = Some(name.to_owned());
    }
    config.files.retain(|f| f.path != FILE);
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
        self.config.system.keep_hostname = self.flag(root, "preserve_hostname").unwrap_or(false);
        let dotted = hostname.clone().filter(|h| h.contains('.'));
        let long = fqdn.clone().or(dotted);
        let name = match (hostname, fqdn) {
            (_, Some(fqdn)) if whole => Some(fqdn),
            (Some(hostname), _) if !whole => Some(short(&hostname).to_owned()),
            (hostname, fqdn) => fqdn.map(|f| short(&f).to_owned()).or(hostname),
        };
        let Some(name) = name else { return };
        let node = root.get("hostname").or_else(|| root.get("fqdn")).map_or(Pos::default(), |n| n.pos);
        for name in [Some(&name), long.as_ref()].into_iter().flatten() {
            if let Err(what) = check_hostname(name) {
                return self.error("hostname", node, what);
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
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // The kernel's limit is 64 bytes for the whole (`__NEW_UTS_LEN`).
    if name.len() > 64 || !name.split('.').all(label) {
        let why = if name.contains('_') { "; systemd drops the `_` at the next boot" } else { "" };
        return Err(format!(
            "not a name for a machine: letters, digits and `-`, 63 bytes between dots, 64 in all{why}"
        ));
    }
    Ok(())
}
