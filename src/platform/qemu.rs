// SPDX-License-Identifier: Apache-2.0
//! QEMU without a platform around it: a file that the host hands over by its firmware's configuration
//! ([fw_cfg](https://www.qemu.org/docs/master/specs/fw_cfg.html), `-fw_cfg name=opt/org.flatcar-linux/config,file=…`), or a drive
//! labelled `cidata`.

use super::{Error, Evidence, Platform, document, nocloud};
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// QEMU. A machine of QEMU is on many platforms, so only such a file, or a kernel argument, names this one.
pub(super) const PLATFORM: Platform = Platform {
    id: "qemu",
    name: "QEMU (a file of fw_cfg)",
    hint: "QEMU: hand user-data over as the file opt/org.flatcar-linux/config of fw_cfg, or attach a drive labelled cidata",
    generic: true,
    evidence: |facts| Some(Evidence::FwCfg(facts.fw_cfg.first()?.clone())),
    local: Some(read),
    drives: &[nocloud::DRIVE],
    complete: |world, facts, instance| {
        nocloud::take_given(facts, instance)?;
        if instance.instance_id.is_empty() {
            instance.instance_id = document::own_id(world, facts)?;
        }
        if instance.hostname.is_none() {
            // Systemd's credential, with which the host names a machine.
            let name = world.text(Ask::File(HOSTNAME))?;
            instance.hostname =
                Some(name).filter(|n| !n.is_empty()).map(|n| document::hostname(HOSTNAME, &n)).transpose()?;
        }
        instance.node_name = instance.node_name.take().or_else(|| instance.hostname.clone());
        Ok(())
    },
    ..Platform::NONE
};

/// The files' names, in the order in which they are looked for: Ignition on Flatcar takes either of two, at random.
pub(super) const FILES: &[&str] = &["opt/org.flatcar-linux/config", "opt/com.coreos/config"];

/// Systemd's [credential](https://systemd.io/CREDENTIALS/) with the machine's name.
const HOSTNAME: &str = "/run/credentials/@system/system.hostname";

/// Where the kernel has a file's contents.
pub(super) fn path(name: &str) -> String {
    format!("/sys/firmware/qemu_fw_cfg/by_name/{name}/raw")
}

/// The file; where there is none, the machine has no data but that of a drive. NoCloud's own words for a seed are NoCloud's to read.
fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let mut instance = Instance::default();
    let Some((name, others)) = facts.fw_cfg.split_first() else {
        return Ok((!nocloud::is_named(facts)).then_some(instance));
    };
    let data = world.ask(Ask::File(&path(name)))?.filter(|data| !data.trim_ascii().is_empty());
    instance.user_data = data.map(Secret::new);
    if let Some(other) = others.first() {
        let what = format!("left out: there is {name}");
        instance
            .problems
            .push(Problem::warning(format!("fw_cfg {other}"), what).cure("give the machine one of them"));
    }
    Ok(Some(instance))
}
