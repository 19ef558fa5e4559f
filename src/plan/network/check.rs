// SPDX-License-Identifier: Apache-2.0
//! What can be wrong with a configuration as a whole, in whichever language it was written.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::model::network::{Device, Interface, ROUTE, Route, setting};
use crate::model::problem::Problem;

/// Takes out of `interfaces` what can't be set up, and says why; returns the ids.
pub(super) fn check(interfaces: &mut Vec<Interface>, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut lost = Vec::new();
    let mut names: HashMap<String, String> = HashMap::new();
    let mut matches: HashMap<String, String> = HashMap::new();
    interfaces.retain(|interface| {
        let clash = clash(interface, &mut names, &mut matches);
        if let Some((what, cure)) = &clash {
            problems.push(located(Problem::error(&interface.place, what), interface).cure(*cure));
            lost.push(interface.id.clone());
        }
        clash.is_none()
    });
    lost.extend(references(interfaces, problems));
    addressed_ports(interfaces, problems);
    routes_of_vrfs(interfaces);
    ordered_defaults(interfaces, problems);
    for interface in interfaces.iter_mut() {
        if interface.accept_ra == Some(true) && interface.link_local.is_some_and(|families| !families.ipv6) {
            let what = "`accept-ra` needs a link-local IPv6 address, which `link-local` leaves out";
            let problem = located(Problem::warning(&interface.place, what), interface);
            problems.push(problem.cure("add ipv6 to `link-local`, or leave it out"));
        }
        differing_overrides(interface, problems);
        gateways_on_link(interface, problems);
    }
    lost
}

pub(super) fn located(problem: Problem, interface: &Interface) -> Problem {
    Problem { pos: interface.pos, ..problem }
}

/// What an earlier interface has that this one wants too.
fn clash(
    interface: &Interface,
    names: &mut HashMap<String, String>,
    matches: &mut HashMap<String, String>,
) -> Option<(String, &'static str)> {
    // The id is the key of files and references, the name the kernel's: neither can be had twice.
    for name in [Some(interface.id.as_str()), interface.name()].into_iter().flatten() {
        if let Some(first) = names.insert(name.to_owned(), interface.place.clone())
            && first != interface.place
        {
            names.insert(name.to_owned(), first.clone());
            return Some((format!("takes a name that {first} has"), "give each interface a name of its own"));
        }
    }
    if let Device::Ethernet(e) = &interface.device
        && e.matching.mac.is_some()
    {
        let key = format!("{:?}", e.matching);
        if let Some(first) = matches.insert(key.clone(), interface.place.clone()) {
            let mac = e.matching.mac.as_ref().map(ToString::to_string).unwrap_or_default();
            matches.insert(key, first.clone());
            return Some((
                format!("is a second entry for {mac}, which {first} has"),
                "put both into one entry: networkd configures a NIC from one file alone",
            ));
        }
    }
    None
}

/// Removes interfaces whose `link` is missing, and from bonds and bridges ports that are missing.
fn references(interfaces: &mut Vec<Interface>, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut lost = Vec::new();
    one_master(interfaces, problems);
    loop {
        let known: HashSet<String> = interfaces.iter().map(|i| i.id.clone()).collect();
        let before = interfaces.len();
        interfaces.retain_mut(|interface| {
            let place = interface.place.clone();
            let pos = interface.pos;
            let mut tell = |what: String, cure: &str| {
                let problem = Problem { pos, ..Problem::error(&place, what) };
                problems.push(if cure.is_empty() { problem } else { problem.cure(cure) });
            };
            let had_ports = !interface.device.ports().is_empty();
            if let Some(ports) = interface.device.ports_mut() {
                ports.retain(|port| {
                    if !known.contains(port) {
                        tell(
                            format!("has a port that is not defined or not usable: {port:?}"),
                            "define that interface, or leave it out",
                        );
                    }
                    known.contains(port)
                });
            }
            let bare = had_ports && interface.device.ports().is_empty();
            let unlinked = interface.device.link().filter(|link| !known.contains(*link));
            if let Some(link) = unlinked {
                tell(format!("has a `link` that is not defined or not usable: {link:?}"), "define it");
            } else if bare && matches!(interface.device, Device::Bond(_)) {
                tell("is a bond without a usable port".to_owned(), "");
            } else {
                return true;
            }
            lost.push(interface.id.clone());
            false
        });
        if interfaces.len() == before {
            break;
        }
    }
    lost.extend(loops(interfaces, problems));
    lost
}

/// A link has one master: the first that claims it keeps it.
fn one_master(interfaces: &mut [Interface], problems: &mut Vec<Problem>) {
    let mut masters: HashMap<String, String> = HashMap::new();
    for interface in interfaces {
        let (place, pos) = (interface.place.clone(), interface.pos);
        let Some(ports) = interface.device.ports_mut() else { continue };
        ports.retain(|port| {
            let first = masters.entry(port.clone()).or_insert_with(|| place.clone());
            if *first == place {
                return true;
            }
            let problem =
                Problem::error(&place, format!("has {port:?} as a port, which is a port of {first}"));
            problems.push(
                pos.map_or(problem.clone(), |pos| problem.at(pos)).cure("leave it out of one of the two"),
            );
            false
        });
    }
}

/// Removes interfaces that depend on themselves: a VLAN on the bond that it is a port of.
fn loops(interfaces: &mut Vec<Interface>, problems: &mut Vec<Problem>) -> Vec<String> {
    // What each needs below it; removed from the bottom up, a loop is what remains.
    let mut needs: HashMap<String, HashSet<String>> = HashMap::new();
    for interface in interfaces.iter() {
        let below = interface.device.ports().iter().map(String::as_str).chain(interface.device.link());
        needs.insert(interface.id.clone(), below.map(str::to_owned).collect());
    }
    loop {
        let done: HashSet<String> =
            needs.iter().filter(|(_, below)| below.is_empty()).map(|(id, _)| id.clone()).collect();
        if done.is_empty() {
            break;
        }
        needs.retain(|id, _| !done.contains(id));
        needs.values_mut().for_each(|below| below.retain(|id| !done.contains(id)));
    }
    let mut lost = Vec::new();
    interfaces.retain(|interface| {
        let looped = needs.contains_key(&interface.id);
        if looped {
            let problem = Problem::error(
                &interface.place,
                "depends on itself through its ports or its `link`, or on an interface that does",
            );
            problems.push(located(problem, interface));
            lost.push(interface.id.clone());
        }
        !looped
    });
    lost
}

/// A port of a bond or a bridge passes all it gets to its master; addresses of its own are never heard of.
fn addressed_ports(interfaces: &[Interface], problems: &mut Vec<Problem>) {
    let masters = interfaces.iter().filter(|i| !matches!(i.device, Device::Vrf(_)));
    let ports: HashMap<&str, &str> =
        masters.flat_map(|m| m.device.ports().iter().map(|p| (p.as_str(), m.place.as_str()))).collect();
    for interface in interfaces {
        let addressed = interface.dhcp4 || interface.dhcp6 || !interface.addresses.is_empty();
        if let Some(master) = ports.get(interface.id.as_str()).filter(|_| addressed) {
            let what = format!("is a port of {master}, where its own addresses and DHCP have no effect");
            problems.push(
                located(Problem::warning(&interface.place, what), interface)
                    .cure("move them to the interface that it is a port of"),
            );
        }
    }
}

/// A VRF has no subnet of its own, so that no gateway is in reach of it: a route goes out by the port whose subnet holds its
/// gateway, in the VRF's table still.
fn routes_of_vrfs(interfaces: &mut [Interface]) {
    for vrf in 0..interfaces.len() {
        if !matches!(interfaces[vrf].device, Device::Vrf(_)) {
            continue;
        }
        let ports = interfaces[vrf].device.ports().to_vec();
        for route in std::mem::take(&mut interfaces[vrf].routes) {
            let leads = |i: &Interface| {
                let Some(via) = route.via.filter(|_| ports.contains(&i.id)) else { return false };
                // A lease's subnet is not known here.
                let lease = if via.is_ipv6() { i.dhcp6 } else { i.dhcp4 };
                i.addresses.iter().any(|a| a.subnet().contains(via)) || (lease && !route.on_link)
            };
            let port = interfaces.iter().position(leads);
            interfaces[port.unwrap_or(vrf)].routes.push(route);
        }
    }
}

/// Default routes of one family and table: the kernel takes several of one metric, and the one that it uses changes from
/// boot to boot. So each gets a metric of its own, in the order of the text.
fn ordered_defaults(interfaces: &mut [Interface], problems: &mut Vec<Problem>) {
    for interface in interfaces.iter_mut() {
        let mut seen = HashSet::new();
        // `gateway4` and the same route once more, say.
        interface.routes.retain(|route| route.to.prefix > 0 || seen.insert(format!("{route:?}")));
    }
    // All metrics that are written: one that is given must not be that of a route that comes later.
    let defaults = interfaces.iter().flat_map(|i| &i.routes).filter(|r| r.to.prefix == 0);
    let mut taken: HashSet<(Table, u32)> = defaults.map(|r| (table(r), metric(r))).collect();
    // Whose each metric is, and the least that may be free beyond it.
    let mut holders: HashMap<(Table, u32), (String, u32)> = HashMap::new();
    for interface in interfaces.iter_mut() {
        let place = interface.place.clone();
        let mut told = Vec::new();
        for route in interface.routes.iter_mut().filter(|r| r.to.prefix == 0) {
            let (table, metric) = (table(route), metric(route));
            let Some((first, next)) = holders.get_mut(&(table.clone(), metric)) else {
                holders.insert((table, metric), (place.clone(), metric));
                continue;
            };
            let whose = if *first == place { "another one of its own" } else { first.as_str() };
            let family = if table.0 { "IPv6" } else { "IPv4" };
            let what = format!("has a default route for {family} with the same metric as {whose}");
            let Some(free) = (*next..u32::MAX).find(|m| !taken.contains(&(table.clone(), *m))) else {
                told.push(format!("{what}, and no greater one is free"));
                continue;
            };
            *next = free;
            told.push(format!(
                "{what}: it gets the metric {free}, so it is used only when the other is gone"
            ));
            set_metric(route, free);
            taken.insert((table.clone(), free));
            holders.insert((table, free), (place.clone(), free));
        }
        for what in told {
            let cure = "give each default route a `metric` of its own, or remove one";
            problems.push(located(Problem::warning(&place, what), interface).cure(cure));
        }
    }
}

/// A routing table: whether of IPv6, and its number.
type Table = (bool, String);

fn table(route: &Route) -> Table {
    // 254 is the main table.
    (route.to.addr.is_ipv6(), route.table_and_metric().0.unwrap_or("254").to_owned())
}

/// The metric that the kernel gives a route: for IPv6, 1024 where it is 0 or not written.
fn metric(route: &Route) -> u32 {
    let written = route.table_and_metric().1.and_then(|m| m.parse().ok()).unwrap_or(0);
    if written == 0 && route.to.addr.is_ipv6() { 1024 } else { written }
}

fn set_metric(route: &mut Route, metric: u32) {
    route.settings.retain(|(p, _)| p.name != "metric");
    route.settings.extend(ROUTE.iter().find(|p| p.name == "metric").map(|p| (p, metric.to_string())));
}

/// Settings of the two families' leases that netplan wants alike, since it writes them once for both; and what it takes for
/// one that is not written.
const ALIKE: &[(&str, &str)] = &[
    ("hostname", ""),
    ("route-metric", ""),
    ("send-hostname", "yes"),
    ("use-dns", "yes"),
    ("use-domains", ""),
    ("use-hostname", "yes"),
    ("use-mtu", "yes"),
    ("use-ntp", "yes"),
    ("use-routes", "yes"),
];

/// Notes that netplan would refuse what is set up here.
fn differing_overrides(interface: &Interface, problems: &mut Vec<Problem>) {
    let (four, six) = (&interface.dhcp4_overrides, &interface.dhcp6_overrides);
    let differ = |(key, default): &&(&str, &str)| {
        setting(four, key).unwrap_or(default) != setting(six, key).unwrap_or(default)
    };
    let keys: Vec<&str> = ALIKE.iter().filter(differ).map(|(key, _)| *key).collect();
    if interface.dhcp4 && interface.dhcp6 && !keys.is_empty() {
        let what = format!(
            "dhcp4-overrides and dhcp6-overrides differ in {}: each family is set up as written, netplan would refuse it",
            keys.join(", ")
        );
        let note = located(Problem::note(&interface.place, what), interface);
        problems.push(note.cure("write the same in both if netplan is to read this too"));
    }
}

/// A gateway that no subnet of the interface holds is refused by the kernel unless the route says that it is there.
fn gateways_on_link(interface: &mut Interface, problems: &mut Vec<Problem>) {
    let reachable = |via: IpAddr, interface: &Interface| {
        // Leases and advertisements bring subnets that are not known here.
        let unknown = if via.is_ipv4() {
            interface.dhcp4
        } else {
            interface.dhcp6 || interface.accept_ra == Some(true)
        };
        let direct = |r: &Route| r.via.is_none() && r.to.prefix > 0 && r.to.contains(via);
        let link_local = matches!(via, IpAddr::V6(a) if a.is_unicast_link_local());
        unknown
            || link_local
            || interface.addresses.iter().any(|a| a.subnet().contains(via))
            || interface.routes.iter().any(direct)
    };
    let mut told = Vec::new();
    for i in 0..interface.routes.len() {
        let route = &interface.routes[i];
        let Some(via) = route.via.filter(|via| !route.on_link && !reachable(*via, interface)) else {
            continue;
        };
        interface.routes[i].on_link = true;
        if !told.contains(&via) {
            told.push(via);
            let what = format!(
                "the gateway {via} is in none of the interface's subnets; it is taken to be on the link"
            );
            let cure = "correct the gateway or the prefix, or write the route with `on-link: true`";
            problems.push(located(Problem::warning(&interface.place, what), interface).cure(cure));
        }
    }
}
