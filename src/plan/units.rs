// SPDX-License-Identifier: Apache-2.0
//! systemd units of the bootstrap data: their preset, and which of them is the bootstrap.

use super::kubeadm::{IGNITION_CONFIG, UNIT};
use super::{RUN_DIR, UNIT_DIR};
use crate::model::config::UnitSpec;
use crate::model::plan::{Bootstrap, Item, Plan};
use crate::model::storage::{Directory, File};
use crate::model::unit::instance;

/// systemd takes links away that no preset asks for where an image boots for the first time
/// ([systemd.preset(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.preset.html)). The name is
/// Ignition's, so that an image has one such file, whether Ignition or footplate wrote it.
pub const PRESET: &str = "/etc/systemd/system-preset/20-ignition.preset";

/// What footplate adds to a `kubeadm.service` that it did not write: the file that images have too.
pub const DROPIN: &str = include_str!("../../units/kubeadm.service.d/05-footplate.conf");

pub(super) fn units(units: &[UnitSpec], plan: &mut Plan) {
    plan.items.extend(units.iter().cloned().map(Item::Unit));
    let preset = presets(units);
    if !preset.is_empty() {
        plan.items.push(Item::File(File { place: "systemd.units".to_owned(), ..File::ours(PRESET, preset) }));
    }
}

/// The bootstrap that Cluster API's Ignition data brings: its unit, what footplate adds to it, and last the file whose
/// presence lets it start.
pub(super) fn bootstrap(units: &[UnitSpec], plan: &mut Plan) {
    let brings = |u: &UnitSpec| u.name == UNIT && u.contents.is_some() && u.enabled == Some(true);
    if !units.iter().any(brings) {
        return;
    }
    let path = format!("{UNIT_DIR}/{UNIT}.d/05-footplate.conf");
    plan.items.push(Item::File(File::ours(path, DROPIN)));
    plan.items.push(Item::Directory(Directory::ours(RUN_DIR, 0o700)));
    let permit = |item: &Item| matches!(item, Item::File(f) if f.path == IGNITION_CONFIG);
    if let Some(at) = plan.items.iter().position(permit) {
        let item = plan.items.remove(at);
        plan.items.push(item);
    }
    plan.bootstrap = Some(Bootstrap { unit: UNIT.to_owned(), permit: IGNITION_CONFIG.to_owned() });
}

/// The preset file: a line for each unit that is enabled or disabled. A template's instances stand on one line, since
/// systemd goes by the first line that names the template.
fn presets(units: &[UnitSpec]) -> String {
    let mut lines: Vec<(bool, String, Vec<&str>)> = Vec::new();
    for unit in units {
        let Some(enabled) = unit.enabled else { continue };
        let Some((template, instance)) = instance(&unit.name) else {
            lines.push((enabled, unit.name.clone(), Vec::new()));
            continue;
        };
        match lines.iter_mut().find(|(e, name, _)| *e == enabled && *name == template) {
            Some((_, _, instances)) => instances.push(instance),
            None => lines.push((enabled, template, vec![instance])),
        }
    }
    lines
        .into_iter()
        .map(|(enabled, name, instances)| {
            let verb = if enabled { "enable" } else { "disable" };
            format!("{}\n", [&[verb, &name], instances.as_slice()].concat().join(" "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_name_templates_once() {
        let unit = |name: &str, enabled: bool| UnitSpec {
            name: name.to_owned(),
            enabled: Some(enabled),
            ..UnitSpec::default()
        };
        let units = [
            unit("a.service", true),
            unit("e@x.service", true),
            unit("b.service", false),
            unit("e@y.service", true),
            UnitSpec { enabled: None, ..unit("c.service", true) },
        ];
        assert_eq!(presets(&units), "enable a.service\nenable e@.service x y\ndisable b.service\n");
    }
}
