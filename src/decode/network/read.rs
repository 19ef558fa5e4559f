// SPDX-License-Identifier: Apache-2.0
//! Reading a YAML tree key by key, with a problem for each value that does not fit.
//!
//! A value that can't be used is left out, with an error that names its place, and the rest of its interface stays: a
//! node that lost one route can be reached, one that lost its interface can't. What an interface can't do without (which
//! NIC it is, all of its addresses) calls [`Reader::lose`].

use std::net::IpAddr;

use crate::decode::syntax::words;
use crate::decode::syntax::yaml::{Node, Scalar};
use crate::model::network::{Cidr, Form, Mac, Param, Settings};
use crate::model::problem::{self, Problem, UNKNOWN_KEY};

/// Entries of one list: addresses, routes, rules, name servers, ports. networkd sets up a few thousand routes in a
/// second or two; a full routing table belongs to a routing daemon.
pub(super) const MAX_ITEMS: usize = 4096;

/// Interfaces of one configuration. A node has a few; a bridge of many VLANs some hundreds.
pub(super) const MAX_INTERFACES: usize = 1024;

/// Letters of a key or a name that a message shows.
const MAX_SHOWN: usize = 64;

/// Keys of netplan, of version 1 and of `network_data.json` that a misspelt one may mean.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    "accept-ra", "address", "addresses", "bond_interfaces", "bonds", "bridge_ports", "bridges", "config", "critical", "destination",
    "dhcp-identifier", "dhcp4", "dhcp4-overrides", "dhcp6", "dhcp6-overrides", "dns_nameservers", "dns_search", "driver",
    "dummy-devices", "ethernet_mac_address", "ethernets", "forward-delay", "gateway", "gateway4", "gateway6", "hostname",
    "interfaces", "ip_address", "ipv6-address-generation", "ipv6-mtu", "ipv6-privacy", "lacp-rate", "link", "link-local", "links",
    "mac_address", "macaddress", "match", "metric", "mii-monitor-interval", "mode", "name", "nameservers", "netmask", "network",
    "networks", "on-link", "optional", "parameters", "params", "primary", "priority", "renderer", "route-metric", "routes",
    "routing-policy", "scope", "search", "send-hostname", "services", "set-name", "subnets", "table", "transmit-hash-policy",
    "tunnels", "type", "use-dns", "use-domains", "use-hostname", "use-mtu", "use-ntp", "use-routes", "version", "vlan_id",
    "vlan_link", "vlans", "vrfs", "wakeonlan",
];

/// A node and the path to it.
#[derive(Clone)]
pub(super) struct At<'a> {
    pub node: &'a Node,
    pub place: String,
}

impl<'a> At<'a> {
    pub fn new(node: &'a Node, place: impl Into<String>) -> Self {
        Self { node, place: place.into() }
    }

    /// The mapping's value of `key`.
    pub fn key(&self, key: &str) -> Option<At<'a>> {
        self.node.get(key).map(|node| self.child(key, node))
    }

    /// Whether nothing is written there: the author's template had no value for it.
    pub fn is_blank(&self) -> bool {
        self.node.is_null() || self.node.text() == Some("")
    }

    fn child(&self, key: &str, node: &'a Node) -> At<'a> {
        let dot = if self.place.is_empty() { "" } else { "." };
        At::new(node, format!("{}{dot}{}", self.place, shown(key)))
    }
}

/// A key or a name as a message shows it.
pub(super) fn shown(name: &str) -> String {
    problem::shown(name, MAX_SHOWN)
}

/// Collects problems, and whether what is being read is lost.
#[derive(Default)]
pub(super) struct Reader {
    pub problems: Vec<Problem>,
    lost: bool,
}

impl Reader {
    /// Part of the text can't be used: it is left out.
    pub fn error(&mut self, at: &At, what: impl Into<String>, cure: &str) {
        self.push(Problem::error(&at.place, what), at, cure);
    }

    pub fn push(&mut self, mut problem: Problem, at: &At, cure: &str) {
        // A node made from another language has no place in a text.
        problem.pos = Some(at.node.pos).filter(|pos| pos.line > 0);
        self.problems.push(if cure.is_empty() { problem } else { problem.cure(cure) });
    }

    /// The interface being read can't be used.
    pub fn lose(&mut self, at: &At, what: impl Into<String>, cure: &str) {
        self.error(at, what, cure);
        self.lost = true;
    }

    /// Marks the interface as lost where an error has said why.
    pub fn mark_lost(&mut self) {
        self.lost = true;
    }

    /// Whether the interface was lost; clears the mark for the next one.
    pub fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    pub fn warn(&mut self, at: &At, what: impl Into<String>, cure: &str) {
        self.push(Problem::warning(&at.place, what), at, cure);
    }

    /// A key that means nothing here: the node goes on without it, and `check` takes one that is nearly a known one for an error.
    pub fn unknown(&mut self, at: &At) {
        let key = at.place.rsplit('.').next().unwrap_or_default();
        // One that has a meaning elsewhere is no misspelt one.
        let meant = || words::meant(key, KEYS.iter().copied());
        let meant = match key {
            // As near to `dhcp6`.
            "dhcp" => Some("dhcp4"),
            _ if KEYS.contains(&key) => None,
            _ => meant(),
        };
        let cure = meant.map(|meant| format!("did you mean `{meant}`?")).unwrap_or_default();
        let problem = Problem::warning(&at.place, "this key is not known here and has no effect");
        self.push(problem.code(UNKNOWN_KEY), at, &cure);
    }

    /// A key that is understood and has no counterpart in networkd.
    pub fn ignored(&mut self, at: &At, why: &str) {
        self.warn(at, format!("has no effect: {why}"), "");
    }

    fn mistyped(&mut self, at: &At, wanted: &str) {
        let what = format!("must be {wanted}, this is {}", at.node.kind_name());
        self.error(at, what, "");
    }

    /// A mapping's entries; none where it was left empty.
    pub fn entries<'a>(&mut self, at: &At<'a>) -> Vec<(&'a str, At<'a>)> {
        if at.node.is_null() {
            return Vec::new();
        }
        if !at.node.is_map() {
            self.mistyped(at, "a mapping");
            return Vec::new();
        }
        let mut entries = Vec::new();
        for (key, value) in at.node.entries() {
            match key.text() {
                Some(text) => entries.push((text, at.child(text, value))),
                None => self.mistyped(&At::new(key, &at.place), "a mapping whose keys are words"),
            }
        }
        entries
    }

    /// A list's items, of bounded number.
    pub fn items<'a>(&mut self, at: &At<'a>) -> Vec<At<'a>> {
        if at.node.is_null() {
            return Vec::new();
        }
        let Some(items) = at.node.list() else {
            self.mistyped(at, "a list");
            return Vec::new();
        };
        if items.len() > MAX_ITEMS {
            let what = format!("has {} entries; {MAX_ITEMS} is the most for an interface", items.len());
            self.lose(at, what, "summarise them, or leave them to a routing daemon");
            return Vec::new();
        }
        let item = |(i, node)| At::new(node, format!("{}[{i}]", at.place));
        items.iter().enumerate().map(item).collect()
    }

    /// A list's scalars, or one scalar alone.
    pub fn words<'a>(&mut self, at: &At<'a>) -> Vec<(&'a str, At<'a>)> {
        if let Some(text) = at.node.text() {
            return vec![(text, at.clone())];
        }
        let items = self.items(at);
        items.into_iter().filter_map(|item| self.text(&item).map(|text| (text, item))).collect()
    }

    /// A scalar's text.
    pub fn text<'a>(&mut self, at: &At<'a>) -> Option<&'a str> {
        let text = at.node.text();
        if text.is_none() {
            self.mistyped(at, "a single value");
        }
        text
    }

    /// A boolean, also where it was quoted: Cluster API's vSphere provider writes `use-routes: "true"`.
    pub fn bool(&mut self, at: &At) -> Option<bool> {
        // netplan has words of one letter, which YAML takes for text.
        let letter = || match at.node.text() {
            Some("y" | "Y") => Some(true),
            Some("n" | "N") => Some(false),
            _ => None,
        };
        let value = at.node.bool().or_else(letter);
        if value.is_none() {
            self.mistyped(at, "true or false");
        }
        value
    }

    /// A whole number in a range, also where it was quoted.
    pub fn number(&mut self, at: &At, least: i64, most: i64) -> Option<i64> {
        let quoted = || at.node.text().filter(|t| t.len() < 20)?.parse().ok();
        let value = at.node.int().or_else(quoted);
        let zero = |scalar: &Scalar| matches!(scalar.text.as_bytes(), [b'0', b'0'..=b'9', ..]);
        if at.node.int().is_some() && at.node.scalar().is_some_and(zero) {
            // cloud-init reads 0100 as octal, and netplan as 100.
            self.error(
                at,
                "begins with a zero: some programs read it as octal, others as decimal",
                "leave the zero out",
            );
            return None;
        }
        match value {
            Some(n) if (least..=most).contains(&n) => return value,
            Some(_) => self.error(at, format!("must be a number from {least} to {most}"), ""),
            None => self.mistyped(at, "a whole number"),
        }
        None
    }

    /// An MTU; netplan takes 0 for none.
    pub fn mtu(&mut self, at: &At) -> Option<u32> {
        let zero = at.node.text() == Some("0");
        let mtu = if zero { None } else { self.number(at, 68, u32::MAX.into()) };
        mtu.and_then(|n| n.try_into().ok())
    }

    /// An address without a prefix.
    pub fn addr(&mut self, at: &At) -> Option<IpAddr> {
        let text = self.text(at)?;
        let addr = text.parse().ok();
        if addr.is_none() {
            let cure = if text.contains('/') { "leave out the prefix: /24, /64" } else { "" };
            self.error(at, "is not an IPv4 or IPv6 address", cure);
        }
        addr
    }

    /// An address, alone or with a prefix, as the network that it lies in.
    pub fn network(&mut self, at: &At) -> Option<Cidr> {
        let text = self.text(at)?;
        let cidr = text.parse().or_else(|()| text.parse().map(Cidr::host).map_err(|_| ()));
        if cidr.is_err() {
            self.error(at, "is neither an address nor a network", "write it as in 198.51.100.0/24");
        }
        cidr.ok().map(Cidr::network)
    }

    pub fn mac(&mut self, at: &At) -> Option<Mac> {
        let mac = self.text(at)?.parse().ok();
        if mac.is_none() {
            self.error(
                at,
                "is not a MAC address",
                "write six pairs of hexadecimal digits: 00:50:56:aa:bb:01",
            );
        }
        mac
    }

    /// A name that the kernel takes for a link.
    pub fn link_name<'a>(&mut self, at: &At<'a>) -> Option<&'a str> {
        let name = self.text(at)?;
        if let Some(why) = bad_link_name(name) {
            self.error(at, format!("can't be the name of a network interface: {why}"), "");
            return None;
        }
        Some(name)
    }

    /// A shell glob over names of interfaces or drivers. The first one may stand behind a `!`, which means all others.
    pub fn glob<'a>(&mut self, at: &At<'a>, first: bool) -> Option<&'a str> {
        let glob = self.text(at)?;
        if bad_glob(glob.strip_prefix('!').filter(|_| first).unwrap_or(glob)) {
            self.error(
                at,
                "is not a name or a shell glob",
                "use letters, digits, punctuation, `*`, `?` and `[a-z]`, and no spaces",
            );
            return None;
        }
        Some(glob)
    }

    /// If `key` is a row of `table`: reads it into `settings` and says so.
    pub fn setting(&mut self, table: &'static [Param], settings: &mut Settings, key: &str, at: &At) -> bool {
        let Some(param) = table.iter().find(|p| p.name == key) else { return false };
        if let Some(value) = self.value(&param.form, at) {
            settings.retain(|(p, _)| p.name != key);
            settings.push((param, value));
        }
        true
    }

    /// A value of that form, as networkd spells it.
    fn value(&mut self, form: &Form, at: &At) -> Option<String> {
        let yes_no = |b| if b { "yes" } else { "no" }.to_owned();
        match form {
            Form::Bool => self.bool(at).map(yes_no),
            Form::BoolOr(words) => match at.node.text() {
                Some(text) if words.contains(&text) => Some(text.to_owned()),
                _ => self.bool(at).map(yes_no),
            },
            Form::Number(least, most) => self.number(at, *least, *most).map(|n| n.to_string()),
            Form::Time(unit) => {
                let text = self.text(at)?;
                let time = time(text, unit);
                if time.is_none() {
                    self.error(
                        at,
                        "is not a time",
                        &format!("write a number of {unit}, or a number with its unit: 100ms, 2s"),
                    );
                }
                time
            }
            Form::Word(words) => {
                let text = self.text(at)?;
                let word = words.iter().find(|(theirs, _)| *theirs == text);
                if word.is_none() {
                    let is_name = |w: &&str| w.parse::<u8>().is_err();
                    let known: Vec<&str> = words.iter().map(|(theirs, _)| *theirs).filter(is_name).collect();
                    self.error(at, format!("must be one of {}", known.join(", ")), "");
                }
                word.map(|(_, ours)| (*ours).to_owned())
            }
            Form::Hostname => {
                let text = self.text(at)?;
                // networkd holds host names to RFC 1123, which has no underscore.
                let ok = is_domain(text) && !text.contains('_');
                if !ok {
                    self.error(at, "is not a host name", "use letters, digits, `-`, and dots between");
                }
                ok.then(|| text.to_owned())
            }
            Form::PortOrAuto if at.node.text() == Some("auto") => Some("auto".to_owned()),
            Form::PortOrAuto => self.number(at, 1, 65535).map(|n| n.to_string()),
            Form::Token => match self.addr(at)? {
                IpAddr::V6(token) if token.octets()[..8] == [0; 8] && !token.is_unspecified() => {
                    Some(format!("static:{token}"))
                }
                _ => {
                    self.error(
                        at,
                        "is not an interface identifier",
                        "write an IPv6 address whose first half is zero: ::1:2",
                    );
                    None
                }
            },
        }
    }
}

/// Why the kernel or networkd would not take `name` for a link: `dev_valid_name` and systemd's `ifname_valid`.
pub(super) fn bad_link_name(name: &str) -> Option<&'static str> {
    // IFNAMSIZ is 16 with its NUL.
    if name.is_empty() || name.len() > 15 {
        return Some("1 to 15 characters are allowed");
    }
    if name.bytes().any(|b| !b.is_ascii_graphic() || matches!(b, b'/' | b':' | b'%')) {
        return Some("spaces, control characters, `/`, `:`, `%` and letters beyond ASCII are not allowed");
    }
    if matches!(name, "." | ".." | "all" | "default") {
        return Some("this name has a meaning of its own");
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return Some("a number alone would be read as an interface's index");
    }
    None
}

/// Whether networkd would not read `glob` as one glob: it splits at blanks, unquotes, and inverts at `!`. 127 characters
/// is the kernel's bound for an alternative name.
pub(super) fn bad_glob(glob: &str) -> bool {
    let bad = |b: u8| !b.is_ascii_graphic() || matches!(b, b'/' | b'\\' | b'"' | b'\'');
    glob.is_empty() || glob.len() > 127 || glob.starts_with('!') || glob.bytes().any(bad)
}

/// Whether `text` is a domain or host name of letters, digits, `-` and `_`, RFC 1035's lengths.
pub(super) fn is_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |l: &str| {
        let letters = l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        (1..=63).contains(&l.len()) && letters && !l.starts_with('-') && !l.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A time span in systemd's spelling: a number, and a unit where `text` has none.
fn time(text: &str, unit: &str) -> Option<String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, suffix) = text.split_at(digits);
    let suffix = if suffix.is_empty() { unit } else { suffix.trim() };
    let known = matches!(suffix, "us" | "ms" | "s" | "sec" | "m" | "min" | "h" | "hr");
    ((1..=10).contains(&number.len()) && known).then(|| format!("{number}{suffix}"))
}
