// SPDX-License-Identifier: Apache-2.0
//! OpenStack: a config drive, or where none is attached nova's metadata service
//! ([metadata](https://docs.openstack.org/nova/latest/user/metadata.html)).

use std::collections::HashMap;

use super::service::{LINK_LOCAL, Service, Session, both};
use super::{Error, Evidence, Limit, Platform, config_drive, document};
use crate::io::World;
use crate::model::facts::{Dmi, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::secret::Secret;

/// OpenStack.
pub(super) const PLATFORM: Platform = Platform {
    id: "openstack",
    name: "OpenStack",
    aliases: &["brightbox", "stackit"],
    spelling: Some(Spelling { coreos: "OPENSTACK", afterburn: "OPENSTACK", common: false }),
    limit: Some(Limit {
        bytes: 65_535,
        base64: true,
        cure: "let the node fetch what is large, by `#include` or Ignition's `source`",
    }),
    names: &["meta_data.name", "meta_data.uuid"],
    hint: "OpenStack: give the server user data",
    evidence,
    local: Some(drive),
    network: Some(service),
    ..Platform::NONE
};

/// It listens at a link-local address of IPv6 too: a server may have no IPv4.
static SERVICE: Service = Service {
    addresses: &both(LINK_LOCAL, [0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe]),
    cure: "OpenStack's metadata service does not answer: see that a route leads to 169.254.169.254, or attach a config drive",
    ..Service::LINK_LOCAL
};

/// Products that nova sets.
const PRODUCTS: &[&str] = &["OpenStack Compute", "OpenStack Nova"];

/// Asset tags of clouds that set another product.
const TAGS: &[&str] = &["HUAWEICLOUD", "OpenTelekomCloud", "SAP CCloud VM", "Samsung Cloud Platform"];

/// The document of EC2's shape on the drive, and the path of its names at the service.
const EC2_FILE: &str = "ec2/latest/meta-data.json";
const EC2_PATH: &str = "/latest/meta-data";

/// Names in EC2's shape, and Afterburn's for them.
const EC2: &[(&str, &str)] = &[
    ("instance-id", "INSTANCE_ID"),
    ("instance-type", "INSTANCE_TYPE"),
    ("local-ipv4", "IPV4_LOCAL"),
    ("public-ipv4", "IPV4_PUBLIC"),
];

fn evidence(facts: &Facts) -> Option<Evidence> {
    let Dmi { product_name, chassis_asset_tag: tag, .. } = &facts.dmi;
    if PRODUCTS.contains(&product_name.as_str()) {
        return Some(Evidence::of_dmi(&facts.dmi));
    }
    let known = [PRODUCTS, TAGS].iter().any(|list| list.contains(&tag.as_str()));
    known.then(|| Evidence::Dmi(format!("chassis asset tag {tag:?}")))
}

/// The drive has all that the service has, and needs no network.
fn drive(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let Some(mut instance) = config_drive::drive(world)? else { return Ok(None) };
    if instance.instance_id.is_empty() {
        // Nova's UUID is the machine's.
        instance.instance_id = facts.dmi.product_uuid.trim().to_lowercase();
    }
    let ec2 = config_drive::file(world, EC2_FILE)?;
    let ec2 = ec2.map(|file| document::mapping(EC2_FILE, file.expose())).transpose()?;
    let value = |name: &str| document::text_of(ec2.as_ref()?, &[name]).map(str::to_owned);
    finish(&mut instance, &value);
    Ok(Some(instance))
}

fn service(world: &dyn World, _: &Facts, found: Option<Instance>) -> Result<Option<Instance>, Error> {
    if found.is_some() {
        return Ok(found);
    }
    let session = Session::open(&SERVICE, world, world.patience())?;
    let listed = session.get_all(&["/openstack".to_owned()])?.pop().flatten().unwrap_or_default();
    let listed = String::from_utf8_lossy(listed.expose()).into_owned();
    let is_listed = |version: &&&str| listed.lines().any(|line| line.trim().trim_matches('/') == **version);
    let version = config_drive::VERSIONS.iter().find(is_listed).unwrap_or(&config_drive::LATEST);
    let mut paths: Vec<String> =
        config_drive::FILES.iter().map(|file| format!("/openstack/{version}/{file}")).collect();
    paths.extend(EC2.iter().map(|(name, _)| format!("{EC2_PATH}/{name}")));
    let answers = session.get_all(&paths)?;
    let answers: HashMap<String, Option<Secret>> = paths.into_iter().zip(answers).collect();
    let read = |path: &str| {
        let path = format!("/{path}");
        match answers.get(&path) {
            Some(answer) => Ok(answer.clone()),
            None => Ok(session.get_all(&[path])?.pop().flatten()),
        }
    };
    let Some(mut instance) = config_drive::instance(&read, version)? else { return Ok(None) };
    let value = |name: &str| {
        let answer = answers.get(&format!("{EC2_PATH}/{name}"))?.as_ref()?;
        Some(String::from_utf8_lossy(answer.expose()).trim().to_owned())
    };
    finish(&mut instance, &value);
    Ok(Some(instance))
}

/// Names the node as OpenStack's cloud controller does, and adds what is known in EC2's shape.
fn finish(instance: &mut Instance, ec2: &dyn Fn(&str) -> Option<String>) {
    let uuid = instance.instance_id.clone();
    // Metal3 has the same drive, and its controller gives the node another id; that of a node can't be changed.
    let metal3 = instance.metadata.contains_key("metal3-name");
    instance.provider_id = (!uuid.is_empty() && !metal3).then(|| format!("openstack:///{uuid}"));
    let hostname = instance.metadata.get("hostname").and_then(|name| name.as_str()).map(str::to_owned);
    instance.attribute("HOSTNAME", hostname.as_deref());
    instance.attribute("INSTANCE_UUID", Some(&uuid));
    for (name, attribute) in EC2 {
        instance.attribute(attribute, ec2(name).as_deref());
    }
    let address = |name: &str| ec2(name)?.parse().ok();
    instance.addresses.local_v4 = address("local-ipv4");
    instance.addresses.public_v4 = address("public-ipv4");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nova_and_the_clouds_that_set_their_own_tag_are_known() {
        for (product, tag, want) in [
            ("OpenStack Nova", "", true),
            ("OpenStack Compute", "", true),
            ("KVM", "OpenStack Nova", true),
            ("KVM", "HUAWEICLOUD", true),
            ("Virtual Machine", "7783-7084-3265-9085-8269-3286-77", false),
            ("OpenStack", "", false),
            ("", "", false),
        ] {
            let dmi = Dmi { product_name: product.into(), chassis_asset_tag: tag.into(), ..Dmi::default() };
            assert_eq!(evidence(&Facts { dmi, ..Facts::default() }).is_some(), want, "{product} {tag}");
        }
    }
}
