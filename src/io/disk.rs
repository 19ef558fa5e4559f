// SPDX-License-Identifier: Apache-2.0
//! Disks, by the programs of util-linux and the makers of filesystems: they are in every Flatcar, and know more kinds of
//! tables and filesystems than anything that could be linked in.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::exec::{self, Ended};

/// How long a device may take to come up: a cloud attaches a disk while the machine boots.
const DEVICE_LIMIT: Duration = Duration::from_secs(60);

const DEVICE_POLL: Duration = Duration::from_millis(100);

/// A look at a disk: a disk that answers so late is broken.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Writing a table or a filesystem: mkfs on a slow network disk of terabytes takes minutes.
const MAKE_LIMIT: Duration = Duration::from_secs(600);

/// What stands on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The filesystem, or another kind of content.
    pub kind: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// Its number.
    pub uuid: Option<String>,
    /// The partition table.
    pub table: Option<String>,
    /// Several things at once, or something that is not known.
    pub unclear: bool,
}

impl Found {
    /// Whether nothing is there.
    pub fn empty(&self) -> bool {
        self.kind.is_none() && self.table.is_none() && !self.unclear
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.kind, &self.table) {
            _ if self.unclear => f.write_str("several things at once"),
            (Some(kind), _) => write!(f, "{kind}"),
            (None, Some(table)) => write!(f, "a partition table ({table})"),
            (None, None) => f.write_str("nothing"),
        }
    }
}

/// A device's real path, `/dev/sdb` for one of its links; `None` where no block device is there.
pub fn find(device: &str) -> Option<String> {
    let real = std::fs::canonicalize(device).ok()?;
    let block = std::fs::metadata(&real).is_ok_and(|m| m.file_type().is_block_device());
    block.then(|| real.to_string_lossy().into_owned())
}

/// The same, waiting for it to come up.
///
/// # Errors
/// It has not come.
pub fn wait(device: &str) -> Result<String> {
    let deadline = Instant::now() + DEVICE_LIMIT;
    loop {
        if let Some(real) = find(device) {
            return Ok(real);
        }
        if Instant::now() >= deadline {
            bail!("{device}: no such device after {} s", DEVICE_LIMIT.as_secs());
        }
        std::thread::sleep(DEVICE_POLL);
    }
}

fn name(real: &str) -> &str {
    real.rsplit('/').next().unwrap_or_default()
}

/// Whether a real path is that of a partition.
pub fn is_partition(real: &str) -> bool {
    Path::new(&format!("/sys/class/block/{}/partition", name(real))).exists()
}

/// A disk's size in bytes.
///
/// # Errors
/// The kernel does not tell.
pub fn size(real: &str) -> Result<u64> {
    // In units of 512 bytes whatever the disk's own are.
    let path = format!("/sys/class/block/{}/size", name(real));
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    Ok(text.trim().parse::<u64>().with_context(|| path)? * 512)
}

/// A disk's partitions by their numbers, as real paths.
pub fn partitions(real: &str) -> BTreeMap<u32, String> {
    let mut found = BTreeMap::new();
    let Ok(entries) = std::fs::read_dir(format!("/sys/class/block/{}", name(real))) else { return found };
    for entry in entries.flatten() {
        let number = std::fs::read_to_string(entry.path().join("partition")).ok();
        if let Some(number) = number.and_then(|n| n.trim().parse().ok()) {
            found.insert(number, format!("/dev/{}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

fn look(program: &str, args: &[&str]) -> Result<Ended> {
    exec::run(program, args, b"", LOOK_LIMIT)?.ok_or_else(|| anyhow!("{program}: there is no such program"))
}

/// What stands on a device, read from the device itself and not from a cache.
///
/// # Errors
/// It can't be read.
pub fn probe(real: &str) -> Result<Found> {
    let ended = look("blkid", &["--probe", "--output", "export", real])?;
    match ended.status {
        Some(0) => {}
        // blkid(8): nothing was found; contents contradict each other.
        Some(2) if ended.err.trim().is_empty() => return Ok(Found::default()),
        Some(8) => return Ok(Found { unclear: true, ..Found::default() }),
        _ => bail!("{real}: blkid: {}", ended.complaint()),
    }
    let value = |key: &str| {
        let line = ended.out.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        line.map(unescaped).filter(|v| !v.is_empty())
    };
    Ok(Found {
        kind: value("TYPE"),
        label: value("LABEL"),
        uuid: value("UUID").map(|u| u.to_ascii_lowercase()),
        table: value("PTTYPE"),
        unclear: false,
    })
}

/// A value as blkid's export format writes it: with a backslash before what a shell would take for its own.
fn unescaped(text: &str) -> String {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// The types of a disk's partitions as sfdisk writes them, `None` where it has no table.
///
/// # Errors
/// The table can't be read.
pub fn types(real: &str) -> Result<Option<Vec<String>>> {
    if probe(real)?.table.is_none() {
        return Ok(None);
    }
    let ended = look("sfdisk", &["--json", real])?;
    if ended.status != Some(0) {
        bail!("{real}: sfdisk: {}", ended.complaint());
    }
    let json: serde_json::Value =
        serde_json::from_str(&ended.out).with_context(|| format!("{real}: sfdisk"))?;
    let partitions = json["partitiontable"]["partitions"].as_array().cloned().unwrap_or_default();
    Ok(Some(partitions.iter().map(|p| p["type"].as_str().unwrap_or_default().to_owned()).collect()))
}

fn make(program: &str, args: &[&str], input: &[u8], real: &str) -> Result<()> {
    let ended = exec::run(program, args, input, MAKE_LIMIT)?;
    let ended = ended.ok_or_else(|| anyhow!("{program}: there is no such program"))?;
    if ended.status == Some(0) { Ok(()) } else { bail!("{real}: {program}: {}", ended.complaint()) }
}

/// Writes a partition table; `script` is sfdisk's. A disk that is in use is refused.
///
/// # Errors
/// The disk is in use or refuses, or its partitions do not come up.
pub fn partition(real: &str, script: &str, count: usize) -> Result<()> {
    // What stood where a partition now begins shall not be taken for its content.
    make("sfdisk", &["--quiet", "--wipe=always", "--wipe-partitions=always", real], script.as_bytes(), real)?;
    settle();
    if partitions(real).len() != count {
        // Some kinds of disks the kernel does not look through by itself.
        let _ = exec::run("partx", &["--update", real], b"", LOOK_LIMIT);
    }
    let deadline = Instant::now() + DEVICE_LIMIT;
    loop {
        let found = partitions(real);
        if found.len() == count && found.values().all(|p| find(p).is_some()) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("{real}: its partitions have not come up after {} s", DEVICE_LIMIT.as_secs());
        }
        std::thread::sleep(DEVICE_POLL);
    }
}

/// Takes away what tells that something stands on a device. A device that is in use is refused.
///
/// # Errors
/// The device is in use or refuses.
pub fn wipe(real: &str) -> Result<()> {
    make("wipefs", &["--all", "--quiet", real], b"", real)?;
    settle();
    Ok(())
}

/// Lets udev finish its links; without udev there are none.
fn settle() {
    let _ = exec::run("udevadm", &["settle", "--timeout=30"], b"", LOOK_LIMIT);
}

/// Makes a filesystem. It is decided before that nothing is lost that is not to be lost: the program is told not to ask.
///
/// # Errors
/// There is no program for the kind, the device is in use, or the program fails.
pub fn make_filesystem(
    real: &str,
    kind: &str,
    label: Option<&str>,
    uuid: Option<&str>,
    options: &[String],
) -> Result<()> {
    let program = if kind == "swap" { "mkswap".to_owned() } else { format!("mkfs.{kind}") };
    let short: String = uuid.unwrap_or_default().chars().filter(|c| *c != '-').take(8).collect();
    let xfs = format!("uuid={}", uuid.unwrap_or_default());
    // How each is told the label, the number, and not to ask.
    let (label_flag, uuid_flags, force): (&str, [&str; 2], &[&str]) = match kind {
        "ext2" | "ext3" | "ext4" => ("-L", ["-U", uuid.unwrap_or_default()], &["-q", "-F"]),
        "xfs" => ("-L", ["-m", &xfs], &["-q", "-f"]),
        "btrfs" => ("-L", ["-U", uuid.unwrap_or_default()], &["-q", "-f"]),
        "swap" => ("-L", ["-U", uuid.unwrap_or_default()], &["-f"]),
        "vfat" | "fat" | "msdos" => ("-n", ["-i", &short], &["-I"]),
        _ => ("-L", ["", ""], &[]),
    };
    let mut args: Vec<&str> = force.to_vec();
    if let Some(label) = label {
        args.extend([label_flag, label]);
    }
    if uuid.is_some() && !uuid_flags[0].is_empty() {
        args.extend(uuid_flags);
    }
    args.extend(options.iter().map(String::as_str));
    args.push(real);
    make(&program, &args, b"", real)?;
    settle();
    Ok(())
}

/// Whether a filesystem of that number is one that [`make_filesystem`] was asked for with `uuid`.
pub fn has_uuid(found: &Found, uuid: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase();
    let have = found.uuid.as_deref().map(plain).unwrap_or_default();
    // FAT's number has 32 bits.
    let wanted = plain(uuid);
    have == wanted || (have.len() == 8 && wanted.starts_with(&have))
}

/// Whether something is mounted at a path, or a device is swapped to.
pub fn in_use(path: Option<&str>, what: &str) -> bool {
    let table = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let plain = |text: &str| text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
    match path {
        Some(path) => table("/proc/self/mountinfo")
            .lines()
            .any(|l| l.split(' ').nth(4).map(plain).as_deref() == Some(path)),
        None => {
            let real = find(what).unwrap_or_else(|| what.to_owned());
            table("/proc/swaps").lines().skip(1).any(|l| l.split_whitespace().next() == Some(real.as_str()))
        }
    }
}
