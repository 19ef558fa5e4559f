// SPDX-License-Identifier: Apache-2.0
//! Hetzner Cloud: its metadata service ([server metadata](https://docs.hetzner.cloud/reference/cloud#description/server-metadata)). The
//! network of the first NIC is a document in cloud-init's version 1; NICs of private networks are in a list of their own.

use std::net::Ipv6Addr;

use serde_json::{Value as Json, json};

use super::service::{LINK_LOCAL, Service, both};
use super::{Error, Evidence, Platform, document};
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Hetzner Cloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "hetzner",
    name: "Hetzner Cloud",
    spelling: Some(Spelling { coreos: "HETZNER", afterburn: "HETZNER", common: false }),
    hint: "Hetzner Cloud: give the server user-data",
    evidence: |facts| (facts.dmi.sys_vendor == "Hetzner").then(|| Evidence::of_dmi(&facts.dmi)),
    network: Some(fetch),
    id_in_dmi: |dmi| &dmi.product_serial,
    ..Platform::NONE
};

/// It listens at a link-local address of IPv6 too: a server may have no public IPv4.
static SERVICE: Service = Service {
    addresses: &both(LINK_LOCAL, [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
    cure: "Hetzner's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

const METADATA: &str = "/hetzner/v1/metadata";
const USER_DATA: &str = "/hetzner/v1/userdata";
const PRIVATE_NETWORKS: &str = "/hetzner/v1/metadata/private-networks";
const NETWORK_CONFIG: &str = "/hetzner/v1/metadata/network-config";

/// Afterburn's names, and their keys in the document.
const NAMES: &[(&str, &str)] = &[
    ("AVAILABILITY_ZONE", "availability-zone"),
    ("HOSTNAME", "hostname"),
    ("INSTANCE_ID", "instance-id"),
    ("PUBLIC_IPV4", "public-ipv4"),
    ("REGION", "region"),
];

/// Most private networks that are read: a server has three.
const MAX_PRIVATE: usize = 16;

fn fetch(world: &dyn World, facts: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let [metadata, user_data, private, network] =
        SERVICE.get(world, [METADATA, USER_DATA, PRIVATE_NETWORKS, NETWORK_CONFIG])?;
    if metadata.is_none() && user_data.is_none() {
        return Ok(None);
    }
    let metadata = metadata.unwrap_or_default();
    let text = without_sysconfig(&String::from_utf8_lossy(metadata.expose()));
    let mut node = document::mapping(METADATA, text.as_bytes())?;
    let given = node.remove("network-config");
    let mut instance = document::with_user_data(METADATA, &node)?;
    instance.user_data = user_data;
    if instance.instance_id.is_empty() {
        // The server's id is its serial number too.
        instance.instance_id.clone_from(&facts.dmi.product_serial);
    }
    document::name_by_id("hcloud", &mut instance);
    document::attributes(&node, NAMES, &mut instance);
    instance.addresses.public_v6 = given.as_ref().and_then(first_v6);
    instance.attribute("PUBLIC_IPV6", instance.addresses.public_v6);
    let cards = match &private {
        Some(bytes) => private_cards(bytes.expose(), &mut instance)?,
        None => Vec::new(),
    };
    let asked = network.map(|bytes| document::mapping(NETWORK_CONFIG, bytes.expose())).transpose()?;
    let mut first = Vec::new();
    if let Some(node) = asked.or(given).filter(|n| !n.is_null()) {
        document::read_network(&node, &mut instance);
        first = instance.network.take().map(|n| n.interfaces).unwrap_or_default();
    }
    document::read_cards(cards, &mut instance)?;
    if !first.is_empty() {
        let network = instance.network.get_or_insert_default();
        network.interfaces.splice(0..0, first);
    }
    Ok(Some(instance))
}

/// The document without `network-sysconfig`, which holds files of another system. Its lines begin where those of keys do, which not
/// every reader of YAML takes in a quoted text.
pub fn without_sysconfig(text: &str) -> String {
    let is_key = |line: &str| {
        let key = line.split_once(':').map_or("", |(key, _)| key);
        !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    let mut left_out = false;
    let kept = |line: &&str| {
        if is_key(line) {
            left_out = line.starts_with("network-sysconfig:");
        }
        !left_out
    };
    text.split_inclusive('\n').filter(kept).collect()
}

/// The NICs of private networks. Each gets its address and its routes by DHCP.
fn private_cards(bytes: &[u8], instance: &mut Instance) -> Result<Vec<Json>, Error> {
    let node = document::list(PRIVATE_NETWORKS, bytes)?;
    let mut cards = Vec::new();
    for (n, nic) in node.list().unwrap_or_default().iter().take(MAX_PRIVATE).enumerate() {
        let ip = document::text_at(nic, "ip");
        instance.attribute(&format!("PRIVATE_IPV4_{n}"), ip);
        if n == 0 {
            instance.addresses.local_v4 = ip.and_then(|a| a.parse().ok());
        }
        if let Some(mac) = document::text_at(nic, "mac_address") {
            cards.push(json!({ "match": { "macaddress": mac }, "dhcp4": true, "optional": true }));
        }
    }
    Ok(cards)
}

/// The first static IPv6 address of the network's description.
fn first_v6(network: &Node) -> Option<Ipv6Addr> {
    let addresses = document::texts_at(network, "config.*.subnets.*.address");
    addresses.iter().find_map(|a| a.split('/').next()?.parse().ok())
}
