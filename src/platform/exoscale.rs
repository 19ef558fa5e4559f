// SPDX-License-Identifier: Apache-2.0
//! Exoscale: its metadata service, which speaks as CloudStack's routers do
//! ([user-data and metadata](https://community.exoscale.com/product/compute/instances/how-to/cloud-init/)).

use super::service::{Service, Session};
use super::{Error, Evidence, Platform, document, virtual_router};
use crate::io::World;
use crate::model::facts::Facts;
use crate::model::instance::{Instance, Spelling};

/// Exoscale.
pub(super) const PLATFORM: Platform = Platform {
    id: "exoscale",
    name: "Exoscale",
    spelling: Some(Spelling { coreos: "EXOSCALE", afterburn: "EXOSCALE", common: false }),
    hint: "Exoscale: give the instance user-data",
    evidence: |facts| facts.dmi.product_name.starts_with("Exoscale").then(|| Evidence::of_dmi(&facts.dmi)),
    network: Some(fetch),
    ..Platform::NONE
};

static SERVICE: Service = Service {
    cure: "Exoscale's metadata service does not answer: see that a route leads to 169.254.169.254",
    ..Service::LINK_LOCAL
};

fn fetch(world: &dyn World, _: &Facts, _: Option<Instance>) -> Result<Option<Instance>, Error> {
    let session = Session::open(&SERVICE, world, world.patience())?;
    let mut instance = virtual_router::ask(&session, "/1.0")?;
    if let Some(instance) = &mut instance {
        document::name_by_id("exoscale", instance);
    }
    Ok(instance)
}
