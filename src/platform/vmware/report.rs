// SPDX-License-Identifier: Apache-2.0
//! What vSphere is told, in keys of guestinfo that its owner reads from outside.

use super::guest::{IGNITION, KEYS, NO_CONFIG, is_empty};
use crate::io::{Ask, Tell, World};
use crate::platform::{Error, Report};

/// Tells how it goes. Every process of the machine can read guestinfo (CVE-2022-1706). Bootstrap data that is not needed any
/// more is therefore removed from it: its values are replaced by those that mean "nothing", for keys can't be deleted. The
/// metadata stays: Cluster API compares it with its own and would write it again.
pub(super) fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let set = |key: &str, value: &[u8]| world.tell(Tell::Guestinfo { key, value });
    set("guestinfo.footplate.state", report.state.as_bytes())?;
    // An empty value can't be set; a blank says that there is nothing.
    let error: String =
        report.error.unwrap_or(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    set("guestinfo.footplate.error", error.as_bytes())?;
    if !report.spent {
        return Ok(());
    }
    for key in &KEYS[1..] {
        if world.ask(Ask::Guestinfo(key))?.is_some_and(|v| !is_empty(&v)) {
            // Ignition, should it ever look again, would take the value of cloud-init for a broken config.
            let (nothing, encoding): (&[u8], &[u8]) =
                if *key == IGNITION { (NO_CONFIG, b"base64") } else { (b"---", b" ") };
            set(key, nothing)?;
            set(&format!("{key}.encoding"), encoding)?;
        }
    }
    Ok(())
}
