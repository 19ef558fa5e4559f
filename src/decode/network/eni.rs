// SPDX-License-Identifier: Apache-2.0
//! `/etc/network/interfaces`' own format, [interfaces(5)](https://manpages.debian.org/bookworm/ifupdown/interfaces.5.en.html):
//! NoCloud's older way to a network, as `network-interfaces` in its `meta-data`.
//!
//! Each `iface` becomes a subnet as version 1 has them. What only ifupdown's own scripts could do is told, not done.

use super::common::{Dns, text_node};
use super::devices::vlan_id;
use super::read::{At, MAX_INTERFACES, Reader, bad_link_name, shown};
use super::subnet::{Words, name_servers, search_list, subnet};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::network::{Device, Ethernet, Interface, NetworkConfig, Vlan};
use crate::model::problem::{Pos, any_error};

/// The key of NoCloud's `meta-data`.
const PLACE: &str = "network-interfaces";

const WORDS: Words = Words {
    fixed: &["static"],
    bare: &["manual"],
    address: "address",
    own: &["mtu", "hwaddress", "accept-ra", "vlan-id", "vlan-raw-device"],
    types: "use static, dhcp, auto, manual or loopback",
};

/// Options of a stanza, and the keys of a subnet that say the same.
const OPTIONS: &[(&str, &str)] = &[
    ("accept-ra", "accept-ra"),
    ("address", "address"),
    ("broadcast", "broadcast"),
    ("dns-domain", "dns_search"),
    ("dns-nameserver", "dns_nameservers"),
    ("dns-nameservers", "dns_nameservers"),
    ("dns-search", "dns_search"),
    ("gateway", "gateway"),
    ("hwaddress", "hwaddress"),
    ("metric", "metric"),
    ("mtu", "mtu"),
    ("netmask", "netmask"),
    ("vlan-id", "vlan-id"),
    ("vlan-raw-device", "vlan-raw-device"),
];

/// Options that networkd takes in other words, if at all. What `network` says, the mask says.
const ELSEWHERE: &[&str] = &[
    "autoconf",
    "bootfile",
    "client",
    "dad-attempts",
    "dad-interval",
    "endpoint",
    "hostname",
    "hwaddr",
    "leasehours",
    "leasetime",
    "local",
    "media",
    "pointopoint",
    "pointtopoint",
    "preferred-lifetime",
    "privext",
    "request-prefix",
    "scope",
    "server",
    "ttl",
    "vendor",
];

/// Commands, which are ifupdown's to run.
const COMMANDS: &[&str] = &["down", "post-down", "post-up", "pre-down", "pre-up", "up"];

/// The setting of an interface that is not up by itself.
const MANUAL: &str = "activation-mode";

/// One `iface` with its options.
struct Stanza {
    name: String,
    place: String,
    entries: Vec<(Node, Node)>,
    /// It asks for what is not done here, and an error says so.
    broken: bool,
}

impl Stanza {
    fn set(&mut self, key: &str, value: &str) {
        self.entries.push((text_node(key), text_node(value)));
    }

    fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(k, _)| k.text() == Some(key))
    }

    /// Adds words to what is there.
    fn extend(&mut self, key: &str, words: &str) {
        let before = self.entries.iter().position(|(k, _)| k.text() == Some(key));
        let before = before.map(|n| self.entries.remove(n).1);
        let all =
            before.as_ref().and_then(Node::text).map_or(words.to_owned(), |old| format!("{old} {words}"));
        self.set(key, &all);
    }
}

pub(super) fn read(r: &mut Reader, text: &str) -> NetworkConfig {
    let mut config = NetworkConfig::default();
    let mut dns = Dns::default();
    let (stanzas, automatic) = stanzas(r, text);
    for mut stanza in stanzas {
        // `eth0:1` is one more address of eth0.
        let device = stanza.name.split(':').next().unwrap_or_default().to_owned();
        if !automatic.contains(&stanza.name) && !automatic.contains(&device) {
            stanza.set("control", "manual");
        }
        if stanza.broken {
            config.unusable.push(shown(&device));
            continue;
        }
        let node = Node { pos: Pos::default(), value: Value::Map(stanza.entries) };
        let at = At::new(&node, stanza.place);
        if device == "lo" {
            // The kernel sets up the loopback; name servers written there are the machine's.
            at.key("dns_nameservers").iter().for_each(|at| name_servers(r, &mut dns.servers, at));
            at.key("dns_search").iter().for_each(|at| search_list(r, &mut dns.search, at));
            continue;
        }
        interface(r, &mut config, &device, &at);
    }
    below_vlans(&mut config);
    dns.give(&mut config.interfaces);
    config
}

/// The NICs below VLANs: each has an interface, and one is up where its VLAN is to be up, as ifupdown has it.
fn below_vlans(config: &mut NetworkConfig) {
    let manual = |i: &Interface| i.settings.iter().any(|(row, _)| row.name == MANUAL);
    for n in 0..config.interfaces.len() {
        let over = &config.interfaces[n];
        let Device::Vlan(vlan) = &over.device else { continue };
        let (link, place, up) = (vlan.link.clone(), over.place.clone(), !manual(over));
        match config.interfaces.iter_mut().find(|i| i.id == link) {
            Some(nic) if up => nic.settings.retain(|(row, _)| row.name != MANUAL),
            Some(_) => {}
            None => {
                config.interfaces.push(Interface::new(link, &place, Device::Ethernet(Ethernet::default())))
            }
        }
    }
}

/// What an interface is: ifupdown makes a VLAN of `eth0.5`, and of `vlan5` with the NIC below it. `None` with an error where it is not
/// whole.
fn device(r: &mut Reader, name: &str, at: &At) -> Option<Device> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (before, tag) = name.split_at(name.len() - digits);
    let tag = Some(text_node(tag)).filter(|_| digits > 0);
    let raw = at.key("vlan-raw-device");
    let link = match raw.as_ref().and_then(|raw| r.text(raw)) {
        Some(raw) => raw,
        None if tag.is_some() && before == "vlan" => {
            r.error(at, "is a VLAN that does not name the NIC below it", "add `vlan-raw-device NIC`");
            return None;
        }
        None => match before.strip_suffix('.').filter(|_| tag.is_some()) {
            Some(link) => link,
            None => return Some(Device::Ethernet(Ethernet::default())),
        },
    };
    let id = match at.key("vlan-id") {
        Some(id) => vlan_id(r, &id),
        None => tag.and_then(|tag| vlan_id(r, &At::new(&tag, at.place.clone()))),
    };
    if id.is_none() || bad_link_name(link).is_some() {
        r.error(
            at,
            "is a VLAN without a tag or a NIC",
            "write `iface NIC.TAG`, or `vlan-raw-device` and `vlan-id`",
        );
    }
    Some(Device::Vlan(Vlan { id: id?, link: link.to_owned() }))
}

fn interface(r: &mut Reader, config: &mut NetworkConfig, name: &str, at: &At) {
    if let Some(why) = bad_link_name(name) {
        r.error(at, format!("is for an interface that can't have this name: {why}"), "");
        return config.unusable.push(shown(name));
    }
    let known = config.interfaces.iter().position(|i| i.id == name);
    if known.is_none() && config.interfaces.len() >= MAX_INTERFACES {
        return r.error(at, format!("is more interfaces than are read: at most {MAX_INTERFACES}"), "");
    }
    let n = match known {
        Some(n) => n,
        None => {
            let Some(device) = device(r, name, at) else { return config.unusable.push(shown(name)) };
            config.interfaces.push(Interface::new(name, &at.place, device));
            config.interfaces.len() - 1
        }
    };
    let to = &mut config.interfaces[n];
    if let Some(mtu) = at.key("mtu") {
        to.mtu = r.mtu(&mtu);
    }
    if let Some(ra) = at.key("accept-ra") {
        match ra.node.text() {
            Some("0") => to.accept_ra = Some(false),
            Some("1" | "2") => to.accept_ra = Some(true),
            _ => r.error(&ra, "is not 0, 1 or 2", "write 0 for no router advertisements"),
        }
    }
    // As cloud-init has it: the address says which NIC is meant, the stanza how it is called.
    if let Some(mac) = at.key("hwaddress").and_then(|mac| r.mac(&mac)) {
        match &mut to.device {
            Device::Ethernet(ethernet) => {
                ethernet.matching.mac = Some(mac);
                ethernet.set_name = Some(name.to_owned());
            }
            _ => to.mac = Some(mac),
        }
    }
    let before = r.problems.len();
    subnet(r, to, &WORDS, at);
    let broken = any_error(&r.problems[before..]);
    if broken && to.addresses.is_empty() && !to.dhcp4 && !to.dhcp6 && to.accept_ra != Some(true) {
        // The error is told. Without any address the image's default, DHCP, serves better.
        config.unusable.push(config.interfaces.remove(n).id);
    }
}

/// All `iface` stanzas, and the names that `auto` and `allow-hotplug` list.
fn stanzas(r: &mut Reader, text: &str) -> (Vec<Stanza>, Vec<String>) {
    let (mut stanzas, mut automatic) = (Vec::<Stanza>::new(), Vec::new());
    // Whether options belong to the last `iface`; what can't be used has options too.
    let mut open = false;
    for (number, line) in lines(text) {
        let node = text_node(&line);
        let at = At::new(&node, format!("{PLACE}: line {number}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some((first, rest)) = words.split_first() else { continue };
        match (*first, rest) {
            ("auto" | "allow-auto" | "allow-hotplug", names) => {
                automatic.extend(names.iter().map(|n| (*n).to_owned()));
                open = false;
            }
            ("iface", [name, family, method, ..]) => {
                let kind = kind(family, method);
                open = kind.is_some();
                match kind {
                    Some(kind) => {
                        let place = format!("{PLACE}: {}", shown(name));
                        let mut stanza =
                            Stanza { name: (*name).to_owned(), place, entries: Vec::new(), broken: false };
                        stanza.set("type", kind);
                        stanzas.push(stanza);
                    }
                    None => r.error(&at, "is a family or a method that is not supported", WORDS.types),
                }
            }
            ("iface", _) => r.error(&at, "is not a stanza", "write `iface NAME inet METHOD`"),
            ("mapping" | "source" | "source-directory" | "rename" | "template", _) => {
                r.warn(&at, "has no effect: Flatcar does not have ifupdown", "");
                open = false;
            }
            (option, values) if open => {
                if let Some(stanza) = stanzas.last_mut() {
                    option_of(r, stanza, option, values, &at);
                }
            }
            _ => {}
        }
    }
    (stanzas, automatic)
}

/// The type of subnet that a stanza is.
fn kind(family: &str, method: &str) -> Option<&'static str> {
    match (family, method) {
        ("inet" | "inet6", "static") => Some("static"),
        ("inet" | "inet6", "manual" | "loopback") => Some("manual"),
        ("inet", "dhcp") => Some("dhcp4"),
        ("inet6", "dhcp") => Some("dhcp6"),
        ("inet6", "auto") => Some("ipv6_slaac"),
        _ => None,
    }
}

fn option_of(r: &mut Reader, stanza: &mut Stanza, option: &str, values: &[&str], at: &At) {
    // ifupdown's hooks get `dns_search`, which Proxmox writes, and `dns-search` under one name.
    let option = option.replace('_', "-");
    match OPTIONS.iter().find(|(name, _)| *name == option) {
        Some((_, key @ ("dns_nameservers" | "dns_search"))) => stanza.extend(key, &values.join(" ")),
        Some((_, key)) if stanza.has(key) => {
            r.error(at, "is written twice", "write a second `iface` of this name")
        }
        // `hwaddress ether 00:50:…` is the longer form.
        Some(("hwaddress", key)) => stanza.set(key, values.last().copied().unwrap_or_default()),
        Some((_, key)) => stanza.set(key, &values.join(" ")),
        None if COMMANDS.contains(&option.as_str()) => r.warn(
            at,
            "is a command of ifupdown, and is not run",
            "write routes and the like in a network-config of version 2",
        ),
        None if ["bond", "bridge", "vlan"].iter().any(|device| option.starts_with(device)) => {
            r.error(
                at,
                "makes a device, which is not supported in this format",
                "write a network-config of version 2",
            );
            stanza.broken = true;
        }
        None if option == "network" => {}
        None if ELSEWHERE.contains(&option.as_str()) => {
            r.warn(at, "has no effect in this format", "write a network-config of version 2");
        }
        None => r.unknown(at),
    }
}

/// Lines with their numbers, without comments; one that ends in a backslash goes on in the next.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut joined = false;
    for (n, line) in text.lines().enumerate() {
        let (line, goes_on) = line.strip_suffix('\\').map_or((line, false), |line| (line, true));
        match lines.last_mut().filter(|_| joined) {
            Some((_, last)) => last.push_str(line),
            None if line.trim_start().starts_with('#') => continue,
            None => lines.push((n + 1, line.to_owned())),
        }
        joined = goes_on;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each interface with what it is, and how often an error is told.
    fn devices(text: &str) -> (Vec<String>, usize) {
        let mut r = Reader::default();
        let config = read(&mut r, text);
        let shown = config.interfaces.iter().map(|i| {
            let manual = if i.settings.iter().any(|(row, _)| row.name == MANUAL) { " manual" } else { "" };
            match &i.device {
                Device::Vlan(vlan) => format!("{}={}@{}{manual}", i.id, vlan.id, vlan.link),
                _ => format!("{}{manual}", i.id),
            }
        });
        (shown.collect(), r.problems.iter().filter(|p| p.is_error()).count())
    }

    #[test]
    fn options_of_ifupdown_are_applied_or_have_a_cure() {
        let stanza = |family: &str, options: &str| format!("auto e\niface e {family} static\n{options}");
        let v4 = "address 192.0.2.5\nnetmask 255.255.255.0\nnetwork 192.0.2.0\nbroadcast 192.0.2.255\ngateway 192.0.2.1\n";
        let v6 = |ra: &str| stanza("inet6", &format!("address 2001:db8::5/64\naccept_ra {ra}\n"));
        for (text, want) in [(v6("0"), Some(false)), (v6("2"), Some(true)), (stanza("inet", v4), None)] {
            let mut r = Reader::default();
            let config = read(&mut r, &text);
            assert_eq!(config.interfaces[0].accept_ra, want, "{text}");
            assert!(r.problems.is_empty(), "{text}: {:?}", r.problems);
        }
        for option in ELSEWHERE {
            let mut r = Reader::default();
            read(&mut r, &stanza("inet", &format!("address 192.0.2.5/24\n{option} x\n")));
            assert!(
                r.problems.iter().all(|p| !p.is_error() && p.cure.is_some()),
                "{option}: {:?}",
                r.problems
            );
            assert_eq!(r.problems.len(), 1, "{option}");
        }
    }

    #[test]
    fn vlans_are_those_of_ifupdown() {
        for (text, want, errors) in [
            ("auto eth0.5\niface eth0.5 inet dhcp\n", &["eth0.5=5@eth0", "eth0"][..], 0),
            ("auto ens3.0012\niface ens3.0012 inet6 auto\n", &["ens3.0012=12@ens3", "ens3"], 0),
            ("auto eth0.5\niface eth0 inet manual\niface eth0.5 inet dhcp\n", &["eth0", "eth0.5=5@eth0"], 0),
            ("iface eth0 inet manual\niface eth0.5 inet dhcp\n", &["eth0 manual", "eth0.5=5@eth0 manual"], 0),
            ("auto vlan7\niface vlan7 inet dhcp\n vlan-raw-device eth1\n", &["vlan7=7@eth1", "eth1"], 0),
            ("auto vlan7\niface vlan7 inet dhcp\n vlan_raw_device eth1\n", &["vlan7=7@eth1", "eth1"], 0),
            (
                "auto lan\niface lan inet dhcp\n vlan-raw-device eth1\n vlan-id 9\n",
                &["lan=9@eth1", "eth1"],
                0,
            ),
            ("auto e.9 e.9:1\niface e.9 inet manual\niface e.9:1 inet manual\n", &["e.9=9@e", "e"], 0),
            ("auto vlan7\niface vlan7 inet dhcp\n", &[], 1),
            ("auto lan\niface lan inet dhcp\n vlan-raw-device eth1\n", &[], 1),
            ("auto eth0.4095\niface eth0.4095 inet dhcp\n", &[], 2),
            ("auto eth0.x\niface eth0.x inet dhcp\n", &["eth0.x"], 0),
            ("auto bond0\niface bond0 inet dhcp\n bond-slaves eth0 eth1\n", &[], 1),
            ("auto br0\niface br0 inet dhcp\n bridge_ports eth0\n", &[], 1),
        ] {
            let want: Vec<String> = want.iter().map(|w| (*w).to_owned()).collect();
            assert_eq!(devices(text), (want, errors), "{text}");
        }
    }
}
