// SPDX-License-Identifier: Apache-2.0
//! IBM Power Virtual Server: a config drive
//! ([its user data](https://cloud.ibm.com/docs/power-iaas?topic=power-iaas-configuring-instance)), with the network as an ifupdown file.

use super::{Platform, config_drive};
use crate::model::instance::Spelling;

/// IBM Power Virtual Server. Nothing in DMI names it: a kernel argument does. Its provider id has parts that are not on the drive:
/// Cluster API's provider sets it.
pub(super) const PLATFORM: Platform = Platform {
    id: "powervs",
    name: "IBM Power Virtual Server",
    spelling: Some(Spelling { coreos: "POWERVS", afterburn: "POWERVS", common: false }),
    hint: "IBM Power Virtual Server: give the instance user data, which attaches a drive labelled config-2",
    local: Some(|world, _| {
        let Some(mut instance) = config_drive::drive(world)? else { return Ok(None) };
        instance.node_name.clone_from(&instance.hostname);
        // Afterburn takes the name of the instance, and Cluster API's templates the host name.
        let (id, name) = (instance.instance_id.clone(), config_drive::own_name(&instance));
        instance.attribute("INSTANCE_ID", Some(&id));
        instance.attribute("LOCAL_HOSTNAME", name.as_deref());
        Ok(Some(instance))
    }),
    ..Platform::NONE
};
