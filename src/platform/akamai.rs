// SPDX-License-Identifier: Apache-2.0
//! Akamai (Linode): its metadata service, which wants a token
//! ([metadata service](https://techdocs.akamai.com/cloud-computing/docs/metadata-service-api)). Addresses come by DHCP and from the router.

use std::net::Ipv4Addr;

use super::service::{LINK_LOCAL, Service, Session, Token, both};
use super::{Error, Evidence, Platform, document};
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Akamai. A Linode has no name of its own but its label.
pub(super) const PLATFORM: Platform = Platform {
    id: "akamai",
    name: "Akamai",
    aliases: &["linode"],
    spelling: Some(Spelling { coreos: "AKAMAI", afterburn: "AKAMAI", common: false }),
    names: &["meta_data.host_uuid", "meta_data.id", "meta_data.label", "meta_data.region", "meta_data.type"],
    hint: "Akamai: give the Linode user-data",
    evidence: |facts| {
        ["Linode", "Akamai"].contains(&facts.dmi.sys_vendor.as_str()).then(|| Evidence::of_dmi(&facts.dmi))
    },
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    addresses: &both(LINK_LOCAL, [0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1]),
    token: Some(Token {
        path: "/v1/token",
        lifetime: ("Metadata-Token-Expiry-Seconds", "300"),
        header: "Metadata-Token",
        without: None,
        disabled: "Akamai's metadata service gives no token: see that it is available in the region",
    }),
    cure: "Akamai's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

const INSTANCE: &str = "/v1/instance";
const NETWORK: &str = "/v1/network";
const KEYS: &str = "/v1/ssh-keys";
const USER_DATA: &str = "/v1/user-data";

/// Afterburn's names of the instance, and their keys in its document.
const NAMES: &[(&str, &str)] = &[
    ("INSTANCE_HOST_UUID", "host_uuid"),
    ("INSTANCE_ID", "id"),
    ("INSTANCE_LABEL", "label"),
    ("INSTANCE_REGION", "region"),
    ("INSTANCE_TYPE", "type"),
];

/// Lists of addresses: Afterburn's name, and their paths in the network's document. Each address keeps its `/32`: Cluster API's template
/// sets the private one by it.
const LISTS: &[(&str, &str)] = &[
    ("PRIVATE_IPV4", "ipv4.private.*"),
    ("PUBLIC_IPV4", "ipv4.public.*"),
    ("SHARED_IPV4", "ipv4.shared.*"),
    ("IPV6_RANGE", "ipv6.ranges.*"),
    ("IPV6_SHARED_RANGE", "ipv6.shared_ranges.*"),
];

/// Single ones.
const ADDRESSES: &[(&str, &str)] = &[("IPV6_LINK_LOCAL", "ipv6.link_local"), ("IPV6_SLAAC", "ipv6.slaac")];

fn fetch(world: &dyn World, facts: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let [about, network, keys] = session.get([INSTANCE, NETWORK, KEYS], Some("application/json"))?;
    // It is text, and not a document.
    let [user_data] = session.get([USER_DATA], Some("text/plain"))?;
    if about.is_none() && user_data.is_none() {
        return Ok(None);
    }
    let node = document::given(INSTANCE, about.as_ref())?;
    let (network, keys) =
        (document::given(NETWORK, network.as_ref())?, document::given(KEYS, keys.as_ref())?);
    let text = |name: &str| document::text_at(&node, name).map(str::to_owned);
    let mut instance = Instance { user_data, region: text("region"), ..Instance::default() };
    // The Linode's id is its serial number too.
    instance.instance_id = text("id").unwrap_or_else(|| facts.dmi.product_serial.trim().to_owned());
    if let Some(label) = text("label") {
        document::take_hostname("/v1/instance: label", &label, &mut instance)?;
    }
    document::name_by_id("linode", &mut instance);
    document::attributes(&node, NAMES, &mut instance);
    let tags = document::texts_at(&node, "tags.*");
    instance.attributes.push(("INSTANCE_TAGS".to_owned(), tags.join(":")));
    read_addresses(&network, &mut instance);
    instance.ssh_keys = document::at(&keys, "users.root").map(document::ssh_keys).unwrap_or_default();
    if network.is_map() {
        instance.metadata.insert("network".to_owned(), network.to_json());
    }
    instance.metadata.extend(document::object(&node));
    Ok(Some(instance))
}

fn read_addresses(network: &Node, instance: &mut Instance) {
    for (name, path) in LISTS {
        let all = document::texts_at(network, path);
        for (n, address) in all.iter().enumerate() {
            instance.attribute(&format!("{name}_{n}"), Some(address));
        }
        let first = all.first().and_then(|a| a.split('/').next()?.parse::<Ipv4Addr>().ok());
        match *name {
            "PRIVATE_IPV4" => instance.addresses.local_v4 = first,
            "PUBLIC_IPV4" => instance.addresses.public_v4 = first,
            _ => {}
        }
    }
    document::attributes(network, ADDRESSES, instance);
    let slaac = document::text_at(network, "ipv6.slaac");
    instance.addresses.public_v6 = slaac.and_then(|a| a.split('/').next()?.parse().ok());
}
