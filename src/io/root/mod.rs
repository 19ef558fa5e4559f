// SPDX-License-Identifier: Apache-2.0
//! A directory under which paths cannot escape, and files that are whole or absent.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result, anyhow, bail};
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::mount::{MsFlags, mount};
pub use nix::sys::stat::SFlag;
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, getegid, geteuid, unlinkat};

use crate::model::encoding::hex;

mod batch;
mod links;
mod scratch;
mod tree;
mod write;

pub use batch::Batch;
use batch::{DRAFT, Dir as Opened, Held};
pub use scratch::Scratch;
pub use tree::Lock;

/// Room for what is read of a file that says no size, as the kernel's own do.
const KERNEL_FILE: usize = 16 << 10;

/// Symbolic links that a path may go through at its end, as the kernel allows.
const MAX_LINKS: usize = 40;

/// A directory that stands for `/`. Every path is resolved by the kernel below it (`openat2` with `RESOLVE_IN_ROOT`),
/// so neither `..` nor a symbolic link leads out, even while another process moves directories.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    live: bool,
    /// Who we are.
    own: (u32, u32),
    batch: Mutex<Option<Held>>,
}

/// A directory, and a name in it.
type Place = (Arc<Opened>, String);

/// Where a file belongs: the place, what stands there, and the link on the way to it that gives way.
type Found = (Place, Option<Meta>, Option<Place>);

/// Numbers of who owns something; `None` leaves it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// User.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
}

impl Ids {
    /// Root's.
    pub const ROOT: Self = Self { uid: Some(0), gid: Some(0) };

    /// These numbers, and `other`'s where one is missing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { uid: self.uid.or(other.uid), gid: self.gid.or(other.gid) }
    }
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// `S_IFMT` part of the mode.
    pub kind: SFlag,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970 when the content last changed.
    pub mtime: i64,
    /// The file system's device.
    pub device: u64,
}

impl Meta {
    fn of(stat: &FileStat) -> Self {
        Self {
            kind: SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size.unsigned_abs(),
            mtime: stat.st_mtime,
            device: stat.st_dev,
        }
    }

    /// Whether bits and owner are as wished.
    pub fn is(&self, mode: u32, ids: Ids) -> bool {
        self.mode == mode && ids.uid.is_none_or(|u| u == self.uid) && ids.gid.is_none_or(|g| g == self.gid)
    }
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was as wished already.
    Unchanged,
    /// It is now as wished.
    Changed,
}

impl Root {
    /// Opens a directory as root.
    ///
    /// # Errors
    /// It is not there or no directory.
    pub fn open(path: &Path, live: bool) -> Result<Self> {
        let dir =
            nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .map_err(|e| anyhow!("{}: {}", path.display(), e.desc()))?;
        Ok(Self {
            dir,
            path: path.to_owned(),
            live,
            own: (geteuid().as_raw(), getegid().as_raw()),
            batch: Mutex::new(None),
        })
    }

    /// Whether this is the system that runs, so that units are started and not only written.
    pub fn live(&self) -> bool {
        self.live
    }

    /// The directory's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether owners can be set: root's privilege.
    pub fn privileged(&self) -> bool {
        self.own.0 == 0
    }

    fn resolve(&self, path: &str, flags: OFlag) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        // The kernel answers EAGAIN when a directory was moved while it looked (openat2(2)): ask again, not for ever.
        for _ in 0..16 {
            match openat2(&self.dir, path, how) {
                Err(Errno::EAGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::EAGAIN)
    }

    /// Reads a file; `None` where it does not exist.
    ///
    /// # Errors
    /// It is larger than `limit` bytes, or can't be read.
    pub fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        self.reach(path)?;
        // A FIFO without a writer would hold the boot for ever.
        let fd = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(e) => bail!("{path}: {}", e.desc()),
        };
        let meta = Meta::of(&nix::sys::stat::fstat(&fd)?);
        if meta.kind != SFlag::S_IFREG {
            bail!("{path}: is not a regular file");
        }
        // One read and one that finds the end. The kernel's own files say no size, and some are made anew for each read.
        let size = if meta.size == 0 { KERNEL_FILE } else { meta.size.min(limit as u64) as usize + 1 };
        let mut bytes = Vec::with_capacity(size);
        let file = File::from(fd);
        file.take(limit as u64 + 1).read_to_end(&mut bytes).with_context(|| path.to_owned())?;
        if bytes.len() > limit {
            bail!("{path}: larger than {limit} bytes");
        }
        Ok(Some(bytes))
    }

    /// What stands at a path, symbolic links followed; `None` where nothing does.
    ///
    /// # Errors
    /// The path can't be followed.
    pub fn meta(&self, path: &str) -> Result<Option<Meta>> {
        if let Some(seen) = self.look_through(path)? {
            return Ok(seen.ok());
        }
        match self.resolve(path, OFlag::O_PATH) {
            Ok(fd) => Ok(Some(Meta::of(&nix::sys::stat::fstat(&fd)?))),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// The names in a directory, sorted; none where it is absent.
    ///
    /// # Errors
    /// It can't be read.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        self.settle_dir(path)?;
        let fd = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Vec::new()),
            Err(e) => bail!("{path}: {}", e.desc()),
        };
        let mut names = Vec::new();
        for entry in Dir::from_fd(fd)?.iter() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether [`Root::make_dirs`] could make a directory, as far as can be told without writing.
    ///
    /// # Errors
    /// Those of [`Root::make_dirs`].
    pub fn check_dirs(&self, path: &str) -> Result<()> {
        if path.is_empty() || path == "/" || self.try_dir(path).is_ok() || self.checked(path) {
            return Ok(());
        }
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
        self.check_dirs(above)?;
        match self.try_dir(above) {
            Ok(parent) if fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok() => {
                self.not_a_directory(path, &parent, name)
            }
            _ => Ok(()),
        }
    }

    /// The error for a path that is not a directory.
    fn not_a_directory<T>(&self, path: &str, parent: &Opened, name: &str) -> Result<T> {
        match self.link_at(parent, name)? {
            Some(_) => bail!("{path}: a symbolic link that leads out of the root or to nothing"),
            None => match self.try_dir(path) {
                Err(denied @ Errno::EACCES) => bail!("{path}: {}", denied.desc()),
                _ => bail!("{path}: is not a directory"),
            },
        }
    }

    /// Removes a file; absent is well.
    ///
    /// # Errors
    /// It can't be removed.
    pub fn remove(&self, path: &str) -> Result<Change> {
        let (above, name) = split(path)?;
        let Ok(parent) = self.try_dir(above) else { return Ok(Change::Unchanged) };
        self.settle_name(&parent, name)?;
        match unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) => {
                self.moved();
                self.changed(&parent)?;
                Ok(Change::Changed)
            }
            Err(Errno::ENOENT) => Ok(Change::Unchanged),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }

    /// Lets programs run from a directory that is mounted with `noexec`.
    ///
    /// # Errors
    /// Its mount can't be changed: it needs root, and a directory that is a mount point itself.
    pub fn allow_programs(&self, path: &str) -> Result<Change> {
        let failed =
            |e: Errno| anyhow!("{path}: mounted with noexec, which can't be taken away: {}", e.desc());
        let directory = self.open_dir(path)?;
        let have = fstatvfs(&directory).map_err(failed)?.flags();
        if !have.contains(FsFlags::ST_NOEXEC) {
            return Ok(Change::Unchanged);
        }
        // The mount point's own flags; those that are not named are taken away.
        let kept = [
            (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
            (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
            (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
            (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
            (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
            (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
        ];
        let kept = kept.into_iter().filter(|(flag, _)| have.contains(*flag)).map(|(_, flag)| flag);
        let flags = kept.fold(MsFlags::MS_REMOUNT | MsFlags::MS_BIND, |all, flag| all | flag);
        let none: Option<&str> = None;
        let place = directory.link();
        mount(none, place.as_str(), none, flags, none).map_err(failed)?;
        Ok(Change::Changed)
    }

    /// Changes the owner of whatever stands at a path, a symbolic link itself included.
    ///
    /// # Errors
    /// It can't be changed.
    pub fn chown(&self, path: &str, ids: Ids) -> Result<Change> {
        let ids = self.settable(ids);
        let (above, name) = split(path)?;
        let parent = self.open_dir(above)?;
        self.settle_name(&parent, name)?;
        let have = fstatat(&parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).map(|stat| Meta::of(&stat));
        if have.is_ok_and(|have| have.is(have.mode, ids)) {
            return Ok(Change::Unchanged);
        }
        let (uid, gid) = (ids.uid.map(Uid::from_raw), ids.gid.map(Gid::from_raw));
        fchownat(&parent, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
            .map_err(|e| anyhow!("{path}: {}", e.desc()))?;
        self.touched(&parent);
        // A directory's group is what new files in it get.
        self.moved();
        Ok(Change::Changed)
    }

    /// The directory and the name in it where a file of that path belongs, and what stands there; missing directories are made.
    /// Where that can't be written, also the last symbolic link on the way that can.
    fn locate(&self, path: &str, ids: Ids) -> Result<Found> {
        let mut path = path.to_owned();
        let mut link = None;
        for _ in 0..MAX_LINKS {
            let (above, name) = split(&path)?;
            self.make_dirs(above, ids)?;
            let parent = self.open_dir(above)?;
            let waits = self.pending(&parent, name).then(|| temporary_name(name));
            let stat = fstatat(&parent, waits.as_deref().unwrap_or(name), AtFlags::AT_SYMLINK_NOFOLLOW);
            let meta = match stat {
                Ok(stat) => Some(Meta::of(&stat)),
                Err(Errno::ENOENT) => None,
                Err(e) => bail!("{path}: {}", e.desc()),
            };
            let is_link = meta.is_some_and(|meta| meta.kind == SFlag::S_IFLNK);
            let target = if is_link { self.link_at(&parent, name)? } else { None };
            let writable = parent.writable();
            let place = (parent, name.to_owned());
            let Some(target) = target else {
                return Ok((place, meta, link.filter(|_| !writable)));
            };
            path = if target.starts_with('/') {
                target
            } else {
                format!("{}/{target}", self.real_path(place.0.as_fd())?)
            };
            if writable {
                link = Some(place);
            }
        }
        bail!("{path}: too many symbolic links")
    }

    /// A directory's path below the root, without symbolic links.
    fn real_path(&self, dir: BorrowedFd<'_>) -> Result<String> {
        let of = |fd: BorrowedFd<'_>| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let (root, dir) = (of(self.dir.as_fd())?, of(dir)?);
        let below = dir.strip_prefix(&root).with_context(|| format!("{}: left the root", dir.display()))?;
        Ok(format!("/{}", below.display()))
    }

    /// What of the owner can be set: all of it for root, nothing for anybody else.
    fn settable(&self, ids: Ids) -> Ids {
        if self.privileged() { ids } else { Ids::default() }
    }

    fn own(&self, fd: BorrowedFd<'_>, ids: Ids) -> nix::Result<()> {
        let ids = self.settable(ids);
        fchown(fd, ids.uid.map(Uid::from_raw), ids.gid.map(Gid::from_raw))
    }
}

/// A path's directory and last part.
fn split(path: &str) -> Result<(&str, &str)> {
    match path.rsplit_once('/') {
        Some((above, name)) if !name.is_empty() && name != "." && name != ".." => Ok((above, name)),
        _ => bail!("{path}: names no file"),
    }
}

fn dir_path(above: &str) -> String {
    if above.is_empty() { "/".to_owned() } else { above.to_owned() }
}

/// The name under which a file is written before it takes its place. A hash, since a name may fill its 255 bytes.
fn temporary_name(name: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(name.as_bytes());
    // Long enough that no two names of a directory meet.
    format!("{DRAFT}{}", hex(&digest[..16]))
}

/// Takes the write lock of a lock file of the running system, as lockf(3) does; it is held until the descriptor closes.
///
/// # Errors
/// Another program holds it for 15 seconds, as long as lckpwdf(3) waits.
pub fn lock_file(path: &str) -> Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, fcntl};
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let fd = nix::fcntl::open(path, flags, Mode::from_bits_truncate(0o600))
        .map_err(|e| anyhow!("{path}: {}", e.desc()))?;
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    for _ in 0..150 {
        match fcntl(&fd, FcntlArg::F_SETLK(&whole)) {
            Ok(_) => return Ok(fd),
            Err(Errno::EAGAIN | Errno::EACCES) => std::thread::sleep(std::time::Duration::from_millis(100)),
            Err(e) => bail!("{path}: {}", e.desc()),
        }
    }
    bail!("{path}: another program has held this lock for 15 s")
}
