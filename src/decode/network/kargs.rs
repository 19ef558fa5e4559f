// SPDX-License-Identifier: Apache-2.0
//! Kernel arguments, [as dracut reads them](https://man7.org/linux/man-pages/man7/dracut.cmdline.7.html): `ip=`,
//! `nameserver=`, `rd.route=`, `ifname=`, `bond=`, `vlan=`, `bridge=`.

use std::net::IpAddr;

use super::common::{Dns, prefix, route, set, text_node};
use super::read::{At, MAX_INTERFACES, Reader, bad_link_name, is_domain};
use super::subnet::{bond_setting, place_route, port_ids};
use crate::model::network::{
    Address, Bond, Bridge, Cidr, DHCP4_OVERRIDES, DHCP6_OVERRIDES, Device, Ethernet, Families, Interface,
    Mac, Match, NetworkConfig, Route, Vlan,
};
use crate::model::problem::Problem;

/// The id of the interface of an `ip=` without a name: every NIC that no other argument names, so its file sorts last.
const EVERY: &str = "zz-every-nic";

#[derive(Default)]
struct Args {
    r: Reader,
    config: NetworkConfig,
    dns: Dns,
    /// Routes, with the interface that they name and their places.
    routes: Vec<(Route, Option<String>, String)>,
    /// NICs by the names that `ifname=` gives them, with their places.
    names: Vec<(String, Mac, String)>,
    /// Interfaces of which an address can't be used.
    broken: Vec<String>,
    /// Leases bring no name servers.
    no_peer_dns: bool,
}

pub(super) fn read(cmdline: &str) -> (NetworkConfig, Vec<Problem>) {
    let mut args = Args::default();
    let words = cmdline.split(|c: char| c.is_ascii_whitespace()).map(|word| word.trim_matches('"'));
    for (n, (key, value)) in words.filter(|word| !word.is_empty()).enumerate().filter_map(|(n, word)| {
        // These two have a meaning alone: bond0 of eth0 and eth1, br0 of eth0.
        let bare = || matches!(word, "bond" | "bridge").then_some((word, ""));
        let (key, value) = word.split_once('=').or_else(bare)?;
        Some((n, (key, value.trim_matches('"'))))
    }) {
        // The place is the argument and which of the words it is.
        let place = format!("{key}= (argument {})", n + 1);
        match key {
            "ip" => args.ip(value, &place),
            "nameserver" => match addr(value) {
                Some(server) => args.dns.servers.push(server),
                None => args.error(&place, "is not an IPv4 or IPv6 address", ""),
            },
            "rd.route" => args.route(value, &place),
            "ifname" => match value.split_once(':').map(|(name, mac)| (name, mac.parse())) {
                Some((name, Ok(mac))) if bad_link_name(name).is_none() => {
                    args.names.push((name.to_owned(), mac, place));
                }
                _ => args.error(&place, "does not give a name and a MAC address", "write ifname=NAME:MAC"),
            },
            "bond" => args.bond(value, &place),
            "bridge" => args.bridge(value, &place),
            "vlan" => args.vlan(value, &place),
            "team" => args.error(&place, "systemd-networkd has no team devices", "use bond="),
            "rd.peerdns" => args.no_peer_dns = value == "0",
            _ => {}
        }
    }
    args.finish()
}

/// Splits at colons outside of brackets, and takes the brackets off.
fn fields(text: &str) -> Vec<&str> {
    let mut depth = 0;
    let split = text.split(move |c| {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        c == ':' && depth == 0
    });
    // No argument has more than nine; the rest of a longer one is not looked at.
    split.take(16).map(|f| f.strip_prefix('[').and_then(|f| f.strip_suffix(']')).unwrap_or(f)).collect()
}

fn addr(text: &str) -> Option<IpAddr> {
    text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text).parse().ok()
}

impl Args {
    fn error(&mut self, place: &str, what: &str, cure: &str) {
        let problem = Problem::error(place, what);
        self.r.problems.push(if cure.is_empty() { problem } else { problem.cure(cure) });
    }

    fn warning(&mut self, place: &str, what: &str, cure: &str) {
        self.r.problems.push(Problem::warning(place, what).cure(cure));
    }

    /// The interface of that name, as a NIC if nothing else has made it.
    fn interface(&mut self, name: &str, place: &str) -> Option<&mut Interface> {
        if name != EVERY
            && let Some(why) = bad_link_name(name)
        {
            self.error(place, &format!("can't be for an interface of this name: {why}"), "");
            return None;
        }
        let i =
            self.config.interfaces.iter().position(|i| i.id == name).unwrap_or(self.config.interfaces.len());
        if i >= MAX_INTERFACES {
            self.error(place, &format!("is more interfaces than are read: at most {MAX_INTERFACES}"), "");
            return None;
        }
        if i == self.config.interfaces.len() {
            let mut ethernet = Ethernet::default();
            if name == EVERY {
                ethernet.matching.name = Some("*".to_owned());
            }
            self.config.interfaces.push(Interface::new(name, place, Device::Ethernet(ethernet)));
        }
        self.config.interfaces.get_mut(i)
    }

    /// `ip=` in dracut's three forms: a way alone; an interface and a way; an address and all that belongs to it.
    fn ip(&mut self, value: &str, place: &str) {
        let parts = fields(value);
        let get = |i: usize| parts.get(i).copied().filter(|f| !f.is_empty());
        if value.bytes().all(|b| b == b':') {
            return self.error(place, "has no method, or one that is not known", WAYS);
        }
        if parts.len() == 1 && is_way(value) {
            if !matches!(value, "off" | "none") {
                self.way(EVERY, value, place);
            }
            return;
        }
        // An address that can't be read is still meant as one where no way follows it.
        let static_form = get(0).is_none_or(|first| addr(first).is_some())
            || (parts.len() > 4 && !get(1).is_some_and(is_way));
        if !static_form {
            let (name, way) = (parts[0], get(1).unwrap_or("dhcp"));
            if !is_way(way) {
                return self.error(place, "has no method, or one that is not known", WAYS);
            }
            self.way(name, way, place);
            return self.mtu_and_mac(name, get(2), parts.get(3..).unwrap_or_default(), place);
        }
        let name = get(5).unwrap_or(EVERY);
        // Without a way dracut asks for a lease.
        let way = get(6).unwrap_or(if get(0).is_some() { "none" } else { "dhcp" });
        if !is_way(way) {
            return self.error(place, "has no method, or one that is not known", WAYS);
        }
        if get(6).is_none() && is_way(name) {
            return self.error(place, "has a method where the interface belongs: a field is missing", STATIC);
        }
        self.way(name, way, place);
        if name == EVERY && get(0).is_some() {
            self.warning(place, "names no interface: every NIC gets this address", STATIC);
        }
        if let Some(text) = get(0) {
            self.address(name, text, get(3), get(2), get(1), place);
        }
        let host = get(4).filter(|h| is_domain(h));
        if host.is_none() && get(4).is_some() {
            self.error(place, "has no host name in field 5", "use letters, digits, `-`, and dots between");
        }
        if self.config.hostname.is_none() {
            self.config.hostname = host.map(str::to_owned);
        }
        if let Some(host) = host
            && let Some(interface) = self.interface(name, place)
        {
            set(&mut interface.dhcp4_overrides, DHCP4_OVERRIDES, "hostname", host);
        }
        // After the way: name servers, or an MTU and a MAC address.
        match get(7) {
            Some(first) if addr(first).is_some() => {
                let servers: Vec<Option<IpAddr>> = parts[7..].iter().take(2).map(|s| addr(s)).collect();
                if servers.contains(&None) && get(8).is_some() {
                    self.error(place, "has a name server that is not an IPv4 or IPv6 address", "");
                }
                if get(9).is_some() {
                    let cure = "name it in the user-data: ntp";
                    self.warning(place, "has a time server, which has no effect here", cure);
                }
                if let Some(interface) = self.interface(name, place) {
                    interface.dns.extend(servers.into_iter().flatten());
                }
            }
            mtu => self.mtu_and_mac(name, mtu, parts.get(8..).unwrap_or_default(), place),
        }
    }

    /// One way, or several with commas between.
    fn way(&mut self, name: &str, ways: &str, place: &str) {
        if ways.split(',').any(|way| way == "ibft") {
            let what = "the firmware's table of iSCSI is not read here, and gives no address";
            self.warning(place, what, STATIC);
        }
        if name == EVERY && ways == "ibft" {
            return;
        }
        let Some(to) = self.interface(name, place) else { return };
        for way in ways.split(',') {
            match way {
                // `on` and `any` are IPv4 in dracut's reading; `single-dhcp` is one lease of all NICs, which is networkd's.
                "dhcp" | "on" | "any" | "single-dhcp" => to.dhcp4 = true,
                "dhcp6" | "either6" => (to.dhcp6, to.accept_ra) = (true, Some(true)),
                "auto6" => to.accept_ra = Some(true),
                // A router is not listened to, unless another way asks for it.
                "link6" | "link-local" => {
                    to.link_local = Some(Families { ipv4: way == "link-local", ipv6: true });
                    to.accept_ra = to.accept_ra.or(Some(false));
                }
                _ => {}
            }
        }
    }

    fn address(
        &mut self,
        name: &str,
        text: &str,
        mask: Option<&str>,
        gateway: Option<&str>,
        peer: Option<&str>,
        place: &str,
    ) {
        let (text, mask) = text.split_once('/').map_or((text, mask), |(addr, bits)| (addr, Some(bits)));
        let count = |args: &Self| args.config.get(name).map_or(0, |i| i.addresses.len());
        let known = count(self);
        self.static_address(name, text, mask, gateway, place);
        if count(self) == known {
            return self.broken.push(name.to_owned());
        }
        let Some(text) = peer else { return };
        let peer = text.parse().ok().or_else(|| addr(text).map(Cidr::host));
        let Some(last) = self.interface(name, place).and_then(|i| i.addresses.last_mut()) else { return };
        last.peer = peer.filter(|peer| peer.addr.is_ipv6() == last.cidr.addr.is_ipv6());
        if last.peer.is_none() {
            self.error(place, "has a peer that is not an address of the same family", "");
        }
    }

    fn static_address(
        &mut self,
        name: &str,
        text: &str,
        mask: Option<&str>,
        gateway: Option<&str>,
        place: &str,
    ) {
        let Some(address) = addr(text) else {
            return self.error(
                place,
                "has no IPv4 or IPv6 address in field 1",
                "IPv6 addresses need brackets",
            );
        };
        let most = Cidr::host(address).prefix;
        let Some(bits) = mask.and_then(prefix).filter(|bits| *bits <= most) else {
            return self.error(place, "has an address without a usable netmask", STATIC);
        };
        let via = gateway.map(addr);
        if via.is_some_and(|via| via.is_none_or(|via| via.is_ipv6() != address.is_ipv6())) {
            self.error(place, "has a gateway that is not an address of the same family", "");
        }
        let Some(to) = self.interface(name, place) else { return };
        to.addresses.push(Address::from(Cidr { addr: address, prefix: bits }));
        if let Some(via) = via.flatten().filter(|via| via.is_ipv6() == address.is_ipv6()) {
            to.routes.push(route(Cidr::default_route(via.is_ipv6()), Some(via), None));
        }
    }

    /// `MTU:MAC`; the MAC address has colons of its own.
    fn mtu_and_mac(&mut self, name: &str, mtu: Option<&str>, mac: &[&str], place: &str) {
        let number = mtu.map(|mtu| mtu.parse::<u32>().ok().filter(|n| *n == 0 || *n >= 68));
        let mac =
            (!mac.is_empty()).then(|| mac.join(":")).filter(|m| !m.is_empty()).map(|m| m.parse::<Mac>());
        if matches!(number, Some(None)) || matches!(mac, Some(Err(()))) {
            self.error(place, "does not end in name servers, or in an MTU and a MAC address", "");
        }
        let Some(to) = self.interface(name, place) else { return };
        to.mtu = number.flatten().filter(|n| *n > 0).or(to.mtu);
        to.mac = mac.and_then(Result::ok).or(to.mac.take());
    }

    /// `rd.route=NETWORK/MASK:GATEWAY[:INTERFACE]`.
    fn route(&mut self, value: &str, place: &str) {
        let parts = fields(value);
        let to = parts.first().and_then(|net| {
            let (net, mask) = net.trim_matches(['[', ']']).split_once('/').unwrap_or((net, ""));
            let addr = addr(net.trim_end_matches(']'))?;
            let bits = if mask.is_empty() { Some(Cidr::host(addr).prefix) } else { prefix(mask) };
            bits.filter(|b| *b <= Cidr::host(addr).prefix).map(|prefix| Cidr { addr, prefix })
        });
        let via = parts.get(1).copied().filter(|v| !v.is_empty()).map(addr);
        match (to, via) {
            (Some(to), None | Some(Some(_)))
                if via.flatten().is_none_or(|v| v.is_ipv6() == to.addr.is_ipv6()) =>
            {
                let name = parts.get(2).filter(|n| !n.is_empty()).map(|n| (*n).to_owned());
                self.routes.push((route(to, via.flatten(), None), name, place.to_owned()));
            }
            _ => self.error(place, "is not a route", "write rd.route=NETWORK/PREFIX:GATEWAY[:INTERFACE]"),
        }
    }

    /// Makes `name` what `device` is; a NIC that an `ip=` before has made keeps its addresses.
    fn device(&mut self, name: &str, device: Device, place: &str) -> bool {
        let known = self.interface(name, place);
        known.map(|interface| interface.device = device).is_some()
    }

    /// Makes NICs of names that nothing else has made.
    fn ports(&mut self, names: &str, place: &str) -> Vec<String> {
        let names: Vec<&str> = names.split(',').filter(|n| !n.is_empty()).collect();
        names.into_iter().filter(|name| self.interface(name, place).is_some()).map(str::to_owned).collect()
    }

    /// `bond=NAME[:PORTS[:OPTIONS[:MTU]]]`.
    fn bond(&mut self, value: &str, place: &str) {
        // An option may hold colons: ARP targets in IPv6 don't exist, so the last field alone can be the MTU.
        let parts: Vec<&str> = value.splitn(4, ':').collect();
        let name = parts.first().copied().filter(|n| !n.is_empty()).unwrap_or("bond0");
        // dracut's defaults.
        let ports = self.ports(parts.get(1).copied().unwrap_or("eth0,eth1"), place);
        let mut bond = Bond { ports, ..Bond::default() };
        let options = parts.get(2).copied().unwrap_or("mode=balance-rr");
        for option in options.split(',').filter(|o| !o.is_empty()) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let node = text_node(value);
            let at = At::new(&node, format!("{place} {key}"));
            bond_setting(&mut self.r, &mut bond, key, &at);
        }
        let mtu = parts.get(3).filter(|mtu| !mtu.is_empty()).map(|mtu| mtu.parse());
        if matches!(mtu, Some(Err(_))) {
            self.error(place, "has a last field that is not an MTU", "write bond=NAME:PORTS:OPTIONS:MTU");
        }
        if self.device(name, Device::Bond(bond), place)
            && let Some(interface) = self.interface(name, place)
        {
            interface.mtu = mtu.and_then(Result::ok).or(interface.mtu);
        }
    }

    /// `bridge=NAME:PORTS`.
    fn bridge(&mut self, value: &str, place: &str) {
        let (name, ports) = value.split_once(':').unwrap_or((value, "eth0"));
        let ports = self.ports(ports, place);
        let name = if name.is_empty() { "br0" } else { name };
        self.device(name, Device::Bridge(Bridge { ports, ..Bridge::default() }), place);
    }

    /// `vlan=NAME:LINK`; the tag is the number at the end of the name: `vlan5`, `eth0.0005`.
    fn vlan(&mut self, value: &str, place: &str) {
        let Some((name, link)) = value.split_once(':') else {
            return self.error(place, "does not give a name and an interface", "write vlan=NAME:INTERFACE");
        };
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let id = name.get(name.len() - digits..).and_then(|id| id.parse().ok()).filter(|id| *id <= 4094);
        let Some(id) = id else {
            return self.error(
                place,
                "gives a name that does not end with the VLAN's tag",
                "write the name as vlan5, vlan0005, eth0.5 or eth0.0005",
            );
        };
        if link.contains(',') {
            self.error(place, "names more than one interface below it", "write vlan=NAME:INTERFACE for each");
        } else if self.interface(link, place).is_some() {
            self.device(name, Device::Vlan(Vlan { id, link: link.to_owned() }), place);
        }
    }

    /// `ifname=NAME:MAC`. A NIC that no other argument names gets what `ip=` says of every NIC.
    fn name(&mut self, name: String, mac: Mac, place: &str) {
        if self.config.get(&name).is_none() {
            let Some(every) = self.config.get(EVERY).cloned() else {
                return self.warning(place, "names a NIC that no argument configures", "add ip=NAME:dhcp");
            };
            let Some(to) = self.interface(&name, place) else { return };
            *to = Interface { id: name.clone(), place: place.to_owned(), ..every };
        }
        if let Some(Interface { device: Device::Ethernet(e), .. }) = self.interface(&name, place) {
            e.matching = Match { mac: Some(mac), ..Match::default() };
            e.set_name = Some(name);
        }
    }

    fn finish(mut self) -> (NetworkConfig, Vec<Problem>) {
        let ids = port_ids(&self.config.interfaces);
        for (route, name, place) in std::mem::take(&mut self.routes) {
            let Some(name) = name else {
                let node = text_node("");
                place_route(&mut self.r, &mut self.config.interfaces, &ids, route, &At::new(&node, place));
                continue;
            };
            let known = self.config.get(&name).is_some();
            let every = self.config.get(EVERY).cloned();
            let Some(to) = self.interface(&name, &place) else { continue };
            if !known {
                // dracut's default for an interface without an `ip=`: what `ip=` says of every NIC, else a lease.
                (to.dhcp4, to.dhcp6, to.accept_ra) = match every {
                    Some(every) => (every.dhcp4, every.dhcp6, every.accept_ra),
                    None => (!route.to.addr.is_ipv6(), route.to.addr.is_ipv6(), None),
                };
                to.accept_ra = to.accept_ra.or(to.dhcp6.then_some(true));
            }
            to.routes.push(route);
        }
        for (name, mac, place) in std::mem::take(&mut self.names) {
            self.name(name, mac, &place);
        }
        for interface in self.config.interfaces.iter_mut().filter(|_| self.no_peer_dns) {
            set(&mut interface.dhcp4_overrides, DHCP4_OVERRIDES, "use-dns", "no");
            set(&mut interface.dhcp6_overrides, DHCP6_OVERRIDES, "use-dns", "no");
        }
        // Without any address the image's default, DHCP, serves better than silence.
        let broken = std::mem::take(&mut self.broken);
        let lost = |i: &Interface| {
            broken.contains(&i.id)
                && i.addresses.is_empty()
                && !i.dhcp4
                && !i.dhcp6
                && i.accept_ra != Some(true)
        };
        self.config.unusable =
            self.config.interfaces.iter().filter(|i| lost(i)).map(|i| i.id.clone()).collect();
        self.config.interfaces.retain(|i| !lost(i));
        if self.config.interfaces.is_empty() {
            self.config.dns = self.dns.servers;
        } else {
            self.dns.give(&mut self.config.interfaces);
        }
        (self.config, self.r.problems)
    }
}

/// Ways to get an address.
const WAYS: &str = "write one of dhcp, on, any, dhcp6, auto6, either6, link6, link-local, none or off";

/// The form of `ip=` that has an address.
const STATIC: &str = "write ip=ADDRESS::GATEWAY:NETMASK::INTERFACE:none";

/// Whether `text` is a way, or several with commas between.
fn is_way(text: &str) -> bool {
    const KNOWN: &str = "dhcp on any single-dhcp dhcp6 auto6 either6 link6 link-local none off ibft";
    text.split(',').all(|way| KNOWN.split(' ').any(|known| known == way))
}
