// SPDX-License-Identifier: Apache-2.0
//! Vultr: its metadata service ([metadata API](https://www.vultr.com/metadata/)), asked as cloud-init asks it: the document with
//! user-data and vendor-data has a header of its own.

use serde_json::{Value as Json, json};

use super::service::Service;
use super::{Error, Evidence, Platform, document};
use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Vultr.
pub(super) const PLATFORM: Platform = Platform {
    id: "vultr",
    name: "Vultr",
    spelling: Some(Spelling { coreos: "VULTR", afterburn: "VULTR", common: false }),
    hint: "Vultr: give the instance user-data",
    evidence: |facts| {
        let argument = || facts.cmdline.has("vultr").then(|| Evidence::Argument("vultr".to_owned()));
        (facts.dmi.sys_vendor == "Vultr").then(|| Evidence::of_dmi(&facts.dmi)).or_else(argument)
    },
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
    let text = |name: &str| document::text_of(&node, &[name]).map(str::to_owned);
    let (legacy, id, name) = (text("instanceid"), text("instance-v2-id"), text("hostname"));
    let region = node.get("region").and_then(|r| document::text_of(r, &["regioncode"])).map(str::to_owned);
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
    let nics = node.get("interfaces").and_then(Node::list).unwrap_or_default();
    document::read_cards(nics.iter().filter_map(card).collect(), &mut instance)?;
    Ok(Some(instance))
}

/// A NIC. The public one gets its first addresses by DHCP and from the router, a private network has neither.
fn card(nic: &Node) -> Option<Json> {
    let mac = document::text_of(nic, &["mac"])?;
    let public = document::text_of(nic, &["network-type"]) == Some("public");
    let more = |family: Option<&Node>, key: &str| -> Vec<String> {
        let list = family.and_then(|f| f.get("additional")).and_then(Node::list).unwrap_or_default();
        list.iter().filter_map(|a| cidr(a, key)).collect()
    };
    let (v4, v6) = (nic.get("ipv4"), nic.get("ipv6"));
    let further = [more(v4, "address"), more(v6, "network")].concat();
    if public {
        return Some(json!({
            "match": { "macaddress": mac }, "dhcp4": true, "accept-ra": true, "addresses": further,
            "nameservers": { "addresses": SERVERS },
        }));
    }
    let own = [v4, v6].into_iter().flatten().filter_map(|family| cidr(family, "address"));
    let addresses: Vec<String> = own.chain(further).collect();
    Some(
        json!({ "match": { "macaddress": mac }, "dhcp4": false, "addresses": addresses, "mtu": PRIVATE_MTU }),
    )
}

/// An address with the length of its network, which is a mask or a number.
fn cidr(node: &Node, key: &str) -> Option<String> {
    let address = document::text_of(node, &[key])?;
    let length = network::prefix(document::text_of(node, &["netmask", "prefix"])?)?;
    Some(format!("{address}/{length}"))
}
