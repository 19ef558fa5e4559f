// SPDX-License-Identifier: Apache-2.0
//! Brings artifacts into the store, several at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::incoming::obtain;
use super::unpack::{take_file, unpack};
use super::{INCOMING, MANIFEST, MTIME, Manifest, ROOT, STORE, directory, whole};
use crate::bake::architecture::{self, machine_of};
use crate::bake::location::Location;
use crate::bake::lock::{Artifact, Lock};
use crate::bake::progress::Progress;
use crate::io::http::Client;
use crate::io::root::Root;
use crate::model::problem::{Failure, In as _, Stage};

/// Artifacts that come at once: some connections fill a link, more only break more.
pub const JOBS: usize = 4;

/// What was done to an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stocked {
    /// It was in the store.
    Present,
    /// It came in now.
    Fetched,
    /// It is not in the store, and was not asked for.
    Missing,
}

/// Where artifacts come from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// A directory or an address that holds each by the last part of its URL; without it the URL itself.
    pub from: Option<Location>,
    /// When all must have come.
    pub until: Option<Instant>,
}

impl Origin {
    /// Where an artifact is.
    pub fn of(&self, artifact: &Artifact) -> Location {
        match &self.from {
            Some(from) => from.join(artifact.file_name()),
            None => Location::of(&artifact.url),
        }
    }
}

/// Puts artifacts into the store, `jobs` of them at once; what is in use does not change.
///
/// # Errors
/// The first artifact that could not be fetched, did not verify, or could not be written. Others may have come in.
pub fn stock(
    root: &Root,
    lock: &Lock,
    origin: &Origin,
    jobs: usize,
    progress: &Progress,
) -> Result<BTreeMap<String, Stocked>, Failure> {
    root.make_dirs(INCOMING, ROOT).stage(Stage::Install)?;
    let _held = root.lock_dir(STORE, Duration::ZERO).stage(Stage::Install)?;
    let next = AtomicUsize::new(0);
    let results = Mutex::new((BTreeMap::new(), Vec::new()));
    let worker = || {
        // Each has connections of its own, kept for what it fetches next.
        let mut client = None;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(artifact) = lock.artifacts.get(index) else { return };
            let result = stock_one(root, lock, artifact, origin, &mut client, progress);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            match result {
                Ok(stocked) => drop(results.0.insert(artifact.name.clone(), stocked)),
                Err(failure) => {
                    results.1.push(failure);
                    // What has begun may end; nothing new begins.
                    next.store(lock.artifacts.len(), Ordering::Relaxed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.min(lock.artifacts.len())).map(|_| scope.spawn(worker)).collect();
        for thread in threads {
            // A panic there is an end of the program here as well: release builds abort on it.
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
    let (stocked, mut failures) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // What does not verify weighs more than a server that is away.
    failures.sort_by_key(|f| f.stage != Stage::Verify);
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => {
            root.remove_tree(INCOMING).stage(Stage::Install)?;
            Ok(stocked)
        }
    }
}

fn stock_one(
    root: &Root,
    lock: &Lock,
    artifact: &Artifact,
    origin: &Origin,
    client: &mut Option<Client>,
    progress: &Progress,
) -> Result<Stocked, Failure> {
    let called = || format!("{} {}", artifact.name, artifact.version);
    if whole(root, artifact).stage(Stage::Install)? {
        progress.present(&called());
        return Ok(Stocked::Present);
    }
    let client = match client {
        Some(client) => client,
        None => client.insert(Client::until(origin.until).stage(Stage::Fetch)?),
    };
    let incoming = obtain(root, client, artifact, origin, progress)?;
    let staged = format!("{INCOMING}/{}-{}.new", artifact.name, artifact.version);
    let put = || {
        root.remove_tree(&staged)?;
        root.make_dirs(&staged, ROOT)?;
        let files = match artifact.is_archive() {
            true => unpack(root, artifact, &incoming, &staged)?,
            false => vec![take_file(root, artifact, &incoming, &staged)?],
        };
        for file in &files {
            check_program(root, lock, &format!("{staged}/{}", file.path))?;
        }
        let manifest = Manifest { version: 1, artifact: artifact.digest(), files };
        let path = format!("{staged}/{MANIFEST}");
        root.put(&path, &serde_json::to_vec_pretty(&manifest)?, 0o644, ROOT)?;
        root.set_mtime(&path, MTIME)?;
        root.make_dirs(&format!("{STORE}/{}", artifact.name), ROOT)?;
        root.set_mtime(&staged, MTIME)?;
        root.exchange(&staged, &directory(artifact))?;
        root.remove_tree(&staged)?;
        root.remove_tree(&incoming)
    };
    put().with_context(called).stage(Stage::Install)?;
    Ok(Stocked::Fetched)
}

/// Refuses a program that this architecture can't run.
fn check_program(root: &Root, lock: &Lock, path: &str) -> Result<()> {
    match machine_of(root, path)?.filter(|machine| *machine != lock.machine()) {
        None => Ok(()),
        Some(machine) => bail!(
            "{} is a program for {}, the lock is for {}",
            path.rsplit('/').next().unwrap_or_default(),
            architecture::name(machine),
            lock.arch
        ),
    }
}
