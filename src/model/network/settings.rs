// SPDX-License-Identifier: Apache-2.0
//! Settings that networkd and udev take unchanged: netplan's key, networkd's section and key, and the allowed values.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// A setting that networkd takes unchanged: one row, one key.
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

impl Serialize for Param {
    /// What tells it from all others.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.name, self.section, self.key).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for &'static Param {
    /// The row of that name.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, section, key) = <(String, String, String)>::deserialize(deserializer)?;
        let rows = TABLES.iter().copied().flatten().chain(VXLAN_FLAGS.iter().map(|(_, row)| row));
        let mut rows = rows.filter(|row| row.name == name && row.section == section && row.key == key);
        rows.next().ok_or_else(|| D::Error::custom("no such setting"))
    }
}

/// All rows but those of [`VXLAN_FLAGS`].
const TABLES: &[&[Param]] = &[
    COMMON,
    ETHERNET,
    BOND,
    BRIDGE,
    BRIDGE_PORT,
    TUNNEL,
    VXLAN,
    WIREGUARD,
    DHCP4_OVERRIDES,
    DHCP6_OVERRIDES,
    RA_OVERRIDES,
    ROUTE,
    RULE,
];

const fn param(name: &'static str, section: &'static str, key: &'static str, form: Form) -> Param {
    Param { name, section, key, form }
}

const U32: Form = Form::Number(0, u32::MAX as i64);
const POSITIVE: Form = Form::Number(1, u32::MAX as i64);

/// What every interface's `.network` file takes unchanged.
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

/// What a NIC's `.link` file takes unchanged.
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
    // In place of an address.
    param(
        "macaddress",
        "Link",
        "MACAddressPolicy",
        Form::Word(&[("random", "random"), ("permanent", "persistent")]),
    ),
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

const USE_DOMAINS: Form = Form::BoolOr(&["route"]);

/// How a lease for IPv4 is used. All that netplan has; it writes some under a common section of its own age.
pub const DHCP4_OVERRIDES: &[Param] = &[
    param("hostname", "DHCPv4", "Hostname", Form::Hostname),
    param("route-metric", "DHCPv4", "RouteMetric", U32),
    // netplan has no such key: the further NICs of EC2 need their lease's routes in a table of their own.
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
    // The default route; networkd has no single key for all routes of an advertisement.
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

/// A policy routing rule's numbers.
pub const RULE: &[Param] = &[
    param("table", "RoutingPolicyRule", "Table", POSITIVE),
    param("priority", "RoutingPolicyRule", "Priority", U32),
    param("mark", "RoutingPolicyRule", "FirewallMark", POSITIVE),
    param("type-of-service", "RoutingPolicyRule", "TypeOfService", Form::Number(0, 255)),
];
