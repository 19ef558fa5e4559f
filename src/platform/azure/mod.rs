// SPDX-License-Identifier: Apache-2.0
//! Microsoft Azure: a drive with the name, the keys and the custom data, which the platform detaches once the machine is ready; the
//! [instance metadata service](https://learn.microsoft.com/en-us/azure/virtual-machines/instance-metadata-service); and the wireserver,
//! which is told how it went.

mod imds;
mod report;

use super::{Error, Evidence, Limit, Platform};
use crate::decode::azure::{Provisioning, provisioning};
use crate::io::{Ask, World};
use crate::model::facts::{Drive, Facts};
use crate::model::instance::{Instance, Spelling};
use crate::model::problem::{Problem, WithCure as _};
use crate::model::secret::Secret;
use crate::platform::document;

/// Azure. Its limit is that of custom data, before the API's base64.
pub(super) const PLATFORM: Platform = Platform {
    id: "azure",
    name: "Microsoft Azure",
    spelling: Some(Spelling { coreos: "AZURE", afterburn: "AZURE", common: false }),
    limit: Some(Limit {
        bytes: 65535,
        base64: false,
        cure: "put fewer or smaller files into the bootstrap data",
    }),
    names: &[
        "meta_data.imds.compute.location",
        "meta_data.imds.compute.name",
        "meta_data.imds.compute.resourceGroupName",
        "meta_data.imds.compute.resourceId",
        "meta_data.imds.compute.subscriptionId",
        "meta_data.imds.compute.vmId",
        "meta_data.imds.compute.vmSize",
    ],
    hint: "Azure: give the virtual machine custom data",
    evidence: |facts| {
        // Vendor and product are those of every guest of Hyper-V.
        let is = facts.dmi.chassis_asset_tag.trim() == ASSET_TAG;
        is.then(|| Evidence::Dmi(format!("chassis asset tag {ASSET_TAG}")))
    },
    local: Some(local),
    network: Some(imds::fetch),
    report: Some(report::report),
    ..Platform::NONE
};

/// The asset tag of all machines on Azure.
const ASSET_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// The drive's document: the drive is told by it, for its label is another one on each machine.
const DOCUMENT: &str = "ovf-env.xml";

/// The custom data on the drive, decoded.
const CUSTOM_DATA: &str = "CustomData.bin";

/// Azure's agent's copy of the document, which stays when the drive is gone; the password in it is replaced.
const COPY: &str = "/var/lib/waagent/ovf-env.xml";

/// Reads the provisioning drive, or the copy that Azure's agent keeps of it. The id of the machine is left to what comes over the
/// network: what is made of the drive alone must not replace the network that an earlier boot got from there.
fn local(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let mut found: Option<(&Drive, Vec<u8>)> = None;
    for drive in facts.drives.iter().filter(|d| ["udf", "iso9660"].contains(&d.filesystem.as_str())) {
        let Some(bytes) = world.ask(Ask::Drive { label: &drive.device, file: DOCUMENT })? else { continue };
        if let Some((other, _)) = found {
            let what = anyhow::anyhow!("{} and {} both have {DOCUMENT}", other.device, drive.device);
            return Ok(Err(what).cure("detach the one that is not Azure's provisioning drive")?);
        }
        found = Some((drive, bytes));
    }
    if let Some((drive, bytes)) = found {
        let raw = world.ask(Ask::Drive { label: &drive.device, file: CUSTOM_DATA })?;
        return read(DOCUMENT, &bytes, raw.filter(|data| !data.is_empty())).map(Some);
    }
    world.ask(Ask::File(COPY))?.map(|bytes| read(COPY, &bytes, None)).transpose()
}

/// What the document says; `raw` is the custom data where it is beside the document.
fn read(place: &str, bytes: &[u8], raw: Option<Vec<u8>>) -> Result<Instance, Error> {
    let xml = std::str::from_utf8(bytes).map_err(|_| Problem::error(place, "not UTF-8 text"))?;
    let Provisioning { hostname, custom_data, ssh_keys, has_password, preprovisioned } =
        provisioning(place, xml.trim_start_matches('\u{feff}'))?;
    if preprovisioned {
        return Err(not_yet(place));
    }
    let hostname =
        hostname.map(|name| document::hostname(&format!("{place}: HostName"), &name)).transpose()?;
    let user_data = raw.map(Secret::new).or(custom_data);
    let mut instance = Instance { hostname, ssh_keys, user_data, ..Instance::default() };
    if has_password && place == DOCUMENT {
        let what = "the user's password is not used";
        let problem = Problem::note(format!("{place}: UserPassword"), what);
        instance.problems.push(problem.cure("log in with an SSH key, or set a hash in the custom data"));
    }
    Ok(instance)
}

/// A machine that waits in a pool has no identity yet.
fn not_yet(place: &str) -> Error {
    let what = "this machine is preprovisioned: it gets its name and its data later, and footplate does not wait for that";
    Problem::error(place, what)
        .cure("use an image and a VM size for which Azure does not preprovision")
        .into()
}
