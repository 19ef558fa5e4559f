// SPDX-License-Identifier: Apache-2.0
//! Files by which networkd configures a link: `systemd.network(5)`.

use super::matching::{match_name, match_nic};
use super::relations::Relations;
use super::unit::{Section, Unit};
use crate::model::network::{Address, Device, Families, Interface, Nic, Route, Rule, Settings, setting};

/// The metric of routes that a lease brings where the configuration gives none: netplan's default.
const DHCP_METRIC: &str = "100";

/// The file by which networkd configures `interface`'s link.
pub(super) fn network_file(interface: &Interface, relations: &Relations, nics: &[Nic]) -> Unit {
    // Every field by its name: one that is added must be written, or be named here with the place that writes it.
    let Interface {
        id,
        place: _,
        pos: _,
        device,
        addresses,
        dhcp4,
        dhcp6,
        dhcp4_overrides,
        dhcp6_overrides,
        accept_ra,
        link_local: _,
        dns,
        search,
        routes,
        rules,
        mac,
        mtu,
        optional: _,
        critical,
        settings,
    } = interface;
    let master = relations.masters.get(id.as_str());
    // A port of a bond or a bridge has no addresses of its own; the port of a VRF has.
    let is_port = master.is_some_and(|m| !matches!(m.device, Device::Vrf(_)));
    let link_local = link_local(interface, is_port);

    let mut unit = Unit::default();
    match_link(unit.section("Match"), id, device, nics);
    let section = unit.section("Link");
    section.set_each("MTUBytes", mtu).set_each("MACAddress", mac);
    required(section, interface, is_port, link_local);

    let section = unit.section("Network");
    section.set("DHCP", Families { ipv4: *dhcp4, ipv6: *dhcp6 }.word());
    section.set("LinkLocalAddressing", link_local.word());
    section.set_each("IPv6AcceptRA", accept_ra.map(|accept| if accept { "yes" } else { "no" }));
    section.set_each("KeepConfiguration", critical.then_some("yes"));
    section.set_each("DNS", dns);
    section.set_each("Domains", (!search.is_empty()).then(|| search.join(" ")));
    section.set_each("Address", addresses.iter().filter(|a| is_plain(a)).map(|a| a.cidr));
    unit.settings(settings, |p| p.section != "DHCPv4" || *dhcp4);
    stacked(unit.section("Network"), interface, relations);
    if let Some(master) = master {
        port(&mut unit, interface, master);
    }
    if let Device::Ethernet(ethernet) = device {
        unit.settings(&ethernet.settings, |p| p.section != "Link");
    }
    if let Some(mode) = setting(settings, "ipv6-address-generation") {
        unit.section("IPv6AcceptRA").set("Token", if mode == "eui64" { "eui64" } else { "prefixstable" });
    }
    lease4(&mut unit, dhcp4_overrides, *dhcp4);
    lease6(&mut unit, dhcp6_overrides, *dhcp6);
    addresses.iter().filter(|a| !is_plain(a)).for_each(|a| address(&mut unit, a));
    routes.iter().for_each(|r| route(&mut unit, r));
    rules.iter().for_each(|r| rule(&mut unit, r));
    unit
}

/// Families that get a link-local address.
fn link_local(interface: &Interface, is_port: bool) -> Families {
    match interface.link_local {
        _ if is_port => Families::default(),
        Some(families) => families,
        None => Families { ipv4: false, ipv6: true },
    }
}

/// Which link the file is for.
fn match_link(section: &mut Section, id: &str, device: &Device, nics: &[Nic]) {
    let Device::Ethernet(ethernet) = device else {
        section.set("Name", id);
        return;
    };
    match_nic(section, ethernet, nics);
    match (&ethernet.set_name, &ethernet.matching) {
        // The address is enough, and holds when the renaming fails because the NIC was up already.
        (Some(_), matching) if matching.mac.is_some() => {}
        (Some(name), _) => match_name(section, "Name", name),
        (None, matching) if matching.is_empty() => match_name(section, "Name", id),
        (None, matching) => matching.name.iter().for_each(|name| match_name(section, "Name", name)),
    }
}

/// Whether and for what `systemd-networkd-wait-online` waits.
fn required(section: &mut Section, interface: &Interface, is_port: bool, link_local: Families) {
    let unaddressed = !is_port
        && interface.addresses.is_empty()
        && !(interface.dhcp4 || interface.dhcp6 || link_local.ipv4 || link_local.ipv6);
    if !interface.is_awaited() {
        section.set("RequiredForOnline", "no");
    } else if unaddressed {
        // It will never have the address that networkd waits for.
        section.set("RequiredForOnline", "carrier");
    }
}

/// What networkd creates on top of this link, and whether the link must be there before anything is plugged in.
fn stacked(section: &mut Section, interface: &Interface, relations: &Relations) {
    // What footplate creates must be there whether or not anything is plugged in below it.
    if !matches!(interface.device, Device::Ethernet(_))
        && setting(&interface.settings, "ignore-carrier").is_none()
    {
        section.set("ConfigureWithoutCarrier", "yes");
    }
    for above in relations.above.get(interface.id.as_str()).into_iter().flatten() {
        section.set(if matches!(above.device, Device::Vlan(_)) { "VLAN" } else { "VXLAN" }, &above.id);
    }
}

/// What makes a link a port of `master`.
fn port(unit: &mut Unit, interface: &Interface, master: &Interface) {
    let section = unit.section("Network");
    match &master.device {
        Device::Bond(bond) => {
            section.set("Bond", &master.id);
            if bond.primary.as_ref() == Some(&interface.id) {
                section.set("PrimarySlave", "yes");
            }
        }
        Device::Bridge(bridge) => {
            section.set("Bridge", &master.id);
            let own = bridge.port_settings.iter().filter(|(id, _)| *id == interface.id);
            own.for_each(|(_, own)| unit.settings(own, |_| true));
        }
        _ => {
            section.set("VRF", &master.id);
        }
    }
}

/// How a lease for IPv4 is used; written only where one is asked for.
fn lease4(unit: &mut Unit, overrides: &Settings, dhcp: bool) {
    if !dhcp {
        return;
    }
    if setting(overrides, "route-metric").is_none() {
        unit.section("DHCPv4").set("RouteMetric", DHCP_METRIC);
    }
    // networkd's own default is no, netplan's is yes.
    if setting(overrides, "use-mtu").is_none() {
        unit.section("DHCPv4").set("UseMTU", "yes");
    }
    unit.settings(overrides, |_| true);
}

/// How a lease for IPv6 and the router's advertisements are used.
fn lease6(unit: &mut Unit, overrides: &Settings, dhcp: bool) {
    if !dhcp {
        return;
    }
    if setting(overrides, "route-metric").is_none() {
        unit.section("IPv6AcceptRA").set("RouteMetric", DHCP_METRIC);
    }
    unit.settings(overrides, |_| true);
}

/// Whether `Address=` in `[Network]` says all of it.
fn is_plain(address: &Address) -> bool {
    let Address { cidr: _, peer, label, deprecated } = address;
    peer.is_none() && label.is_none() && !deprecated
}

fn address(unit: &mut Unit, address: &Address) {
    let Address { cidr, peer, label, deprecated } = address;
    let section = unit.another("Address");
    section
        .set("Address", cidr)
        .set_each("Peer", peer)
        .set_each("Label", label)
        .set_each("PreferredLifetime", deprecated.then_some("0"));
}

fn route(unit: &mut Unit, route: &Route) {
    let Route { to, via, from, on_link, kind, scope, settings } = route;
    let section = unit.another("Route");
    section.set("Destination", to).set_each("Gateway", via);
    section.set_each("GatewayOnLink", on_link.then_some("yes")).set_each("PreferredSource", from);
    let implied = match (kind, via) {
        (Some("local"), _) => Some("host"),
        (None | Some("unicast"), None) | (Some("broadcast" | "multicast" | "anycast"), _) => Some("link"),
        _ => None,
    };
    // The kernel has scopes for IPv4 alone.
    if let Some(scope) = scope.or(implied).filter(|s| *s != "global" && to.addr.is_ipv4()) {
        section.set("Scope", scope);
    }
    if let Some(kind) = kind.filter(|k| *k != "unicast") {
        section.set("Type", kind);
    }
    for (param, value) in settings {
        section.set(param.key, value);
    }
}

fn rule(unit: &mut Unit, rule: &Rule) {
    let Rule { from, to, settings } = rule;
    let section = unit.another("RoutingPolicyRule");
    section.set_each("From", from).set_each("To", to);
    for (param, value) in settings {
        section.set(param.key, value);
    }
}
