// SPDX-License-Identifier: Apache-2.0
//! systemd units by their files: written, enabled and masked as `systemctl --root` does it.

use anyhow::{Result, bail};

use super::manifest::Manifest;
use super::unit_files::{NOWHERE, UNIT_DIR, UnitFiles};
use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step};
use crate::io::root::{Change, Root};
use crate::io::systemd::Systemd;
use crate::model::config::UnitSpec;

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
        let differs = changes(self, on.root, &on.files)?.any();
        Ok(self.outcome(Done::would(differs, absent), self.outline()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        for wish in wishes(self, on.root, &on.files)? {
            match wish {
                Wish::File(path, text) => {
                    let same = || same_file(on.root, &path, &text).unwrap_or(false);
                    manifest.name(on.root, &path, || !same())?;
                }
                Wish::Link(path, target) => {
                    let same = on.root.link_target(&path)?.as_deref() == Some(&target);
                    manifest.name(on.root, &path, || !same)?;
                }
                Wish::Nothing(path) => manifest.removed(on.root, &path)?,
            }
        }
        Ok(())
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let changes = put(self, on.root, &on.files)?;
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
fn wishes(unit: &UnitSpec, root: &Root, files: &UnitFiles<'_>) -> Result<Vec<Wish>> {
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
        Some(true) if unit.mask != Some(true) => {
            wishes.extend(files.enabled(&unit.name)?.into_iter().map(|(path, to)| Wish::Link(path, to)));
        }
        Some(false) => wishes.extend(files.disabled(&unit.name)?.into_iter().map(Wish::Nothing)),
        _ => {}
    }
    Ok(wishes)
}

fn same_file(root: &Root, path: &str, text: &[u8]) -> Result<bool> {
    let link = root.link_target(path)?.is_some();
    Ok(!link && root.read(path, MAX_FILE)?.is_some_and(|have| have == text))
}

/// What would change.
fn changes(unit: &UnitSpec, root: &Root, files: &UnitFiles<'_>) -> Result<Changes> {
    let mut changes = Changes::default();
    for wish in wishes(unit, root, files)? {
        match wish {
            Wish::File(path, text) => {
                changes.files |= !same_file(root, &path, &text)?;
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
fn put(unit: &UnitSpec, root: &Root, files: &UnitFiles<'_>) -> Result<Changes> {
    let mut changes = Changes::default();
    for wish in wishes(unit, root, files)? {
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
                files.linked(&path, &target);
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
