// SPDX-License-Identifier: Apache-2.0
//! `storage.disks` and `storage.filesystems`.
//!
//! In the initramfs Ignition has the disks for itself. On the running system some are in use: those are refused when the
//! plan is applied, and the mount points of the system itself are refused here.

use super::schema::VERSIONS;
use super::{INITRAMFS, Reader, flag, is_empty, text};
use crate::decode::cloud_config::check_path;
use crate::decode::syntax::yaml::Node;
use crate::model::storage::{DiskSpec, EntrySpec, FilesystemSpec, Layout, MountSpec, Partition, TableKind};

/// Numbers that a GPT has by default.
const MAX_NUMBER: i64 = 128;

/// UTF-16 units of a partition's label
/// ([UEFI](https://uefi.org/specs/UEFI/2.10/05_GUID_Partition_Table_Format.html#gpt-partition-entry-array)).
const MAX_LABEL: usize = 36;

/// Filesystems, the first version that has each, and the bytes of its label.
const FORMATS: &[(&str, &str, usize)] = &[
    ("btrfs", "2.0.0", 255),
    ("ext4", "2.0.0", 16),
    ("none", "3.3.0", 0),
    ("swap", "2.1.0", 15),
    ("vfat", "2.1.0", 11),
    ("xfs", "2.0.0", 12),
];

/// Mount points and directories of the running system: nothing may be mounted over them.
const IN_USE: &[&str] = &["/", "/boot", "/dev", "/etc", "/oem", "/proc", "/run", "/sys", "/usr", "/var"];

impl Reader<'_, '_, '_> {
    pub(super) fn disks(&mut self, storage: &Node) {
        let Some(list) = storage.get("disks") else { return };
        for (place, node) in self.unique("storage.disks", list, "device") {
            let device = self.device(&place, node);
            let list = node.get("partitions").and_then(Node::list).unwrap_or_default();
            let mut entries: Vec<EntrySpec> = Vec::new();
            for (i, part) in list.iter().enumerate() {
                let place = format!("{place}.partitions[{i}]");
                let Some(entry) = self.partition(&place, part) else { continue };
                let same = |e: &EntrySpec| {
                    (e.number > 0 && e.number == entry.number)
                        || (e.label.is_some() && e.label == entry.label)
                };
                if entries.iter().any(same) {
                    self.error(
                        &place,
                        part.pos,
                        "another partition of this disk has its number or its label",
                    );
                } else if overlap(&entries, &entry) {
                    self.error(&place, part.pos, "overlaps another partition of this disk");
                }
                entries.push(entry);
            }
            let overwrite = flag(node, "wipeTable");
            let Some(device) = device.filter(|_| overwrite || !entries.is_empty()) else { continue };
            // Without partitions the table is removed.
            let layout = if entries.is_empty() { Layout::Remove } else { Layout::Entries(entries) };
            self.config.disks.push(DiskSpec { place, device, table: TableKind::Gpt, layout, overwrite });
        }
    }

    /// A device's path.
    fn device(&mut self, place: &str, node: &Node) -> Option<String> {
        let at = format!("{place}.device");
        let pos = node.get("device").map_or(node.pos, |n| n.pos);
        match check_path(text(node, "device").unwrap_or_default()) {
            Ok(path) if path.starts_with("/dev/") && !path.contains(char::is_whitespace) => Some(path),
            _ => {
                self.error(&at, pos, "not the path of a device")
                    .cure("write a path below /dev, such as /dev/sdb");
                None
            }
        }
    }

    fn partition(&mut self, place: &str, node: &Node) -> Option<EntrySpec> {
        let before = self.problems.len();
        let number = self.within(place, node, "number", 0..=MAX_NUMBER).unwrap_or_default();
        let label = node.get("label").and_then(Node::text);
        if let Some(label) = label
            && (label.encode_utf16().count() > MAX_LABEL
                || label.contains(|c: char| c.is_control() || ":\"\\".contains(c)))
        {
            let pos = node.get("label").map_or(node.pos, |n| n.pos);
            let what =
                format!("a label has at most {MAX_LABEL} characters, and no colon, quote or backslash");
            self.error(&format!("{place}.label"), pos, what);
        }
        if self.v3() && number == 0 && label.is_none() && self.problems.len() == before {
            self.error(place, node.pos, "needs a number or a label");
        }
        // 2.x counted sectors until 2.3 brought mebibytes. Ignition takes the mebibytes if both are given.
        let mut bytes = |mib: &str, sectors: &str| {
            let of = |this: &mut Self, key: &str, unit: i64| {
                Some(this.within(place, node, key, 0..=i64::MAX / unit)? as u64 * unit as u64)
            };
            of(self, mib, 1 << 20).or_else(|| of(self, sectors, 512))
        };
        let (start, size) = (bytes("startMiB", "start"), bytes("sizeMiB", "size"));
        let exists = node.get("shouldExist").and_then(Node::bool).unwrap_or(true);
        let mut guid = |key: &str| {
            let value = text(node, key)?;
            if is_guid(value) {
                return Some(value.to_ascii_uppercase());
            }
            let pos = node.get(key).map_or(node.pos, |n| n.pos);
            self.error(&format!("{place}.{key}"), pos, "not a GUID")
                .cure("write a GUID; that of a Linux file system is 0FC63DAF-8483-4772-8E79-3D69D8477DE4");
            None
        };
        let (kind, own) = (guid("typeGuid"), guid("guid"));
        let says_more =
            label.is_some() || start.is_some() || size.is_some() || kind.is_some() || own.is_some();
        if !exists && (says_more || number == 0) {
            self.error(place, node.pos, "a partition with shouldExist false takes a number and nothing else");
        }
        (self.problems.len() == before).then(|| EntrySpec {
            place: place.to_owned(),
            number: number as u32,
            label: label.map(str::to_owned),
            start,
            size,
            kind,
            guid: own,
            exists,
            replace: flag(node, "wipePartitionEntry"),
            resize: flag(node, "resize"),
        })
    }

    fn within(
        &mut self,
        place: &str,
        node: &Node,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let value = node.get(key)?;
        match value.int().filter(|n| range.contains(n)) {
            Some(number) => Some(number),
            None => {
                let what = format!("takes a number from {} to {}", range.start(), range.end());
                self.error(&format!("{place}.{key}"), value.pos, what);
                None
            }
        }
    }

    /// Filesystems to make. In 2.x they have names, and each file says which filesystem it is on. Returns these names with
    /// the paths of the filesystems on the running system, `None` if it has no such path; `root` is always among them.
    pub(super) fn filesystems(&mut self, storage: &Node) -> Vec<(String, Option<String>)> {
        let mut known = vec![("root".to_owned(), Some(String::new()))];
        let empty = Node::null();
        let list = storage.get("filesystems").unwrap_or(&empty);
        if self.v3() {
            for (place, node) in self.unique("storage.filesystems", list, "device") {
                self.filesystem(&place, node);
            }
            return known;
        }
        for (i, node) in list.list().unwrap_or_default().iter().enumerate() {
            let place = format!("storage.filesystems[{i}]");
            let mount = node.get("mount").filter(|m| !is_empty(m));
            let path = node.get("path").and_then(Node::text);
            match (path, mount) {
                (Some(_), Some(_)) => {
                    self.error(&place, node.pos, "takes `mount` or `path`, not both");
                }
                (None, None) => {
                    self.error(&place, node.pos, "needs `mount` or `path`");
                }
                (None, Some(mount)) => self.filesystem(&format!("{place}.mount"), mount),
                (Some(_), None) => {}
            }
            // The path is one of the initramfs, which has the root filesystem at /sysroot.
            let path = path.map(|p| p.strip_prefix("/sysroot").unwrap_or(p).trim_end_matches('/').to_owned());
            if let Some(name) = text(node, "name") {
                known.retain(|(n, _)| n != name);
                known.push((name.to_owned(), path));
            }
        }
        known
    }

    fn filesystem(&mut self, place: &str, node: &Node) {
        let device = self.device(place, node);
        let Some(kind) = self.format(place, node) else { return };
        let uuid = text(node, "uuid");
        let is_uuid = |u: &str| u.len() <= 36 && u.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        if uuid.is_some_and(|u| !is_uuid(u)) {
            let pos = node.get("uuid").map_or(node.pos, |n| n.pos);
            self.error(&format!("{place}.uuid"), pos, "not a UUID");
        }
        let create = node.get("create");
        // Until 2.1 `create` had the options, and without it nothing was made.
        let mut options = words(node, "options");
        options.extend(create.map(|c| words(c, "options")).unwrap_or_default());
        let mount_options = words(node, "mountOptions");
        let broken = |w: &String| w.contains(|c: char| c.is_control()) || w.is_empty();
        if options.iter().any(broken) || mount_options.iter().any(|w| broken(w) || w.contains([' ', '\t'])) {
            self.error(place, node.pos, "an option is empty or holds a character that no option can have");
        }
        let path = if self.v3() { self.mount_path(place, node, kind) } else { None };
        let Some(device) = device else { return };
        if let Some(path) = path {
            let options =
                if mount_options.is_empty() { "defaults".to_owned() } else { mount_options.join(",") };
            self.config.mounts.push(MountSpec {
                place: place.to_owned(),
                what: device.clone(),
                path: Some(path),
                kind: kind.to_owned(),
                options,
                fsck: true,
                optional: mount_options.iter().any(|o| o.split(',').any(|o| o == "nofail")),
                disk: false,
            });
        }
        if VERSIONS[self.version] == "2.0.0" && create.is_none() {
            return;
        }
        self.config.filesystems.push(FilesystemSpec {
            place: place.to_owned(),
            device,
            partition: Partition::None,
            kind: kind.to_owned(),
            label: text(node, "label").map(str::to_owned),
            overwrite: flag(node, "wipeFilesystem") || create.is_some_and(|c| flag(c, "force")),
            replace: None,
            options,
            uuid: uuid.map(str::to_ascii_lowercase),
        });
    }

    /// The kind of a filesystem, with its label checked. `None` if there is nothing to make, or a problem says why not.
    fn format<'n>(&mut self, place: &str, node: &'n Node) -> Option<&'n str> {
        let pos = |key: &str| node.get(key).map_or(node.pos, |n| n.pos);
        let at = format!("{place}.format");
        let Some(kind) = text(node, "format") else {
            let keys = ["label", "mountOptions", "options", "path", "uuid"];
            let given = |n: &Node| !is_empty(n) && n.text() != Some("");
            let says_more = keys.iter().any(|key| node.get(key).is_some_and(given));
            if !self.v3() || says_more || flag(node, "wipeFilesystem") {
                self.error(&at, node.pos, "missing: it names the kind of filesystem");
            }
            return None;
        };
        let Some((_, since, longest)) = FORMATS.iter().find(|(name, _, _)| *name == kind) else {
            let names: Vec<&str> = FORMATS.iter().map(|(name, _, _)| *name).collect();
            self.error(&at, pos("format"), "not a kind of filesystem that Ignition knows")
                .cure(format!("one of {}", names.join(", ")));
            return None;
        };
        if VERSIONS[self.version] < *since {
            let what =
                format!("{kind} came with version {since}, this config has {}", VERSIONS[self.version]);
            self.error(&at, pos("format"), what).cure("raise ignition.version");
        }
        if text(node, "label").is_some_and(|l| l.len() > *longest || l.contains(char::is_control)) {
            let what = format!("a label of {kind} has at most {longest} bytes and no control character");
            self.error(&format!("{place}.label"), pos("label"), what);
        }
        Some(kind)
    }

    /// Where a filesystem is mounted before files are written to it.
    fn mount_path(&mut self, place: &str, node: &Node, kind: &str) -> Option<String> {
        let (path, at) = (text(node, "path")?, format!("{place}.path"));
        let pos = node.get("path").map_or(node.pos, |n| n.pos);
        match check_path(path) {
            _ if !path.starts_with('/') => {
                self.error(&at, pos, "is not an absolute path").cure("begin it with `/`");
                None
            }
            _ if path == "/" || IN_USE.contains(&path.trim_end_matches('/')) => {
                self.error(&at, pos, "the running system uses this path: nothing can be mounted over it")
                    .cure(INITRAMFS);
                None
            }
            Err(what) => {
                self.error(&at, pos, what);
                None
            }
            Ok(_) if matches!(kind, "swap" | "none") => {
                self.warn(&at, pos, format!("no effect: {kind} is not mounted at a path"));
                None
            }
            Ok(path) => Some(path),
        }
    }
}

/// The strings of a list.
fn words(of: &Node, key: &str) -> Vec<String> {
    let list = of.get(key).and_then(Node::list).unwrap_or_default();
    list.iter().filter_map(Node::text).map(str::to_owned).collect()
}

/// Whether an entry with a start and a size overlaps one of `entries` that has both too.
fn overlap(entries: &[EntrySpec], entry: &EntrySpec) -> bool {
    let place = |e: &EntrySpec| match (e.start, e.size) {
        (Some(start @ 1..), Some(size @ 1..)) if e.exists => Some((start, start.saturating_add(size))),
        _ => None,
    };
    let Some((start, end)) = place(entry) else { return false };
    entries.iter().filter_map(place).any(|(from, to)| start < to && from < end)
}

fn is_guid(text: &str) -> bool {
    let fits =
        |(i, c): (usize, char)| if [8, 13, 18, 23].contains(&i) { c == '-' } else { c.is_ascii_hexdigit() };
    text.len() == 36 && text.char_indices().all(fits)
}
