// SPDX-License-Identifier: Apache-2.0
//! Disks, filesystems, and mounts as systemd's units.

use sha2::{Digest as _, Sha256};

use super::{UNIT_DIR, unit_name};
use crate::model::config::NodeConfig;
use crate::model::instance::Instance;
use crate::model::plan::{Item, Mounted, Plan};
use crate::model::storage::{File, FilesystemSpec, Link, MountSpec};

/// Filesystem types that come over the network.
const NETWORK_TYPES: &[&str] = &["9p", "ceph", "cifs", "glusterfs", "nfs", "nfs4", "smb3"];

/// Disks first, then filesystems, then all units, and at last what they mount: so all that fails of a step is told.
pub(super) fn items(config: &NodeConfig, instance: &Instance, plan: &mut Plan) {
    plan.items.extend(config.disks.iter().cloned().map(Item::Disk));
    let number = |spec: &FilesystemSpec| {
        spec.uuid.clone().or_else(|| spec.overwrite.then(|| uuid(&instance.instance_id, spec)))
    };
    let filesystems = config.filesystems.iter().map(|s| FilesystemSpec { uuid: number(s), ..s.clone() });
    plan.items.extend(filesystems.map(Item::Filesystem));
    // The shorter path first: what is mounted below another mount comes after it.
    let mut mounts: Vec<&MountSpec> = config.mounts.iter().collect();
    mounts.sort_by_key(|m| m.path.as_ref().map_or(0, String::len));
    for mount in &mounts {
        let (name, target) = (unit_of(mount), target(mount));
        let path = format!("{UNIT_DIR}/{name}");
        // A unit of the data's own for it stands already when its filesystem is needed; enabling it is told of later.
        let own = config.units.iter().find(|u| u.name == name).and_then(|u| u.contents.as_ref());
        let text = own.map_or_else(|| unit(mount, target).into_bytes(), |text| text.expose().to_vec());
        let file = File { place: mount.place.clone(), ..File::ours(path.clone(), text) };
        plan.items.push(Item::File(file));
        if !has(mount, "noauto") && own.is_none() {
            let how = if has(mount, "nofail") { "wants" } else { "requires" };
            plan.items.push(Item::Link(Link::ours(format!("{UNIT_DIR}/{target}.{how}/{name}"), path)));
        }
    }
    for mount in mounts.into_iter().filter(|m| !has(m, "noauto")) {
        let (place, path, what) = (mount.place.clone(), mount.path.clone(), mount.what.clone());
        plan.items.push(Item::Mounted(Mounted { place, unit: unit_of(mount), path, what }));
    }
}

/// The number of a filesystem that is made anew for this instance: by it the filesystem is known again, so that a second
/// run leaves it alone, and one that an earlier machine left does not pass for it. A UUID of version 8
/// ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.8)).
fn uuid(instance_id: &str, spec: &FilesystemSpec) -> String {
    let mut bytes = [0; 16];
    let digest = Sha256::digest(format!("footplate\0{instance_id}\0{}\0{:?}", spec.device, spec.partition));
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn has(mount: &MountSpec, option: &str) -> bool {
    mount.options.split(',').any(|o| o == option)
}

fn unit_of(mount: &MountSpec) -> String {
    match &mount.path {
        Some(path) => unit_name(path, "mount"),
        None => unit_name(&mount.what, "swap"),
    }
}

/// What pulls the mount in.
fn target(mount: &MountSpec) -> &'static str {
    match &mount.path {
        None => "swap.target",
        Some(_) if has(mount, "_netdev") && !mount.what.starts_with("/dev/") => "remote-fs.target",
        Some(_) if NETWORK_TYPES.contains(&mount.kind.as_str()) || mount.what.contains(":/") => {
            "remote-fs.target"
        }
        Some(_) => "local-fs.target",
    }
}

/// A word of a unit file's setting that takes one word.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

fn unit(mount: &MountSpec, target: &str) -> String {
    let mut unit = format!("# Written by footplate from the bootstrap data's {}.\n[Unit]\n", mount.place);
    // fstab's options for systemd have no meaning in a unit: they are its settings.
    let mut options = Vec::new();
    for option in mount.options.split(',').filter(|o| !o.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key.strip_prefix("x-systemd.") {
            Some("after") => unit += &format!("After={}\n", escaped(value)),
            Some("before") => unit += &format!("Before={}\n", escaped(value)),
            Some("requires") => unit += &format!("Requires={0}\nAfter={0}\n", escaped(value)),
            Some(_) => {}
            None if matches!(key, "nofail" | "noauto" | "auto" | "_netdev" | "comment") => {}
            None => options.push(option),
        }
    }
    if !has(mount, "nofail") {
        unit += &format!("Before={target}\n");
    }
    if mount.path.is_some() {
        unit += "# What keeps its data there must not write below it first.\n";
        unit += "Before=containerd.service docker.service kubelet.service kubeadm.service\n";
    }
    let device = mount.what.starts_with("/dev/");
    if mount.fsck && device && mount.path.is_some() {
        let check = format!("systemd-fsck@{}", unit_name(&mount.what, "service"));
        unit += &format!("Requires={0}\nAfter={0}\n", escaped(&check));
    }
    if !device && mount.what.starts_with('/') {
        // A bind mount of a directory that may be on another mount.
        unit += &format!("RequiresMountsFor={}\n", quoted(&mount.what));
    }
    let what = escaped(&mount.what);
    match &mount.path {
        None => {
            unit += &format!("\n[Swap]\nWhat={what}\n");
            options.retain(|o| *o != "sw" && *o != "defaults");
        }
        Some(path) => {
            unit += &format!("\n[Mount]\nWhat={what}\nWhere={}\nType={}\n", escaped(path), mount.kind);
        }
    }
    if !options.is_empty() {
        unit += &format!("Options={}\n", escaped(&options.join(",")));
    }
    if !has(mount, "noauto") {
        let how = if has(mount, "nofail") { "WantedBy" } else { "RequiredBy" };
        unit += &format!("\n[Install]\n{how}={target}\n");
    }
    unit
}

fn quoted(path: &str) -> String {
    format!("\"{}\"", escaped(path).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_systemds() {
        for (path, name) in [
            ("/var/lib/etcddisk", "var-lib-etcddisk.mount"),
            ("/", "-.mount"),
            ("/a-b/.c d", "a\\x2db-.c\\x20d.mount"),
            ("/.hidden", "\\x2ehidden.mount"),
            ("/dev/disk/by-label/etcd_disk", "dev-disk-by\\x2dlabel-etcd_disk.mount"),
        ] {
            assert_eq!(unit_name(path, "mount"), name);
        }
    }
}
