// SPDX-License-Identifier: Apache-2.0
//! What CloudStack's virtual routers tell ([user-data and
//! metadata](https://docs.cloudstack.apache.org/en/latest/adminguide/virtual_machines/user-data.html)): a document for each name.

use super::service::Session;
use super::{Error, document};
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// The names that have a document. All but that of the SSH keys are Afterburn's too.
pub(super) const NAMES: &[&str] = &[
    "availability-zone",
    "cloud-identifier",
    "instance-id",
    "local-hostname",
    "local-ipv4",
    "public-hostname",
    "public-ipv4",
    KEYS,
    "service-offering",
    "vm-id",
];

/// The name of the document with SSH keys.
const KEYS: &str = "public-keys";

/// Asks a virtual router, or a service that speaks as one: `root` is what its paths begin with.
pub(super) fn ask(session: &Session<'_>, root: &str) -> Result<Option<Instance>, Error> {
    let mut paths: Vec<String> = NAMES.iter().map(|name| format!("{root}/meta-data/{name}")).collect();
    paths.push(format!("{root}/user-data"));
    let mut answers = session.get_all(&paths)?;
    let user_data = answers.pop().flatten();
    instance(paths.into_iter().zip(answers).collect(), user_data)
}

/// What the documents of [`NAMES`] say, each with its place; `None` where there are none.
pub(super) fn instance(
    values: Vec<(String, Option<Secret>)>,
    user_data: Option<Secret>,
) -> Result<Option<Instance>, Error> {
    let user_data = user_data.filter(|data| !data.is_blank());
    if values.iter().all(|(_, value)| value.is_none()) && user_data.is_none() {
        return Ok(None);
    }
    let mut instance = Instance { user_data, ..Instance::default() };
    for (name, (place, value)) in NAMES.iter().zip(values) {
        let value = value.unwrap_or_default();
        let value = std::str::from_utf8(value.expose());
        let value = value.map_err(|_| Problem::error(&place, "not UTF-8 text"))?.trim().to_owned();
        if value.is_empty() {
            continue;
        }
        if *name == KEYS {
            instance.ssh_keys = document::lines(&value);
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
