// SPDX-License-Identifier: Apache-2.0
//! Vultr: its metadata service ([metadata API](https://www.vultr.com/metadata/)), asked as cloud-init asks it: the document with
//! user-data and vendor-data has a header of its own.

use serde_json::{Value as Json, json};

use super::service::Service;
use super::{Error, Evidence, Platform, document};
use crate::decode::syntax::yaml::{self, Node};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Vultr.
pub(super) const PLATFORM: Platform = Platform {
    id: "vultr",
    name: "Vultr",
    spelling: Some(Spelling { coreos: "VULTR", afterburn: "VULTR", common: false }),
    names: &["meta_data.instance_v2_id", "meta_data.region.regioncode"],
    hint: "Vultr: give the instance user-data",
    evidence: |facts| Evidence::of_vendor_or_word(facts, "Vultr", "vultr"),
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    headers: &[("Metadata-Token", "cloudinit")],
    cure: "Vultr's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The document with all that the service knows.
const DOCUMENT: &str = "/v1.json";

/// Vultr's name servers, which are in no document.
const SERVERS: &[&str] = &["108.61.10.10", "2001:19f0:300:1704::6"];

/// The MTU of a private network.
const PRIVATE_MTU: u16 = 1450;

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let Some(mut node) = document::fetch(&SERVICE, world, DOCUMENT)? else { return Ok(None) };
    let text = |path: &str| document::text_at(&node, path).map(str::to_owned);
    let (legacy, id, name) = (text("instanceid"), text("instance-v2-id"), text("hostname"));
    let region = text("region.regioncode");
    for key in ["hostname", "local-hostname"] {
        node.remove(key);
    }
    let mut instance = document::with_user_data(DOCUMENT, &node)?;
    if let Some(name) = name.as_ref().filter(|n| !n.is_empty()) {
        document::take_hostname(&format!("{DOCUMENT}: hostname"), name, &mut instance)?;
    }
    instance.attribute("HOSTNAME", name.as_deref());
    instance.attribute("INSTANCE_ID", legacy.as_deref());
    instance.attribute("REGION_CODE", region.as_deref());
    instance.provider_id = id.as_ref().map(|id| format!("vultr://{id}"));
    instance.instance_id = id.or(legacy).unwrap_or_default();
    instance.node_name = instance.hostname.clone();
    instance.region = region;
    if let Some(network) = network(&node)? {
        document::read_network(&network, &mut instance);
    }
    Ok(Some(instance))
}

/// The network in cloud-init's version 1: newer documents have it so, older ones have a list of NICs.
fn network(node: &Node) -> Result<Option<Node>, Error> {
    if let Some(told) = node.get("cloud_interfaces").filter(|told| told.is_map()) {
        return Ok(Some(told.clone()));
    }
    let nics = document::list_at(node, "interfaces").iter().enumerate();
    let mut config: Vec<Json> = nics.filter_map(|(n, nic)| card(n, nic)).collect();
    if config.is_empty() {
        return Ok(None);
    }
    config.push(json!({ "type": "nameserver", "address": SERVERS }));
    Ok(Some(yaml::parse(&json!({ "version": 1, "config": config }).to_string())?))
}

/// A NIC. The public one gets its first addresses by DHCP and from the router, a private network has neither. One that the platform
/// leaves to the user is not set up.
fn card(n: usize, nic: &Node) -> Option<Json> {
    let mac = document::text_at(nic, "mac")?;
    if nic.get("unconfigured").and_then(Node::bool) == Some(true) {
        return None;
    }
    let public = document::text_at(nic, "network-type") == Some("public");
    let given = |of: &Node, key: &str| of.get(key).map(Node::to_json);
    let subnet = |of: &Node| {
        let address = document::text_of(of, &["address", "network"])?;
        let mask = document::text_of(of, &["netmask", "prefix"]);
        Some(json!({ "type": "static", "address": address, "netmask": mask, "routes": given(of, "routes") }))
    };
    let families = ["ipv4", "ipv6"].into_iter().filter_map(|family| nic.get(family));
    let own = families.clone().filter(|of| document::text_at(of, "address").is_some()).filter_map(subnet);
    let mut subnets: Vec<Json> =
        if public { vec![json!({ "type": "dhcp" }), json!({ "type": "ipv6_slaac" })] } else { own.collect() };
    if let Some(first) = subnets.first_mut() {
        first["routes"] = given(nic, "routes").into();
        // Where there is no public NIC, the way out is by the first network.
        let gateway = document::text_at(nic, "ipv4.gateway");
        first["gateway"] = gateway.filter(|_| n == 0 && !public).into();
    }
    let additional = families.flat_map(|of| document::list_at(of, "additional"));
    subnets.extend(additional.filter_map(subnet));
    let mtu = given(nic, "mtu").or((!public).then(|| PRIVATE_MTU.into()));
    Some(json!({
        "type": "physical", "mac_address": mac, "mtu": mtu, "accept-ra": given(nic, "accept-ra"), "subnets": subnets,
    }))
}
