// SPDX-License-Identifier: Apache-2.0
//! Metadata on a drive: found by its filesystem's label, mounted read-only where nobody else sees it.
//!
//! Labels are read from the filesystems themselves and not from `/dev/disk/by-label`: that is udev's, which may not
//! have run yet, and whose links a second drive can take over.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, anyhow};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::live::read_bounded;

/// Block devices that are looked at; a node has a handful.
const MAX_DEVICES: usize = 256;

/// Where a drive is mounted, in a mount namespace of our own.
const MOUNT_POINT: &str = "/run/footplate/drive";

/// The labels of all ISO 9660 and FAT filesystems.
pub(super) fn labels() -> Vec<String> {
    scan().into_iter().map(|(_, _, label)| label).collect()
}

/// A file of the filesystem with that label (cases don't matter: `cidata` and `CIDATA` are one), if both exist.
pub(super) fn read(label: &str, file: &str) -> Result<Option<Vec<u8>>> {
    let Some((device, kind, _)) = scan().into_iter().find(|(_, _, l)| l.eq_ignore_ascii_case(label)) else {
        return Ok(None);
    };
    // A thread has its own mount namespace once unshared, so the rest of footplate keeps the machine's.
    let (name, file) = (format!("drive/{label}/{file}"), file.to_owned());
    let reader = std::thread::spawn(move || -> Result<Option<Vec<u8>>> {
        unshare(CloneFlags::CLONE_NEWNS).context("a mount namespace of our own (needs root)")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
        fs::create_dir_all(MOUNT_POINT)?;
        let flags = MsFlags::MS_RDONLY | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOSUID;
        mount(Some(device.as_str()), MOUNT_POINT, Some(kind), flags, none)
            .with_context(|| format!("mounting {device}"))?;
        let path = format!("{MOUNT_POINT}/{file}");
        // A symbolic link on the drive (Rock Ridge) could name any file of the machine.
        let read = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => {
                File::open(&path).map_err(Into::into).and_then(|f| read_bounded(f, &name).map(Some))
            }
            Ok(_) => Err(anyhow!("{name}: is no regular file")),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e.into()),
        };
        umount2(MOUNT_POINT, MntFlags::MNT_DETACH)?;
        read
    });
    reader.join().map_err(|_| anyhow!("reading a drive failed"))?
}

/// Device, filesystem type for mount(2), label.
fn scan() -> Vec<(String, &'static str, String)> {
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
        if let Some((kind, label)) = label(&file) {
            found.push((device, kind, label));
        }
    }
    found
}

/// Type and label of a filesystem: ISO 9660's primary volume descriptor (ECMA-119 8.4) or a FAT boot sector
/// (Microsoft's "FAT: General Overview of On-Disk Format").
fn label(file: &File) -> Option<(&'static str, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
    let mut descriptor = [0u8; 72];
    // Sector 16 of 2048 bytes; the volume identifier is at byte 40, 32 bytes.
    if file.read_exact_at(&mut descriptor, 16 * 2048).is_ok() && &descriptor[..6] == b"\x01CD001" {
        return Some(("iso9660", text(&descriptor[40..72])));
    }
    let mut boot = [0u8; 512];
    file.read_exact_at(&mut boot, 0).ok()?;
    if boot[510..] != [0x55, 0xaa] {
        return None;
    }
    // FAT32 names itself at byte 82 and its volume at 71; FAT12 and FAT16 at 54 and 43.
    if &boot[82..87] == b"FAT32" {
        Some(("vfat", text(&boot[71..82])))
    } else if &boot[54..57] == b"FAT" {
        Some(("vfat", text(&boot[43..54])))
    } else {
        None
    }
}
