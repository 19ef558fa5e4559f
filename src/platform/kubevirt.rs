// SPDX-License-Identifier: Apache-2.0
//! KubeVirt: a `config-2` drive, which Cluster API's provider uses, or a `cidata` drive
//! ([startup scripts](https://kubevirt.io/user-guide/user_workloads/startup_scripts/)).

use super::{Error, Evidence, Platform, config_drive, document, nocloud};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling, short};

/// KubeVirt. Its product is `None`.
pub(super) const PLATFORM: Platform = Platform {
    id: "kubevirt",
    name: "KubeVirt",
    spelling: Some(Spelling { coreos: "KUBEVIRT", afterburn: "KUBEVIRT", common: false }),
    hint: "KubeVirt: give the virtual machine a volume cloudInitConfigDrive or cloudInitNoCloud",
    evidence: |facts| {
        let dmi = &facts.dmi;
        let is = dmi.sys_vendor == "KubeVirt" || dmi.product_family == "KubeVirt";
        is.then(|| Evidence::Dmi(format!("vendor {:?}, family {:?}", dmi.sys_vendor, dmi.product_family)))
    },
    drives: &[config_drive::DRIVE, nocloud::DRIVE_OF_ANY_NAME],
    complete,
    ..Platform::NONE
};

fn complete(_: &dyn World, facts: &Facts, instance: &mut Instance) -> Result<(), Error> {
    if !instance.attributes.is_empty() {
        return Ok(());
    }
    if instance.instance_id.is_empty() {
        instance.instance_id = facts.dmi.product_uuid.trim().to_lowercase();
    }
    let text = |instance: &Instance, names: [&str; 2]| {
        names.iter().find_map(|name| instance.metadata.get(*name)?.as_str()).map(str::to_owned)
    };
    let name = text(instance, ["hostname", "local-hostname"]);
    instance.attribute("HOSTNAME", name.as_deref());
    instance.attribute("INSTANCE_ID", Some(&instance.instance_id.clone()));
    let kind = text(instance, ["instance_type", "instance-type"]);
    instance.attribute("INSTANCE_TYPE", kind.as_deref());
    document::first_addresses(
        |network| network.interfaces.iter().find(|i| !i.addresses.is_empty()),
        instance,
    );
    // A config drive names the machine and its namespace beside the UUID.
    let id = text(instance, ["instance_id", ""]).and_then(|id| Some(id.rsplit_once('.')?.0.to_owned()));
    let machine = id.or(instance.hostname.as_deref().map(|name| short(name).to_lowercase()));
    if let Some(machine) = machine {
        instance.provider_id.get_or_insert_with(|| format!("kubevirt://{machine}"));
        instance.node_name = Some(machine);
    }
    Ok(())
}
