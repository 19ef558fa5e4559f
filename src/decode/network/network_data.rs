// SPDX-License-Identifier: Apache-2.0
//! OpenStack's `network_data.json`, [as nova writes it](https://docs.openstack.org/nova/latest/user/metadata.html).
//!
//! A link's id there is OpenStack's own word (`tap1a81968a-79`), no name of an interface: NICs are matched by their MAC
//! address and keep the names they have; bonds are `bond0` and so on, VLANs `vlan` and their tag.

use std::collections::{HashMap, HashSet};

use super::common::{Dns, automatic, route, with_mask};
use super::devices::{bond_parameter, vlan_id, vlan_whole};
use super::read::{At, MAX_INTERFACES, Reader, shown};
use crate::model::network::{Address, Bond, Cidr, Device, Ethernet, Interface, Match, NetworkConfig, Vlan};
use crate::model::problem::any_error;

/// Parameters of a bond: theirs, ours.
const BOND: &[(&str, &str)] = &[
    ("bond_mode", "mode"),
    ("bond_miimon", "mii-monitor-interval"),
    ("bond_xmit_hash_policy", "transmit-hash-policy"),
    ("bond_lacp_rate", "lacp-rate"),
    ("bond_primary", "primary"),
];

pub(super) fn read(r: &mut Reader, at: &At) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let mut dns = Dns::default();
    // From a link's id to the id of its interface.
    let mut ids = HashMap::new();
    let mut broken: HashSet<String> = HashSet::new();
    let at_key = |key| at.key(key).filter(|v| !v.node.is_null());
    if let Some(links) = at_key("links") {
        for item in r.items(&links) {
            link(r, &mut config, &mut ids, &item);
        }
    }
    // Bonds and VLANs speak of links that may come after them.
    for interface in &mut config.interfaces {
        let renamed = |id: &String| ids.get(id).cloned().unwrap_or_else(|| id.clone());
        match &mut interface.device {
            Device::Bond(b) => {
                b.ports = b.ports.iter().map(renamed).collect();
                b.primary = b.primary.as_ref().map(renamed);
            }
            Device::Vlan(v) => v.link = renamed(&v.link),
            _ => {}
        }
    }
    if let Some(networks) = at_key("networks") {
        for item in r.items(&networks) {
            let before = r.problems.len();
            network(r, &mut config, &ids, &item);
            if any_error(&r.problems[before..]) {
                broken.extend(item.node.get("link").and_then(|l| ids.get(l.text()?)).cloned());
            }
        }
    }
    if let Some(services) = at_key("services") {
        for item in r.items(&services) {
            dns.servers.extend(service(r, &item));
        }
    }
    for (key, at) in r.entries(at) {
        if !matches!(key, "links" | "networks" | "services") {
            r.unknown(&at);
        }
    }
    // Without any address the image's default, DHCP, serves better than silence.
    let (lost, kept) = std::mem::take(&mut config.interfaces).into_iter().partition(|i: &Interface| {
        broken.contains(&i.id) && i.addresses.is_empty() && !i.dhcp4 && !i.dhcp6 && i.accept_ra != Some(true)
    });
    config.interfaces = kept;
    config.unusable.extend(lost.into_iter().map(|i: Interface| i.id));
    dns.give(&mut config.interfaces);
    config
}

fn link(r: &mut Reader, config: &mut NetworkConfig, ids: &mut HashMap<String, String>, at: &At) {
    if config.interfaces.len() + config.unusable.len() >= MAX_INTERFACES {
        return r.error(at, format!("is one interface too many; {MAX_INTERFACES} is the most"), "");
    }
    let text = |key: &str| at.node.get(key).and_then(|n| n.text());
    let Some(link_id) = text("id") else {
        return r.error(at, "is a link without `id`", "");
    };
    let is = |prefix: &str| config.interfaces.iter().filter(|i| i.id.starts_with(prefix)).count();
    let (id, device) = match text("type").unwrap_or("phy") {
        "bond" => (format!("bond{}", is("bond")), Device::Bond(Bond::default())),
        "vlan" => {
            let tag = format!("vlan{}", text("vlan_id").unwrap_or_default());
            let again = is(&tag);
            let id = if again == 0 { tag } else { format!("{tag}.{again}") };
            (id, Device::Vlan(Vlan { id: u16::MAX, link: String::new() }))
        }
        // Of all others (`vif`, `ovs`, `tap`, …) the machine sees a NIC.
        _ => (link_id.to_owned(), Device::Ethernet(Ethernet::default())),
    };
    r.take_lost();
    let mut interface = Interface::new(id, &at.place, device);
    interface.pos = Some(at.node.pos);
    let bad_id =
        interface.id.is_empty() || interface.id.len() > 127 || interface.id.chars().any(char::is_control);
    if bad_id {
        r.lose(at, "has an `id` that can't be one", "1 to 127 printable characters are allowed");
    }
    link_keys(r, &mut interface, at);
    vlan_whole(r, &mut interface, at);
    if matches!(&interface.device, Device::Ethernet(e) if e.matching.is_empty()) {
        r.lose(at, "is a link without a usable `ethernet_mac_address`, so the NIC it means is not known", "");
    }
    if r.take_lost() {
        config.unusable.push(shown(link_id));
    } else {
        ids.insert(link_id.to_owned(), interface.id.clone());
        config.interfaces.push(interface);
    }
}

fn link_keys(r: &mut Reader, to: &mut Interface, at: &At) {
    for (key, at) in r.entries(at) {
        match (key, &mut to.device) {
            _ if at.node.is_null() => {}
            ("id" | "type" | "vif_id" | "name", _) => {}
            ("ethernet_mac_address", Device::Ethernet(e)) => {
                e.matching = Match { mac: r.mac(&at), ..Match::default() };
            }
            ("ethernet_mac_address", Device::Bond(_)) | ("vlan_mac_address", Device::Vlan(_)) => {
                to.mac = r.mac(&at)
            }
            ("mtu", _) => to.mtu = r.number(&at, 68, u32::MAX.into()).and_then(|n| n.try_into().ok()),
            ("bond_links", Device::Bond(b)) => {
                b.ports = r.words(&at).into_iter().map(|(id, _)| id.to_owned()).collect();
            }
            ("vlan_link", Device::Vlan(v)) => v.link = r.text(&at).unwrap_or_default().to_owned(),
            ("vlan_id", Device::Vlan(v)) => v.id = vlan_id(r, &at).unwrap_or(v.id),
            (_, Device::Bond(b)) => match BOND.iter().find(|(theirs, _)| *theirs == key) {
                Some((_, ours)) => bond_parameter(r, b, ours, &at),
                None => r.unknown(&at),
            },
            _ => r.unknown(&at),
        }
    }
}

fn network(r: &mut Reader, config: &mut NetworkConfig, ids: &HashMap<String, String>, at: &At) {
    let Some(link) = at.key("link") else {
        return r.error(at, "is a network without `link`", "");
    };
    let id = link.node.text().and_then(|id| ids.get(id));
    let Some(to) = config.interfaces.iter_mut().find(|i| Some(&i.id) == id) else {
        return r.error(&link, "names a link that is not defined or not usable", "");
    };
    let kind = at.key("type").and_then(|k| k.node.text()).unwrap_or_default();
    let get = |key| at.key(key).filter(|v| !v.node.is_null());
    if !automatic(to, kind) {
        if !matches!(kind, "ipv4" | "ipv6") {
            return r.error(
                at,
                "has no type that is known here",
                "ipv4, ipv6, ipv4_dhcp, ipv6_dhcp or ipv6_slaac",
            );
        }
        let Some(address) = get("ip_address") else {
            return r.error(at, "is a static network without `ip_address`", "");
        };
        let Some(text) = r.text(&address) else { return };
        let Some(cidr) = with_mask(r, &address, text, get("netmask").as_ref()) else { return };
        if to.addresses.iter().all(|a| a.cidr != cidr) {
            to.addresses.push(Address::from(cidr));
        }
    }
    for (key, at) in r.entries(at) {
        match key {
            _ if at.node.is_null() => {}
            "id" | "link" | "type" | "network_id" | "ip_address" | "netmask" => {}
            "gateway" => {
                let via = r.addr(&at);
                to.routes.extend(via.map(|via| route(Cidr::default_route(via.is_ipv6()), Some(via), None)));
            }
            "routes" => {
                for item in r.items(&at) {
                    let text = |key| item.key(key).filter(|v| !v.node.is_null());
                    let (Some(net), Some(via)) = (text("network"), text("gateway")) else {
                        r.error(&item, "is a route without `network` or `gateway`", "");
                        continue;
                    };
                    let dest = net.node.text().and_then(|t| with_mask(r, &net, t, text("netmask").as_ref()));
                    let (Some(dest), Some(via)) = (dest, r.addr(&via)) else { continue };
                    if dest.addr.is_ipv4() == via.is_ipv4() {
                        to.routes.push(route(dest, Some(via), None));
                    } else {
                        r.error(&item, "mixes IPv4 and IPv6", "");
                    }
                }
            }
            "dns_nameservers" => {
                for (_, item) in r.words(&at) {
                    to.dns.extend(r.addr(&item).filter(|addr| !to.dns.contains(addr)));
                }
            }
            "services" => {
                for item in r.items(&at) {
                    to.dns.extend(service(r, &item).filter(|addr| !to.dns.contains(addr)));
                }
            }
            _ => r.unknown(&at),
        }
    }
}

fn service(r: &mut Reader, at: &At) -> Option<std::net::IpAddr> {
    match at.node.get("type").and_then(|t| t.text()) {
        Some("dns") => r.addr(&at.key("address")?),
        _ => {
            r.unknown(at);
            None
        }
    }
}
