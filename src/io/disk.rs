// SPDX-License-Identifier: Apache-2.0
//! Disks, by the programs of util-linux and the makers of filesystems: they are in every Flatcar, and know more kinds of
//! tables and filesystems than anything that could be linked in.

use std::collections::BTreeMap;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use super::exec::{self, Ended};
use crate::model::storage::partition_path;

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
    exec::run(program, args, b"", LOOK_LIMIT)?
        .ok_or_else(|| anyhow!("{program}: the program is not installed"))
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

/// A partition table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its kind as sfdisk calls it, `gpt` or `dos`.
    pub kind: String,
    /// What else sfdisk's script says of it: its number, where partitions may begin.
    pub head: String,
    /// Bytes of a sector, in which all of it is counted.
    pub sector: u64,
    /// The first sector that a partition may have, and the last.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Its partitions.
    pub entries: Vec<Entry>,
}

/// A partition as its table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u32,
    /// Its first sector.
    pub start: u64,
    /// How many.
    pub size: u64,
    /// Its type as sfdisk writes it.
    pub kind: String,
    /// Its GUID, empty for any.
    pub guid: String,
    /// Its label, empty for none.
    pub name: String,
    /// Its attributes as sfdisk writes them, empty for none.
    pub attributes: String,
}

impl Table {
    /// A GPT without partitions, as it will be on that disk.
    ///
    /// # Errors
    /// The kernel does not tell the disk's size.
    pub fn empty(real: &str) -> Result<Self> {
        let path = format!("/sys/class/block/{}/queue/logical_block_size", name(real));
        let sector: u64 =
            std::fs::read_to_string(&path).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(512);
        let sectors = size(real)? / sector;
        // At its end stands the second copy: 128 entries of 128 bytes, and a header
        // ([UEFI](https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html)).
        let copy = (128 * 128_u64).div_ceil(sector) + 1;
        let (first, last) = ((1 << 20) / sector, sectors.saturating_sub(copy + 1));
        Ok(Self { kind: "gpt".to_owned(), head: String::new(), sector, first, last, entries: Vec::new() })
    }
}

impl Entry {
    /// A line of sfdisk's script.
    fn line(&self) -> String {
        let mut line = format!("start={}, size={}, type={}", self.start, self.size, self.kind);
        if !self.guid.is_empty() {
            line += &format!(", uuid={}", self.guid);
        }
        if !self.name.is_empty() {
            line += &format!(", name=\"{}\"", self.name.replace('\\', "\\x5c").replace('"', "\\x22"));
        }
        if !self.attributes.is_empty() {
            line += &format!(", attrs=\"{}\"", self.attributes);
        }
        line + "\n"
    }
}

/// The types of a disk's partitions as sfdisk writes them, `None` where it has no table.
///
/// # Errors
/// The table can't be read.
pub fn types(real: &str) -> Result<Option<Vec<String>>> {
    Ok(table(real)?.map(|table| table.entries.into_iter().map(|e| e.kind).collect()))
}

/// A disk's partition table, if it has one.
///
/// # Errors
/// It can't be read.
pub fn table(real: &str) -> Result<Option<Table>> {
    if probe(real)?.table.is_none() {
        return Ok(None);
    }
    let ended = look("sfdisk", &["--json", real])?;
    if ended.status != Some(0) {
        bail!("{real}: sfdisk: {}", ended.complaint());
    }
    let json: serde_json::Value =
        serde_json::from_str(&ended.out).with_context(|| format!("{real}: sfdisk"))?;
    let table = &json["partitiontable"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
    let entry = |p: &serde_json::Value| {
        let node = text(&p["node"]);
        let digits = node.len() - node.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let number_of = node[node.len() - digits..].parse().ok();
        Entry {
            number: number_of.unwrap_or_default(),
            start: number(&p["start"]),
            size: number(&p["size"]),
            kind: text(&p["type"]),
            guid: text(&p["uuid"]),
            name: text(&p["name"]),
            attributes: text(&p["attrs"]),
        }
    };
    let entries = table["partitions"].as_array().into_iter().flatten().map(entry).collect();
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let kind = text(&table["label"]);
    let (first, last) = (number(&table["firstlba"]), number(&table["lastlba"]));
    let head = format!("label-id: {}\nfirst-lba: {first}\nlast-lba: {last}\n", text(&table["id"]));
    Ok(Some(Table { kind, head, sector, first: first.max((1 << 20) / sector), last, entries }))
}

fn make(program: &str, args: &[&str], input: &[u8], real: &str) -> Result<()> {
    let ended = exec::run(program, args, input, MAKE_LIMIT)?;
    let ended = ended.ok_or_else(|| anyhow!("{program}: the program is not installed"))?;
    if ended.status == Some(0) { Ok(()) } else { bail!("{real}: {program}: {}", ended.complaint()) }
}

/// Writes a partition table; `script` is sfdisk's. A disk that is in use is refused.
///
/// # Errors
/// The disk is in use or refuses, or its partitions do not come up.
pub fn partition(real: &str, script: &str, count: usize) -> Result<()> {
    // Old bytes where a partition now begins must not be taken for its content.
    make("sfdisk", &["--quiet", "--wipe=always", "--wipe-partitions=always", real], script.as_bytes(), real)?;
    come_up(real, &(1..).take(count).collect::<Vec<u32>>())
}

/// Writes a GPT with these partitions and no others; `new` are the numbers of those that hold nothing yet, which
/// is made true. A disk that is in use is refused.
///
/// # Errors
/// The disk is in use or refuses, or its partitions do not come up.
pub fn write_table(real: &str, table: &Table, entries: &[Entry], new: &[u32]) -> Result<()> {
    let lines = entries.iter().map(|e| format!("{} : {}", partition_path(real, e.number), e.line()));
    let script = format!("label: gpt\n{}\n{}", table.head, lines.collect::<String>());
    // What the others hold is not looked at.
    let marks = if table.entries.is_empty() { "--wipe=always" } else { "--wipe=never" };
    let args = ["--quiet", marks, "--wipe-partitions=never", real];
    make("sfdisk", &args, script.as_bytes(), real)?;
    let mut numbers: Vec<u32> = entries.iter().map(|e| e.number).collect();
    numbers.sort_unstable();
    come_up(real, &numbers)?;
    // Old bytes where a partition now begins must not be taken for its content.
    let found = partitions(real);
    new.iter().filter_map(|n| found.get(n)).try_for_each(|partition| wipe(partition))
}

/// Waits for a disk's partitions.
fn come_up(real: &str, numbers: &[u32]) -> Result<()> {
    settle();
    let all_there = || partitions(real).keys().eq(numbers);
    if !all_there() {
        // Some kinds of disks the kernel does not look through by itself, and partx stops where a number is missing.
        let gone = partitions(real).into_keys().filter(|n| !numbers.contains(n)).map(|n| ("--delete", n));
        for (what, number) in gone.chain(numbers.iter().map(|n| ("--update", *n))) {
            let _ = exec::run("partx", &[what, "--nr", &number.to_string(), real], b"", LOOK_LIMIT);
        }
    }
    let deadline = Instant::now() + DEVICE_LIMIT;
    loop {
        let found = partitions(real);
        if all_there() && found.values().all(|p| find(p).is_some()) {
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
/// The program for the kind is not installed, the device is in use, or the program fails.
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
