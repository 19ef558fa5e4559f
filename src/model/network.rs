// SPDX-License-Identifier: Apache-2.0
//! What a machine's network is to be, whatever language said it, and what NICs the machine has.
//!
//! The words are [netplan's](https://netplan.readthedocs.io/en/stable/netplan-yaml/): it is the richest of the input
//! languages, and Cluster API's vSphere provider writes it. A setting that networkd takes as it stands is a row of a
//! table below ([`Param`]); only what needs a thought has a field of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::finding::Pos;

/// A whole network configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkConfig {
    /// The text says that networking is not to be configured (`config: disabled`).
    pub disabled: bool,
    /// What can be used, in the order of the text.
    pub interfaces: Vec<Interface>,
    /// Ids of the interfaces that the text names and that can't be used; a finding says why.
    pub unusable: Vec<String>,
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
#[derive(Clone, Debug, PartialEq)]
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
    /// What networkd takes as it stands; rows of [`COMMON`].
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

    /// The name the kernel will know it by, where the text says so.
    pub fn name(&self) -> Option<&str> {
        match &self.device {
            Device::Ethernet(e) => match &e.set_name {
                Some(name) => Some(name),
                None if e.matching.is_empty() => Some(&self.id),
                None => None,
            },
        }
    }
}

/// A sort of device.
#[derive(Clone, Debug, PartialEq)]
pub enum Device {
    /// A NIC that the machine has.
    Ethernet(Ethernet),
}

/// A NIC that the machine has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ethernet {
    /// Which NIC; empty means the one named as the interface's id.
    pub matching: Match,
    /// The name to give it.
    pub set_name: Option<String>,
    /// Wake on a magic packet.
    pub wakeonlan: Option<bool>,
    /// Offloads and other things a `.link` file takes as they stand; rows of [`ETHERNET`].
    pub settings: Settings,
}

/// Which NIC is meant; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// A shell glob over its name.
    pub name: Option<String>,
    /// Its permanent link-layer address.
    pub mac: Option<Mac>,
    /// Shell globs over its driver, one of which must hold.
    pub drivers: Vec<String>,
}

impl Match {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// IPv4, IPv6, both or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

impl Families {
    /// As networkd spells it.
    pub fn word(self) -> &'static str {
        match (self.ipv4, self.ipv6) {
            (true, true) => "yes",
            (true, false) => "ipv4",
            (false, true) => "ipv6",
            (false, false) => "no",
        }
    }
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its subnet's prefix.
    pub cidr: Cidr,
    /// The label that `ip address` shows.
    pub label: Option<String>,
    /// Never to be chosen as a source address: its preferred lifetime is 0.
    pub deprecated: bool,
}

impl From<Cidr> for Address {
    fn from(cidr: Cidr) -> Self {
        Self { cidr, label: None, deprecated: false }
    }
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to, host bits zero; prefix 0 is the default route.
    pub to: Cidr,
    /// The next hop; none for a destination on the link itself.
    pub via: Option<IpAddr>,
    /// The source address for packets that take it.
    pub from: Option<IpAddr>,
    /// Take the next hop as on the link, though no address says so.
    pub on_link: bool,
    /// `unicast` (unset), `blackhole` and so on: one of [`ROUTE_TYPES`].
    pub kind: Option<&'static str>,
    /// One of [`ROUTE_SCOPES`].
    pub scope: Option<&'static str>,
    /// Numbers, as rows of [`ROUTE`].
    pub settings: Settings,
}

impl Route {
    /// A route to `to` by `via`.
    pub fn new(to: Cidr, via: Option<IpAddr>) -> Self {
        Self { to, via, from: None, on_link: false, kind: None, scope: None, settings: Vec::new() }
    }

    /// Its routing table and metric, as written; what tells default routes apart.
    pub fn table_and_metric(&self) -> (Option<&str>, Option<&str>) {
        (setting(&self.settings, "table"), setting(&self.settings, "metric"))
    }
}

/// A policy routing rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Packets from there.
    pub from: Option<Cidr>,
    /// Packets to there.
    pub to: Option<Cidr>,
    /// Numbers, as rows of [`RULE`].
    pub settings: Settings,
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    /// The address.
    pub addr: IpAddr,
    /// Bits of the prefix, 0 to 32 or 128.
    pub prefix: u8,
}

impl Cidr {
    /// One address alone.
    pub fn host(addr: IpAddr) -> Self {
        Self { addr, prefix: if addr.is_ipv4() { 32 } else { 128 } }
    }

    /// Everything of that family.
    pub fn default_route(ipv6: bool) -> Self {
        let addr = if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { IpAddr::from(Ipv4Addr::UNSPECIFIED) };
        Self { addr, prefix: 0 }
    }

    /// The same with its host bits zero.
    #[must_use]
    pub fn network(self) -> Self {
        let addr = match self.addr {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                Ipv4Addr::from(u32::from(a) & mask).into()
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                Ipv6Addr::from(u128::from(a) & mask).into()
            }
        };
        Self { addr, prefix: self.prefix }
    }

    /// Whether `addr` lies in its network.
    pub fn contains(self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4()
            && Self { addr, prefix: self.prefix }.network() == self.network()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ();

    /// `address/prefix`; the prefix must be there, in digits alone.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (addr, prefix) = text.split_once('/').ok_or(())?;
        let addr: IpAddr = addr.parse().map_err(|_| ())?;
        let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u8 = if digits { prefix.parse().map_err(|_| ())? } else { return Err(()) };
        if prefix > Self::host(addr).prefix { Err(()) } else { Ok(Self { addr, prefix }) }
    }
}

/// A link-layer address: 6 octets, or 20 for InfiniBand. Shows in lower case with colons.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(Vec<u8>);

impl Mac {
    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// How many octets differ; none if the lengths do.
    pub fn distance(&self, other: &Self) -> Option<usize> {
        let pairs = self.0.iter().zip(&other.0);
        (self.0.len() == other.0.len()).then(|| pairs.filter(|(a, b)| a != b).count())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl FromStr for Mac {
    type Err = ();

    /// Two hexadecimal digits an octet, `:` or `-` between.
    fn from_str(text: &str) -> Result<Self, ()> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let octet = |s: &str| {
            let hex = s.len() == 2 && s.bytes().all(|b| b.is_ascii_hexdigit());
            if hex { u8::from_str_radix(s, 16).map_err(|_| ()) } else { Err(()) }
        };
        let octets: Vec<u8> = text.split(separator).take(21).map(octet).collect::<Result<_, ()>>()?;
        if matches!(octets.len(), 6 | 20) { Ok(Self(octets)) } else { Err(()) }
    }
}

/// A NIC (or another link) that the machine has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// A setting that networkd takes as it stands: one row, one key.
#[derive(Debug, PartialEq, Eq)]
pub struct Param {
    /// Its key in netplan.
    pub name: &'static str,
    /// Its section in networkd's file.
    pub section: &'static str,
    /// Its key there.
    pub key: &'static str,
    /// What may be written.
    pub form: Form,
}

/// What a setting's value may be.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// A boolean; becomes `yes` or `no`.
    Bool,
    /// A boolean or one of these words.
    BoolOr(&'static [&'static str]),
    /// A whole number in this range.
    Number(i64, i64),
    /// A time: a number with a suffix, or in this unit without one.
    Time(&'static str),
    /// One of the first words, written as the second.
    Word(&'static [(&'static str, &'static str)]),
    /// A host name.
    Hostname,
    /// An IPv6 interface identifier.
    Token,
}

/// Settings of some table, with values as networkd spells them; each row at most once.
pub type Settings = Vec<(&'static Param, String)>;

/// The value of the row called `name`.
pub fn setting<'a>(settings: &'a Settings, name: &str) -> Option<&'a str> {
    settings.iter().find(|(p, _)| p.name == name).map(|(_, v)| v.as_str())
}

const fn param(name: &'static str, section: &'static str, key: &'static str, form: Form) -> Param {
    Param { name, section, key, form }
}

const U32: Form = Form::Number(0, u32::MAX as i64);
const POSITIVE: Form = Form::Number(1, u32::MAX as i64);

/// What every interface's `.network` file takes as it stands.
pub const COMMON: &[Param] = &[
    param(
        "activation-mode",
        "Link",
        "ActivationPolicy",
        Form::Word(&[("manual", "manual"), ("off", "always-down")]),
    ),
    param("emit-lldp", "Network", "EmitLLDP", Form::Bool),
    param("ipv6-privacy", "Network", "IPv6PrivacyExtensions", Form::Bool),
    // 1280 is the least that IPv6 works with, RFC 8200 section 5.
    param("ipv6-mtu", "Network", "IPv6MTUBytes", Form::Number(1280, u32::MAX as i64)),
    param("ignore-carrier", "Network", "ConfigureWithoutCarrier", Form::Bool),
    param("dhcp-identifier", "DHCPv4", "ClientIdentifier", Form::Word(&[("mac", "mac"), ("duid", "duid")])),
    param("ipv6-address-token", "IPv6AcceptRA", "Token", Form::Token),
    // The key of the link-local address; the writer adds the same for the addresses made from advertised prefixes.
    param(
        "ipv6-address-generation",
        "Network",
        "IPv6LinkLocalAddressGenerationMode",
        Form::Word(&[("eui64", "eui64"), ("stable-privacy", "stable-privacy")]),
    ),
    param("neigh-suppress", "Bridge", "NeighborSuppression", Form::Bool),
];

/// What a NIC's `.link` file takes as it stands.
pub const ETHERNET: &[Param] = &[
    param("receive-checksum-offload", "Link", "ReceiveChecksumOffload", Form::Bool),
    param("transmit-checksum-offload", "Link", "TransmitChecksumOffload", Form::Bool),
    param("tcp-segmentation-offload", "Link", "TCPSegmentationOffload", Form::Bool),
    param("tcp6-segmentation-offload", "Link", "TCP6SegmentationOffload", Form::Bool),
    param("generic-segmentation-offload", "Link", "GenericSegmentationOffload", Form::Bool),
    param("generic-receive-offload", "Link", "GenericReceiveOffload", Form::Bool),
    param("large-receive-offload", "Link", "LargeReceiveOffload", Form::Bool),
];

const USE_DOMAINS: Form = Form::BoolOr(&["route"]);

/// How a lease for IPv4 is used. All that netplan has; it writes some under a common section of its own age.
pub const DHCP4_OVERRIDES: &[Param] = &[
    param("hostname", "DHCPv4", "Hostname", Form::Hostname),
    param("route-metric", "DHCPv4", "RouteMetric", U32),
    param("send-hostname", "DHCPv4", "SendHostname", Form::Bool),
    param("use-dns", "DHCPv4", "UseDNS", Form::Bool),
    param("use-domains", "DHCPv4", "UseDomains", USE_DOMAINS),
    param("use-hostname", "DHCPv4", "UseHostname", Form::Bool),
    param("use-mtu", "DHCPv4", "UseMTU", Form::Bool),
    param("use-ntp", "DHCPv4", "UseNTP", Form::Bool),
    param("use-routes", "DHCPv4", "UseRoutes", Form::Bool),
];

/// The same for IPv6. Routes and the MTU come by router advertisement there, not by DHCP.
pub const DHCP6_OVERRIDES: &[Param] = &[
    param("hostname", "DHCPv6", "Hostname", Form::Hostname),
    param("route-metric", "IPv6AcceptRA", "RouteMetric", U32),
    param("send-hostname", "DHCPv6", "SendHostname", Form::Bool),
    param("use-dns", "DHCPv6", "UseDNS", Form::Bool),
    param("use-domains", "DHCPv6", "UseDomains", USE_DOMAINS),
    param("use-hostname", "DHCPv6", "UseHostname", Form::Bool),
    param("use-mtu", "IPv6AcceptRA", "UseMTU", Form::Bool),
    param("use-ntp", "DHCPv6", "UseNTP", Form::Bool),
    // The default route; networkd has no one key for all of an advertisement's routes.
    param("use-routes", "IPv6AcceptRA", "UseGateway", Form::Bool),
];

/// A route's numbers.
pub const ROUTE: &[Param] = &[
    param("metric", "Route", "Metric", U32),
    param("table", "Route", "Table", POSITIVE),
    param("mtu", "Route", "MTUBytes", POSITIVE),
    param("congestion-window", "Route", "InitialCongestionWindow", POSITIVE),
    param("advertised-receive-window", "Route", "InitialAdvertisedReceiveWindow", POSITIVE),
    param("advertised-mss", "Route", "TCPAdvertisedMaximumSegmentSize", POSITIVE),
];

/// Types of a route that networkd knows. netplan also knows `nat`, which the kernel dropped in 2.6.
pub const ROUTE_TYPES: &[&str] = &[
    "unicast",
    "anycast",
    "blackhole",
    "broadcast",
    "local",
    "multicast",
    "prohibit",
    "throw",
    "unreachable",
    "xresolve",
];

/// Scopes of a route.
pub const ROUTE_SCOPES: &[&str] = &["global", "link", "host"];

/// A policy routing rule's numbers.
pub const RULE: &[Param] = &[
    param("table", "RoutingPolicyRule", "Table", POSITIVE),
    param("priority", "RoutingPolicyRule", "Priority", U32),
    param("mark", "RoutingPolicyRule", "FirewallMark", POSITIVE),
    param("type-of-service", "RoutingPolicyRule", "TypeOfService", Form::Number(0, 255)),
];
