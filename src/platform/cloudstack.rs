// SPDX-License-Identifier: Apache-2.0
//! CloudStack: a config drive, or where none is attached the virtual router
//! ([user-data and metadata](https://docs.cloudstack.apache.org/en/latest/adminguide/virtual_machines/user-data.html)). Each has a
//! document for each name.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, config_drive, document, virtual_router};
use crate::decode::syntax::yaml::Node;
use crate::io::{Ask, World};
use crate::model::facts::{Facts, Link};
use crate::model::instance::{Instance, Spelling};

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

/// Where the drive has the network, in OpenStack's format; empty where DHCP tells it.
const NETWORK: &str = "openstack/latest/network_data.json";

fn drive(world: &dyn World, _: &Facts) -> Result<Option<Instance>, Error> {
    let path = |name: &str| format!("cloudstack/metadata/{}.txt", name.replace('-', "_"));
    let read = |path: String| config_drive::file(world, &path).map(|value| (path, value));
    let values: Result<Vec<_>, _> = virtual_router::NAMES.iter().map(|name| read(path(name))).collect();
    let user_data = read("cloudstack/userdata/user_data.txt".to_owned())?.1;
    let Some(mut instance) = virtual_router::instance(values?, user_data)? else { return Ok(None) };
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
        match virtual_router::ask(&session, &format!("http://{host}/latest")) {
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
    let mut servers: Vec<Ipv4Addr> = Vec::new();
    for link in links {
        let index = world.text(Ask::File(&format!("/sys/class/net/{}/ifindex", link.name)))?;
        let Ok(index) = index.parse::<u32>() else { continue };
        let lease = world.text(Ask::File(&format!("/run/systemd/netif/leases/{index}")))?;
        let server = lease.lines().find_map(|line| line.strip_prefix("SERVER_ADDRESS=")?.parse().ok());
        servers.extend(server.filter(|server| !servers.contains(server)));
    }
    Ok(servers.iter().take(MAX_ROUTERS).map(Ipv4Addr::to_string).collect())
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
