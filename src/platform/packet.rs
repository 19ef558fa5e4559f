// SPDX-License-Identifier: Apache-2.0
//! Packet, later Equinix Metal: its metadata service, which [Hegel](https://github.com/tinkerbell/hegel) of Tinkerbell speaks too. The
//! machine has bonds, whose addresses are static. The shapes are those of
//! [Afterburn](https://github.com/coreos/afterburn/tree/main/src/providers/packet) and of
//! [Talos](https://github.com/siderolabs/talos/tree/main/internal/app/machined/pkg/runtime/v1alpha1/platform/equinixmetal).

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::service::{JSON, Service, Session};
use super::{Error, Evidence, Platform, Report, document};
use crate::decode::network;
use crate::decode::syntax::yaml::{self, Node};
use crate::io::http::{Method, Request};
use crate::io::{Ask, Tell, World};
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;

/// Packet. Nothing but a kernel argument tells that a machine is there.
pub(super) const PLATFORM: Platform = Platform {
    id: "packet",
    name: "Packet",
    aliases: &["equinixmetal"],
    spelling: Some(Spelling { coreos: "PACKET", afterburn: "PACKET", common: false }),
    names: &["meta_data.facility", "meta_data.id", "meta_data.plan"],
    hint: "Packet: give the machine user-data",
    evidence: |facts| {
        let url = facts.cmdline.get(ARGUMENT)?;
        Some(Evidence::Argument(format!("{ARGUMENT}={url}")))
    },
    network: Some(fetch),
    report: Some(report),
    ..Platform::NONE
};

/// The kernel argument that tells where the service is: Hegel has another address on each network.
const ARGUMENT: &str = "footplate.packet";

/// Where Packet has the service.
const HOST: &str = "https://metadata.packet.net";

/// The service answers 406 to other types than these.
static SERVICE: Service = Service {
    host: "",
    headers: &[("Accept", "*/*")],
    cure: "the metadata service does not answer: see that the kernel argument footplate.packet=URL names it, that its name is known to \
           DNS, and that a route leads there",
    ..Service::LINK_LOCAL
};

/// The networks that are reached by way of the private gateway where the document names none.
const PRIVATE: &str = "10.0.0.0/8";

/// The name servers that DHCP told, which the document does not name.
const RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// The URL of the metadata document, and of what stands beside it.
fn url(cmdline: &Cmdline, name: &str) -> Result<String, Error> {
    let Some(given) = cmdline.get(ARGUMENT) else { return Ok(format!("{HOST}/{name}")) };
    let rest = given.strip_prefix("http://").or_else(|| given.strip_prefix("https://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', '@'])) {
        let cure = format!("write it as in {ARGUMENT}=http://192.0.2.1:50061");
        return Err(Problem::error(ARGUMENT, "not the URL of a metadata service").cure(cure).into());
    }
    Ok(format!("{}/{name}", given.trim_end_matches('/')))
}

fn fetch(world: &dyn World, facts: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let urls = [url(&facts.cmdline, "metadata")?, url(&facts.cmdline, "userdata")?];
    let [bytes, user_data] = SERVICE.get(world, [&urls[0], &urls[1]])?;
    if user_data.is_none()
        && facts.cmdline.get(ARGUMENT).is_some()
        && let Some(instance) = in_ec2s_shape(world, facts)?
    {
        return Ok(Some(instance));
    }
    let Some(bytes) = bytes else { return Ok(None) };
    let node = document::mapping("metadata", bytes.expose())?;
    let mut instance = Instance::default();
    document::read_machine("metadata", &node, &mut instance)?;
    // The passwords of BGP sessions, which nothing on the node uses.
    for neighbor in
        instance.metadata.get_mut("bgp_neighbors").and_then(Json::as_array_mut).into_iter().flatten()
    {
        neighbor.as_object_mut().and_then(|map| map.remove("md5_password"));
    }
    let text = |name: &str| document::text_of(&node, &[name]);
    instance.user_data = user_data;
    instance.instance_id = text("id").unwrap_or_default().to_owned();
    document::name_by_id("equinixmetal", &mut instance);
    instance.ssh_keys = node.get("ssh_keys").map(document::ssh_keys).unwrap_or_default();
    instance.region = text("metro").map(str::to_owned);
    instance.availability_zone = text("facility").map(str::to_owned);
    let names = [("HOSTNAME", "hostname"), ("PLAN", "plan"), ("PHONE_HOME_URL", "phone_home_url")];
    document::attributes(&node, &names, &mut instance);
    let addresses = addresses(&node, &mut instance.problems);
    for public in [true, false] {
        for (family, is_v6) in [("IPV4", false), ("IPV6", true)] {
            let sort = format!("{family}_{}", if public { "PUBLIC" } else { "PRIVATE" });
            let of = addresses.iter().filter(|a| a.public == public && a.ip.is_ipv6() == is_v6);
            for (n, address) in of.enumerate() {
                instance.attribute(&format!("{sort}_{n}"), Some(address.ip));
                instance.attribute(&format!("{sort}_GATEWAY_{n}"), address.gateway);
            }
        }
    }
    let own: Vec<&Address> = addresses.iter().filter(|a| a.own).collect();
    for address in own.iter().rev() {
        let places = &mut instance.addresses;
        match (address.ip, address.public) {
            (IpAddr::V4(ip), true) => places.public_v4 = Some(ip),
            (IpAddr::V4(ip), false) => places.local_v4 = Some(ip),
            (IpAddr::V6(ip), true) => places.public_v6 = Some(ip),
            (IpAddr::V6(ip), false) => places.local_v6 = Some(ip),
        }
    }
    read_bonds(world, &node, &own, &mut instance)?;
    Ok(Some(instance))
}

/// What [Hegel](https://github.com/tinkerbell/hegel/blob/main/internal/frontend/ec2/routes.go) serves from version 0.11 on in the place of
/// Packet's documents: names of EC2's first service. Tinkerbell's controller puts the provider id into the data itself.
const HEGEL: [&str; 8] = [
    "instance-id",
    "local-hostname",
    "local-ipv4",
    "public-ipv4",
    "public-ipv6",
    "public-keys",
    "facility",
    "plan",
];

/// The machine as a newer Hegel tells of it; `None` where it tells no id.
fn in_ec2s_shape(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let paths =
        std::iter::once("user-data".to_owned()).chain(HEGEL.iter().map(|name| format!("meta-data/{name}")));
    let urls: Vec<String> =
        paths.map(|path| url(&facts.cmdline, &format!("2009-04-04/{path}"))).collect::<Result<_, _>>()?;
    let mut answers = Session::open(&SERVICE, world, world.patience())?.get_all(&urls)?;
    let user_data = answers.remove(0).filter(|a| !a.is_blank());
    let mut metadata = Map::new();
    for (name, answer) in HEGEL.iter().zip(answers) {
        let text = answer.map(|a| String::from_utf8_lossy(a.expose()).trim().to_owned()).unwrap_or_default();
        if !text.is_empty() {
            metadata.insert((*name).to_owned(), text.into());
        }
    }
    let mut instance = Instance { user_data, ..Instance::default() };
    let node = yaml::parse(&Json::Object(metadata).to_string())?;
    document::read_machine("meta-data", &node, &mut instance)?;
    instance.attribute("HOSTNAME", instance.hostname.clone().as_deref());
    Ok(Some(instance).filter(|instance| !instance.instance_id.is_empty()))
}

/// An address of the document.
struct Address {
    ip: IpAddr,
    length: u8,
    gateway: Option<IpAddr>,
    public: bool,
    /// Whether it is this machine's alone. An elastic address moves between machines, and who uses it sets it.
    own: bool,
}

fn addresses(node: &Node, problems: &mut Vec<Problem>) -> Vec<Address> {
    let list = document::list_at(node, "network.addresses");
    let read = |entry: &Node| {
        let is = |name: &str| entry.get(name).and_then(Node::bool).unwrap_or(true);
        let text = |name: &str| document::text_of(entry, &[name]);
        Some(Address {
            ip: text("address")?.parse().ok()?,
            length: text("cidr").or(text("netmask")).and_then(network::prefix)?,
            gateway: text("gateway").and_then(|g| g.parse().ok()),
            public: is("public"),
            own: is("management") && is("enabled"),
        })
    };
    let mut addresses = Vec::new();
    for (n, entry) in list.iter().enumerate() {
        match read(entry) {
            Some(address) => addresses.push(address),
            None => {
                let what = "is not an address with its prefix, and is left out";
                problems
                    .push(Problem::warning(format!("metadata: network.addresses[{n}]"), what).at(entry.pos));
            }
        }
    }
    addresses
}

/// The bonds of the machine's NICs; a NIC in none is left to the image. All addresses are on the first bond.
fn read_bonds(
    world: &dyn World,
    node: &Node,
    own: &[&Address],
    instance: &mut Instance,
) -> Result<(), Error> {
    let nics = document::list_at(node, "network.interfaces");
    let (mut ethernets, mut bonds) = (Map::new(), Vec::<(String, Vec<Json>)>::new());
    for (n, nic) in nics.iter().enumerate() {
        let text = |name: &str| document::text_of(nic, &[name]);
        let (Some(mac), Some(bond)) = (text("mac"), text("bond")) else { continue };
        let id = format!("card{n:02}");
        ethernets.insert(id.clone(), json!({ "match": { "macaddress": mac } }));
        match bonds.iter_mut().find(|(name, _)| name == bond) {
            Some((_, members)) => members.push(id.into()),
            None => bonds.push((bond.to_owned(), vec![id.into()])),
        }
    }
    if bonds.is_empty() {
        if !own.is_empty() {
            let what = "no NIC is in a bond, so the addresses of the document are not set: the NICs get theirs by DHCP";
            instance.problems.push(Problem::warning("metadata: network", what));
        }
        return Ok(());
    }
    let mode = document::text_at(node, "network.bonding.mode").unwrap_or("4");
    let mut parameters =
        json!({ "mode": mode, "mii-monitor-interval": 100, "up-delay": 200, "down-delay": 200 });
    if ["4", "802.3ad"].contains(&mode) {
        parameters["lacp-rate"] = "fast".into();
        parameters["transmit-hash-policy"] = "layer3+4".into();
    }
    let name_servers = world.text(Ask::File(RESOLV_CONF))?;
    let name_servers =
        name_servers.lines().filter_map(|l| l.strip_prefix("nameserver ")?.trim().parse::<IpAddr>().ok());
    let name_servers: Vec<String> = name_servers.map(|ip| ip.to_string()).collect();
    if name_servers.is_empty() {
        let what = "the metadata names no name servers, and DHCP told none: the bonds are without";
        let cure = "set them by a file in /etc/systemd/resolved.conf.d";
        instance.problems.push(Problem::warning("metadata: network", what).cure(cure));
    }
    let mut devices = Map::new();
    for (n, (name, members)) in bonds.into_iter().enumerate() {
        let first = members
            .first()
            .and_then(|id| ethernets.get(id.as_str()?))
            .map(|c| c["match"]["macaddress"].clone());
        let mut bond =
            json!({ "interfaces": members, "parameters": parameters, "dhcp4": false, "macaddress": first });
        if n == 0 {
            bond["addresses"] = own.iter().map(|a| format!("{}/{}", a.ip, a.length)).collect();
            bond["routes"] = routes(node, own).into();
            bond["accept-ra"] = (!own.iter().any(|a| a.ip.is_ipv6())).into();
            bond["nameservers"] = json!({ "addresses": name_servers });
        } else {
            bond["optional"] = true.into();
        }
        devices.insert(name, bond);
    }
    let document = json!({ "network": { "version": 2, "ethernets": ethernets, "bonds": devices } });
    document::read_network(&yaml::parse(&document.to_string())?, instance);
    Ok(())
}

/// The default routes, by the public gateway where there is one; and those of private networks and of the routers that BGP is spoken
/// with, by the private one.
fn routes(node: &Node, own: &[&Address]) -> Vec<Json> {
    let gateway = |is_v6: bool, public: bool| {
        own.iter().filter(|a| a.ip.is_ipv6() == is_v6 && a.public == public).find_map(|a| a.gateway)
    };
    let mut routes = Vec::new();
    for (is_v6, all) in [(false, "0.0.0.0/0"), (true, "::/0")] {
        if let Some(via) = gateway(is_v6, true).or_else(|| gateway(is_v6, false)) {
            routes.push(json!({ "to": all, "via": via }));
        }
    }
    let named = document::texts_at(node, "private_subnets.*");
    let private = if named.is_empty() { vec![PRIVATE.to_owned()] } else { named };
    let peers = document::texts_at(node, "bgp_neighbors.*.peer_ips.*");
    let peers = peers.iter().map(|ip| network::cidr(ip, None::<u8>));
    for to in private.into_iter().chain(peers) {
        if let Some(via) = gateway(to.contains(':'), false) {
            routes.push(json!({ "to": to, "via": via }));
        }
    }
    routes
}

/// The machine is up, however its bootstrap ended: where nobody tells it so, Packet gives it up. The events say how it went.
fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let cmdline = Cmdline::parse(&world.text(Ask::File("/proc/cmdline"))?);
    let Some(node) = document::fetch(&SERVICE, world, &url(&cmdline, "metadata")?)? else { return Ok(()) };
    let home = document::text_at(&node, "phone_home_url");
    let beside = || Some(format!("{}/events", home?.strip_suffix("/phone-home")?));
    let events = document::text_at(&node, "user_state_url").map(str::to_owned).or_else(beside);
    let post = |to: &str, body: String| {
        if !["http://", "https://"].iter().any(|scheme| to.starts_with(scheme)) {
            return Err(Problem::error("metadata", "the place for reports is not an HTTP URL").into());
        }
        let mut request = Request::new(Method::POST, to).header(JSON.0, JSON.1);
        request.body = body.as_str().into();
        world.tell(Tell::Http(&request))
    };
    let at_home = home.filter(|_| report.state != "running").map_or(Ok(()), |to| post(to, String::new()));
    let state = if report.state == "failed" { "failed" } else { "running" };
    let message = report.error.or(report.phase).unwrap_or(report.state);
    let event = json!({ "state": state, "message": format!("footplate: {}: {message}", report.state) });
    at_home.and(events.map_or(Ok(()), |to| post(&to, event.to_string())))
}
