// SPDX-License-Identifier: Apache-2.0
//! Alibaba Cloud ECS: its metadata service
//! ([instance metadata](https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata)), which is at an address that has to
//! be routed.

use std::collections::BTreeMap;

use serde_json::json;

use super::aws::network;
use super::service::{Service, Token};
use super::{Error, Evidence, Platform, document};
use crate::decode::syntax::yaml::{self, Node};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Alibaba Cloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "aliyun",
    name: "Alibaba Cloud ECS",
    spelling: Some(Spelling { coreos: "ALIYUN", afterburn: "ALIYUN", common: false }),
    hint: "Alibaba Cloud: give the instance user-data",
    evidence: |facts| (facts.dmi.product_name == "Alibaba Cloud ECS").then(|| Evidence::of_dmi(&facts.dmi)),
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    host: "http://100.100.100.200",
    token: Some(Token {
        path: "/latest/api/token",
        lifetime: ("X-aliyun-ecs-metadata-token-ttl-seconds", "21600"),
        header: "X-aliyun-ecs-metadata-token",
        without: Some("footplate.imdsv1"),
        disabled: "enable the instance's access channel for metadata (HttpEndpoint)",
    }),
    cure: "Alibaba Cloud's metadata service does not answer: see that a route leads to 100.100.100.200",
    ..Service::LINK_LOCAL
};

/// All metadata as one document, and what stands beside it.
const PATHS: [&str; 3] = ["/2016-01-01/meta-data/all", "/2016-01-01/user-data", "/2016-01-01/vendor-data"];

/// Afterburn's names, and their paths in the document.
const NAMES: &[(&str, &str)] = &[
    ("EIPV4", "eipv4"),
    ("HOSTNAME", "hostname"),
    ("IMAGE_ID", "image-id"),
    ("INSTANCE_ID", "instance-id"),
    ("INSTANCE_TYPE", "instance.instance-type"),
    ("IPV4_PRIVATE", "private-ipv4"),
    ("IPV4_PUBLIC", "public-ipv4"),
    ("REGION_ID", "region-id"),
    ("VPC_ID", "vpc-id"),
    ("ZONE_ID", "zone-id"),
];

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let Some((node, mut instance)) = document::machine(&SERVICE, world, PATHS)? else { return Ok(None) };
    document::attributes(&node, NAMES, &mut instance);
    let text = |name: &str| document::text_at(&node, name);
    instance.region = text("region-id").map(str::to_owned);
    instance.availability_zone = text("zone-id").map(str::to_owned);
    instance.provider_id =
        instance.region.as_ref().map(|region| format!("{region}.{}", instance.instance_id));
    instance.node_name = instance.hostname.clone();
    instance.addresses.local_v4 = document::parsed_at(&node, "private-ipv4");
    instance.addresses.public_v4 = text("public-ipv4").or(text("eipv4")).and_then(|a| a.parse().ok());
    read_network(&node, &mut instance)?;
    Ok(Some(instance))
}

/// The NICs: DHCP gives each its first address, and what comes from a further one leaves by it, as on EC2.
fn read_network(node: &Node, instance: &mut Instance) -> Result<(), Error> {
    let macs = document::at(node, "network.interfaces.macs");
    let primary = document::text_at(node, "mac").unwrap_or_default();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut first = None;
    for (mac, nic) in macs.into_iter().flat_map(Node::entries) {
        let Some(mac) = mac.text().map(|m| m.trim_end_matches('/')) else { continue };
        let number = if mac.eq_ignore_ascii_case(primary) { 0 } else { 1 + found.len() };
        if number == 0 || first.is_none() {
            first = Some(mac.to_owned());
        }
        found.insert(format!("{mac}/device-number"), number.to_string());
        for (key, theirs) in [("local-ipv4s", "private-ipv4s"), ("ipv6s", "ipv6s")] {
            let listed = nic.get(theirs).map(addresses).unwrap_or_default();
            if !listed.is_empty() {
                found.insert(format!("{mac}/{key}"), listed.join("\n"));
            }
        }
    }
    match (network::document(found.iter().map(|(p, v)| (p.as_str(), v.as_str())), ""), first) {
        (Some(document), _) => document::read_network(&yaml::parse(&document.to_string())?, instance),
        (None, Some(mac)) => {
            document::read_cards(vec![json!({ "match": { "macaddress": mac }, "dhcp4": true })], instance)?;
        }
        (None, None) => {}
    }
    Ok(())
}

/// Addresses that are a list, or a list's text: `["192.0.2.1","192.0.2.2"]`, `[2001:db8::1]`.
fn addresses(node: &Node) -> Vec<String> {
    let Some(text) = node.text() else { return document::texts(node) };
    let parts = text.split(|c: char| c.is_whitespace() || "[],\"'".contains(c));
    parts.filter(|p| !p.is_empty()).map(str::to_owned).collect()
}
