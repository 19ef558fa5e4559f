// SPDX-License-Identifier: Apache-2.0
//! Filesystems. One that holds data is never lost unless the plan says so.

use anyhow::{Result, anyhow};

use super::disk::{HINT, Todo};
use super::manifest::Manifest;
use super::{Done, Kind, Machine, Outcome, Step, on_live};
use crate::io::disk::{self, Found};
use crate::model::problem::WithCure as _;
use crate::model::storage::{FilesystemSpec, Partition, partition_path};

impl Kind for FilesystemSpec {
    fn name(&self) -> String {
        match self.partition {
            Partition::Number(number) => format!("filesystem {} partition {number}", self.device),
            _ => format!("filesystem {}", self.device),
        }
    }

    fn step(&self) -> Step {
        Step::Filesystems
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || todo(self).map(Todo::told))
    }

    fn record(&self, _: &mut Machine<'_>, _: &mut Manifest) -> Result<()> {
        // Disks are no part of an image.
        Ok(())
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || put(self).map(Todo::told))
    }
}

/// The devices that a filesystem may go to, in the order in which they are looked at; none where they are not there yet.
fn candidates(spec: &FilesystemSpec) -> Vec<String> {
    let Some(real) = disk::find(&spec.device) else { return Vec::new() };
    match spec.partition {
        Partition::None => vec![real],
        // `/dev/sdb1` with `partition: 1` means itself.
        Partition::Number(_) if disk::is_partition(&real) => vec![real],
        Partition::Number(number) => disk::partitions(&real).remove(&number).into_iter().collect(),
        Partition::Auto | Partition::Any => {
            let mut nodes = vec![real.clone()];
            nodes.extend(disk::partitions(&real).into_values());
            nodes
        }
    }
}

/// What blkid calls a kind of filesystem.
fn same_kind(spec: &FilesystemSpec, found: &Found) -> bool {
    let wanted = if matches!(spec.kind.as_str(), "fat" | "msdos") { "vfat" } else { spec.kind.as_str() };
    found.kind.as_deref() == Some(wanted)
}

/// What there is to do about a device that must be empty.
fn nothing(spec: &FilesystemSpec, real: &str, found: &Found) -> Result<Todo> {
    match () {
        () if found.empty() => Ok(Todo::new(Done::Unchanged, format!("nothing on {real}"), real)),
        () if spec.overwrite => {
            Ok(Todo::new(Done::Changed, format!("nothing on {real} in place of {found}"), real))
        }
        () => Err(anyhow!("{}: {real} holds {found} and is left alone", spec.place)).cure(HINT),
    }
}

/// What there is to do about a filesystem.
fn todo(spec: &FilesystemSpec) -> Result<Todo> {
    let label = spec.label.as_ref().map(|l| format!(" labelled {l:?}")).unwrap_or_default();
    let wanted = format!("{}{label}", spec.kind);
    let mut nodes = Vec::new();
    for real in candidates(spec) {
        let found = disk::probe(&real)?;
        nodes.push((real, found));
    }
    if nodes.is_empty() {
        return Ok(Todo::new(Done::Absent, format!("{wanted}; the device is not there yet"), ""));
    }
    if let ("none", Some((real, found))) = (spec.kind.as_str(), nodes.first()) {
        return nothing(spec, real, found);
    }
    let labelled = |found: &Found| spec.label.is_none() || found.label == spec.label;
    let as_wished = |found: &Found| {
        let ours = spec.uuid.as_ref().is_none_or(|uuid| disk::has_uuid(found, uuid));
        same_kind(spec, found) && (labelled(found) || spec.partition == Partition::Any) && ours
    };
    if let Some((real, _)) = nodes.iter().find(|(_, found)| as_wished(found)) {
        return Ok(Todo::new(Done::Unchanged, format!("{wanted} on {real}"), real));
    }
    let replaced = |found: &Found| spec.replace.is_some() && found.kind == spec.replace;
    let may_go = |found: &Found| {
        // A table goes only where the disk itself was named for the filesystem.
        let named = spec.partition == Partition::None;
        (named || (found.table.is_none() && !found.unclear)) && (spec.overwrite || replaced(found))
    };
    // An empty device first. A disk with partitions is not empty: it has their table.
    let empty = || nodes.iter().find(|(_, found)| found.empty());
    // What is to be replaced goes before it where any place will do: the first partition is the one that is mounted.
    let first = nodes.iter().find(|(_, f)| spec.partition == Partition::Any && replaced(f) && may_go(f));
    if let (None, Some((real, _))) = (first, empty()) {
        return Ok(Todo::new(Done::Absent, format!("{wanted} on {real}"), real));
    }
    match first.or_else(|| nodes.iter().find(|(_, found)| may_go(found))) {
        Some((real, found)) => {
            Ok(Todo::new(Done::Changed, format!("{wanted} on {real} in place of {found}"), real))
        }
        None => {
            let (real, found) = nodes.last().map(|(r, f)| (r.as_str(), f.to_string())).unwrap_or_default();
            Err(anyhow!("{}: {real} holds {found} and is left alone, {wanted} was asked for", spec.place))
                .cure(HINT)
        }
    }
}

/// Makes a filesystem as the plan says.
fn put(spec: &FilesystemSpec) -> Result<Todo> {
    let at = |e: anyhow::Error| anyhow!("{}: {e:#}", spec.place);
    let real = disk::wait(&spec.device).map_err(at)?;
    if let (Partition::Number(number), true) = (spec.partition, candidates(spec).is_empty()) {
        disk::wait(&partition_path(&real, number)).map_err(at)?;
    }
    let todo = todo(spec)?;
    if !matches!(todo.done, Done::Absent | Done::Changed) {
        return Ok(todo);
    }
    if todo.done == Done::Changed {
        // The old one's marks may lie where the new one writes nothing.
        disk::wipe(&todo.real).map_err(at)?;
    }
    if spec.kind == "none" {
        return Ok(Todo { done: Done::Changed, ..todo });
    }
    let (label, uuid) = (spec.label.as_deref(), spec.uuid.as_deref());
    disk::make_filesystem(&todo.real, &spec.kind, label, uuid, &spec.options).map_err(at)?;
    Ok(Todo { done: Done::Changed, ..todo })
}
