// SPDX-License-Identifier: Apache-2.0
//! What a host of Hyper-V is told, on Azure and elsewhere: how the bootstrap ended, as a key-value pair in the form of
//! [cloud-init](https://github.com/canonical/cloud-init/blob/main/cloudinit/sources/azure/kvp.py), which Azure's diagnostics read.

use crate::io::{self, Ask, Tell, World};
use crate::platform::{Error, Report};

/// The key by which Azure finds it.
const REPORT: &str = "PROVISIONING_REPORT";

/// The most bytes of a value that Azure reads whole.
const MOST: usize = 1022;

/// Tells how the bootstrap ended; before that there is nothing to tell. The reason is cut where the value would be too long.
pub(super) fn tell(world: &dyn World, report: &Report<'_>) -> Result<(), Error> {
    let mut reason = match report.state {
        "done" => None,
        "failed" => Some(report.error.unwrap_or("footplate failed").chars().take(MOST).collect::<String>()),
        _ => return Ok(()),
    };
    let (vm, now) = (vm_id(world)?, io::now().to_string());
    let value = loop {
        let value = value(report, reason.as_deref(), &vm, &now);
        if value.len() <= MOST || reason.as_mut().is_none_or(|reason| reason.pop().is_none()) {
            break value;
        }
    };
    world.tell(Tell::Pair { key: REPORT, value: value.as_bytes() })
}

/// The fields, a failure's with its reason.
fn value(report: &Report<'_>, reason: Option<&str>, vm: &str, now: &str) -> String {
    let failed = reason.is_some();
    let fields = [
        ("result", Some(if failed { "error" } else { "success" })),
        ("reason", reason),
        ("agent", Some(io::http::USER_AGENT)),
        ("state", Some(report.state)),
        ("code", report.code),
        ("pps_type", Some("None")),
        ("vm_id", Some(vm)),
        ("timestamp", Some(now)),
        ("documentation_url", failed.then_some("https://aka.ms/linuxprovisioningerror")),
    ];
    let fields = fields.iter().filter_map(|(name, value)| Some(quoted(format!("{name}={}", (*value)?))));
    fields.collect::<Vec<_>>().join("|")
}

/// A field as Python's csv writes it, with these marks.
fn quoted(field: String) -> String {
    if field.contains(['|', '\'', '\r', '\n']) { format!("'{}'", field.replace('\'', "''")) } else { field }
}

/// The machine's id as its host has it. The firmware without UEFI gives the first three groups of it with their bytes in the other order.
pub(super) fn vm_id(world: &dyn World) -> Result<String, Error> {
    let id = world.text(Ask::File("/sys/class/dmi/id/product_uuid"))?.to_lowercase();
    if world.ask(Ask::File("/sys/firmware/efi/fw_platform_size"))?.is_some() {
        return Ok(id);
    }
    let turned = |group: &str| -> String {
        group.as_bytes().rchunks(2).map(|pair| String::from_utf8_lossy(pair).into_owned()).collect()
    };
    let groups = id.split('-').enumerate();
    Ok(groups.map(|(n, g)| if n < 3 { turned(g) } else { g.to_owned() }).collect::<Vec<_>>().join("-"))
}
