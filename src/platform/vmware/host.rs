// SPDX-License-Identifier: Apache-2.0
//! What cloud-init adds on VMware from the running machine: its id, its name, and the addresses that the default routes
//! leave by.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Map, Value as Json, json};

use crate::io::World;
use crate::model::facts::{Facts, Link};
use crate::model::instance::Instance;
use crate::platform::Error;

/// Adds the id, the names and the addresses, unless guestinfo has them.
pub(super) fn complete(world: &dyn World, facts: &Facts, instance: &mut Instance) -> Result<(), Error> {
    if instance.instance_id.is_empty() {
        instance.instance_id = facts.dmi.product_uuid.to_ascii_lowercase();
    }
    let links = world.links()?;
    if let Some(name) = &instance.hostname {
        for key in ["hostname", "local-hostname", "local_hostname"] {
            instance.metadata.entry(key).or_insert_with(|| Json::from(name.as_str()));
        }
    }
    add_addresses(instance, &links);
    Ok(())
}

/// The addresses that the default routes leave by, IPv4 and IPv6.
pub(super) fn addresses(world: &dyn World) -> Result<(Option<IpAddr>, Option<IpAddr>), Error> {
    let links = world.links()?;
    let first = |is: fn(&Link) -> bool, family: fn(&IpAddr) -> bool| {
        let all = links.iter().filter(|l| is(l)).flat_map(|l| &l.addresses);
        all.filter_map(|a| usable(a)).find(family)
    };
    Ok((first(|l| l.default_route.0, IpAddr::is_ipv4), first(|l| l.default_route.1, IpAddr::is_ipv6)))
}

/// An address with or without its prefix length, unless it is of no use to others.
fn usable(address: &str) -> Option<IpAddr> {
    let ip: IpAddr = address.split('/').next()?.parse().ok()?;
    let local = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    };
    (!local).then_some(ip)
}

fn v4(address: &str) -> Option<Ipv4Addr> {
    if let IpAddr::V4(ip) = usable(address)? { Some(ip) } else { None }
}

fn v6(address: &str) -> Option<Ipv6Addr> {
    if let IpAddr::V6(ip) = usable(address)? { Some(ip) } else { None }
}

fn add_addresses(instance: &mut Instance, links: &[Link]) {
    // Without a default route yet, the first address that the metadata sets.
    let configured: Vec<String> = instance
        .network
        .iter()
        .flat_map(|n| &n.interfaces)
        .flat_map(|i| &i.addresses)
        .map(|a| a.cidr.to_string())
        .collect();
    let routed = |is: fn(&Link) -> bool| links.iter().filter(move |l| is(l)).flat_map(|l| &l.addresses);
    let sent = |name: &str| {
        instance.metadata.contains_key(name) || instance.metadata.contains_key(&name.replace('-', "_"))
    };
    if !sent("local-ipv4") {
        let mut all = routed(|l| l.default_route.0).chain(&configured);
        instance.addresses.local_v4 = all.find_map(|a| v4(a));
    }
    if !sent("local-ipv6") {
        let mut all = routed(|l| l.default_route.1).chain(&configured);
        instance.addresses.local_v6 = all.find_map(|a| v6(a));
    }
    let mut interfaces = json!({ "by-mac": {}, "by-ipv4": {}, "by-ipv6": {} });
    for link in links.iter().filter(|l| !l.addresses.is_empty() && !l.mac.is_empty()) {
        let of = |family: fn(&IpAddr) -> bool| -> Vec<Json> {
            let all = link.addresses.iter().filter_map(|a| usable(a)).filter(family);
            all.map(|a| json!({ "addr": a.to_string() })).collect()
        };
        interfaces["by-mac"][&link.mac] = json!({ "ipv4": of(IpAddr::is_ipv4), "ipv6": of(IpAddr::is_ipv6) });
        for ip in link.addresses.iter().filter_map(|a| usable(a)) {
            let family = if ip.is_ipv4() { "by-ipv4" } else { "by-ipv6" };
            interfaces[family][ip.to_string()] = json!({ "mac": link.mac });
        }
    }
    let network = instance.metadata.entry("network").or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(network) = network {
        network.insert("interfaces".to_owned(), interfaces);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_default_route_replaces_the_configured_one() {
        let link = |address: &str, default: bool| Link {
            mac: "00:50:56:00:00:01".to_owned(),
            addresses: vec!["169.254.3.4/16".to_owned(), address.to_owned()],
            default_route: (default, false),
            ..Link::default()
        };
        let mut instance = Instance::default();
        add_addresses(&mut instance, &[link("192.0.2.7/24", false)]);
        assert_eq!(instance.addresses.local_v4, None, "no route leaves by it");
        add_addresses(&mut instance, &[link("192.0.2.7/24", true)]);
        assert_eq!(instance.addresses.local_v4, Some(Ipv4Addr::new(192, 0, 2, 7)));
        let cards = &instance.metadata["network"]["interfaces"]["by-mac"];
        assert_eq!(cards["00:50:56:00:00:01"]["ipv4"], json!([{ "addr": "192.0.2.7" }]));
        let by_address = &instance.metadata["network"]["interfaces"]["by-ipv4"];
        assert_eq!(*by_address, json!({ "192.0.2.7": { "mac": "00:50:56:00:00:01" } }));
        instance.metadata.insert("local-ipv4".to_owned(), "198.51.100.1".into());
        instance.addresses.local_v4 = Some(Ipv4Addr::new(198, 51, 100, 1));
        add_addresses(&mut instance, &[link("192.0.2.8/24", true)]);
        assert_eq!(instance.addresses.local_v4, Some(Ipv4Addr::new(198, 51, 100, 1)), "it was sent");
    }
}
