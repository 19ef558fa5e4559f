// SPDX-License-Identifier: Apache-2.0
//! A verified artifact as the files of its version's directory.

use std::collections::BTreeSet;
use std::io::{Read, Write as _};

use anyhow::{Context as _, Result, anyhow, bail};
use sha2::{Digest as _, Sha256};

use super::{BUFFER, MANIFEST, MAX_ARTIFACT, MTIME, ROOT, Stored};
use crate::bake::lock::{Artifact, Install};
use crate::io::root::Root;
use crate::io::tar::{Archive, Kind};
use crate::model::encoding::hex;
use crate::model::problem::WithCure as _;

/// Copies `input` into a new file, at most [`MAX_ARTIFACT`] bytes of it, and tells what it became.
fn write_file(root: &Root, dir: &str, path: &str, mode: u32, mut input: impl Read) -> Result<Stored> {
    let whole = format!("{dir}/{path}");
    let above = whole.rsplit_once('/').map_or("", |(above, _)| above);
    root.make_dirs(above, ROOT)?;
    if root.meta_of_link(&whole)?.is_some() {
        bail!("{path}: is in the archive twice");
    }
    let mut file = root.append_file(&whole)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; BUFFER]);
    loop {
        let n = input.read(&mut buffer).with_context(|| path.to_owned())?;
        if n == 0 {
            break;
        }
        size += n as u64;
        if size > MAX_ARTIFACT as u64 {
            bail!("{path}: unpacks to more than {} GiB", MAX_ARTIFACT >> 30);
        }
        file.write_all(&buffer[..n]).with_context(|| path.to_owned())?;
        hash.update(&buffer[..n]);
    }
    root.finish_file(&file, mode, ROOT, MTIME)?;
    let (mode, sha256) = (format!("{mode:04o}"), hex(&hash.finalize()));
    Ok(Stored { path: path.to_owned(), size, mtime: MTIME, mode, sha256 })
}

fn open_incoming(root: &Root, incoming: &str) -> Result<impl Read> {
    root.open_file(incoming)?.with_context(|| format!("{incoming}: is gone"))
}

pub(super) fn take_file(root: &Root, artifact: &Artifact, incoming: &str, staged: &str) -> Result<Stored> {
    let mode = artifact.install.first().map_or(0o755, Install::bits);
    let file = open_incoming(root, incoming)?;
    write_file(root, staged, artifact.stored_name(), mode, file)
}

/// Unpacks what the lock takes of a verified archive.
pub(super) fn unpack(root: &Root, artifact: &Artifact, incoming: &str, staged: &str) -> Result<Vec<Stored>> {
    let input = std::io::BufReader::with_capacity(BUFFER, open_incoming(root, incoming)?);
    // Everything that is decompressed counts, also what is skipped.
    let plain = flate2::bufread::MultiGzDecoder::new(input).take(MAX_ARTIFACT as u64);
    let mut archive = Archive::new(plain);
    let mut files = Vec::new();
    let mut dirs = BTreeSet::new();
    while let Some(member) = archive.next_member()? {
        let taken = artifact.install.iter().find(|i| i.place(&member.path).is_some());
        let Some(install) = taken.filter(|_| member.kind != Kind::Directory) else { continue };
        if member.kind == Kind::Other {
            bail!("{}: neither a file nor a directory", member.path);
        }
        if member.path == MANIFEST {
            bail!("{MANIFEST}: the store uses this name itself");
        }
        let stored = write_file(root, staged, &member.path, install.bits(), &mut archive)?;
        let mut above = stored.path.as_str();
        while let Some((dir, _)) = above.rsplit_once('/') {
            dirs.insert(dir.to_owned());
            above = dir;
        }
        files.push(stored);
    }
    for install in &artifact.install {
        if files.iter().all(|f| install.place(&f.path).is_none()) {
            return Err(anyhow!("the archive holds nothing for {} from {:?}", install.to, install.from))
                .cure("check `from`; where it is a directory, `to` must end in /");
        }
    }
    // The deepest first: writing into a directory changes its time.
    for dir in dirs.iter().rev() {
        root.set_mtime(&format!("{staged}/{dir}"), MTIME)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
