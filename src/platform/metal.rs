// SPDX-License-Identifier: Apache-2.0
//! A machine without a platform, whose kernel arguments say where its user-data is: started over the network by iPXE, for instance
//! ([Flatcar on bare metal](https://www.flatcar.org/docs/latest/installing/bare-metal/booting-with-ipxe/)).

use super::{Error, Evidence, Platform, document};
use crate::io::World;
use crate::model::facts::{Cmdline, Facts};
use crate::model::fetch::Request;
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

fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    // All that is left is the machine itself: the URL is taken on each platform.
    let named = url(&facts.cmdline).map(|_| document::own_id(world, facts)).transpose()?;
    Ok(named.map(|instance_id| Instance { instance_id, ..Instance::default() }))
}

/// What the URL leads to is the user-data of a machine that has no other, on each platform, as it is for Ignition. It becomes an include
/// list: it is fetched as all that user-data includes.
pub(super) fn take_url(facts: &Facts, instance: &mut Instance) -> Result<(), Error> {
    let Some((argument, url)) = url(&facts.cmdline) else { return Ok(()) };
    if instance.user_data.is_some() || instance.user_data_used || instance.user_data_once {
        let what = "left out: the platform has user-data for this machine, or had";
        instance.problems.push(Problem::warning(argument, what).cure("set the user-data in one place"));
        return Ok(());
    }
    if let Some(what) = Request::plain(url).problem() {
        let cure = format!("write it as in {argument}=https://192.0.2.1/worker.ign");
        return Err(Problem::error(argument, what).cure(cure).into());
    }
    instance.user_data = Some(Secret::from(format!("#include\n{url}\n").as_str()));
    Ok(())
}
