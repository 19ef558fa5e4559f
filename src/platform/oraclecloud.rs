// SPDX-License-Identifier: Apache-2.0
//! Oracle Cloud Infrastructure: its metadata service
//! ([instance metadata](https://docs.oracle.com/en-us/iaas/Content/Compute/Tasks/gettingmetadata.htm)), version 2, or version 1 where
//! that is all there is.

use serde_json::{Value as Json, json};

use super::service::{LINK_LOCAL, Service, Session, both};
use super::{Error, Evidence, Platform, document};
use crate::decode::network;
use crate::decode::syntax::yaml::Node;
use crate::io::World;
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::network::Cidr;

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
    addresses: &both(LINK_LOCAL, [0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
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
    for [of_instance, of_vnics] in VERSIONS {
        let [Some(about), vnics] = session.get([of_instance, of_vnics], None)? else { continue };
        let mut instance = read(of_instance, &document::mapping(of_instance, about.expose())?)?;
        let vnics = document::list(of_vnics, vnics.unwrap_or_default().expose())?;
        instance.addresses.local_v4 = document::parsed_at(&vnics, "0.privateIp");
        instance.addresses.local_v6 = document::parsed_at(&vnics, "0.ipv6Addresses.0");
        document::read_cards(cards(vnics.list().unwrap_or_default(), &facts.cmdline), &mut instance)?;
        return Ok(Some(instance));
    }
    Ok(None)
}

fn read(place: &str, node: &Node) -> Result<Instance, Error> {
    let text = |path: &str| document::text_at(node, path);
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
    document::attributes(node, NAMES, &mut instance);
    // What else users write there may be of any type.
    instance.ssh_keys = document::lines(text("metadata.ssh_authorized_keys").unwrap_or_default());
    let data = text("metadata.user_data").map(str::as_bytes);
    let place = format!("{place}: metadata.user_data");
    instance.user_data = data.map(|data| document::base64(&place, data)).transpose()?;
    instance.metadata = document::object(node);
    if let Some(Json::Object(given)) = instance.metadata.get_mut("metadata") {
        given.remove("user_data");
    }
    // Cluster API's templates have `ds["id"]`.
    instance.metadata_is_ds = true;
    Ok(instance)
}

/// The NICs: the first one by DHCP, the others with the addresses that the document has. On bare metal the others share a NIC, and
/// what is written for them is for no NIC.
fn cards(vnics: &[Node], cmdline: &Cmdline) -> Vec<Json> {
    let card = |(n, vnic): (usize, &Node)| {
        let value = |name: &str| document::text_at(vnic, name);
        let mac = value("macAddr")?;
        let v4: Vec<&str> = value("privateIp").into_iter().collect();
        let v6 = document::texts_at(vnic, "ipv6Addresses.*");
        let mut card = json!({
            "match": { "macaddress": mac }, "mtu": MTU,
            "dhcp4": n == 0 && !v4.is_empty(), "dhcp6": n == 0 && !v6.is_empty(),
        });
        if n == 0 {
            // A root file system over iSCSI is lost with its NIC.
            card["critical"] = json!(cmdline.has_root_over_iscsi());
            return Some(card);
        }
        // A subnet may be there as the text `<null>`.
        let length = |name: &str| document::parsed_at::<Cidr>(vnic, name).map(|subnet| subnet.prefix);
        let (short, long) = (length("subnetCidrBlock"), length("ipv6SubnetCidrBlock"));
        let v4 = v4.iter().map(|address| network::cidr(address, short));
        let all = v4.chain(v6.iter().map(|address| network::cidr(address, long)));
        card["addresses"] = all.collect();
        card["optional"] = json!(true);
        Some(card)
    };
    vnics.iter().enumerate().filter_map(card).collect()
}
