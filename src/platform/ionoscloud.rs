// SPDX-License-Identifier: Apache-2.0
//! IONOS Cloud, which has no metadata service: before the first boot it writes NoCloud's files into the volume of the machine
//! ([user data](https://docs.ionos.com/cloud/storage-and-backup/block-storage/images-snapshots/boot-cloud-init),
//! [Flatcar](https://github.com/flatcar/Flatcar/issues/1570)).

use super::{Platform, document, nocloud};

/// IONOS Cloud. Nothing in DMI is known to name it: a kernel argument does.
pub(super) const PLATFORM: Platform = Platform {
    id: "ionoscloud",
    name: "IONOS Cloud",
    hint: "IONOS Cloud: give the volume user data, which becomes the file /var/lib/cloud/seed/nocloud/user-data",
    local: Some(|world, _| nocloud::injected(world)),
    complete: |world, facts, instance| {
        // Cluster API's templates make the provider id of the UUID that the kubelet has, which is DMI's.
        let uuid = Some(facts.dmi.product_uuid.trim().to_lowercase()).filter(|uuid| !uuid.is_empty());
        instance.provider_id = instance.provider_id.take().or_else(|| Some(format!("ionos://{}", uuid?)));
        if instance.instance_id.is_empty() {
            instance.instance_id = document::own_id(world, facts)?;
        }
        instance.node_name = instance.node_name.take().or_else(|| instance.hostname.clone());
        Ok(())
    },
    ..Platform::NONE
};
