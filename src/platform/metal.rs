// SPDX-License-Identifier: Apache-2.0
//! A machine without a platform, whose kernel arguments say where its user-data is: started over the network by iPXE, for instance
//! ([Flatcar on bare metal](https://www.flatcar.org/docs/latest/installing/bare-metal/booting-with-ipxe/)).

use super::{Error, Evidence, Platform, document};
use crate::io::World;
use crate::model::facts::{Cmdline, Facts};
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// A machine without a platform.
pub(super) const PLATFORM: Platform = Platform {
    id: "metal",
    name: "a machine without a platform (a URL in a kernel argument)",
    aliases: &["pxe"],
    hint: "metal: name the user-data's URL in the kernel argument flatcar.config.url",
    evidence,
    local: Some(read),
    ..Platform::NONE
};

/// Kernel arguments with a URL: Ignition's names, in the order in which Flatcar's Ignition looks for them, and coreos-cloudinit's.
const ARGUMENTS: &[&str] =
    &["ignition.config.url", "flatcar.config.url", "coreos.config.url", "cloud-config-url"];

/// The arguments that name a platform: what one of them says goes before a URL.
const NAMED: &[&str] = &["flatcar.oem.id", "coreos.oem.id", "ignition.platform.id"];

fn url(cmdline: &Cmdline) -> Option<(&'static str, &str)> {
    ARGUMENTS.iter().find_map(|a| Some((*a, cmdline.get(a).filter(|url| !url.is_empty())?)))
}

fn evidence(facts: &Facts) -> Option<Evidence> {
    let (argument, _) = url(&facts.cmdline)?;
    let named = NAMED.iter().any(|a| facts.cmdline.get(a).is_some());
    // The URL may hold a login.
    (!named).then(|| Evidence::Argument(argument.to_owned()))
}

/// The URL becomes an include list of it: it is fetched as all that user-data includes.
fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let Some((argument, url)) = url(&facts.cmdline) else { return Ok(None) };
    if url.contains(char::is_whitespace) {
        return Err(Problem::error(argument, "not a URL: it has a blank in it").into());
    }
    let user_data = Some(Secret::from(format!("#include\n{url}\n").as_str()));
    let instance_id = document::own_id(world, facts)?;
    Ok(Some(Instance { instance_id, user_data, ..Instance::default() }))
}
