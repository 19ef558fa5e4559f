// SPDX-License-Identifier: Apache-2.0
//! A network configuration as files for systemd-networkd and udev: `systemd.link(5)`, `systemd.netdev(5)`,
//! `systemd.network(5)`.
//!
//! The meaning is that of `netplan generate`; where it differs, the oracle test's table says so and why. The text depends
//! on the configuration and on hardware (has this NIC a permanent address?), never on names or addresses of the moment:
//! it is written anew at every boot, and must come out the same.

mod check;
mod files;
mod link;
mod matching;
pub mod naming;
mod netdev;
mod network_file;
mod relations;
mod theirs;
mod unit;

use std::collections::HashMap;

use crate::model::network::{Device, Interface, NetworkConfig, Nic};
use crate::model::problem::{Problem, Severity};
use files::escaped;
pub use files::{DIR, NOTHING_REQUIRED, NetFile, PREFIX, RUN_DIR, Rendered};
pub use matching::Matched;
use relations::Relations;
pub use theirs::{Theirs, step_back, theirs_in};
pub use unit::Unit;

/// Renders `config` for a machine with `nics`; none if they are not known, and hardware is assumed.
pub fn render(config: &NetworkConfig, nics: &[Nic]) -> Rendered {
    let mut out = Rendered { unusable: config.unusable.clone(), nics: nics.to_vec(), ..Rendered::default() };
    let mut interfaces = config.interfaces.clone();
    let lost = check::check(&mut interfaces, &mut out.problems);
    out.unusable.extend(lost);
    if !out.unusable.is_empty() && !interfaces.iter().any(reachable) {
        // Ports of a bond that was lost, say: as they are written they would keep the machine from its default, DHCP.
        let what = "no interface that can be used has an address, so the image's default network stays";
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
        out.add(interface, "network", &network_file::network_file(interface, &relations, nics));
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
        if let Some(unit) = link::link(interface, ethernet, &relations, nics) {
            out.add(interface, "link", &unit);
        }
    }
    out.files.sort_by(|a, b| a.path.cmp(&b.path));
    out.problems.extend(taken_twice(&out.matches));
    interfaces.retain(|i| !out.unusable[known..].contains(&i.id));
    out.usable = config.disabled || !interfaces.is_empty();
    out.interfaces = interfaces;
    out.nothing_required = out.requires_nothing(nics);
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
