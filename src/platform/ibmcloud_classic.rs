// SPDX-License-Identifier: Apache-2.0
//! IBM Cloud Classic: a config drive
//! ([its metadata](https://cloud.ibm.com/docs/virtual-servers?topic=virtual-servers-managing-virtual-servers)) with static addresses.

use super::{Platform, config_drive};
use crate::model::instance::Spelling;
use crate::model::problem::Problem;

/// IBM Cloud Classic. Nothing in DMI names it: a kernel argument does.
pub(super) const PLATFORM: Platform = Platform {
    id: "ibmcloud-classic",
    name: "IBM Cloud Classic",
    spelling: Some(Spelling { coreos: "IBMCLOUD_CLASSIC", afterburn: "IBMCLOUD_CLASSIC", common: false }),
    hint: "IBM Cloud Classic: the drive labelled config-2 is not there",
    local: Some(|world, _| {
        let Some(mut instance) = config_drive::drive(world)? else { return Ok(None) };
        let (id, name) = (instance.instance_id.clone(), config_drive::own_name(&instance));
        instance.attribute("INSTANCE_ID", Some(&id));
        instance.attribute("LOCAL_HOSTNAME", name.as_deref());
        if instance.vendor_data.take().is_some() {
            let what = "not used: it is a script that gives root a password";
            instance.problems.push(Problem::note("vendor-data", what));
        }
        Ok(Some(instance))
    }),
    ..Platform::NONE
};
