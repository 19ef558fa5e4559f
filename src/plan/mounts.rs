// SPDX-License-Identifier: Apache-2.0
//! Mounts and swap devices as units, as
//! [systemd-fstab-generator](https://www.freedesktop.org/software/systemd/man/latest/systemd-fstab-generator.html) makes
//! them of the same entries of an fstab.

use super::{DOCUMENTATION, UNIT_DIR};
use crate::model::config::NodeConfig;
use crate::model::plan::{Item, Mount, MountUnits, Mounted, Plan};
use crate::model::secret::Secret;
use crate::model::storage::{CIFS, CIFS_LOGIN, File, Link, MountSpec, partition_path};
use crate::model::unit::{KINDS, of_path};

/// Filesystems that come over the network.
const NETWORK_TYPES: &[&str] = &[
    "afs",
    "ceph",
    "cifs",
    "davfs",
    "gfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncp",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "pvfs2",
    "smb3",
    "smbfs",
    "sshfs",
];

/// All units first and then what they mount: a mount may require another one that comes later.
pub(super) fn items(config: &NodeConfig, plan: &mut Plan) {
    // The shorter path first: what is mounted below another mount comes after it.
    let mut mounts: Vec<&MountSpec> = config.mounts.iter().collect();
    mounts.sort_by_key(|m| m.path.as_ref().map_or(0, String::len));
    let made: Vec<Mount> = mounts.into_iter().map(|m| mount(m, config)).collect();
    plan.items.extend(made.iter().cloned().map(Item::MountUnits));
    plan.items.extend(made.into_iter().filter(|m| m.used).map(|m| Item::Mounted(Mounted(m))));
}

fn mount(spec: &MountSpec, config: &NodeConfig) -> Mount {
    // A unit of the data's own for it stands already when its filesystem is needed; it is enabled later.
    let own = config.units.iter().find(|u| u.name == unit_of(spec)).and_then(|u| u.contents.as_ref());
    let units = |spec: &MountSpec| own.map_or_else(|| units(spec), |text| own_unit(spec, text));
    let first = spec.disk.then(|| MountSpec { what: partition_path(&spec.what, 1), ..spec.clone() });
    Mount {
        place: spec.place.clone(),
        path: spec.path.clone(),
        as_named: units(spec),
        first_partition: first.as_ref().map(units),
        used: !spec.has("noauto") && !spec.by_systemd(),
        optional: spec.optional,
    }
}

/// A unit that the data brings for a mount.
fn own_unit(mount: &MountSpec, text: &Secret) -> MountUnits {
    let unit = unit_of(mount);
    let file = File::ours(format!("{UNIT_DIR}/{unit}"), text.expose());
    let files = vec![File { place: mount.place.clone(), ..file }];
    MountUnits { what: mount.what.clone(), unit, files, links: Vec::new() }
}

/// The unit's name.
fn unit_of(mount: &MountSpec) -> String {
    match &mount.path {
        Some(path) => of_path(path, "mount"),
        None => of_path(&mount.what, "swap"),
    }
}

/// What pulls the mount in.
fn target(mount: &MountSpec) -> &'static str {
    let kind = mount.kind.strip_prefix("fuse.").unwrap_or(&mount.kind);
    // `_netdev` says that the source comes over the network: systemd goes by it and by the type, not by the source. cloud-init gives it to all mounts, and a disk must be there
    // before containerd, which the network may need.
    let network = NETWORK_TYPES.contains(&kind) || mount.has("_netdev");
    match &mount.path {
        None => "swap.target",
        Some(_) if network && !mount.what.starts_with("/dev/") => "remote-fs.target",
        Some(_) => "local-fs.target",
    }
}

/// Where the login of a mount is, in a file of the unit's name that only root may read: everybody may read a unit.
const LOGINS: &str = "/etc/footplate/mounts";

/// The mount without the login among its options, and the file that has the login instead.
fn without_login(mount: &MountSpec) -> (MountSpec, Option<File>) {
    let value = |names: &[&str]| names.iter().find_map(|name| mount.value(name));
    if !CIFS.contains(&mount.kind.as_str()) || value(CIFS_LOGIN[1].1).is_none() {
        return (mount.clone(), None);
    }
    let lines = CIFS_LOGIN.iter().filter_map(|(key, names)| Some(format!("{key}={}\n", value(names)?)));
    let (path, content) = (format!("{LOGINS}/{}", unit_of(mount)), lines.collect::<String>());
    let is_login = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default();
        CIFS_LOGIN.iter().any(|(_, names)| names.contains(&name))
    };
    let kept = mount.options().filter(|option| !is_login(option));
    let login = format!("credentials={path}");
    let options = kept.map(str::to_owned).chain([login]).collect::<Vec<_>>().join(",");
    let file = File { place: mount.place.clone(), ..File::ours(path, content).mode(0o600) };
    (MountSpec { options, ..mount.clone() }, Some(file))
}

/// A mount's units: its own, one that mounts it when it is used, one that grows it, and how long its device may take.
fn units(mount: &MountSpec) -> MountUnits {
    let (mount, login) = without_login(mount);
    let mut units = units_of(&mount);
    units.files.splice(0..0, login);
    units
}

fn units_of(mount: &MountSpec) -> MountUnits {
    let (name, target) = (unit_of(mount), target(mount));
    let head = format!("# Written by footplate from the bootstrap data's {}.\n", mount.place);
    let file = |name: &str, text: String| File {
        place: mount.place.clone(),
        ..File::ours(format!("{UNIT_DIR}/{name}"), head.clone() + &text)
    };
    let automount = mount.path.as_ref().filter(|_| mount.has("x-systemd.automount"));
    let pulled = automount.map_or_else(|| name.clone(), |path| of_path(path, "automount"));
    let (pulls, install) = pulls(mount, &pulled, target);
    let own = unit(mount, target) + if automount.is_none() { &install } else { "" };
    let mut units = MountUnits {
        what: mount.what.clone(),
        unit: pulled.clone(),
        files: vec![file(&name, own)],
        links: pulls,
    };
    if let Some(path) = automount {
        units.files.push(file(&pulled, automount_unit(mount, path) + &install));
    }
    let device = mount.what.starts_with("/dev/");
    if let (Some(path), true) = (&mount.path, mount.has("x-systemd.growfs")) {
        let grow = format!("systemd-growfs@{}", of_path(path, "service"));
        units.files.push(file(&grow, growfs_unit(path, &name, target)));
        let link = Link::ours(format!("{UNIT_DIR}/{name}.wants/{grow}"), format!("{UNIT_DIR}/{grow}"));
        units.links.push(link);
    }
    if let (Some(limit), true) = (mount.value("x-systemd.device-timeout"), device) {
        let dropin = format!("{}.d/50-footplate-{name}.conf", of_path(&mount.what, "device"));
        units.files.push(file(&dropin, format!("[Unit]\nJobRunningTimeoutSec={limit}\n")));
    }
    units
}

/// The links that start a unit, and its section that says the same.
fn pulls(mount: &MountSpec, unit: &str, target: &str) -> (Vec<Link>, String) {
    let mut by: Vec<(&str, &str, String)> = Vec::new();
    // These options are a mount's alone.
    let swap = mount.path.is_none();
    let automount = !swap && mount.has("x-systemd.automount");
    for (key, option, how) in
        [("WantedBy", "x-systemd.wanted-by", "wants"), ("RequiredBy", "x-systemd.required-by", "requires")]
    {
        let units = mount.values(option).filter(|_| !automount && !swap);
        by.extend(units.map(|unit| (key, how, dependency(unit))));
    }
    // An automount waits for its use in any case.
    if by.is_empty() && (automount || !mount.has("noauto")) && !mount.by_systemd() {
        let (key, how) = if mount.has("nofail") { ("WantedBy", "wants") } else { ("RequiredBy", "requires") };
        by.push((key, how, target.to_owned()));
    }
    let link = |(_, how, by): &(&str, &str, String)| {
        Link::ours(format!("{UNIT_DIR}/{by}.{how}/{unit}"), format!("{UNIT_DIR}/{unit}"))
    };
    let lines: String = by.iter().map(|(key, _, by)| format!("{key}={by}\n")).collect();
    let install = if by.is_empty() { lines } else { format!("\n[Install]\n{lines}") };
    (by.iter().map(link).collect(), install)
}

/// A text as a unit file has it.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// A path among words of a unit file.
fn quoted(path: &str) -> String {
    format!("\"{}\"", escaped(path).replace('\\', "\\\\").replace('"', "\\\""))
}

/// The unit that an option names: a unit, a device's path, a mount point, or a mount unit without its suffix.
fn dependency(name: &str) -> String {
    if name.starts_with("/dev/") {
        return of_path(name, "device");
    }
    if name.starts_with('/') {
        return of_path(name, "mount");
    }
    let known = name.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind));
    if known { name.to_owned() } else { format!("{name}.mount") }
}

/// What keeps its data on a mount must not write below it first.
const BEFORE: &str = "# What keeps its data there must not write below it first.\n\
    Before=containerd.service docker.service kubelet.service kubeadm.service\n";

fn unit(mount: &MountSpec, target: &str) -> String {
    let mut unit = format!("[Unit]\n{DOCUMENTATION}");
    let dependencies = |option: &str, setting: &str| -> String {
        let line = |name: &str| format!("{setting}={}\n", escaped(&dependency(name)));
        mount.values(option).map(line).collect()
    };
    unit += &dependencies("x-systemd.after", "After");
    unit += &dependencies("x-systemd.requires", "After");
    unit += &dependencies("x-systemd.requires", "Requires");
    unit += &dependencies("x-systemd.before", "Before");
    for path in mount.values("x-systemd.requires-mounts-for") {
        unit += &format!("RequiresMountsFor={}\n", quoted(path));
    }
    if mount.path.is_some() {
        if !mount.has("nofail") {
            unit += &format!("Before={target}\n");
        }
        unit += BEFORE;
    }
    let device = mount.what.starts_with("/dev/");
    if mount.fsck && device && mount.path.is_some() {
        let check = escaped(&format!("systemd-fsck@{}", of_path(&mount.what, "service")));
        unit += &format!("Requires={check}\nAfter={check}\n");
    }
    if device {
        // An encrypted device is there before it can be read.
        unit += &format!("After={}\n", escaped(&format!("blockdev@{}", of_path(&mount.what, "target"))));
    } else if mount.what.starts_with('/') && !mount.what.starts_with("//") {
        // A bind mount of a directory that may be on another mount.
        unit += &format!("RequiresMountsFor={}\n", quoted(&mount.what));
    }
    let what = escaped(&mount.what);
    match &mount.path {
        None => unit += &format!("\n[Swap]\nWhat={what}\n"),
        Some(path) => {
            unit += &format!("\n[Mount]\nWhat={what}\nWhere={}\n", escaped(path));
            if mount.kind != "auto" {
                unit += &format!("Type={}\n", escaped(&mount.kind));
            }
        }
    }
    if let Some(limit) = mount.value("x-systemd.mount-timeout").filter(|_| mount.path.is_some()) {
        unit += &format!("TimeoutSec={limit}\n");
    }
    if mount.path.is_some() && mount.has("x-systemd.rw-only") {
        unit += "ReadWriteOnly=yes\n";
    }
    let options = unit_options(mount);
    if !options.is_empty() {
        unit += &format!("Options={}\n", escaped(&options));
    }
    unit
}

/// The options that stay options: systemd reads some of fstab's in units too (`nofail`, `_netdev`), and mount(8) passes
/// over those that are not for it.
fn unit_options(mount: &MountSpec) -> String {
    let device = mount.what.starts_with("/dev/");
    let timeout = |option: &str| option.starts_with("x-systemd.device-timeout=") && mount.path.is_some();
    let network = |option: &str| option == "_netdev" && device;
    let options = mount.options().filter(|option| !timeout(option) && !network(option));
    let options = options.collect::<Vec<_>>().join(",");
    if options == "defaults" { String::new() } else { options }
}

/// The unit that mounts a path when it is used.
fn automount_unit(mount: &MountSpec, path: &str) -> String {
    let mut unit = format!("[Unit]\n{DOCUMENTATION}{BEFORE}\n[Automount]\nWhere={}\n", escaped(path));
    if let Some(limit) = mount.value("x-systemd.idle-timeout") {
        unit += &format!("TimeoutIdleSec={limit}\n");
    }
    unit
}

/// The unit that grows a filesystem to the size of its device, whenever it is mounted.
fn growfs_unit(path: &str, mount: &str, target: &str) -> String {
    let mount = escaped(mount);
    format!(
        "[Unit]\n\
         Description=Grow the filesystem to the size of its device\n\
         {DOCUMENTATION}\
         DefaultDependencies=no\n\
         BindsTo={mount}\n\
         Conflicts=shutdown.target\n\
         After=systemd-repart.service {mount}\n\
         Before=shutdown.target {target}\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart=/usr/lib/systemd/systemd-growfs {}\n\
         TimeoutSec=0\n",
        quoted(path).replace('$', "$$")
    )
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
            assert_eq!(of_path(path, "mount"), name);
        }
    }

    #[test]
    fn dependencies_are_units() {
        for (name, unit) in [
            ("x.service", "x.service"),
            ("a.b", "a.b.mount"),
            ("data", "data.mount"),
            ("/srv/data", "srv-data.mount"),
            ("/dev/sdb1", "dev-sdb1.device"),
        ] {
            assert_eq!(dependency(name), unit);
        }
    }
}
