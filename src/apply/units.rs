// SPDX-License-Identifier: Apache-2.0
//! systemd units by their files: written, enabled and masked as `systemctl --root` does it.

use anyhow::{Result, bail};

use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step};
use crate::io::root::{Change, Root};
use crate::io::systemd::Systemd;
use crate::model::config::UnitSpec;
use crate::plan::units::{Install, install, instance, links};

/// Where the units of the machine's owner are.
const UNIT_DIR: &str = "/etc/systemd/system";

/// Where systemd looks for units, first found first taken
/// ([systemd.unit(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.unit.html#Unit%20File%20Load%20Path)).
const UNIT_PATH: &[&str] = &[
    UNIT_DIR,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What a masked unit is a link to.
const NOWHERE: &str = "/dev/null";

/// What changed of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Its file or a drop-in.
    pub files: bool,
    /// Whether it is enabled or masked.
    pub links: bool,
}

impl Changes {
    fn any(self) -> bool {
        self.files || self.links
    }
}

impl Kind for UnitSpec {
    fn name(&self) -> String {
        format!("unit {}", self.name)
    }

    fn outline(&self) -> String {
        let words = [
            (self.contents.is_some(), "file"),
            (!self.dropins.is_empty(), "drop-ins"),
            (self.enabled == Some(true), "enabled"),
            (self.enabled == Some(false), "disabled"),
            (self.mask == Some(true), "masked"),
        ];
        words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let absent = self.contents.is_some() && !on.root.stands(&format!("{UNIT_DIR}/{}", self.name))?;
        let differs = changes(self, on.root)?.any();
        Ok(self.outcome(Done::would(differs, absent), self.outline()))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let changes = put(self, on.root)?;
        if changes.any() && on.bootstrap != Some(&self.name) {
            on.units.push((self.clone(), changes));
        }
        Ok(self.outcome(Done::would(changes.any(), false), self.outline()))
    }
}

/// A path and what stands there then: bytes, or the target of a link; `None` for nothing.
enum Wish {
    File(String, Vec<u8>),
    Link(String, String),
    Nothing(String),
}

/// What shall stand where for a unit. Contents that the data brings are taken as read, also before they are written.
fn wishes(unit: &UnitSpec, root: &Root) -> Result<Vec<Wish>> {
    let main = format!("{UNIT_DIR}/{}", unit.name);
    let mut wishes = Vec::new();
    for (name, contents) in &unit.dropins {
        wishes.push(Wish::File(format!("{main}.d/{name}"), contents.expose().to_vec()));
    }
    if unit.mask == Some(true) {
        wishes.push(Wish::Link(main.clone(), NOWHERE.to_owned()));
    } else if let Some(contents) = &unit.contents {
        wishes.push(Wish::File(main.clone(), contents.expose().to_vec()));
    } else if unit.mask == Some(false) && root.link_target(&main)?.as_deref() == Some(NOWHERE) {
        wishes.push(Wish::Nothing(main.clone()));
    }
    match unit.enabled {
        Some(true) if unit.mask != Some(true) => enable(unit, root, &mut wishes)?,
        Some(false) => disable(&unit.name, root, &mut wishes)?,
        _ => {}
    }
    Ok(wishes)
}

/// Where a unit's file is, and its text; masked counts as absent.
fn find(unit: &UnitSpec, root: &Root) -> Result<Option<(String, Vec<u8>)>> {
    if let Some(contents) = &unit.contents {
        return Ok(Some((format!("{UNIT_DIR}/{}", unit.name), contents.expose().to_vec())));
    }
    let names = [Some(unit.name.clone()), instance(&unit.name).map(|(template, _)| template)];
    for name in names.into_iter().flatten() {
        for dir in UNIT_PATH {
            let path = format!("{dir}/{name}");
            if root.link_target(&path)?.as_deref() != Some(NOWHERE)
                && let Some(text) = root.read(&path, MAX_FILE)?
            {
                return Ok(Some((path, text)));
            }
        }
    }
    Ok(None)
}

/// The texts that a unit consists of: its file, drop-ins of the image, drop-ins of the data.
fn texts(unit: &UnitSpec, main: Vec<u8>, root: &Root) -> Result<Vec<String>> {
    let mut dropins: Vec<(String, Vec<u8>)> = Vec::new();
    for dir in UNIT_PATH.iter().rev() {
        let dir = format!("{dir}/{}.d", unit.name);
        for name in root.list(&dir)?.into_iter().filter(|n| n.ends_with(".conf")) {
            let text = root.read(&format!("{dir}/{name}"), MAX_FILE)?.unwrap_or_default();
            dropins.retain(|(n, _)| *n != name);
            dropins.push((name, text));
        }
    }
    for (name, contents) in &unit.dropins {
        dropins.retain(|(n, _)| n != name);
        dropins.push((name.clone(), contents.expose().to_vec()));
    }
    dropins.sort();
    let all = std::iter::once(main).chain(dropins.into_iter().map(|(_, text)| text));
    Ok(all.map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
}

fn enable(unit: &UnitSpec, root: &Root, wishes: &mut Vec<Wish>) -> Result<()> {
    let (mut todo, mut done): (Vec<UnitSpec>, Vec<String>) = (vec![unit.clone()], Vec::new());
    while let Some(unit) = todo.pop() {
        let found = find(&unit, root)?;
        let Some((path, main)) = found else {
            // As Ignition's preset: a unit that is not there can't be enabled, and harms nobody.
            log::warn!("{}.enabled: no unit {} on this machine", unit.place, unit.name);
            continue;
        };
        let Install { also, .. } = {
            let install = install(&unit.name, &texts(&unit, main, root)?);
            wishes.extend(links(&unit.name, &path, &install).into_iter().map(|(p, t)| Wish::Link(p, t)));
            install
        };
        done.push(unit.name);
        for name in also.into_iter().filter(|n| !done.contains(n)) {
            todo.push(UnitSpec { name, place: unit.place.clone(), ..UnitSpec::default() });
        }
    }
    Ok(())
}

/// A disabled unit has no link in the directories of others.
fn disable(unit: &str, root: &Root, wishes: &mut Vec<Wish>) -> Result<()> {
    let dirs = root.list(UNIT_DIR)?;
    let dirs = dirs.iter().filter(|d| [".requires", ".upholds", ".wants"].iter().any(|e| d.ends_with(e)));
    for dir in dirs {
        let path = format!("{UNIT_DIR}/{dir}/{unit}");
        if root.link_target(&path)?.is_some() {
            wishes.push(Wish::Nothing(path));
        }
    }
    Ok(())
}

/// What would change.
fn changes(unit: &UnitSpec, root: &Root) -> Result<Changes> {
    let mut changes = Changes::default();
    for wish in wishes(unit, root)? {
        match wish {
            Wish::File(path, text) => {
                let link = root.link_target(&path)?.is_some();
                let same = !link && root.read(&path, MAX_FILE)?.is_some_and(|have| have == text);
                changes.files |= !same;
            }
            Wish::Link(path, target) => {
                changes.links |= root.link_target(&path)?.as_deref() != Some(&target);
                if root.link_target(&path)?.is_none() && root.meta(&path)?.is_some() && target != NOWHERE {
                    bail!("{}: {path} stands there and is no symbolic link", unit.place);
                }
            }
            Wish::Nothing(_) => changes.links = true,
        }
    }
    Ok(changes)
}

/// Makes it so.
fn put(unit: &UnitSpec, root: &Root) -> Result<Changes> {
    let mut changes = Changes::default();
    for wish in wishes(unit, root)? {
        match wish {
            Wish::File(path, text) => {
                // A unit that was masked gets its file in place of the link, not behind it.
                if root.link_target(&path)?.is_some() {
                    root.remove(&path)?;
                }
                changes.files |= root.put(&path, &text, 0o644, OURS)? == Change::Changed;
            }
            Wish::Link(path, target) => {
                changes.links |= root.replace_link(&path, &target)? == Change::Changed;
            }
            Wish::Nothing(path) => changes.links |= root.remove(&path)? == Change::Changed,
        }
    }
    Ok(changes)
}

/// Asks systemd for what follows of the changes; the jobs are not waited for, since a unit may be ordered after
/// footplate itself.
pub(super) fn start(changed: &[(UnitSpec, Changes)]) -> Result<()> {
    let systemd = Systemd::reloaded()?;
    for (unit, changes) in changed {
        let verb = match (unit.mask, unit.enabled) {
            (Some(true), _) | (_, Some(false)) => "StopUnit",
            (_, Some(true)) if changes.files => "RestartUnit",
            (_, Some(true)) => "StartUnit",
            (_, None) => "TryRestartUnit",
        };
        if let Err(error) = systemd.start(verb, &unit.name) {
            // To stop what is not there is no failure; a unit that can't be started is its owner's to see to, as after
            // a boot with it.
            log::info!("{}: {verb}: {error:#}", unit.name);
        }
    }
    Ok(())
}
