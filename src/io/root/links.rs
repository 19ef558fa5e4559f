// SPDX-License-Identifier: Apache-2.0
//! Links below a root, symbolic and hard ones.

use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, readlinkat, renameat};
use nix::sys::stat::FileStat;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

use super::{Change, Ids, Opened, Root, split, temporary_name};

impl Root {
    /// Makes a symbolic link say `target`.
    ///
    /// # Errors
    /// Something other than a symbolic link is there, or the disk refuses.
    pub fn put_link(&self, path: &str, target: &str) -> Result<Change> {
        if self.link_target(path)?.is_none() && self.stands(path)? {
            bail!("{path}: exists and is not a symbolic link")
        }
        self.replace_link(path, target)
    }

    /// The same, and a file that stands there gives way.
    ///
    /// # Errors
    /// A directory stands there, or the disk refuses.
    pub fn replace_link(&self, path: &str, target: &str) -> Result<Change> {
        if self.link_target(path)?.as_deref() == Some(target) {
            return Ok(Change::Unchanged);
        }
        self.link_anew(path, |parent, temporary| symlinkat(target, parent, temporary))
    }

    /// Makes a path another name of the file at `target`; a file or a symbolic link that stands there gives way.
    ///
    /// # Errors
    /// The file does not exist, is a directory, or the disk refuses.
    pub fn put_hard_link(&self, path: &str, target: &str) -> Result<Change> {
        self.settle()?;
        let file = self
            .resolve(target, OFlag::O_PATH | OFlag::O_NOFOLLOW)
            .map_err(|e| anyhow!("{path}: {target}: {}", e.desc()))?;
        if self.same_file(path, target)? {
            return Ok(Change::Unchanged);
        }
        // The descriptor and not the path: another file may have the path by now.
        let file = format!("/proc/self/fd/{}", file.as_raw_fd());
        self.link_anew(path, |parent, temporary| {
            linkat(nix::fcntl::AT_FDCWD, file.as_str(), parent, temporary, AtFlags::AT_SYMLINK_FOLLOW)
        })
    }

    /// Whether two paths are names of one file.
    ///
    /// # Errors
    /// A path can't be followed.
    pub fn same_file(&self, one: &str, other: &str) -> Result<bool> {
        self.reach(one)?;
        self.reach(other)?;
        let stat = |path: &str| -> Result<Option<FileStat>> {
            match self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
                Ok(fd) => Ok(Some(nix::sys::stat::fstat(&fd)?)),
                Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
                Err(e) => bail!("{path}: {}", e.desc()),
            }
        };
        let ids = |stat: Option<FileStat>| stat.map(|s| (s.st_dev, s.st_ino));
        let one = ids(stat(one)?);
        Ok(one.is_some() && one == ids(stat(other)?))
    }

    /// Whether anything stands at a path, a symbolic link that leads nowhere too.
    ///
    /// # Errors
    /// The way to it can't be followed.
    pub fn stands(&self, path: &str) -> Result<bool> {
        match self.look(path)? {
            Some(Ok(_)) => return Ok(true),
            Some(Err(Errno::ENOENT)) => return Ok(false),
            _ => {}
        }
        match self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// Makes a link under another name and moves it into its place.
    fn link_anew(&self, path: &str, make: impl FnOnce(&Opened, &str) -> nix::Result<()>) -> Result<Change> {
        let (above, name) = split(path)?;
        self.make_dirs(above, Ids::ROOT)?;
        let parent = self.open_dir(above)?;
        self.settle_name(&parent, name)?;
        let temporary = temporary_name(name);
        let _ = unlinkat(&parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
        let made =
            make(&parent, &temporary).and_then(|()| renameat(&parent, temporary.as_str(), &parent, name));
        if let Err(e) = made {
            let _ = unlinkat(&parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir);
            bail!("{path}: {}", e.desc());
        }
        self.moved();
        self.changed(&parent)?;
        Ok(Change::Changed)
    }

    /// What a symbolic link says; `None` where none stands.
    ///
    /// # Errors
    /// The way to it can't be followed.
    pub fn link_target(&self, path: &str) -> Result<Option<String>> {
        let (above, name) = split(path)?;
        let Ok(parent) = self.try_dir(above) else { return Ok(None) };
        self.settle_name(&parent, name)?;
        self.link_at(&parent, name)
    }

    pub(super) fn link_at(&self, parent: &Opened, name: &str) -> Result<Option<String>> {
        match readlinkat(parent, name) {
            Ok(target) => Ok(Some(String::from_utf8_lossy(&target.into_vec()).into_owned())),
            Err(Errno::EINVAL | Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(e) => Err(anyhow!("{name}: {}", e.desc())),
        }
    }
}
