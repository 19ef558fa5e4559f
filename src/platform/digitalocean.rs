// SPDX-License-Identifier: Apache-2.0
//! DigitalOcean: the droplet's metadata document, on a drive that is there before the network is, or else from the service
//! ([metadata API](https://docs.digitalocean.com/reference/api/metadata/)). Addresses are static: DHCP answers on few droplets.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use super::service::Service;
use super::{Error, Evidence, Platform, config_drive, document};
use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// DigitalOcean. Of what its drive has in OpenStack's format, nothing is read: the document has it all.
pub(super) const PLATFORM: Platform = Platform {
    id: "digitalocean",
    name: "DigitalOcean",
    spelling: Some(Spelling { coreos: "DIGITALOCEAN", afterburn: "DIGITALOCEAN", common: false }),
    names: &["meta_data.droplet_id"],
    hint: "DigitalOcean: give the droplet user-data",
    evidence: |facts| (facts.dmi.sys_vendor == "DigitalOcean").then(|| Evidence::of_dmi(&facts.dmi)),
    local: Some(drive),
    network: Some(fetch),
    id_in_dmi: |dmi| &dmi.product_serial,
    ..Platform::NONE
};

static SERVICE: Service = Service {
    cure: "DigitalOcean's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The document with all that the service knows.
const DOCUMENT: &str = "/metadata/v1.json";

/// The same document on the drive.
const FILE: &str = "digitalocean_meta_data.json";

fn drive(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let Some(file) = config_drive::file(world, FILE)? else { return Ok(None) };
    read(FILE, document::mapping(FILE, file.expose())?).map(Some)
}

/// The drive has all that the service has, and needs no network.
fn fetch(world: &dyn World, _: &Facts, found: Option<Instance>) -> Result<Option<Instance>, Error> {
    if found.is_some() {
        return Ok(found);
    }
    document::fetch(&SERVICE, world, DOCUMENT)?.map(|node| read(DOCUMENT, node)).transpose()
}

fn read(place: &str, mut node: Node) -> Result<Instance, Error> {
    // A credential of the droplet's, which nothing on the node uses.
    node.remove("auth_key");
    let mut instance = document::with_user_data(place, &node)?;
    instance.instance_id = document::text_at(&node, "droplet_id").unwrap_or_default().to_owned();
    document::name_by_id("digitalocean", &mut instance);
    document::attributes(&node, &[("HOSTNAME", "hostname"), ("REGION", "region")], &mut instance);
    let servers = document::texts_at(&node, "dns.nameservers.*");
    let mut cards = Vec::new();
    for kind in ["public", "private"] {
        for (n, nic) in document::list_at(&node, &format!("interfaces.{kind}")).iter().enumerate() {
            // A droplet may have private networks alone.
            let asked = if kind == "public" || cards.is_empty() { &servers[..] } else { &[] };
            cards.extend(card(nic, kind == "public", asked));
            for (key, family) in [("ipv4", "IPV4"), ("ipv6", "IPV6"), ("anchor_ipv4", "IPV4")] {
                let sort = if key == "anchor_ipv4" { "ANCHOR".to_owned() } else { kind.to_uppercase() };
                let address = nic.get(key).and_then(address);
                instance.attribute(&format!("{family}_{sort}_{n}"), address.as_deref());
                let place = match (key, kind, n) {
                    ("ipv4", "public", 0) => &mut instance.addresses.public_v4,
                    ("ipv4", "private", 0) => &mut instance.addresses.local_v4,
                    _ => continue,
                };
                *place = address.and_then(|a| a.parse().ok());
            }
            if kind == "public" && n == 0 {
                let address = nic.get("ipv6").and_then(address);
                instance.addresses.public_v6 = address.and_then(|a| a.parse().ok());
            }
        }
    }
    document::read_cards(cards, &mut instance)?;
    Ok(instance)
}

/// The address of a part of a NIC, an IPv6 address in its canonical form.
fn address(part: &Node) -> Option<String> {
    let text = document::text_at(part, "ip_address")?;
    let v4 = text.parse().map(|a: Ipv4Addr| a.to_string());
    v4.or_else(|_| text.parse().map(|a: Ipv6Addr| a.to_string())).ok()
}

/// A NIC, with the name servers to be asked over it: default routes on the public one only. A gateway may be outside the NIC's networks, so it is said to
/// be on the link. The anchor address, by which a reserved address comes in, has no gateway.
fn card(nic: &Node, public: bool, servers: &[String]) -> Option<Json> {
    let mac = document::text_at(nic, "mac")?;
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    for key in ["ipv4", "ipv6", "anchor_ipv4"] {
        let Some(part) = nic.get(key) else { continue };
        let Some(address) = address(part) else { continue };
        let Some(length) = document::text_of(part, &["netmask", "cidr"]).and_then(network::prefix) else {
            continue;
        };
        addresses.push(format!("{address}/{length}"));
        let gateway = document::text_at(part, "gateway").filter(|_| public && key != "anchor_ipv4");
        routes.extend(gateway.map(network::way_out));
    }
    let mut card =
        json!({ "match": { "macaddress": mac }, "dhcp4": false, "addresses": addresses, "routes": routes });
    if addresses.iter().any(|a| a.contains(':')) {
        card["accept-ra"] = json!(false);
    }
    if !servers.is_empty() {
        card["nameservers"] = json!({ "addresses": servers });
    }
    Some(card)
}
