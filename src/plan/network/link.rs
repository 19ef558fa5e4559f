// SPDX-License-Identifier: Apache-2.0
//! Files by which udev names a NIC and sets it up before networkd does: `systemd.link(5)`.

use super::matching::{match_name, match_nic};
use super::relations::Relations;
use super::unit::Unit;
use crate::model::network::{Ethernet, Interface, Nic, setting};

/// What a default file of systemd (`99-default.link`) says; the first `.link` file to match is the only one that counts,
/// so one of ours that gives no name must say it again, or the NIC keeps the kernel's `eth0`.
const DEFAULT_NAMING: &[(&str, &str)] = &[
    ("NamePolicy", "keep kernel database onboard slot path"),
    ("AlternativeNamesPolicy", "database onboard slot path"),
    ("MACAddressPolicy", "persistent"),
];

/// The file by which udev names a NIC and sets what must be set before it comes up, if there is anything to set.
pub(super) fn link(
    interface: &Interface,
    ethernet: &Ethernet,
    relations: &Relations,
    nics: &[Nic],
) -> Option<Unit> {
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
    said.settings(&ethernet.settings, |p| p.section == "Link");
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
        None => {
            let given = |key| ethernet.settings.iter().any(|(param, _)| param.key == key);
            let naming = DEFAULT_NAMING.iter().filter(|(key, _)| !given(*key));
            naming.for_each(|(key, value)| {
                section.set(key, value);
            });
        }
    }
    unit.append(said);
    Some(unit)
}
