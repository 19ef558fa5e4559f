// SPDX-License-Identifier: Apache-2.0
//! Files by which networkd creates a device.

use super::unit::{Section, Unit};
use crate::model::network::{Bond, Device, Interface, Key, Peer, Tunnel};

/// The file that creates `interface`'s device; none for a NIC.
pub(super) fn netdev(interface: &Interface) -> Option<Unit> {
    let kind = match &interface.device {
        Device::Ethernet(_) => return None,
        Device::Bond(_) => "bond",
        Device::Bridge(_) => "bridge",
        Device::Vlan(_) => "vlan",
        Device::Vrf(_) => "vrf",
        Device::Tunnel(t) => t.kind.kind,
        Device::Dummy => "dummy",
    };
    let mut unit = Unit::default();
    let section = unit.section("NetDev");
    section.set("Name", &interface.id).set("Kind", kind);
    if let Some(mac) = &interface.mac {
        section.set("MACAddress", mac);
    }
    if let Some(mtu) = interface.mtu {
        section.set("MTUBytes", mtu);
    }
    match &interface.device {
        Device::Ethernet(_) | Device::Dummy => {}
        Device::Bond(b) => bond(&mut unit, b),
        Device::Bridge(b) => unit.settings(&b.settings, |_| true),
        Device::Vlan(v) => {
            unit.section("VLAN").set("Id", v.id);
        }
        Device::Vrf(v) => {
            unit.section("VRF").set("Table", v.table);
        }
        Device::Tunnel(t) => tunnel(&mut unit, t),
    }
    Some(unit)
}

fn bond(unit: &mut Unit, bond: &Bond) {
    unit.settings(&bond.settings, |_| true);
    if !bond.arp_targets.is_empty() {
        let targets: Vec<String> = bond.arp_targets.iter().map(ToString::to_string).collect();
        unit.section("Bond").set("ARPIPTargets", targets.join(" "));
    }
}

fn tunnel(unit: &mut Unit, tunnel: &Tunnel) {
    match tunnel.kind.kind {
        "wireguard" => {
            key(unit.section("WireGuard"), "PrivateKey", "PrivateKeyFile", tunnel.private.as_ref());
            unit.settings(&tunnel.settings, |_| true);
            tunnel.peers.iter().for_each(|p| peer(unit, p));
        }
        "vxlan" => {
            let section = unit.section("VXLAN");
            if let Some(local) = tunnel.local {
                section.set("Local", local);
            }
            if let Some(remote) = tunnel.remote {
                section.set(if remote.is_multicast() { "Group" } else { "Remote" }, remote);
            }
            if let Some((first, last)) = tunnel.port_range {
                section.set("PortRange", format!("{first}-{last}"));
            }
            // Without a link to lie on, networkd would wait for one that names it.
            if tunnel.link.is_none() {
                section.set("Independent", "yes");
            }
            unit.settings(&tunnel.settings, |_| true);
        }
        _ => {
            let section = unit.section("Tunnel");
            // The kernel finds the way to the other end by its routes.
            section.set("Independent", "yes");
            if let Some(mode) = tunnel.kind.submode {
                section.set("Mode", mode);
            }
            for (name, end) in [("Local", tunnel.local), ("Remote", tunnel.remote)] {
                end.iter().for_each(|end| {
                    section.set(name, end);
                });
            }
            for (name, key) in [("InputKey", &tunnel.keys.0), ("OutputKey", &tunnel.keys.1)] {
                key.iter().for_each(|key| {
                    section.set(name, key);
                });
            }
            unit.settings(&tunnel.settings, |_| true);
        }
    }
}

fn peer(unit: &mut Unit, peer: &Peer) {
    let section = unit.another("WireGuardPeer");
    section.set("PublicKey", &peer.public);
    key(section, "PresharedKey", "PresharedKeyFile", peer.shared.as_ref());
    if !peer.allowed.is_empty() {
        let allowed: Vec<String> = peer.allowed.iter().map(ToString::to_string).collect();
        section.set("AllowedIPs", allowed.join(","));
    }
    if let Some(endpoint) = &peer.endpoint {
        section.set("Endpoint", endpoint);
    }
    if let Some(seconds) = peer.keepalive {
        section.set("PersistentKeepalive", seconds);
    }
}

/// A key or the file that has it. Keys are text in base64, or they would not have been read.
fn key(section: &mut Section, inline: &'static str, file: &'static str, key: Option<&Key>) {
    match key {
        Some(Key::Inline(secret)) => {
            section.set(inline, String::from_utf8_lossy(secret.expose()));
        }
        Some(Key::File(path)) => {
            section.set(file, path);
        }
        None => {}
    }
}
