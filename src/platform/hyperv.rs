// SPDX-License-Identifier: Apache-2.0
//! Hyper-V: key-value pairs that the host gives the guest
//! ([data exchange](https://learn.microsoft.com/en-us/virtualization/hyper-v-on-windows/reference/integration-services#hyper-v-data-exchange-service)).
//! The host sends each pair once a boot, to the first program that asks; they are read from the files that this one keeps: Ignition, or
//! Hyper-V's daemon.

use super::{Error, Platform, document};
use crate::io::{Ask, World};
use crate::model::facts::Facts;
use crate::model::instance::Instance;
use crate::model::problem::Problem;
use crate::model::secret::Secret;

/// Hyper-V. Its DMI is that of Azure and of all other machines on it, so only a kernel argument names it.
pub(super) const PLATFORM: Platform = Platform {
    id: "hyperv",
    name: "Hyper-V",
    hint: "Hyper-V: give the virtual machine the key-value pairs ignition.config.0 and so on, and see that hv-kvp-daemon runs",
    local: Some(read),
    ..Platform::NONE
};

/// What the host's operator set.
const EXTERNAL: &str = "/var/lib/hyperv/.kvp_pool_0";

/// What the host says of itself and of the guest.
const OF_HOST: &str = "/var/lib/hyperv/.kvp_pool_3";

/// The key of the user-data; a longer one stands in parts, `ignition.config.0` and so on.
const USER_DATA: &str = "ignition.config";

/// The length of a record's key and of its value, in bytes with zeros behind the text
/// ([`hv_kvp_daemon.c`](https://github.com/torvalds/linux/blob/v6.1/include/uapi/linux/hyperv.h)).
const KEY: usize = 512;
const VALUE: usize = 2048;

fn read(world: &dyn World, facts: &Facts) -> Result<Option<Instance>, Error> {
    let Some(pairs) = world.ask(Ask::File(EXTERNAL))? else { return Ok(None) };
    let mut instance = Instance { instance_id: facts.dmi.product_uuid.to_lowercase(), ..Instance::default() };
    let parts: Vec<&[u8]> = (0..).map_while(|n| value(&pairs, &format!("{USER_DATA}.{n}"))).collect();
    let data = value(&pairs, USER_DATA).map_or_else(|| parts.concat(), <[u8]>::to_vec);
    instance.user_data = (!data.trim_ascii().is_empty()).then(|| Secret::new(data));
    let host = world.ask(Ask::File(OF_HOST))?.unwrap_or_default();
    if let Some(name) = value(&host, "VirtualMachineName").and_then(|n| std::str::from_utf8(n).ok()) {
        match document::hostname("VirtualMachineName", name) {
            Ok(name) => instance.hostname = Some(name),
            Err(_) => {
                let what = "can't be this machine's name: letters, digits and `-`";
                instance
                    .problems
                    .push(Problem::warning("VirtualMachineName", what).cure("rename the virtual machine"));
            }
        }
    }
    instance.node_name = instance.hostname.clone();
    Ok(Some(instance))
}

/// The value of a key; of one that is there twice, the last.
fn value<'a>(pairs: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let text = |bytes: &'a [u8]| bytes.split(|b| *b == 0).next().unwrap_or_default();
    let record = pairs.chunks_exact(KEY + VALUE).rev().find(|r| text(&r[..KEY]) == key.as_bytes())?;
    Some(text(&record[KEY..])).filter(|v| !v.is_empty())
}
