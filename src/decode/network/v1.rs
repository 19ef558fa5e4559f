// SPDX-License-Identifier: Apache-2.0
//! Version 1: [cloud-init's own language](https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html).
//!
//! A route or a name server of its own, outside of an interface, is given to the interface it belongs to; cloud-init
//! gives it to every one.

use std::net::IpAddr;

use super::common::{Dns, automatic, lease_metric, route, set, with_mask};
use super::devices::{bond_parameter, bridge_parameter, bridge_port, vlan_id, vlan_whole};
use super::read::{At, MAX_INTERFACES, Reader, bad_link_name, is_domain, shown};
use crate::model::network::{
    Address, BRIDGE_PORT, Bond, Bridge, COMMON, Cidr, Device, Ethernet, Interface, NetworkConfig, Route, Vlan,
};
use crate::model::problem::any_error;

/// A bond's parameters: ours and, without `bond-`, theirs.
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

/// A bridge's, without `bridge_`.
const BRIDGE: &[(&str, &str)] = &[
    ("ageing", "ageing-time"),
    ("bridgeprio", "priority"),
    ("fd", "forward-delay"),
    ("hello", "hello-time"),
    ("maxage", "max-age"),
    ("pathcost", "path-cost"),
    ("portprio", "port-priority"),
    ("stp", "stp"),
];

/// Routes of the machine as a whole, with their places.
type Routes<'a> = Vec<(Route, At<'a>)>;

pub(super) fn read(r: &mut Reader, at: &At) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let mut dns = Dns::default();
    let mut routes = Routes::new();
    for (key, at) in r.entries(at) {
        match key {
            "version" => {}
            "config" => {
                for item in r.items(&at) {
                    entry(r, &mut config, &mut dns, &mut routes, &item);
                }
            }
            _ => r.unknown(&at),
        }
    }
    undefined_ports(&mut config);
    for (route, at) in routes {
        let holds = |i: &&mut Interface| {
            route.via.is_some_and(|via| i.addresses.iter().any(|a| a.cidr.contains(via)))
        };
        match config.interfaces.iter_mut().find(holds) {
            Some(interface) => interface.routes.push(route),
            None => r.error(
                &at,
                "is a route whose gateway no interface's subnet holds",
                "write it under its interface",
            ),
        }
    }
    dns.give(&mut config.interfaces);
    config
}

/// Ports that no entry defines are NICs of those names, as cloud-init has it.
fn undefined_ports(config: &mut NetworkConfig) {
    let known = |config: &NetworkConfig, id: &String| {
        config.interfaces.iter().any(|i| i.id == *id) || config.unusable.contains(id)
    };
    for n in 0..config.interfaces.len() {
        let (place, pos) = (config.interfaces[n].place.clone(), config.interfaces[n].pos);
        for port in config.interfaces[n].device.ports().to_vec() {
            let room = config.interfaces.len() + config.unusable.len() < MAX_INTERFACES;
            if room && !known(config, &port) && bad_link_name(&port).is_none() {
                let nic =
                    Interface::new(&port, format!("{place} {port}"), Device::Ethernet(Ethernet::default()));
                config.interfaces.push(Interface { pos, ..nic });
            }
        }
    }
}

fn entry<'a>(
    r: &mut Reader,
    config: &mut NetworkConfig,
    dns: &mut Dns,
    routes: &mut Routes<'a>,
    at: &At<'a>,
) {
    let Some(kind) = at.key("type") else {
        return r.error(at, "has no `type`", "physical, bond, bridge, vlan, nameserver or route");
    };
    let device = match kind.node.text().unwrap_or_default() {
        "physical" | "infiniband" | "loopback" => Device::Ethernet(Ethernet::default()),
        "bond" => Device::Bond(Bond::default()),
        "bridge" => Device::Bridge(Bridge::default()),
        "vlan" => Device::Vlan(Vlan { id: u16::MAX, link: String::new() }),
        "nameserver" => return nameserver(r, config, dns, at),
        "route" => {
            if let Some(route) = read_route(r, at, true) {
                routes.push((route, at.clone()));
            }
            return;
        }
        _ => {
            return r.error(
                &kind,
                "is a type that is not known here",
                "physical, bond, bridge, vlan, nameserver or route",
            );
        }
    };
    if config.interfaces.len() + config.unusable.len() >= MAX_INTERFACES {
        return r.error(at, format!("is one interface too many; {MAX_INTERFACES} is the most"), "");
    }
    r.take_lost();
    let Some(name) = at.key("name") else {
        return r.error(at, "has no `name`", "name the interface");
    };
    let id = name.node.text().unwrap_or_default();
    let mut interface = Interface::new(id, &at.place, device);
    interface.pos = Some(at.node.pos);
    if r.link_name(&name).is_none() {
        r.mark_lost();
    }
    device_keys(r, &mut interface, at);
    vlan_whole(r, &mut interface, at);
    // The kernel makes the loopback's own addresses; there is nothing to set up but what is added to them.
    let bare_loopback = kind.node.text() == Some("loopback") && interface.addresses.is_empty();
    if r.take_lost() {
        config.unusable.push(shown(id));
    } else if !bare_loopback {
        config.interfaces.push(interface);
    }
}

fn device_keys(r: &mut Reader, to: &mut Interface, at: &At) {
    for (key, at) in r.entries(at) {
        match (key, &mut to.device) {
            ("type" | "name", _) => {}
            ("mac_address", _) if at.node.is_null() => {}
            ("mac_address", Device::Ethernet(e)) => match r.mac(&at) {
                Some(mac) => {
                    e.matching.mac = Some(mac);
                    e.set_name = Some(to.id.clone());
                }
                None => r.mark_lost(),
            },
            ("wakeonlan", Device::Ethernet(e)) => e.wakeonlan = r.bool(&at),
            ("mac_address", _) => to.mac = r.mac(&at),
            ("bond_interfaces", Device::Bond(b)) => b.ports = names(r, &at),
            ("bridge_interfaces", Device::Bridge(b)) => b.ports = names(r, &at),
            ("vlan_id", Device::Vlan(v)) => v.id = vlan_id(r, &at).unwrap_or(v.id),
            ("vlan_link", Device::Vlan(v)) => v.link = r.text(&at).unwrap_or_default().to_owned(),
            ("params", _) => params(r, &mut to.device, &at),
            ("mtu", _) if at.node.is_null() => {}
            ("mtu", _) => to.mtu = r.number(&at, 68, u32::MAX.into()).and_then(|n| n.try_into().ok()),
            ("accept-ra", _) => to.accept_ra = r.bool(&at),
            ("optional", _) => to.optional = r.bool(&at).unwrap_or(false),
            ("keep_configuration", _) => to.critical = r.bool(&at).unwrap_or(false),
            ("subnets", _) => {
                let items = r.items(&at);
                let before = r.problems.len();
                items.iter().for_each(|item| subnet(r, to, item));
                let broken = any_error(&r.problems[before..]);
                if broken && to.addresses.is_empty() && !to.dhcp4 && !to.dhcp6 {
                    r.mark_lost();
                }
            }
            _ => r.unknown(&at),
        }
    }
}

fn names(r: &mut Reader, at: &At) -> Vec<String> {
    r.words(at).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn params(r: &mut Reader, device: &mut Device, at: &At) {
    for (key, at) in r.entries(at) {
        let dashed = key.replace('_', "-");
        match device {
            Device::Bond(b) => {
                let name = dashed.strip_prefix("bond-").unwrap_or(&dashed);
                match BOND.iter().find(|(theirs, _)| *theirs == name) {
                    Some((_, ours)) => bond_parameter(r, b, ours, &at),
                    None => r.unknown(&at),
                }
            }
            Device::Bridge(b) => {
                let name = dashed.strip_prefix("bridge-").unwrap_or(&dashed);
                match BRIDGE.iter().find(|(theirs, _)| *theirs == name) {
                    Some((_, ours)) if BRIDGE_PORT.iter().any(|p| p.name == *ours) && !at.node.is_map() => {
                        ports(r, b, ours, &at);
                    }
                    Some((_, ours)) => bridge_parameter(r, b, ours, &at),
                    // What ifupdown's scripts wait for; networkd waits by itself.
                    None if matches!(name, "waitport" | "maxwait" | "gcint" | "ports" | "hw") => {
                        r.ignored(&at, "networkd has no such setting");
                    }
                    None => r.unknown(&at),
                }
            }
            _ => r.unknown(&at),
        }
    }
}

/// `[eth0 50, eth1 75]`: a port and its value.
fn ports(r: &mut Reader, b: &mut Bridge, key: &str, at: &At) {
    for (text, item) in r.words(at) {
        match text.split_once(' ') {
            Some((port, value)) => {
                let node = super::common::text_node(value.trim());
                bridge_port(r, b, port, key, &At::new(&node, &item.place));
            }
            None => r.error(&item, "must be a port and a number", "write it as in `eth0 50`"),
        }
    }
}

fn subnet(r: &mut Reader, to: &mut Interface, at: &At) {
    let kind = at.key("type").and_then(|k| k.node.text()).unwrap_or_default();
    let metric = at.key("metric").and_then(|m| r.number(&m, 0, u32::MAX.into()));
    let mut gateway = None;
    let mut family = None;
    match kind {
        _ if automatic(to, kind) => {
            if let Some(metric) = metric {
                lease_metric(to, metric);
            }
        }
        "static" | "static6" | "loopback" => {
            let Some(address) = at.key("address") else {
                if kind != "loopback" {
                    r.error(at, "is a static subnet without `address`", "");
                }
                return;
            };
            let Some(text) = r.text(&address) else { return };
            let mask = at.key("netmask").filter(|m| !m.node.is_null());
            let Some(cidr) = with_mask(r, &address, text, mask.as_ref()) else { return };
            family = Some(cidr.addr.is_ipv6());
            if to.addresses.iter().all(|a| a.cidr != cidr) {
                to.addresses.push(Address::from(cidr));
            }
        }
        "manual" => {}
        _ => {
            let cure = "static, static6, dhcp, dhcp4, dhcp6, ipv6_dhcpv6-stateful, ipv6_dhcpv6-stateless, ipv6_slaac or manual";
            return r.error(at, "has no type that is known here", cure);
        }
    }
    for (key, at) in r.entries(at) {
        match key {
            // `ipv4` and `ipv6` only repeat what the type says.
            "type" | "address" | "netmask" | "metric" | "ipv4" | "ipv6" => {}
            _ if at.node.is_null() => {}
            "gateway" => gateway = r.addr(&at).map(|via| (via, at)),
            // networkd works it out.
            "broadcast" => {}
            "control" if at.node.text() == Some("auto") => {}
            "control" if at.node.text() == Some("manual") => {
                set(&mut to.settings, COMMON, "activation-mode", "manual")
            }
            "dns_nameservers" => {
                for (_, item) in r.words(&at) {
                    to.dns.extend(r.addr(&item).filter(|addr| !to.dns.contains(addr)));
                }
            }
            "dns_search" => {
                for (domain, item) in r.words(&at) {
                    search(r, &mut to.search, domain, &item);
                }
            }
            "routes" => to.routes.extend(r.items(&at).iter().filter_map(|item| read_route(r, item, false))),
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

fn search(r: &mut Reader, to: &mut Vec<String>, domain: &str, at: &At) {
    // Lists are written with blanks between, too.
    for domain in domain.split_whitespace() {
        if !is_domain(domain) {
            r.error(at, "is not a domain", "letters, digits, `-`, and dots between");
        } else if !to.iter().any(|s| s == domain) {
            to.push(domain.to_owned());
        }
    }
}

/// A route: `destination` (or `network`), `netmask`, `gateway`, `metric`.
fn read_route(r: &mut Reader, at: &At, global: bool) -> Option<Route> {
    let (mut to, mut mask, mut via, mut metric) = (None, None, None, None);
    for (key, at) in r.entries(at) {
        match key {
            "type" if global => {}
            "id" => {}
            "destination" | "network" | "address" => to = Some(at),
            "netmask" | "prefix" => mask = Some(at),
            "gateway" => via = Some(r.addr(&at)?),
            "metric" => metric = r.number(&at, 0, u32::MAX.into()),
            _ => r.unknown(&at),
        }
    }
    let Some(to) = to else {
        r.error(at, "is a route without `destination`", "");
        return None;
    };
    let text = r.text(&to)?;
    let cidr = match (text, via) {
        ("default", Some(via)) => Cidr::default_route(via.is_ipv6()),
        _ if mask.is_none() && !text.contains('/') && text.parse::<IpAddr>().is_ok() => {
            text.parse().map(Cidr::host).ok()?
        }
        _ => with_mask(r, &to, text, mask.as_ref())?,
    };
    if via.is_some_and(|via| via.is_ipv6() != cidr.addr.is_ipv6()) {
        r.error(at, "mixes IPv4 and IPv6", "a route's destination and gateway must be of one family");
        return None;
    }
    if via.is_none() {
        r.warn(at, format!("has no `gateway`: {} is taken to be on the link itself", cidr.network()), "");
    }
    Some(route(cidr, via, metric))
}

fn nameserver(r: &mut Reader, config: &mut NetworkConfig, dns: &mut Dns, at: &At) {
    let mut own = Dns::default();
    let mut interface = None;
    for (key, at) in r.entries(at) {
        match key {
            "type" => {}
            _ if at.node.is_null() => {}
            "address" => {
                for (_, item) in r.words(&at) {
                    own.servers.extend(r.addr(&item));
                }
            }
            "search" => {
                for (domain, item) in r.words(&at) {
                    search(r, &mut own.search, domain, &item);
                }
            }
            "interface" => interface = r.text(&at).map(|name| (name, at)),
            _ => r.unknown(&at),
        }
    }
    match interface {
        None => {
            dns.servers.extend(own.servers);
            dns.search.extend(own.search);
        }
        Some((name, at)) => match config.interfaces.iter_mut().find(|i| i.id == name) {
            Some(interface) => {
                interface.dns.extend(own.servers);
                interface.search.extend(own.search);
            }
            None => r.error(&at, "names an interface that is not defined before it", ""),
        },
    }
}
