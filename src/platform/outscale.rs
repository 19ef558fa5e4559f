// SPDX-License-Identifier: Apache-2.0
//! Outscale: its metadata service, which speaks as EC2's first version does
//! ([metadata and user data](https://docs.outscale.com/en/userguide/Accessing-the-Metadata-and-User-Data-of-a-VM.html)).

use super::service::{Service, Session};
use super::{Evidence, Limit, Platform, aws};

/// Outscale. Its node names and provider ids are EC2's, as Cluster API's templates for it have them. DMI:
/// [cloud-init](https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/DataSourceEc2.py).
pub(super) const PLATFORM: Platform = Platform {
    id: "outscale",
    name: "Outscale",
    limit: Some(Limit {
        bytes: 500 << 10,
        base64: true,
        cure: "let the node fetch what is large, by `#include` or Ignition's `source`",
    }),
    names: &["meta_data.ami_id", "meta_data.instance_type", "meta_data.placement.availability_zone"],
    hint: "Outscale: give the VM user data",
    evidence: |facts| {
        let dmi = &facts.dmi;
        let is = dmi.sys_vendor == "3DS Outscale" && dmi.product_name == "3DS Outscale VM";
        is.then(|| Evidence::of_dmi(dmi))
    },
    network: Some(|world, _, _| aws::tree(&Session::open(&SERVICE, world, world.patience())?, "/latest")),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    limit: 512 << 10,
    cure: "Outscale's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};
