// SPDX-License-Identifier: Apache-2.0
//! The store: each artifact in a directory of its own version, whole or absent, and links to what is in use.
//!
//! ```text
//! /opt/footplate/store/kubeadm/v1.34.1/kubeadm            the file
//! /opt/footplate/store/kubeadm/v1.34.1/.footplate.json    what the directory holds: written last, so it tells that all is there
//! /opt/footplate/store/kubeadm/current -> v1.34.1         the version in use: an upgrade or a rollback is the rename of this
//! /opt/bin/kubeadm -> ../footplate/store/kubeadm/current/kubeadm
//! ```
//!
//! Links are relative, so that they lead to the same file when the root is looked at from outside.

mod incoming;
mod links;
mod stock;
mod unpack;

use std::io::Read;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use self::links::{Link, lay_out, places, put, target, use_version};
pub use self::stock::{Origin, Stocked, stock};
use super::lock::Artifact;
use crate::io::root::{Ids, Root, SFlag};
use crate::model::encoding::hex;

/// Where artifacts are kept.
pub const STORE: &str = "/opt/footplate/store";

/// What tells the content of a version's directory.
const MANIFEST: &str = ".footplate.json";

/// Where artifacts stand until they are verified.
const INCOMING: &str = "/opt/footplate/store/.incoming";

/// Most bytes of an artifact, and of what an archive unpacks to: ten times what Kubernetes publishes.
const MAX_ARTIFACT: usize = 2 << 30;

/// Most bytes of a manifest.
const MAX_MANIFEST: usize = 4 << 20;

/// All that is put in the store belongs to root.
pub const ROOT: Ids = Ids::ROOT;

/// The time of what stands in the store: the same for every bake. Not 0, which some programs take for "none".
pub const MTIME: i64 = 1;

/// A buffer as large as what a pipe or a socket brings at once.
const BUFFER: usize = 64 << 10;

/// What a version's directory holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this form. A reader takes what it knows of a newer one.
    pub version: u32,
    /// The artifact's digest, as [`Artifact::digest`] tells it.
    pub artifact: String,
    /// The files.
    pub files: Vec<Stored>,
}

/// A file in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Its path below the version's directory.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Permission bits in octal.
    pub mode: String,
    /// Its digest.
    pub sha256: String,
}

/// The directory of an artifact's version.
pub fn directory(artifact: &Artifact) -> String {
    format!("{STORE}/{}/{}", artifact.name, artifact.version)
}

/// The manifest of an artifact, where the store holds these very bytes.
///
/// # Errors
/// It can't be read.
pub fn manifest(root: &Root, artifact: &Artifact) -> Result<Option<Manifest>> {
    let path = format!("{}/{MANIFEST}", directory(artifact));
    let Some(bytes) = root.read(&path, MAX_MANIFEST)? else { return Ok(None) };
    // A broken one is as good as none: the artifact comes anew.
    let manifest = serde_json::from_slice::<Manifest>(&bytes).ok();
    Ok(manifest.filter(|m| m.artifact == artifact.digest() && m.files.iter().all(|f| sound(&f.path))))
}

/// Whether a path of a manifest stays in its directory.
fn sound(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// What of a stored file differs from its manifest, `None` where nothing does. Its bytes are only read where `read` says so
/// or where its time leaves a doubt.
///
/// # Errors
/// It can't be read.
pub fn fault(root: &Root, artifact: &Artifact, stored: &Stored, read: bool) -> Result<Option<String>> {
    let path = format!("{}/{}", directory(artifact), stored.path);
    let Some(meta) = root.meta_of_link(&path)? else { return Ok(Some("is missing".to_owned())) };
    if meta.kind != SFlag::S_IFREG {
        return Ok(Some("is not a regular file".to_owned()));
    }
    if meta.size != stored.size {
        return Ok(Some(format!("has {} bytes and not {}", meta.size, stored.size)));
    }
    if read || meta.mtime != stored.mtime {
        let file = root.open_file(&path)?.context("is gone")?;
        // A plain file's digest is the lock's own; what the store recorded of it need not be believed.
        let own = artifact.sha256.as_ref().filter(|_| !artifact.is_archive());
        if !digest_of(file)?.eq_ignore_ascii_case(own.unwrap_or(&stored.sha256)) {
            return Ok(Some("its content is not what the lock names".to_owned()));
        }
    }
    Ok(None)
}

/// A name in an artifact's directory that is not part of the artifact; `None` where all names are.
///
/// # Errors
/// The directory can't be read.
pub fn stranger(root: &Root, artifact: &Artifact, manifest: &Manifest) -> Result<Option<String>> {
    let known = |name: &String| {
        name == MANIFEST || manifest.files.iter().any(|f| f.path.split('/').next() == Some(name.as_str()))
    };
    Ok(root.list(&directory(artifact))?.into_iter().find(|name| !known(name)))
}

/// Whether the store holds an artifact to the byte, with its bits and owner, and nothing beside it.
///
/// # Errors
/// It can't be read.
pub fn whole(root: &Root, artifact: &Artifact) -> Result<bool> {
    let Some(manifest) = manifest(root, artifact)? else { return Ok(false) };
    let ids = if root.privileged() { ROOT } else { Ids::default() };
    for stored in &manifest.files {
        let meta = root.meta_of_link(&format!("{}/{}", directory(artifact), stored.path))?;
        let mode = u32::from_str_radix(&stored.mode, 8).unwrap_or_default();
        if !meta.is_some_and(|m| m.is(mode, ids)) || fault(root, artifact, stored, true)?.is_some() {
            return Ok(false);
        }
    }
    Ok(!places(artifact, &manifest).is_empty() && stranger(root, artifact, &manifest)?.is_none())
}

/// The SHA-256 of a stream, in hexadecimal digits.
pub fn digest_of(mut input: impl Read) -> Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; BUFFER]);
    loop {
        match input.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}
