// SPDX-License-Identifier: Apache-2.0
//! The NICs of an instance: DHCP on each, and what comes from a NIC's address leaves by that NIC.
//!
//! One NIC with one address of a family needs nothing: the image's default is DHCP. Its further addresses are not in the
//! lease, so they are written down. With more NICs, each gets its metric, and every further one a table of its own with the
//! lease's routes, and a rule for each of its addresses and delegated prefixes. Without that a reply leaves by the first NIC
//! with another NIC's address, and the VPC drops it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// What is asked of each NIC, below its link-layer address.
pub(super) const KEYS: &[&str] = &[
    "device-number",
    "ipv4-prefix",
    "ipv6-prefix",
    "ipv6s",
    "local-ipv4s",
    "network-card",
    "subnet-ipv4-cidr-block",
];

/// NICs get metrics of this step, so that the first is preferred; cloud-init's numbers.
const METRIC: usize = 100;

/// The second NIC's table is this number plus 1. Tables 253 to 255 are the kernel's.
const TABLE: usize = 100;

/// A netplan document for the NICs of the metadata; `None` where the image's default serves: no NIC is known, or one that has
/// no further addresses.
pub(in crate::platform) fn document<'a>(
    found: impl Iterator<Item = (&'a str, &'a str)>,
    below: &str,
) -> Option<Json> {
    let mut cards: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (path, value) in found {
        if let Some((mac, key)) = path.strip_prefix(below).and_then(|p| p.split_once('/')) {
            cards.entry(mac).or_default().insert(key, value);
        }
    }
    let further = |card: &BTreeMap<&str, &str>| {
        ["local-ipv4s", "ipv6s"]
            .iter()
            .any(|key| card.get(key).is_some_and(|v| v.split_whitespace().count() > 1))
    };
    if cards.len() < 2 && !cards.values().any(further) {
        return None;
    }
    let number = |card: &BTreeMap<&str, &str>, key: &str| {
        card.get(key).and_then(|v| v.trim().parse().ok()).unwrap_or(0)
    };
    let mut ordered: Vec<_> = cards.into_iter().collect();
    // The primary NIC is number 0 of network card 0; the numbers count within a network card.
    ordered.sort_by_key(|(_, card)| -> (u32, u32) {
        (number(card, "network-card"), number(card, "device-number"))
    });
    let ethernets: Map<String, Json> = ordered
        .iter()
        .enumerate()
        .map(|(n, (mac, card))| (format!("card{n}"), ethernet(n, mac, card)))
        .collect();
    Some(json!({ "network": { "version": 2, "ethernets": ethernets } }))
}

fn ethernet(n: usize, mac: &str, card: &BTreeMap<&str, &str>) -> Json {
    let lines =
        |key: &str| card.get(key).map(|v| v.split_whitespace().collect::<Vec<_>>()).unwrap_or_default();
    let ipv6 = !lines("ipv6s").is_empty() || !lines("ipv6-prefix").is_empty();
    // A NIC in a subnet of IPv6 alone never gets a lease of IPv4.
    let ipv4 = !ipv6 || !lines("local-ipv4s").is_empty();
    let mut overrides = Map::from_iter([("route-metric".to_owned(), json!(METRIC * (n + 1)))]);
    let mut document = json!({ "match": { "macaddress": mac }, "dhcp4": ipv4, "dhcp6": ipv6 });
    // Addresses beyond the first are not in the lease. Alone, without their subnet: its route would be preferred to the
    // first NIC's where both are in one subnet.
    let alone = |key: &str, bits: u8| lines(key).into_iter().skip(1).map(move |a| format!("{a}/{bits}"));
    let further: Vec<String> = alone("local-ipv4s", 32).chain(alone("ipv6s", 128)).collect();
    if !further.is_empty() {
        document["addresses"] = json!(further);
    }
    if n > 0 {
        let table = TABLE + n;
        overrides.insert("route-table".to_owned(), json!(table));
        let own = ["local-ipv4s", "ipv4-prefix", "ipv6s", "ipv6-prefix"];
        let rules: Vec<Json> = own
            .iter()
            .flat_map(|key| lines(key))
            .map(|from| json!({ "from": from, "table": table }))
            .collect();
        document["routing-policy"] = json!(rules);
        // A node is up with its first NIC.
        document["optional"] = json!(true);
    }
    if ipv4 {
        document["dhcp4-overrides"] = Json::Object(overrides.clone());
    }
    if ipv6 {
        document["dhcp6-overrides"] = Json::Object(overrides);
    }
    document
}
