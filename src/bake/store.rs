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

use std::collections::BTreeMap;
use std::io::{Read, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

use super::lock::{Artifact, Lock};
use super::progress::Progress;
use super::tar::{Archive, Kind};
use crate::error::{Failure, In as _, Stage, WithCure as _};
use crate::io::fetch::{self, Location, Trouble};
use crate::io::root::{Change, Ids, Root, SFlag};

/// Where artifacts are kept.
pub const STORE: &str = "/opt/footplate/store";

/// The link to the version in use.
pub const CURRENT: &str = "current";

/// What tells the content of a version's directory.
const MANIFEST: &str = ".footplate.json";

/// Where artifacts stand until they are verified.
const INCOMING: &str = "/opt/footplate/store/.incoming";

/// Most bytes of an artifact, and of what an archive unpacks to: ten times what Kubernetes publishes.
const MAX_ARTIFACT: u64 = 2 << 30;

/// Most that a manifest holds.
const MAX_MANIFEST: usize = 4 << 20;

/// All that is put in the store belongs to root.
pub const ROOT: Ids = Ids { uid: Some(0), gid: Some(0) };

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

/// A link that shall be: where it stands, and the file in the store that it leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// Where it stands.
    pub path: String,
    /// The file, through [`CURRENT`].
    pub file: String,
    /// The file's digest.
    pub sha256: String,
}

/// What was done to an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stocked {
    /// It was in the store.
    Present,
    /// It came in now.
    Fetched,
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
        return Ok(Some("is no regular file".to_owned()));
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

/// A name in an artifact's directory that is none of the artifact's; `None` where there is none.
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
fn whole(root: &Root, artifact: &Artifact) -> Result<bool> {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Where artifacts come from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// A directory or an address that holds each by the last part of its URL; without it the URL itself.
    pub from: Option<Location>,
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
    let _held = root.lock_dir(STORE).stage(Stage::Install)?;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let results = std::sync::Mutex::new((BTreeMap::new(), Vec::new()));
    let worker = || {
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(artifact) = lock.artifacts.get(index) else { return };
            let result = stock_one(root, lock, artifact, origin, progress);
            let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match result {
                Ok(stocked) => drop(results.0.insert(artifact.name.clone(), stocked)),
                Err(failure) => {
                    results.1.push(failure);
                    // What has begun may end; nothing new begins.
                    next.store(lock.artifacts.len(), std::sync::atomic::Ordering::Relaxed);
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
    let (stocked, mut failures) = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
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
    progress: &Progress,
) -> Result<Stocked, Failure> {
    let called = || format!("{} {}", artifact.name, artifact.version);
    if whole(root, artifact).stage(Stage::Install)? {
        progress.present(&called());
        return Ok(Stocked::Present);
    }
    let incoming = obtain(root, artifact, origin, progress)?;
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

// Fetching

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

/// Brings an artifact's bytes into the root and verifies them while they come; a part that an earlier run left is gone on
/// with. Answers where they stand.
fn obtain(root: &Root, artifact: &Artifact, origin: &Origin, progress: &Progress) -> Result<String, Failure> {
    let digest = artifact.digest();
    // One name for the same bytes: another lock's leftover is never gone on with.
    let part = format!("{INCOMING}/{}-{}", artifact.name, digest.get(7..23).unwrap_or_default());
    let location = origin.of(artifact);
    let called = format!("{} {}", artifact.name, artifact.version);
    loop {
        let mut digests = Digests::of(artifact);
        let resumed = resume(root, &part, &mut digests).stage(Stage::Install)?;
        transfer(root, artifact, &location, &part, &mut digests, progress)?;
        match digests.verify(artifact) {
            Ok(()) => {
                progress.done(&called);
                return Ok(part);
            }
            // What was gone on with may be what is broken, after a power cut for instance: once more, from its beginning.
            Err(_) if resumed => root.remove_tree(&part).stage(Stage::Install)?,
            Err(error) => {
                root.remove_tree(&part).stage(Stage::Install)?;
                let wanted = format!("{called}: {location} is not what the lock names");
                return Err(error.context(wanted))
                    .cure("the file, its server or the lock is wrong: compare with what upstream publishes")
                    .stage(Stage::Verify);
            }
        }
    }
}

/// Reckons what an earlier run left; whether there was something.
fn resume(root: &Root, part: &str, digests: &mut Digests) -> Result<bool> {
    let Some(mut file) = root.open_file(part)? else { return Ok(false) };
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digests.length > 0),
            n => digests.update(&buffer[..n]),
        }
    }
}

/// Breaks that a transfer survives in a row without getting further than before.
const MAX_BREAKS: u32 = 5;

/// Brings the rest of an artifact's bytes in. A connection that breaks is made anew, where it broke.
fn transfer(
    root: &Root,
    artifact: &Artifact,
    location: &Location,
    part: &str,
    digests: &mut Digests,
    progress: &Progress,
) -> Result<(), Failure> {
    let called = format!("{} {}", artifact.name, artifact.version);
    let (mut breaks, mut furthest) = (0, digests.length);
    loop {
        let trouble = match transfer_once(root, artifact, location, part, digests, progress) {
            Ok(()) => return Ok(()),
            Err(Broken::Disk(error)) => {
                // Room is what is missing: a part that nobody can complete would only keep it.
                root.remove_tree(part).stage(Stage::Install)?;
                return Err(error.context(called)).stage(Stage::Install);
            }
            Err(Broken::Absent) => {
                let error = Err(anyhow!("{called}: {location} is not there"));
                return error.cure("--from looks for the last part of the URL").stage(Stage::Fetch);
            }
            Err(Broken::TooLong) => {
                root.remove_tree(part).stage(Stage::Install)?;
                let error = anyhow!("{called}: {location} is larger than {} GiB", MAX_ARTIFACT >> 30);
                return Err(error).stage(Stage::Verify);
            }
            Err(Broken::Transport(trouble)) => trouble,
        };
        // A server that always breaks at the same place never gets further.
        breaks = if digests.length > furthest { 1 } else { breaks + 1 };
        furthest = furthest.max(digests.length);
        if breaks > MAX_BREAKS || !trouble.may_pass {
            let cure = "what came is kept: the next run goes on from there";
            return Err(trouble.error.context(called)).cure(cure).stage(Stage::Fetch);
        }
        progress.broke(&called, &format!("{:#}", trouble.error));
        std::thread::sleep(FIRST_PAUSE * 2_u32.pow(breaks - 1));
    }
}

/// The pause after a break; it doubles with each that gets no further.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A server that brings less than that in such a time is given up: the smallest artifact of a node would take hours.
const SLOW_BYTES: u64 = 32 << 10;
const SLOW_SPAN: Duration = Duration::from_secs(30);

/// Why a transfer ended early.
enum Broken {
    /// The other side, or the way to it.
    Transport(Trouble),
    /// Our side.
    Disk(anyhow::Error),
    /// There is no such file.
    Absent,
    /// It does not end.
    TooLong,
}

fn transfer_once(
    root: &Root,
    artifact: &Artifact,
    location: &Location,
    part: &str,
    digests: &mut Digests,
    progress: &Progress,
) -> Result<(), Broken> {
    let stream = fetch::open(location, digests.length).map_err(Broken::Transport)?;
    let Some(mut stream) = stream else { return Err(Broken::Absent) };
    let mut file = root.append_file(part).map_err(Broken::Disk)?;
    if stream.offset != digests.length {
        // It sends the whole, and only that.
        file.set_len(0).map_err(|e| Broken::Disk(e.into()))?;
        *digests = Digests::of(artifact);
    }
    let called = format!("{} {}", artifact.name, artifact.version);
    progress.begin(&called, digests.length, stream.length);
    let mut buffer = vec![0; BUFFER];
    let (mut since, mut had) = (Instant::now(), digests.length);
    loop {
        if since.elapsed() >= SLOW_SPAN {
            if digests.length - had < SLOW_BYTES {
                let what = format!("{location}: {} bytes in {} s", digests.length - had, SLOW_SPAN.as_secs());
                return Err(Broken::Transport(Trouble { error: anyhow!(what), may_pass: false }));
            }
            (since, had) = (Instant::now(), digests.length);
        }
        let n = match stream.body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => {
                let error = anyhow!(e).context(location.to_string());
                let may_pass = matches!(location, Location::Url(_));
                return Err(Broken::Transport(Trouble { error, may_pass }));
            }
        };
        file.write_all(&buffer[..n]).map_err(|e| Broken::Disk(e.into()))?;
        digests.update(&buffer[..n]);
        progress.advance(&called, n as u64);
        if digests.length > MAX_ARTIFACT {
            return Err(Broken::TooLong);
        }
    }
    match stream.length {
        Some(length) if digests.length < length => {
            let what = format!("{location}: ended after {} of {length} bytes", digests.length);
            let may_pass = matches!(location, Location::Url(_));
            Err(Broken::Transport(Trouble { error: anyhow!(what), may_pass }))
        }
        _ => Ok(()),
    }
}

// Unpacking

/// Copies `input` into a new file, at most `limit` bytes of it, and tells what it became.
fn write_file(
    root: &Root,
    dir: &str,
    path: &str,
    mode: u32,
    mut input: impl Read,
    limit: u64,
) -> Result<Stored> {
    let whole = format!("{dir}/{path}");
    let above = whole.rsplit_once('/').map_or("", |(above, _)| above);
    root.make_dirs(above, ROOT)?;
    if root.meta_of_link(&whole)?.is_some() {
        bail!("{path}: stands twice in the archive");
    }
    let mut file = root.append_file(&whole)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0_u64, vec![0; BUFFER]);
    loop {
        let n = input.read(&mut buffer).with_context(|| path.to_owned())?;
        if n == 0 {
            break;
        }
        size += n as u64;
        if size > limit {
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

fn take_file(root: &Root, artifact: &Artifact, incoming: &str, staged: &str) -> Result<Stored> {
    let mode = artifact.install.first().map_or(0o755, super::lock::Install::bits);
    let file = open_incoming(root, incoming)?;
    write_file(root, staged, artifact.stored_name(), mode, file, MAX_ARTIFACT)
}

/// Unpacks what the lock takes of a verified archive.
fn unpack(root: &Root, artifact: &Artifact, incoming: &str, staged: &str) -> Result<Vec<Stored>> {
    let input = std::io::BufReader::with_capacity(BUFFER, open_incoming(root, incoming)?);
    // Everything that is decompressed counts, also what is skipped.
    let plain = flate2::bufread::MultiGzDecoder::new(input).take(MAX_ARTIFACT);
    let mut archive = Archive::new(plain);
    let mut files = Vec::new();
    let mut dirs = std::collections::BTreeSet::new();
    while let Some(member) = archive.next_member()? {
        let taken = artifact.install.iter().find(|i| i.place(&member.path).is_some());
        let Some(install) = taken.filter(|_| member.kind != Kind::Directory) else { continue };
        if member.kind == Kind::Other {
            bail!("{}: neither a file nor a directory", member.path);
        }
        if member.path == MANIFEST {
            bail!("{MANIFEST}: a name that the store uses itself");
        }
        let stored = write_file(root, staged, &member.path, install.bits(), &mut archive, MAX_ARTIFACT)?;
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
                .cure("a directory goes to a `to` that ends in /");
        }
    }
    // The deepest first: writing into a directory changes its time.
    for dir in dirs.iter().rev() {
        root.set_mtime(&format!("{staged}/{dir}"), MTIME)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Refuses a program that this architecture can't run.
fn check_program(root: &Root, lock: &Lock, path: &str) -> Result<()> {
    let mut head = Vec::new();
    if let Some(file) = root.open_file(path)? {
        file.take(20).read_to_end(&mut head)?;
    }
    if head.len() < 20 || !head.starts_with(b"\x7fELF") {
        return Ok(());
    }
    // e_machine; both architectures are little-endian.
    let machine = u16::from_le_bytes([head[18], head[19]]);
    if machine != lock.machine() {
        let name = path.rsplit('/').next().unwrap_or_default();
        bail!(
            "{name} is a program for another machine (ELF machine {machine}) than the lock's {}",
            lock.arch
        );
    }
    Ok(())
}

// Links

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
/// Something that is no link stands in its place.
pub fn use_version(root: &Root, artifact: &Artifact) -> Result<Change> {
    root.put_link(&format!("{STORE}/{}/{CURRENT}", artifact.name), &artifact.version)
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

/// Artifacts that come at once: some connections fill a link, more only break more.
pub const JOBS: usize = 4;

/// Whether a file of a stored artifact is missing. One that is there and differs is an error.
fn lacks(root: &Root, artifact: &Artifact, manifest: &Manifest) -> Result<bool, Failure> {
    for stored in &manifest.files {
        let path = format!("{}/{}", directory(artifact), stored.path);
        if root.meta_of_link(&path).stage(Stage::Install)?.is_none() {
            return Ok(true);
        }
        if let Some(fault) = fault(root, artifact, stored, false).stage(Stage::Install)? {
            return Err(anyhow!("{path}: {fault}"))
                .cure("this node's programs are not its image's: replace the machine, and look at how that came")
                .stage(Stage::Verify);
        }
    }
    Ok(false)
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
