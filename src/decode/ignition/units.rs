// SPDX-License-Identifier: Apache-2.0
//! `systemd.units`, and `networkd.units` of 2.x.

use crate::model::paths::UNIT_DIR;
use std::collections::{HashMap, HashSet};

use super::{Reader, flag, text};
use crate::decode::foreign;
use crate::decode::syntax::unit;
use crate::decode::syntax::yaml::Node;
use crate::model::config::UnitSpec;
use crate::model::problem::Pos;
use crate::model::secret::Secret;

/// What a drop-in holds. In 3.x an empty string makes an empty file, which hides a drop-in of the same name in `/usr`.
fn contents(dropin: &Node, empty: bool) -> Option<&str> {
    dropin.get("contents").and_then(Node::text).filter(|text| empty || !text.is_empty())
}

impl Reader<'_, '_, '_> {
    pub(super) fn units(&mut self, section: &str, list: &[Node], networkd: bool) {
        let mut seen: HashSet<&str> = HashSet::new();
        for (i, node) in list.iter().enumerate() {
            let place = format!("{section}.units[{i}]");
            let name = text(node, "name").unwrap_or_default();
            let pos = node.get("name").map_or(node.pos, |n| n.pos);
            let kinds = if networkd { unit::NETWORK_KINDS } else { unit::KINDS };
            if name.is_empty() {
                self.error(&format!("{place}.name"), node.pos, "missing: the entry needs it");
                continue;
            }
            if !unit::is_name(name, kinds) {
                self.error(&format!("{place}.name"), pos, "not the name of a unit")
                    .cure(format!("it must end with one of .{}", kinds.join(", .")));
                continue;
            }
            if !seen.insert(name) && self.v3() {
                self.error(&format!("{place}.name"), pos, "has two entries").cure("merge them into one");
                continue;
            }
            let unit = self.unit(&place, name, node);
            if !networkd {
                self.unit_names(&place, pos, &unit);
            }
            if networkd {
                self.config.files.extend(unit::network_files(unit));
            } else {
                self.add(unit);
            }
        }
    }

    fn unit(&mut self, place: &str, name: &str, node: &Node) -> UnitSpec {
        let mut unit = UnitSpec {
            place: place.to_owned(),
            name: name.to_owned(),
            contents: text(node, "contents").map(Secret::from),
            dropins: Vec::new(),
            // 2.0 has `enable` only, and no way to disable.
            enabled: node.get("enabled").and_then(Node::bool).or(flag(node, "enable").then_some(true)),
            mask: node.get("mask").and_then(Node::bool),
        };
        if let Some(contents) = text(node, "contents") {
            let pos = node.get("contents").map_or(node.pos, |n| n.pos);
            self.unit_text(&format!("{place}.contents"), pos, contents);
            if unit.mask == Some(true) {
                self.warn(&format!("{place}.contents"), pos, "no effect: the unit is masked");
                unit.contents = None;
            }
            let dropins = node.get("dropins").and_then(Node::list).unwrap_or_default();
            let by_dropin = dropins.iter().filter_map(|d| text(d, "contents")).any(unit::installs);
            if unit.enabled == Some(true) && !unit::installs(contents) && !by_dropin {
                self.warn(&format!("{place}.enabled"), pos, "no effect: the unit has no [Install] section")
                    .cure("add [Install] with WantedBy=multi-user.target");
            }
        }
        for (i, dropin) in node.get("dropins").and_then(Node::list).unwrap_or_default().iter().enumerate() {
            let at = format!("{place}.dropins[{i}]");
            let name = text(dropin, "name").unwrap_or_default();
            let pos = dropin.get("name").map_or(dropin.pos, |n| n.pos);
            if !unit::is_dropin(name) {
                self.error(&format!("{at}.name"), pos, "not the name of a drop-in")
                    .cure("it must end with .conf");
            } else if unit.dropins.iter().any(|(n, _)| n == name) && self.v3() {
                self.error(&format!("{at}.name"), pos, "has two entries").cure("merge them into one");
            } else if let Some(contents) = contents(dropin, self.v3()) {
                let contents_pos = dropin.get("contents").map_or(dropin.pos, |n| n.pos);
                self.unit_text(&format!("{at}.contents"), contents_pos, contents);
                unit.dropins.retain(|(n, _)| n != name);
                unit.dropins.push((name.to_owned(), Secret::from(contents)));
            }
        }
        unit
    }

    /// Refuses a mount whose name is not that of its path, and warns of `[Install]` without effect.
    fn unit_names(&mut self, place: &str, pos: Pos, unit: &UnitSpec) {
        let contents = unit.contents.as_ref().map(|text| String::from_utf8_lossy(text.expose()));
        let Some(contents) = contents else { return };
        if let Some((what, cure)) = unit::misnamed(&unit.name, &contents) {
            self.error(&format!("{place}.name"), pos, what).cure(cure);
        }
        if unit.enabled != Some(true) {
            return;
        }
        for (text, what) in unit::without_effect(unit) {
            let part =
                text.checked_sub(1).map_or("contents".to_owned(), |i| format!("dropins[{i}].contents"));
            self.warn(&format!("{place}.{part}"), pos, what);
        }
    }

    fn unit_text(&mut self, place: &str, pos: Pos, contents: &str) {
        if let Some(what) = unit::problem(contents) {
            self.error(place, pos, what);
        }
        self.problems.extend(foreign::in_unit(place, pos, contents));
    }

    /// Adds a unit. In 2.x a unit may have several entries; what a later one says wins.
    fn add(&mut self, unit: UnitSpec) {
        let Some(have) = self.config.units.iter_mut().find(|u| u.name == unit.name) else {
            return self.config.units.push(unit);
        };
        for (name, contents) in unit.dropins {
            have.dropins.retain(|(n, _)| *n != name);
            have.dropins.push((name, contents));
        }
        have.contents = unit.contents.or(have.contents.take());
        have.enabled = unit.enabled.or(have.enabled);
        have.mask = unit.mask.or(have.mask);
    }

    /// Refuses a file, directory or link whose path is also that of a unit's file or drop-in.
    pub(super) fn unit_conflicts(&mut self) {
        let mut paths: HashMap<String, &str> = HashMap::new();
        let config = &self.config;
        for unit in &config.units {
            if unit.contents.is_some() || unit.mask == Some(true) {
                paths.insert(format!("{UNIT_DIR}/{}", unit.name), &unit.place);
            }
            for (name, _) in &unit.dropins {
                paths.insert(format!("{UNIT_DIR}/{}.d/{name}", unit.name), &unit.place);
            }
        }
        let files = config.files.iter().map(|f| (&f.path, &f.place));
        let directories = config.directories.iter().map(|d| (&d.path, &d.place));
        let links = config.links.iter().map(|l| (&l.path, &l.place));
        let all = files.chain(directories).chain(links);
        let conflicts: Vec<(String, String)> =
            all.filter_map(|(path, place)| Some((place.clone(), (*paths.get(path)?).to_owned()))).collect();
        for (place, unit) in conflicts {
            let pos = self.places.get(&place).copied().unwrap_or_default();
            self.error(&format!("{place}.path"), pos, format!("{unit} has the same path"))
                .cure("describe the unit in one of the two places");
        }
    }
}
