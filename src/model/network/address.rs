// SPDX-License-Identifier: Apache-2.0
//! Addresses of interfaces, of networks and of links.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv4, IPv6, both or neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address and its subnet's prefix.
    pub cidr: Cidr,
    /// The other end, on a link between two machines: it, or its network, is then what the link itself reaches.
    pub peer: Option<Cidr>,
    /// The label that `ip address` shows.
    pub label: Option<String>,
    /// Never to be chosen as a source address: its preferred lifetime is 0.
    pub deprecated: bool,
}

impl Address {
    /// What the link itself reaches by it.
    #[must_use]
    pub fn subnet(&self) -> Cidr {
        self.peer.unwrap_or(self.cidr)
    }
}

impl From<Cidr> for Address {
    fn from(cidr: Cidr) -> Self {
        Self { cidr, peer: None, label: None, deprecated: false }
    }
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

    /// One or two hexadecimal digits an octet, `:` or `-` between: some services leave a leading zero out. Twelve digits without
    /// anything between are one too, as Azure writes it.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() == 12 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| ());
            return Ok(Self((0..12).step_by(2).map(octet).collect::<Result<_, ()>>()?));
        }
        let separator = if text.contains('-') { '-' } else { ':' };
        let octet = |s: &str| {
            let hex = matches!(s.len(), 1 | 2) && s.bytes().all(|b| b.is_ascii_hexdigit());
            if hex { u8::from_str_radix(s, 16).map_err(|_| ()) } else { Err(()) }
        };
        let octets: Vec<u8> = text.split(separator).take(21).map(octet).collect::<Result<_, ()>>()?;
        if matches!(octets.len(), 6 | 20) { Ok(Self(octets)) } else { Err(()) }
    }
}
