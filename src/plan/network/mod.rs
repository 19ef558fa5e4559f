// SPDX-License-Identifier: Apache-2.0
//! A network configuration as files for systemd-networkd and udev: `systemd.link(5)`, `systemd.netdev(5)`,
//! `systemd.network(5)`.
//!
//! The meaning is that of `netplan generate`; where it differs, the oracle test's table says so and why. The text depends
//! on the configuration and on hardware (has this NIC a permanent address?), never on names or addresses of the moment:
//! it is written anew at every boot, and must come out the same.

mod check;
mod matching;
pub mod naming;
mod netdev;
mod theirs;
mod unit;

use std::collections::HashMap;
use std::fmt;

use crate::model::network::{
    Device, Ethernet, Families, Interface, Key, NetworkConfig, Nic, Param, Route, Rule, Settings, setting,
};
use crate::model::problem::{Problem, Severity};
pub use matching::Matched;
use matching::{Address, address_of, is_glob};
pub use theirs::{Theirs, step_back};
pub use unit::{Section, Unit, Unwritable};

/// Where networkd and udev look for an administrator's files.
pub const DIR: &str = "/etc/systemd/network";

/// Where they look for those that last as long as the system runs; an initramfs leaves its own there.
pub const RUN_DIR: &str = "/run/systemd/network";

/// Sorts after what a person or the kernel's command line wrote (`00` to `10-dracut-cmdline`), before an image's
/// defaults (Flatcar's `yy-` and `zz-`).
pub const PREFIX: &str = "15-footplate-";

/// What a default file of systemd (`99-default.link`) says; the first `.link` file to match is the only one that counts,
/// so one of ours that gives no name must say it again, or the NIC keeps the kernel's `eth0`.
const DEFAULT_NAMING: &[(&str, &str)] = &[
    ("NamePolicy", "keep kernel database onboard slot path"),
    ("AlternativeNamesPolicy", "database onboard slot path"),
    ("MACAddressPolicy", "persistent"),
];

/// The metric of routes that a lease brings, unless the configuration names one: netplan's.
const DHCP_METRIC: &str = "100";

/// What is to be on the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rendered {
    /// The files, in the order of their paths.
    pub files: Vec<NetFile>,
    /// What is wrong with the configuration as a whole.
    pub problems: Vec<Problem>,
    /// For each NIC that the configuration names, which one it is; empty if the machine's NICs are not known.
    pub matches: Vec<Matched>,
    /// What is set up: the interfaces that the files are for.
    pub interfaces: Vec<Interface>,
    /// Ids of interfaces that can't be set up, those of the configuration among them.
    pub unusable: Vec<String>,
    /// Whether it says enough to act on; if not, the machine should keep its image's default, DHCP.
    pub usable: bool,
}

impl Rendered {
    /// Puts the files into `dir` in place of [`DIR`].
    pub fn place_in(&mut self, dir: &str) {
        for file in &mut self.files {
            if let Some(name) = file.path.strip_prefix(DIR) {
                file.path = format!("{}{name}", dir.trim_end_matches('/'));
            }
        }
    }
}

/// A file to write.
#[derive(Clone, PartialEq, Eq)]
pub struct NetFile {
    /// Its absolute path.
    pub path: String,
    /// Its text.
    pub contents: String,
    /// Its permissions, `0o644`; `0o640` where it holds a key.
    pub mode: u32,
    /// The group that may read it where not everyone may.
    pub group: Option<&'static str>,
    /// Whether it holds a key, so that its text must not be shown.
    pub secret: bool,
}

impl NetFile {
    /// Whether it is one of that interface's: `eth0.5.network` is not one of `eth0`.
    fn is_for(&self, id: &str) -> bool {
        let name = self.path.rsplit('/').next().and_then(|name| name.strip_prefix(PREFIX));
        name.and_then(|name| name.rsplit_once('.')).is_some_and(|(stem, _)| stem == escaped(id))
    }
}

impl fmt::Debug for NetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = if self.secret { "…" } else { &self.contents };
        f.debug_struct("NetFile")
            .field("path", &self.path)
            .field("contents", &contents)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

/// Renders `config` for a machine with `nics`; none if they are not known, and hardware is assumed.
pub fn render(config: &NetworkConfig, nics: &[Nic]) -> Rendered {
    let mut out = Rendered { unusable: config.unusable.clone(), ..Rendered::default() };
    let mut interfaces = config.interfaces.clone();
    let lost = check::check(&mut interfaces, &mut out.problems);
    out.unusable.extend(lost);
    if !out.unusable.is_empty() && !interfaces.iter().any(reachable) {
        // Ports of a bond that was lost, say: as they are written they would keep the machine from its default, DHCP.
        let what = "nothing that can be used has an address: the image's default stays";
        out.problems.push(Problem::error("network", what));
        out.unusable.extend(interfaces.drain(..).map(|i| i.id));
    }

    // What the writer refuses comes after those that are known by now.
    let known = out.unusable.len();
    let relations = Relations::new(&interfaces);
    for interface in &interfaces {
        if let Some(unit) = netdev::netdev(interface) {
            out.add(interface, "netdev", &unit);
        }
        out.add(interface, "network", &network(interface, &relations, nics));
        let Device::Ethernet(ethernet) = &interface.device else { continue };
        if !nics.is_empty() && !interface.is_loopback() {
            let matched = matching::explain(interface, ethernet, nics);
            if matched.nics.is_empty() {
                // A NIC may be plugged in later, and a name may be given later: the files are written all the same.
                let level = if ethernet.matching.mac.is_some() { Severity::Warning } else { Severity::Note };
                let problem = Problem { severity: level, ..Problem::warning(&interface.place, &matched.why) };
                out.problems.push(check::located(problem, interface));
            }
            out.matches.push(matched);
        }
        if let Some(unit) = link(interface, ethernet, &relations, nics) {
            out.add(interface, "link", &unit);
        }
    }
    out.files.sort_by(|a, b| a.path.cmp(&b.path));
    out.problems.extend(taken_twice(&out.matches));
    interfaces.retain(|i| !out.unusable[known..].contains(&i.id));
    out.usable = config.disabled || !interfaces.is_empty();
    out.interfaces = interfaces;
    out
}

/// NICs that several interfaces match: networkd configures each from the file that sorts first, and from that one alone.
fn taken_twice(matches: &[Matched]) -> Vec<Problem> {
    let mut sorted: Vec<&Matched> = matches.iter().collect();
    sorted.sort_by_key(|m| format!("{}.network", escaped(&m.interface)));
    let mut takers: HashMap<&str, &str> = HashMap::new();
    let mut problems = Vec::new();
    for matched in sorted {
        for nic in &matched.nics {
            let taker = *takers.entry(nic).or_insert(&matched.interface);
            if taker != matched.interface {
                let what = format!("{nic} is configured by {taker}, whose file sorts first");
                let problem = Problem::warning(format!("network {}", matched.interface), what);
                problems.push(
                    problem.cure("match each NIC once: by its macaddress, or by a name that fits no other"),
                );
            }
        }
    }
    problems
}

/// Whether the machine may be reached by this interface.
fn reachable(interface: &Interface) -> bool {
    let leads_out = !matches!(interface.device, Device::Dummy | Device::Tunnel(_) | Device::Vrf(_));
    let automatic = interface.dhcp4 || interface.dhcp6 || interface.accept_ra == Some(true);
    leads_out && !interface.is_loopback() && (automatic || !interface.addresses.is_empty())
}

/// How interfaces stand to each other.
struct Relations<'a> {
    /// From a port to what it is a port of.
    masters: HashMap<&'a str, &'a Interface>,
    /// From a link to what lies on it.
    above: HashMap<&'a str, Vec<&'a Interface>>,
    /// From a NIC to the number of its virtual functions that are named.
    functions: HashMap<&'a str, usize>,
}

impl<'a> Relations<'a> {
    fn new(interfaces: &'a [Interface]) -> Self {
        let mut relations =
            Self { masters: HashMap::new(), above: HashMap::new(), functions: HashMap::new() };
        for interface in interfaces {
            for port in interface.device.ports() {
                relations.masters.insert(port, interface);
            }
            if let Some(link) = interface.device.link() {
                relations.above.entry(link).or_default().push(interface);
            }
            if let Device::Ethernet(Ethernet { function_of: Some(nic), .. }) = &interface.device {
                *relations.functions.entry(nic).or_default() += 1;
            }
        }
        relations
    }
}

impl Rendered {
    fn add(&mut self, interface: &Interface, suffix: &str, unit: &Unit) {
        let comment = format!(
            "Written by footplate from {}; written again at every boot.\nA file that sorts before this one wins over it.",
            interface.place
        );
        match unit.write(&comment) {
            Ok(contents) => {
                let path = format!("{DIR}/{PREFIX}{}.{suffix}", escaped(&interface.id));
                let secret = has_key(interface) && suffix == "netdev";
                // networkd reads keys as its own user.
                let (mode, group) = if secret { (0o640, Some("systemd-network")) } else { (0o644, None) };
                self.files.push(NetFile { path, contents, mode, group, secret });
            }
            Err(Unwritable { section, key }) => {
                let what = format!(
                    "can't be written as {section}.{key}=: a control character, a blank or a backslash at its end"
                );
                self.problems.push(check::located(Problem::error(&interface.place, what), interface));
                self.files.retain(|f| !f.is_for(&interface.id));
                self.unusable.push(interface.id.clone());
            }
        }
    }
}

/// Whether the file that creates the device holds a secret key.
fn has_key(interface: &Interface) -> bool {
    let Device::Tunnel(tunnel) = &interface.device else { return false };
    let shared = tunnel.peers.iter().filter_map(|peer| peer.shared.as_ref());
    tunnel.private.iter().chain(shared).any(|key| matches!(key, Key::Inline(_)))
}

/// An id as part of a file name: what is not a letter, a digit or harmless becomes `\xNN`, as systemd escapes it.
fn escaped(id: &str) -> String {
    let mut out = String::new();
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

/// The file by which udev names a NIC and sets what must be set before it comes up, if there is anything to set.
fn link(interface: &Interface, ethernet: &Ethernet, relations: &Relations, nics: &[Nic]) -> Option<Unit> {
    let mut unit = Unit::default();
    let section = unit.section("Match");
    match_nic(section, ethernet, nics);
    match (&ethernet.matching.name, ethernet.matching.is_empty()) {
        (Some(name), _) => match_name(section, "OriginalName", name),
        (None, true) => match_name(section, "OriginalName", &interface.id),
        (None, false) => {}
    }

    let mut said = Unit::default();
    let section = said.section("Link");
    if let Some(wake) = ethernet.wakeonlan {
        section.set("WakeOnLan", if wake { "magic" } else { "off" });
    }
    if let Some(mtu) = interface.mtu {
        section.set("MTUBytes", mtu);
    }
    settings(&mut said, &ethernet.settings, |p| p.section == "Link");
    // A virtual function that has a configuration must be made.
    if let Some(count) = relations.functions.get(interface.id.as_str())
        && setting(&ethernet.settings, "virtual-function-count").is_none()
    {
        said.section("Link").set("SR-IOVVirtualFunctions", count);
    }
    if said.is_empty() && ethernet.set_name.is_none() {
        return None;
    }
    let section = unit.section("Link");
    match &ethernet.set_name {
        Some(name) => {
            section.set("Name", name);
        }
        None => DEFAULT_NAMING.iter().for_each(|(key, value)| {
            section.set(key, value);
        }),
    }
    unit.append(said);
    Some(unit)
}

/// The file by which networkd configures a link.
fn network(interface: &Interface, relations: &Relations, nics: &[Nic]) -> Unit {
    let mut unit = Unit::default();
    let section = unit.section("Match");
    match &interface.device {
        Device::Ethernet(ethernet) => {
            match_nic(section, ethernet, nics);
            match (&ethernet.set_name, &ethernet.matching) {
                // The address is enough, and holds when the renaming fails because the NIC was up already.
                (Some(_), matching) if matching.mac.is_some() => {}
                (Some(name), _) => match_name(section, "Name", name),
                (None, matching) if matching.is_empty() => match_name(section, "Name", &interface.id),
                (None, matching) => matching.name.iter().for_each(|name| match_name(section, "Name", name)),
            }
        }
        _ => {
            section.set("Name", &interface.id);
        }
    }

    let section = unit.section("Link");
    if let Some(mtu) = interface.mtu {
        section.set("MTUBytes", mtu);
    }
    if let Some(mac) = &interface.mac {
        section.set("MACAddress", mac);
    }
    let master = relations.masters.get(interface.id.as_str());
    // A port of a bond or a bridge has no addresses of its own; the port of a VRF has.
    let is_port = master.is_some_and(|m| !matches!(m.device, Device::Vrf(_)));
    let link_local = match interface.link_local {
        _ if is_port => Families::default(),
        Some(families) => families,
        None => Families { ipv4: false, ipv6: true },
    };
    let unaddressed = !is_port
        && interface.addresses.is_empty()
        && !(interface.dhcp4 || interface.dhcp6 || link_local.ipv4 || link_local.ipv6);
    if !interface.is_awaited() {
        section.set("RequiredForOnline", "no");
    } else if unaddressed {
        // It will never have the address that networkd waits for.
        section.set("RequiredForOnline", "carrier");
    }

    let section = unit.section("Network");
    section.set("DHCP", Families { ipv4: interface.dhcp4, ipv6: interface.dhcp6 }.word());
    section.set("LinkLocalAddressing", link_local.word());
    if let Some(accept) = interface.accept_ra {
        section.set("IPv6AcceptRA", yes_no(accept));
    }
    if interface.critical {
        section.set("KeepConfiguration", "yes");
    }
    for dns in &interface.dns {
        section.set("DNS", dns);
    }
    if !interface.search.is_empty() {
        section.set("Domains", interface.search.join(" "));
    }
    for address in interface.addresses.iter().filter(|a| a.label.is_none() && !a.deprecated) {
        section.set("Address", address.cidr);
    }
    settings(&mut unit, &interface.settings, |p| p.section != "DHCPv4" || interface.dhcp4);
    let section = unit.section("Network");
    // What footplate creates must be there whether or not anything is plugged in below it.
    if !matches!(interface.device, Device::Ethernet(_))
        && setting(&interface.settings, "ignore-carrier").is_none()
    {
        section.set("ConfigureWithoutCarrier", "yes");
    }
    for above in relations.above.get(interface.id.as_str()).into_iter().flatten() {
        section.set(if matches!(above.device, Device::Vlan(_)) { "VLAN" } else { "VXLAN" }, &above.id);
    }
    if let Some(master) = master {
        port(&mut unit, interface, master);
    }
    if let Device::Ethernet(ethernet) = &interface.device {
        settings(&mut unit, &ethernet.settings, |p| p.section != "Link");
    }
    if let Some(mode) = setting(&interface.settings, "ipv6-address-generation") {
        unit.section("IPv6AcceptRA").set("Token", if mode == "eui64" { "eui64" } else { "prefixstable" });
    }
    dhcp(&mut unit, interface);
    for address in interface.addresses.iter().filter(|a| a.label.is_some() || a.deprecated) {
        let section = unit.another("Address");
        section.set("Address", address.cidr);
        if let Some(label) = &address.label {
            section.set("Label", label);
        }
        if address.deprecated {
            section.set("PreferredLifetime", "0");
        }
    }
    interface.routes.iter().for_each(|r| route(&mut unit, r));
    interface.rules.iter().for_each(|r| rule(&mut unit, r));
    unit
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
            own.for_each(|(_, own)| settings(unit, own, |_| true));
        }
        _ => {
            section.set("VRF", &master.id);
        }
    }
}

/// `[Match]` lines for what is hardware: the address and the driver.
fn match_nic(section: &mut Section, ethernet: &Ethernet, nics: &[Nic]) {
    if let Some(mac) = &ethernet.matching.mac {
        match address_of(mac, nics) {
            Address::Permanent => {
                section.set("PermanentMACAddress", mac);
            }
            // Bonds, VLANs and bridges on top of it carry the same address; they must not get its configuration.
            Address::Current(kind) => {
                section.set("MACAddress", mac).set("Type", "ether").set("Kind", kind.unwrap_or("!*"));
            }
        }
    }
    if !ethernet.matching.drivers.is_empty() {
        section.set("Driver", ethernet.matching.drivers.join(" "));
    }
}

/// A `[Match]` line for a name. A glob is kept from virtual links: a node's pods have hundreds, some called `eth`-something.
fn match_name(section: &mut Section, key: &'static str, name: &str) {
    // `Name=*` says nothing that the next two lines don't.
    if name.bytes().any(|b| b != b'*') {
        section.set(key, name);
    }
    if is_glob(name) {
        section.set("Type", "ether").set("Kind", "!*");
    }
}

/// How leases are used. `[DHCPv4]` and `[DHCPv6]` are written where that family asks for a lease.
fn dhcp(unit: &mut Unit, interface: &Interface) {
    if interface.dhcp4 {
        let overrides = &interface.dhcp4_overrides;
        if setting(overrides, "route-metric").is_none() {
            unit.section("DHCPv4").set("RouteMetric", DHCP_METRIC);
        }
        // networkd's own default is not to; netplan's is.
        if setting(overrides, "use-mtu").is_none() {
            unit.section("DHCPv4").set("UseMTU", "yes");
        }
        settings(unit, overrides, |_| true);
    }
    if interface.dhcp6 {
        let overrides = &interface.dhcp6_overrides;
        if setting(overrides, "route-metric").is_none() {
            unit.section("IPv6AcceptRA").set("RouteMetric", DHCP_METRIC);
        }
        settings(unit, overrides, |_| true);
    }
}

fn route(unit: &mut Unit, route: &Route) {
    let section = unit.another("Route");
    section.set("Destination", route.to);
    if let Some(via) = route.via {
        section.set("Gateway", via);
    }
    if route.on_link {
        section.set("GatewayOnLink", "yes");
    }
    if let Some(from) = route.from {
        section.set("PreferredSource", from);
    }
    let implied = match (route.kind, route.via) {
        (Some("local"), _) => Some("host"),
        (None | Some("unicast"), None) | (Some("broadcast" | "multicast" | "anycast"), _) => Some("link"),
        _ => None,
    };
    // The kernel has scopes for IPv4 alone.
    if let Some(scope) = route.scope.or(implied).filter(|s| *s != "global" && route.to.addr.is_ipv4()) {
        section.set("Scope", scope);
    }
    if let Some(kind) = route.kind.filter(|k| *k != "unicast") {
        section.set("Type", kind);
    }
    for (param, value) in &route.settings {
        section.set(param.key, value);
    }
}

fn rule(unit: &mut Unit, rule: &Rule) {
    let section = unit.another("RoutingPolicyRule");
    for (key, network) in [("From", rule.from), ("To", rule.to)] {
        if let Some(network) = network {
            section.set(key, network);
        }
    }
    for (param, value) in &rule.settings {
        section.set(param.key, value);
    }
}

/// Writes the settings of those rows that `wanted` wants.
fn settings(unit: &mut Unit, settings: &Settings, wanted: impl Fn(&Param) -> bool) {
    for (param, value) in settings.iter().filter(|(p, _)| wanted(p)) {
        unit.section(param.section).set(param.key, value);
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
