// SPDX-License-Identifier: Apache-2.0
//! Oracle Cloud Infrastructure: its metadata service
//! ([instance metadata](https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm)), version 2, or version 1 where
//! that is all there is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, document};
use crate::decode::document::envelope;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// Oracle Cloud.
pub(super) const PLATFORM: Platform = Platform {
    id: "oraclecloud",
    name: "Oracle Cloud",
    spelling: Some(Spelling { coreos: "ORACLECLOUD", afterburn: "ORACLECLOUD", common: false }),
    names: &[
        "availabilityDomain",
        "compartmentId",
        "displayName",
        "faultDomain",
        "id",
        "region",
        "shape",
        "meta_data.availabilityDomain",
        "meta_data.compartmentId",
        "meta_data.displayName",
        "meta_data.faultDomain",
        "meta_data.id",
        "meta_data.region",
        "meta_data.shape",
    ],
    hint: "Oracle Cloud: give the instance the metadata key user_data",
    evidence: |facts| {
        let tag = facts.dmi.chassis_asset_tag.trim();
        (tag == "OracleCloud.com").then(|| Evidence::Dmi(format!("chassis asset tag {tag}")))
    },
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    addresses: &[
        IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    ],
    headers: &[("Authorization", "Bearer Oracle")],
    cure: "Oracle's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The documents of each version, the newer one first: the instance, its VNICs.
const VERSIONS: &[[&str; 2]] =
    &[["/opc/v2/instance/", "/opc/v2/vnics/"], ["/opc/v1/instance/", "/opc/v1/vnics/"]];

/// Afterburn's names, and their keys in the document.
const NAMES: &[(&str, &str)] = &[
    ("AVAILABILITY_DOMAIN", "availabilityDomain"),
    ("COMPARTMENT_ID", "compartmentId"),
    ("FAULT_DOMAIN", "faultDomain"),
    ("HOSTNAME", "hostname"),
    ("INSTANCE_ID", "id"),
    ("INSTANCE_SHAPE", "shape"),
    ("REGION_ID", "canonicalRegionName"),
];

/// The MTU of all of Oracle's networks.
const MTU: u16 = 9000;

fn fetch(world: &dyn World, facts: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    for paths in VERSIONS {
        let mut answers = session.get_all(&paths.map(str::to_owned))?.into_iter();
        let (Some(about), vnics) = (answers.next().flatten(), answers.next().flatten()) else { continue };
        let mut instance = read(paths[0], &document::mapping(paths[0], about.expose())?)?;
        if let Some(vnics) = vnics {
            let list = document::list(paths[1], vnics.expose())?;
            let vnics = list.list().unwrap_or_default();
            if let Some(first) = vnics.first() {
                let addresses = &mut instance.addresses;
                addresses.local_v4 = document::text_of(first, &["privateIp"]).and_then(|a| a.parse().ok());
                let v6 = first.get("ipv6Addresses").map(document::texts).unwrap_or_default();
                addresses.local_v6 = v6.first().and_then(|a| a.parse().ok());
            }
            document::read_cards(cards(vnics, &facts.cmdline), &mut instance)?;
        }
        return Ok(Some(instance));
    }
    Ok(None)
}

fn read(place: &str, node: &Node) -> Result<Instance, Error> {
    let text = |name: &str| document::text_of(node, &[name]);
    let mut instance = Instance { region: text("region").map(str::to_owned), ..Instance::default() };
    instance.instance_id = text("id").unwrap_or_default().to_owned();
    // What the console shows may be any text.
    let shown = || text("displayName").filter(|name| document::hostname("", &name.replace('_', "-")).is_ok());
    if let Some(name) = text("hostname").or_else(shown) {
        document::take_hostname(&format!("{place}: hostname"), name, &mut instance)?;
    }
    document::name_by_id("oci", &mut instance);
    // Before the colon stands what is the tenancy's own.
    let domain = text("availabilityDomain").map(|domain| domain.rsplit(':').next().unwrap_or(domain));
    instance.availability_zone = domain.map(str::to_owned);
    for (name, key) in NAMES {
        instance.attribute(name, text(key));
    }
    // What else users write there may be of any type.
    let given = node.get("metadata");
    let given = |name: &str| document::text_of(given?, &[name]);
    instance.ssh_keys = document::lines(given("ssh_authorized_keys").unwrap_or_default());
    let data = given("user_data").map(|data| envelope::base64(data.as_bytes())).transpose();
    let data = data.map_err(|what| Problem::error(format!("{place}: metadata.user_data"), what))?;
    instance.user_data = data.map(Secret::new);
    if let Json::Object(mut map) = node.to_json() {
        if let Some(Json::Object(given)) = map.get_mut("metadata") {
            given.remove("user_data");
        }
        instance.metadata = map;
        // Cluster API's templates have `ds["id"]`.
        instance.metadata_is_ds = true;
    }
    Ok(instance)
}

/// The NICs: the first one by DHCP, the others with the addresses that the document has. On bare metal the others share a NIC, and
/// what is written for them is for no NIC.
fn cards(vnics: &[Node], cmdline: &Cmdline) -> Vec<Json> {
    // A root file system over iSCSI is lost with its NIC.
    let over_network = cmdline.get("netroot").is_some_and(|root| root.starts_with("iscsi"))
        || ["rd.iscsi.firmware", "rd.iscsi.ibft"]
            .iter()
            .any(|a| cmdline.get(a) == Some("1") || cmdline.has(a));
    let card = |(n, vnic): (usize, &Node)| {
        let value = |name: &str| document::text_of(vnic, &[name]);
        let mac = value("macAddr")?;
        let v4: Vec<&str> = value("privateIp").into_iter().collect();
        let v6 = vnic.get("ipv6Addresses").map(document::texts).unwrap_or_default();
        let mut card = json!({
            "match": { "macaddress": mac }, "mtu": MTU,
            "dhcp4": n == 0 && !v4.is_empty(), "dhcp6": n == 0 && !v6.is_empty(),
        });
        if n == 0 {
            card["critical"] = json!(over_network);
            return Some(card);
        }
        // A subnet may be there as the text `<null>`.
        let length = |name: &str, whole: u8| {
            let subnet = value(name).and_then(|s| s.rsplit_once('/')?.1.parse().ok());
            subnet.unwrap_or(whole)
        };
        let (short, long) = (length("subnetCidrBlock", 32), length("ipv6SubnetCidrBlock", 128));
        let all = v4.iter().map(|a| format!("{a}/{short}")).chain(v6.iter().map(|a| format!("{a}/{long}")));
        card["addresses"] = all.collect();
        card["optional"] = json!(true);
        Some(card)
    };
    vnics.iter().enumerate().filter_map(card).collect()
}
