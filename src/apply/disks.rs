// SPDX-License-Identifier: Apache-2.0
//! Partitions and filesystems as they shall be. What holds data is never lost unless the plan says so: a disk outlives
//! the machine that it was made for.

use anyhow::{Result, anyhow, bail};

use super::{Done, partitions};
use crate::error::WithCure as _;
use crate::io::disk::{self, Found, Table};
use crate::model::config::{
    DiskSpec, FilesystemSpec, Layout, Partition, PartitionSpec, TableKind, partition_path,
};

/// The cure where something is in the way.
const HINT: &str =
    "if what is there may be lost, set `overwrite: true`, in Ignition wipeTable or wipeFilesystem";

/// What there is to do about a disk or a filesystem.
pub(super) struct Todo {
    pub done: Done,
    pub detail: String,
    /// The device to write to.
    pub real: String,
}

impl Todo {
    fn new(done: Done, detail: impl Into<String>, real: &str) -> Self {
        Self { done, detail: detail.into(), real: real.to_owned() }
    }
}

fn layout_detail(disk: &DiskSpec) -> String {
    let table = if disk.table == TableKind::Gpt { "gpt" } else { "mbr" };
    match &disk.layout {
        Layout::Remove => "nothing on it".to_owned(),
        Layout::Partitions(parts) => format!("{table}, {} partitions", parts.len()),
        Layout::Entries(parts) => format!("{} of its partitions", parts.len()),
    }
}

/// What there is to do about a disk; one that is not there yet has everything to be done.
pub(super) fn disk(disk: &DiskSpec) -> Result<Todo> {
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
        (Layout::Partitions(wanted), Some(types)) => {
            wanted.len() == types.len()
                && wanted.iter().zip(types).all(|(w, t)| w.kind.eq_ignore_ascii_case(t))
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
        let mib = (bytes >> 20) * u64::from(part.percent) / 100;
        // The last one takes what is left.
        let size = if i + 1 == parts.len() { String::new() } else { format!("size={}MiB, ", mib.max(1)) };
        script += &format!("{size}type={}\n", part.kind);
    }
    script
}

/// Makes a disk as it shall be.
pub(super) fn put_disk(spec: &DiskSpec) -> Result<Todo> {
    disk::wait(&spec.device).map_err(|e| anyhow!("{}: {e}", spec.place))?;
    let todo = disk(spec)?;
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
                disk::partition(&todo.real, &script, parts.len())?;
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

/// What there is to do about a device that shall hold nothing.
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
pub(super) fn filesystem(spec: &FilesystemSpec) -> Result<Todo> {
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
        let any = spec.partition == Partition::Any && nodes.len() > 1;
        same_kind(spec, found) && (labelled(found) || any) && ours
    };
    if let Some((real, _)) = nodes.iter().find(|(_, found)| as_wished(found)) {
        return Ok(Todo::new(Done::Unchanged, format!("{wanted} on {real}"), real));
    }
    let may_go = |found: &Found| {
        let replaced = spec.replace.is_some() && found.kind == spec.replace;
        // A table goes only where the disk itself was named for the filesystem.
        let named = spec.partition == Partition::None;
        (named || (found.table.is_none() && !found.unclear)) && (spec.overwrite || replaced)
    };
    // An empty place first. A disk with partitions is none: it has their table.
    if let Some((real, _)) = nodes.iter().find(|(_, found)| found.empty()) {
        return Ok(Todo::new(Done::Absent, format!("{wanted} on {real}"), real));
    }
    match nodes.iter().find(|(_, found)| may_go(found)) {
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

/// Makes a filesystem as it shall be.
pub(super) fn put_filesystem(spec: &FilesystemSpec) -> Result<Todo> {
    let at = |e: anyhow::Error| anyhow!("{}: {e:#}", spec.place);
    let real = disk::wait(&spec.device).map_err(at)?;
    if let (Partition::Number(number), true) = (spec.partition, candidates(spec).is_empty()) {
        disk::wait(&partition_path(&real, number)).map_err(at)?;
    }
    let todo = filesystem(spec)?;
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

/// Whether a mount or a swap device is in use.
pub(super) fn mounted(path: Option<&str>, what: &str) -> Todo {
    let done = if disk::in_use(path, what) { Done::Unchanged } else { Done::Absent };
    Todo::new(done, what, "")
}
