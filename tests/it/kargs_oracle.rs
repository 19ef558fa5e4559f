// SPDX-License-Identifier: Apache-2.0
//! The kernel's arguments mean what systemd-network-generator makes of them, over a family of generated command lines.
//!
//! Both outputs are read back, and what [`SAID`] names is compared NIC by NIC. The rest differs on purpose: systemd leaves a
//! bond's options out and keeps a host name where nobody uses it (`findings/network-generator-*`), and a gateway outside of all
//! subnets gets its `GatewayOnLink=` here, without which the kernel refuses it. No line of the family has what the two read
//! differently: two arguments for one NIC add up here, and systemd's last one counts; `ip=dhcp` for every NIC stays here beside
//! an argument for one, and systemd drops it (`findings/network-generator-dhcp`); `on` and `any` are IPv4 here, as dracut has it;
//! and the tag of `vlan0100` is 100, which systemd reads as octal (`findings/network-generator-vlan`).
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use footplate::facade::decode::network;
use footplate::facade::model::network::Cidr;
use footplate::facade::model::problem::Severity;
use footplate::facade::plan::network::render;

use crate::common::random::Rng;
use crate::common::scratch::{Ran, fresh};

const GENERATOR: &str = "/usr/lib/systemd/systemd-network-generator";

/// Command lines to compare.
const LINES: u64 = 300;

/// What is compared: sections and their keys.
const SAID: &[(&str, &[&str])] = &[
    ("Network", &["DHCP", "Address", "DNS", "Bond", "Bridge", "VLAN"]),
    ("Link", &["MTUBytes", "MACAddress", "Name"]),
    ("NetDev", &["Name", "Kind", "MTUBytes"]),
    ("VLAN", &["Id"]),
    ("Address", &["Address", "Peer"]),
    ("Route", &["Destination", "Gateway"]),
];

/// A NIC or a device, and what is said of it.
type Meaning = BTreeMap<String, BTreeSet<String>>;

/// What a file says: a line for each key, and one for each address and each route.
fn meaning(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for section in text.split("\n[").skip(1) {
        let (name, entries) = section.split_once("]\n").unwrap();
        let Some((_, keys)) = SAID.iter().find(|(said, _)| *said == name) else { continue };
        let entries = entries.lines().filter_map(|line| line.split_once('='));
        let mut entries: BTreeMap<&str, Vec<String>> =
            entries.filter(|(key, _)| keys.contains(key)).fold(BTreeMap::new(), |mut all, (key, value)| {
                all.entry(key).or_insert_with(Vec::new).push(value.to_lowercase());
                all
            });
        match name {
            "Route" => {
                let gateway = entries.remove("Gateway").map_or(String::new(), |mut g| g.remove(0));
                let every = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
                let to = entries.remove("Destination").map_or(every.to_owned(), |mut d| d.remove(0));
                out.insert(format!("route {to} {gateway}"));
            }
            "Address" => {
                let peer = entries.remove("Peer").map(|mut peer| peer.remove(0)).map(|peer| {
                    let host = || peer.parse().map(Cidr::host).unwrap();
                    format!(" peer {}", peer.parse().unwrap_or_else(|()| host()))
                });
                let address = entries.remove("Address").unwrap().remove(0);
                out.insert(format!("address {address}{}", peer.unwrap_or_default()));
            }
            _ => {
                for address in entries.remove("Address").into_iter().flatten() {
                    out.insert(format!("address {address}"));
                }
                for (key, values) in entries {
                    out.extend(values.iter().filter(|v| *v != "no").map(|value| format!("{key}={value}")));
                }
            }
        }
    }
    out
}

fn ours(line: &str) -> Meaning {
    let (config, mut problems) = network::parse_kargs(line);
    let rendered = render(&config, &[]);
    problems.extend(rendered.problems.clone());
    assert!(problems.iter().all(|p| p.severity != Severity::Error), "{line}\n{problems:?}");
    let mut all = Meaning::new();
    for file in &rendered.files {
        add(&mut all, file.path.rsplit("15-footplate-").next().unwrap(), &file.contents);
    }
    all
}

/// What the files of a NIC or a device say together: an MTU may stand in any of them.
fn add(all: &mut Meaning, file: &str, text: &str) {
    let (name, _) = file.rsplit_once('.').unwrap();
    all.entry(name.to_owned()).or_default().extend(meaning(text));
}

fn theirs(dir: &Path, line: &str) -> Meaning {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    let mut generator = Command::new(GENERATOR);
    generator.arg(format!("--root={}", dir.display())).arg("--").args(line.split(' '));
    Ran::of(&mut generator).ended(0, &[]);
    let mut files = Meaning::new();
    for entry in fs::read_dir(dir.join("run/systemd/network")).unwrap() {
        let path = entry.unwrap().path();
        // `90-eth0.network`, or `91-default.network` for every NIC.
        let (_, name) = path.file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
        let name = name.replace("default.", "zz-every-nic.");
        add(&mut files, &name, &fs::read_to_string(&path).unwrap());
    }
    files
}

/// An `ip=` for that interface.
fn ip(rng: &mut Rng, name: &str, n: usize) -> String {
    let mac = format!("02:00:00:00:1d:{n:02x}");
    let way = *rng.pick(&["dhcp", "dhcp6", "auto6", "link6", "either6"]);
    match rng.below(6) {
        0 => format!("ip={name}:{way}"),
        1 => format!("ip={name}:{way}:{}", rng.pick(&["1400", "9000"])),
        2 => format!("ip={name}:{way}:{}:{mac}", rng.pick(&["", "1300"])),
        3 => format!("ip=::::node-{n}:{name}:{}", rng.pick(&["dhcp", "dhcp6", "auto6"])),
        4 => {
            let peer = rng.pick(&["", "198.51.100.7", "10.9.0.1/30"]);
            let gateway = rng.pick(&["", "10.0.0.1", "192.0.2.1"]);
            let mask = rng.pick(&["24", "255.255.255.0", "32", "255.255.254.0"]);
            let host = rng.pick(&["", "node", "a.example"]);
            let end =
                rng.pick(&["", ":1400", "::02:00:00:00:1d:aa", ":192.0.2.53", ":192.0.2.53:192.0.2.54"]);
            let way = rng.pick(&["none", "off"]);
            // Version 252 takes no prefix with a peer.
            let peer = peer.split('/').next().unwrap();
            format!("ip=10.0.0.{}:{peer}:{gateway}:{mask}:{host}:{name}:{way}{end}", n + 2)
        }
        _ => {
            let gateway = rng.pick(&["", "[2001:db8::1]", "[fe80::1]"]);
            let end = rng.pick(&["", ":1400:02:00:00:00:1d:ab", ":[2001:db8::53]:[2001:db8::54]"]);
            format!("ip=[2001:db8::{}]::{gateway}:64::{name}:none{end}", n + 2)
        }
    }
}

fn line(seed: u64) -> String {
    let mut rng = Rng::new(seed);
    let mut words = Vec::new();
    if rng.below(8) == 0 {
        return format!("ip={}", rng.pick(&["dhcp", "dhcp6", "auto6", "link6", "either6"]));
    }
    let mut known = Vec::new();
    for n in 0..3 {
        let name = format!("nic{n}");
        if rng.flip() {
            words.push(ip(&mut rng, &name, n));
            if rng.below(4) == 0 {
                words.push(format!("ifname={name}:02:00:00:00:1e:0{n}"));
            }
            known.push(name);
        }
    }
    if rng.flip() {
        let own = ip(&mut rng, "bond0", 3);
        let has_mtu = ["1300", "1400", "9000"].iter().any(|mtu| own.contains(mtu));
        let mtu = if has_mtu { "" } else { *rng.pick(&["", "::9000"]) };
        words.push(format!("bond=bond0:port0,port1{mtu}"));
        words.push(own);
        known.push("bond0".to_owned());
    }
    if rng.flip() {
        words.push("bridge=br0:port2,port3".to_owned());
        words.push(ip(&mut rng, "br0", 4));
    }
    if let Some(link) = known.first()
        && rng.flip()
    {
        let tag = rng.pick(&["vlan5", "vlan0005", "mgmt.0007", "vlan4094"]);
        words.push(format!("vlan={tag}:{link}"));
        words.push(ip(&mut rng, tag, 5));
    }
    for name in &known {
        if rng.below(3) == 0 {
            words.push(format!("rd.route=172.16.0.0/12:10.0.0.9:{name}"));
        }
        if rng.below(3) == 0 {
            words.push(format!("rd.route=[2001:db8:7::/48]:[2001:db8::9]:{name}"));
        }
    }
    if words.is_empty() {
        words.push(ip(&mut rng, "nic9", 9));
    }
    words.join(" ")
}

#[test]
fn means_what_systemd_means() {
    needs!(program(GENERATOR, "systemd"));
    let dir = fresh("network-generator");
    for seed in 1..=LINES {
        let line = line(seed);
        let (ours, theirs) = (ours(&line), theirs(&dir, &line));
        for name in ours.keys().chain(theirs.keys()) {
            assert_eq!(ours.get(name), theirs.get(name), "seed {seed}: {name}: {line}");
        }
    }
}
