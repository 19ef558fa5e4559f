// SPDX-License-Identifier: Apache-2.0
//! What the provider says of this machine, as the files that templates for Flatcar ask: `/run/metadata/footplate` of
//! footplate's own, and the names that [Afterburn](https://coreos.github.io/afterburn/usage/attributes/) writes, in
//! Flatcar's spelling and in its own, where that file does not have them already.

use super::RUN_DIR;
use crate::model::instance::{Instance, Spelling};
use crate::model::plan::Item;
use crate::model::storage::{Directory, File, Link};

/// footplate's names.
pub const OURS: &str = "/run/metadata/footplate";

/// Afterburn's file on Flatcar.
pub const FLATCAR: &str = "/run/metadata/flatcar";

/// The older name of it.
pub const COREOS: &str = "/run/metadata/coreos";

/// The metadata as a whole, for placeholders of [`crate::decode::kubeadm::prepare`]: root's alone, since a provider may put anything there.
pub const METADATA: &str = "/run/footplate/metadata.json";

/// Names below a platform's, what they stand for, and what footplate and the templates of Cluster API's providers call
/// it: `FOOTPLATE_` and `COREOS_CUSTOM_` go before.
const NAMES: &[(&str, Fact, &str)] = &[
    ("AVAILABILITY_ZONE", Fact::Zone, "AVAILABILITY_ZONE"),
    ("HOSTNAME", Fact::Hostname, "HOSTNAME"),
    ("INSTANCE_ID", Fact::InstanceId, "INSTANCE_ID"),
    ("IPV4_LOCAL", Fact::LocalV4, "PRIVATE_IPV4"),
    ("IPV4_PUBLIC", Fact::PublicV4, "PUBLIC_IPV4"),
    ("IPV6_LOCAL", Fact::LocalV6, "PRIVATE_IPV6"),
    ("IPV6_PUBLIC", Fact::PublicV6, "PUBLIC_IPV6"),
    ("NODE_NAME", Fact::NodeName, "NODE_NAME"),
    ("PROVIDER_ID", Fact::ProviderId, "PROVIDER_ID"),
    ("REGION", Fact::Region, "REGION"),
];

/// A fact of the metadata that has a name.
#[derive(Clone, Copy)]
enum Fact {
    Hostname,
    InstanceId,
    LocalV4,
    LocalV6,
    NodeName,
    ProviderId,
    PublicV4,
    PublicV6,
    Region,
    Zone,
}

impl Fact {
    fn of(self, instance: &Instance) -> Option<String> {
        match self {
            Self::Hostname => instance.hostname.clone(),
            Self::InstanceId => Some(instance.instance_id.clone()),
            Self::LocalV4 => instance.addresses.local_v4.map(|a| a.to_string()),
            Self::LocalV6 => instance.addresses.local_v6.map(|a| a.to_string()),
            Self::NodeName => instance.node_name.clone(),
            Self::ProviderId => instance.provider_id.clone(),
            Self::PublicV4 => instance.addresses.public_v4.map(|a| a.to_string()),
            Self::PublicV6 => instance.addresses.public_v6.map(|a| a.to_string()),
            Self::Region => instance.region.clone(),
            Self::Zone => instance.availability_zone.clone(),
        }
    }
}

/// Names and their values.
type Names = Vec<(String, String)>;

/// Names and values: footplate's, then those that are Afterburn's or templates'.
fn names(instance: &Instance) -> (Names, Names) {
    let (mut ours, mut theirs, mut custom) = (Vec::new(), Vec::new(), Vec::new());
    ours.push(("FOOTPLATE_PLATFORM".to_owned(), instance.platform.to_owned()));
    // A value goes on one line of a file that units and shells read.
    let plain =
        |v: &String| !v.is_empty() && v.chars().all(|c| c.is_ascii_graphic() && !"\"'\\$`".contains(c));
    let mut spell = |name: &str, value: &String| {
        if let Some(Spelling { coreos, afterburn, .. }) = instance.spelling {
            theirs.push((format!("COREOS_{coreos}_{name}"), value.clone()));
            theirs.push((format!("AFTERBURN_{afterburn}_{name}"), value.clone()));
        }
    };
    // Afterburn writes a name without a value where the platform has an empty list. A value with blanks is read whole only in quotes.
    for (name, value) in &instance.attributes {
        if value.is_empty() || plain(value) {
            spell(name, value);
        } else if plain(&value.replace(' ', "-")) {
            spell(name, &format!("\"{value}\""));
        }
    }
    for (name, fact, common) in NAMES {
        let Some(value) = fact.of(instance).filter(plain) else { continue };
        ours.push((format!("FOOTPLATE_{common}"), value.clone()));
        if instance.spelling.is_some_and(|s| s.common) {
            spell(name, &value);
        }
        custom.push((format!("COREOS_CUSTOM_{common}"), value));
    }
    theirs.append(&mut custom);
    ours.sort();
    theirs.sort();
    (ours, theirs)
}

/// The files. `flatcar` is what Afterburn's file holds so far, and `coreos` what a file of the older name holds where
/// that is one: a name that is there keeps its value. `linked` says that the older name leads somewhere already.
pub fn items(instance: &Instance, flatcar: &str, coreos: Option<&str>, linked: bool) -> Vec<Item> {
    let (ours, theirs) = names(instance);
    let line = |(name, value): &(String, String)| format!("{name}={value}\n");
    let added = |have: &str| {
        let has = |name: &str| have.lines().any(|l| l.trim_start().split('=').next() == Some(name));
        let mut text = have.to_owned();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.extend(theirs.iter().filter(|(name, _)| !has(name)).map(line));
        text
    };
    // The network is read from where it came; as metadata it may be as large as it likes, and encoded.
    let metadata = instance.meta_data().into_iter().filter(|(key, _)| !key.starts_with("network"));
    let metadata = serde_json::Value::Object(metadata.collect());
    let file = |path: &str, text: String| File { place: "metadata".to_owned(), ..File::ours(path, text) };
    let mut items = vec![
        Item::Directory(Directory::ours(RUN_DIR, 0o700)),
        Item::File(file(METADATA, format!("{metadata}\n")).mode(0o600)),
        Item::File(file(OURS, ours.iter().map(line).collect())),
        Item::File(file(FLATCAR, added(flatcar))),
    ];
    match coreos {
        Some(have) => items.push(Item::File(file(COREOS, added(have)))),
        None if linked => {}
        None => {
            items.push(Item::Link(Link { place: "metadata".to_owned(), ..Link::ours(COREOS, "flatcar") }))
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::instance::Addresses;

    #[test]
    fn names_that_are_there_keep_their_values() {
        let local_v4 = Some(std::net::Ipv4Addr::new(10, 0, 0, 5));
        let instance = Instance {
            platform: "aws",
            spelling: Some(Spelling { coreos: "EC2", afterburn: "AWS", common: true }),
            instance_id: "i-1".to_owned(),
            node_name: Some("i-1".to_owned()),
            provider_id: Some("aws:///z/i-1".to_owned()),
            addresses: Addresses { local_v4, ..Addresses::default() },
            hostname: Some("ip-10-0-0-5.ec2.internal".to_owned()),
            availability_zone: Some("bad zone".to_owned()),
            ..Instance::default()
        };
        let items = items(&instance, "COREOS_EC2_HOSTNAME=afterburn's\nOTHER=1", None, false);
        let text = |path: &str| {
            let file = items.iter().find_map(|i| match i {
                Item::File(f) if f.path == path => Some(f),
                _ => None,
            });
            String::from_utf8(file.unwrap().content.expose().to_vec()).unwrap()
        };
        let flatcar = text(FLATCAR);
        assert!(
            flatcar.starts_with("COREOS_EC2_HOSTNAME=afterburn's\nOTHER=1\nAFTERBURN_AWS_HOSTNAME="),
            "{flatcar}"
        );
        assert_eq!(flatcar.matches("COREOS_EC2_HOSTNAME=").count(), 1);
        assert!(flatcar.contains("COREOS_CUSTOM_PRIVATE_IPV4=10.0.0.5\n"), "{flatcar}");
        assert!(flatcar.contains("COREOS_CUSTOM_PROVIDER_ID=aws:///z/i-1\n"), "{flatcar}");
        assert!(!flatcar.contains("ZONE"), "a value with a blank is left out: {flatcar}");
        assert_eq!(
            text(OURS),
            "FOOTPLATE_HOSTNAME=ip-10-0-0-5.ec2.internal\nFOOTPLATE_INSTANCE_ID=i-1\nFOOTPLATE_NODE_NAME=i-1\n\
             FOOTPLATE_PLATFORM=aws\n\
             FOOTPLATE_PRIVATE_IPV4=10.0.0.5\nFOOTPLATE_PROVIDER_ID=aws:///z/i-1\n"
        );
    }
}
