// SPDX-License-Identifier: Apache-2.0
//! Exoscale: its metadata service, a document for each name
//! ([user-data and metadata](https://community.exoscale.com/product/compute/instances/how-to/cloud-init/)).

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, document};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;

/// Exoscale.
pub(super) const PLATFORM: Platform = Platform {
    id: "exoscale",
    name: "Exoscale",
    spelling: Some(Spelling { coreos: "EXOSCALE", afterburn: "EXOSCALE" }),
    hint: "Exoscale: give the instance user-data",
    evidence: |facts| facts.dmi.product_name.starts_with("Exoscale").then(|| Evidence::of_dmi(&facts.dmi)),
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    cure: "Exoscale's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

/// The names that have a document, which are Afterburn's too.
const KEYS: &[&str] = &[
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

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let path = |key: &str| format!("/1.0/meta-data/{key}");
    let mut paths: Vec<String> = KEYS.iter().map(|k| path(k)).collect();
    paths.extend([path("public-keys"), "/1.0/user-data".to_owned()]);
    let mut answers = session.get_all(&paths)?;
    let user_data = answers.pop().flatten().filter(|d| !d.expose().trim_ascii().is_empty());
    let mut texts = Vec::new();
    for (path, answer) in paths.iter().zip(answers) {
        let text = answer.map(|a| String::from_utf8(a.expose().to_vec())).transpose();
        texts.push(text.map_err(|_| Problem::error(path.as_str(), "not UTF-8 text"))?);
    }
    let keys = texts.pop().flatten().unwrap_or_default();
    if texts.iter().all(Option::is_none) && user_data.is_none() {
        return Ok(None);
    }
    let mut instance = Instance { user_data, ssh_keys: document::lines(&keys), ..Instance::default() };
    for (key, text) in KEYS.iter().zip(&texts) {
        let Some(value) = text.as_deref().map(str::trim).filter(|v| !v.is_empty()) else { continue };
        instance.attribute(&key.replace('-', "_").to_uppercase(), Some(value));
        instance.metadata.insert((*key).to_owned(), value.into());
        match *key {
            "availability-zone" => instance.availability_zone = Some(value.to_owned()),
            "instance-id" => instance.instance_id = value.to_owned(),
            "local-hostname" => instance.hostname = Some(document::hostname(&path(key), value)?),
            "local-ipv4" => instance.addresses.local_v4 = value.parse().ok(),
            "public-ipv4" => instance.addresses.public_v4 = value.parse().ok(),
            _ => {}
        }
    }
    document::name_by_id("exoscale", &mut instance);
    Ok(Some(instance))
}
