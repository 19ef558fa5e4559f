// SPDX-License-Identifier: Apache-2.0
//! Keys of each sort of device in netplan's language.

use std::net::IpAddr;

use super::read::{At, Reader, bad_link_name};
use super::tunnels;
use crate::model::network::{
    BOND, BRIDGE, BRIDGE_PORT, Bond, Bridge, Device, ETHERNET, Ethernet, Interface, Vlan, Vrf, setting,
};
use crate::model::problem::{Problem, UNKNOWN_KEY};

/// A group of interfaces, one top-level key.
pub(super) struct Group {
    pub key: &'static str,
    /// A device of its sort before its keys are read.
    pub new: fn() -> Device,
    /// Reads a key of its own; says whether it was one.
    pub own: fn(&mut Reader, &mut Interface, &str, &At) -> bool,
    /// Looks at the whole once its keys are read: what is missing, what follows.
    pub finish: fn(&mut Reader, &mut Interface, &At),
}

pub(super) const GROUPS: &[Group] = &[
    Group {
        key: "ethernets",
        new: || Device::Ethernet(Ethernet::default()),
        own: ethernet,
        finish: |_, _, _| {},
    },
    Group { key: "bonds", new: || Device::Bond(Bond::default()), own: bond, finish: |_, _, _| {} },
    Group { key: "bridges", new: || Device::Bridge(Bridge::default()), own: bridge, finish: |_, _, _| {} },
    Group {
        key: "vlans",
        new: || Device::Vlan(Vlan { id: NO_VLAN, link: String::new() }),
        own: vlan,
        finish: vlan_whole,
    },
    Group { key: "vrfs", new: || Device::Vrf(Vrf::default()), own: vrf, finish: vrf_whole },
    Group { key: "tunnels", new: tunnels::new, own: tunnels::own, finish: tunnels::finish },
    Group { key: "dummy-devices", new: || Device::Dummy, own: |_, _, _, _| false, finish: |_, _, _| {} },
];

/// A tag that no VLAN has, until its own is read.
const NO_VLAN: u16 = u16::MAX;

fn ethernet(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Ethernet(e) = &mut to.device else { return false };
    match key {
        "match" => matching(r, e, at),
        "set-name" => match r.link_name(at) {
            Some(name) => e.set_name = Some(name.to_owned()),
            None => r.mark_lost(),
        },
        "wakeonlan" => e.wakeonlan = r.bool(at).or(e.wakeonlan),
        "link" => e.function_of = r.text(at).map(str::to_owned),
        "embedded-switch-mode" | "delay-virtual-functions-rebind" => {
            r.ignored(at, "systemd has no such setting; the NIC's driver keeps its default");
        }
        "macaddress" if !matches!(at.node.text(), Some("random" | "permanent")) => return false,
        _ => return r.setting(ETHERNET, &mut e.settings, key, at),
    }
    true
}

fn matching(r: &mut Reader, e: &mut Ethernet, at: &At) {
    if !at.node.is_map() && !at.node.is_null() {
        return r.lose(
            at,
            format!("must be a mapping, this is {}", at.node.kind_name()),
            "write match: {macaddress: …}",
        );
    }
    let entries = r.entries(at);
    if at.node.is_map() && entries.is_empty() {
        // Nothing that is asked for: each NIC has it.
        e.matching.name = Some("*".to_owned());
    }
    for (key, at) in entries {
        let m = &mut e.matching;
        let read = match key {
            "name" => r.glob(&at, true).map(|glob| m.name = Some(glob.to_owned())),
            "macaddress" => r.mac(&at).map(|mac| m.mac = Some(mac)),
            "driver" => {
                let words = r.words(&at);
                if words.is_empty() {
                    r.error(&at, "names no driver, so no NIC", "name one, or leave the key out");
                }
                let globs = words.iter().enumerate().filter_map(|(i, (_, at))| r.glob(at, i == 0));
                m.drivers = globs.map(str::to_owned).collect();
                (!words.is_empty() && m.drivers.len() == words.len()).then_some(())
            }
            _ => {
                // To leave it out would widen the match to NICs that its author left out.
                let cure = "match by macaddress, name or driver";
                let what = "this key is not known here, so the NIC it means is not known";
                r.push(Problem::error(&at.place, what).code(UNKNOWN_KEY), &at, cure);
                None
            }
        };
        if read.is_none() {
            r.mark_lost();
        }
    }
}

/// Ids that a list of ports or a link names. Whether they exist is looked at when all are read.
fn ids(r: &mut Reader, at: &At) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (id, _) in r.words(at) {
        if !ids.iter().any(|i| i == id) {
            ids.push(id.to_owned());
        }
    }
    ids
}

fn bond(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Bond(b) = &mut to.device else { return false };
    match key {
        "interfaces" => b.ports = ids(r, at),
        "parameters" => {
            for (key, at) in r.entries(at) {
                bond_parameter(r, b, key, &at);
            }
        }
        _ => return false,
    }
    true
}

/// A bond's parameter by netplan's name; the other languages translate theirs.
pub(super) fn bond_parameter(r: &mut Reader, b: &mut Bond, key: &str, at: &At) {
    let key = match key {
        "all-slaves-active" => "all-members-active",
        "packets-per-slave" => "packets-per-member",
        // An old misspelling that netplan still accepts.
        "gratuitious-arp" => "gratuitous-arp",
        _ => key,
    };
    match key {
        "primary" => b.primary = r.text(at).map(str::to_owned),
        "arp-ip-targets" => {
            for (_, item) in r.words(at) {
                match r.addr(&item) {
                    // The kernel's BOND_MAX_ARP_TARGETS.
                    Some(_) if b.arp_targets.len() >= 16 => {
                        r.error(&item, "is more ARP targets than a bond can have", "16 is the most")
                    }
                    Some(IpAddr::V4(addr)) => b.arp_targets.push(addr),
                    Some(IpAddr::V6(_)) => r.error(&item, "is an IPv6 address; ARP is for IPv4", ""),
                    None => {}
                }
            }
        }
        _ if r.setting(BOND, &mut b.settings, key, at) => {}
        _ => r.unknown(at),
    }
}

fn bridge(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Bridge(b) = &mut to.device else { return false };
    match key {
        "interfaces" => b.ports = ids(r, at),
        "parameters" => {
            for (key, at) in r.entries(at) {
                bridge_parameter(r, b, key, &at);
            }
            default_stp(b);
        }
        _ => return false,
    }
    true
}

/// netplan's default, once there are parameters; the kernel's is off.
pub(super) fn default_stp(b: &mut Bridge) {
    if setting(&b.settings, "stp").is_none()
        && let Some(stp) = BRIDGE.iter().find(|p| p.name == "stp")
    {
        b.settings.push((stp, "yes".to_owned()));
    }
}

/// A bridge's parameter by netplan's name; the other languages translate theirs.
pub(super) fn bridge_parameter(r: &mut Reader, b: &mut Bridge, key: &str, at: &At) {
    let key = if key == "aging-time" { "ageing-time" } else { key };
    if BRIDGE_PORT.iter().any(|p| p.name == key) {
        for (port, at) in r.entries(at) {
            bridge_port(r, b, port, key, &at);
        }
    } else if !r.setting(BRIDGE, &mut b.settings, key, at) {
        r.unknown(at);
    }
}

/// A parameter of one port of a bridge.
pub(super) fn bridge_port(r: &mut Reader, b: &mut Bridge, port: &str, key: &str, at: &At) {
    let i = b.port_settings.iter().position(|(id, _)| id == port).unwrap_or(b.port_settings.len());
    if i == b.port_settings.len() {
        b.port_settings.push((port.to_owned(), Vec::new()));
    }
    r.setting(BRIDGE_PORT, &mut b.port_settings[i].1, key, at);
}

fn vlan(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Vlan(v) = &mut to.device else { return false };
    match key {
        "id" => v.id = vlan_id(r, at).unwrap_or(v.id),
        "link" => v.link = r.text(at).unwrap_or_default().to_owned(),
        _ => return false,
    }
    true
}

/// A VLAN's tag: 4095 is reserved, IEEE 802.1Q.
pub(super) fn vlan_id(r: &mut Reader, at: &At) -> Option<u16> {
    r.number(at, 0, 4094).and_then(|n| n.try_into().ok())
}

pub(super) fn vlan_whole(r: &mut Reader, to: &mut Interface, at: &At) {
    let Device::Vlan(v) = &to.device else { return };
    if v.id == NO_VLAN {
        r.lose(at, "is a VLAN without a usable `id`", "give it one from 0 to 4094");
    }
    if v.link.is_empty() {
        r.lose(at, "is a VLAN without `link`", "name the interface below it");
    }
}

fn vrf(r: &mut Reader, to: &mut Interface, key: &str, at: &At) -> bool {
    let Device::Vrf(v) = &mut to.device else { return false };
    match key {
        "table" => v.table = r.number(at, 1, u32::MAX.into()).and_then(|n| n.try_into().ok()).unwrap_or(0),
        "interfaces" => v.ports = ids(r, at),
        _ => return false,
    }
    true
}

/// A VRF's routes and rules are of its own table.
fn vrf_whole(r: &mut Reader, to: &mut Interface, at: &At) {
    let Device::Vrf(v) = &to.device else { return };
    if v.table == 0 {
        return r.lose(at, "is a VRF without a usable `table`", "give it the number of its routing table");
    }
    let table = v.table.to_string();
    let routes = to.routes.iter_mut().map(|route| (&mut route.settings, crate::model::network::ROUTE));
    let rules = to.rules.iter_mut().map(|rule| (&mut rule.settings, crate::model::network::RULE));
    for (settings, rows) in routes.chain(rules) {
        match setting(settings, "table") {
            None => settings.extend(rows.iter().find(|p| p.name == "table").map(|p| (p, table.clone()))),
            Some(other) if other != table => {
                r.warn(
                    at,
                    format!("has a route or rule of table {other}; its own table is {table}"),
                    "leave out `table`",
                );
            }
            Some(_) => {}
        }
    }
}

/// Whether the id of a device to create can be its name; says why not.
pub(super) fn bad_name(interface: &Interface) -> Option<&'static str> {
    match &interface.device {
        Device::Ethernet(_) => None,
        _ => bad_link_name(&interface.id),
    }
}
