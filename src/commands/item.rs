// SPDX-License-Identifier: Apache-2.0
//! An item of a plan for programs: the same object in each command's JSON.

use serde_json::{Value, json};

use crate::model::plan::{Item, Mount};
use crate::model::storage::Owner;

/// `kind`, `path`, `mode`, `owner` and `bytes` as far as the kind has them, and what is done with it: `action`. `what` and `detail` are
/// the words for people. An account has its name for a path, a unit likewise, and swap its device.
pub fn json(item: &Item, action: &str, what: &str, detail: &str) -> Value {
    let mount = |mount: &Mount| mount.path.clone().unwrap_or_else(|| mount.as_named.what.clone());
    let (kind, path) = match item {
        Item::Hostname(_) => ("hostname", "/etc/hostname".to_owned()),
        Item::Directory(directory) => ("directory", directory.path.clone()),
        Item::File(file) => ("file", file.path.clone()),
        Item::Link(link) => ("link", link.path.clone()),
        Item::Absent(absent) => ("absent", absent.path.clone()),
        Item::Disk(disk) => ("disk", disk.device.clone()),
        Item::Filesystem(filesystem) => ("filesystem", filesystem.device.clone()),
        Item::MountUnits(units) => ("mount-units", mount(units)),
        Item::Mounted(mounted) => ("mount", mount(&mounted.0)),
        Item::Group(group) => ("group", group.name.clone()),
        Item::User(user) => ("user", user.name.clone()),
        Item::Unit(unit) => ("unit", unit.name.clone()),
        Item::Run(run) => ("run", run.unit.clone()),
    };
    let mut value = json!({ "kind": kind, "path": path, "action": action, "what": what, "detail": detail });
    let (mode, owner): (Option<u32>, Option<&Owner>) = match item {
        Item::File(file) => {
            value["bytes"] = json!(file.content.len());
            (Some(file.mode), Some(&file.owner))
        }
        Item::Directory(directory) => (directory.mode, Some(&directory.owner)),
        Item::Link(link) => (None, Some(&link.owner)),
        _ => (None, None),
    };
    if let Some(mode) = mode {
        value["mode"] = json!(format!("{mode:04o}"));
    }
    if let Some(owner) = owner {
        value["owner"] = json!(owner.to_string());
    }
    value
}
