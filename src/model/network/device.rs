// SPDX-License-Identifier: Apache-2.0
//! Kinds of devices: a NIC that the machine has, and those that networkd creates.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::net::{IpAddr, Ipv4Addr};

use super::address::{Cidr, Mac};
use super::settings::{Param, Settings, TUNNEL, VXLAN, WIREGUARD};
use crate::model::secret::Secret;

/// A sort of device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Device {
    /// A NIC that the machine has.
    Ethernet(Ethernet),
    /// Several links that act as one.
    Bond(Bond),
    /// A switch in the kernel.
    Bridge(Bridge),
    /// A tagged part of a link.
    Vlan(Vlan),
    /// A routing domain.
    Vrf(Vrf),
    /// A link inside of packets.
    Tunnel(Box<Tunnel>),
    /// A link to nowhere.
    Dummy,
}

impl Device {
    /// Ids of the interfaces that are ports of it.
    pub fn ports(&self) -> &[String] {
        match self {
            Self::Bond(b) => &b.ports,
            Self::Bridge(b) => &b.ports,
            Self::Vrf(v) => &v.ports,
            _ => &[],
        }
    }

    /// The same, to change.
    pub fn ports_mut(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::Bond(b) => Some(&mut b.ports),
            Self::Bridge(b) => Some(&mut b.ports),
            Self::Vrf(v) => Some(&mut v.ports),
            _ => None,
        }
    }

    /// Id of the interface below it.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Vlan(v) => Some(&v.link),
            Self::Tunnel(t) => t.link.as_deref(),
            _ => None,
        }
    }
}

/// Several links that act as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bond {
    /// Ids of its ports.
    pub ports: Vec<String>,
    /// Hosts to ask by ARP whether a port works, at most 16.
    pub arp_targets: Vec<Ipv4Addr>,
    /// Id of the port that is used while it works.
    pub primary: Option<String>,
    /// Rows of [`super::settings::BOND`].
    pub settings: Settings,
}

/// A switch in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bridge {
    /// Ids of its ports.
    pub ports: Vec<String>,
    /// Rows of [`super::settings::BRIDGE`].
    pub settings: Settings,
    /// Ports by id, with rows of [`super::settings::BRIDGE_PORT`].
    pub port_settings: Vec<(String, Settings)>,
}

/// A tagged part of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// The tag, 0 to 4094.
    pub id: u16,
    /// Id of the interface below it.
    pub link: String,
}

/// A routing domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vrf {
    /// Number of its routing table.
    pub table: u32,
    /// Ids of its ports.
    pub ports: Vec<String>,
}

/// A link inside of packets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tunnel {
    /// A row of [`TUNNELS`].
    pub kind: &'static TunnelKind,
    /// This end's address.
    pub local: Option<IpAddr>,
    /// The other end's address; a VXLAN's may be a multicast group.
    pub remote: Option<IpAddr>,
    /// Id of the interface below a VXLAN.
    pub link: Option<String>,
    /// The key of what comes in and of what goes out, in networkd's spelling.
    pub keys: (Option<String>, Option<String>),
    /// Source ports of a VXLAN, first and last.
    pub port_range: Option<(u16, u16)>,
    /// Rows of [`TUNNEL`], [`VXLAN`] or [`WIREGUARD`].
    pub settings: Settings,
    /// WireGuard's own key.
    pub private: Option<Key>,
    /// WireGuard's peers.
    pub peers: Vec<Peer>,
}

/// A sort of tunnel: netplan's mode and what networkd calls it.
#[derive(Debug, PartialEq, Eq)]
pub struct TunnelKind {
    /// netplan's `mode`.
    pub mode: &'static str,
    /// networkd's `Kind=`.
    pub kind: &'static str,
    /// networkd's `Mode=`, where one kind has several.
    pub submode: Option<&'static str>,
    /// Whether its ends have IPv6 addresses; unset for either.
    pub ipv6: Option<bool>,
    /// The table of its settings.
    pub settings: &'static [Param],
}

impl Serialize for TunnelKind {
    /// Its mode tells it from all others.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.mode.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for &'static TunnelKind {
    /// The one of that mode.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mode = String::deserialize(deserializer)?;
        TUNNELS.iter().find(|kind| kind.mode == mode).ok_or_else(|| D::Error::custom("no such tunnel"))
    }
}

/// A peer of WireGuard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// Its public key, base64.
    pub public: String,
    /// The key that only it and we have.
    pub shared: Option<Key>,
    /// Where to reach it, `host:port`.
    pub endpoint: Option<String>,
    /// Networks behind it.
    pub allowed: Vec<Cidr>,
    /// Seconds between packets that keep a firewall's state alive.
    pub keepalive: Option<u16>,
}

/// A secret key: itself, or the file that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Key {
    /// The key in base64.
    Inline(Secret),
    /// An absolute path.
    File(String),
}

/// A NIC that the machine has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ethernet {
    /// Which NIC; empty means the one named as the interface's id.
    pub matching: Match,
    /// The name to give it.
    pub set_name: Option<String>,
    /// Wake on a magic packet.
    pub wakeonlan: Option<bool>,
    /// Id of the NIC of which it is a virtual function (SR-IOV).
    pub function_of: Option<String>,
    /// Offloads and other settings that a `.link` file takes unchanged; rows of [`super::settings::ETHERNET`].
    pub settings: Settings,
}

/// Which NIC is meant; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// A shell glob over its name; a `!` before it means all others.
    pub name: Option<String>,
    /// Its permanent link-layer address.
    pub mac: Option<Mac>,
    /// Shell globs over its driver, one of which must hold; a `!` before the first means none of them.
    pub drivers: Vec<String>,
}

impl Match {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a pattern says more than one name.
pub fn is_glob(pattern: &str) -> bool {
    pattern.starts_with('!') || pattern.contains(['*', '?', '['])
}

const fn tunnel(
    mode: &'static str,
    kind: &'static str,
    submode: Option<&'static str>,
    ipv6: Option<bool>,
    settings: &'static [Param],
) -> TunnelKind {
    TunnelKind { mode, kind, submode, ipv6, settings }
}

/// Sorts of tunnels. netplan also has `isatap`, which networkd does not know.
pub const TUNNELS: &[TunnelKind] = &[
    tunnel("sit", "sit", None, Some(false), TUNNEL),
    tunnel("gre", "gre", None, Some(false), TUNNEL),
    tunnel("gretap", "gretap", None, Some(false), TUNNEL),
    tunnel("ipip", "ipip", None, Some(false), TUNNEL),
    tunnel("vti", "vti", None, Some(false), TUNNEL),
    tunnel("ip6gre", "ip6gre", None, Some(true), TUNNEL),
    tunnel("ip6gretap", "ip6gretap", None, Some(true), TUNNEL),
    tunnel("ipip6", "ip6tnl", Some("ipip6"), Some(true), TUNNEL),
    tunnel("ip6ip6", "ip6tnl", Some("ip6ip6"), Some(true), TUNNEL),
    tunnel("vti6", "vti6", None, Some(true), TUNNEL),
    tunnel("vxlan", "vxlan", None, None, VXLAN),
    tunnel("wireguard", "wireguard", None, None, WIREGUARD),
];
