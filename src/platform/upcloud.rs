// SPDX-License-Identifier: Apache-2.0
//! UpCloud: its metadata service
//! ([metadata service](https://upcloud.com/docs/products/cloud-servers/features/metadata-service/)), which is off for a server unless
//! it is switched on.

use serde_json::{Value as Json, json};

use super::service::Service;
use super::{Error, Evidence, Platform, document};
use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// UpCloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "upcloud",
    name: "UpCloud",
    spelling: Some(Spelling { coreos: "UPCLOUD", afterburn: "UPCLOUD", common: false }),
    hint: "UpCloud: switch the server's metadata service on and give it user-data",
    evidence: |facts| (facts.dmi.sys_vendor == "UpCloud").then(|| Evidence::of_dmi(&facts.dmi)),
    network: Some(fetch),
    id_in_dmi: |dmi| &dmi.product_uuid,
    ..Platform::NONE
};

static SERVICE: Service = Service {
    cure: "UpCloud's metadata service does not answer: it is off unless the server has metadata=yes. Switch it on, and \
           see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The document with all that the service knows.
const DOCUMENT: &str = "/metadata/v1.json";

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let Some(node) = document::fetch(&SERVICE, world, DOCUMENT)? else { return Ok(None) };
    let mut instance = document::with_user_data(DOCUMENT, &node)?;
    // What the service calls a region is a zone, such as fi-hel2; its own region is not told.
    instance.availability_zone = instance.region.clone();
    document::name_by_id("upcloud", &mut instance);
    let names = [("HOSTNAME", "hostname"), ("INSTANCE_ID", "instance_id"), ("REGION", "region")];
    document::attributes(&node, &names, &mut instance);
    let mut cards: Vec<Json> =
        document::list_at(&node, "network.interfaces").iter().filter_map(card).collect();
    let servers = document::texts_at(&node, "network.dns.*");
    // The server's own name servers come after those of its NICs.
    network::add_to_first(&mut cards, "addresses", servers);
    document::read_cards(cards, &mut instance)?;
    Ok(Some(instance))
}

/// A NIC: an address by DHCP is not written down, an IPv6 address of that kind comes with the router's advertisement.
fn card(nic: &Node) -> Option<Json> {
    let mac = document::text_at(nic, "mac")?;
    let (mut addresses, mut routes, mut servers) = (Vec::new(), Vec::new(), Vec::new());
    let (mut dhcp4, mut accept_ra) = (false, false);
    for ip in document::list_at(nic, "ip_addresses") {
        let text = |name: &str| document::text_of(ip, &[name]);
        let Some(address) = text("address") else { continue };
        let v4 = !address.contains(':');
        servers.extend(document::texts_at(ip, "dns.*"));
        if ip.get("dhcp").and_then(Node::bool) == Some(true) {
            dhcp4 |= v4;
            accept_ra |= !v4;
            continue;
        }
        let length = text("network").and_then(|subnet| Some(subnet.split_once('/')?.1));
        addresses.push(network::cidr(address, length));
        if let Some(gateway) = text("gateway") {
            routes.push(json!({ "to": if v4 { "0.0.0.0/0" } else { "::/0" }, "via": gateway }));
        }
    }
    let mut card =
        json!({ "match": { "macaddress": mac }, "dhcp4": dhcp4, "addresses": addresses, "routes": routes });
    if accept_ra || addresses.iter().any(|a| a.contains(':')) {
        card["accept-ra"] = json!(accept_ra);
    }
    servers.dedup();
    if !servers.is_empty() {
        card["nameservers"] = json!({ "addresses": servers });
    }
    Some(card)
}
