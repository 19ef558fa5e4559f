// SPDX-License-Identifier: Apache-2.0
//! Version 2: [netplan's language](https://netplan.readthedocs.io/en/stable/netplan-yaml/).

use std::net::IpAddr;

use super::devices::{GROUPS, Group, bad_name};
use super::read::{At, MAX_INTERFACES, Reader, bad_glob, is_domain, shown};
use super::subnet::{place_route, port_ids};
use crate::decode::syntax::yaml::Node;
use crate::model::network::{
    Address, COMMON, Cidr, DHCP4_OVERRIDES, DHCP6_OVERRIDES, Device, Families, Interface, NetworkConfig,
    Param, RA_OVERRIDES, ROUTE, ROUTE_SCOPES, ROUTE_TYPES, RULE, Route, Rule, Settings,
};
use crate::model::problem::any_error;

/// Groups that are refused: the key, the name for people, the reason.
const REFUSED: &[(&str, &str, &str)] = &[
    ("wifis", "Wi-Fi", "systemd-networkd can't do it alone"),
    ("modems", "modems", "systemd-networkd has no way to set them up"),
    ("openvswitch", "Open vSwitch", "systemd-networkd has no way to set it up"),
    ("nm-devices", "NetworkManager's own devices", "systemd-networkd has no way to set them up"),
    ("virtual-ethernets", "veth pairs", "a node's pods and their network plugin make their own"),
];

/// Whether it has a group of interfaces as this language names them.
pub fn is(node: &Node) -> bool {
    let refused = REFUSED.iter().map(|(key, ..)| *key);
    GROUPS.iter().map(|group| group.key).chain(refused).any(|key| node.get(key).is_some())
}

pub(super) fn read(r: &mut Reader, at: &At) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let mut routes = Vec::new();
    for (key, at) in r.entries(at) {
        if let Some(group) = GROUPS.iter().find(|g| g.key == key) {
            read_group(r, &mut config, group, &at);
        } else if let Some((_, name, why)) = REFUSED.iter().find(|(k, ..)| *k == key) {
            let what = format!("{name} can't be configured here: {why}");
            r.error(&at, what, "use ethernets, bonds, bridges, vlans, vrfs, tunnels or dummy-devices");
            // The key of Open vSwitch itself holds settings, the others interfaces.
            let interfaces = at.node.entries().filter(|_| key != "openvswitch");
            config.unusable.extend(interfaces.filter_map(|(id, _)| id.text().map(shown)));
        } else if key == "renderer" {
            renderer(r, &at);
        } else if key == "routes" {
            // netplan has no such key; Cluster API's vSphere provider writes a machine's own routes there.
            for item in r.items(&at) {
                routes.extend(route(r, &item).map(|route| (route, item)));
            }
        } else if key != "version" {
            r.unknown(&at);
        }
    }
    let ids = port_ids(&config.interfaces);
    for (route, at) in routes {
        place_route(r, &mut config.interfaces, &ids, route, &at);
    }
    config
}

fn renderer(r: &mut Reader, at: &At) {
    match at.node.text() {
        Some("networkd") => {}
        Some("sriov") => {
            r.lose(at, "VLAN filters of SR-IOV functions are not supported", "use an ordinary VLAN")
        }
        _ => r.ignored(at, "everything is set up by systemd-networkd"),
    }
}

fn read_group(r: &mut Reader, config: &mut NetworkConfig, group: &Group, at: &At) {
    for (id, at) in r.entries(at) {
        if id == "renderer" && at.node.text().is_some() {
            renderer(r, &at);
            continue;
        }
        if config.interfaces.len() + config.unusable.len() >= MAX_INTERFACES {
            r.error(&at, format!("is more interfaces than are read: at most {MAX_INTERFACES}"), "");
            return;
        }
        r.take_lost();
        let mut interface = Interface::new(id, &at.place, (group.new)());
        interface.pos = Some(at.node.pos);
        read_interface(r, &mut interface, group, &at);
        if r.take_lost() {
            config.unusable.push(shown(id));
        } else {
            config.interfaces.push(interface);
        }
    }
}

fn read_interface(r: &mut Reader, to: &mut Interface, group: &Group, at: &At) {
    if !at.node.is_map() && !at.node.is_null() {
        return r.lose(at, format!("must be a mapping, this is {}", at.node.kind_name()), "");
    }
    // An id that is a name must be one; with a `match` its author is free to choose it.
    if to.id.is_empty() || to.id.len() > 127 || to.id.chars().any(char::is_control) {
        return r.lose(
            at,
            "this key can't be an interface's id",
            "1 to 127 printable characters are allowed",
        );
    }
    // Whether something that was to give it an address can't be used.
    let mut broken = false;
    let mut entries = r.entries(at);
    // Which keys a tunnel has depends on its mode.
    entries.sort_by_key(|(key, _)| *key != "mode");
    for (key, at) in entries {
        let before = r.problems.len();
        if !(group.own)(r, to, key, &at)
            && !r.setting(COMMON, &mut to.settings, key, &at)
            && !addressing(r, to, key, &at)
        {
            other_key(r, to, key, &at);
        }
        broken |= matches!(key, "addresses" | "dhcp4" | "dhcp6") && any_error(&r.problems[before..]);
    }
    (group.finish)(r, to, at);
    match &to.device {
        Device::Ethernet(e) if e.matching.is_empty() && bad_glob(&to.id) => {
            let what = "has no `match`, and its key is not the name of an interface";
            r.lose(at, what, "add a `match` by macaddress or name");
        }
        _ => {}
    }
    if let Some(why) = bad_name(to) {
        r.lose(at, format!("can't be created under this name: {why}"), "");
    }
    if broken && to.addresses.is_empty() && !to.dhcp4 && !to.dhcp6 {
        // Each has its error already. Without any address the image's default, DHCP, serves better than silence.
        r.mark_lost();
    }
}

/// Keys about addresses, leases and routes of every kind of device. Says whether it was one.
fn addressing(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    match key {
        "dhcp4" => to.dhcp4 = r.bool(at).unwrap_or(to.dhcp4),
        "dhcp6" => to.dhcp6 = r.bool(at).unwrap_or(to.dhcp6),
        "dhcp4-overrides" => overrides(r, DHCP4_OVERRIDES, &mut to.dhcp4_overrides, at),
        "dhcp6-overrides" => overrides(r, DHCP6_OVERRIDES, &mut to.dhcp6_overrides, at),
        "ra-overrides" => overrides(r, RA_OVERRIDES, &mut to.settings, at),
        "accept-ra" => to.accept_ra = r.bool(at).or(to.accept_ra),
        "link-local" => to.link_local = link_local(r, at).or(to.link_local),
        "addresses" => {
            for item in r.items(at) {
                let address = address(r, &item);
                to.addresses.extend(address.filter(|new| to.addresses.iter().all(|a| a.cidr != new.cidr)));
            }
        }
        "gateway4" => to.routes.extend(gateway(r, at, false)),
        "gateway6" => to.routes.extend(gateway(r, at, true)),
        "routes" => to.routes.extend(r.items(at).iter().filter_map(|item| route(r, item))),
        "routing-policy" => to.rules.extend(r.items(at).iter().filter_map(|item| rule(r, item))),
        "nameservers" => nameservers(r, to, at),
        _ => return false,
    }
    true
}

/// All other keys of every kind of device, and unknown ones.
fn other_key(r: &mut Reader, to: &mut Interface, key: &str, at: &At) {
    match key {
        "macaddress" if matches!(at.node.text(), Some("random" | "permanent")) => {
            r.ignored(at, "systemd gives a device that is made an address of its own, the same at each boot");
        }
        "macaddress" => to.mac = r.mac(at).or(to.mac.take()),
        "mtu" => to.mtu = r.mtu(at).or(to.mtu),
        "optional" => to.optional = r.bool(at).unwrap_or(to.optional),
        "critical" => to.critical = r.bool(at).unwrap_or(to.critical),
        "optional-addresses" => r.ignored(at, "networkd calls a link online with any one address"),
        "renderer" => renderer(r, at),
        "openvswitch" => r.lose(at, "Open vSwitch is not supported: systemd-networkd can't set it up", ""),
        "auth" => r.error(at, "802.1X is not supported: systemd-networkd can't do it alone", ""),
        _ => r.unknown(at),
    }
}

fn overrides(r: &mut Reader, table: &'static [Param], to: &mut Settings, at: &At) {
    for (key, at) in r.entries(at) {
        if !r.setting(table, to, key, &at) {
            r.unknown(&at);
        }
    }
}

fn link_local(r: &mut Reader, at: &At) -> Option<Families> {
    let mut families = Families::default();
    for item in r.items(at) {
        match item.node.text() {
            Some("ipv4") => families.ipv4 = true,
            Some("ipv6") => families.ipv6 = true,
            _ => {
                r.error(&item, "must be ipv4 or ipv6", "");
                return None;
            }
        }
    }
    (at.node.is_null() || at.node.list().is_some()).then_some(families)
}

fn address(r: &mut Reader, at: &At) -> Option<Address> {
    if !at.node.is_map() {
        let text = r.text(at)?;
        return cidr(r, at, text).map(Address::from);
    }
    let (text, options) = r.entries(at).into_iter().next()?;
    let mut address = Address::from(cidr(r, at, text)?);
    for (key, at) in r.entries(&options) {
        match key {
            "label" => match at.node.text() {
                // IFNAMSIZ bounds a label too.
                Some(l) if l.len() <= 15 && !bad_glob(l) => address.label = Some(l.to_owned()),
                _ => r.error(&at, "must be 1 to 15 letters, digits or punctuation", ""),
            },
            "lifetime" => match at.node.text() {
                Some("0") => address.deprecated = true,
                Some("forever") => address.deprecated = false,
                _ => r.error(&at, "must be 0 or forever", ""),
            },
            _ => r.unknown(&at),
        }
    }
    Some(address)
}

/// An address with its prefix.
fn cidr(r: &mut Reader, at: &At, text: &str) -> Option<Cidr> {
    if let Ok(cidr) = text.parse() {
        return Some(cidr);
    }
    match text.parse::<IpAddr>() {
        Ok(addr) => {
            let example = if addr.is_ipv4() { 24 } else { 64 };
            let cure = format!("add the prefix of its subnet, as in {addr}/{example}");
            r.error(at, "is an address without a prefix", &cure);
        }
        Err(_) => {
            r.error(at, "is not an address with a prefix", "write it as in 192.0.2.10/24 or 2001:db8::10/64")
        }
    }
    None
}

fn gateway(r: &mut Reader, at: &At, ipv6: bool) -> Option<Route> {
    let via = r.addr(at)?;
    if via.is_ipv6() == ipv6 {
        return Some(Route::new(Cidr::default_route(ipv6), Some(via)));
    }
    let (is, cure) = if ipv6 { ("IPv4", "gateway4") } else { ("IPv6", "gateway6") };
    r.error(
        at,
        format!("is a gateway of the wrong family: its address is {is}"),
        &format!("move it to {cure}"),
    );
    None
}

fn nameservers(r: &mut Reader, to: &mut Interface, at: &At) {
    for (key, at) in r.entries(at) {
        match key {
            "addresses" => {
                for item in r.items(&at) {
                    to.dns.extend(r.addr(&item).filter(|addr| !to.dns.contains(addr)));
                }
            }
            "search" => {
                for (text, item) in r.words(&at) {
                    search_domain(r, to, text, &item);
                }
            }
            _ => r.unknown(&at),
        }
    }
}

fn search_domain(r: &mut Reader, to: &mut Interface, text: &str, at: &At) {
    // networkd's sign for "route queries of this domain here"; `~.` is all of them.
    let domain = text.strip_prefix('~').unwrap_or(text);
    if !is_domain(domain) && text != "~." {
        r.error(at, "is not a domain", "use letters, digits, `-`, and dots between");
    } else if !to.search.iter().any(|s| s == text) {
        to.search.push(text.to_owned());
    }
}

/// One of `words`, which networkd spells the same.
fn one_of(r: &mut Reader, at: &At, words: &'static [&'static str]) -> Option<&'static str> {
    let text = r.text(at)?;
    let word = words.iter().copied().find(|w| *w == text);
    if word.is_none() {
        r.error(at, format!("must be one of {}", words.join(", ")), "");
    }
    word
}

/// A route, or none with an error: half of what a route says would be another route.
fn route(r: &mut Reader, at: &At) -> Option<Route> {
    let before = r.problems.len();
    let mut route = Route::new(Cidr::default_route(false), None);
    let mut to = None;
    let mut default = false;
    for (key, at) in r.entries(at) {
        match key {
            "to" if at.node.text() == Some("default") => default = true,
            "to" => to = r.network(&at),
            "via" => route.via = r.addr(&at),
            "from" => route.from = r.addr(&at),
            "on-link" => route.on_link = r.bool(&at).unwrap_or(false),
            "type" => route.kind = one_of(r, &at, ROUTE_TYPES),
            "scope" => route.scope = one_of(r, &at, ROUTE_SCOPES),
            _ if r.setting(ROUTE, &mut route.settings, key, &at) => {}
            _ => r.unknown(&at),
        }
    }
    if any_error(&r.problems[before..]) {
        return None;
    }
    let family = route.via.or(route.from).map(|addr| addr.is_ipv6());
    // netplan's `0.0.0.0/0` with an IPv6 gateway is a mistake, `default` with one is not.
    let to = to.or_else(|| family.filter(|_| default).map(Cidr::default_route));
    let Some(to) = to else {
        if default {
            r.error(
                at,
                "is a default route without `via`",
                "name its gateway, or write `to: 0.0.0.0/0` or `::/0`",
            );
        } else {
            r.error(at, "is a route without `to`", "name its destination, or `to: default`");
        }
        return None;
    };
    route.to = to;
    if [route.via, route.from].iter().flatten().any(|addr| addr.is_ipv6() != to.addr.is_ipv6()) {
        r.error(at, "mixes IPv4 and IPv6", "`to`, `via` and `from` must be of one family");
        return None;
    }
    let forwards = matches!(route.kind, None | Some("unicast"));
    if forwards && route.via.is_none() && route.scope.is_none() && !route.on_link {
        let cure = "add `via`, or `scope: link` to say that it is meant";
        r.warn(at, format!("has no `via`: {} is taken to be on the link itself", route.to), cure);
    }
    Some(route)
}

fn rule(r: &mut Reader, at: &At) -> Option<Rule> {
    let before = r.problems.len();
    let mut rule = Rule::default();
    for (key, at) in r.entries(at) {
        match key {
            "from" => rule.from = r.network(&at),
            "to" => rule.to = r.network(&at),
            _ if r.setting(RULE, &mut rule.settings, key, &at) => {}
            _ => r.unknown(&at),
        }
    }
    if any_error(&r.problems[before..]) {
        return None;
    }
    match (rule.from, rule.to) {
        (None, None) => r.error(at, "is a rule without `from` or `to`", ""),
        (Some(from), Some(to)) if from.addr.is_ipv4() != to.addr.is_ipv4() => {
            r.error(at, "mixes IPv4 and IPv6", "");
        }
        _ => return Some(rule),
    }
    None
}
