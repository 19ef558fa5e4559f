// SPDX-License-Identifier: Apache-2.0
//! What footplate remembers: how this boot goes (`/run/footplate/status.json`), and which instances were bootstrapped
//! (`/var/lib/footplate/instances/`).

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::apply;
use crate::io::replay::Replay;
use crate::io::root::{Ids, Root};
use crate::io::{Ask, World as _};
use crate::model::secret::Secret;
use crate::model::status::{StageStatus, Stamp, Status};
use crate::plan::{RUN_DIR, STATE_DIR};

/// Most that a file of ours holds.
const MAX_FILE: usize = 1 << 20;

/// Most that bootstrap data has once it is unpacked; the decoders take no more.
const MAX_BOOTSTRAP: usize = 32 << 20;

const OURS: Ids = Ids::ROOT;

fn status_path() -> String {
    format!("{RUN_DIR}/status.json")
}

/// Where what is remembered of an instance stands. An id that is not a plain file name is replaced by its digest.
fn instance_path(instance_id: &str, ending: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let fits = !instance_id.is_empty() && instance_id.len() <= 128 && !instance_id.starts_with('.');
    let name = if fits && instance_id.chars().all(plain) {
        instance_id.to_owned()
    } else {
        Sha256::digest(instance_id.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
    };
    format!("{STATE_DIR}/instances/{name}.{ending}")
}

fn stamp_path(instance_id: &str) -> String {
    instance_path(instance_id, "json")
}

/// Where bootstrap data stands that was fetched from a place that it is then deleted from.
fn bootstrap_path(instance_id: &str) -> String {
    instance_path(instance_id, "bootstrap")
}

/// Reads bootstrap data that was kept.
///
/// # Errors
/// The disk refuses.
pub fn read_bootstrap(root: &Root, instance_id: &str) -> Result<Option<Secret>> {
    Ok(root.read(&bootstrap_path(instance_id), MAX_BOOTSTRAP)?.map(Secret::new))
}

/// Keeps bootstrap data: all of it or nothing, and on the disk when this returns.
///
/// # Errors
/// The disk refuses.
pub fn write_bootstrap(root: &Root, instance_id: &str, data: &Secret) -> Result<()> {
    root.put_dir(STATE_DIR, 0o700, OURS)?;
    root.put(&bootstrap_path(instance_id), data.expose(), 0o600, OURS)?;
    Ok(())
}

/// Forgets bootstrap data that was kept.
///
/// # Errors
/// The disk refuses.
pub fn remove_bootstrap(root: &Root, instance_id: &str) -> Result<()> {
    root.remove(&bootstrap_path(instance_id)).map(|_| ())
}

/// Reads how this boot goes; `None` before footplate ran.
///
/// # Errors
/// The file is there and broken.
pub fn read_status(root: &Root) -> Result<Option<Status>> {
    let Some(bytes) = root.read(&status_path(), MAX_FILE)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).with_context(status_path)
}

/// Reads how the boot of a recorded machine went: `recorded` is a directory or an archive of its answers.
///
/// # Errors
/// It can't be read, or the file in it is broken.
pub fn recorded_status(recorded: &Path) -> Result<Option<Status>> {
    let path = status_path();
    let Some(bytes) = Replay::open(recorded)?.ask(Ask::File(&path))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).context(path)
}

/// Reads the boot's times beside footplate's own of a recorded machine; none where they are not recorded.
///
/// # Errors
/// The record can't be read, or the file in it is broken.
pub fn recorded_times(recorded: &Path) -> Result<Vec<StageStatus>> {
    let Some(bytes) = Replay::open(recorded)?.ask(Ask::BootTimes)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes).context(Ask::BootTimes.name())
}

/// Writes how this boot goes.
///
/// # Errors
/// The disk refuses.
pub fn write_status(root: &Root, status: &Status) -> Result<()> {
    let json = serde_json::to_vec_pretty(status)?;
    let put = root.put_dir(RUN_DIR, 0o700, OURS).and_then(|_| root.put(&status_path(), &json, 0o600, OURS));
    put.map(|_| ()).map_err(apply::with_cure)
}

/// Whether an instance was bootstrapped, or tried.
///
/// # Errors
/// The file is there and broken.
pub fn read_stamp(root: &Root, instance_id: &str) -> Result<Option<Stamp>> {
    let path = stamp_path(instance_id);
    let Some(bytes) = root.read(&path, MAX_FILE)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).with_context(|| path)
}

/// Forgets whether an instance was bootstrapped.
///
/// # Errors
/// The disk refuses.
pub fn remove_stamp(root: &Root, instance_id: &str) -> Result<()> {
    root.remove(&stamp_path(instance_id)).map(|_| ())
}

/// Remembers that an instance was bootstrapped: the last thing that is written, and on the disk when this returns.
///
/// # Errors
/// The disk refuses.
pub fn write_stamp(root: &Root, stamp: &Stamp) -> Result<()> {
    root.put_dir(STATE_DIR, 0o700, OURS)?;
    root.put(&stamp_path(&stamp.instance_id), &serde_json::to_vec_pretty(stamp)?, 0o600, OURS)?;
    Ok(())
}
