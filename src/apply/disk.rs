// SPDX-License-Identifier: Apache-2.0
//! Disks and their partitions. What holds data is never lost unless the plan says so: a disk outlives the machine that it
//! was made for.

use anyhow::{Result, anyhow, bail};

use super::manifest::Manifest;
use super::{Done, Kind, Machine, Outcome, Step, on_live, partitions};
use crate::io::disk::{self, Table};
use crate::model::problem::WithCure as _;
use crate::model::storage::{DiskSpec, Layout, PartitionSpec, TableKind, WHOLE_DISK};

/// The cure where something is in the way.
pub(super) const HINT: &str =
    "if what is there may be lost, set `overwrite: true`, in Ignition wipeTable or wipeFilesystem";

/// What there is to do about a disk or a filesystem.
pub(super) struct Todo {
    pub done: Done,
    pub detail: String,
    /// The device to write to.
    pub real: String,
}

impl Todo {
    pub(super) fn new(done: Done, detail: impl Into<String>, real: &str) -> Self {
        Self { done, detail: detail.into(), real: real.to_owned() }
    }

    pub(super) fn told(self) -> (Done, String) {
        (self.done, self.detail)
    }
}

impl Kind for DiskSpec {
    fn name(&self) -> String {
        format!("disk {}", self.device)
    }

    fn step(&self) -> Step {
        Step::Disks
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

fn layout_detail(disk: &DiskSpec) -> String {
    let table = if disk.table == TableKind::Gpt { "gpt" } else { "mbr" };
    match &disk.layout {
        Layout::Remove => "nothing on it".to_owned(),
        Layout::Partitions(parts) => format!("{table}, {} partitions", parts.len().max(1)),
        Layout::Entries(parts) => format!("{} of its partitions", parts.len()),
    }
}

/// What there is to do about a disk; one that is not there yet has everything to be done.
fn todo(disk: &DiskSpec) -> Result<Todo> {
    let Some(real) = disk::find(&disk.device) else {
        return Ok(Todo::new(
            Done::Absent,
            format!("{}; the disk is not there yet", layout_detail(disk)),
            "",
        ));
    };
    if disk::is_partition(&real) {
        bail!("{}: {} is a partition, not a disk", disk.place, disk.device);
    }
    if let Layout::Entries(_) = disk.layout {
        return Ok(entries(disk, &real)?.0);
    }
    let (found, types) = (disk::probe(&real)?, disk::types(&real)?);
    let same = match (&disk.layout, &types) {
        (Layout::Remove, _) => found.empty(),
        (Layout::Partitions(wanted), Some(types)) if wanted.is_empty() => !types.is_empty(),
        (Layout::Partitions(wanted), Some(types)) => {
            wanted.len() == types.len()
                && wanted
                    .iter()
                    .zip(types)
                    .all(|(w, t)| w.kind.as_ref().is_none_or(|k| k.eq_ignore_ascii_case(t)))
        }
        (Layout::Partitions(_), None) | (Layout::Entries(_), _) => false,
    };
    // A table without a partition holds nothing.
    let empty = found.empty() || (found.kind.is_none() && types.as_ref().is_some_and(Vec::is_empty));
    Ok(match (same, empty) {
        (true, _) => Todo::new(Done::Unchanged, layout_detail(disk), &real),
        (false, true) => Todo::new(Done::Absent, layout_detail(disk), &real),
        (false, false) if disk.overwrite => Todo::new(Done::Changed, layout_detail(disk), &real),
        (false, false) => {
            let what = types.map_or_else(|| found.to_string(), |t| format!("{} partitions", t.len()));
            Todo::new(Done::LeftOut, format!("holds {what} and is left alone: `overwrite` is not set"), &real)
        }
    })
}

/// What there is to do about partitions by their numbers, and to which table: an empty one, or the one that is there.
fn entries(disk: &DiskSpec, real: &str) -> Result<(Todo, Table, partitions::Todo)> {
    let Layout::Entries(wanted) = &disk.layout else { bail!("{}: no partitions by number", disk.place) };
    let (found, table) = (disk::probe(real)?, disk::table(real)?);
    let gpt = table.filter(|t| t.kind == "gpt");
    let there = gpt.as_ref().map(|table| partitions::todo(wanted, table));
    let spoken_of = |t: &Table| t.entries.len() == wanted.iter().filter(|w| w.exists).count();
    let detail = layout_detail(disk);
    match (there, gpt) {
        // A table that may go and is as it would be is the one that an earlier run made.
        (Some(Ok(todo)), Some(table)) if todo.nothing() && (!disk.overwrite || spoken_of(&table)) => {
            Ok((Todo::new(Done::Unchanged, detail, real), table, todo))
        }
        (Some(todo), Some(table)) if !disk.overwrite => {
            Ok((Todo::new(Done::Changed, detail, real), table, todo?))
        }
        _ if !disk.overwrite && !found.empty() => {
            Err(anyhow!("{}: {} holds {found} and is left alone", disk.place, disk.device)).cure(HINT)
        }
        _ => {
            let table = Table::empty(real)?;
            let todo = partitions::todo(wanted, &table)?;
            let done = if found.empty() { Done::Absent } else { Done::Changed };
            Ok((Todo::new(done, detail, real), table, todo))
        }
    }
}

/// sfdisk's script for a layout ([sfdisk(8)](https://man7.org/linux/man-pages/man8/sfdisk.8.html)).
fn script(table: TableKind, parts: &[PartitionSpec], bytes: u64) -> String {
    let mut script = format!("label: {}\n", if table == TableKind::Gpt { "gpt" } else { "dos" });
    for (i, part) in parts.iter().enumerate() {
        let mib = (bytes >> 20) * u64::from(part.share) / u64::from(WHOLE_DISK);
        // The last one takes what is left.
        let size = if i + 1 == parts.len() { "+".to_owned() } else { format!("{}MiB", mib.max(1)) };
        let kind = part.kind.as_ref().map(|kind| format!(", type={kind}")).unwrap_or_default();
        script += &format!("size={size}{kind}\n");
    }
    script + if parts.is_empty() { "size=+\n" } else { "" }
}

/// Partitions a disk as the plan says.
fn put(spec: &DiskSpec) -> Result<Todo> {
    disk::wait(&spec.device).map_err(|e| anyhow!("{}: {e}", spec.place))?;
    let todo = todo(spec)?;
    if matches!(todo.done, Done::Absent | Done::Changed) {
        match &spec.layout {
            Layout::Remove => {
                // A partition's own marks outlast the table, and come back with the next one.
                for partition in disk::partitions(&todo.real).values() {
                    disk::wipe(partition)?;
                }
                disk::wipe(&todo.real)?;
            }
            Layout::Partitions(parts) => {
                let script = script(spec.table, parts, disk::size(&todo.real)?);
                disk::partition(&todo.real, &script, parts.len().max(1))?;
            }
            Layout::Entries(_) => {
                let (_, table, changes) = entries(spec, &todo.real)?;
                let new: Vec<u32> = changes.create.iter().map(|e| e.number).collect();
                disk::write_table(&todo.real, &table, &changes.result(&table), &new)?;
            }
        }
        return Ok(Todo { done: Done::Changed, ..todo });
    }
    Ok(todo)
}
