// SPDX-License-Identifier: Apache-2.0
//! Network configuration, in each of the languages that a platform may speak, to one [`NetworkConfig`].

mod devices;
mod netplan;
mod read;

use crate::decode::yaml::Node;
use crate::model::finding::Finding;
use crate::model::network::NetworkConfig;
use read::{At, Reader};

/// Reads a network configuration of [version 2](https://netplan.readthedocs.io/en/stable/netplan-yaml/), with or
/// without an outer `network:`.
///
/// What can't be used is left out and an error says where; the findings' places begin with `network`, whether the text
/// has that level or not. Ask [`NetworkConfig::usable`] whether anything is left.
pub fn parse(node: &Node) -> (NetworkConfig, Vec<Finding>) {
    let mut r = Reader::default();
    let outer = At::new(node, "");
    // guestinfo's metadata may nest it twice: the metadata's own key around a file that has the key again.
    let inner = outer.key("network").unwrap_or_else(|| At::new(node, "network"));
    let at = inner.key("network").unwrap_or(inner);
    let config = version(&mut r, &at);
    (config, r.findings)
}

fn version(r: &mut Reader, at: &At) -> NetworkConfig {
    if !at.node.is_map() {
        r.error(at, format!("must be a mapping, this is {}", at.node.kind_name()), "");
        return NetworkConfig::default();
    }
    // cloud-init's way to keep its hands off: https://cloudinit.readthedocs.io/en/latest/reference/network-config.html
    if at.node.get("config").and_then(Node::text) == Some("disabled") {
        return NetworkConfig { disabled: true, ..NetworkConfig::default() };
    }
    match at.key("version") {
        Some(v) if v.node.text() == Some("2") => netplan::read(r, at),
        Some(v) => {
            r.error(&v, "is a version that is not known here", "use `version: 2`");
            NetworkConfig::default()
        }
        None => {
            r.error(at, "has no `version`", "begin it with `version: 2`");
            NetworkConfig::default()
        }
    }
}
