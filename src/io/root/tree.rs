// SPDX-License-Identifier: Apache-2.0
//! Whole trees below a [`Root`]: files that are streamed, directories that take another's place, removal.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, RenameFlags, openat, renameat2};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, fstat, fstatat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Ids, MAX_LINKS, Meta, Root, SFlag, dir_path, split};

/// How deep a tree may be that is walked: deeper than any that an image has.
pub(super) const MAX_DEPTH: usize = 64;

/// How often to look whether a lock is free.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The lock of a directory.
pub type Lock = Flock<OwnedFd>;

impl Root {
    /// Opens a file to read it as a stream; `None` where it does not exist.
    ///
    /// # Errors
    /// It is not a regular file, or can't be read.
    pub fn open_file(&self, path: &str) -> Result<Option<File>> {
        self.reach(path)?;
        // Without O_NONBLOCK opening a FIFO waits for its writer.
        let fd = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(e) => bail!("{path}: {}", e.desc()),
        };
        let file = File::from(fd);
        if !file.metadata().with_context(|| path.to_owned())?.is_file() {
            bail!("{path}: is not a regular file");
        }
        Ok(Some(file))
    }

    /// Opens a file to write at its end, made `0600` where it is missing. Its directory is there already.
    ///
    /// # Errors
    /// What stands there is not a regular file, or the disk refuses.
    pub fn append_file(&self, path: &str) -> Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let (above, name) = split(path)?;
        let parent = self.open_dir(above)?;
        let fd = openat(&parent, name, flags, Mode::from_bits_truncate(0o600))
            .map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        let file = File::from(fd);
        if !file.metadata().with_context(|| path.to_owned())?.is_file() {
            bail!("{path}: is not a regular file");
        }
        Ok(file)
    }

    /// Gives a written file its owner, bits and time, and returns when all of it is on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish_file(&self, file: &File, mode: u32, ids: Ids, mtime: i64) -> Result<()> {
        self.own(file.as_fd(), ids)?;
        fchmod(file, Mode::from_bits_truncate(mode))?;
        let time = TimeSpec::new(mtime, 0);
        nix::sys::stat::futimens(file, &time, &time)?;
        file.sync_all()?;
        Ok(())
    }

    /// Makes durable what other programs wrote to the file system of a directory; one that is not there is none.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn sync_file_system(&self, dir: &str) -> Result<()> {
        let Ok(dir) = self.try_dir(dir) else { return Ok(()) };
        Ok(nix::unistd::syncfs(dir)?)
    }

    /// What stands at a path, a symbolic link itself included; `None` where nothing does.
    ///
    /// # Errors
    /// The way to it can't be followed.
    pub fn meta_of_link(&self, path: &str) -> Result<Option<Meta>> {
        let (above, name) = split(path)?;
        let Ok(parent) = self.try_dir(above) else { return Ok(None) };
        self.settle_name(&parent, name)?;
        match fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::of(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// The path below the root that a path leads to, symbolic links followed; `None` where it leads to nothing. Without
    /// `/proc`, which says it, the path is taken as it is named.
    ///
    /// # Errors
    /// The path can't be followed.
    pub fn real(&self, path: &str) -> Result<Option<String>> {
        match self.resolve(path, OFlag::O_PATH) {
            Ok(_) if !Path::new("/proc/self/fd").exists() => Ok(Some(path.to_owned())),
            Ok(fd) => self.real_path(fd.as_fd()).map(Some),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// The path without symbolic links, the last part of it as it is. What is missing on the way stays as it is named.
    ///
    /// # Errors
    /// The path can't be followed, or names no file.
    pub fn place(&self, path: &str) -> Result<String> {
        let (stands, real) = self.standing(split(path)?.0)?;
        Ok(format!("{}{}", real.trim_end_matches('/'), &path[stands..]))
    }

    /// The path of a directory without symbolic links, as [`Root::real`] says it.
    pub(super) fn real_dir(&self, path: &str) -> Result<Option<String>> {
        if self.held().is_none() {
            return self.real(&dir_path(path));
        }
        let dir = match self.try_dir(path) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => return Ok(None),
            Err(_) => return self.real(&dir_path(path)),
        };
        if let Some(real) = dir.real.get() {
            return Ok(Some(real.clone()));
        }
        let real =
            if Path::new("/proc/self/fd").exists() { self.real_path(dir.as_fd())? } else { dir_path(path) };
        Ok(Some(dir.real.get_or_init(|| real).clone()))
    }

    /// The path at which [`Root::put`] would write, without symbolic links, and whether something stands there.
    ///
    /// # Errors
    /// The path can't be followed, or names no file.
    pub fn destination(&self, path: &str) -> Result<(String, bool)> {
        let (mut path, mut link) = (self.place(path)?, None);
        for _ in 0..MAX_LINKS {
            let above = split(&path)?.0.to_owned();
            let Ok(dir) = self.open_dir(&above) else { return Ok((path, false)) };
            let writable = dir.writable();
            let meta = self.meta_of_link(&path)?;
            let is_link = meta.is_some_and(|meta| meta.kind == SFlag::S_IFLNK);
            let Some(target) = (if is_link { self.link_target(&path)? } else { None }) else {
                return Ok(match link.filter(|_| !writable) {
                    Some(link) => (link, true),
                    None => (path, meta.is_some()),
                });
            };
            let target = if target.starts_with('/') { target } else { format!("{above}/{target}") };
            if writable {
                link = Some(path);
            }
            path = self.place(&target)?;
        }
        bail!("{path}: too many symbolic links")
    }

    /// Removes a directory that is empty. Answers whether it is gone.
    ///
    /// # Errors
    /// It can't be removed for another reason than that it holds something.
    pub fn remove_dir(&self, path: &str) -> Result<bool> {
        let (above, name) = split(path)?;
        let parent = self.open_dir(above)?;
        match unlinkat(&parent, name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {
                self.moved();
                self.changed(&parent).map(|()| true)
            }
            Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::EBUSY) => Ok(false),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// Puts what stands at `from` where `to` says, in one step; what stood at `to` is then at `from`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn exchange(&self, from: &str, to: &str) -> Result<()> {
        self.settle()?;
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from)?, split(to)?);
        let (from_dir, to_dir) = (self.open_dir(from_dir)?, self.open_dir(to_dir)?);
        let rename = |flags| renameat2(&from_dir, from_name, &to_dir, to_name, flags);
        let result = match rename(RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => rename(RenameFlags::RENAME_EXCHANGE),
            other => other,
        };
        result.map_err(|e| anyhow!("{to}: {}", e.desc()))?;
        self.moved();
        self.changed(&to_dir)
    }

    /// Removes a file or a whole directory; absent is well. Symbolic links in it are removed, not followed.
    ///
    /// # Errors
    /// Something in it can't be removed, or is a mount point.
    pub fn remove_tree(&self, path: &str) -> Result<()> {
        let (above, name) = split(path)?;
        let Ok(parent) = self.try_dir(above) else { return Ok(()) };
        self.settle_name(&parent, name)?;
        if matches!(fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW), Err(Errno::ENOENT)) {
            return Ok(());
        }
        self.settle()?;
        remove_at(parent.as_fd(), name, MAX_DEPTH).with_context(|| path.to_owned())?;
        self.moved();
        self.changed(&parent)
    }

    /// Takes the lock of a directory for as long as the answer lives; it leaves nothing behind. While another program holds it,
    /// this waits for `patience`. A directory that its holder removed is made again, for root alone.
    ///
    /// # Errors
    /// Another program still holds it: which one, as far as the kernel tells.
    pub fn lock_dir(&self, path: &str, patience: Duration) -> Result<Lock> {
        let said = |e: Errno| anyhow!("{path}: {}", e.desc());
        let open = || self.resolve(&dir_path(path), OFlag::O_RDONLY | OFlag::O_DIRECTORY).map_err(said);
        let (mut dir, deadline) = (open()?, Instant::now() + patience);
        loop {
            dir = match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
                Ok(held) if fstat(&*held).map_err(said)?.st_nlink > 0 => return Ok(held),
                Ok(_) => {
                    self.put_dir(path, 0o700, Ids::ROOT)?;
                    open()?
                }
                Err((_, error)) if error != Errno::EWOULDBLOCK => return Err(said(error)),
                Err((refused, error)) if Instant::now() >= deadline => {
                    let holder = holder(&refused).unwrap_or_else(|| error.desc().to_owned());
                    bail!("{path}: another footplate works there ({holder})");
                }
                Err((refused, _)) => {
                    sleep(LOCK_POLL);
                    refused
                }
            }
        }
    }

    /// The path by which another program, in this process's own root, reaches what stands at a path below this root. Good as
    /// long as the answer lives.
    ///
    /// # Errors
    /// Nothing stands there.
    pub fn outside(&self, path: &str) -> Result<Outside> {
        self.reach(path)?;
        let fd = self.resolve(path, OFlag::O_PATH).map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        Ok(Outside(fd))
    }

    /// Sets the time of whatever stands at a path, a symbolic link itself included.
    ///
    /// # Errors
    /// Nothing stands there, or the disk refuses.
    pub fn set_mtime(&self, path: &str, mtime: i64) -> Result<()> {
        let (above, name) = split(path)?;
        let (parent, time) = (self.open_dir(above)?, TimeSpec::new(mtime, 0));
        self.settle_name(&parent, name)?;
        utimensat(&parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(|e| anyhow!("{path}: {}", e.desc()))
    }
}

/// A file below a root, held open.
#[derive(Debug)]
pub struct Outside(OwnedFd);

impl Outside {
    /// Its path for this process and its children.
    pub fn path(&self) -> std::path::PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

/// Removes a file, or a directory with what is in it, down to a depth; absent is well.
pub(super) fn remove_at(parent: BorrowedFd<'_>, name: &str, depth: usize) -> Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(e) => bail!("{name}: {}", e.desc()),
    }
    if depth == 0 {
        bail!("{name}: a tree deeper than {MAX_DEPTH}");
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let dir = openat(parent, name, flags, Mode::empty()).map_err(|e| anyhow!("{name}: {}", e.desc()))?;
    let mut names = Vec::new();
    for entry in nix::dir::Dir::from_fd(dir.try_clone()?)?.iter() {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    for inner in names.iter().filter(|n| *n != "." && *n != "..") {
        remove_at(dir.as_fd(), inner, depth - 1)?;
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir).map_err(|e| anyhow!("{name}: {}", e.desc()))
}

/// Who holds the lock of a directory, by [proc_locks(5)](https://man7.org/linux/man-pages/man5/proc_locks.5.html): a process
/// and its command.
fn holder(dir: &OwnedFd) -> Option<String> {
    let inode = nix::sys::stat::fstat(dir).ok()?.st_ino.to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:01:131 0 EOF`; a process of another namespace is 0.
    let mut held = locks.lines().map(|line| line.split_whitespace().skip(1).collect::<Vec<_>>());
    let lock = held.find(|l| {
        l.first() == Some(&"FLOCK") && l.get(4).is_some_and(|at| at.rsplit(':').next() == Some(&inode))
    })?;
    let process: u32 = lock.get(3)?.parse().ok().filter(|process| *process != 0)?;
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words = command.split(|b| *b == 0).take(2).map(String::from_utf8_lossy).collect::<Vec<_>>();
    Some(format!("process {process}, `{}`", words.join(" ").trim().chars().take(80).collect::<String>()))
}
