// SPDX-License-Identifier: Apache-2.0
//! CloudStack: a config drive, or where none is attached the virtual router
//! ([user-data and metadata](https://docs.cloudstack.apache.org/en/latest/adminguide/virtual_machines/user-data.html)). Each has a
//! document for each name.

use std::time::{Duration, Instant};

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, config_drive, document};
use crate::decode::syntax::yaml::Node;
use crate::io::{Ask, World};
use crate::model::facts::{Facts, Link};
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// CloudStack.
pub(super) const PLATFORM: Platform = Platform {
    id: "cloudstack",
    name: "CloudStack",
    spelling: Some(Spelling { coreos: "CLOUDSTACK", afterburn: "CLOUDSTACK", common: false }),
    hint: "CloudStack: give the machine user-data",
    evidence: |facts| facts.dmi.product_name.starts_with("CloudStack").then(|| Evidence::of_dmi(&facts.dmi)),
    local: Some(drive),
    network: Some(routers),
    ..Platform::NONE
};

/// Its host is in the paths: the router has another address in each network.
static SERVICE: Service = Service {
    host: "",
    cure: "CloudStack's virtual router does not answer: it must be the DHCP server of this network, or have the name data-server",
    ..Service::LINK_LOCAL
};

/// The router's name, where it is the name server too.
const NAME: &str = "data-server";

/// How often to look for a lease.
const POLL: Duration = Duration::from_millis(250);

/// Most routers that are asked by their address: one for each NIC.
const MAX_ROUTERS: usize = 8;

/// The names that have a document, which are Afterburn's too.
const NAMES: &[&str] = &[
    "availability-zone",
    "cloud-identifier",
    "instance-id",
    "local-hostname",
    "local-ipv4",
    "public-hostname",
    "public-ipv4",
    "service-offering",
    "vm-id",
];

/// Where the drive has the network, in OpenStack's format; empty where DHCP tells it.
const NETWORK: &str = "openstack/latest/network_data.json";

/// The name of the document with SSH keys.
const KEYS: &str = "public-keys";

fn drive(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let path = |name: &str| format!("cloudstack/metadata/{}.txt", name.replace('-', "_"));
    let read = |path: String| config_drive::file(world, &path).map(|value| (path, value));
    let values: Result<Vec<_>, _> = NAMES.iter().chain([&KEYS]).map(|name| read(path(name))).collect();
    let user_data = read("cloudstack/userdata/user_data.txt".to_owned())?.1;
    let Some(mut instance) = instance(values?, user_data)? else { return Ok(None) };
    config_drive::network(&Node::null(), NETWORK, &|path| config_drive::file(world, path), &mut instance)?;
    Ok(Some(named(instance)))
}

/// The drive has all that a router has, and needs no network.
fn routers(world: &dyn World, _: &Facts, found: Option<Instance>) -> Result<Option<Instance>, Error> {
    if found.is_some() {
        return Ok(found);
    }
    let mut hosts = first_leases(world)?;
    hosts.push(NAME.to_owned());
    let patience = world.patience() / u32::try_from(hosts.len()).unwrap_or(1);
    let mut failed = None;
    for host in hosts {
        let session = Session::open(&SERVICE, world, patience)?;
        match ask(&session, &format!("http://{host}/latest")) {
            // The one before it may have what this one does not have.
            Ok(Some(instance)) if failed.is_none() || instance.user_data.is_some() => {
                return Ok(Some(named(instance)));
            }
            Ok(_) => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// The servers of the leases, waited for where no NIC has one yet nor a way out: the router's name is not to be found then either.
/// The other half of the time is for the questions.
fn first_leases(world: &dyn World) -> Result<Vec<String>, Error> {
    let (start, limit) = (Instant::now(), world.patience() / 2);
    loop {
        let links = world.links()?;
        let isolated = !links.is_empty() && links.iter().all(|link| !link.default_route.0);
        let servers = leases(world, links)?;
        if !servers.is_empty() || !isolated {
            return Ok(servers);
        }
        if start.elapsed() >= limit {
            log::info!("fetch: no NIC has a DHCP lease: the virtual router is asked by its name, {NAME}");
            return Ok(servers);
        }
        std::thread::sleep(POLL);
    }
}

/// The servers that gave networkd's leases; first those of NICs with the default route.
fn leases(world: &dyn World, mut links: Vec<Link>) -> Result<Vec<String>, Error> {
    links.sort_by_key(|link| !link.default_route.0);
    let mut servers: Vec<String> = Vec::new();
    for link in links {
        let index = world.text(Ask::File(&format!("/sys/class/net/{}/ifindex", link.name)))?;
        if index.is_empty() || !index.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let lease = world.text(Ask::File(&format!("/run/systemd/netif/leases/{index}")))?;
        let server = lease.lines().find_map(|line| line.strip_prefix("SERVER_ADDRESS="));
        let server = server.filter(|s| s.parse::<std::net::Ipv4Addr>().is_ok());
        if let Some(server) =
            server.filter(|s| servers.len() < MAX_ROUTERS && !servers.iter().any(|o| o == s))
        {
            servers.push(server.to_owned());
        }
    }
    Ok(servers)
}

/// The cloud controller knows the node by the machine's name, to which a network adds its domain. The provider id has three slashes, as
/// Cluster API's provider writes it. Afterburn calls its addresses otherwise than their documents, and other than Exoscale's.
fn named(mut instance: Instance) -> Instance {
    for (name, _) in &mut instance.attributes {
        if let Some(sort) = name.strip_suffix("_IPV4") {
            *name = format!("IPV4_{sort}");
        }
    }
    document::name_by_id("cloudstack", &mut instance);
    instance.node_name = instance.short_hostname().map(str::to_owned);
    instance.provider_id = instance.provider_id.map(|id| id.replacen("://", ":///", 1));
    instance
}

/// Asks a virtual router, or a service that speaks as one: `root` is what its paths begin with.
pub(super) fn ask(session: &Session<'_>, root: &str) -> Result<Option<Instance>, Error> {
    let mut paths: Vec<String> =
        NAMES.iter().chain([&KEYS]).map(|name| format!("{root}/meta-data/{name}")).collect();
    paths.push(format!("{root}/user-data"));
    let mut answers = session.get_all(&paths)?;
    let user_data = answers.pop().flatten();
    instance(paths.into_iter().zip(answers).collect(), user_data)
}

/// What the documents of [`NAMES`] and [`KEYS`] say, each with its place; `None` where there are none.
fn instance(
    mut values: Vec<(String, Option<Secret>)>,
    user_data: Option<Secret>,
) -> Result<Option<Instance>, Error> {
    let user_data = user_data.filter(|data| !data.expose().trim_ascii().is_empty());
    if values.iter().all(|(_, value)| value.is_none()) && user_data.is_none() {
        return Ok(None);
    }
    let mut instance = Instance { user_data, ..Instance::default() };
    let text = |(place, value): (String, Option<Secret>)| match String::from_utf8(
        value.unwrap_or_default().into_exposed(),
    ) {
        Ok(text) => Ok((place, text.trim().to_owned())),
        Err(_) => Err(Problem::error(place, "not UTF-8 text")),
    };
    if let Some(keys) = values.pop() {
        instance.ssh_keys = document::lines(&text(keys)?.1);
    }
    for (name, value) in NAMES.iter().zip(values) {
        let (place, value) = text(value)?;
        if value.is_empty() {
            continue;
        }
        instance.attribute(&name.replace('-', "_").to_uppercase(), Some(&value));
        instance.metadata.insert((*name).to_owned(), value.as_str().into());
        match *name {
            "availability-zone" => instance.availability_zone = Some(value),
            "instance-id" => instance.instance_id = value,
            "local-hostname" => instance.hostname = Some(document::hostname(&place, &value)?),
            "local-ipv4" => instance.addresses.local_v4 = value.parse().ok(),
            "public-ipv4" => instance.addresses.public_v4 = value.parse().ok(),
            _ => {}
        }
    }
    Ok(Some(instance))
}
