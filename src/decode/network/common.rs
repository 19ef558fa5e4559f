// SPDX-License-Identifier: Apache-2.0
//! What the older languages have in common: netmasks, settings of the machine as a whole, values outside of YAML.

use std::net::IpAddr;

use super::read::{At, Reader};
use crate::decode::syntax::yaml::{Kind, Node, Scalar, Value};
use crate::model::network::{
    Address, Cidr, DHCP4_OVERRIDES, DHCP6_OVERRIDES, Interface, Param, ROUTE, Route, Settings,
};
use crate::model::problem::Pos;

/// A text as a node, for languages that are not YAML.
pub(super) fn text_node(text: &str) -> Node {
    let scalar = Scalar { text: text.to_owned(), kind: Kind::Str };
    Node { pos: Pos::default(), value: Value::Scalar(scalar) }
}

/// The length of a prefix written as a number or as a mask of either family.
pub fn prefix(text: &str) -> Option<u8> {
    if let Ok(bits) = text.parse::<u8>() {
        return (bits <= 128).then_some(bits);
    }
    let (mask, width) = match text.parse().ok()? {
        IpAddr::V4(mask) => (u128::from(u32::from(mask)) << 96, 32),
        IpAddr::V6(mask) => (u128::from(mask), 128),
    };
    let ones = mask.leading_ones();
    let contiguous = mask.checked_shl(ones).unwrap_or(0) == 0;
    (contiguous && ones <= width).then(|| u8::try_from(ones).ok())?
}

/// An address whose prefix is written with it or beside it, as a number or a mask.
pub(super) fn with_mask(r: &mut Reader, at: &At, text: &str, mask: Option<&At>) -> Option<Cidr> {
    if let Ok(cidr) = text.parse() {
        return Some(cidr);
    }
    let (addr, beside) = text.split_once('/').map_or((text, None), |(addr, mask)| (addr, Some(mask)));
    let Ok(addr) = addr.parse::<IpAddr>() else {
        r.error(at, "is not an address", "write it as in 192.0.2.10/24 or 2001:db8::10/64");
        return None;
    };
    let Some(mask_text) = beside.or_else(|| mask.and_then(|m| m.node.text())) else {
        let cure =
            format!("add the prefix of its subnet, as in {addr}/{}", if addr.is_ipv4() { 24 } else { 64 });
        r.error(at, "is an address without a prefix", &cure);
        return None;
    };
    let bits = match mask_text.trim() {
        // OpenStack has such networks, and cloud-init takes them so.
        "" if addr.is_ipv6() => Some(64),
        text => prefix(text).filter(|bits| *bits <= Cidr::host(addr).prefix),
    };
    if bits.is_none() {
        r.error(mask.unwrap_or(at), "is not a netmask", "write it as in 255.255.255.0 or 24");
    }
    bits.map(|prefix| Cidr { addr, prefix })
}

/// Sets the row called `name`, once.
pub(super) fn set(settings: &mut Settings, table: &'static [Param], name: &str, value: impl ToString) {
    if let Some(row) = table.iter().find(|p| p.name == name) {
        settings.retain(|(p, _)| p.name != name);
        settings.push((row, value.to_string()));
    }
}

/// A route by `via`, with its metric.
pub(super) fn route(to: Cidr, via: Option<IpAddr>, metric: Option<i64>) -> Route {
    let mut route = Route::new(to.network(), via);
    if let Some(metric) = metric {
        set(&mut route.settings, ROUTE, "metric", metric);
    }
    route
}

/// Gives routes that a lease brings this metric.
pub(super) fn lease_metric(to: &mut Interface, metric: i64) {
    set(&mut to.dhcp4_overrides, DHCP4_OVERRIDES, "route-metric", metric);
    set(&mut to.dhcp6_overrides, DHCP6_OVERRIDES, "route-metric", metric);
}

/// Ways for an interface to get addresses, which version 1 and OpenStack name alike. Says whether it was one.
pub(super) fn automatic(to: &mut Interface, kind: &str) -> bool {
    match kind {
        "dhcp" | "dhcp4" | "ipv4_dhcp" => to.dhcp4 = true,
        // A router's advertisement says whether to ask for a lease, and is where the default route comes from.
        "dhcp6" | "ipv6_dhcp" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => {
            to.dhcp6 = true;
            to.accept_ra = Some(true);
        }
        "ipv6_slaac" => to.accept_ra = Some(true),
        _ => return false,
    }
    true
}

/// Name servers and search domains of the machine as a whole.
#[derive(Default)]
pub(super) struct Dns {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
}

impl Dns {
    /// Adds what `other` has.
    pub fn add(&mut self, other: Self) {
        add(&mut self.servers, &other.servers);
        add(&mut self.search, &other.search);
    }

    /// Gives them to one interface.
    pub fn add_to(&self, interface: &mut Interface) {
        add(&mut interface.dns, &self.servers);
        add(&mut interface.search, &self.search);
    }

    /// Gives each server to the links that lead to it, since resolved asks each server over its link: those with a subnet or a route
    /// that it is in, and those with a lease, whose routes are not known. Where there is none, to those that lead beyond their
    /// subnets, or else to those with an address.
    pub fn give(self, interfaces: &mut [Interface]) {
        let leads = |i: &Interface, server: IpAddr| {
            let subnets = i.addresses.iter().map(Address::subnet).chain(i.routes.iter().map(|r| r.to));
            subnets.filter(|cidr| cidr.prefix > 0).any(|cidr| cidr.contains(server))
        };
        let leased = |i: &Interface| i.dhcp4 || i.dhcp6;
        let outward = |i: &Interface| leased(i) || i.routes.iter().any(|r| r.to.prefix == 0);
        let addressed = |i: &Interface| !i.addresses.is_empty() || i.accept_ra == Some(true);
        let any_outward = interfaces.iter().any(outward);
        let near: Vec<bool> = self.servers.iter().map(|s| interfaces.iter().any(|i| leads(i, *s))).collect();
        for interface in interfaces {
            let chosen = if any_outward { outward(interface) } else { addressed(interface) };
            let is_mine = |(server, near): &(&IpAddr, &bool)| {
                if **near { leased(interface) || leads(interface, **server) } else { chosen }
            };
            let mine: Vec<IpAddr> = self.servers.iter().zip(&near).filter(is_mine).map(|(s, _)| *s).collect();
            if chosen || !mine.is_empty() {
                add(&mut interface.dns, &mine);
                add(&mut interface.search, &self.search);
            }
        }
    }
}

/// Adds what is not there yet.
pub(super) fn add<T: PartialEq + Clone>(to: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !to.contains(item) {
            to.push(item.clone());
        }
    }
}
