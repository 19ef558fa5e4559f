// SPDX-License-Identifier: Apache-2.0
//! `guestinfo.interface.N.*` and `guestinfo.dns.*`: flat keys that
//! [coreos-cloudinit](https://github.com/flatcar/coreos-cloudinit) read on vSphere before there was metadata.

use super::common::{Dns, route, text_node, with_mask};
use super::read::{At, Reader, is_domain};
use crate::model::network::{Address, Cidr, Device, Ethernet, Interface, NetworkConfig};
use crate::model::problem::any_error;

/// The most NICs of a machine, addresses of a NIC and so on that are looked for: a virtual machine has at most 10 NICs.
pub const MAX: usize = 64;

pub(super) fn read(r: &mut Reader, get: &dyn Fn(&str) -> Option<String>) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let get = |key: &str| get(key).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty() && v != "---");
    for n in 0..MAX {
        let key = |rest: &str| format!("interface.{n}.{rest}");
        let known = ["name", "mac", "dhcp", "ip.0.address"].iter().any(|rest| get(&key(rest)).is_some());
        if !known {
            break;
        }
        if asks_for_nothing(r, n, &|rest| get(&key(rest))) {
            continue;
        }
        r.take_lost();
        let interface = nic(r, n, &|rest| get(&key(rest)));
        if r.take_lost() {
            config.unusable.push(interface.id);
        } else {
            config.interfaces.push(interface);
        }
    }
    let mut dns = Dns::default();
    for (n, text) in numbered(&get, "dns.server") {
        let node = text_node(&text);
        dns.servers.extend(r.addr(&At::new(&node, format!("dns.server.{n}"))));
    }
    for (n, text) in numbered(&get, "dns.domain") {
        if is_domain(&text) {
            dns.search.push(text);
        } else {
            let node = text_node(&text);
            r.error(
                &At::new(&node, format!("dns.domain.{n}")),
                "is not a domain",
                "use letters, digits, `-`, and dots between",
            );
        }
    }
    if config.interfaces.is_empty() && !(dns.servers.is_empty() && dns.search.is_empty()) {
        let node = text_node("");
        let what = "is not used: no `interface.N` takes it";
        r.warn(&At::new(&node, "dns"), what, "say which NIC takes it: interface.0.name or interface.0.mac");
    }
    dns.give(&mut config.interfaces);
    config
}

/// Whether an entry leaves its NIC to the image's default, which is DHCP. The properties of Flatcar's appliance have such an
/// entry where they were not changed: `dhcp` is `no`, and all the rest is empty.
fn asks_for_nothing(r: &mut Reader, n: usize, get: &dyn Fn(&str) -> Option<String>) -> bool {
    if ["name", "mac", "ip.0.address", "route.0.gateway"].iter().any(|key| get(key).is_some()) {
        return false;
    }
    let node = text_node(&get("dhcp").unwrap_or_default());
    let at = At::new(&node, format!("interface.{n}"));
    match node.bool() {
        Some(false) => true,
        Some(true) => {
            r.warn(&at, "names no NIC", "each NIC has DHCP without it; to choose one, set `name` or `mac`");
            true
        }
        None => false,
    }
}

/// Values of `key.0`, `key.1` and so on.
fn numbered(get: &dyn Fn(&str) -> Option<String>, key: &str) -> Vec<(usize, String)> {
    (0..MAX).map_while(|n| get(&format!("{key}.{n}")).map(|v| (n, v))).collect()
}

/// One NIC; `get` knows the keys below its number.
fn nic(r: &mut Reader, n: usize, get: &dyn Fn(&str) -> Option<String>) -> Interface {
    let place = format!("interface.{n}");
    let mut ethernet = Ethernet::default();
    let (name, mac) = (get("name"), get("mac"));
    // The MAC address is surer than the name; with both, the address decides, as it did there.
    if let Some(text) = &mac {
        let node = text_node(text);
        ethernet.matching.mac = r.mac(&At::new(&node, format!("{place}.mac")));
    } else if let Some(text) = &name {
        let node = text_node(text);
        ethernet.matching.name = r.glob(&At::new(&node, format!("{place}.name")), false).map(str::to_owned);
    }
    let nameless = text_node("");
    if ethernet.matching.is_empty() {
        r.lose(
            &At::new(&nameless, &place),
            "says neither by `mac` nor by `name` which NIC it is",
            "set one of them",
        );
    }
    let mut to = Interface::new(format!("interface{n}"), &place, Device::Ethernet(ethernet));
    if let Some(text) = get("dhcp") {
        let node = text_node(&text);
        to.dhcp4 = r.bool(&At::new(&node, format!("{place}.dhcp"))).unwrap_or(false);
    }
    let before = r.problems.len();
    for m in 0..MAX {
        let Some(text) = get(&format!("ip.{m}.address")) else { break };
        let node = text_node(&text);
        let cidr = with_mask(r, &At::new(&node, format!("{place}.ip.{m}.address")), &text, None);
        to.addresses.extend(cidr.map(Address::from));
    }
    let broken = any_error(&r.problems[before..]);
    for l in 0..MAX {
        let Some(text) = get(&format!("route.{l}.gateway")) else { break };
        let node = text_node(&text);
        let at = At::new(&node, format!("{place}.route.{l}.gateway"));
        let Some(via) = r.addr(&at) else { continue };
        let dest = match get(&format!("route.{l}.destination")) {
            None => Some(Cidr::default_route(via.is_ipv6())),
            Some(text) => {
                let node = text_node(&text);
                with_mask(r, &At::new(&node, format!("{place}.route.{l}.destination")), &text, None)
            }
        };
        match dest {
            Some(dest) if dest.addr.is_ipv6() == via.is_ipv6() => {
                to.routes.push(route(dest, Some(via), None))
            }
            Some(_) => {
                r.error(&at, "mixes IPv4 and IPv6", "a route's destination and gateway must be of one family")
            }
            None => {}
        }
    }
    if broken && to.addresses.is_empty() && !to.dhcp4 {
        r.mark_lost();
    }
    to
}
