// SPDX-License-Identifier: Apache-2.0
//! Names that NICs hold and give up to each other.
//!
//! udev renames a NIC with one call, and a name that another NIC still holds is refused: two NICs that are to swap
//! their names keep both. Worse, udev then gives the NIC up ("Failed to process device, ignoring: File exists"), and
//! networkd waits for it forever. So names are changed over before udev starts; where none is in the way, udev does it.

use std::collections::BTreeMap;

use super::files::Rendered;
use crate::model::network::{Device, NetworkConfig, Nic};

/// A NIC's name and the one that it is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The name now.
    pub from: String,
    /// The name to be.
    pub to: String,
}

/// Which NICs are not called as the configuration's `set-name` says. Those that it knows by their address: one that is
/// known by its name is called otherwise once it is renamed.
pub fn misnamed(rendered: &Rendered) -> Vec<Rename> {
    let mut wanted: BTreeMap<&str, &str> = BTreeMap::new();
    for interface in &rendered.interfaces {
        let Device::Ethernet(ethernet) = &interface.device else { continue };
        let (Some(name), Some(_)) = (&ethernet.set_name, &ethernet.matching.mac) else { continue };
        // A name for several NICs is one for none of them.
        let one = rendered.matches.iter().find(|m| m.interface == interface.id).filter(|m| m.nics.len() == 1);
        if let Some(nic) = one.map(|m| m.nics[0].as_str())
            && nic != name
            && wanted.values().all(|w| w != name)
        {
            wanted.insert(nic, name);
        }
    }
    wanted.into_iter().map(|(from, to)| Rename { from: from.to_owned(), to: to.to_owned() }).collect()
}

/// Takes the names out of a configuration for an initramfs: udev meets the NICs there as the kernel named them, with nothing
/// to change their names over before. Addresses are enough to know them by, and the real root names them.
pub fn without_names(config: &mut NetworkConfig) {
    for interface in &mut config.interfaces {
        if let Device::Ethernet(ethernet) = &mut interface.device
            && ethernet.matching.mac.is_some()
        {
            ethernet.set_name = None;
        }
    }
}

/// The renames that udev can't do since a name is taken, and the whole set of those that belong to them. A NIC without a
/// `set-name` that is in the way takes a name that came free. Each name occurs once on either side.
pub fn change_over(mut renames: Vec<Rename>, nics: &[Nic]) -> Vec<Rename> {
    let held = |name: &str| nics.iter().any(|n| n.name == name);
    if !renames.iter().any(|r| held(&r.to)) {
        return Vec::new();
    }
    let displaced = renames.iter().map(|r| &r.to).filter(|to| held(to));
    let displaced = displaced.filter(|to| renames.iter().all(|r| r.from != **to));
    let free = renames.iter().map(|r| &r.from).filter(|from| renames.iter().all(|r| r.to != **from));
    let moved: Vec<Rename> =
        displaced.zip(free).map(|(from, to)| Rename { from: from.clone(), to: to.clone() }).collect();
    renames.extend(moved);
    renames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nics(names: &str) -> Vec<Nic> {
        names.split(' ').map(|n| Nic { name: n.to_owned(), ..Nic::default() }).collect()
    }

    fn renames(text: &str) -> Vec<Rename> {
        let pair = |(from, to): (&str, &str)| Rename { from: from.to_owned(), to: to.to_owned() };
        text.split_whitespace().filter_map(|r| r.split_once('>')).map(pair).collect()
    }

    #[test]
    fn only_what_udev_can_t_do_is_changed_over() {
        let cases = [
            ("ens192 ens224", "ens192>eth1 ens224>eth0", ""),
            ("eth0 eth1", "", ""),
            ("eth0 eth1", "eth0>eth1 eth1>eth0", "eth0>eth1 eth1>eth0"),
            ("eth0 eth1", "eth1>eth0", "eth1>eth0 eth0>eth1"),
            ("eth0 eth1 eth2", "eth0>lan eth1>eth0", "eth0>lan eth1>eth0"),
            ("eth0 eth1 eth2", "eth1>eth0 eth2>eth1", "eth1>eth0 eth2>eth1 eth0>eth2"),
            ("a b c d", "a>b c>d", "a>b c>d b>a d>c"),
        ];
        for (have, wanted, want) in cases {
            assert_eq!(change_over(renames(wanted), &nics(have)), renames(want), "{have}: {wanted}");
        }
    }
}
