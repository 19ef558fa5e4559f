// SPDX-License-Identifier: Apache-2.0
//! Directories and files below a root: whole or absent.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::batch::volatile;
use super::tree::{MAX_DEPTH, remove_at};
use super::{Change, Ids, Meta, Opened, Place, Root, split, temporary_name};

impl Root {
    /// Makes a directory and what is missing above it; what is missing becomes `ids`' and `0755`.
    ///
    /// # Errors
    /// A part of the path is not a directory, or is a symbolic link to something that does not exist below the root.
    pub fn make_dirs(&self, path: &str, ids: Ids) -> Result<Change> {
        if path.is_empty() || path == "/" || self.try_dir(path).is_ok() {
            return Ok(Change::Unchanged);
        }
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        self.make_dirs(above, ids)?;
        let parent = self.open_dir(above)?;
        if self.pending(&parent, name) {
            self.settle()?;
            return self.make_dirs(path, ids);
        }
        if fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() {
            // It may have come since it was looked for.
            self.moved();
            if self.try_dir(path).is_ok() {
                return Ok(Change::Unchanged);
            }
            return self.not_a_directory(path, &parent, name);
        }
        let mode = Mode::from_bits_truncate(0o755);
        let temporary = temporary_name(name);
        let owned = || {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let _ = remove_at(parent.as_fd(), &temporary, MAX_DEPTH);
            mkdirat(&parent, temporary.as_str(), mode)?;
            self.own(openat(&parent, temporary.as_str(), flags, Mode::empty())?.as_fd(), ids)?;
            renameat(&parent, temporary.as_str(), &parent, name)
        };
        // It has its owner when it gets its name: a run that is cut off leaves no directory with the wrong one.
        let made = if self.ours(&parent, ids) { mkdirat(&parent, name, mode) } else { owned() };
        if let Err(e) = made {
            let _ = unlinkat(&parent, temporary.as_str(), UnlinkatFlags::RemoveDir);
            if e == Errno::EEXIST {
                // Another run has just made it.
                return self.make_dirs(path, ids);
            }
            return Err(anyhow::Error::new(e).context(path.to_owned()));
        }
        if volatile(path) {
            self.moved();
        } else {
            self.changed(&parent)?;
        }
        Ok(Change::Changed)
    }

    /// Makes a directory with these bits and owner.
    ///
    /// # Errors
    /// As [`Root::make_dirs`].
    pub fn put_dir(&self, path: &str, mode: u32, ids: Ids) -> Result<Change> {
        let made = self.make_dirs(path, ids)?;
        let fd = self.open_dir(path)?;
        if Meta::of(&nix::sys::stat::fstat(&*fd)?).is(mode, self.settable(ids)) {
            return Ok(made);
        }
        self.own(fd.as_fd(), ids).with_context(|| path.to_owned())?;
        fchmod(&fd, Mode::from_bits_truncate(mode)).map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        self.touched(&fd);
        // Its group is what new files in it get.
        self.moved();
        Ok(Change::Changed)
    }

    /// Makes a directory that is not there, with what `fill` puts into it under the path that it is given: all or nothing.
    ///
    /// # Errors
    /// Those of `fill`, or the disk refuses.
    pub fn put_new_dir(&self, path: &str, fill: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let (above, name) = split(path)?;
        let draft = format!("{above}/{}", temporary_name(name));
        // What a run that was cut off left.
        self.remove_tree(&draft)?;
        let parent = self.open_dir(above)?;
        if let Err(error) = fill(&draft) {
            // What waits in it has to go first.
            if self.remove_tree(&draft).is_err() {
                let _ = remove_at(parent.as_fd(), &temporary_name(name), MAX_DEPTH);
            }
            return Err(error);
        }
        self.moved();
        if self.defer(&parent, name)? {
            return Ok(());
        }
        renameat(&parent, temporary_name(name).as_str(), &parent, name)
            .map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        self.changed(&parent)
    }

    /// Makes a file hold these bytes with these bits and this owner, all or nothing: what stood there stays whole until
    /// the new content is on the disk. A symbolic link at the path is followed, or gives way where it leads to a file system that
    /// can't be written: Flatcar has such links from `/etc` into `/usr`.
    ///
    /// # Errors
    /// The path can't be followed, is a directory, or the disk refuses; what stood there is untouched then.
    pub fn put(&self, path: &str, bytes: &[u8], mode: u32, ids: Ids) -> Result<Change> {
        let (place, meta, link) = self.locate(path, ids)?;
        match meta.map(|meta| meta.kind) {
            Some(SFlag::S_IFDIR) => bail!("{path}: is a directory"),
            // Replacing a device node or a FIFO by a file is never what was meant.
            Some(kind) if kind != SFlag::S_IFREG => bail!("{path}: is not a regular file"),
            _ => {}
        }
        let same = meta.is_some_and(|m| m.is(mode, self.settable(ids)) && m.size == bytes.len() as u64);
        if same && self.holds(&place, bytes).with_context(|| path.to_owned())? {
            // Files get their names in the order in which they were asked for last.
            if self.pending(&place.0, &place.1) {
                self.defer(&place.0, &place.1)?;
            }
            return Ok(Change::Unchanged);
        }
        self.write_at(&link.unwrap_or(place), bytes, mode, ids).with_context(|| path.to_owned())?;
        Ok(Change::Changed)
    }

    /// Whether a file holds these bytes.
    fn holds(&self, (parent, name): &Place, bytes: &[u8]) -> Result<bool> {
        let waits = self.pending(parent, name).then(|| temporary_name(name));
        let name = waits.as_deref().unwrap_or(name);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let Ok(fd) = openat(parent, name, flags, Mode::empty()) else { return Ok(false) };
        let mut have = Vec::with_capacity(bytes.len());
        File::from(fd).take(bytes.len() as u64 + 1).read_to_end(&mut have)?;
        Ok(have == bytes)
    }

    /// Makes a file that can be written of a symbolic link that leads to one which can't, with the same bytes, bits and owner.
    ///
    /// # Errors
    /// As [`Root::put`]; it is larger than `limit` bytes.
    pub fn put_own(&self, path: &str, limit: usize) -> Result<Change> {
        let (Some(meta), Some(bytes)) = (self.meta(path)?, self.read(path, limit)?) else {
            return Ok(Change::Unchanged);
        };
        let ids = Ids { uid: Some(meta.uid), gid: Some(meta.gid) };
        let (_, _, Some(link)) = self.locate(path, ids)? else { return Ok(Change::Unchanged) };
        self.write_at(&link, &bytes, meta.mode, ids).with_context(|| path.to_owned())?;
        Ok(Change::Changed)
    }

    pub(super) fn write_at(&self, (parent, name): &Place, bytes: &[u8], mode: u32, ids: Ids) -> Result<()> {
        // One name per target, so that the leftover of a power cut is replaced and not collected.
        let temporary = temporary_name(name);
        let written = self.write_new(parent, &temporary, bytes, mode, ids).and_then(|()| {
            if self.defer(parent, name)? {
                return Ok(true);
            }
            renameat(parent, temporary.as_str(), parent, name.as_str())?;
            Ok(false)
        });
        match written {
            Ok(true) => Ok(()),
            Ok(false) => self.changed(parent),
            Err(error) => {
                self.drop_pending(parent, name);
                let _ = unlinkat(parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
                Err(error)
            }
        }
    }

    fn write_new(&self, parent: &Opened, name: &str, bytes: &[u8], mode: u32, ids: Ids) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        // Nobody else reads it before owner and bits are right.
        let open = || openat(parent, name, flags, Mode::from_bits_truncate(0o600));
        let mut file = File::from(match open() {
            Err(Errno::EEXIST) => {
                let _ = unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
                open()?
            }
            opened => opened?,
        });
        file.write_all(bytes)?;
        if !self.ours(parent, ids) {
            self.own(file.as_fd(), ids)?;
        }
        // After the owner: chown takes set-id bits away.
        fchmod(&file, Mode::from_bits_truncate(mode))?;
        if self.syncs(parent) {
            file.sync_all()?;
        }
        Ok(())
    }
    /// Whether what is made in a directory has its owner at once: it is its maker's, and its group's unless the directory has
    /// another.
    fn ours(&self, parent: &Opened, ids: Ids) -> bool {
        let (ids, (uid, gid)) = (self.settable(ids), self.own);
        gid == parent.gid() && ids.uid.is_none_or(|u| u == uid) && ids.gid.is_none_or(|g| g == gid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn two_make_the_same_directories_at_once() {
        let dir = std::env::temp_dir().join(format!("footplate-at-once-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let start = Barrier::new(4);
        let make = || -> Vec<String> {
            let root = Root::open(&dir, false).unwrap();
            let tried = (0..300).map(|n| {
                start.wait();
                root.put_dir(&format!("/run{n}/a"), 0o700, Ids::ROOT).map(drop)
            });
            tried.filter_map(|made| made.err().map(|e| format!("{e:#}"))).collect()
        };
        let wrong: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
