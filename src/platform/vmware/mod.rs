// SPDX-License-Identifier: Apache-2.0
//! VMware vSphere: guestinfo, as [cloud-init's VMware datasource](https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html)
//! and Cluster API's vSphere provider use it.

mod clear;
mod guest;
mod host;
mod metadata;
mod older;
mod ovf;
mod report;

use self::guest::Guest;
use super::{Error, Evidence, Limit, Platform, nocloud};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};
use crate::model::secret::Secret;

/// vSphere. Its limit is that of a value of extraConfig, as VMware's tools take it. It owns a NoCloud drive: people attach
/// one where guestinfo can't be set.
pub(super) const PLATFORM: Platform = Platform {
    id: "vmware",
    name: "VMware vSphere",
    spelling: Some(Spelling { coreos: "VMWARE", afterburn: "VMWARE", common: true }),
    limit: Some(Limit {
        bytes: 64 << 10,
        base64: true,
        cure: "put fewer or smaller files into the bootstrap data",
    }),
    hint: "vSphere: set guestinfo.metadata and guestinfo.userdata",
    evidence,
    local: Some(fetch),
    drives: &[nocloud::DRIVE],
    complete: host::complete,
    report: Some(report::report),
    ..Platform::NONE
};

fn evidence(facts: &Facts) -> Option<Evidence> {
    let dmi = &facts.dmi;
    if dmi.sys_vendor == "VMware, Inc." || dmi.product_name.to_ascii_lowercase().contains("vmware") {
        return Some(Evidence::of_dmi(dmi));
    }
    // Nested hypervisors pass the signature on; a vendor that names another platform is then the truth.
    let is_vmware = |h: &&str| matches!(*h, "VMwareVMware" | "vmware") && dmi.sys_vendor.is_empty();
    let signature = facts.hypervisor.as_deref().filter(is_vmware);
    signature.map(|signature| Evidence::Hypervisor(signature.to_owned()))
}

fn fetch(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let guest = Guest::new(world, facts);
    let values = guest.read()?;
    let mut instance = metadata::parse(&values)?;
    let described = instance.owners.len();
    ovf::complete(&guest, &mut instance)?;
    instance.user_data_used = guest.was_emptied()?;
    older::read_url(&guest, &mut instance)?;
    if instance.network.is_none() {
        older::read_network(&guest, &mut instance)?;
    }
    if described == 0 && (instance.network.is_some() || instance.hostname.is_some()) {
        // Single keys, which can't be signed.
        instance.owners.push(("guestinfo".to_owned(), Secret::default()));
    }
    let told = !values.is_empty()
        || instance.user_data_used
        || !instance.instance_id.is_empty()
        || instance.hostname.is_some()
        || instance.user_data.is_some()
        || instance.network.is_some()
        || !instance.problems.is_empty();
    Ok(told.then_some(instance))
}
