// SPDX-License-Identifier: Apache-2.0
//! What a machine's network is to be, whatever language said it, and what NICs the machine has.
//!
//! The words are [netplan's](https://netplan.readthedocs.io/en/stable/netplan-yaml/): it is the richest of the input
//! languages, and Cluster API's vSphere provider writes it. A setting that networkd takes as it stands is a row of a
//! table below ([`Param`]); only what needs a thought has a field of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::problem::Pos;
use super::secret::Secret;

/// A whole network configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkConfig {
    /// The text says that networking is not to be configured (`config: disabled`).
    pub disabled: bool,
    /// What can be used, in the order of the text.
    pub interfaces: Vec<Interface>,
    /// Ids of the interfaces that the text names and that can't be used; a problem says why.
    pub unusable: Vec<String>,
    /// Name servers for whatever else sets the network up: `nameserver=` on a kernel command line without an interface.
    pub dns: Vec<std::net::IpAddr>,
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

/// A sort of device.
#[derive(Clone, Debug, PartialEq)]
pub enum Device {
    /// A NIC that the machine has.
    Ethernet(Ethernet),
    /// Links that act as one.
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

    /// Id of the interface that it lies on.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Vlan(v) => Some(&v.link),
            Self::Tunnel(t) => t.link.as_deref(),
            _ => None,
        }
    }
}

/// Links that act as one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bond {
    /// Ids of its ports.
    pub ports: Vec<String>,
    /// Hosts to ask by ARP whether a port works, at most 16.
    pub arp_targets: Vec<Ipv4Addr>,
    /// Id of the port that is used while it works.
    pub primary: Option<String>,
    /// Rows of [`BOND`].
    pub settings: Settings,
}

/// A switch in the kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bridge {
    /// Ids of its ports.
    pub ports: Vec<String>,
    /// Rows of [`BRIDGE`].
    pub settings: Settings,
    /// Ports by id, with rows of [`BRIDGE_PORT`].
    pub port_settings: Vec<(String, Settings)>,
}

/// A tagged part of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vlan {
    /// The tag, 0 to 4094.
    pub id: u16,
    /// Id of the interface that it lies on.
    pub link: String,
}

/// A routing domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vrf {
    /// Number of its routing table.
    pub table: u32,
    /// Ids of its ports.
    pub ports: Vec<String>,
}

/// A link inside of packets.
#[derive(Clone, Debug, PartialEq)]
pub struct Tunnel {
    /// A row of [`TUNNELS`].
    pub kind: &'static TunnelKind,
    /// This end's address.
    pub local: Option<IpAddr>,
    /// The other end's address; a VXLAN's may be a multicast group.
    pub remote: Option<IpAddr>,
    /// Id of the interface that a VXLAN lies on.
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

/// A peer of WireGuard.
#[derive(Clone, Debug, Default, PartialEq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The key in base64.
    Inline(Secret),
    /// An absolute path.
    File(String),
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
    /// Id of the NIC of which it is a virtual function (SR-IOV).
    pub function_of: Option<String>,
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
    /// A UDP port, or `auto`.
    PortOrAuto,
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
    param("hairpin", "Bridge", "HairPin", Form::Bool),
    param("port-mac-learning", "Bridge", "Learning", Form::Bool),
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
    // More than this the PCI standard has no room for.
    param("virtual-function-count", "Link", "SR-IOVVirtualFunctions", Form::Number(0, 65535)),
    // The one row for the `.network` file: it is not udev's to set.
    param(
        "infiniband-mode",
        "IPoIB",
        "Mode",
        Form::Word(&[("datagram", "datagram"), ("connected", "connected")]),
    ),
];

/// A bond's. The numbers are the kernel's own names for the same, which version 1 and OpenStack write.
pub const BOND: &[Param] = &[
    param(
        "mode",
        "Bond",
        "Mode",
        Form::Word(&[
            ("balance-rr", "balance-rr"),
            ("active-backup", "active-backup"),
            ("balance-xor", "balance-xor"),
            ("broadcast", "broadcast"),
            ("802.3ad", "802.3ad"),
            ("balance-tlb", "balance-tlb"),
            ("balance-alb", "balance-alb"),
            ("0", "balance-rr"),
            ("1", "active-backup"),
            ("2", "balance-xor"),
            ("3", "broadcast"),
            ("4", "802.3ad"),
            ("5", "balance-tlb"),
            ("6", "balance-alb"),
        ]),
    ),
    param(
        "lacp-rate",
        "Bond",
        "LACPTransmitRate",
        Form::Word(&[("slow", "slow"), ("fast", "fast"), ("0", "slow"), ("1", "fast")]),
    ),
    param("mii-monitor-interval", "Bond", "MIIMonitorSec", Form::Time("ms")),
    param("min-links", "Bond", "MinLinks", U32),
    param(
        "transmit-hash-policy",
        "Bond",
        "TransmitHashPolicy",
        Form::Word(&[
            ("layer2", "layer2"),
            ("layer3+4", "layer3+4"),
            ("layer2+3", "layer2+3"),
            ("encap2+3", "encap2+3"),
            ("encap3+4", "encap3+4"),
            ("0", "layer2"),
            ("1", "layer3+4"),
            ("2", "layer2+3"),
            ("3", "encap2+3"),
            ("4", "encap3+4"),
        ]),
    ),
    param(
        "ad-select",
        "Bond",
        "AdSelect",
        Form::Word(&[
            ("stable", "stable"),
            ("bandwidth", "bandwidth"),
            ("count", "count"),
            ("0", "stable"),
            ("1", "bandwidth"),
            ("2", "count"),
        ]),
    ),
    param("all-members-active", "Bond", "AllSlavesActive", Form::Bool),
    param("arp-interval", "Bond", "ARPIntervalSec", Form::Time("ms")),
    param(
        "arp-validate",
        "Bond",
        "ARPValidate",
        Form::Word(&[
            ("none", "none"),
            ("active", "active"),
            ("backup", "backup"),
            ("all", "all"),
            ("0", "none"),
            ("1", "active"),
            ("2", "backup"),
            ("3", "all"),
        ]),
    ),
    param(
        "arp-all-targets",
        "Bond",
        "ARPAllTargets",
        Form::Word(&[("any", "any"), ("all", "all"), ("0", "any"), ("1", "all")]),
    ),
    param("up-delay", "Bond", "UpDelaySec", Form::Time("ms")),
    param("down-delay", "Bond", "DownDelaySec", Form::Time("ms")),
    param(
        "fail-over-mac-policy",
        "Bond",
        "FailOverMACPolicy",
        Form::Word(&[
            ("none", "none"),
            ("active", "active"),
            ("follow", "follow"),
            ("0", "none"),
            ("1", "active"),
            ("2", "follow"),
        ]),
    ),
    param("gratuitous-arp", "Bond", "GratuitousARP", Form::Number(0, 255)),
    param("packets-per-member", "Bond", "PacketsPerSlave", Form::Number(0, 65535)),
    param(
        "primary-reselect-policy",
        "Bond",
        "PrimaryReselectPolicy",
        Form::Word(&[
            ("always", "always"),
            ("better", "better"),
            ("failure", "failure"),
            ("0", "always"),
            ("1", "better"),
            ("2", "failure"),
        ]),
    ),
    param("resend-igmp", "Bond", "ResendIGMP", Form::Number(0, 255)),
    param("learn-packet-interval", "Bond", "LearnPacketIntervalSec", Form::Time("s")),
];

/// A bridge's.
pub const BRIDGE: &[Param] = &[
    param("ageing-time", "Bridge", "AgeingTimeSec", Form::Time("s")),
    param("priority", "Bridge", "Priority", Form::Number(0, 65535)),
    param("forward-delay", "Bridge", "ForwardDelaySec", Form::Time("s")),
    param("hello-time", "Bridge", "HelloTimeSec", Form::Time("s")),
    param("max-age", "Bridge", "MaxAgeSec", Form::Time("s")),
    param("stp", "Bridge", "STP", Form::Bool),
];

/// A bridge's port's.
pub const BRIDGE_PORT: &[Param] = &[
    param("path-cost", "Bridge", "Cost", Form::Number(1, 65535)),
    param("port-priority", "Bridge", "Priority", Form::Number(0, 63)),
];

/// A plain tunnel's.
pub const TUNNEL: &[Param] = &[param("ttl", "Tunnel", "TTL", Form::Number(1, 255))];

/// A VXLAN's; a flag of `notifications`, `checksums` and `extensions` is a row of its own.
pub const VXLAN: &[Param] = &[
    param("id", "VXLAN", "VNI", Form::Number(1, 0xff_ffff)),
    param("ttl", "VXLAN", "TTL", Form::Number(1, 255)),
    param("type-of-service", "VXLAN", "TOS", Form::Number(0, 255)),
    param("mac-learning", "VXLAN", "MacLearning", Form::Bool),
    param("ageing", "VXLAN", "FDBAgeingSec", Form::Time("s")),
    param("limit", "VXLAN", "MaximumFDBEntries", U32),
    param("arp-proxy", "VXLAN", "ReduceARPProxy", Form::Bool),
    param("short-circuit", "VXLAN", "RouteShortCircuit", Form::Bool),
    param("port", "VXLAN", "DestinationPort", Form::Number(1, 65535)),
    param("flow-label", "VXLAN", "FlowLabel", Form::Number(0, 0xf_ffff)),
    param("do-not-fragment", "VXLAN", "IPDoNotFragment", Form::Bool),
];

/// A VXLAN's flags: the list that names them, the name, networkd's key.
pub const VXLAN_FLAGS: &[(&str, Param)] = &[
    ("notifications", param("l2-miss", "VXLAN", "L2MissNotification", Form::Bool)),
    ("notifications", param("l3-miss", "VXLAN", "L3MissNotification", Form::Bool)),
    ("checksums", param("udp", "VXLAN", "UDPChecksum", Form::Bool)),
    ("checksums", param("zero-udp6-tx", "VXLAN", "UDP6ZeroChecksumTx", Form::Bool)),
    ("checksums", param("zero-udp6-rx", "VXLAN", "UDP6ZeroChecksumRx", Form::Bool)),
    ("checksums", param("remote-tx", "VXLAN", "RemoteChecksumTx", Form::Bool)),
    ("checksums", param("remote-rx", "VXLAN", "RemoteChecksumRx", Form::Bool)),
    ("extensions", param("group-policy", "VXLAN", "GroupPolicyExtension", Form::Bool)),
    ("extensions", param("generic-protocol", "VXLAN", "GenericProtocolExtension", Form::Bool)),
];

/// WireGuard's.
pub const WIREGUARD: &[Param] = &[
    param("port", "WireGuard", "ListenPort", Form::PortOrAuto),
    param("mark", "WireGuard", "FirewallMark", U32),
];

const fn tunnel(
    mode: &'static str,
    kind: &'static str,
    submode: Option<&'static str>,
    ipv6: Option<bool>,
    settings: &'static [Param],
) -> TunnelKind {
    TunnelKind { mode, kind, submode, ipv6, settings }
}

/// Sorts of tunnels. netplan also has `isatap`, which networkd has not.
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

const USE_DOMAINS: Form = Form::BoolOr(&["route"]);

/// How a lease for IPv4 is used. All that netplan has; it writes some under a common section of its own age.
pub const DHCP4_OVERRIDES: &[Param] = &[
    param("hostname", "DHCPv4", "Hostname", Form::Hostname),
    param("route-metric", "DHCPv4", "RouteMetric", U32),
    // netplan has no word for it: EC2's further cards need their lease's routes in a table of their own.
    param("route-table", "DHCPv4", "RouteTable", POSITIVE),
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
    param("route-table", "IPv6AcceptRA", "RouteTable", POSITIVE),
    param("send-hostname", "DHCPv6", "SendHostname", Form::Bool),
    param("use-dns", "DHCPv6", "UseDNS", Form::Bool),
    param("use-domains", "DHCPv6", "UseDomains", USE_DOMAINS),
    param("use-hostname", "DHCPv6", "UseHostname", Form::Bool),
    param("use-mtu", "IPv6AcceptRA", "UseMTU", Form::Bool),
    param("use-ntp", "DHCPv6", "UseNTP", Form::Bool),
    // The default route; networkd has no one key for all of an advertisement's routes.
    param("use-routes", "IPv6AcceptRA", "UseGateway", Form::Bool),
];

/// How routers' advertisements are used.
pub const RA_OVERRIDES: &[Param] = &[
    param("use-dns", "IPv6AcceptRA", "UseDNS", Form::Bool),
    param("use-domains", "IPv6AcceptRA", "UseDomains", USE_DOMAINS),
    param("table", "IPv6AcceptRA", "RouteTable", POSITIVE),
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
