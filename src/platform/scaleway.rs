// SPDX-License-Identifier: Apache-2.0
//! Scaleway: its metadata service
//! ([user-data](https://www.scaleway.com/en/docs/instances/how-to/use-cloud-init/)), which gives user-data to root alone: the question
//! must come from a port below 1024.

use serde_json::{Value as Json, json};

use super::service::{JSON, Service, both};
use super::{Error, Evidence, Platform, Report, document};
use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::io::http::{Method, Way};
use crate::model::facts::{Facts, Link};
use crate::model::instance::{Instance, Spelling};

/// Scaleway.
pub(super) const PLATFORM: Platform = Platform {
    id: "scaleway",
    name: "Scaleway",
    spelling: Some(Spelling { coreos: "SCALEWAY", afterburn: "SCALEWAY", common: false }),
    names: &["meta_data.id", "meta_data.name", "meta_data.zone"],
    hint: "Scaleway: give the instance user-data under the key cloud-init",
    evidence: |facts| Evidence::of_vendor_or_word(facts, "Scaleway", "scaleway"),
    network: Some(fetch),
    report: Some(report),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    host: "http://169.254.42.42",
    addresses: &both([169, 254, 42, 42], [0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42]),
    way: Way::LowPort,
    cure: "Scaleway's metadata service does not answer: see that a route leads to 169.254.42.42 or fd00:42::42",
    ..Service::LINK_LOCAL
};

/// The document, and what stands beside it.
const PATHS: [&str; 3] = ["/conf?format=json", "/user_data/cloud-init", "/vendor_data/cloud-init"];

/// Afterburn's names, and their keys in the document. It spells some in another way than its documentation does.
const NAMES: &[(&str, &str)] = &[
    ("HOSTNAME", "hostname"),
    ("INSTANCE_ID", "id"),
    ("INSTANCE_TYPE", "commercial_type"),
    ("IPV4_PRIVATE", "private_ip"),
    ("PRIVATE_IPV4", "private_ip"),
];

/// Older names of zones.
const ZONES: &[(&str, &str)] = &[("par1", "fr-par-1"), ("ams1", "nl-ams-1")];

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let Some((node, mut instance)) = document::machine(&SERVICE, world, PATHS)? else { return Ok(None) };
    let text = |path: &str| document::text_at(&node, path);
    instance.instance_id = text("id").unwrap_or_default().to_owned();
    instance.node_name = instance.hostname.clone();
    let told = text("zone").or(text("location.zone_id"));
    let zone = told.map(|z| ZONES.iter().find(|(old, _)| *old == z).map_or(z, |(_, zone)| zone));
    instance.region = zone.and_then(|z| z.rsplit_once('-')).map(|(region, _)| region.to_owned());
    instance.provider_id = zone.map(|zone| format!("scaleway://instance/{zone}/{}", instance.instance_id));
    instance.availability_zone = zone.map(str::to_owned);
    // The project's keys, and those that tags have, with `_` for blanks.
    let tagged = |tag: &String| Some(tag.strip_prefix("AUTHORIZED_KEY=")?.replace('_', " "));
    let tagged = document::texts_at(&node, "tags.*").iter().filter_map(tagged).collect();
    instance.ssh_keys = [document::texts_at(&node, "ssh_public_keys.*.key"), tagged].concat();
    let (v4, mut v6) = (public(&node, "public_ips_v4", false), public(&node, "public_ips_v6", true));
    if v6.is_empty() {
        // As servers have it whose address is translated.
        v6.extend(node.get("ipv6").filter(|old| document::text_at(old, "address").is_some()));
    }
    let first_v4 = v4.first().copied().or(node.get("public_ip"));
    let addresses = &mut instance.addresses;
    addresses.local_v4 = document::parsed_at(&node, "private_ip");
    addresses.public_v4 = first_v4.and_then(|ip| document::parsed_at(ip, "address"));
    addresses.public_v6 = v6.first().and_then(|ip| document::parsed_at(ip, "address"));
    document::attributes(&node, NAMES, &mut instance);
    for [name_v4, name_v6] in [["IPV4_PUBLIC", "IPV6_PUBLIC"], ["PUBLIC_IPV4", "PUBLIC_IPV6"]] {
        instance.attribute(name_v4, instance.addresses.public_v4);
        instance.attribute(name_v6, instance.addresses.public_v6);
    }
    instance.attribute("ZONE_ID", text("location.zone_id").or(told));
    let dhcp4 = !v4.is_empty() || text("private_ip").is_some();
    if !v4.is_empty() || !v6.is_empty() {
        document::read_cards(vec![card(&world.links()?, &v4, &v6, dhcp4)], &mut instance)?;
    }
    Ok(Some(instance))
}

/// The server is up, however its bootstrap ended: the console of Scaleway has it as booting until it is told.
fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    match report.state {
        "running" => Ok(()),
        _ => SERVICE.tell(world, (Method::PATCH, "/state"), &[JSON], r#"{"state_detail":"booted"}"#),
    }
}

/// The public addresses of a family: in a list of their own, or in the one of both.
fn public<'a>(node: &'a Node, name: &str, is_v6: bool) -> Vec<&'a Node> {
    let (own, both) = (document::list_at(node, name), document::list_at(node, "public_ips"));
    let is = |ip: &&Node| document::text_at(ip, "address").is_some_and(|a| a.contains(':') == is_v6);
    if own.is_empty() { both.iter().filter(is).collect() } else { own.iter().collect() }
}

/// The public NIC, which no document names: it has the default route. The first IPv4 address comes by DHCP, further ones and those of IPv6 do not. NICs of
/// private networks get their addresses by DHCP.
fn card(links: &[Link], v4: &[&Node], v6: &[&Node], dhcp4: bool) -> Json {
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    for ip in v4.iter().skip(1).chain(v6) {
        let text = |name: &str| document::text_at(ip, name);
        let Some(address) = text("address") else { continue };
        addresses.push(network::cidr(address, text("netmask")));
        let gateway = text("gateway").filter(|_| address.contains(':') && routes.is_empty());
        routes.extend(gateway.map(network::way_out));
    }
    routes.push(json!({ "to": "169.254.42.42/32", "scope": "link" }));
    let nics = links.iter().filter(|l| l.kind.is_none());
    let nic = nics.min_by_key(|l| (l.default_route == (false, false), &l.name));
    let nic = nic.map_or(json!({ "name": "e*" }), |nic| json!({ "macaddress": nic.mac }));
    let mut card = json!({ "match": nic, "dhcp4": dhcp4, "addresses": addresses, "routes": routes });
    // With a default route of IPv6 beside that one.
    if routes.len() > 1 {
        card["accept-ra"] = json!(false);
    }
    card
}
