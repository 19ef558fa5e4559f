// SPDX-License-Identifier: Apache-2.0
//! Network configuration, in each of the languages that a platform may speak, to one [`NetworkConfig`].

mod cards;
mod common;
mod devices;
mod eni;
mod guestinfo;
mod kargs;
mod netplan;
mod network_data;
mod opennebula;
mod read;
mod subnet;
mod tunnels;
mod v1;

pub use self::guestinfo::MAX as MAX_FLAT;
pub use cards::{add_to_first, cidr, way_out};
pub use common::prefix;
pub use netplan::is as is_netplan;
pub use opennebula::cards as cards_of_opennebula;
use std::net::IpAddr;

use crate::decode::syntax::yaml::Node;
use crate::model::network::NetworkConfig;
use crate::model::problem::Problem;
use read::{At, Reader};

/// Reads a network configuration of [version 2](https://netplan.readthedocs.io/en/stable/netplan-yaml/) or
/// [version 1](https://cloudinit.readthedocs.io/en/latest/reference/network-config-format-v1.html), with or without an
/// outer `network:`, or OpenStack's `network_data.json`, which is told by its `links` and `networks`. JSON is YAML.
///
/// What can't be used is left out and an error says where; the problems' places begin with `network`, whether the text
/// has that level or not. Ask [`NetworkConfig::usable`] whether anything is left.
pub fn parse(node: &Node) -> (NetworkConfig, Vec<Problem>) {
    let mut r = Reader::default();
    if node.get("version").is_none() && ["links", "networks"].iter().any(|key| node.get(key).is_some()) {
        let config = network_data::read(&mut r, &At::new(node, "network_data"));
        return (config, r.problems);
    }
    let outer = At::new(node, "");
    // guestinfo's metadata may nest it twice: the metadata's own key around a file that has the key again.
    let inner = outer.key("network").unwrap_or_else(|| At::new(node, "network"));
    let at = inner.key("network").unwrap_or(inner);
    let config = version(&mut r, &at);
    (config, r.problems)
}

/// Whether a mapping called `network` is a configuration, and not a key that its author uses for something else.
pub fn is_config(node: &Node) -> bool {
    let inner = node.get("network").unwrap_or(node);
    ["version", "config"].iter().any(|key| inner.get(key).is_some()) || netplan::is(inner)
}

/// Reads the network arguments of a kernel command line, or of `guestinfo.afterburn.initrd.network-kargs`, which has the
/// same syntax. Without any, the result has no interfaces.
pub fn parse_kargs(cmdline: &str) -> (NetworkConfig, Vec<Problem>) {
    kargs::read(cmdline)
}

/// Has these name servers asked in place of those that the configuration names, over the links that lead to them.
pub fn ask_instead(config: &mut NetworkConfig, servers: &[IpAddr]) {
    if servers.is_empty() {
        return;
    }
    config.interfaces.iter_mut().for_each(|interface| interface.dns.clear());
    common::Dns { servers: servers.to_vec(), search: Vec::new() }.give(&mut config.interfaces);
}

/// Reads `guestinfo.interface.N.*` and `guestinfo.dns.*`. `get` gives the value of a key without its `guestinfo.`:
/// `interface.0.mac`. Without any, the result has no interfaces.
pub fn parse_guestinfo_legacy(get: &dyn Fn(&str) -> Option<String>) -> (NetworkConfig, Vec<Problem>) {
    let mut r = Reader::default();
    let config = guestinfo::read(&mut r, get);
    (config, r.problems)
}

/// Reads the text of an `/etc/network/interfaces`: NoCloud's `network-interfaces`. Without an `iface` of which anything can
/// be used, the result has no interfaces.
pub fn parse_interfaces(text: &str) -> (NetworkConfig, Vec<Problem>) {
    let mut r = Reader::default();
    let config = eni::read(&mut r, text);
    (config, r.problems)
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
        Some(v) if v.node.text() == Some("1") => v1::read(r, at),
        Some(v) => {
            r.error(&v, "is a version that is not known here", "write `version: 2`, or 1");
            NetworkConfig::default()
        }
        // netplan takes its own language without one.
        None if netplan::is(at.node) => {
            r.warn(at, "has no `version`, and is read as version 2", "begin it with `version: 2`");
            netplan::read(r, at)
        }
        None => {
            r.error(at, "has no `version`", "begin it with `version: 2`");
            NetworkConfig::default()
        }
    }
}
