// SPDX-License-Identifier: Apache-2.0
//! The links to what is in use, and a node's programs as its lock says.

use anyhow::{Context as _, Result, anyhow};

use super::stock::{JOBS, Origin, stock};
use super::{Manifest, ROOT, STORE, directory, fault, manifest};
use crate::bake::lock::{Artifact, CURRENT, Lock};
use crate::bake::progress::Progress;
use crate::io::root::{Change, Root, SFlag};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};

/// A link to make: its path, and the file in the store that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Where it stands.
    pub path: String,
    /// The file, through [`CURRENT`].
    pub file: String,
    /// The file's digest.
    pub sha256: String,
}

/// Where the files of a stored artifact go: path and file through [`CURRENT`].
pub fn places(artifact: &Artifact, manifest: &Manifest) -> Vec<Link> {
    let mut links = Vec::new();
    for stored in &manifest.files {
        for install in &artifact.install {
            let path = match artifact.is_archive() {
                true => install.place(&stored.path),
                false if install.to.ends_with('/') => {
                    Some(format!("{}{}", install.to, artifact.stored_name()))
                }
                false => Some(install.to.clone()),
            };
            let file = format!("{STORE}/{}/{CURRENT}/{}", artifact.name, stored.path);
            let sha256 = stored.sha256.clone();
            links.extend(path.map(|path| Link { path, file, sha256 }));
        }
    }
    links.sort();
    links
}

/// What a link at `path` says so that it leads to `file`, from wherever its directory really is.
///
/// # Errors
/// The directory can't be followed.
pub fn target(root: &Root, link: &Link) -> Result<String> {
    let above = link.path.rsplit_once('/').map_or("", |(above, _)| above);
    let above = match above {
        "" => "/".to_owned(),
        above => root.real(above)?.unwrap_or_else(|| above.to_owned()),
    };
    let parts = |path: &str| path.split('/').filter(|p| !p.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (from, to) = (parts(&above), parts(&link.file));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = vec!["..".to_owned(); from.len() - common];
    Ok([up, to[common..].to_vec()].concat().join("/"))
}

/// Makes an artifact's version the one in use.
///
/// # Errors
/// Something other than a link has its path.
pub fn use_version(root: &Root, artifact: &Artifact) -> Result<Change> {
    root.put_link(&format!("{STORE}/{}/{CURRENT}", artifact.name), &artifact.version)
}

/// Puts a link in place; a regular file of the same name gives way to it in one step.
///
/// # Errors
/// A directory stands there, or the disk refuses.
pub fn put(root: &Root, link: &Link) -> Result<Change> {
    // First the directory: where it really is decides what a relative link says.
    root.make_dirs(link.path.rsplit_once('/').map_or("", |(above, _)| above), ROOT)?;
    let target = target(root, link)?;
    let regular = root.meta_of_link(&link.path)?.is_some_and(|m| m.kind == SFlag::S_IFREG);
    if !regular {
        return root.put_link(&link.path, &target);
    }
    let aside = format!("{}.footplate-old", link.path);
    root.put_link(&aside, &target)?;
    root.exchange(&aside, &link.path)?;
    root.remove(&aside)?;
    Ok(Change::Changed)
}

/// Brings the store and the links to it into the state of a lock, looking at sizes and times only: what is missing comes from
/// the store or from where the lock says, what is there and differs is an error. Answers the paths that were changed.
///
/// # Errors
/// Something does not verify, or could not be fetched or written.
pub fn lay_out(root: &Root, lock: &Lock, progress: &Progress) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    for artifact in &lock.artifacts {
        match manifest(root, artifact).stage(Stage::Install)? {
            None => missing.push(artifact.clone()),
            Some(manifest) => {
                if lacks(root, artifact, &manifest)? {
                    missing.push(artifact.clone());
                }
            }
        }
    }
    let mut changed = Vec::new();
    if !missing.is_empty() {
        let missing = Lock { artifacts: missing, ..lock.clone() };
        changed.extend(missing.artifacts.iter().map(directory));
        stock(root, &missing, &Origin::default(), JOBS, progress)?;
    }
    let mut link = || -> Result<()> {
        for artifact in &lock.artifacts {
            let manifest =
                manifest(root, artifact)?.with_context(|| format!("{}: is gone", artifact.name))?;
            if use_version(root, artifact)? == Change::Changed {
                changed.push(format!("{STORE}/{}/{CURRENT}", artifact.name));
            }
            for link in places(artifact, &manifest) {
                if put(root, &link)? == Change::Changed {
                    changed.push(link.path);
                }
            }
        }
        Ok(())
    };
    link().stage(Stage::Install)?;
    Ok(changed)
}

/// Whether a file of a stored artifact is missing. One that is there and differs is an error.
fn lacks(root: &Root, artifact: &Artifact, manifest: &Manifest) -> Result<bool, Failure> {
    for stored in &manifest.files {
        let path = format!("{}/{}", directory(artifact), stored.path);
        if root.meta_of_link(&path).stage(Stage::Install)?.is_none() {
            return Ok(true);
        }
        if let Some(fault) = fault(root, artifact, stored, false).stage(Stage::Install)? {
            return Err(anyhow!("{path}: {fault}"))
                .cure("find out what changed the program, and replace the machine: it does not run what its image holds")
                .stage(Stage::Verify);
        }
    }
    Ok(false)
}
