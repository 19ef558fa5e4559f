// SPDX-License-Identifier: Apache-2.0
//! Many files made durable together. A sync takes a disk 1 to 10 ms, and a node has hundreds of files: one by one they cost
//! seconds on the way to kubeadm.
//!
//! While a [`Batch`] is open, files are written under temporary names. [`Root::settle`] makes all of them durable with one call of
//! `syncfs` for each file system, gives them their names, and makes the names durable in the same way. A power cut at any point
//! leaves each file whole, or absent under its name. A question about a file that still has its temporary name settles the
//! batch first, so no reader sees the difference.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat, renameat};
use nix::sys::stat::{fstat, fstatat};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::tree::{MAX_DEPTH, remove_at};
use super::{Meta, Root, SFlag, dir_path, split, temporary_name};

/// How many directories are held open. A process may have 1024 files open.
const MAX_DIRS: usize = 256;

/// What a kernel's memory holds, and what is lost with the power anyway.
const VOLATILE: &str = "/run";

/// Whether what stands at a path is lost with the power anyway.
pub(super) fn volatile(path: &str) -> bool {
    path.strip_prefix(VOLATILE).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How every temporary name begins.
pub(super) const DRAFT: &str = ".footplate-";

/// An open directory.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    meta: Meta,
    inode: u64,
    /// Its files need not outlive the power.
    volatile: bool,
    /// It is, or stands in, a directory that has not got its own name yet.
    pub draft: bool,
    writable: OnceLock<bool>,
    pub real: OnceLock<String>,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    pub(super) fn of(fd: OwnedFd, path: &str) -> Result<Self> {
        let stat = fstat(&fd)?;
        Ok(Self {
            meta: Meta::of(&stat),
            inode: stat.st_ino,
            volatile: volatile(path),
            draft: path.contains(&format!("/{DRAFT}")),
            writable: OnceLock::new(),
            real: OnceLock::new(),
            fd,
        })
    }

    /// Whether its file system can be written.
    pub(super) fn writable(&self) -> bool {
        let look = || !fstatvfs(self).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY));
        *self.writable.get_or_init(look)
    }

    /// The group that a new file gets here, unless the directory or its mount says otherwise.
    pub(super) fn gid(&self) -> u32 {
        self.meta.gid
    }

    fn key(&self, name: &str) -> Key {
        (self.meta.device, self.inode, name.to_owned())
    }

    /// Its path for messages, as far as `/proc` tells it.
    fn shown(&self) -> String {
        let path = std::fs::read_link(self.link()).unwrap_or_default();
        path.display().to_string().trim_end_matches('/').to_owned()
    }

    /// Its path for this process.
    pub(super) fn link(&self) -> String {
        format!("/proc/self/fd/{}", self.fd.as_raw_fd())
    }
}

/// A name: the file system, the directory's inode, the name in it.
type Key = (u64, u64, String);

/// What is known of a directory that is not there.
#[derive(Debug, Default)]
struct Missing {
    /// Whether it could be made was looked at.
    checked: bool,
    /// How much of its path leads to a directory that is there, in bytes.
    stands: Option<usize>,
}

/// What an open batch holds.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Directories that were opened, by path.
    dirs: HashMap<String, Arc<Dir>>,
    /// Directories that are not there.
    missing: HashMap<String, Missing>,
    /// What has its temporary name still, in the order in which it gets its own.
    pending: Vec<(Arc<Dir>, String)>,
    keys: HashSet<Key>,
    /// The directories of these, by file system and inode. Each is held open once.
    waiting: HashMap<(u64, u64), Arc<Dir>>,
    /// Locks that are held until all has its name.
    locks: Vec<OwnedFd>,
    /// A directory of each file system that was changed.
    touched: BTreeMap<u64, Arc<Dir>>,
    /// Why something did not get its name in the middle of the batch. Nothing is done in it from then on.
    failed: Option<String>,
}

impl Held {
    /// Forgets where paths led.
    pub(super) fn forget(&mut self) {
        self.dirs.clear();
        self.missing.clear();
    }

    fn touch(&mut self, dir: &Arc<Dir>) {
        if !dir.volatile {
            self.touched.entry(dir.meta.device).or_insert_with(|| dir.clone());
        }
    }
}

/// An open batch. What has not got its name when it is dropped is removed.
#[must_use]
pub struct Batch<'a>(&'a Root);

impl Batch<'_> {
    /// Ends the batch: all that was written has its name and is durable when this returns.
    ///
    /// # Errors
    /// As [`Root::settle`].
    pub fn end(self) -> Result<()> {
        self.0.settle()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let held = self.0.held().take();
        for (dir, name) in held.into_iter().flat_map(|held| held.pending) {
            discard(&dir, &name);
        }
    }
}

/// Removes what has its temporary name: a file, or a directory with all that is in it.
fn discard(dir: &Dir, name: &str) {
    let _ = remove_at(dir.as_fd(), &temporary_name(name), MAX_DEPTH);
}

impl Root {
    /// Begins a batch. There is one at a time.
    pub fn batch(&self) -> Batch<'_> {
        self.held().get_or_insert_default();
        Batch(self)
    }

    /// Makes what was written so far durable and gives it its names. Without a batch all is durable already.
    ///
    /// # Errors
    /// The disk refuses: what is not durable does not get its name.
    pub fn settle(&self) -> Result<()> {
        if let Some(why) = self.held().as_ref().and_then(|held| held.failed.clone()) {
            bail!(why);
        }
        let Some(held) = self.held().as_mut().map(std::mem::take) else { return Ok(()) };
        // What has its name by then is not found by its temporary one.
        self.give_names(&held).inspect_err(|_| held.pending.iter().for_each(|(dir, name)| discard(dir, name)))
    }

    fn give_names(&self, held: &Held) -> Result<()> {
        let sync = || {
            held.touched.values().try_for_each(|dir| {
                nix::unistd::syncfs(dir)
                    .with_context(|| format!("syncing the file system of {}", dir.shown()))
            })
        };
        if held.pending.is_empty() {
            return sync();
        }
        sync()?;
        // In their order, and none after one that can't have its name: a group's number is found by the user's line before it.
        let named = held.pending.iter().try_for_each(|(dir, name)| {
            let renamed = renameat(dir, temporary_name(name).as_str(), dir, name.as_str());
            renamed.with_context(|| format!("{}/{name}", dir.shown()))
        });
        named.and(sync())
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a directory, or takes the one that the batch holds.
    pub(super) fn open_dir(&self, path: &str) -> Result<Arc<Dir>> {
        self.try_dir(path).map_err(|e| anyhow!("{}: {}", dir_path(path), e.desc()))
    }

    pub(super) fn try_dir(&self, path: &str) -> nix::Result<Arc<Dir>> {
        let path = dir_path(path);
        if let Some(held) = self.held().as_ref() {
            if held.failed.is_some() {
                return Err(Errno::EIO);
            }
            if let Some(dir) = held.dirs.get(&path) {
                return Ok(dir.clone());
            }
            if held.missing.contains_key(&path) {
                return Err(Errno::ENOENT);
            }
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let mut opened = self.resolve(&path, flags);
        if opened.is_err() && self.is_below_pending(&path) {
            self.settle().map_err(|why| self.fail(&why))?;
            opened = self.resolve(&path, flags);
        }
        if let (Err(Errno::ENOENT), Some(held)) = (&opened, self.held().as_mut()) {
            held.missing.insert(path.clone(), Missing::default());
        }
        let dir = Arc::new(Dir::of(opened?, &path).map_err(|_| Errno::EIO)?);
        if let Some(held) = self.held().as_mut() {
            if held.dirs.len() >= MAX_DIRS {
                held.forget();
            }
            held.dirs.insert(path, dir.clone());
        }
        Ok(dir)
    }

    /// Ends all further work of the batch: what is asked for next may need what has no name now.
    fn fail(&self, why: &anyhow::Error) -> Errno {
        if let Some(held) = self.held().as_mut() {
            held.failed = Some(format!("{why:#}"));
        }
        Errno::EIO
    }

    /// Whether something on the way to a path waits in the batch: a directory that was made with all that is in it.
    fn is_below_pending(&self, path: &str) -> bool {
        if self.held().as_ref().is_none_or(|held| held.pending.is_empty()) {
            return false;
        }
        let Ok((above, name)) = split(path) else { return false };
        match self.resolve(&dir_path(above), OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => Dir::of(fd, above).is_ok_and(|dir| self.pending(&dir, name)),
            Err(_) => self.is_below_pending(above),
        }
    }

    /// Whether [`Root::check_dirs`] has looked at this path before.
    pub(super) fn checked(&self, path: &str) -> bool {
        let mut held = self.held();
        let missing = held.as_mut().and_then(|held| held.missing.get_mut(path));
        missing.is_some_and(|missing| std::mem::replace(&mut missing.checked, true))
    }

    /// How much of a directory's path leads to one that is there, in bytes, and the path of that one without symbolic links.
    pub(super) fn standing(&self, path: &str) -> Result<(usize, String)> {
        if let Some(real) = self.real_dir(path)? {
            return Ok((path.len(), real));
        }
        let known = self.held().as_ref().and_then(|held| held.missing.get(path)?.stands);
        if let Some(stands) = known
            && let Some(real) = self.real_dir(&path[..stands])?
        {
            return Ok((stands, real));
        }
        let (stands, real) = self.standing(split(path)?.0)?;
        if let Some(missing) = self.held().as_mut().and_then(|held| held.missing.get_mut(path)) {
            missing.stands = Some(stands);
        }
        Ok((stands, real))
    }

    /// Says that names in a directory changed; they are durable when this returns, or when the batch is settled.
    pub(super) fn changed(&self, dir: &Arc<Dir>) -> Result<()> {
        match self.held().as_mut() {
            Some(held) => {
                held.missing.clear();
                held.touch(dir);
                Ok(())
            }
            None if dir.volatile => Ok(()),
            None => nix::unistd::fsync(dir).context("fsync of a directory"),
        }
    }

    /// Says that a directory, or what stands in it, has other bits or another owner.
    pub(super) fn touched(&self, dir: &Arc<Dir>) {
        if let Some(held) = self.held().as_mut() {
            held.touch(dir);
        }
    }

    /// Says that paths may lead elsewhere from now on.
    pub(super) fn moved(&self) {
        if let Some(held) = self.held().as_mut() {
            held.forget();
        }
    }

    /// Whether a file that was written needs a sync of its own before it gets its name.
    pub(super) fn syncs(&self, dir: &Dir) -> bool {
        !dir.volatile && self.held().is_none()
    }

    /// Leaves what was written under its temporary name for the batch to name, after all that was written before. Answers
    /// whether there is a batch that does. Where files wait in too many directories, these get their names first.
    ///
    /// # Errors
    /// As [`Root::settle`].
    pub(super) fn defer(&self, dir: &Arc<Dir>, name: &str) -> Result<bool> {
        let is_full = |held: &Held| {
            held.waiting.len() >= MAX_DIRS && !held.waiting.contains_key(&(dir.meta.device, dir.inode))
        };
        if self.held().as_ref().is_some_and(is_full) {
            self.settle()?;
        }
        let mut held = self.held();
        let Some(held) = held.as_mut().filter(|_| !dir.volatile && !dir.draft) else { return Ok(false) };
        held.touch(dir);
        let key = dir.key(name);
        if !held.keys.insert(key.clone()) {
            held.pending.retain(|(dir, name)| dir.key(name) != key);
        }
        let dir = held.waiting.entry((dir.meta.device, dir.inode)).or_insert_with(|| dir.clone());
        held.pending.push((dir.clone(), name.to_owned()));
        Ok(true)
    }

    /// Forgets what waits under a name: its temporary name is gone.
    pub(super) fn drop_pending(&self, dir: &Dir, name: &str) {
        if let Some(held) = self.held().as_mut() {
            let key = dir.key(name);
            held.pending.retain(|(dir, name)| dir.key(name) != key);
            held.keys.remove(&key);
        }
    }

    /// Takes back what waits for this name.
    pub fn withdraw(&self, path: &str) {
        let Ok((above, name)) = split(path) else { return };
        let Ok(dir) = self.try_dir(above) else { return };
        if self.pending(&dir, name) {
            self.drop_pending(&dir, name);
            discard(&dir, name);
        }
    }

    /// Keeps a lock until the batch is settled; without a batch it ends here.
    pub fn hold(&self, lock: OwnedFd) {
        if let Some(held) = self.held().as_mut() {
            held.locks.push(lock);
        }
    }

    /// Whether what a name stands for has its temporary name still.
    pub(super) fn pending(&self, dir: &Dir, name: &str) -> bool {
        self.held().as_ref().is_some_and(|held| !held.keys.is_empty() && held.keys.contains(&dir.key(name)))
    }

    /// Settles the batch where a name waits in it.
    pub(super) fn settle_name(&self, dir: &Dir, name: &str) -> Result<()> {
        if self.pending(dir, name) { self.settle() } else { Ok(()) }
    }

    /// Settles the batch where something waits in it in this directory.
    pub(super) fn settle_dir(&self, path: &str) -> Result<()> {
        let waits = |held: &Held, dir: &Dir| held.waiting.contains_key(&(dir.meta.device, dir.inode));
        let busy = self.held().as_ref().is_some_and(|held| !held.pending.is_empty());
        match if busy { self.try_dir(path) } else { return Ok(()) } {
            Ok(dir) if self.held().as_ref().is_some_and(|held| waits(held, &dir)) => self.settle(),
            _ => Ok(()),
        }
    }

    /// What stands at a path, itself and not what it leads to; `None` where that can't be told by the batch alone. A file that
    /// is asked for has its own name then.
    pub(super) fn look(&self, path: &str) -> Result<Option<nix::Result<Meta>>> {
        if self.held().is_none() {
            return Ok(None);
        }
        let Ok((above, name)) = split(path) else { return Ok(None) };
        let dir = match self.try_dir(above) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(Some(Err(Errno::ENOENT))),
            Err(_) => return Ok(None),
        };
        self.settle_name(&dir, name)?;
        Ok(Some(fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat))))
    }

    /// Sees to it that a path can be followed to its end: where that is a symbolic link or a file that waits in the batch, the
    /// batch is settled.
    pub(super) fn reach(&self, path: &str) -> Result<()> {
        if self.held().as_ref().is_none_or(|held| held.pending.is_empty()) {
            return Ok(());
        }
        let Ok((above, name)) = split(path) else { return Ok(()) };
        let Ok(dir) = self.try_dir(above) else { return Ok(()) };
        if self.pending(&dir, name) || readlinkat(&dir, name).is_ok() {
            return self.settle();
        }
        Ok(())
    }

    /// What stands at a path, symbolic links followed, as far as the batch can tell it with one question.
    pub(super) fn look_through(&self, path: &str) -> Result<Option<nix::Result<Meta>>> {
        match self.look(path)? {
            Some(Ok(meta)) if meta.kind == SFlag::S_IFLNK => {
                self.reach(path)?;
                Ok(None)
            }
            Some(Err(e)) if e != Errno::ENOENT => Ok(None),
            other => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests;
