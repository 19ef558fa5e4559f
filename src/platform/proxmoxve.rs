// SPDX-License-Identifier: Apache-2.0
//! Proxmox VE: a `cidata` or a `config-2` drive, made by Proxmox itself
//! ([cloud-init support](https://pve.proxmox.com/wiki/Cloud-Init_Support)) or by Cluster API's provider.

use super::{Error, Platform, config_drive, document, nocloud};
use crate::decode::document::{Kind, envelope, sniff};
use crate::decode::syntax::yaml::{self, Node};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;

/// Proxmox VE. Its machines are QEMU's, and nothing in DMI names it: a kernel argument does.
pub(super) const PLATFORM: Platform = Platform {
    id: "proxmoxve",
    name: "Proxmox VE",
    aliases: &["proxmox"],
    spelling: Some(Spelling { coreos: "PROXMOXVE", afterburn: "PROXMOXVE", common: false }),
    hint: "Proxmox VE: attach a cloud-init drive (labelled cidata or config-2)",
    drives: &[nocloud::DRIVE, config_drive::DRIVE],
    complete,
    ..Platform::NONE
};

/// How many digits the ids have that Proxmox makes: SHA-1.
const DIGEST: usize = 40;

fn complete(_: &dyn World, facts: &Facts, instance: &mut Instance) -> Result<(), Error> {
    if !instance.attributes.is_empty() {
        return Ok(());
    }
    instance.attribute("INSTANCE_ID", Some(&instance.instance_id.clone()));
    take_generated(instance)?;
    instance.attribute("HOSTNAME", instance.hostname.clone().as_deref());
    document::first_addresses(|network| network.interfaces.first(), instance);
    let uuid = facts.dmi.product_uuid.trim().to_lowercase();
    if !uuid.is_empty() {
        instance.provider_id.get_or_insert_with(|| format!("proxmox://{uuid}"));
        // Proxmox's own id is a digest of user-data and network: it changes with each edit, and the machine stays the same.
        let id = &mut instance.instance_id;
        if id.is_empty() || (id.len() == DIGEST && id.bytes().all(|b| b.is_ascii_hexdigit())) {
            *id = uuid;
        }
    }
    instance.node_name = instance.node_name.take().or(instance.hostname.clone());
    Ok(())
}

/// Proxmox makes a cloud-config with name and keys where nobody gives one, and the name stands nowhere else. Ignition's config, which
/// can be given as vendor-data alone then, is the user-data.
fn take_generated(instance: &mut Instance) -> Result<(), Error> {
    let open = |data: &[u8]| envelope::open(data).ok().map(|d| d.into_owned()).filter(|d| !d.is_empty());
    let Some(data) = instance.user_data.as_ref().and_then(|d| open(d.expose())) else { return Ok(()) };
    if sniff(&data) != Some(Kind::CloudConfig) {
        return Ok(());
    }
    let config = String::from_utf8(data).ok().and_then(|text| yaml::parse(&text).ok());
    let config = config.filter(Node::is_map);
    if let Some(name) = config.as_ref().and_then(|c| document::text_at(c, "hostname"))
        && instance.hostname.is_none()
    {
        document::take_hostname("user-data: hostname", name, instance)?;
    }
    let vendor = instance.vendor_data.as_ref().and_then(|d| open(d.expose()));
    if vendor.is_some_and(|data| sniff(&data) == Some(Kind::Ignition)) {
        instance.user_data = instance.vendor_data.take();
        let keys = config.as_ref().and_then(|c| c.get("ssh_authorized_keys"));
        instance.ssh_keys.extend(keys.map(document::ssh_keys).unwrap_or_default());
        let what = "the cloud-config in it is left out, but for name and keys: the vendor-data is an Ignition config";
        instance.problems.push(Problem::note("user-data", what));
    }
    Ok(())
}
