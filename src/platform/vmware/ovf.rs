// SPDX-License-Identifier: Apache-2.0
//! An appliance's OVF properties, by the names that
//! [cloud-init's OVF datasource](https://docs.cloud-init.io/en/latest/reference/datasources/ovf.html) has for them.

use super::guest::Guest;
use crate::decode::document::envelope;
use crate::decode::ovf;
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;
use crate::platform::{Error, document};

/// The drive that brings the properties where guestinfo has none of them (the transport `iso`), and the names that a plain
/// ISO 9660 leaves of `ovf-env.xml`.
const DRIVE: &str = "OVF ENV";
const ENVIRONMENTS: [&str; 4] = ["ovf-env.xml", "ovf_env.xml", "OVF-ENV.XML", "OVF_ENV.XML"];

/// The properties: in guestinfo, else on the drive. A machine that was not made of an appliance has none.
pub(super) fn properties(world: &dyn World, facts: &Facts) -> Result<Vec<(String, String)>, Error> {
    let mut xml = world.text(Ask::Guestinfo("guestinfo.ovfEnv"))?;
    if facts.drive(DRIVE).is_some() {
        for file in ENVIRONMENTS {
            if xml.is_empty() {
                xml = world.text(Ask::Drive { label: DRIVE, file })?;
            }
        }
    }
    Ok(if xml.is_empty() { Vec::new() } else { ovf::properties(&xml)? })
}

/// Takes from the properties what guestinfo leaves out.
pub(super) fn complete(guest: &Guest<'_>, instance: &mut Instance) -> Result<(), Error> {
    // In base64, as that datasource wants them, or as they are; either may be packed.
    let open = |key: &str, text: &str| -> Result<Vec<u8>, Error> {
        let data = envelope::base64(text.as_bytes()).unwrap_or_else(|_| text.as_bytes().to_vec());
        let data = if envelope::is_gzip(&data) { envelope::gunzip(&data) } else { Ok(data) };
        Ok(data.map_err(|what| Problem::error(format!("ovfEnv: {key}"), what))?)
    };
    if let Some(id) = guest.property("instance-id")?.filter(|_| instance.instance_id.is_empty()) {
        id.clone_into(&mut instance.instance_id);
    }
    if instance.hostname.is_none() {
        let flat = guest.text("guestinfo.hostname")?;
        let named = guest.property("local-hostname")?.or(guest.property("hostname")?);
        if let Some(name) = flat.or(named.map(str::to_owned)) {
            instance.hostname = Some(document::hostname("guestinfo: hostname", name.trim())?);
        }
    }
    if let Some(keys) = guest.property("public-keys")?.filter(|_| instance.ssh_keys.is_empty()) {
        instance.ssh_keys = document::lines(keys);
    }
    if let Some(data) = guest.property("user-data")?.filter(|_| instance.user_data.is_none()) {
        instance.user_data = Some(Secret::new(open("user-data", data)?));
    }
    if let Some(config) = guest.property("network-config")?.filter(|_| instance.network.is_none()) {
        let key = "ovfEnv: network-config";
        document::read_network(&document::mapping(key, &open("network-config", config)?)?, instance);
    }
    for key in ["password", "seedfrom"] {
        if guest.property(key)?.is_some() {
            let what = "this property has no effect here";
            instance.problems.push(Problem::warning(format!("ovfEnv: {key}"), what));
        }
    }
    Ok(())
}
