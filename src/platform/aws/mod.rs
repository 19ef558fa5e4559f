// SPDX-License-Identifier: Apache-2.0
//! Amazon EC2: the instance metadata service, version 2 only
//! ([Use the Instance Metadata Service](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html)).

mod clock;
mod hidden;
mod imds;
pub(super) mod network;
mod role;
pub(super) mod s3;
mod secrets;
mod sigv4;

use serde_json::{Map, Value as Json};

use super::service::Session;
use super::{Error, Evidence, Limit, Platform, document};
use crate::decode::syntax::yaml;
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// EC2. Its user-data limit: [user data](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html).
pub(super) const PLATFORM: Platform = Platform {
    id: "aws",
    name: "Amazon EC2",
    aliases: &["ec2"],
    spelling: Some(Spelling { coreos: "EC2", afterburn: "AWS", common: true }),
    limit: Some(Limit {
        bytes: 16 << 10,
        base64: false,
        cure: "Cluster API's AWS provider puts a cloud-config into Secrets Manager unless insecureSkipSecretsManager is set, and \
               Ignition's data into the cluster's S3 bucket unless storageType is UnencryptedUserData",
    }),
    names: &[
        "meta_data.ami_id",
        "meta_data.instance_type",
        "meta_data.placement.availability_zone",
        "meta_data.placement.region",
    ],
    hint: "EC2: give the instance user-data",
    evidence,
    network: Some(fetch),
    // Of the machines on Nitro.
    id_in_dmi: |dmi| {
        Some(dmi.board_asset_tag.as_str()).filter(|tag| tag.starts_with("i-")).unwrap_or_default()
    },
    hidden: Some(hidden::find),
    s3: s3::fetch_as_instance,
    ..Platform::NONE
};

/// What DMI calls the platform on Nitro and on bare metal.
const VENDOR: &str = "Amazon EC2";

/// The metadata that is fetched, all of it at once; a key that an instance does not have is left out. One more than
/// are sent at once would be one more round trip for every node.
const KEYS: &[&str] = &[
    "ami-id",
    "hostname",
    INSTANCE_ID,
    "instance-life-cycle",
    "instance-type",
    "ipv6",
    LOCAL_HOSTNAME,
    LOCAL_IPV4,
    "mac",
    AVAILABILITY_ZONE,
    REGION,
    "public-hostname",
    "public-ipv4",
];
const INSTANCE_ID: &str = "instance-id";
const LOCAL_HOSTNAME: &str = "local-hostname";
const LOCAL_IPV4: &str = "local-ipv4";
const AVAILABILITY_ZONE: &str = "placement/availability-zone";
const REGION: &str = "placement/region";
const ZONE_ID: &str = "placement/availability-zone-id";

/// Names that Afterburn has beside those of every platform, and their keys.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("AVAILABILITY_ZONE_ID", ZONE_ID),
    ("INSTANCE_TYPE", "instance-type"),
    ("IPV6", "ipv6"),
    ("PUBLIC_HOSTNAME", "public-hostname"),
];

/// The listings that tell what the second round of questions is about.
const PUBLIC_KEYS: &str = "public-keys/";
const MACS: &str = "network/interfaces/macs/";

/// Most SSH keys and NICs that are asked about: an instance has one key, the largest types have 16 cards.
const MAX_LISTED: usize = 32;

fn evidence(facts: &Facts) -> Option<Evidence> {
    let dmi = &facts.dmi;
    let nitro = [&dmi.sys_vendor, &dmi.bios_vendor, &dmi.chassis_asset_tag].contains(&&VENDOR.to_owned());
    // Old types run on Xen, whose firmware names Amazon in its version only.
    let xen = dmi.sys_vendor == "Xen" && dmi.bios_version.to_ascii_lowercase().contains("amazon");
    // One machine in 4096 has such a UUID by chance, so it only confirms; without root it can't be read.
    let uuid = &dmi.product_uuid;
    (nitro || xen).then_some(()).filter(|()| uuid.is_empty() || is_ec2_uuid(uuid))?;
    Some(Evidence::Dmi(format!("vendor {:?}, BIOS vendor {:?}", dmi.sys_vendor, dmi.bios_vendor)))
}

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    tree(&imds::open(world, world.patience())?, imds::VERSION)
}

/// Reads the tree of EC2's service, or of one that speaks as EC2's does: `root` is what its paths begin with.
pub(super) fn tree(session: &Session<'_>, root: &str) -> Result<Option<Instance>, Error> {
    let meta_data = |key: &&str| format!("{root}/meta-data/{key}");
    let mut paths = vec![format!("{root}/user-data")];
    let listings = [PUBLIC_KEYS, MACS];
    paths.extend(KEYS.iter().chain(&listings).map(meta_data));
    let mut answers = session.get_all(&paths)?.into_iter();
    let user_data = answers.next().flatten().filter(|d| !d.is_blank());
    let mut found: Vec<(&str, String)> = Vec::new();
    for (key, answer) in KEYS.iter().chain(&listings).zip(answers) {
        if let Some(answer) = answer {
            found.push((key, imds::text(key, &answer)?));
        }
    }
    let listed = |name: &str| found.iter().find(|(k, _)| *k == name).map_or("", |(_, v)| v.as_str());
    // `0=name`: only the number is needed.
    let keys = listed(PUBLIC_KEYS).lines().filter_map(|l| l.split('=').next()).take(MAX_LISTED);
    let keys: Vec<String> = keys.map(|i| format!("{PUBLIC_KEYS}{}/openssh-key", i.trim())).collect();
    let macs = listed(MACS).lines().map(|l| l.trim().trim_end_matches('/'));
    let macs: Vec<&str> = macs.filter(|m| !m.is_empty()).take(MAX_LISTED).collect();
    let nics = macs.iter().flat_map(|m| network::KEYS.iter().map(move |k| format!("{MACS}{m}/{k}")));
    let paths: Vec<String> = keys.iter().cloned().chain(nics).chain([ZONE_ID.to_owned()]).collect();
    let answers = session.get_all(&paths.iter().map(|path| meta_data(&path.as_str())).collect::<Vec<_>>())?;
    let mut second: Vec<(&str, String)> = Vec::new();
    for (path, answer) in paths.iter().zip(answers) {
        if let Some(answer) = answer {
            second.push((path, imds::text(path, &answer)?));
        }
    }
    found.retain(|(key, _)| !listings.contains(key));
    found.extend(second);
    parse(&found, user_data).map(Some)
}

/// Whether a UUID begins with `ec2`, in either byte order of its first group
/// ([Identify EC2 Linux instances](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html)).
fn is_ec2_uuid(uuid: &str) -> bool {
    let uuid = uuid.to_ascii_lowercase();
    let swapped = uuid.as_bytes().get(4..8).is_some_and(|b| b[0] == b'2' && b[2..] == *b"ec");
    uuid.starts_with("ec2") || swapped
}

/// What the metadata means; its paths are below `meta-data/`.
fn parse(found: &[(&str, String)], user_data: Option<Secret>) -> Result<Instance, Error> {
    let get = |path: &str| {
        found.iter().find(|(p, _)| *p == path).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    };
    let mut instance = Instance { user_data, ..Instance::default() };
    let Some(id) = get(INSTANCE_ID) else {
        return Err(Problem::error(INSTANCE_ID, "the metadata service has no such value").into());
    };
    id.clone_into(&mut instance.instance_id);
    // A VPC with several domain names gives a name for each, and all of them in one line.
    if let Some(name) = get(LOCAL_HOSTNAME).and_then(|names| names.split_whitespace().next()) {
        instance.hostname = Some(document::hostname(LOCAL_HOSTNAME, name)?);
    }
    for (name, key) in ATTRIBUTES {
        instance.attribute(name, get(key));
    }
    let zone = get(AVAILABILITY_ZONE);
    instance.availability_zone = zone.map(str::to_owned);
    // Outscale's service has no region: its zones are called after it, with a letter behind.
    let of_zone = || zone.and_then(|zone| zone.strip_suffix(|c: char| c.is_ascii_lowercase()));
    instance.region = get(REGION).or_else(of_zone).map(str::to_owned);
    instance.ssh_keys = found
        .iter()
        .filter(|(p, _)| p.starts_with(PUBLIC_KEYS))
        .flat_map(|(_, v)| v.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()))
        .collect();
    let mut metadata = Map::new();
    for (path, value) in found.iter().filter(|(p, _)| !p.starts_with(PUBLIC_KEYS)) {
        let value = if path.ends_with("hostname") {
            value.split_whitespace().next().unwrap_or_default()
        } else {
            value
        };
        // Several lines are a list, as cloud-init has it.
        let json = match value.trim_end().split_once('\n') {
            Some(_) => Json::from(value.lines().map(str::trim).collect::<Vec<_>>()),
            None => Json::from(value.trim_end()),
        };
        insert(&mut metadata, path, json);
    }
    instance.metadata = metadata;
    // What the cloud provider calls the node: the whole name that is made of its address, and of one that is made of its ID
    // that alone (https://github.com/kubernetes/cloud-provider-aws/pull/286).
    let by_id = instance.short_hostname() == Some(&instance.instance_id);
    instance.node_name =
        instance.hostname.as_ref().map(|name| if by_id { &instance.instance_id } else { name }.clone());
    let id = |zone: &String| format!("aws:///{zone}/{}", instance.instance_id);
    instance.provider_id = instance.availability_zone.as_ref().map(id);
    let addresses = &mut instance.addresses;
    addresses.local_v4 = get(LOCAL_IPV4).and_then(|a| a.parse().ok());
    addresses.local_v6 = get("ipv6").and_then(|a| a.parse().ok());
    addresses.public_v4 = get("public-ipv4").and_then(|a| a.parse().ok());
    if let Some(cards) = network::document(found.iter().map(|(p, v)| (*p, v.as_str())), MACS) {
        document::read_network(&yaml::parse(&cards.to_string())?, &mut instance);
    }
    Ok(instance)
}

/// Puts a value at a path of the metadata's tree.
fn insert(map: &mut Map<String, Json>, path: &str, value: Json) {
    match path.split_once('/') {
        Some((first, rest)) => {
            let below = map.entry(first).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(below) = below {
                insert(below, rest, value);
            }
        }
        None => {
            map.insert(path.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::Dmi;

    #[test]
    fn it_takes_more_than_a_uuid_to_be_ec2() {
        let dmi = |vendor: &str, bios: &str, version: &str, uuid: &str| {
            let text = str::to_owned;
            let dmi = Dmi {
                sys_vendor: text(vendor),
                bios_vendor: text(bios),
                bios_version: text(version),
                product_uuid: text(uuid),
                ..Dmi::default()
            };
            evidence(&Facts { dmi, ..Facts::default() }).is_some()
        };
        let uuid = "ec2a1b2c-0000-0000-0000-000000000000";
        assert!(dmi(VENDOR, VENDOR, "1.0", uuid));
        assert!(dmi(VENDOR, VENDOR, "1.0", ""));
        assert!(dmi("Xen", "Xen", "4.11.amazon", "EC2A1B2C-0000-0000-0000-000000000000"));
        assert!(dmi("Xen", "Xen", "4.2.amazon", "45E12AEC-0000-0000-0000-000000000000"));
        assert!(!dmi("Xen", "Xen", "4.11.amazon", "00000000-0000-0000-0000-000000000000"));
        assert!(!dmi(VENDOR, VENDOR, "1.0", "45e13aec-0000-0000-0000-000000000000"));
        for other in ["QEMU", "Xen", "3DS Outscale", "OpenStack Foundation", ""] {
            assert!(!dmi(other, other, "1.0", uuid), "{other}");
        }
    }

    #[test]
    fn metadata_becomes_the_tree_that_templates_know() {
        let found = [
            (INSTANCE_ID, "i-0abc".to_owned()),
            (LOCAL_HOSTNAME, "ip-10-0-0-5.a.example b.example".to_owned()),
            (AVAILABILITY_ZONE, "eu-west-1a".to_owned()),
            (REGION, "eu-west-1".to_owned()),
            ("public-keys/0/openssh-key", "ssh-ed25519 AAAA me\n".to_owned()),
            ("network/interfaces/macs/02:00:00:00:00:01/local-ipv4s", "10.0.0.5\n10.0.0.6".to_owned()),
        ];
        let instance = parse(&found, None).unwrap();
        assert_eq!(instance.hostname.as_deref(), Some("ip-10-0-0-5.a.example"));
        assert_eq!(instance.ssh_keys, ["ssh-ed25519 AAAA me"]);
        assert_eq!(instance.region.as_deref(), Some("eu-west-1"));
        let metadata = Json::Object(instance.meta_data());
        assert_eq!(metadata["provider-id"], "aws:///eu-west-1a/i-0abc");
        assert_eq!(metadata["placement"]["availability-zone"], "eu-west-1a");
        assert_eq!(metadata["local-hostname"], "ip-10-0-0-5.a.example");
        assert_eq!(metadata["node-name"], "ip-10-0-0-5.a.example");
        let mac = &metadata["network"]["interfaces"]["macs"]["02:00:00:00:00:01"];
        assert_eq!(mac["local-ipv4s"], serde_json::json!(["10.0.0.5", "10.0.0.6"]));
        // A service without the key, such as Outscale's.
        let zone = [found[0].clone(), (AVAILABILITY_ZONE, "cloudgouv-eu-west-1b".to_owned())];
        assert_eq!(parse(&zone, None).unwrap().region.as_deref(), Some("cloudgouv-eu-west-1"));
        let resource = [found[0].clone(), (LOCAL_HOSTNAME, "i-0abc.eu-west-1.compute.internal".to_owned())];
        assert_eq!(parse(&resource, None).unwrap().node_name.as_deref(), Some("i-0abc"));
        assert!(parse(&found[1..], None).unwrap_err().to_string().contains("instance-id"));
    }
}
