// SPDX-License-Identifier: Apache-2.0
//! `disk_setup`, `fs_setup` and `mounts`
//! ([modules](https://docs.cloud-init.io/en/latest/reference/modules.html#disk-setup)).

use super::{Reader, check_path};
use crate::decode::syntax::yaml::{Node, Value};
use crate::model::config::{
    DiskSpec, FilesystemSpec, Layout, MountSpec, Partition, PartitionSpec, TableKind,
};
use crate::model::problem::Pos;

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
const DISK_NAMES: &[&str] = &["dm-", "hd", "loop", "md", "mmcblk", "nvme", "sd", "vd", "xvd"];

/// cloud-init's default but for its own service: a disk that is missing does not keep the machine from booting.
const MOUNT_OPTIONS: &str = "defaults,nofail";

impl Reader<'_> {
    /// A device's path: `sdb` is `/dev/sdb`.
    fn device(&mut self, at: &str, node: &Node) -> Option<String> {
        let text = self.text(at, node)?;
        self.device_path(at, node.pos, &text)
    }

    fn device_path(&mut self, at: &str, pos: Pos, text: &str) -> Option<String> {
        let named = !text.contains('/') && DISK_NAMES.iter().any(|n| text.starts_with(n));
        let path = if named { format!("/dev/{text}") } else { text.to_owned() };
        match check_path(&path) {
            Ok(path) if path.starts_with("/dev/") && !path.contains(char::is_whitespace) => Some(path),
            _ => {
                self.error(at, pos, "is no device here");
                self.cure("name one below /dev, /dev/disk/by-id/… for instance; ephemeral0 and the like have no meaning");
                None
            }
        }
    }

    pub(super) fn disk_setup(&mut self, node: &Node) {
        if !node.is_map() {
            return self.takes("disk_setup", node, "a mapping");
        }
        for (key, item) in node.entries() {
            let place = format!("disk_setup[{}]", key.text().unwrap_or_default());
            if !item.is_map() {
                self.takes(&place, item, "a mapping");
                continue;
            }
            let device = self.device(&place, key);
            let (mut table, mut layout, mut overwrite) = (TableKind::Mbr, None, false);
            for (key, value) in item.entries() {
                let at = format!("{place}.{}", key.text().unwrap_or_default());
                match key.text().unwrap_or_default() {
                    "table_type" if value.is_null() => {}
                    "table_type" => match value.text().map(str::to_ascii_lowercase).as_deref() {
                        Some("mbr" | "dos") => table = TableKind::Mbr,
                        Some("gpt") => table = TableKind::Gpt,
                        _ => self.error(&at, value.pos, "takes mbr or gpt"),
                    },
                    "layout" => layout = Some(value),
                    "overwrite" => overwrite = self.bool(&at, value).unwrap_or(false),
                    _ => self.unknown(&at, key),
                }
            }
            let layout = layout.and_then(|node| self.layout(&format!("{place}.layout"), node, table));
            if let (Some(device), Some(layout)) = (device, layout) {
                self.config.disks.push(DiskSpec { place, device, table, layout, overwrite });
            }
        }
    }

    /// `None` where the disk is left as it is.
    fn layout(&mut self, at: &str, node: &Node, table: TableKind) -> Option<Layout> {
        let whole = PartitionSpec { percent: 100, kind: default_type(table).to_owned() };
        let items = match (&node.value, node.bool(), node.text()) {
            (_, Some(true), _) => return Some(Layout::Partitions(vec![whole])),
            (_, Some(false), _) | (_, _, Some("")) => return None,
            _ if node.is_null() => return None,
            (_, _, Some("remove")) => return Some(Layout::Remove),
            // Cluster API prints an unset pointer so. Its API says that without a layout nothing is partitioned.
            (_, _, Some("<nil>")) => {
                self.warn(at, node.pos, "`<nil>` is no layout: the disk is left as it is");
                self.cure("set KubeadmConfigSpec.diskSetup.partitions[].layout");
                return None;
            }
            (Value::List(items), ..) => items,
            _ => {
                self.takes(at, node, "true, false, remove or a list");
                return None;
            }
        };
        let most = if table == TableKind::Gpt { MAX_GPT } else { MAX_MBR };
        if items.is_empty() || items.len() > most {
            self.error(at, node.pos, format!("takes 1 to {most} partitions on this kind of table"));
            return None;
        }
        let (mut partitions, mut sum) = (Vec::new(), 0);
        for (i, item) in items.iter().enumerate() {
            let at = format!("{at}[{i}]");
            let (size, kind) = match item.list() {
                Some([size]) => (size, None),
                Some([size, kind]) => (size, Some(kind)),
                Some(_) => {
                    self.error(&at, item.pos, "takes a percentage and a type");
                    continue;
                }
                None => (item, None),
            };
            let percent = size.text().and_then(|t| t.trim().trim_end_matches('%').parse::<u32>().ok());
            let Some(percent) = percent.filter(|p| (1..=100).contains(p)) else {
                self.error(&at, size.pos, "takes a percentage from 1 to 100");
                continue;
            };
            sum += percent;
            let kind = match kind.filter(|k| !k.is_null()) {
                None => Some(default_type(table).to_owned()),
                Some(kind) => self.partition_type(&at, kind, table),
            };
            partitions.extend(kind.map(|kind| PartitionSpec { percent, kind }));
        }
        if sum > 100 {
            self.error(at, node.pos, "the partitions take more than the whole disk");
        }
        Some(Layout::Partitions(partitions))
    }

    /// A partition's type by what its author wrote: YAML takes `07` for a number and `0c` for none.
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
            self.error(at, node.pos, "is no partition type of this kind of table");
            self.cure("a code such as 83, or on a gpt a GUID");
        }
        found
    }

    pub(super) fn fs_setup(&mut self, node: &Node) {
        for (i, item) in self.list("fs_setup", node).iter().enumerate() {
            let place = format!("fs_setup[{i}]");
            if !item.is_map() {
                self.takes(&place, item, "a mapping");
                continue;
            }
            let (mut device, mut kind, mut label, mut replace) = (None, None, None, None);
            let (mut partition, mut overwrite, mut options) = (Partition::Any, false, Vec::new());
            for (key, value) in item.entries() {
                let at = format!("{place}.{}", key.text().unwrap_or_default());
                match key.text().unwrap_or_default() {
                    "device" => device = self.device(&at, value),
                    "filesystem" => kind = self.filesystem(&at, value),
                    "replace_fs" => replace = self.filesystem(&at, value),
                    "label" => {
                        label = self.text(&at, value);
                        if label.as_deref().is_some_and(|l| l.len() > 255 || l.contains(char::is_control)) {
                            self.error(&at, value.pos, "is no label");
                        }
                    }
                    "partition" => partition = self.partition(&at, value).unwrap_or(partition),
                    "overwrite" => overwrite = self.bool(&at, value).unwrap_or(false),
                    "extra_opts" if value.is_null() => {}
                    "extra_opts" => {
                        let words = self.words(&at, value, Some(' '));
                        if words.iter().any(|w| w.contains(char::is_control)) {
                            self.error(&at, value.pos, "an option holds a control character");
                        }
                        options = words;
                    }
                    "cmd" if value.is_null() => {}
                    "cmd" => {
                        self.error(&at, value.pos, "a command of your own to make a filesystem is not run");
                        self.cure("give `filesystem`, `label` and `extra_opts`");
                    }
                    _ => self.unknown(&at, key),
                }
            }
            for (name, missing) in [("device", item.get("device")), ("filesystem", item.get("filesystem"))] {
                if missing.is_none_or(Node::is_null) {
                    self.error(&format!("{place}.{name}"), item.pos, "missing");
                }
            }
            let (Some(mut device), Some(kind)) = (device, kind) else { continue };
            // `/dev/sdb.1` is partition 1 of /dev/sdb, whatever `partition` says.
            if let Some((disk, number)) =
                device.rsplit_once('.').filter(|_| !device.starts_with("/dev/disk/"))
                && let Ok(number) = number.parse()
            {
                (partition, device) = (Partition::Number(number), disk.to_owned());
            }
            self.config.filesystems.push(FilesystemSpec {
                place,
                device,
                partition,
                kind,
                label,
                overwrite,
                replace,
                options,
                uuid: None,
            });
        }
    }

    fn filesystem(&mut self, at: &str, node: &Node) -> Option<String> {
        let text = self.text(at, node)?.to_ascii_lowercase();
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric()) && text.len() <= 16;
        if !plain {
            self.error(at, node.pos, "is no filesystem's name, such as ext4");
        }
        plain.then_some(text)
    }

    fn partition(&mut self, at: &str, node: &Node) -> Option<Partition> {
        // An empty string means the device itself, and null means that nothing is said.
        if node.is_null() {
            return None;
        }
        let text = node.text().unwrap_or_default().trim().to_ascii_lowercase();
        match text.as_str() {
            "" | "none" => Some(Partition::None),
            "auto" => Some(Partition::Auto),
            // The last one is what Cluster API's own documentation offers.
            "any" | "auto|any" => Some(Partition::Any),
            _ => {
                let number = text.parse().ok().filter(|n| (1..=128).contains(n));
                if number.is_none() {
                    self.error(at, node.pos, "takes a number, auto, any or none");
                }
                number.map(Partition::Number)
            }
        }
    }

    /// `mounts`, with `mount_default_fields` for what an entry leaves out.
    pub(super) fn mounts(&mut self, root: &Node) {
        let Some(node) = root.get("mounts").filter(|n| !n.is_null()) else { return };
        let defaults = root.get("mount_default_fields").and_then(Node::list).unwrap_or_default();
        for (i, item) in self.list("mounts", node).iter().enumerate() {
            let place = format!("mounts[{i}]");
            let Some(fields) = item.list() else {
                self.takes(&place, item, "a list");
                continue;
            };
            let field = |n: usize| {
                let own = fields.get(n).filter(|f| !f.is_null());
                own.or_else(|| defaults.get(n)).and_then(Node::text).map(str::to_owned)
            };
            let Some(what) = field(0).and_then(|what| self.source_of_mount(&place, item.pos, &what)) else {
                continue;
            };
            if fields.len() > 1 && fields[1].is_null() {
                // What earlier entries say of it is taken back.
                self.config.mounts.retain(|m| m.what != what);
                continue;
            }
            let kind = field(2).unwrap_or_else(|| "auto".to_owned());
            let path = match field(1) {
                Some(path) if kind == "swap" || path == "none" || path == "swap" => {
                    let _ = path;
                    None
                }
                Some(path) => match check_path(&path) {
                    Ok(path) => Some(path),
                    Err(what) => {
                        self.error(&format!("{place}[1]"), item.pos, what);
                        continue;
                    }
                },
                None => {
                    self.error(&place, item.pos, "names no mount point");
                    continue;
                }
            };
            let options = field(3).unwrap_or_else(|| MOUNT_OPTIONS.to_owned());
            let plain =
                |t: &String| !t.is_empty() && !t.contains(|c: char| c.is_whitespace() || c.is_control());
            if ![&kind, &options].into_iter().all(plain) {
                self.error(&place, item.pos, "the type or an option holds a blank");
                continue;
            }
            let fsck = field(5).unwrap_or_else(|| "2".to_owned()) != "0";
            self.config.mounts.push(MountSpec { place, what, path, kind, options, fsck });
        }
    }

    /// What is mounted: a device, `LABEL=` and its kin, `host:/path`, or a filesystem that has no device.
    fn source_of_mount(&mut self, place: &str, pos: Pos, text: &str) -> Option<String> {
        let at = format!("{place}[0]");
        if text.contains(|c: char| c.is_control()) {
            self.error(&at, pos, "holds a control character");
            return None;
        }
        const LINKS: &[(&str, &str)] =
            &[("LABEL=", "label"), ("PARTLABEL=", "partlabel"), ("PARTUUID=", "partuuid"), ("UUID=", "uuid")];
        if let Some((prefix, dir)) = LINKS.iter().find(|(p, _)| text.starts_with(p)) {
            let value = text[prefix.len()..].trim_matches('"');
            return Some(format!("/dev/disk/by-{dir}/{}", udev_name(value)));
        }
        if text.contains(":/") || matches!(text, "tmpfs" | "overlay" | "none" | "proc" | "sysfs") {
            return Some(text.to_owned());
        }
        if text.starts_with('/') && !text.starts_with("/dev/") {
            return check_path(text).map_err(|what| self.error(&at, pos, what)).ok();
        }
        let device = self.device_path(&at, pos, text)?;
        // A disk that this config partitions is mounted by its first partition: cloud-init looks at the disk for it.
        let partitioned =
            self.config.disks.iter().any(|d| d.device == device && matches!(d.layout, Layout::Partitions(_)));
        Some(if partitioned { crate::model::config::partition_path(&device, 1) } else { device })
    }
}

fn default_type(table: TableKind) -> &'static str {
    match table {
        TableKind::Mbr => "83",
        TableKind::Gpt => "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
    }
}

/// A label as udev writes it into a link's name.
fn udev_name(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "#+-.:=@_".contains(c);
    value.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\x{:02x}", u32::from(c)) }).collect()
}
