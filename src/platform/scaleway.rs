// SPDX-License-Identifier: Apache-2.0
//! Scaleway: its metadata service
//! ([user-data](https://www.scaleway.com/en/docs/instances/how-to/use-cloud-init/)), which gives user-data to root alone: the question
//! must come from a port below 1024.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, Report, document};
use crate::decode::syntax::yaml::Node;
use crate::io::http::{Method, Request, Way};
use crate::io::{Tell, World};
use crate::model::facts::{Facts, Link};
use crate::model::instance::{Instance, Spelling};

/// Scaleway.
pub(super) const PLATFORM: Platform = Platform {
    id: "scaleway",
    name: "Scaleway",
    spelling: Some(Spelling { coreos: "SCALEWAY", afterburn: "SCALEWAY", common: false }),
    names: &["meta_data.id", "meta_data.name", "meta_data.zone"],
    hint: "Scaleway: give the instance user-data under the key cloud-init",
    evidence: |facts| {
        let argument = || facts.cmdline.has("scaleway").then(|| Evidence::Argument("scaleway".to_owned()));
        (facts.dmi.sys_vendor == "Scaleway").then(|| Evidence::of_dmi(&facts.dmi)).or_else(argument)
    },
    network: Some(fetch),
    report: Some(report),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    host: "http://169.254.42.42",
    addresses: &[
        IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    ],
    way: Way::LowPort,
    cure: "Scaleway's metadata service does not answer: see that a route leads to 169.254.42.42 or fd00:42::42",
    ..Service::LINK_LOCAL
};

const DOCUMENT: &str = "/conf?format=json";
const USER_DATA: &str = "/user_data/cloud-init";
const VENDOR_DATA: &str = "/vendor_data/cloud-init";

/// Older names of zones.
const ZONES: &[(&str, &str)] = &[("par1", "fr-par-1"), ("ams1", "nl-ams-1")];

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let mut answers = session.get_all(&[DOCUMENT, USER_DATA, VENDOR_DATA].map(str::to_owned))?.into_iter();
    let mut next = || answers.next().flatten().filter(|a| !a.expose().trim_ascii().is_empty());
    let (Some(bytes), user_data, vendor_data) = (next(), next(), next()) else { return Ok(None) };
    let node = document::mapping(DOCUMENT, bytes.expose())?;
    let mut instance = Instance { user_data, vendor_data, ..Instance::default() };
    document::read_machine(DOCUMENT, &node, &mut instance)?;
    let text = |name: &str| document::text_of(&node, &[name]);
    let of = |part: &str, name: &str| document::text_of(node.get(part)?, &[name]);
    instance.instance_id = text("id").unwrap_or_default().to_owned();
    instance.node_name = instance.hostname.clone();
    let told = text("zone").or(of("location", "zone_id"));
    let zone = told.map(|z| ZONES.iter().find(|(old, _)| *old == z).map_or(z, |(_, zone)| zone));
    instance.region = zone.and_then(|z| z.rsplit_once('-')).map(|(region, _)| region.to_owned());
    instance.provider_id = zone.map(|zone| format!("scaleway://instance/{zone}/{}", instance.instance_id));
    instance.availability_zone = zone.map(str::to_owned);
    instance.ssh_keys = ssh_keys(&node);
    let (v4, mut v6) = (public(&node, "public_ips_v4", false), public(&node, "public_ips_v6", true));
    if v6.is_empty() {
        // As servers have it whose address is translated.
        v6.extend(node.get("ipv6").filter(|old| document::text_of(old, &["address"]).is_some()));
    }
    let first = |list: &[&Node]| document::text_of(list.first()?, &["address"]).map(str::to_owned);
    let public = first(&v4).or(of("public_ip", "address").map(str::to_owned));
    let addresses = &mut instance.addresses;
    addresses.local_v4 = text("private_ip").and_then(|a| a.parse().ok());
    addresses.public_v4 = public.and_then(|a| a.parse().ok());
    addresses.public_v6 = first(&v6).and_then(|a| a.parse().ok());
    let (public_v4, public_v6) =
        (addresses.public_v4.map(|a| a.to_string()), addresses.public_v6.map(|a| a.to_string()));
    for (name, value) in [
        ("HOSTNAME", text("hostname")),
        ("INSTANCE_ID", text("id")),
        ("INSTANCE_TYPE", text("commercial_type")),
        ("IPV4_PRIVATE", text("private_ip")),
        ("IPV4_PUBLIC", public_v4.as_deref()),
        ("IPV6_PUBLIC", public_v6.as_deref()),
        ("ZONE_ID", of("location", "zone_id").or(told)),
        // As Afterburn's documentation spells them.
        ("PRIVATE_IPV4", text("private_ip")),
        ("PUBLIC_IPV4", public_v4.as_deref()),
        ("PUBLIC_IPV6", public_v6.as_deref()),
    ] {
        instance.attribute(name, value);
    }
    let dhcp4 = !v4.is_empty() || text("private_ip").is_some();
    let card = card(world, &v4, &v6, dhcp4)?;
    document::read_cards(card.into_iter().collect(), &mut instance)?;
    Ok(Some(instance))
}

/// The server is up, however its bootstrap ended: the console of Scaleway has it as booting until it is told.
fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    if report.state == "running" {
        return Ok(());
    }
    let mut request = Request::new(Method::PATCH, format!("{}/state", SERVICE.host))
        .header("Content-Type", "application/json");
    request.body = r#"{"state_detail":"booted"}"#.into();
    (request.addresses, request.way) = (SERVICE.addresses, SERVICE.way);
    world.tell(Tell::Http(&request))
}

fn list<'a>(node: &'a Node, name: &str) -> &'a [Node] {
    node.get(name).and_then(Node::list).unwrap_or_default()
}

/// The public addresses of a family: in a list of their own, or in the one of both.
fn public<'a>(node: &'a Node, name: &str, is_v6: bool) -> Vec<&'a Node> {
    let own = list(node, name);
    let of_both = list(node, "public_ips").iter().filter(|_| own.is_empty());
    let of_family =
        |ip: &&Node| document::text_of(ip, &["address"]).is_some_and(|a| a.contains(':') == is_v6);
    own.iter().chain(of_both.filter(of_family)).collect()
}

/// The project's keys, and those that tags have, with `_` for blanks.
fn ssh_keys(node: &Node) -> Vec<String> {
    let keys = list(node, "ssh_public_keys").iter().filter_map(|k| document::text_of(k, &["key"]));
    let tags = list(node, "tags").iter().filter_map(|t| t.text()?.strip_prefix("AUTHORIZED_KEY="));
    keys.map(str::to_owned).chain(tags.map(|key| key.replace('_', " "))).collect()
}

/// The public NIC, which no document names: it has the default route. The first IPv4 address comes by DHCP, further ones and those of IPv6 do not. NICs of
/// private networks get their addresses by DHCP.
fn card(world: &dyn World, v4: &[&Node], v6: &[&Node], dhcp4: bool) -> Result<Option<Json>, Error> {
    let (mut addresses, mut routes) = (Vec::new(), Vec::new());
    for ip in v4.iter().skip(1).chain(v6) {
        let text = |name: &str| document::text_of(ip, &[name]);
        let Some(address) = text("address") else { continue };
        let is_v6 = address.contains(':');
        let length = text("netmask").unwrap_or(if is_v6 { "128" } else { "32" });
        addresses.push(format!("{address}/{length}"));
        if let Some(gateway) = text("gateway").filter(|_| is_v6 && routes.is_empty()) {
            routes.push(json!({ "to": "::/0", "via": gateway, "on-link": true }));
        }
    }
    if v4.is_empty() && v6.is_empty() {
        return Ok(None);
    }
    let static_v6 = !routes.is_empty();
    routes.push(json!({ "to": "169.254.42.42/32", "scope": "link" }));
    let mut nics: Vec<Link> = world.links()?.into_iter().filter(|l| l.kind.is_none()).collect();
    nics.sort_by_key(|l| (l.default_route == (false, false), l.name.clone()));
    let nic = nics.first().map_or(json!({ "name": "e*" }), |nic| json!({ "macaddress": nic.mac }));
    let mut card = json!({ "match": nic, "dhcp4": dhcp4, "addresses": addresses, "routes": routes });
    if static_v6 {
        card["accept-ra"] = json!(false);
    }
    Ok(Some(card))
}
