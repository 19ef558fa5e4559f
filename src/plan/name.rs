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

/// Where systemd reads the machine's name at boot.
pub const FILE: &str = "/etc/hostname";

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

/// What the bootstrap data says of the name; `None` where it says nothing. It may want the metadata's with its domain, which the
/// kernel takes up to 64 bytes of.
pub fn of_data(config: &NodeConfig, instance: &Instance) -> Option<Name> {
    let whole = instance.hostname.as_deref().map(|name| name.strip_suffix('.').unwrap_or(name));
    match &config.hostname {
        Some(name) => Some(Name::Given(name.clone())),
        None if config.system.keep_hostname => Some(Name::Kept),
        None => whole
            .filter(|name| config.system.whole_hostname && name.len() <= 64)
            .map(|name| Name::Given(name.to_owned())),
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

/// What is to be written down where the data's commands gave the machine another name, by what `/etc/hostname` has now: it is a name of
/// the data too.
pub fn of_commands(written: &[u8], instance: &Instance, file: &[u8]) -> Option<(String, String)> {
    let before = choose(of_earlier_run(written, instance), instance)?;
    let file = String::from_utf8_lossy(file);
    let name = file.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let text = text(&instance.instance_id, Some(name.to_owned()));
    (name != before).then(|| (name.to_owned(), text))
}

/// What is written down.
fn text(instance_id: &str, hostname: Option<String>) -> String {
    let written = Written { version: 1, instance_id: instance_id.to_owned(), hostname };
    serde_json::to_string(&written).unwrap_or_default() + "\n"
}

/// A name of the data, written down for later boots, and the name itself.
pub(super) fn items(config: &NodeConfig, instance: &Instance) -> Vec<Item> {
    let Some(name) = of_data(config, instance) else { return Vec::new() };
    let (mut items, name) = (Vec::new(), choose(Some(name), instance));
    if !instance.instance_id.is_empty() {
        let text = text(&instance.instance_id, name.clone());
        items.push(Item::Directory(Directory::ours("/etc/footplate", 0o755)));
        items.push(Item::File(File { place: "hostname".to_owned(), ..File::ours(WRITTEN, text) }));
    }
    items.extend(name.map(|name| Item::Hostname(Hostname { name })));
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

    #[test]
    fn a_name_that_commands_gave_is_one_of_the_data() {
        let instance = Instance {
            instance_id: "i-1".to_owned(),
            hostname: Some("vm-1.example".to_owned()),
            ..Instance::default()
        };
        let data = text("i-1", Some("n1".to_owned()));
        let kept = text("i-1", None);
        for (written, file, want) in [
            ("", "vm-1\n", None),
            ("", "node-7.example\n", Some("node-7.example")),
            ("", "# by hand\nnode-7\n", Some("node-7")),
            ("", "", None),
            (&*data, "n1\n", None),
            (&*data, "node-7", Some("node-7")),
            (&*kept, "node-7", None),
        ] {
            let found = of_commands(written.as_bytes(), &instance, file.as_bytes());
            assert_eq!(found.as_ref().map(|(name, _)| &**name), want, "{written} {file}");
            let later = found.and_then(|(_, text)| of_earlier_run(text.as_bytes(), &instance));
            assert_eq!(later, want.map(|name| Name::Given(name.to_owned())));
        }
    }
}
