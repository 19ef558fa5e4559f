// SPDX-License-Identifier: Apache-2.0
//! The network that a machine is to have, independent of the language that described it, and the NICs that it has.
//!
//! The words are [netplan's](https://netplan.readthedocs.io/en/stable/netplan-yaml/): it is the richest of the input
//! languages, and Cluster API's vSphere provider writes it. A setting that networkd takes unchanged is a row of a table
//! ([`Param`]); only a setting that needs more work has a field of its own.

use serde::{Deserialize, Serialize};
mod address;
mod device;
mod route;
mod settings;

use std::net::IpAddr;

use super::problem::Pos;
pub use address::{Address, Cidr, Families, Mac};
pub use device::{
    Bond, Bridge, Device, Ethernet, Key, Match, Peer, TUNNELS, Tunnel, TunnelKind, Vlan, Vrf, is_glob,
};
pub use route::{ROUTE_SCOPES, ROUTE_TYPES, Route, Rule};
pub use settings::{
    BOND, BRIDGE, BRIDGE_PORT, COMMON, DHCP4_OVERRIDES, DHCP6_OVERRIDES, ETHERNET, Form, Param, RA_OVERRIDES,
    ROUTE, RULE, Settings, TUNNEL, VXLAN, VXLAN_FLAGS, WIREGUARD, setting,
};

/// A whole network configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// The text says that networking is not to be configured (`config: disabled`).
    pub disabled: bool,
    /// What can be used, in the order of the text.
    pub interfaces: Vec<Interface>,
    /// Ids of the interfaces that the text names and that can't be used; a problem says why.
    pub unusable: Vec<String>,
    /// Name servers for a network that is set up by other means: `nameserver=` on a kernel command line without an interface.
    pub dns: Vec<std::net::IpAddr>,
    /// The name of the machine that `ip=` on a kernel command line gives.
    pub hostname: Option<String>,
}

impl NetworkConfig {
    /// Whether it says enough to act on: networking is off on purpose, or one interface at least can be set up.
    /// If not, the machine should keep its image's default, DHCP.
    pub fn usable(&self) -> bool {
        self.disabled || !self.interfaces.is_empty()
    }

    /// The interface called `id`.
    pub fn get(&self, id: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|i| i.id == id)
    }
}

/// One interface: a NIC that the machine has, or a device to create.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its key in the text: for a NIC without [`Match`] and for every created device also its name.
    pub id: String,
    /// Where the text speaks of it, `network.ethernets.id0`.
    pub place: String,
    /// The same as a position in the text.
    pub pos: Option<Pos>,
    /// What sort of device.
    pub device: Device,
    /// Addresses to give it.
    pub addresses: Vec<Address>,
    /// Ask for an IPv4 lease.
    pub dhcp4: bool,
    /// Ask for an IPv6 lease.
    pub dhcp6: bool,
    /// How the IPv4 lease is used; rows of [`DHCP4_OVERRIDES`].
    pub dhcp4_overrides: Settings,
    /// How the IPv6 lease and the router's advertisements are used; rows of [`DHCP6_OVERRIDES`].
    pub dhcp6_overrides: Settings,
    /// Heed router advertisements; unset leaves the kernel's default.
    pub accept_ra: Option<bool>,
    /// Families that get a link-local address; unset is IPv6 alone, and none for a port of a bond or a bridge.
    pub link_local: Option<Families>,
    /// Name servers, in the order of preference.
    pub dns: Vec<IpAddr>,
    /// Search domains; `~name` routes queries without searching.
    pub search: Vec<String>,
    /// Routes, default gateways among them.
    pub routes: Vec<Route>,
    /// Policy routing rules.
    pub rules: Vec<Rule>,
    /// The link-layer address to give it.
    pub mac: Option<Mac>,
    /// Bytes of a packet.
    pub mtu: Option<u32>,
    /// The boot need not wait for it.
    pub optional: bool,
    /// Its configuration stays when networkd stops.
    pub critical: bool,
    /// What networkd takes unchanged; rows of [`COMMON`].
    pub settings: Settings,
}

impl Interface {
    /// An interface of which nothing more is known.
    pub fn new(id: impl Into<String>, place: impl Into<String>, device: Device) -> Self {
        Self {
            id: id.into(),
            place: place.into(),
            pos: None,
            device,
            addresses: Vec::new(),
            dhcp4: false,
            dhcp6: false,
            dhcp4_overrides: Vec::new(),
            dhcp6_overrides: Vec::new(),
            accept_ra: None,
            link_local: None,
            dns: Vec::new(),
            search: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            mac: None,
            mtu: None,
            optional: false,
            critical: false,
            settings: Vec::new(),
        }
    }

    /// Whether it is the kernel's own link to itself, which is there and leads nowhere.
    pub fn is_loopback(&self) -> bool {
        let Device::Ethernet(e) = &self.device else { return false };
        let name = if e.matching.is_empty() { Some(self.id.as_str()) } else { e.matching.name.as_deref() };
        name == Some("lo")
    }

    /// Whether the boot waits for it. A link that a person is to bring up, or that stays down, can't hold up the boot.
    pub fn is_awaited(&self) -> bool {
        !self.optional && setting(&self.settings, "activation-mode").is_none()
    }

    /// The name the kernel will know it by, where the text says so.
    pub fn name(&self) -> Option<&str> {
        match &self.device {
            Device::Ethernet(e) => match &e.set_name {
                Some(name) => Some(name),
                None if e.matching.is_empty() => Some(&self.id),
                None => None,
            },
            _ => Some(&self.id),
        }
    }
}

/// A NIC (or another link) that the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Its name now.
    pub name: String,
    /// Its address now.
    pub mac: Option<Mac>,
    /// The address it was made with. Links without hardware behind them, veth for one, have none.
    pub permanent_mac: Option<Mac>,
    /// Its driver.
    pub driver: Option<String>,
    /// What sort of virtual link it is (`veth`, `bond`), none for hardware: `IFLA_INFO_KIND`.
    pub kind: Option<String>,
}
