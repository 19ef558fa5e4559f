// SPDX-License-Identifier: Apache-2.0
//! OpenStack's `network_data.json`, [as nova writes it](https://docs.openstack.org/nova/latest/user/metadata.html).
//!
//! A link's id there is OpenStack's own word (`tap1a81968a-79`), not the name of an interface: NICs are matched by their MAC
//! address, and keep the names that they have or get the link's `name`. Bonds are `bond0` and so on. A VLAN is called after
//! its link and its tag, `bond0.5`, where the link's name is known here, and `vlan5` otherwise.

use std::collections::{HashMap, HashSet};

use super::common::Dns;
use super::devices::{vlan_id, vlan_whole};
use super::read::{At, MAX_INTERFACES, Reader, bad_link_name, shown};
use super::subnet::{Words, bond_setting, own_services, service, subnet};
use crate::model::network::{Bond, Cidr, Device, Ethernet, Interface, Match, NetworkConfig, Vlan};
use crate::model::problem::any_error;

const WORDS: Words = Words {
    fixed: &["ipv4", "ipv6", "static", "static6"],
    bare: &[],
    address: "ip_address",
    own: &["id", "link", "network_id", "services"],
    types: "ipv4, ipv6, static, static6, ipv4_dhcp, ipv6_dhcp, ipv6_dhcpv6-stateful, ipv6_dhcpv6-stateless or ipv6_slaac",
};

/// Types of networks whose default route comes by the router's advertisements.
const ADVERTISED: &[&str] = &["ipv6_dhcpv6-stateful", "ipv6_dhcpv6-stateless", "ipv6_slaac"];

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
    name_vlans(&mut config, &mut ids);
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
            service(r, &mut dns.servers, &mut dns.search, &item);
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
    for interface in &mut config.interfaces {
        // An address of IPv6 that is written down is all of IPv6 that the network has for it.
        if interface.accept_ra.is_none() && interface.addresses.iter().any(|a| a.cidr.addr.is_ipv6()) {
            interface.accept_ra = Some(false);
        }
    }
    dns.give(&mut config.interfaces);
    config
}

fn link(r: &mut Reader, config: &mut NetworkConfig, ids: &mut HashMap<String, String>, at: &At) {
    if config.interfaces.len() + config.unusable.len() >= MAX_INTERFACES {
        return r.error(at, format!("is more interfaces than are read: at most {MAX_INTERFACES}"), "");
    }
    let text = |key: &str| at.node.get(key).and_then(|n| n.text());
    let Some(link_id) = text("id") else {
        return r.error(at, "is a link without `id`", "");
    };
    let is = |prefix: &str| config.interfaces.iter().filter(|i| i.id.starts_with(prefix)).count();
    let (id, device) = match text("type").unwrap_or("phy") {
        "bond" => (format!("bond{}", is("bond")), Device::Bond(Bond::default())),
        // Its name comes when all links are known.
        "vlan" => (link_id.to_owned(), Device::Vlan(Vlan { id: u16::MAX, link: String::new() })),
        // Of all others (`vif`, `ovs`, `tap`, …) the machine sees a NIC.
        _ => (link_id.to_owned(), Device::Ethernet(Ethernet::default())),
    };
    r.take_lost();
    let mut interface = Interface::new(id, &at.place, device);
    interface.pos = Some(at.node.pos);
    let bad_id =
        interface.id.is_empty() || interface.id.len() > 127 || interface.id.chars().any(char::is_control);
    if bad_id {
        r.lose(at, "has an `id` that can't be used", "1 to 127 printable characters are allowed");
    }
    link_keys(r, &mut interface, at);
    vlan_whole(r, &mut interface, at);
    if let Device::Ethernet(e) = &mut interface.device
        && e.matching.is_empty()
    {
        // KubeVirt's users write documents of their own, and name the NIC by its name there.
        e.matching.name = e.set_name.take().filter(|_| text("ethernet_mac_address").is_none());
        if e.matching.name.is_none() {
            r.lose(
                at,
                "is a link without a usable `ethernet_mac_address`, so the NIC it means is not known",
                "",
            );
        }
    }
    if r.take_lost() {
        config.unusable.push(shown(link_id));
    } else {
        ids.insert(link_id.to_owned(), interface.id.clone());
        config.interfaces.push(interface);
    }
}

/// Names each VLAN by its link and its tag, as cloud-init does, or by its tag alone where the link's name is not known or
/// the two make no name. `ids` are the ids of links and of their interfaces.
fn name_vlans(config: &mut NetworkConfig, ids: &mut HashMap<String, String>) {
    // A VLAN may lie on a VLAN, which has its name by then if it comes first.
    for n in 0..config.interfaces.len() {
        let Device::Vlan(vlan) = &config.interfaces[n].device else { continue };
        let link = ids.get(&vlan.link).and_then(|id| config.get(id));
        // The key of a NIC is not its name here.
        let known = link.and_then(|l| match &l.device {
            Device::Ethernet(e) => e.set_name.as_deref(),
            _ => Some(l.id.as_str()),
        });
        let tag = vlan.id;
        let others = || config.interfaces.iter().enumerate().filter(|(m, _)| *m != n);
        let taken = |name: &String| others().any(|(_, i)| i.id == *name || i.name() == Some(name));
        let free = |name: &String| bad_link_name(name).is_none() && !taken(name);
        let by_tag = (0..MAX_INTERFACES).map(|again| match again {
            0 => format!("vlan{tag}"),
            _ => format!("vlan{tag}.{again}"),
        });
        let name = known.map(|link| format!("{link}.{tag}")).into_iter().chain(by_tag).find(free);
        let Some(name) = name else { continue };
        ids.values_mut().filter(|id| **id == config.interfaces[n].id).for_each(|id| id.clone_from(&name));
        config.interfaces[n].id = name;
    }
}

fn link_keys(r: &mut Reader, to: &mut Interface, at: &At) {
    for (key, at) in r.entries(at) {
        match (key, &mut to.device) {
            _ if at.is_blank() => {}
            ("id" | "type" | "vif_id", _) => {}
            ("name", Device::Ethernet(e)) => e.set_name = link_name(r, &at),
            ("name", _) => {
                r.ignored(&at, "bonds are named bond0 and so on, VLANs by their link and their tag")
            }
            ("ethernet_mac_address", Device::Ethernet(e)) => {
                e.matching = Match { mac: r.mac(&at), ..Match::default() };
            }
            ("ethernet_mac_address", Device::Bond(_)) | ("vlan_mac_address", Device::Vlan(_)) => {
                to.mac = r.mac(&at)
            }
            // nova repeats the VLAN's address under the name that other links have for theirs.
            ("ethernet_mac_address", Device::Vlan(_)) => to.mac = to.mac.take().or_else(|| r.mac(&at)),
            ("mtu", _) => to.mtu = r.mtu(&at),
            ("bond_links", Device::Bond(b)) => {
                b.ports = r.words(&at).into_iter().map(|(id, _)| id.to_owned()).collect();
            }
            ("vlan_link", Device::Vlan(v)) => v.link = r.text(&at).unwrap_or_default().to_owned(),
            ("vlan_id", Device::Vlan(v)) => v.id = vlan_id(r, &at).unwrap_or(v.id),
            (_, Device::Bond(b)) => bond_setting(r, b, key, &at),
            _ => r.unknown(&at),
        }
    }
}

/// The name that a NIC is to get. One that can't be a name is the cloud's own word, and the NIC keeps the name that it has.
fn link_name(r: &mut Reader, at: &At) -> Option<String> {
    let name = r.text(at)?;
    match bad_link_name(name) {
        None => Some(name.to_owned()),
        Some(why) => {
            r.warn(at, format!("can't be the name of a network interface: {why}"), "the NIC keeps its name");
            None
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
    let before = to.routes.len();
    subnet(r, to, &WORDS, at);
    // nova writes the address and the default route here that the router's advertisements bring.
    let kind = at.node.get("type").and_then(|t| t.text()).unwrap_or_default();
    if ADVERTISED.contains(&kind) {
        let own = to.routes.split_off(before);
        to.routes.extend(own.into_iter().filter(|route| route.to != Cidr::default_route(true)));
    }
    if let Some(services) = at.key("services").filter(|s| !s.node.is_null()) {
        own_services(r, to, &services);
    }
}
