// SPDX-License-Identifier: Apache-2.0
//! What vSphere is told, in keys of guestinfo that its owner reads from outside. `docs/vsphere.md` lists them.

use std::net::IpAddr;

use super::guest::{IGNITION, KEYS, NO_CONFIG, is_empty};
use super::host;
use crate::io::{Ask, Tell, World};
use crate::platform::{Error, Report};

/// An empty value can't be set; a blank says that there is nothing.
const NOTHING: &str = " ";

/// Tells how it goes. A key that is refused does not keep the others back: all of them are tried, and the first error is the
/// result.
///
/// Every process of the machine can read guestinfo (CVE-2022-1706). Bootstrap data that is not needed any more is therefore
/// removed from it: its values are replaced by those that mean "nothing", for keys can't be deleted. The metadata stays:
/// Cluster API compares it with its own and would write it again.
pub(super) fn report(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let mut told = Ok(());
    let mut set = |key: &str, value: &str| {
        // The hypervisor takes one line of text.
        let line: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = if line.is_empty() { NOTHING } else { &line };
        keep_first(&mut told, world.tell(Tell::Guestinfo { key, value: line.as_bytes() }));
    };
    // The state last: who waits for it finds the rest in place.
    set("guestinfo.footplate.report", report.whole);
    set("guestinfo.footplate.error", report.error.unwrap_or(NOTHING));
    set("guestinfo.footplate.code", report.code.unwrap_or(NOTHING));
    set("guestinfo.footplate.phase", report.phase.unwrap_or(NOTHING));
    set("guestinfo.footplate.state", report.state);
    match host::addresses(world) {
        Ok((v4, v6)) => {
            let text = |ip: Option<IpAddr>| ip.map_or(NOTHING.to_owned(), |ip| ip.to_string());
            set("guestinfo.local-ipv4", &text(v4));
            set("guestinfo.local-ipv6", &text(v6));
        }
        Err(error) => keep_first(&mut told, Err(error)),
    }
    if report.spent {
        keep_first(&mut told, clear(world));
    }
    told
}

/// Keeps the first error of several attempts.
fn keep_first(kept: &mut Result<(), Error>, next: Result<(), Error>) {
    if kept.is_ok() {
        *kept = next;
    }
}

/// Removes bootstrap data.
fn clear(world: &dyn World) -> Result<(), Error> {
    let mut cleared = Ok(());
    for key in &KEYS[1..] {
        keep_first(&mut cleared, clear_key(world, key));
    }
    cleared
}

fn clear_key(world: &dyn World, key: &str) -> Result<(), Error> {
    if world.ask(Ask::Guestinfo(key))?.is_none_or(|v| is_empty(&v)) {
        return Ok(());
    }
    // Ignition, should it ever look again, would take the value of cloud-init for a broken config.
    let (nothing, encoding): (&[u8], &[u8]) =
        if key == IGNITION { (NO_CONFIG, b"base64") } else { (b"---", b" ") };
    world.tell(Tell::Guestinfo { key, value: nothing })?;
    world.tell(Tell::Guestinfo { key: &format!("{key}.encoding"), value: encoding })
}
