// SPDX-License-Identifier: Apache-2.0
//! Version 1 and OpenStack's `network_data.json` mean what cloud-init makes of them: its own modules turn generated
//! configurations into netplan's language, and both are read and rendered here. The other oracle test holds what netplan's
//! language means.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use footplate::facade::decode::{network, syntax::yaml};
use footplate::facade::plan::network::render;
use serde_json::{Value, json};

use crate::common::debian;
use crate::common::random::Rng;
use crate::common::scratch::{Ran, fresh};

/// Configurations of each language.
const CONFIGS: u64 = 120;

/// A file's name and what it says: a line for each entry, and one for each route.
type Files = BTreeMap<String, BTreeSet<String>>;

fn rendered(text: &str) -> Files {
    let (config, problems) = network::parse(&yaml::parse(text).unwrap());
    let errors: Vec<String> = problems.iter().filter(|p| p.is_error()).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:?}\n{text}");
    let files = render(&config, &[]).files;
    files.iter().map(|f| (f.path.rsplit('/').next().unwrap().to_owned(), meaning(&f.contents))).collect()
}

fn meaning(text: &str) -> BTreeSet<String> {
    let sections = text.split("\n[").skip(1);
    let lines = sections.flat_map(|section| {
        let (name, entries) = section.split_once("]\n").unwrap();
        let entries = entries.lines().filter(|l| !l.is_empty());
        match name {
            "Route" => {
                let mut entries: Vec<&str> = entries.collect();
                entries.sort_unstable();
                vec![format!("[{name}] {}", entries.join(" "))]
            }
            _ => entries.map(|entry| format!("[{name}] {entry}")).collect(),
        }
    });
    lines.collect()
}

/// Some of a subnet's keys. `n` tells its network from all others.
fn extras(rng: &mut Rng, n: usize, ipv6: bool, subnet: &mut Value) {
    let (gateway, other) = if ipv6 {
        (format!("2001:db8:{n}::1"), format!("2001:db8:{n}::9"))
    } else {
        (format!("10.{n}.0.1"), format!("10.{n}.0.9"))
    };
    // One default route of each family, so that no metrics are given.
    if n == 1 {
        subnet["gateway"] = json!(gateway);
    }
    let four = [
        json!({"network": format!("172.{n}.4.0"), "gateway": other}),
        json!({"network": format!("172.{n}.5.0"), "netmask": "255.255.255.0", "gateway": other, "metric": 7}),
        json!({"network": format!("172.{n}.6.0"), "netmask": "255.255.254.0", "gateway": other}),
    ];
    let six = [
        json!({"network": format!("2001:db8:a{n}::"), "gateway": other}),
        json!({"network": format!("2001:db8:b{n}::"), "netmask": "48", "gateway": other}),
        json!({"network": format!("2001:db8:c{n}::"), "netmask": "ffff:ffff:ffff:ffff::", "gateway": other, "metric": 3}),
    ];
    let all = if ipv6 { six } else { four };
    let routes: Vec<Value> = all.into_iter().filter(|_| rng.flip()).collect();
    if !routes.is_empty() {
        subnet["routes"] = json!(routes);
    }
    // A template without a value leaves an empty text.
    if subnet.get("gateway").is_none() && rng.below(4) == 0 {
        subnet["gateway"] = json!("");
    }
    if rng.flip() {
        subnet["dns_nameservers"] = json!([format!("192.0.2.{n}")]);
    }
    if rng.flip() {
        subnet["dns_search"] = json!([format!("s{n}.invalid")]);
    }
}

/// Parameters of a bond by the kernel's names.
fn bond_params(rng: &mut Rng, prefix: &str, primary: &str) -> Vec<(String, Value)> {
    let all = [
        ("miimon", json!(100)),
        ("updelay", json!(200)),
        ("downdelay", json!(300)),
        ("min_links", json!(1)),
        ("xmit_hash_policy", json!("layer3+4")),
        ("lacp_rate", json!("fast")),
        ("ad_select", json!("count")),
        ("arp_interval", json!(20)),
        ("fail_over_mac", json!("active")),
        ("primary", json!(primary)),
        ("primary_reselect", json!("better")),
    ];
    let mut params =
        vec![(format!("{prefix}mode"), json!(*rng.pick(&["active-backup", "802.3ad", "balance-rr"])))];
    for (name, value) in all {
        if rng.flip() {
            params.push((format!("{prefix}{name}"), value));
        }
    }
    params
}

fn version1(rng: &mut Rng) -> Value {
    let mut count = 0;
    let mut subnets = |rng: &mut Rng| {
        count += 1;
        let n = count;
        let mut subnets = Vec::new();
        if rng.flip() {
            let mut four = match rng.below(3) {
                0 => json!({"type": "static", "address": format!("10.{n}.0.2/16")}),
                1 => json!({"type": "static", "address": format!("10.{n}.0.2"), "netmask": "255.255.0.0"}),
                _ => json!({"type": "static", "address": format!("10.{n}.0.2"), "netmask": 16}),
            };
            extras(rng, n, false, &mut four);
            subnets.push(four);
        } else if rng.flip() {
            subnets.push(json!({"type": *rng.pick(&["dhcp", "dhcp4"])}));
        }
        match rng.below(4) {
            0 => {
                let mut six =
                    json!({"type": "static6", "address": format!("2001:db8:{n}::2"), "netmask": "64"});
                extras(rng, n, true, &mut six);
                subnets.push(six);
            }
            1 => subnets.push(json!({"type": "dhcp6"})),
            2 => subnets.push(json!({"type": "ipv6_dhcpv6-stateful"})),
            _ => {}
        }
        subnets
    };
    let mut config = Vec::new();
    // serde_json sorts its keys: `accept-ra` comes before `subnets`, as in PyYAML's output.
    let mut common = |rng: &mut Rng, entry: &mut Value| {
        entry["subnets"] = json!(subnets(rng));
        if rng.below(3) == 0 {
            entry["accept-ra"] = json!(rng.flip());
        }
        if rng.flip() {
            entry["mtu"] = json!(1400 + rng.below(100));
        }
    };
    for n in 0..3 {
        let mut nic = json!({"type": "physical", "name": format!("nic{n}")});
        if rng.flip() {
            nic["mac_address"] = json!(format!("02:00:00:00:0d:0{n}"));
        }
        common(rng, &mut nic);
        config.push(nic);
    }
    config.push(json!({"type": "physical", "name": "port0"}));
    config.push(json!({"type": "physical", "name": "port1"}));
    config.push(json!({"type": "physical", "name": "port2"}));
    let params: serde_json::Map<String, Value> = bond_params(rng, "bond-", "port1")
        .into_iter()
        .map(|(name, value)| (name.replace('_', "-"), value))
        .collect();
    let mut bond =
        json!({"type": "bond", "name": "bond0", "bond_interfaces": ["port0", "port1"], "params": params});
    common(rng, &mut bond);
    config.push(bond);
    let params = [
        ("bridge_ageing", json!(250)),
        ("bridge_bridgeprio", json!(22)),
        ("bridge_fd", json!(15)),
        ("bridge_hello", json!(2)),
        ("bridge_stp", json!(*rng.pick(&["on", "off"]))),
        ("bridge_pathcost", json!(["port2 50"])),
        ("bridge_portprio", json!(["port2 28"])),
        ("bridge_gcint", json!(2)),
    ];
    let params: serde_json::Map<String, Value> = params
        .into_iter()
        .filter(|_| rng.below(4) == 0)
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let mut bridge =
        json!({"type": "bridge", "name": "br0", "bridge_interfaces": ["port2"], "params": params});
    common(rng, &mut bridge);
    config.push(bridge);
    let link = *rng.pick(&["nic0", "bond0"]);
    let mut vlan = json!({"type": "vlan", "name": format!("{link}.5"), "vlan_link": link, "vlan_id": 5});
    common(rng, &mut vlan);
    config.push(vlan);
    json!({"version": 1, "config": config})
}

fn openstack(rng: &mut Rng) -> Value {
    let mut links = Vec::new();
    for n in 0..4 {
        let mut link = json!({"id": format!("nic{n}"), "name": format!("nic{n}"), "type": *rng.pick(&["phy", "ovs", "vif"]),
            "ethernet_mac_address": format!("fa:16:3e:00:0d:0{n}")});
        if rng.flip() {
            link["mtu"] = json!(1450);
        }
        links.push(link);
    }
    let mut bond = json!({"id": "the-bond", "type": "bond", "bond_links": ["nic2", "nic3"]});
    bond.as_object_mut().unwrap().extend(bond_params(rng, "bond_", "nic3"));
    links.push(bond);
    let link = *rng.pick(&["nic0", "the-bond"]);
    links.push(json!({"id": "tagged", "type": "vlan", "vlan_id": 1 + rng.below(4000), "vlan_link": link,
        "vlan_mac_address": "fa:16:3e:00:0d:0a"}));
    let mut networks = Vec::new();
    for (n, link) in ["nic0", "nic1", "the-bond", "tagged"].into_iter().enumerate() {
        let n = n + 1;
        match rng.below(3) {
            0 => networks.push(json!({"id": "four", "link": link, "type": "ipv4_dhcp"})),
            1 => {
                let mut four = json!({"id": "four", "link": link, "type": *rng.pick(&["ipv4", "static"]),
                    "ip_address": format!("10.{n}.0.2"), "netmask": "255.255.0.0"});
                extras(rng, n, false, &mut four);
                networks.push(four);
            }
            _ => {}
        }
        match rng.below(3) {
            0 => networks.push(
                json!({"id": "six", "link": link, "type": *rng.pick(&["ipv6_dhcp", "ipv6_dhcpv6-stateful"])}),
            ),
            1 => {
                let mut six = json!({"id": "six", "link": link, "type": *rng.pick(&["ipv6", "static6"]),
                    "ip_address": format!("2001:db8:{n}::2"), "netmask": *rng.pick(&["64", "ffff:ffff:ffff:ffff::"])});
                extras(rng, n, true, &mut six);
                networks.push(six);
            }
            _ => {}
        }
    }
    json!({"links": links, "networks": networks, "services": []})
}

#[test]
fn means_what_cloud_init_means() {
    let packages = needs!(debian::unpacked(crate::cloud_init_oracle::PACKAGES));
    let dir = fresh("network-cloud-init");
    let mut texts = BTreeMap::new();
    for seed in 1..=CONFIGS {
        let mut rng = Rng::new(seed);
        for (language, config) in [("v1", version1(&mut rng)), ("openstack", openstack(&mut rng))] {
            let (name, text) = (format!("{language}-{seed}"), format!("{config:#}"));
            fs::write(dir.join(format!("{name}.json")), &text).unwrap();
            texts.insert(name, text);
        }
    }
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cloud-init/network.py");
    let mut command = Command::new("timeout");
    command.args(["600", "/usr/bin/python3", "-S"]).arg(driver);
    Ran::of(command.arg(packages.join("usr/lib/python3/dist-packages")).arg(&dir)).ended(0, &[]);
    let mut advertised = 0;
    for (name, text) in texts {
        let netplan = fs::read_to_string(dir.join(format!("{name}.yaml"))).unwrap();
        let (mut ours, theirs) = (rendered(&text), rendered(&netplan));
        for (file, lines) in &mut ours {
            // A lease for IPv6 needs advertisements, which is the kernel's default too, unless forwarding is on, as on a node.
            let silent = theirs.get(file).is_some_and(|t| !t.iter().any(|l| l.contains("IPv6AcceptRA=")));
            advertised += usize::from(silent && lines.remove("[Network] IPv6AcceptRA=yes"));
        }
        for file in ours.keys().chain(theirs.keys()) {
            assert_eq!(ours.get(file), theirs.get(file), "{name}: {file}:\n{text}\n{netplan}");
        }
    }
    assert!(advertised > 0, "this difference never came up");
}
