// SPDX-License-Identifier: Apache-2.0
//! Parts of NICs in netplan's shape, for documents of platforms that have a shape of their own.

use std::fmt::Display;

use serde_json::{Value as Json, json};

/// An address with the length of its subnet, or alone where that is not known.
pub fn cidr(address: &str, length: Option<impl Display>) -> String {
    match length {
        Some(length) => format!("{address}/{length}"),
        None if address.contains(':') => format!("{address}/128"),
        None => format!("{address}/32"),
    }
}

/// The default route of a family by its gateway, which may be outside the networks of the NIC.
pub fn way_out(gateway: &str) -> Json {
    let to = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
    json!({ "to": to, "via": gateway, "on-link": true })
}

/// Gives the first NIC what holds for the whole machine, behind what is its own: `addresses` of name servers, or domains to `search`.
pub fn add_to_first(cards: &mut [Json], key: &str, more: Vec<String>) {
    let Some(first) = cards.first_mut() else { return };
    let mut all = first["nameservers"][key].as_array().cloned().unwrap_or_default();
    let more: Vec<Json> = more.into_iter().map(Json::from).filter(|m| !all.contains(m)).collect();
    all.extend(more);
    if !all.is_empty() {
        first["nameservers"][key] = all.into();
    }
}
