// SPDX-License-Identifier: Apache-2.0
//! Metadata on a drive: found by the label of its file system, mounted read-only and nowhere that anybody else sees it.
//!
//! Labels are read from the file systems themselves and not from `/dev/disk/by-label`: those links are udev's, which may
//! not have run yet, and of two drives with one label only one has a link.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, anyhow};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::libc;

use super::{Ask, Error, read_bounded};
use crate::model::facts::Drive;

/// Block devices that are looked at; a node has a handful.
const MAX_DEVICES: usize = 256;

/// The drives of this machine. They are looked for once, and each is mounted once for all its files.
#[derive(Default)]
pub(super) struct Drives {
    found: OnceCell<Vec<Drive>>,
    mounted: RefCell<BTreeMap<String, OwnedFd>>,
}

impl Drives {
    fn found(&self) -> &[Drive] {
        self.found.get_or_init(scan)
    }

    /// The drives, a line each.
    pub(super) fn list(&self) -> String {
        self.found().iter().map(|drive| format!("{drive}\n")).collect()
    }

    /// A file of the drive with that label or of that device, if both are there.
    ///
    /// # Errors
    /// Two drives have the label, the drive can't be mounted, or the file is not a regular one.
    pub(super) fn read(&self, label: &str, file: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut with_label =
            self.found().iter().filter(|d| d.label.eq_ignore_ascii_case(label) || d.device == label);
        let Some(drive) = with_label.next() else { return Ok(None) };
        if let Some(other) = with_label.next() {
            let (one, other) = (&drive.device, &other.device);
            return Err(anyhow!("{one} and {other} both have the label {label}: detach one of them").into());
        }
        let mut mounted = self.mounted.borrow_mut();
        if !mounted.contains_key(&drive.device) {
            let top = mount(drive).with_context(|| format!("mounting {}", drive.device))?;
            mounted.insert(drive.device.clone(), top);
        }
        let Some(top) = mounted.get(&drive.device) else { return Ok(None) };
        let name = Ask::Drive { label, file }.name();
        // A symbolic link on the drive (Rock Ridge) could name any file of the machine.
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file = match openat2(top, file, how) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(Errno::ELOOP) => return Err(anyhow!("{name}: not a regular file").into()),
            Err(e) => return Err(anyhow::Error::new(e).context(name).into()),
        };
        if !file.metadata().with_context(|| name.clone())?.is_file() {
            return Err(anyhow!("{name}: not a regular file").into());
        }
        read_bounded(file, &name).map(Some)
    }
}

/// Mounts a drive without a place in the tree of mounts; it is mounted until the descriptor of its top is closed
/// ([fsopen](https://man7.org/linux/man-pages/man2/fsopen.2.html)). Needs root.
fn mount(drive: &Drive) -> Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSCONFIG_SET_FLAG: libc::c_uint = 0;
    const FSCONFIG_SET_STRING: libc::c_uint = 1;
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    const RDONLY_NOSUID_NODEV_NOEXEC: libc::c_uint = 1 | 2 | 4 | 8;
    let owned = |fd: libc::c_long| -> Result<OwnedFd> {
        let fd = Errno::result(fd)?;
        // SAFETY: the kernel has just made this descriptor, and no other code has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    };
    let (kind, device) = (CString::new(drive.filesystem.as_str())?, CString::new(drive.device.as_str())?);
    // SAFETY: the name ends with a NUL and outlives the call.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })?;
    let configure = |command: libc::c_uint, key: Option<&CString>, value: Option<&CString>| -> Result<()> {
        let pointer = |text: Option<&CString>| text.map_or(std::ptr::null(), |t| t.as_ptr());
        let (key, value, fd) = (pointer(key), pointer(value), context.as_raw_fd());
        // SAFETY: both are NUL or end with a NUL, and outlive the call.
        Errno::result(unsafe { libc::syscall(libc::SYS_fsconfig, fd, command, key, value, 0) })?;
        Ok(())
    };
    configure(FSCONFIG_SET_STRING, Some(&c"source".to_owned()), Some(&device))?;
    configure(FSCONFIG_SET_FLAG, Some(&c"ro".to_owned()), None)?;
    configure(FSCONFIG_CMD_CREATE, None, None)?;
    let (fd, attributes) = (context.as_raw_fd(), RDONLY_NOSUID_NODEV_NOEXEC);
    // SAFETY: all arguments are numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes) })
}

/// The file systems that are known here, in the order of their devices' names.
fn scan() -> Vec<Drive> {
    let Ok(entries) = fs::read_dir("/sys/class/block") else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).take(MAX_DEVICES).collect();
    names.sort();
    let mut found = Vec::new();
    for name in names {
        // Memory and mapped devices hold no provider's metadata, and reading a floppy takes seconds.
        if ["ram", "zram", "dm-", "fd"].iter().any(|p| name.starts_with(p)) {
            continue;
        }
        let device = format!("/dev/{name}");
        let Ok(file) = File::open(&device) else { continue };
        if let Some(drive) = PROBES.iter().find_map(|probe| probe(&file)) {
            found.push(Drive { device, ..drive });
        }
    }
    found
}

/// What tells each kind of file system: all but the device.
const PROBES: &[fn(&File) -> Option<Drive>] = &[iso9660, udf, fat];

/// A label as it is stored: padded with blanks.
fn padded(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned()
}

/// ISO 9660's primary volume descriptor (ECMA-119 8.4): sector 16 of 2048 bytes; the volume identifier is 32 bytes from
/// byte 40, the time of its making, which stands for a UUID, 16 digits from byte 813.
fn iso9660(file: &File) -> Option<Drive> {
    let mut descriptor = [0u8; 829];
    file.read_exact_at(&mut descriptor, 16 * 2048).ok()?;
    (&descriptor[..6] == b"\x01CD001").then_some(())?;
    let made = padded(&descriptor[813..829]);
    let part = |from: usize, to: usize| made.get(from..to).unwrap_or_default().to_owned();
    let uuid = [part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14), part(14, 16)];
    let filesystem = "iso9660".to_owned();
    Some(Drive { label: padded(&descriptor[40..72]), filesystem, uuid: uuid.join("-"), ..Drive::default() })
}

/// UDF's volume recognition sequence (ECMA-167 2/8 and 3/9): structures of 2048 bytes from byte 32768 on, in each an identifier of 5
/// bytes from byte 1. Its name is not read: no platform has one that tells anything.
fn udf(file: &File) -> Option<Drive> {
    let identifier = |n: u64| {
        let mut bytes = [0u8; 5];
        file.read_exact_at(&mut bytes, 32768 + n * 2048 + 1).ok().map(|()| bytes)
    };
    (identifier(0)? == *b"BEA01").then_some(())?;
    let second = identifier(1)?;
    ([*b"NSR02", *b"NSR03"].contains(&second))
        .then(|| Drive { filesystem: "udf".to_owned(), ..Drive::default() })
}

/// A FAT boot sector (Microsoft's "FAT: General Overview of On-Disk Format"). FAT32 has its name at byte 82, its volume's
/// label at 71 and the volume's number at 67; FAT12 and FAT16 at 54, 43 and 39.
fn fat(file: &File) -> Option<Drive> {
    let mut boot = [0u8; 512];
    file.read_exact_at(&mut boot, 0).ok()?;
    (boot[510..] == [0x55, 0xaa]).then_some(())?;
    let (label, number) = match () {
        () if &boot[82..87] == b"FAT32" => (&boot[71..82], &boot[67..71]),
        () if &boot[54..57] == b"FAT" => (&boot[43..54], &boot[39..43]),
        () => return None,
    };
    let uuid = format!("{:02X}{:02X}-{:02X}{:02X}", number[3], number[2], number[1], number[0]);
    let label = fat_entry(file, &boot).unwrap_or_else(|| padded(label));
    Some(Drive { label, filesystem: "vfat".to_owned(), uuid, ..Drive::default() })
}

/// The label in FAT's root directory, which counts before the boot sector's: Windows writes it there alone.
fn fat_entry(file: &File, boot: &[u8; 512]) -> Option<String> {
    let number = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
    let large = |at: usize| number(at) | number(at + 2) << 16;
    let (sector, cluster, entries) = (number(11), u64::from(boot[13]), number(17));
    let table = if number(22) > 0 { number(22) } else { large(36) };
    let mut first = number(14) + u64::from(boot[16]) * table;
    if entries == 0 {
        // FAT32 has its root directory in a cluster; the first one has the number 2.
        first += large(44).checked_sub(2)? * cluster;
    }
    let mut directory = [0u8; 4096];
    let size = (entries * 32).min(4096) as usize;
    let directory = &mut directory[..if size > 0 { size } else { (sector * cluster).min(4096) as usize }];
    file.read_exact_at(directory, first * sector).ok()?;
    let mut used = directory.chunks_exact(32).take_while(|entry| entry[0] != 0);
    // The attributes of a volume's name. Those of a directory or of a part of a long name are others; 0xe5 is removed.
    let entry = used.find(|entry| entry[0] != 0xe5 && entry[11] & 0x3f == 8)?;
    Some(padded(&entry[..11]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    /// Runs a command and gives what it prints, if it can be run here.
    fn run(words: &[&str]) -> Option<String> {
        let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    #[test]
    fn a_drive_is_mounted_once_and_only_its_own_files_are_read() {
        let dir = std::env::temp_dir().join(format!("footplate-drive-{}", std::process::id()));
        let (contents, image) = (dir.join("contents"), dir.join("image"));
        fs::create_dir_all(contents.join("below")).unwrap();
        fs::write(contents.join("user-data"), "data").unwrap();
        fs::write(contents.join("below/meta_data.json"), "{}").unwrap();
        symlink("/etc/hostname", contents.join("link")).unwrap();
        let (from, to) = (contents.to_str().unwrap(), image.to_str().unwrap());
        let device = run(&["mkfs.ext4", "-q", "-d", from, to, "1M"])
            .and_then(|_| run(&["losetup", "--find", "--show", "--read-only", to]));
        let Some(device) = device else {
            fs::remove_dir_all(&dir).unwrap();
            eprintln!("left out: no loop device here, that needs root");
            return;
        };
        let drive = |label: &str, device: &str| Drive {
            label: label.to_owned(),
            filesystem: "ext4".to_owned(),
            device: device.to_owned(),
            uuid: String::new(),
        };
        let twice = [drive("two", "/dev/loop8"), drive("TWO", "/dev/loop9")];
        let drives = Drives::default();
        drives.found.set([vec![drive("cidata", &device)], twice.to_vec()].concat()).unwrap();
        let read = |label: &str, file: &str| drives.read(label, file);
        let results = (
            read("CIDATA", "user-data").ok().flatten(),
            read("cidata", "below/meta_data.json").ok().flatten(),
            read("cidata", "none").ok(),
            read("other", "user-data").ok(),
            ["link", "below", "../etc/hostname"].map(|f| read("cidata", f).unwrap_err().to_string()),
            read("two", "user-data").unwrap_err().to_string(),
        );
        let mounts = (drives.mounted.borrow().len(), fs::read_to_string("/proc/mounts").unwrap());
        drop(drives);
        let gone = run(&["losetup", "--detach", &device]);
        fs::remove_dir_all(&dir).unwrap();
        let (data, below, none, other, refused, twice) = results;
        assert_eq!((data.as_deref(), below.as_deref()), (Some(&b"data"[..]), Some(&b"{}"[..])));
        assert_eq!((none, other), (Some(None), Some(None)));
        assert!(refused[..2].iter().all(|e| e.ends_with("not a regular file")), "{refused:?}");
        assert!(refused[2].contains("drive/cidata/../etc/hostname"), "{refused:?}");
        assert_eq!(twice, "/dev/loop8 and /dev/loop9 both have the label two: detach one of them");
        assert_eq!(mounts.0, 1);
        assert!(!mounts.1.contains(&device), "{}", mounts.1);
        assert!(gone.is_some());
    }
}
