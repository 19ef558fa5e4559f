// SPDX-License-Identifier: Apache-2.0
//! IBM Cloud VPC: a `cidata` drive
//! ([user data](https://cloud.ibm.com/docs/vpc?topic=vpc-user-data)). Its vendor-data is for distributions with other tools (it lets
//! root log in with a password, and calls dhclient): only the SSH keys in it are used.

use super::{Error, Limit, OwnedDrive, Platform, nocloud};
use crate::decode::document::jinja::Variables;
use crate::decode::document::{self, Kind, Source, no_fetch};
use crate::decode::syntax::yaml;
use crate::io::World;
use crate::model::facts::Os;
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// IBM Cloud VPC. Nothing in DMI is sure to name it: a kernel argument does.
pub(super) const PLATFORM: Platform = Platform {
    id: "ibmcloud",
    name: "IBM Cloud VPC",
    spelling: Some(Spelling { coreos: "IBMCLOUD", afterburn: "IBMCLOUD", common: false }),
    limit: Some(Limit {
        bytes: 64 << 10,
        base64: false,
        cure: "let the node fetch what is large, by `#include` or Ignition's `source`",
    }),
    hint: "IBM Cloud: the drive labelled cidata is not there",
    drives: &[OwnedDrive { label: nocloud::DRIVE.label, read }],
    ..Platform::NONE
};

fn read(world: &dyn World) -> Result<Option<Instance>, Error> {
    let Some(mut instance) = (nocloud::DRIVE.read)(world)? else { return Ok(None) };
    let (id, name) = (instance.instance_id.clone(), instance.hostname.clone());
    instance.attribute("INSTANCE_ID", Some(&id));
    instance.attribute("LOCAL_HOSTNAME", name.as_deref());
    instance.node_name = instance.node_name.take().or(name);
    if let Some(vendor) = instance.vendor_data.take() {
        instance.ssh_keys.extend(keys(&vendor));
        let what = "only the SSH keys in it are used: the rest is for other distributions";
        instance.problems.push(Problem::note("vendor-data", what));
    }
    Ok(Some(instance))
}

/// The SSH keys in cloud-configs; a key that is folded into several lines is one line.
fn keys(vendor: &Secret) -> Vec<String> {
    let documents = document::read(
        Source::Vendor,
        vendor.expose(),
        &Variables::of(&Instance::default(), &Os::default()),
        &mut no_fetch,
    );
    let configs = documents.list.iter().filter(|d| d.kind == Kind::CloudConfig);
    let trees = configs.filter_map(|d| yaml::parse(&d.text).ok());
    let keys = trees.filter_map(|tree| tree.get("ssh_authorized_keys").map(super::document::texts));
    keys.flatten().map(|key| key.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}
