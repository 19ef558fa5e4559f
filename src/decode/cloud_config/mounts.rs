// SPDX-License-Identifier: Apache-2.0
//! `mounts` and `mount_default_fields`: entries of an fstab.

use super::disks::Device;
use super::{Reader, check_path};
use crate::decode::syntax::yaml::Node;
use crate::model::problem::Pos;
use crate::model::storage::{CIFS, CIFS_LOGIN, Layout, MountSpec, Partition, partition_path};

/// cloud-init's default without its own service and without `_netdev`: a missing disk does not stop a boot.
const MOUNT_OPTIONS: &str = "defaults,nofail";

/// The same for what comes over the network and whose type does not say so: `host:/path` with the type `auto`.
const NETWORK_OPTIONS: &str = "defaults,nofail,_netdev";

/// Filesystems that stand on a block device: what is mounted must be one. All others take a name as it is written.
const ON_A_DEVICE: &[&str] = &[
    "adfs", "affs", "auto", "bcachefs", "befs", "btrfs", "cramfs", "erofs", "exfat", "ext2", "ext3", "ext4",
    "f2fs", "fat", "gfs2", "hfs", "hfsplus", "hpfs", "iso9660", "jfs", "minix", "msdos", "nilfs2", "ntfs",
    "ntfs3", "ocfs2", "omfs", "reiserfs", "romfs", "squashfs", "swap", "sysv", "udf", "ufs", "vfat", "xfs",
    "zonefs",
];

/// `LABEL=` and its kin, and where udev links such devices.
const TAGS: &[(&str, &str)] =
    &[("LABEL=", "label"), ("PARTLABEL=", "partlabel"), ("PARTUUID=", "partuuid"), ("UUID=", "uuid")];

/// Options that hold a secret. Everybody may read a mount unit, and ask systemd for its settings. For cifs the password goes to a file;
/// ceph has `secretfile=`, which only its own mount program reads, and Flatcar does not have that program.
const SECRETS: &[&str] = &["pass", "passwd", "password", "password2", "secret"];

/// How the names of cloud-init's own units begin. Its templates order mounts behind them, and Flatcar has none of them.
const CLOUD_INIT: &[&str] = &["cloud-config.", "cloud-final.", "cloud-init-", "cloud-init."];

/// fstab's options for systemd that a mount unit's settings express
/// ([systemd.mount(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.mount.html#fstab)).
const OPTIONS: &[(&str, Value)] = &[
    ("after", Value::Unit),
    ("automount", Value::None),
    ("before", Value::Unit),
    ("device-bound", Value::Any),
    ("device-timeout", Value::Time),
    ("growfs", Value::None),
    ("idle-timeout", Value::Time),
    ("mount-timeout", Value::Time),
    ("required-by", Value::Unit),
    ("requires", Value::Unit),
    ("requires-mounts-for", Value::Path),
    ("rw-only", Value::None),
    ("wanted-by", Value::Unit),
];

/// What an option's value must be.
#[derive(Clone, Copy, PartialEq)]
enum Value {
    None,
    Any,
    Path,
    Time,
    Unit,
}

impl Reader<'_> {
    /// `mounts`, with `mount_default_fields` for what an entry leaves out.
    pub(super) fn mounts(&mut self, root: &Node) {
        let Some(node) = self.given(root, "mounts") else { return };
        let defaults = self.given(root, "mount_default_fields");
        let defaults = defaults.map_or(&[] as &[Node], |n| self.list("mount_default_fields", n));
        for (i, item) in self.list("mounts", node).iter().enumerate() {
            let place = format!("mounts[{i}]");
            let fields = self.list(&place, item);
            if fields.is_empty() {
                if item.list().is_some() {
                    self.error(&place, item.pos, "must name what is mounted and where");
                    self.cure("write `[DEVICE, DIRECTORY, TYPE, OPTIONS]`");
                }
                continue;
            }
            if let Some(mount) = self.mount(&place, item.pos, fields, defaults) {
                self.config.mounts.push(mount);
            }
        }
    }

    /// An entry; `None` where it mounts nothing, or where an error has been reported.
    fn mount(&mut self, place: &str, pos: Pos, fields: &[Node], defaults: &[Node]) -> Option<MountSpec> {
        let own = |n: usize| fields.get(n).filter(|f| !f.is_null());
        let field = |n: usize| own(n).or_else(|| defaults.get(n)).and_then(Node::text).map(str::to_owned);
        let at = |n: usize| own(n).map_or(pos, |field| field.pos);
        let source = field(0).unwrap_or_default();
        let kind = field(2).unwrap_or_else(|| "auto".to_owned());
        // `[sdb]` and `[sdb, null]` remove the mount, also one of an earlier entry.
        let target = field(1);
        let removed = target.is_none();
        if names_a_clouds_disk(&source) && self.device_of(&source).is_none() {
            if !removed {
                self.clouds_disk(place, pos, "mounted");
            }
            return None;
        }
        let (what, disk) = self.source_of_mount(&format!("{place}[0]"), at(0), &source, &kind, removed)?;
        let Some(path) = target else {
            let before = self.config.mounts.len();
            self.config.mounts.retain(|m| m.what != what);
            if before == self.config.mounts.len() && fields.len() == 1 {
                self.warn(place, pos, "no mount point is named: nothing is mounted");
                self.cure("write `[DEVICE, PATH]`; to mount nothing, leave the entry out");
            }
            return None;
        };
        let path = self.mount_point(&format!("{place}[1]"), at(1), &path, &kind)?;
        if self.config.mounts.iter().any(|m| m.path == path && (path.is_some() || m.what == what)) {
            self.error(&format!("{place}[1]"), at(1), "another entry mounts here already");
            return None;
        }
        let said = field(3);
        let is_said = said.is_some();
        let default = if over_network(&what) && kind == "auto" { NETWORK_OPTIONS } else { MOUNT_OPTIONS };
        let options = said.unwrap_or_else(|| default.to_owned());
        let plain = |t: &String| !t.is_empty() && !t.contains(|c: char| c.is_whitespace() || c.is_control());
        if ![&kind, &options].into_iter().all(plain) {
            self.error(place, pos, "the type or an option contains a blank");
            return None;
        }
        // systemd reads a backslash at the end of a line as its continuation.
        if [Some(&what), path.as_ref(), Some(&options)].into_iter().flatten().any(|t| t.ends_with('\\')) {
            self.error(place, pos, "a field ends with a backslash");
            return None;
        }
        let options = self.mount_options(&format!("{place}[3]"), pos, &options);
        let moved = |name: &str| CIFS.contains(&kind.as_str()) && CIFS_LOGIN[1].1.contains(&name);
        let is_secret = |option: &str| {
            option.split_once('=').is_some_and(|(name, _)| SECRETS.contains(&name) && !moved(name))
        };
        if options.split(',').any(is_secret) {
            let what = "an option holds a secret, and every user of the machine can read the options of a mount unit";
            self.error(&format!("{place}[3]"), pos, what);
            self.cure("write the secret to a file with `permissions: '0600'`, and mount in runcmd or with a CSI driver");
            return None;
        }
        let fsck = field(5).unwrap_or_else(|| "2".to_owned()) != "0";
        let optional = false;
        let mut mount =
            MountSpec { place: place.to_owned(), what, path, kind, options, fsck, optional, disk };
        // A default of ours is not the author's word that the node is right without this mount.
        mount.optional = is_said && mount.has("nofail");
        self.told_of_mount(place, pos, &mount);
        Some(mount)
    }

    /// What its author should know of a mount that is good.
    fn told_of_mount(&mut self, place: &str, pos: Pos, mount: &MountSpec) {
        if mount.by_systemd() {
            self.note(&format!("{place}[1]"), pos, "systemd mounts this itself, and starts no unit for it");
        }
        if mount.kind == "auto" && over_network(&mount.what) && !mount.has("_netdev") && !mount.has("noauto")
        {
            let what = "systemd mounts this before the network is there: neither its type nor an option says that it needs it";
            self.warn(&format!("{place}[0]"), pos, what);
            self.cure("write the type, such as `nfs4`, or the option `_netdev`");
        }
        if mount.path.as_ref().is_some_and(|path| path.starts_with("/opt/")) {
            let what = "a mount below /opt: systemd 257 hides all else in /opt, also /opt/bin, when it merges system extensions";
            self.warn(&format!("{place}[1]"), pos, what);
            self.cure("mount it below /var, and link to it from /opt");
        }
    }

    /// Where an entry mounts, if it is not one of swap space; an outer `None` after an error.
    fn mount_point(&mut self, at: &str, pos: Pos, path: &str, kind: &str) -> Option<Option<String>> {
        if kind == "swap" {
            return Some(None);
        }
        if matches!(path, "none" | "swap") {
            self.warn(at, pos, "is no mount point, and the type is not swap: nothing is mounted");
            self.cure("write the type `swap` for swap space, or a path");
            return None;
        }
        self.relative(at, pos, path);
        check_path(path).map_err(|what| self.error(at, pos, what)).ok().map(Some)
    }

    /// The options without those that wait for cloud-init's units; an option for systemd that has no effect is named.
    fn mount_options(&mut self, at: &str, pos: Pos, options: &str) -> String {
        let mut kept = Vec::new();
        for option in options.split(',').filter(|o| !o.is_empty()) {
            let Some(setting) = option.strip_prefix("x-systemd.") else {
                kept.push(option);
                continue;
            };
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            let takes = OPTIONS.iter().find(|(n, _)| *n == name).map(|(_, takes)| *takes);
            if takes == Some(Value::Unit) && CLOUD_INIT.iter().any(|unit| value.starts_with(unit)) {
                continue;
            }
            match takes {
                None => {
                    self.warn(at, pos, format!("x-systemd.{}: no effect", shown(name)));
                    self.cure("make filesystems with fs_setup; for other settings write a drop-in of the mount unit");
                }
                Some(takes) if !fits(takes, value) => {
                    self.error(at, pos, format!("x-systemd.{name}: the value is not {}", named(takes)));
                }
                Some(_) => kept.push(option),
            }
        }
        if kept.is_empty() { "defaults".to_owned() } else { kept.join(",") }
    }

    /// What is mounted: a device, `LABEL=` and its kin, a network path, or the name of a filesystem that has no device;
    /// and whether it is a device that may turn out to be a disk with partitions.
    fn source_of_mount(
        &mut self,
        at: &str,
        pos: Pos,
        text: &str,
        kind: &str,
        removed: bool,
    ) -> Option<(String, bool)> {
        if text.is_empty() || text.contains(char::is_control) || text.trim() != text {
            self.error(
                at,
                pos,
                "must name what is mounted, without a control character or a blank around it",
            );
            return None;
        }
        if let Some((prefix, dir)) = TAGS.iter().find(|(p, _)| text.starts_with(p)) {
            let value = text[prefix.len()..].trim_matches(['"', '\'']);
            return Some((format!("/dev/disk/by-{dir}/{}", udev_name(value)), false));
        }
        let path = text.starts_with('/');
        let a_number = |partition: &Partition| matches!(partition, Partition::Number(_));
        let one = |device: &Device| device.partition.as_ref().is_none_or(a_number) && !text.starts_with("//");
        let device = self.device_of(text).filter(one);
        if let Some(device) = device.filter(|_| path || kind_has_device(kind)) {
            let known =
                |d: &str, layout: &Layout| d == device.path && matches!(layout, Layout::Partitions(_));
            // A disk with partitions is mounted by its first one: cloud-init looks for it.
            let partitioned = self.config.disks.iter().any(|d| known(&d.device, &d.layout))
                || self.config.filesystems.iter().any(|f| f.device == device.path && a_number(&f.partition));
            return Some(match device.partition {
                Some(Partition::Number(number)) => (partition_path(&device.path, number), false),
                _ if partitioned => (partition_path(&device.path, 1), false),
                _ => (device.path, true),
            });
        }
        if path && !text.starts_with("//") && !text.starts_with("/dev/") {
            return check_path(text).map_err(|what| self.error(at, pos, what)).ok().map(|p| (p, false));
        }
        if over_network(text)
            || !kind_has_device(kind)
            || matches!(text, "none" | "overlay" | "proc" | "sysfs" | "tmpfs")
        {
            return Some((text.to_owned(), false));
        }
        // What no entry can mount may still be what an earlier entry mounts.
        if removed {
            return Some((text.to_owned(), false));
        }
        self.no_device(at, pos);
        None
    }
}

/// Whether a source names another machine: `//host/share`, `host:/path`.
fn over_network(what: &str) -> bool {
    what.starts_with("//") || what.contains(':') && !what.starts_with('/')
}

fn kind_has_device(kind: &str) -> bool {
    ON_A_DEVICE.contains(&kind)
}

/// Whether cloud-init asks the cloud's metadata which device this is.
pub(super) fn names_a_clouds_disk(name: &str) -> bool {
    let numbered = ["ephemeral", "ebs"].iter().any(|n| name.starts_with(n)) && !name.contains([':', '/']);
    numbered || matches!(name, "ami" | "root" | "swap")
}

/// A name as udev writes it into a link below `/dev/disk`.
fn udev_name(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "#+-.:=@_".contains(c);
    value.chars().map(|c| if plain(c) { c.to_string() } else { format!("\\x{:02x}", u32::from(c)) }).collect()
}

/// An option's name for a message, where it is a name and not something secret in the wrong place.
fn shown(name: &str) -> &str {
    let plain = name.len() <= 24 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    if plain { name } else { "…" }
}

fn named(takes: Value) -> &'static str {
    match takes {
        Value::None | Value::Any => "empty",
        Value::Path => "an absolute path",
        Value::Time => "a time such as 90, 5min or 1h30min",
        Value::Unit => "a unit's name or an absolute path",
    }
}

fn fits(takes: Value, value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ":_-.\\@/".contains(c);
    match takes {
        Value::None => value.is_empty(),
        Value::Any => true,
        Value::Path => value.starts_with('/'),
        Value::Time => is_time(value),
        Value::Unit => !value.is_empty() && value.len() <= 255 && value.chars().all(plain),
    }
}

/// Whether this is a time span
/// ([systemd.time(7)](https://www.freedesktop.org/software/systemd/man/latest/systemd.time.html#Parsing%20Time%20Spans)).
fn is_time(text: &str) -> bool {
    const UNITS: &[&str] = &[
        "", "us", "usec", "µs", "ms", "msec", "s", "sec", "second", "seconds", "m", "min", "minute",
        "minutes", "h", "hr", "hour", "hours", "d", "day", "days", "w", "week", "weeks", "M", "month",
        "months", "y", "year", "years",
    ];
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        if digits.parse::<f64>().is_err() || !UNITS.contains(&&tail[..unit]) {
            return text == "infinity";
        }
        rest = &tail[unit..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_are_systemds() {
        for (text, valid) in [
            ("90", true),
            ("5min", true),
            ("1h30min", true),
            ("1.5s", true),
            ("infinity", true),
            ("", false),
            ("min", false),
            ("5 min", false),
            ("5parsecs", false),
            ("-1", false),
        ] {
            assert_eq!(is_time(text), valid, "{text:?}");
        }
    }
}
