// SPDX-License-Identifier: Apache-2.0
//! Routes, and the rules that choose a routing table.

use serde::{Deserialize, Serialize};

use crate::model::wire::{self, Word};
use std::net::IpAddr;

use super::address::Cidr;
use super::settings::{Settings, setting};

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    #[serde(deserialize_with = "wire::word")]
    pub kind: Option<Word>,
    /// One of [`ROUTE_SCOPES`].
    #[serde(deserialize_with = "wire::word")]
    pub scope: Option<Word>,
    /// Numbers, as rows of [`super::settings::ROUTE`].
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Packets from there.
    pub from: Option<Cidr>,
    /// Packets to there.
    pub to: Option<Cidr>,
    /// Numbers, as rows of [`super::settings::RULE`].
    pub settings: Settings,
}

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
