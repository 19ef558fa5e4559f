// SPDX-License-Identifier: Apache-2.0
//! An artifact's bytes on their way into the store: verified while they come, resumed where an earlier run stopped.

use crate::io::File;
use std::io::{Read as _, Write as _};

use anyhow::{Result, anyhow, bail};
use sha2::{Digest as _, Sha256, Sha512};

use super::stock::Origin;
use super::{BUFFER, INCOMING, MAX_ARTIFACT};
use crate::bake::location::Broken;
use crate::bake::lock::Artifact;
use crate::bake::progress::Progress;
use crate::io::http::{Client, Sink};
use crate::io::root::Root;
use crate::model::encoding::hex;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};

/// The digests that an artifact has in the lock, reckoned as its bytes pass.
struct Digests {
    sha256: Sha256,
    sha512: Option<Sha512>,
    length: u64,
}

impl Digests {
    fn of(artifact: &Artifact) -> Self {
        Self { sha256: Sha256::new(), sha512: artifact.sha512.is_some().then(Sha512::new), length: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
    }

    /// Whether they are the lock's.
    fn verify(self, artifact: &Artifact) -> Result<()> {
        let pairs = [
            ("sha256", artifact.sha256.as_ref(), hex(&self.sha256.finalize())),
            ("sha512", artifact.sha512.as_ref(), self.sha512.map(|h| hex(&h.finalize())).unwrap_or_default()),
        ];
        for (kind, wanted, have) in pairs {
            if wanted.is_some_and(|w| !w.eq_ignore_ascii_case(&have)) {
                bail!("{} bytes came, and their {kind} is {have}", self.length);
            }
        }
        Ok(())
    }
}

/// An artifact's bytes in the store's incoming directory.
struct Incoming<'a> {
    artifact: &'a Artifact,
    called: String,
    file: File,
    digests: Digests,
    progress: &'a Progress,
}

impl<'a> Incoming<'a> {
    /// Opens what an earlier run left, or an empty file, and reads it for its digests.
    fn open(root: &Root, artifact: &'a Artifact, part: &str, progress: &'a Progress) -> Result<Self> {
        let mut digests = Digests::of(artifact);
        if let Some(mut file) = root.open_file(part)? {
            let mut buffer = vec![0; BUFFER];
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    n => digests.update(&buffer[..n]),
                }
            }
        }
        let called = called(artifact);
        Ok(Self { artifact, called, file: root.append_file(part)?, digests, progress })
    }
}

impl Sink for Incoming<'_> {
    fn have(&self) -> u64 {
        self.digests.length
    }

    fn begin(&mut self, offset: u64, length: Option<u64>) -> Result<()> {
        if offset != self.digests.length {
            // The whole comes, and only that.
            self.file.set_len(0)?;
            self.digests = Digests::of(self.artifact);
        }
        self.progress.begin(&self.called, self.digests.length, length);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.digests.update(bytes);
        self.progress.advance(&self.called, bytes.len() as u64);
        Ok(())
    }

    fn interrupted(&mut self, why: &str) {
        self.progress.broke(&self.called, why);
    }
}

fn called(artifact: &Artifact) -> String {
    format!("{} {}", artifact.name, artifact.version)
}

/// Brings an artifact's bytes into the root and verifies them while they come; a part that an earlier run left is gone on
/// with. Answers where they stand.
pub(super) fn obtain(
    root: &Root,
    client: &Client,
    artifact: &Artifact,
    origin: &Origin,
    progress: &Progress,
) -> Result<String, Failure> {
    let digest = artifact.digest();
    // One name for the same bytes: another lock's leftover is never gone on with.
    let part = format!("{INCOMING}/{}-{}", artifact.name, digest.get(7..23).unwrap_or_default());
    let location = origin.of(artifact);
    let called = called(artifact);
    loop {
        let mut incoming = Incoming::open(root, artifact, &part, progress).stage(Stage::Install)?;
        let resumed = incoming.have() > 0;
        let brought = location.bring(client, MAX_ARTIFACT, &mut incoming);
        // A part that can not become whole is not kept: its room may be what is missing.
        if matches!(brought, Err(Broken::Sink(_) | Broken::TooLarge)) {
            root.remove_tree(&part).stage(Stage::Install)?;
        }
        match brought {
            Ok(()) => {}
            Err(Broken::Sink(error)) => return Err(error.context(called)).stage(Stage::Install),
            Err(Broken::Absent) => {
                let error = Err(anyhow!("{called}: {location}: the file does not exist"));
                return error.cure("put the file there under the last part of its URL").stage(Stage::Fetch);
            }
            Err(Broken::TooLarge) => {
                let error = anyhow!("{called}: {location} is larger than {} GiB", MAX_ARTIFACT >> 30);
                return Err(error).stage(Stage::Verify);
            }
            Err(Broken::Source(error)) => {
                let cure = "the part that was fetched is kept: run it again to go on";
                return Err(error.context(called)).cure(cure).stage(Stage::Fetch);
            }
        }
        match incoming.digests.verify(artifact) {
            Ok(()) => {
                progress.done(&called);
                return Ok(part);
            }
            // The earlier run's part may be what is broken, after a power cut for instance: once more, from the beginning.
            Err(_) if resumed => root.remove_tree(&part).stage(Stage::Install)?,
            Err(error) => {
                root.remove_tree(&part).stage(Stage::Install)?;
                return Err(error.context(format!("{called}: {location} is not what the lock names")))
                    .cure("the file, its server or the lock is wrong: compare with what upstream publishes")
                    .stage(Stage::Verify);
            }
        }
    }
}
