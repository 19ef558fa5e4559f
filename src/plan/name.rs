// SPDX-License-Identifier: Apache-2.0
//! The machine's name. One rule holds at every boot: a member of a cluster keeps the name that it has; else the name of the
//! bootstrap data goes before the metadata's, and that before the one of the kernel's `ip=`.
//!
//! `footplate network` sets the name before anything reads it. At later boots the bootstrap data may be gone, or out of reach
//! without a network, so a name of the data is written down with the instance that it is for.

use serde::{Deserialize, Serialize};

use crate::model::config::NodeConfig;
use crate::model::instance::Instance;
use crate::model::plan::{Hostname, Item};
use crate::model::storage::{Directory, File};

/// Where the name is written down. Not with the rest of the state: `/var` may be a disk of its own, which is not there yet when
/// the name is set.
pub const WRITTEN: &str = "/etc/footplate/hostname";

/// What is written down. A reader takes what it knows of a newer version.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    instance_id: String,
    /// None where the data says that the name of the image stays.
    hostname: Option<String>,
}

/// What the bootstrap data says of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// It is this one.
    Given(String),
    /// It stays what it is, whatever the metadata says.
    Kept,
}

/// What the bootstrap data says of the name; `None` where it says nothing.
pub fn of_data(config: &NodeConfig) -> Option<Name> {
    match &config.hostname {
        Some(name) => Some(Name::Given(name.clone())),
        None => config.system.keep_hostname.then_some(Name::Kept),
    }
}

/// The name that was written down for this instance on an earlier run.
pub fn of_earlier_run(written: &[u8], instance: &Instance) -> Option<Name> {
    let written: Written = serde_json::from_slice(written).ok()?;
    let same = !instance.instance_id.is_empty() && written.instance_id == instance.instance_id;
    same.then(|| written.hostname.map_or(Name::Kept, Name::Given))
}

/// The name that this node gets, of what the data and the metadata say.
pub fn choose(data: Option<Name>, instance: &Instance) -> Option<String> {
    match data {
        Some(Name::Given(name)) => Some(name),
        Some(Name::Kept) => None,
        None => instance.short_hostname().map(str::to_owned),
    }
}

/// A name of the data, written down for later boots, and the name itself.
pub(super) fn items(config: &NodeConfig, instance: &Instance) -> Vec<Item> {
    let Some(name) = of_data(config) else { return Vec::new() };
    let hostname = config.hostname.clone();
    let mut items = Vec::new();
    if !instance.instance_id.is_empty() {
        let written = Written { version: 1, instance_id: instance.instance_id.clone(), hostname };
        let text = serde_json::to_string(&written).unwrap_or_default() + "\n";
        items.push(Item::Directory(Directory::ours("/etc/footplate", 0o755)));
        items.push(Item::File(File { place: "hostname".to_owned(), ..File::ours(WRITTEN, text) }));
    }
    items.extend(choose(Some(name), instance).map(|name| Item::Hostname(Hostname { name })));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_written_down_is_for_its_instance_alone() {
        let instance = |id: &str| Instance { instance_id: id.to_owned(), ..Instance::default() };
        let named = NodeConfig { hostname: Some("n1.example".to_owned()), ..NodeConfig::default() };
        let mut kept = NodeConfig::default();
        kept.system.keep_hostname = true;
        for (config, want) in [(&named, Name::Given("n1.example".to_owned())), (&kept, Name::Kept)] {
            let items = items(config, &instance("i-1"));
            let Item::File(file) = &items[1] else { panic!("{items:?}") };
            assert_eq!(of_earlier_run(file.content.expose(), &instance("i-1")), Some(want));
            assert_eq!(of_earlier_run(file.content.expose(), &instance("i-2")), None);
            assert_eq!(of_earlier_run(file.content.expose(), &instance("")), None);
        }
        assert_eq!(of_earlier_run(b"not JSON", &instance("i-1")), None);
    }
}
