// SPDX-License-Identifier: Apache-2.0
//! Which NIC an interface of the configuration means, and why.

use serde::Serialize;

use super::unit::Section;
use crate::model::network::{Ethernet, Interface, Mac, Nic, is_glob};

/// Which of the machine's NICs an interface of the configuration means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Matched {
    /// The interface's id.
    pub interface: String,
    /// Names of the NICs that it matches now.
    pub nics: Vec<String>,
    /// Why those, or what was missing.
    pub why: String,
}

impl std::fmt::Display for Matched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let nics = if self.nics.is_empty() { "no NIC".to_owned() } else { self.nics.join(", ") };
        write!(f, "{}: {nics}: {}", self.interface, self.why)
    }
}

/// How the NIC of a MAC address can be told from the links that carry the same address on top of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// By the address it was made with.
    Permanent,
    /// By its address now: it has no other. With the kind of virtual link it is, if one.
    Current(Option<&'a str>),
}

/// By which address to match the NIC of `mac`. Of a NIC that is not here, hardware is assumed.
pub(super) fn address_of<'a>(mac: &Mac, nics: &'a [Nic]) -> Address<'a> {
    match find_mac(mac, nics) {
        Some((nic, false)) => Address::Current(nic.kind.as_deref()),
        _ => Address::Permanent,
    }
}

/// Whether it may be a machine's NIC: hardware, or what a container or a network namespace has in its place.
fn is_nic(nic: &Nic) -> bool {
    matches!(nic.kind.as_deref(), None | Some("veth" | "macvlan" | "ipvlan"))
}

/// The NIC whose permanent address is `mac` (and true), else the one whose address now it is (and false).
fn find_mac<'a>(mac: &Mac, nics: &'a [Nic]) -> Option<(&'a Nic, bool)> {
    let permanent = nics.iter().find(|n| n.permanent_mac.as_ref() == Some(mac));
    let current = || {
        // A bond or a VLAN has the address of what is under it, and is not meant.
        let mut same = nics.iter().filter(|n| is_nic(n) && n.mac.as_ref() == Some(mac));
        same.clone().find(|n| n.kind.is_none()).or_else(|| same.next())
    };
    permanent.map(|n| (n, true)).or_else(|| current().map(|n| (n, false)))
}

/// Matches `interface` with the machine's NICs.
pub(super) fn explain(interface: &Interface, ethernet: &Ethernet, nics: &[Nic]) -> Matched {
    let matching = &ethernet.matching;
    let found = |n: &Nic| {
        let name = match &matching.name {
            // What the writer keeps from a glob's reach.
            Some(name) => (n.kind.is_none() || !is_glob(name)) && fits(std::slice::from_ref(name), &n.name),
            None => !matching.is_empty() || glob(&interface.id, &n.name),
        };
        let mac =
            matching.mac.as_ref().is_none_or(|m| find_mac(m, nics).is_some_and(|(found, _)| found == n));
        let driver = n.driver.as_deref().unwrap_or_default();
        name && mac && (matching.drivers.is_empty() || fits(&matching.drivers, driver))
    };
    let names: Vec<String> = nics.iter().filter(|n| found(n)).map(|n| n.name.clone()).collect();
    let why = match (&matching.mac, names.is_empty()) {
        (Some(mac), false) => match find_mac(mac, nics) {
            Some((_, true)) => format!("{mac} is its permanent address"),
            Some((nic, false)) => match &nic.permanent_mac {
                Some(own) => format!("{mac} is its address now; its permanent one is {own}"),
                None => format!("{mac} is its address; it has no permanent one"),
            },
            None => String::new(),
        },
        (Some(mac), true) => missing_mac(mac, nics),
        (None, found) => {
            let by_name = matching.name.as_ref().map(|name| format!("the name {name}"));
            let by_driver = (!matching.drivers.is_empty())
                .then(|| format!("the driver {}", matching.drivers.join(" or ")));
            let rule: Vec<String> = [by_name, by_driver].into_iter().flatten().collect();
            let rule =
                if rule.is_empty() { format!("the name {}", interface.id) } else { rule.join(" and ") };
            if found {
                format!("no link has {rule}; this machine has {}", list(nics))
            } else {
                format!("matched by {rule}")
            }
        }
    };
    Matched { interface: interface.id.clone(), nics: names, why }
}

/// What a person who mistyped a MAC address wants to read.
fn missing_mac(mac: &Mac, nics: &[Nic]) -> String {
    let own = |n: &Nic| n.permanent_mac.clone().or_else(|| n.mac.clone());
    let near = nics.iter().filter(|n| n.kind.is_none()).filter_map(|n| {
        let theirs = own(n)?;
        Some((theirs.distance(mac)?, theirs, &n.name))
    });
    match near.min_by_key(|(distance, ..)| *distance) {
        Some((0, ..)) => format!("the NIC with {mac} does not fit the rest of the match"),
        Some((n, theirs, name)) => {
            let octets = if n == 1 { "octet differs" } else { "octets differ" };
            format!("the configuration names {mac}; this machine has {theirs} ({name}), {n} {octets}")
        }
        None => format!("the configuration names {mac}; this machine has {}", list(nics)),
    }
}

fn list(nics: &[Nic]) -> String {
    // Enough for a person to see; a node with many pods has hundreds of veth.
    const SHOWN: usize = 8;
    let names: Vec<&str> = nics.iter().filter(|n| n.kind.is_none()).map(|n| n.name.as_str()).collect();
    match names.len() {
        0 => "no NIC".to_owned(),
        n if n > SHOWN => format!("{} and {} more", names[..SHOWN].join(", "), n - SHOWN),
        _ => names.join(", "),
    }
}

/// `[Match]` lines for what is hardware: the address and the driver.
pub(super) fn match_nic(section: &mut Section, ethernet: &Ethernet, nics: &[Nic]) {
    if let Some(mac) = &ethernet.matching.mac {
        match address_of(mac, nics) {
            Address::Permanent => {
                section.set("PermanentMACAddress", mac);
            }
            // Bonds, VLANs and bridges on top of it carry the same address; they must not get its configuration.
            Address::Current(kind) => {
                section.set("MACAddress", mac).set("Type", "ether").set("Kind", kind.unwrap_or("!*"));
            }
        }
    }
    if !ethernet.matching.drivers.is_empty() {
        section.set("Driver", ethernet.matching.drivers.join(" "));
    }
}

/// A `[Match]` line for a name. A glob is kept from virtual links: a node's pods have hundreds, some called `eth`-something.
pub(super) fn match_name(section: &mut Section, key: &'static str, name: &str) {
    // `Name=*` says nothing that the next two lines don't.
    if name.bytes().any(|b| b != b'*') {
        section.set(key, name);
    }
    if is_glob(name) {
        section.set("Type", "ether").set("Kind", "!*");
    }
}

/// Whether one of the globs holds, or none where a `!` stands before the first.
fn fits(globs: &[String], text: &str) -> bool {
    let first = globs.first().map_or("", String::as_str);
    let (rest, inverted) = first.strip_prefix('!').map_or((first, false), |rest| (rest, true));
    let mut globs = std::iter::once(rest).chain(globs.iter().skip(1).map(String::as_str));
    globs.any(|g| glob(g, text)) != inverted
}

/// `fnmatch(3)` without flags over ASCII: `*`, `?`, `[a-z]`, `[!a]`. Linear but for one step back to the last `*`.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let (p, t) = (pattern.as_bytes(), text.as_bytes());
    let (mut i, mut j) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while j < t.len() {
        if p.get(i) == Some(&b'*') {
            star = Some((i + 1, j));
            i += 1;
        } else if let Some(width) = p.get(i..).and_then(|rest| one(rest, t[j])) {
            i += width;
            j += 1;
        } else if let Some((after, at)) = star {
            star = Some((after, at + 1));
            i = after;
            j = at + 1;
        } else {
            return false;
        }
    }
    p[i..].iter().all(|b| *b == b'*')
}

/// How much of `pattern` matches the one byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let inverted = matches!(pattern.get(1), Some(b'!' | b'^'));
            let first = 1 + usize::from(inverted);
            // A `]` in first place is itself.
            let end = first + 1 + pattern.get(first + 1..)?.iter().position(|b| *b == b']')?;
            let set = &pattern[first..end];
            let mut hit = false;
            let mut k = 0;
            while k < set.len() {
                if k + 2 < set.len() && set[k + 1] == b'-' {
                    hit |= (set[k]..=set[k + 2]).contains(&byte);
                    k += 3;
                } else {
                    hit |= set[k] == byte;
                    k += 1;
                }
            }
            (hit != inverted).then_some(end + 1)
        }
        literal => (*literal == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn globs_match_as_fnmatch_does() {
        let cases = [
            ("en*", "ens192", true),
            ("en*s?", "enp2s0", true),
            ("en*s?", "enp2s10", false),
            ("*", "", true),
            ("**a", "bca", true),
            ("eth[0-3]", "eth2", true),
            ("eth[0-3]", "eth4", false),
            ("eth[!0-3]", "eth4", true),
            ("eth[]]", "eth]", true),
            ("eth[", "eth[", false),
            ("eth", "eth0", false),
            ("", "x", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(glob(pattern, text), want, "{pattern} {text}");
        }
    }
}
