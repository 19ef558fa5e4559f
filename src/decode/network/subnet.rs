// SPDX-License-Identifier: Apache-2.0
//! What version 1, OpenStack and the kernel's arguments have in common: subnets, their routes, and a bond's parameters.

use std::collections::HashSet;
use std::net::IpAddr;

use super::common::{add, automatic, lease_metric, route, set, text_node, with_mask};
use super::devices::bond_parameter;
use super::read::{At, Reader, is_domain, shown};
use crate::decode::syntax;
use crate::model::network::{Address, Bond, COMMON, Cidr, Interface, Route};

/// A bond's parameters: the kernel's names with dashes, and netplan's.
const BOND: &[(&str, &str)] = &[
    ("mode", "mode"),
    ("lacp-rate", "lacp-rate"),
    ("miimon", "mii-monitor-interval"),
    ("min-links", "min-links"),
    ("xmit-hash-policy", "transmit-hash-policy"),
    ("ad-select", "ad-select"),
    ("all-slaves-active", "all-members-active"),
    ("arp-interval", "arp-interval"),
    ("arp-ip-target", "arp-ip-targets"),
    ("arp-validate", "arp-validate"),
    ("arp-all-targets", "arp-all-targets"),
    ("updelay", "up-delay"),
    ("downdelay", "down-delay"),
    ("fail-over-mac", "fail-over-mac-policy"),
    ("num-grat-arp", "gratuitous-arp"),
    ("num-unsol-na", "gratuitous-arp"),
    ("packets-per-slave", "packets-per-member"),
    ("primary", "primary"),
    ("primary-reselect", "primary-reselect-policy"),
    ("resend-igmp", "resend-igmp"),
    ("lp-interval", "learn-packet-interval"),
];

/// Reads a bond's parameter by the kernel's name, with or without `bond-` before it, dashes or underscores in it.
pub(super) fn bond_setting(r: &mut Reader, b: &mut Bond, key: &str, at: &At) {
    let dashed = key.replace('_', "-");
    let name = dashed.strip_prefix("bond-").unwrap_or(&dashed);
    match BOND.iter().find(|(theirs, _)| *theirs == name) {
        // A list in one word: `192.0.2.1,192.0.2.2`.
        Some((_, "arp-ip-targets")) if at.node.text().is_some() => {
            let text = at.node.text().unwrap_or_default();
            for target in text.split([',', ';', ' ']).filter(|t| !t.is_empty()) {
                let node = text_node(target);
                bond_parameter(r, b, "arp-ip-targets", &At::new(&node, &at.place));
            }
        }
        Some((_, ours)) => bond_parameter(r, b, ours, at),
        None => r.unknown(at),
    }
}

/// The words of one language for a subnet.
pub(super) struct Words {
    /// Types with an address that is written down.
    pub fixed: &'static [&'static str],
    /// Types that need no address.
    pub bare: &'static [&'static str],
    /// The key of the address.
    pub address: &'static str,
    /// Keys that the language's own reader reads.
    pub own: &'static [&'static str],
    /// All types, for a message.
    pub types: &'static str,
}

/// Reads one subnet into `to`.
pub(super) fn subnet(r: &mut Reader, to: &mut Interface, words: &Words, at: &At) {
    // One that has an address and no type is static, as cloud-init takes it.
    let untyped = || if at.key(words.address).is_some() { "static" } else { "" };
    let kind = at.key("type").and_then(|k| k.node.text()).unwrap_or_else(untyped);
    let metric = at.key("metric").filter(|m| !m.is_blank()).and_then(|m| r.number(&m, 0, u32::MAX.into()));
    let mut family = None;
    if automatic(to, kind) {
        metric.iter().for_each(|metric| lease_metric(to, *metric));
    } else if words.fixed.contains(&kind) && !(words.bare.contains(&kind) && at.key(words.address).is_none())
    {
        let Some(cidr) = fixed_address(r, words, at) else { return };
        family = Some(cidr.addr.is_ipv6());
        if to.addresses.iter().all(|a| a.cidr != cidr) {
            to.addresses.push(Address::from(cidr));
        }
    } else if !words.bare.contains(&kind) {
        return r.error(at, "has no type that is known here", words.types);
    }
    let mut gateway = None;
    for (key, at) in r.entries(at) {
        match key {
            // `ipv4` and `ipv6` only repeat what the type says.
            "type" | "netmask" | "metric" | "ipv4" | "ipv6" => {}
            _ if at.is_blank() || key == words.address || words.own.contains(&key) => {}
            "gateway" => gateway = r.addr(&at).map(|via| (via, at)),
            // networkd computes it.
            "broadcast" => {}
            "control" if at.node.text() == Some("auto") => {}
            "control" if at.node.text() == Some("manual") => {
                set(&mut to.settings, COMMON, "activation-mode", "manual");
            }
            "mtu" if family == Some(true) || kind.ends_with('6') || kind.starts_with("ipv6_") => {
                r.setting(COMMON, &mut to.settings, "ipv6-mtu", &at);
            }
            "mtu" => to.mtu = r.mtu(&at).or(to.mtu),
            "dns_nameservers" => name_servers(r, &mut to.dns, &at),
            "dns_search" => search_list(r, &mut to.search, &at),
            "routes" => {
                for item in r.items(&at) {
                    let route = read_route(r, &item, &["services"]);
                    if let Some(to) = route.as_ref().filter(|route| route.via.is_none()).map(|route| route.to)
                    {
                        r.warn(
                            &item,
                            format!("has no `gateway`: {to} is taken to be on the link itself"),
                            "",
                        );
                    }
                    to.routes.extend(route);
                    if let Some(services) = item.key("services").filter(|s| !s.node.is_null()) {
                        own_services(r, to, &services);
                    }
                }
            }
            _ => r.unknown(&at),
        }
    }
    match gateway {
        Some((via, at)) if family.is_some_and(|ipv6| ipv6 != via.is_ipv6()) => {
            r.error(
                &at,
                "is a gateway of the wrong family",
                "a gateway and its address must be of one family",
            );
        }
        Some((via, _)) => to.routes.push(route(Cidr::default_route(via.is_ipv6()), Some(via), metric)),
        None => {}
    }
}

/// The address of a subnet that is written down.
fn fixed_address(r: &mut Reader, words: &Words, at: &At) -> Option<Cidr> {
    let Some(address) = at.key(words.address).filter(|a| !a.node.is_null()) else {
        let near = |key: &&str| syntax::words::meant(key, [words.address]).is_some();
        let misspelt = at.node.entries().filter_map(|(key, _)| key.text()).find(near);
        let cure = misspelt.map(|key| format!("write `{}` in place of `{}`", words.address, shown(key)));
        r.error(at, format!("is a static subnet without `{}`", words.address), &cure.unwrap_or_default());
        return None;
    };
    let text = r.text(&address)?;
    let mask = at.key("netmask").filter(|m| !m.node.is_null());
    match text.parse::<IpAddr>() {
        Ok(addr) if lacks_mask(mask.as_ref(), addr) && !addr.is_unspecified() => {
            Some(unmasked(r, &address, addr, |cidr| cidr))
        }
        _ => with_mask(r, &address, text, mask.as_ref()),
    }
}

/// Name servers, one text or a list.
pub(super) fn name_servers(r: &mut Reader, servers: &mut Vec<IpAddr>, at: &At) {
    let mut to = Vec::new();
    for (text, item) in r.words(at) {
        // Lists are written with blanks between, too.
        let servers: Option<Vec<IpAddr>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        match servers {
            Some(servers) => to.extend(servers),
            None => to.extend(r.addr(&item)),
        }
    }
    add(servers, &to);
}

/// Search domains, one text or a list.
pub(super) fn search_list(r: &mut Reader, to: &mut Vec<String>, at: &At) {
    for (text, item) in r.words(at) {
        // Lists are written with blanks between, too.
        for domain in text.split_whitespace() {
            if !is_domain(domain) {
                r.error(&item, "is not a domain", "use letters, digits, `-`, and dots between");
            } else if !to.iter().any(|s| s == domain) {
                to.push(domain.to_owned());
            }
        }
    }
}

/// OpenStack's services of one network or route: name servers, perhaps with search domains.
pub(super) fn own_services(r: &mut Reader, to: &mut Interface, at: &At) {
    for item in r.items(at) {
        service(r, &mut to.dns, &mut to.search, &item);
    }
}

/// One of OpenStack's services.
pub(super) fn service(r: &mut Reader, servers: &mut Vec<IpAddr>, domains: &mut Vec<String>, at: &At) {
    if at.node.get("type").and_then(|t| t.text()) != Some("dns") {
        return r.warn(at, "is a service that is not known here and has no effect", "`type: dns` is known");
    }
    for (key, at) in r.entries(at) {
        match key {
            "type" => {}
            _ if at.node.is_null() => {}
            "address" => name_servers(r, servers, &at),
            "search" => search_list(r, domains, &at),
            _ => r.unknown(&at),
        }
    }
}

/// A route: `destination` (or `network`), `netmask`, `gateway`, `metric`. `own` are keys that the caller reads.
pub(super) fn read_route(r: &mut Reader, at: &At, own: &[&str]) -> Option<Route> {
    let (mut to, mut mask, mut via, mut metric) = (None, None, None, None);
    for (key, at) in r.entries(at) {
        match key {
            "id" => {}
            _ if at.node.is_null() || own.contains(&key) => {}
            "gateway" | "metric" if at.is_blank() => {}
            "destination" | "network" | "address" => to = Some(at),
            "netmask" | "prefix" => mask = Some(at),
            "gateway" => via = Some(r.addr(&at)?),
            "metric" => metric = r.number(&at, 0, u32::MAX.into()),
            _ => r.unknown(&at),
        }
    }
    let Some(to) = to else {
        r.error(at, "is a route without `destination` or `network`", "");
        return None;
    };
    let text = r.text(&to)?;
    let bare = text.parse().ok().filter(|addr| lacks_mask(mask.as_ref(), *addr));
    let cidr = match (text, via, bare) {
        ("default", Some(via), _) => Cidr::default_route(via.is_ipv6()),
        (.., Some(addr)) => unmasked(r, &to, addr, Cidr::network),
        _ => with_mask(r, &to, text, mask.as_ref())?,
    };
    if via.is_some_and(|via| via.is_ipv6() != cidr.addr.is_ipv6()) {
        r.error(at, "mixes IPv4 and IPv6", "a route's destination and gateway must be of one family");
        return None;
    }
    Some(route(cidr, via, metric))
}

/// Whether nothing says how much of an address is its network's. OpenStack has networks of IPv6 with an empty mask, which is one of 64 bits.
fn lacks_mask(mask: Option<&At>, addr: IpAddr) -> bool {
    mask.is_none_or(|mask| mask.node.text() == Some("") && (addr.is_ipv4() || addr.is_unspecified()))
}

/// An address or a destination without a netmask: cloud-init's 24 and 64 bits, but for an address of zeros, which means every
/// address.
fn unmasked(r: &mut Reader, at: &At, addr: IpAddr, taken: fn(Cidr) -> Cidr) -> Cidr {
    let bits = if addr.is_ipv4() { 24 } else { 64 };
    if addr.is_unspecified() {
        return Cidr { addr, prefix: 0 };
    }
    let taken = taken(Cidr { addr, prefix: bits });
    let cure = format!("write the prefix with it: {taken}, or {}", Cidr::host(addr));
    r.warn(at, format!("has no netmask: {taken} is taken"), &cure);
    taken
}

/// Ids of all interfaces that are ports: a port has no lease of its own.
pub(super) fn port_ids(interfaces: &[Interface]) -> HashSet<String> {
    interfaces.iter().flat_map(|i| i.device.ports()).cloned().collect()
}

/// Gives a route of the machine as a whole to the interface that reaches its gateway: the one whose subnet holds it, else
/// one that asks for a lease, whose subnet is known when the lease is there.
pub(super) fn place_route(
    r: &mut Reader,
    interfaces: &mut [Interface],
    ports: &HashSet<String>,
    route: Route,
    at: &At,
) {
    let cure = match at.place.starts_with("rd.route") {
        true => "name the interface: rd.route=NETWORK:GATEWAY:INTERFACE",
        false => OWN_PLACE,
    };
    let Some(via) = route.via else {
        return r.error(at, "is a route without a gateway, so its interface is not known", cure);
    };
    let holds = |i: &Interface| i.addresses.iter().any(|a| a.subnet().contains(via));
    let link_local = matches!(via, IpAddr::V6(a) if a.is_unicast_link_local());
    let leases = |i: &Interface| {
        let v6 = i.dhcp6 || i.accept_ra == Some(true);
        let fixed = link_local && i.addresses.iter().any(|a| a.cidr.addr.is_ipv6());
        !ports.contains(&i.id) && (fixed || if via.is_ipv6() { v6 } else { i.dhcp4 })
    };
    let mut likely = interfaces.iter().enumerate().filter(|(_, i)| leases(i)).map(|(n, _)| n);
    let (first, more) = (likely.next(), likely.next().is_some());
    match interfaces.iter().position(holds).map(|n| (n, false)).or(first.map(|n| (n, more))) {
        Some((n, guessed)) => {
            if guessed {
                let id = &interfaces[n].id;
                let what = format!(
                    "has a gateway outside of all subnets that are written here: {id} gets the route, as the first interface with DHCP"
                );
                r.warn(at, what, cure);
            }
            interfaces[n].routes.push(route);
        }
        None => r.error(at, "is a route whose gateway is in the subnet of no interface", cure),
    }
}

const OWN_PLACE: &str = "write it below its interface";
