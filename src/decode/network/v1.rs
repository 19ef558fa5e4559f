// SPDX-License-Identifier: Apache-2.0
//! Version 1: [cloud-init's own language](https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html).
//!
//! A route or a name server of its own, outside of an interface, is given to the interface it belongs to; cloud-init
//! gives it to every one.

use super::common::Dns;
use super::devices::{bridge_parameter, bridge_port, default_stp, vlan_id, vlan_whole};
use super::read::{At, MAX_INTERFACES, Reader, bad_link_name, shown};
use super::subnet::{
    Words, bond_setting, name_servers, place_route, port_ids, read_route, search_list, subnet,
};
use crate::model::network::{
    BRIDGE_PORT, Bond, Bridge, Device, Ethernet, Interface, NetworkConfig, Route, Vlan,
};
use crate::model::problem::any_error;

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

const WORDS: Words = Words {
    fixed: &["static", "static6", "loopback"],
    bare: &["manual", "loopback"],
    address: "address",
    own: &[],
    types: "static, static6, dhcp, dhcp4, dhcp6, ipv6_dhcpv6-stateful, ipv6_dhcpv6-stateless, ipv6_slaac or manual",
};

/// What is said of the machine as a whole; it is given to interfaces when all are known.
#[derive(Default)]
struct Whole<'a> {
    dns: Dns,
    /// Routes with their places.
    routes: Vec<(Route, At<'a>)>,
    /// Name servers of one interface, with the place of its name.
    named: Vec<(Dns, At<'a>)>,
}

pub(super) fn read(r: &mut Reader, at: &At) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let mut whole = Whole::default();
    for (key, at) in r.entries(at) {
        match key {
            "version" => {}
            "config" => {
                for item in r.items(&at) {
                    entry(r, &mut config, &mut whole, &item);
                }
            }
            _ => r.unknown(&at),
        }
    }
    undefined_ports(&mut config);
    let Whole { dns, routes, named } = whole;
    let ids = port_ids(&config.interfaces);
    for (route, at) in routes {
        place_route(r, &mut config.interfaces, &ids, route, &at);
    }
    for (own, at) in named {
        match config.interfaces.iter_mut().find(|i| Some(i.id.as_str()) == at.node.text()) {
            Some(interface) => own.add_to(interface),
            None => r.error(&at, "names an interface that is not defined or not usable", ""),
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

fn entry<'a>(r: &mut Reader, config: &mut NetworkConfig, whole: &mut Whole<'a>, at: &At<'a>) {
    let Some(kind) = at.key("type") else {
        return r.error(at, "has no `type`", "use physical, bond, bridge, vlan, nameserver or route");
    };
    let device = match kind.node.text().unwrap_or_default() {
        "physical" | "infiniband" | "loopback" => Device::Ethernet(Ethernet::default()),
        "bond" => Device::Bond(Bond::default()),
        "bridge" => Device::Bridge(Bridge::default()),
        "vlan" => Device::Vlan(Vlan { id: u16::MAX, link: String::new() }),
        "nameserver" => return nameserver(r, whole, at),
        "route" => {
            whole.routes.extend(read_route(r, at, &["type"]).map(|route| (route, at.clone())));
            return;
        }
        _ => {
            return r.error(
                &kind,
                "is a type that is not known here",
                "use physical, bond, bridge, vlan, nameserver or route",
            );
        }
    };
    if config.interfaces.len() + config.unusable.len() >= MAX_INTERFACES {
        return r.error(at, format!("is more interfaces than are read: at most {MAX_INTERFACES}"), "");
    }
    r.take_lost();
    let name = at.key("name");
    let id = match &name {
        Some(name) => name.node.text().unwrap_or_default().to_owned(),
        // A NIC of a platform's document may have no name there but its address: it keeps the one that it has.
        None if matches!(device, Device::Ethernet(_)) && at.key("mac_address").is_some() => {
            format!("card{:02}", config.interfaces.len())
        }
        None => return r.error(at, "has no `name`", "name the interface"),
    };
    let mut interface = Interface::new(&id, &at.place, device);
    interface.pos = Some(at.node.pos);
    if name.is_some_and(|name| r.link_name(&name).is_none()) {
        r.mark_lost();
    }
    device_keys(r, &mut interface, at);
    vlan_whole(r, &mut interface, at);
    // The kernel makes the loopback's own addresses; there is nothing to set up but what is added to them.
    let bare_loopback = kind.node.text() == Some("loopback") && interface.addresses.is_empty();
    if r.take_lost() {
        config.unusable.push(shown(&id));
    } else if !bare_loopback {
        config.interfaces.push(interface);
    }
}

fn device_keys(r: &mut Reader, to: &mut Interface, at: &At) {
    let mut entries = r.entries(at);
    let named = at.key("name").is_some();
    // What the interface itself says of advertisements is said over what its subnets imply, and a subnet's MTU over the
    // interface's, wherever they are written.
    entries.sort_by_key(|(key, _)| match *key {
        "mtu" => 0,
        "accept-ra" => 2,
        _ => 1,
    });
    for (key, at) in entries {
        match (key, &mut to.device) {
            ("type" | "name", _) => {}
            ("mac_address" | "mtu" | "accept-ra", _) if at.is_blank() => {}
            ("mac_address", Device::Ethernet(e)) => match r.mac(&at) {
                Some(mac) => {
                    e.matching.mac = Some(mac);
                    e.set_name = named.then(|| to.id.clone());
                }
                None => r.mark_lost(),
            },
            ("wakeonlan", Device::Ethernet(e)) => e.wakeonlan = flag(r, &at),
            ("mac_address", _) => to.mac = r.mac(&at),
            ("bond_interfaces", Device::Bond(b)) => b.ports = names(r, &at),
            ("bridge_interfaces", Device::Bridge(b)) => b.ports = names(r, &at),
            ("vlan_id", Device::Vlan(v)) => v.id = vlan_id(r, &at).unwrap_or(v.id),
            ("vlan_link", Device::Vlan(v)) => v.link = r.text(&at).unwrap_or_default().to_owned(),
            ("params", _) => params(r, &mut to.device, &at),
            ("mtu", _) => to.mtu = r.mtu(&at),
            ("accept-ra", _) => to.accept_ra = flag(r, &at).or(to.accept_ra),
            ("optional", _) => to.optional = flag(r, &at).unwrap_or(false),
            ("keep_configuration", _) => to.critical = flag(r, &at).unwrap_or(false),
            ("subnets", _) => {
                let items = r.items(&at);
                let before = r.problems.len();
                items.iter().for_each(|item| subnet(r, to, &WORDS, item));
                let broken = any_error(&r.problems[before..]);
                if broken && to.addresses.is_empty() && !to.dhcp4 && !to.dhcp6 {
                    r.mark_lost();
                }
            }
            _ => r.unknown(&at),
        }
    }
}

/// A flag, which may be a number here.
fn flag(r: &mut Reader, at: &At) -> Option<bool> {
    match at.node.text() {
        Some("1") => Some(true),
        Some("0") => Some(false),
        _ => r.bool(at),
    }
}

fn names(r: &mut Reader, at: &At) -> Vec<String> {
    r.words(at).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn params(r: &mut Reader, device: &mut Device, at: &At) {
    for (key, at) in r.entries(at) {
        let dashed = key.replace('_', "-");
        match device {
            Device::Bond(b) => bond_setting(r, b, key, &at),
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
    // What netplan does not know is none of its parameters.
    if let Device::Bridge(b) = device
        && !(b.settings.is_empty() && b.port_settings.is_empty())
    {
        default_stp(b);
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

fn nameserver<'a>(r: &mut Reader, whole: &mut Whole<'a>, at: &At<'a>) {
    let mut own = Dns::default();
    let mut interface = None;
    for (key, at) in r.entries(at) {
        match key {
            "type" => {}
            _ if at.is_blank() => {}
            "address" => name_servers(r, &mut own.servers, &at),
            "search" => search_list(r, &mut own.search, &at),
            "interface" => interface = Some(at),
            _ => r.unknown(&at),
        }
    }
    match interface {
        None => whole.dns.add(own),
        Some(at) => whole.named.push((own, at)),
    }
}
