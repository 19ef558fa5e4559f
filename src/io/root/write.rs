// SPDX-License-Identifier: Apache-2.0
//! Directories and files below a root: whole or absent.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Change, Ids, Meta, Place, Root, sync, temporary_name};

impl Root {
    /// Makes a directory and what is missing above it; what is missing becomes `ids`' and `0755`.
    ///
    /// # Errors
    /// A part of the path is not a directory, or is a symbolic link to something that does not exist below the root.
    pub fn make_dirs(&self, path: &str, ids: Ids) -> Result<Change> {
        if path.is_empty() || path == "/" || self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY).is_ok() {
            return Ok(Change::Unchanged);
        }
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        self.make_dirs(above, ids)?;
        let parent = self.open_dir(above)?;
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => {
                let made = openat(
                    &parent,
                    name,
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW,
                    Mode::empty(),
                )?;
                self.own(made.as_fd(), ids)?;
                sync(&parent)?;
                Ok(Change::Changed)
            }
            Err(Errno::EEXIST) => self.not_a_directory(path, &parent, name),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// Makes a directory with these bits and owner.
    ///
    /// # Errors
    /// As [`Root::make_dirs`].
    pub fn put_dir(&self, path: &str, mode: u32, ids: Ids) -> Result<Change> {
        let made = self.make_dirs(path, ids)?;
        let fd = self.open_dir(path)?;
        if Meta::of(&nix::sys::stat::fstat(&fd)?).is(mode, self.settable(ids)) {
            return Ok(made);
        }
        self.own(fd.as_fd(), ids).with_context(|| path.to_owned())?;
        fchmod(&fd, Mode::from_bits_truncate(mode)).map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        Ok(Change::Changed)
    }

    /// Makes a file hold these bytes with these bits and this owner, all or nothing: what stood there stays whole until
    /// the new content is on the disk. A symbolic link at the path is followed, or gives way where it leads to a file system that
    /// can't be written: Flatcar has such links from `/etc` into `/usr`.
    ///
    /// # Errors
    /// The path can't be followed, is a directory, or the disk refuses; what stood there is untouched then.
    pub fn put(&self, path: &str, bytes: &[u8], mode: u32, ids: Ids) -> Result<Change> {
        let ((parent, name), link) = self.locate(path, ids)?;
        match fstatat(&parent, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if Meta::of(&stat).kind == SFlag::S_IFDIR => bail!("{path}: is a directory"),
            // Replacing a device node or a FIFO by a file is never what was meant.
            Ok(stat) if Meta::of(&stat).kind != SFlag::S_IFREG => bail!("{path}: is not a regular file"),
            Ok(stat)
                if Meta::of(&stat).is(mode, self.settable(ids)) && stat.st_size == bytes.len() as i64 =>
            {
                let fd = openat(&parent, name.as_str(), OFlag::O_RDONLY | OFlag::O_NOFOLLOW, Mode::empty());
                let mut have = Vec::with_capacity(bytes.len());
                if let Ok(fd) = fd {
                    File::from(fd)
                        .take(bytes.len() as u64 + 1)
                        .read_to_end(&mut have)
                        .with_context(|| path.to_owned())?;
                    if have == bytes {
                        return Ok(Change::Unchanged);
                    }
                }
            }
            Ok(_) | Err(Errno::ENOENT) => {}
            Err(e) => bail!("{path}: {}", e.desc()),
        }
        self.write_at(&link.unwrap_or((parent, name)), bytes, mode, ids).with_context(|| path.to_owned())?;
        Ok(Change::Changed)
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
        let (_, Some(link)) = self.locate(path, ids)? else { return Ok(Change::Unchanged) };
        self.write_at(&link, &bytes, meta.mode, ids).with_context(|| path.to_owned())?;
        Ok(Change::Changed)
    }

    pub(super) fn write_at(&self, (parent, name): &Place, bytes: &[u8], mode: u32, ids: Ids) -> Result<()> {
        // One name per target, so that the leftover of a power cut is replaced and not collected.
        let temporary = temporary_name(name);
        let written = self.write_new(parent, &temporary, bytes, mode, ids).and_then(|()| {
            renameat(parent, temporary.as_str(), parent, name.as_str())?;
            Ok(())
        });
        if written.is_err() {
            let _ = unlinkat(parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            return written;
        }
        sync(parent)
    }

    pub(super) fn write_new(
        &self,
        parent: &OwnedFd,
        name: &str,
        bytes: &[u8],
        mode: u32,
        ids: Ids,
    ) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let _ = unlinkat(parent, name, UnlinkatFlags::NoRemoveDir);
        // Nobody else reads it before owner and bits are right.
        let mut file = File::from(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
        file.write_all(bytes)?;
        self.own(file.as_fd(), ids)?;
        // After the owner: chown takes set-id bits away.
        fchmod(&file, Mode::from_bits_truncate(mode))?;
        file.sync_all()?;
        Ok(())
    }
}
