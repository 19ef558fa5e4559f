// SPDX-License-Identifier: Apache-2.0
//! `device_aliases`, `disk_setup` and `fs_setup`
//! ([modules](https://docs.cloud-init.io/en/latest/reference/modules.html#disk-setup)).

use super::mounts::names_a_clouds_disk;
use super::{Field, Reader, check_path};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::problem::{Pos, Problem, Severity};
use crate::model::storage::{
    DiskSpec, FilesystemSpec, Layout, Partition, PartitionSpec, TableKind, WHOLE_DISK,
};

/// What an MBR code means on a GPT
/// ([types](https://uapi-group.org/specifications/specs/discoverable_partitions_specification/) and sgdisk's codes).
/// Windows' filesystems have one type there.
const GPT_TYPES: &[(&str, &str)] = &[
    ("07", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    ("0b", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    ("0c", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    ("82", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
    ("83", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("8e", "E6D6D379-F507-44C2-A23C-238F2A3DF928"),
    ("ef", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    ("fd", "A19D880F-05FC-4D3B-A006-743F0F84911E"),
];

/// Partitions that an MBR has without an extended one.
const MAX_MBR: usize = 4;

/// Partitions that a GPT has by default.
const MAX_GPT: usize = 128;

/// How the kernel's names for whole disks and partitions begin.
const DISK_NAMES: &[&str] = &["dm-", "hd", "loop", "md", "mmcblk", "nvme", "sd", "sr", "vd", "xvd"];

/// Numbers that a partition may have.
const MAX_NUMBER: u32 = 128;

/// A device that the data names.
pub(super) struct Device {
    /// Its path below `/dev`.
    pub path: String,
    /// The partition that `.N`, `.auto`, `.any` or `.none` behind the name means.
    pub partition: Option<Partition>,
}

impl Reader<'_> {
    /// `device_aliases`, `disk_setup`, `fs_setup` and `mounts`, which build on each other.
    pub(super) fn disks(&mut self, root: &Node) {
        if let Some(node) = self.given(root, "device_aliases") {
            for Field { name, at, value, .. } in self.fields("device_aliases", node) {
                if let Some(device) = self.device(&at, value) {
                    self.aliases.insert(name, device.path);
                }
            }
        }
        // Templates for Azure have the VM's temporary disk by habit, and do not mount it.
        let mounts = root.get("mounts").and_then(Node::list).unwrap_or_default();
        let source =
            |mount: &Node| mount.list().and_then(<[Node]>::first).and_then(Node::text).map(str::to_owned);
        if !mounts.iter().filter_map(source).any(|source| names_a_clouds_disk(&source)) {
            self.clouds_disk_weighs = Severity::Note;
        }
        if let Some(node) = self.given(root, "disk_setup") {
            self.disk_setup(node);
        }
        if let Some(node) = self.given(root, "fs_setup") {
            self.fs_setup(node);
        }
        self.mounts(root);
    }

    /// The device that a scalar names: a path, a kernel name such as `sdb`, or an alias, each with `.N` or `.auto` behind it for
    /// a partition.
    fn device(&mut self, at: &str, node: &Node) -> Option<Device> {
        let text = self.text(at, node)?;
        let device = self.device_of(&text);
        if device.is_none() && names_a_clouds_disk(&text) {
            self.clouds_disk(at, node.pos, "done with it");
        } else if device.is_none() {
            self.no_device(at, node.pos);
        }
        device
    }

    /// Says that a disk of a cloud's own names is left alone; `what` is not done. Templates for Azure name the VM's temporary disk so.
    pub(super) fn clouds_disk(&mut self, at: &str, pos: Pos, what: &str) {
        let problem =
            Problem::error(at, format!("only a cloud's own metadata knows this disk: nothing is {what}"));
        self.problems.push(Problem { severity: self.clouds_disk_weighs, ..problem.at(pos) });
        self.cure("give the device, such as /dev/disk/by-id/…, or name it in `device_aliases`");
    }

    pub(super) fn no_device(&mut self, at: &str, pos: Pos) {
        self.error(at, pos, "is not a device");
        self.cure("give a path below /dev, such as /dev/disk/by-id/…, or name it in `device_aliases`");
    }

    pub(super) fn device_of(&self, text: &str) -> Option<Device> {
        // Names below /dev/disk have dots of their own.
        let dotted = text.rsplit_once('.').filter(|_| !text.starts_with("/dev/disk/"));
        let dotted =
            dotted.and_then(|(disk, part)| Some((disk, partition_of(part).filter(|_| !part.is_empty())?)));
        let (name, partition) = match dotted {
            Some((disk, part)) if !self.aliases.contains_key(text) => (disk, Some(part)),
            _ => (text, None),
        };
        let name = self.aliases.get(name).map_or(name, String::as_str);
        let named = !name.contains(['/', ':']) && DISK_NAMES.iter().any(|n| name.starts_with(n));
        let path = if named { format!("/dev/{name}") } else { name.to_owned() };
        let path = check_path(&path).ok()?;
        let device = path.starts_with("/dev/") && !path.contains(char::is_whitespace);
        device.then_some(Device { path, partition })
    }

    fn disk_setup(&mut self, node: &Node) {
        for Field { name, key, value, .. } in self.fields("disk_setup", node) {
            let place = format!("disk_setup[{name}]");
            let device = self.device(&place, key);
            if device.as_ref().is_some_and(|d| d.partition.is_some()) {
                self.error(&place, key.pos, "names a partition, and only a disk can be partitioned");
            }
            let (mut table, mut layout, mut overwrite) = (TableKind::Mbr, None, false);
            for Field { name, at, key, value } in self.fields(&place, value) {
                match name.as_str() {
                    "table_type" if value.is_null() => {}
                    "table_type" => match value.text().map(str::to_ascii_lowercase).as_deref() {
                        Some("mbr" | "dos") => table = TableKind::Mbr,
                        Some("gpt") => table = TableKind::Gpt,
                        _ => self.error(&at, value.pos, "must be mbr or gpt"),
                    },
                    "layout" => layout = Some(value),
                    "overwrite" => overwrite = self.bool(&at, value).unwrap_or(false),
                    _ => self.unknown(&at, key),
                }
            }
            let layout = layout.and_then(|node| self.layout(&format!("{place}.layout"), node, table));
            if let (Some(device), Some(layout)) = (device, layout) {
                self.config.disks.push(DiskSpec { place, device: device.path, table, layout, overwrite });
            }
        }
    }

    /// `None` where the disk is left as it is.
    fn layout(&mut self, at: &str, node: &Node, table: TableKind) -> Option<Layout> {
        let items = match (&node.value, node.bool(), node.text()) {
            (_, Some(true), _) => return Some(Layout::Partitions(Vec::new())),
            (_, Some(false), _) | (_, _, Some("")) => return None,
            _ if node.is_null() => return None,
            (_, _, Some("remove")) => return Some(Layout::Remove),
            // Cluster API writes this for a layout that is not set, and its API says that nothing is partitioned then.
            (_, _, Some("<nil>")) => {
                self.warn(at, node.pos, "`<nil>` is not a layout: the disk is left as it is");
                self.cure("set KubeadmConfigSpec.diskSetup.partitions[].layout");
                return None;
            }
            (Value::List(items), ..) if items.is_empty() => return None,
            (Value::List(items), ..) => items,
            _ => {
                self.takes(at, node, "true, false, remove or a list");
                return None;
            }
        };
        let most = if table == TableKind::Gpt { MAX_GPT } else { MAX_MBR };
        if items.len() > most {
            self.error(at, node.pos, format!("more than the {most} partitions that this kind of table has"));
            return None;
        }
        let (mut partitions, mut sum, mut before) = (Vec::new(), 0, 0);
        for (i, item) in items.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let (size, kind) = match item.list() {
                Some([size]) => (size, None),
                Some([size, kind]) => (size, Some(kind)),
                Some(_) => {
                    self.error(&at, item.pos, "must be a percentage and a type");
                    continue;
                }
                None => (item, None),
            };
            let percent = size.text().and_then(|t| t.trim().trim_end_matches('%').parse::<f64>().ok());
            let share = percent.map(|percent| (percent * f64::from(WHOLE_DISK / 100)).round() as u32);
            let Some(share) = share.filter(|share| (1..=WHOLE_DISK).contains(share)) else {
                self.error(&at, size.pos, "must be a percentage, more than 0 and at most 100");
                continue;
            };
            (before, sum) = (sum, sum + share);
            let kind = match kind.filter(|k| !k.is_null()) {
                None => Some(None),
                Some(kind) => self.partition_type(&at, kind, table).map(Some),
            };
            partitions.extend(kind.map(|kind| PartitionSpec { share, kind }));
        }
        // Rounded parts may come to a little more than all, and the last one takes what is left.
        if before >= WHOLE_DISK || sum >= WHOLE_DISK + WHOLE_DISK / 100 {
            self.error(at, node.pos, "the partitions add up to more than 100 percent");
        }
        Some(Layout::Partitions(partitions))
    }

    /// A partition's type as its author wrote it: YAML reads `07` as a number and `0c` as a string.
    fn partition_type(&mut self, at: &str, node: &Node, table: TableKind) -> Option<String> {
        let text = node.text().unwrap_or_default().trim().to_ascii_lowercase();
        let hex = text.strip_prefix("0x").unwrap_or(&text);
        let is_hex = |t: &str| t.bytes().all(|b| b.is_ascii_hexdigit());
        let guid = text.len() == 36
            && text
                .char_indices()
                .all(|(i, c)| if [8, 13, 18, 23].contains(&i) { c == '-' } else { c.is_ascii_hexdigit() });
        // `8200` is sgdisk's way to write 82.
        let code = match hex.len() {
            1 if is_hex(hex) => Some(format!("0{hex}")),
            2 if is_hex(hex) => Some(hex.to_owned()),
            4 if is_hex(hex) && hex.ends_with("00") => Some(hex[..2].to_owned()),
            _ => None,
        };
        let found = match (table, code) {
            (TableKind::Gpt, _) if guid => Some(text.to_ascii_uppercase()),
            (TableKind::Gpt, Some(code)) => {
                GPT_TYPES.iter().find(|(c, _)| *c == code).map(|(_, g)| (*g).to_owned())
            }
            (TableKind::Mbr, code) => {
                code.map(|c| c.trim_start_matches('0').to_owned()).filter(|c| !c.is_empty())
            }
            (TableKind::Gpt, None) => None,
        };
        if found.is_none() {
            self.error(at, node.pos, "is not a partition type of this kind of table");
            self.cure("give a code such as 83, or on a gpt a GUID");
        }
        found
    }

    fn fs_setup(&mut self, node: &Node) {
        for (i, item) in self.list("fs_setup", node).iter().enumerate() {
            let place = format!("fs_setup[{i}]");
            let mut spec = FilesystemSpec {
                place: place.clone(),
                device: String::new(),
                partition: Partition::Any,
                kind: String::new(),
                label: None,
                overwrite: false,
                replace: None,
                options: Vec::new(),
                uuid: None,
            };
            let mut dotted = None;
            for field in self.fields(&place, item) {
                if field.name == "device" {
                    let device = self.device(&field.at, field.value);
                    (spec.device, dotted) = device.map(|d| (d.path, d.partition)).unwrap_or_default();
                } else {
                    self.fs_field(&field, &mut spec);
                }
            }
            for name in ["device", "filesystem"] {
                if item.is_map() && self.given(item, name).is_none() {
                    self.error(&format!("{place}.{name}"), item.pos, "missing: the entry needs it");
                }
            }
            // `/dev/sdb.1` is partition 1 of /dev/sdb, whatever `partition` says.
            spec.partition = dotted.unwrap_or(spec.partition);
            if !spec.device.is_empty() && !spec.kind.is_empty() {
                self.config.filesystems.push(spec);
            }
        }
    }

    fn fs_field(&mut self, field: &Field<'_>, spec: &mut FilesystemSpec) {
        let Field { name, at, value, .. } = field;
        match name.as_str() {
            "filesystem" => spec.kind = self.filesystem(at, value).unwrap_or_default(),
            "replace_fs" => spec.replace = self.filesystem(at, value),
            "label" => {
                spec.label = self.text(at, value);
                if spec.label.as_deref().is_some_and(|l| l.len() > 255 || l.contains(char::is_control)) {
                    self.error(
                        at,
                        value.pos,
                        "is not a label: it is too long or contains a control character",
                    );
                }
            }
            "partition" => spec.partition = self.partition(at, value).unwrap_or(spec.partition),
            "overwrite" => spec.overwrite = self.bool(at, value).unwrap_or(false),
            "extra_opts" if value.is_null() => {}
            "extra_opts" => {
                spec.options = self.words(at, value, Some(' '));
                if spec.options.iter().any(|w| w.contains(char::is_control)) {
                    self.error(at, value.pos, "an option contains a control character");
                }
            }
            "cmd" if value.is_null() => {}
            "cmd" => {
                self.error(
                    at,
                    value.pos,
                    "footplate does not run a command of your own to make a filesystem",
                );
                self.cure("give `filesystem`, `label` and `extra_opts`");
            }
            _ => self.unknown(at, field.key),
        }
    }

    fn filesystem(&mut self, at: &str, node: &Node) -> Option<String> {
        let text = self.text(at, node)?.to_ascii_lowercase();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric()) && text.len() <= 16;
        if !plain {
            self.error(at, node.pos, "is not the name of a filesystem, such as ext4");
        }
        plain.then_some(text)
    }

    fn partition(&mut self, at: &str, node: &Node) -> Option<Partition> {
        // An empty string means the device itself, and null means that nothing is said.
        if node.is_null() {
            return None;
        }
        let partition = partition_of(node.text().unwrap_or_default().trim());
        if partition.is_none() {
            self.error(at, node.pos, "must be a number, auto, any or none");
        }
        partition
    }
}

/// The partition that a word means.
fn partition_of(word: &str) -> Option<Partition> {
    match word.to_ascii_lowercase().as_str() {
        "" | "none" => Some(Partition::None),
        "auto" => Some(Partition::Auto),
        // The last one is what Cluster API's own documentation offers.
        "any" | "auto|any" => Some(Partition::Any),
        number => number.parse().ok().filter(|n| (1..=MAX_NUMBER).contains(n)).map(Partition::Number),
    }
}
