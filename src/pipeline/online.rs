// SPDX-License-Identifier: Apache-2.0
//! The network as the machine has it, held against what was asked: which cards there are, and whether the machine is
//! online in the metadata's sense. Flatcar's own `network-online.target` is reached when any one link is up.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::io::World;
use crate::model::facts::Link;
use crate::model::instance::WaitFor;
use crate::model::network::{Device, Interface, Nic, is_glob};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::plan::network::Rendered;

/// How often to look.
const POLL: Duration = Duration::from_millis(250);

/// The machine's NICs.
///
/// # Errors
/// It can't be asked.
pub fn nics_of(world: &dyn World) -> Result<Vec<Nic>> {
    Ok(nics(&world.links()?))
}

/// The links as the network's plan wants them.
fn nics(links: &[Link]) -> Vec<Nic> {
    links
        .iter()
        .map(|l| Nic {
            name: l.name.clone(),
            mac: l.mac.parse().ok(),
            permanent_mac: l.permanent_mac.as_ref().and_then(|m| m.parse().ok()),
            driver: l.driver.clone(),
            kind: l.kind.clone(),
        })
        .collect()
}

/// Waits until the machine is online: it has addresses of the families that the metadata asks for; else the default
/// routes that the configuration says, and an address on each link that is not optional. `rendered` is what footplate sets
/// up, asked for anew each time: links come. `tell` hears what is waited for, and how long it still is.
///
/// # Errors
/// It is not after `limit`; says which link lacks what.
pub fn wait(
    world: &dyn World,
    wait_for: WaitFor,
    limit: Duration,
    rendered: impl Fn() -> Result<Rendered, Failure>,
    mut tell: impl FnMut(String, Duration) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let lacking =
            lacking(wait_for, &rendered()?, &world.links().map_err(anyhow::Error::from).stage(Stage::Fetch)?);
        if lacking.is_empty() {
            return Ok(());
        }
        if start.elapsed() >= limit {
            let what = format!("not online after {} s: {}", limit.as_secs(), lacking.join("; "));
            return Err(anyhow!(what))
                .cure("look at `networkctl status`, and at the network in the metadata")
                .stage(Stage::Fetch);
        }
        tell(format!("the network: {}", lacking.join("; ")), limit.saturating_sub(start.elapsed()))?;
        std::thread::sleep(POLL);
    }
}

/// What the machine lacks of being online, in words.
fn lacking(wait_for: WaitFor, rendered: &Rendered, links: &[Link]) -> Vec<String> {
    let WaitFor { ipv4, ipv6 } = wait_for;
    if ipv4 || ipv6 {
        let names: Vec<&str> = links.iter().map(|l| l.name.as_str()).collect();
        let lacks = |asked: bool, v6: bool| asked && !links.iter().any(|l| has_address(l, v6));
        let family = |v6: bool| if v6 { "IPv6" } else { "IPv4" };
        let families = [(ipv4, false), (ipv6, true)].into_iter().filter(|(asked, v6)| lacks(*asked, *v6));
        return families
            .map(|(_, v6)| format!("no {} address on {}", family(v6), names.join(", ")))
            .collect();
    }
    lacking_of(rendered, links)
}

fn lacking_of(rendered: &Rendered, links: &[Link]) -> Vec<String> {
    let mut lacking = Vec::new();
    // A port has its master's addresses; one of its own has no effect.
    let masters = rendered.interfaces.iter().filter(|i| !matches!(i.device, Device::Vrf(_)));
    let ports: Vec<&String> = masters.flat_map(|i| i.device.ports()).collect();
    for interface in rendered.interfaces.iter().filter(|i| i.is_awaited() && !i.is_loopback()) {
        let matched = rendered.matches.iter().find(|m| m.interface == interface.id);
        let mine: Vec<&Link> = links
            .iter()
            .filter(|l| match matched {
                Some(matched) => matched.nics.contains(&l.name),
                None => interface.name() == Some(&l.name),
            })
            .collect();
        if mine.is_empty() && is_rule(interface) {
            continue;
        }
        if mine.is_empty() {
            let why = matched.map_or_else(|| "no such link".to_owned(), |m| m.why.clone());
            lacking.push(format!("{}: {why}", interface.id));
            continue;
        }
        if ports.contains(&&interface.id) {
            continue;
        }
        let has = |v6: bool| mine.iter().any(|l| has_address(l, v6));
        let fixed = |v6: bool| interface.addresses.iter().any(|a| a.cidr.addr.is_ipv6() == v6);
        let lease = |v6: bool| if v6 { interface.dhcp6 } else { interface.dhcp4 };
        // Which of two leases comes is the network's affair: networkd too calls a link online with either.
        let either = lease(false) && lease(true) && (has(false) || has(true));
        for v6 in [false, true] {
            if !has(v6) && (fixed(v6) || lease(v6) && !either) {
                let names: Vec<&str> = mine.iter().map(|l| l.name.as_str()).collect();
                let family = if v6 { "IPv6" } else { "IPv4" };
                lacking.push(format!("{} ({}) has no {family} address", interface.id, names.join(", ")));
            }
        }
    }
    // A link that may be missing may take its default route with it.
    let wanted = |v6: &bool| rendered.interfaces.iter().any(|i| i.is_awaited() && wants_default(i, *v6));
    for v6 in [false, true].into_iter().filter(wanted) {
        if !links.iter().any(|l| if v6 { l.default_route.1 } else { l.default_route.0 }) {
            lacking.push(format!("no default route of {}", if v6 { "IPv6" } else { "IPv4" }));
        }
    }
    lacking
}

/// Whether it matches any NICs by a glob or a driver, and does not name one.
fn is_rule(interface: &Interface) -> bool {
    let Device::Ethernet(ethernet) = &interface.device else { return false };
    let matching = &ethernet.matching;
    let named = matching.name.as_ref().is_some_and(|name| !is_glob(name));
    matching.mac.is_none() && !matching.is_empty() && !named
}

/// Whether a link has an address that reaches beyond it.
fn has_address(link: &Link, v6: bool) -> bool {
    link.addresses.iter().filter_map(|a| a.split('/').next()?.parse::<IpAddr>().ok()).any(|a| match a {
        IpAddr::V4(a) => !v6 && !a.is_link_local(),
        IpAddr::V6(a) => v6 && !a.is_unicast_link_local(),
    })
}

/// Whether a default route is written down; those of leases and advertisements may come or not.
fn wants_default(interface: &Interface, v6: bool) -> bool {
    let settings = |r: &crate::model::network::Route| r.table_and_metric().0.is_none();
    interface
        .routes
        .iter()
        .any(|r| r.to.prefix == 0 && r.to.addr.is_ipv6() == v6 && r.kind.is_none() && settings(r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{network, syntax::yaml};
    use crate::plan::network::render;

    fn rendered(text: &str, links: &[Link]) -> Rendered {
        let (config, problems) = network::parse(&yaml::parse(text).unwrap());
        assert!(problems.is_empty(), "{problems:?}");
        render(&config, &nics(links))
    }

    fn link(name: &str, mac: &str, addresses: &[&str], default: bool) -> Link {
        Link {
            name: name.to_owned(),
            mac: mac.to_owned(),
            permanent_mac: Some(mac.to_owned()),
            addresses: addresses.iter().map(|a| (*a).to_owned()).collect(),
            default_route: (default, false),
            ..Link::default()
        }
    }

    #[test]
    fn what_is_lacking_is_named() {
        let one = "version: 2\nethernets:\n  id0:\n    match: {macaddress: '00:50:56:aa:bb:07'}\n    set-name: eth0\n    \
            addresses: [192.0.2.2/24]\n    gateway4: 192.0.2.1\n";
        let two = format!("{one}  id1:\n    match: {{macaddress: '00:50:56:aa:bb:08'}}\n    dhcp4: true\n");
        let optional = format!("{two}    optional: true\n");
        let spare = optional.replace("    gateway4: 192.0.2.1\n", "")
            + "    addresses: [198.51.100.2/24]\n    gateway4: 198.51.100.1\n";
        let leases = "version: 2\nethernets: {eth0: {dhcp4: true, dhcp6: true}}\n".to_owned();
        let odd = format!(
            "{one}  down: {{match: {{name: ens9}}, dhcp4: true, activation-mode: 'off'}}\n  \
             loop: {{match: {{name: lo}}, addresses: [10.0.0.1/32]}}\n  all: {{match: {{name: 'enx*'}}, dhcp4: true}}\n  \
             cards: {{match: {{driver: mlx5_core}}, dhcp4: true}}\n  \
             id9: {{match: {{macaddress: '00:50:56:aa:bb:99'}}, dhcp4: true}}\n\
             bonds:\n  bond0: {{interfaces: [id9], addresses: [198.51.100.1/24]}}\n"
        );
        let twice = two.replace("bb:08", "bb:07");
        let up = link("eth0", "00:50:56:aa:bb:07", &["192.0.2.2/24"], true);
        let cases: &[(&str, Vec<Link>, &[&str])] = &[
            (one, vec![up.clone()], &[]),
            (one, vec![link("eth0", "00:50:56:aa:bb:07", &[], true)], &["id0 (eth0) has no IPv4 address"]),
            (
                one,
                vec![link("eth0", "00:50:56:aa:bb:07", &["192.0.2.2/24"], false)],
                &["no default route of IPv4"],
            ),
            (
                one,
                vec![link("ens192", "00:50:56:aa:bb:70", &["192.0.2.2/24"], true)],
                &["00:50:56:aa:bb:70 (ens192), 1 octet differs"],
            ),
            (
                &two,
                vec![up.clone(), link("ens224", "00:50:56:aa:bb:08", &["fe80::1/64"], false)],
                &["id1 (ens224)"],
            ),
            (&optional, vec![up.clone()], &[]),
            (&spare, vec![link("eth0", "00:50:56:aa:bb:07", &["192.0.2.2/24"], false)], &[]),
            (&leases, vec![link("eth0", "00:50:56:aa:bb:07", &["192.0.2.2/24"], true)], &[]),
            (&leases, vec![link("eth0", "00:50:56:aa:bb:07", &["2001:db8::2/64"], true)], &[]),
            (
                &leases,
                vec![link("eth0", "00:50:56:aa:bb:07", &["169.254.1.1/16", "fe80::2/64"], true)],
                &["no IPv4 address", "no IPv6 address"],
            ),
            // What is not waited for: a link that stays down, the loopback, a rule for NICs that aren't here, a port's
            // own address.
            (&odd, vec![up.clone(), link("bond0", "00:50:56:aa:bb:99", &["198.51.100.1/24"], false)], &[]),
            // A second entry for one NIC is left out of what is set up, and so of what is waited for.
            (&twice, vec![up.clone()], &[]),
        ];
        for (text, links, want) in cases {
            let lacking = lacking(WaitFor::default(), &rendered(text, links), links);
            assert_eq!(lacking.len(), want.len(), "{text}{lacking:?}");
            for (lacking, want) in lacking.iter().zip(*want) {
                assert!(lacking.contains(want), "{lacking}");
            }
        }
        let asks = WaitFor { ipv4: false, ipv6: true };
        let up = [up];
        assert_eq!(lacking(asks, &rendered(one, &up), &up), ["no IPv6 address on eth0"]);
    }
}
