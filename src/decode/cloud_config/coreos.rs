// SPDX-License-Identifier: Apache-2.0
//! `coreos.units`, as Flatcar's own
//! [coreos-cloudinit](https://github.com/flatcar/coreos-cloudinit/blob/flatcar-master/Documentation/cloud-config.md) reads
//! them: operators of Flatcar bring units this way.
//!
//! coreos-cloudinit runs at every boot and runs each `command` each time. Here a unit that is to be started is enabled, which
//! has the same effect.

use super::Reader;
use crate::decode::foreign;
use crate::decode::syntax::unit;
use crate::decode::syntax::yaml::Node;
use crate::model::config::UnitSpec;
use crate::model::paths::KUBEADM_UNIT as KUBEADM;
use crate::model::problem::Pos;
use crate::model::secret::Secret;
use crate::model::storage::{File, Link};

/// What enables a unit that is to be started and has no `[Install]` section.
const STARTED: (&str, &str) = ("10-footplate-start.conf", "[Install]\nWantedBy=multi-user.target\n");

/// Where files of networkd and udev are.
const NETWORK_DIR: &str = "/etc/systemd/network";

/// Other keys below `coreos`, and what does their work today.
const OTHERS: &[(&str, &str)] = &[
    ("etcd", "run etcd as a container, or by kubeadm"),
    ("etcd2", "run etcd as a container, or by kubeadm"),
    ("flannel", "the cluster brings its network as a DaemonSet"),
    ("fleet", "fleet is gone: write units"),
    ("locksmith", "write /etc/flatcar/update.conf with write_files"),
    ("oem", "the image knows its platform"),
    ("update", "write /etc/flatcar/update.conf with write_files: GROUP=…, SERVER=…, REBOOT_STRATEGY=…"),
];

impl Reader<'_> {
    pub(super) fn coreos(&mut self, node: &Node) {
        if !node.is_map() {
            return self.takes("coreos", node, "a mapping");
        }
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("coreos.{name}");
            match OTHERS.iter().find(|(n, _)| *n == name) {
                _ if value.is_null() => {}
                _ if name == "units" => {
                    for (i, item) in self.list(&at, value).iter().enumerate() {
                        self.unit(&format!("{at}[{i}]"), item);
                    }
                }
                Some((_, instead)) => {
                    self.warn(&at, key.pos, "no effect");
                    self.cure(*instead);
                }
                None => self.unknown(&at, key),
            }
        }
    }

    fn unit(&mut self, place: &str, item: &Node) {
        if !item.is_map() {
            return self.takes(place, item, "a mapping");
        }
        let mut unit = UnitSpec { place: place.to_owned(), ..UnitSpec::default() };
        let (mut command, mut enable) = (None, None);
        for (key, value) in item.entries() {
            let name = key.text().unwrap_or_default();
            let at = format!("{place}.{name}");
            match name {
                "name" => unit.name = self.text(&at, value).unwrap_or_default(),
                "content" => unit.contents = self.unit_text(&at, value),
                "drop-ins" | "drop_ins" => self.dropins(&at, value, &mut unit),
                "command" => command = self.text(&at, value).map(|word| (word, value.pos)),
                "enable" => enable = self.bool(&at, value),
                "mask" => unit.mask = self.bool(&at, value).filter(|mask| *mask),
                "runtime" if self.bool(&at, value) == Some(true) => {
                    self.note(&at, key.pos, "no effect: the unit stays over a reboot");
                }
                "runtime" => {}
                _ => self.unknown(&at, key),
            }
        }
        let pos = item.get("name").map_or(item.pos, |n| n.pos);
        if unit::is_name(&unit.name, unit::NETWORK_KINDS) {
            unit.enabled = enable;
            return self.network_file(place, pos, unit, command);
        }
        if !unit::is_name(&unit.name, unit::KINDS) {
            self.error(&format!("{place}.name"), pos, "is not a name of a unit");
            let kinds = [unit::KINDS, unit::NETWORK_KINDS].concat();
            return self.cure(format!("it ends with one of .{}", kinds.join(", .")));
        }
        if self.config.units.iter().any(|u| u.name == unit.name) {
            self.error(&format!("{place}.name"), pos, "has two entries");
            return self.cure("merge them into one");
        }
        if unit.name == KUBEADM && unit.contents.is_some() {
            self.error(
                &format!("{place}.content"),
                pos,
                "this unit runs the bootstrap and is written by footplate",
            );
            return self.cure("say it in runcmd, or as a drop-in of the unit");
        }
        let contents = unit.contents.as_ref().map(|text| String::from_utf8_lossy(text.expose()).into_owned());
        if let Some((what, cure)) = contents.and_then(|text| unit::misnamed(&unit.name, &text)) {
            self.error(&format!("{place}.name"), pos, what);
            return self.cure(cure);
        }
        let install = |unit: &UnitSpec| {
            let texts = unit.contents.iter().chain(unit.dropins.iter().map(|(_, text)| text));
            texts.into_iter().any(|text| unit::installs(&String::from_utf8_lossy(text.expose())))
        };
        unit.enabled = enable.filter(|enable| *enable);
        if unit.enabled.is_some() && unit.contents.is_some() && !install(&unit) {
            self.warn(&format!("{place}.enable"), pos, "no effect: the unit has no [Install] section");
            self.cure("[Install] with WantedBy=multi-user.target, or `command: start`");
        }
        if unit.enabled.is_some() {
            for (_, what) in unit::without_effect(&unit) {
                self.warn(place, pos, what);
            }
        }
        if let Some((word, pos)) = command {
            self.command(&format!("{place}.command"), pos, &word, install(&unit), &mut unit);
        }
        self.config.units.push(unit);
    }

    /// A file of networkd or udev. coreos-cloudinit brings these as units, and restarts networkd after it has written one; here
    /// networkd reads what changed without being asked for it.
    fn network_file(&mut self, place: &str, pos: Pos, unit: UnitSpec, command: Option<(String, Pos)>) {
        let path = format!("{NETWORK_DIR}/{}", unit.name);
        let same = |f: &File| f.path == path && f.place.starts_with("coreos.units");
        if self.config.files.iter().any(same) || self.config.links.iter().any(|l| l.path == path) {
            self.error(&format!("{place}.name"), pos, "has two entries");
            return self.cure("merge them into one");
        }
        if unit.enabled == Some(true) {
            self.note(&format!("{place}.enable"), pos, "no effect: networkd reads each file that it finds");
        }
        if let Some((word, pos)) = command.filter(|(word, _)| word == "stop") {
            self.warn(&format!("{place}.command"), pos, format!("no effect: {word} is for units"));
            self.cure("`mask: true` hides a file of this name that the image has");
        }
        if unit.mask == Some(true) {
            if unit.contents.is_some() || !unit.dropins.is_empty() {
                self.warn(&format!("{place}.mask"), pos, "the file is masked: its content has no effect");
            }
            self.config.links.push(Link { place: unit.place, ..Link::ours(path, "/dev/null") });
            return;
        }
        if unit.contents.is_none() && unit.dropins.is_empty() {
            self.error(place, pos, "has neither `content` nor `drop-ins`");
            return;
        }
        if unit.name.ends_with(".link") {
            self.note(place, pos, "udev reads this file at the next boot");
        }
        self.config.files.extend(unit::network_files(unit));
    }

    fn command(&mut self, at: &str, pos: Pos, word: &str, installed: bool, unit: &mut UnitSpec) {
        match word {
            _ if unit.mask == Some(true) && word != "stop" => {
                self.error(at, pos, "the unit is masked and can't be started");
            }
            "start" | "restart" | "reload-or-restart" => {
                unit.enabled = Some(true);
                if !installed {
                    let (name, text) = STARTED;
                    unit.dropins.push((name.to_owned(), Secret::from(text)));
                }
            }
            // coreos-cloudinit stops it at each boot; only a mask keeps a unit from starting.
            "stop" => {
                unit.mask = Some(true);
                if unit.contents.take().is_some() {
                    self.warn(at, pos, "the unit is masked: its content has no effect");
                }
            }
            // A unit that runs is restarted in any case when its files change.
            "reload" | "try-restart" | "reload-or-try-restart" => {}
            _ => {
                self.error(at, pos, "is not a command");
                self.cure(
                    "start, stop, restart, reload, try-restart, reload-or-restart, reload-or-try-restart",
                );
            }
        }
    }

    fn dropins(&mut self, at: &str, node: &Node, unit: &mut UnitSpec) {
        for (i, item) in self.list(at, node).iter().enumerate() {
            let at = format!("{at}[{i}]");
            for (key, _) in item.entries() {
                match key.text().unwrap_or_default() {
                    "name" | "content" => {}
                    name => self.unknown(&format!("{at}.{name}"), key),
                }
            }
            let name = item.get("name").and_then(Node::text).unwrap_or_default();
            let text = item.get("content").and_then(|n| self.unit_text(&format!("{at}.content"), n));
            if !unit::is_dropin(name) || unit.dropins.iter().any(|(have, _)| have == name) {
                self.error(&format!("{at}.name"), item.pos, "is not a name of a drop-in, or has two entries");
                self.cure("it ends with .conf");
            } else if let Some(text) = text {
                unit.dropins.push((name.to_owned(), text));
            }
        }
    }

    fn unit_text(&mut self, at: &str, node: &Node) -> Option<Secret> {
        let text = self.text(at, node)?;
        if let Some(what) = unit::problem(&text) {
            self.error(at, node.pos, what);
        }
        self.problems.extend(foreign::in_unit(at, node.pos, &text));
        Some(Secret::from(text.as_str()))
    }
}
