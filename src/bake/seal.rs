// SPDX-License-Identifier: Apache-2.0
//! Makes an image one that has not booted: nothing of the machine that built it is left, and the next boot is a first one.

use std::net::IpAddr;

use anyhow::{Result, anyhow, bail};
use serde::Serialize;

use super::node::{CONFIG_IGN, Userdata};
use super::store::ROOT;
use super::touched::{self, Touched};
use super::{network, oem_dir, record, undo};
use crate::apply::manifest::{MANIFEST, Manifest};
use crate::io::root::{Change, Root, SFlag};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::plan::kubeadm::{ERROR_LOG, KUBELET_CONF, SENTINEL};
use crate::plan::{RUN_DIR, STATE_DIR};

/// Most that an account file or a unit holds.
const MAX_FILE: usize = 4 << 20;

/// Files and directories of one machine, each with all that is in it.
const OF_ONE_MACHINE: &[&str] = &[
    // systemd takes a machine without it for one that boots the first time, and makes a new one.
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    STATE_DIR,
    RUN_DIR,
    "/run/metadata",
    "/run/cluster-api",
    // Two machines with one seed or one secret can tell each other's.
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/systemd/timesync",
    "/var/lib/systemd/network",
    // Storage knows a machine by these.
    "/etc/iscsi/initiatorname.iscsi",
    "/etc/nvme/hostid",
    "/etc/nvme/hostnqn",
    // The name and the addresses of the machine that built it.
    "/etc/hostname",
    // image-builder leaves one with which it pulled images; a node takes it for its bootstrap data.
    "/etc/kubeadm.yml",
    "/etc/kubeadm.sh",
    // What Ignition did to it, which footplate goes by.
    "/etc/.ignition-result.json",
    // What a join that failed leaves; with the first of them a kubelet would start.
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
    "/var/lib/kubelet/pki",
    // A kubelet stops at those of a machine with other processors or other memory.
    "/var/lib/kubelet/cpu_manager_state",
    "/var/lib/kubelet/memory_manager_state",
    // What an interrupted bake left.
    "/opt/footplate/store/.incoming",
];

/// Directories, and the beginning of the names in them that belong to one machine.
const NAMED: &[(&str, &str)] = &[
    ("/etc/ssh", "ssh_host_"),
    // What the stand-ins of other distributions' certificate tools link while commands run.
    ("/etc/ssl/certs", "footplate-from-"),
    ("/root", ".bash_history"),
];

/// What tells that a machine has keys of a cluster, one that it never came to be a member of included.
const OF_A_CLUSTER: &[&str] =
    &[KUBELET_CONF, "/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/ca.key", "/var/lib/etcd/member"];

/// The file by which Flatcar's boot loader knows a first boot, on the EFI system partition.
const FIRST_BOOT: &str = "/boot/flatcar/first_boot";

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sealed {
    /// What was removed.
    pub removed: Vec<Touched>,
    /// What was written.
    pub written: Vec<Touched>,
    /// What a person should know.
    #[serde(rename = "findings", serialize_with = "touched::findings")]
    pub notes: Vec<String>,
    /// Whether this is what would be done, and nothing was.
    pub dry_run: bool,
}

impl Sealed {
    /// Removes a path and lists it.
    pub(super) fn remove(&mut self, root: &Root, path: String) -> Result<()> {
        self.removed.push(Touched::before(root, &path)?.removed());
        if !self.dry_run {
            root.remove_tree(&path)?;
        }
        Ok(())
    }

    /// Whether a path was removed, or what it is in.
    pub(super) fn has(&self, path: &str) -> bool {
        let leads = |other: &Touched| {
            path.strip_prefix(other.path.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        self.removed.iter().any(leads)
    }

    /// Writes a file where it differs, and lists it.
    fn write(&mut self, root: &Root, path: &str, text: &[u8]) -> Result<()> {
        let before = Touched::before(root, path)?;
        let changes = match self.dry_run {
            true => root.read(path, MAX_FILE)?.is_none_or(|there| there != text),
            false => root.put(path, text, 0o644, ROOT)? == Change::Changed,
        };
        if changes {
            self.written.push(if self.dry_run { before } else { before.after(root)? });
        }
        Ok(())
    }
}

/// What a machine that built an image may have left that is not one machine's alone: it is named, and stays.
const LEFT: &[(&str, &str)] = &[
    ("/tmp", "files"),
    ("/var/tmp", "files"),
    ("/home", "homes, but for their keys and histories"),
    ("/var/lib/containerd", "containerd's images and containers"),
    ("/var/lib/docker", "Docker's images and containers"),
    ("/etc/cni/net.d", "settings of the network of Pods"),
    ("/etc/containerd/certs.d", "settings of registries"),
    ("/etc/sudoers.d", "rules of sudo"),
    ("/etc/ssh/sshd_config.d", "settings of sshd"),
    ("/etc/kubernetes", "files of Kubernetes"),
];

/// What footplate remembers of the machine and of its instance, each with all that is in it.
const REMEMBERED: &[&str] = &[STATE_DIR, RUN_DIR, SENTINEL, ERROR_LOG];

/// Forgets what footplate did on a machine; with `made`, undoes it too. With `dry_run`, finds out what that would do.
///
/// # Errors
/// The disk refuses.
pub fn clean(root: &Root, made: bool, dry_run: bool) -> Result<Sealed, Failure> {
    let clean = || -> Result<Sealed> {
        let manifest = Manifest::read(root)?;
        let mut cleaned = Sealed { dry_run, ..Sealed::default() };
        for path in REMEMBERED {
            if root.meta_of_link(path)?.is_some() {
                cleaned.remove(root, (*path).to_owned())?;
            }
        }
        if made {
            undo::undo(root, &manifest, &mut cleaned)?;
        } else if !manifest.paths.is_empty() {
            cleaned.notes.push(format!(
                "the files and accounts that were made stay as they are ({}); --made removes them, \
                 {MANIFEST} lists them",
                manifest.paths.len() + manifest.users.len() + manifest.groups.len()
            ));
        }
        Ok(cleaned)
    };
    clean().stage(Stage::Apply)
}

/// Seals a root; with `dry_run`, finds out what that would do. Nothing is removed before all that could refuse it was looked at.
///
/// # Errors
/// Somebody could log in to every machine made from the image, the root is a member of a cluster, or the disk refuses.
pub fn seal(root: &Root, dry_run: bool) -> Result<Sealed, Failure> {
    let manifest = Manifest::read(root).stage(Stage::Verify)?;
    check(root, &manifest).stage(Stage::Verify)?;
    remove_all(root, &manifest, dry_run).stage(Stage::Install)
}

fn check(root: &Root, manifest: &Manifest) -> Result<()> {
    for path in OF_A_CLUSTER {
        if root.meta(path)?.is_some() {
            return Err(anyhow!("{path}: this machine is a member of a cluster, or tried to be one")).cure(
                "an image of it would contain that cluster's keys: build it from a machine that never joined",
            );
        }
    }
    let mut open = with_password(root)?;
    // Accounts that are removed.
    open.retain(|name| !manifest.users.contains(name));
    if !open.is_empty() {
        let names = open.join(", ");
        return Err(anyhow!(
            "{names}: can log in with a password on every machine that is made from this image"
        ))
        .cure("remove the account (userdel --remove) or lock its password (passwd --lock)");
    }
    Ok(())
}

/// Accounts with a shell and a password, an empty one included.
fn with_password(root: &Root) -> Result<Vec<String>> {
    let read = |path: &str| Ok::<_, anyhow::Error>(root.read(path, MAX_FILE)?.unwrap_or_default());
    let (passwd, shadow) = (read("/etc/passwd")?, read("/etc/shadow")?);
    let (passwd, shadow) = (String::from_utf8_lossy(&passwd), String::from_utf8_lossy(&shadow));
    let mut open = Vec::new();
    for account in passwd.lines() {
        let fields: Vec<&str> = account.split(':').collect();
        if fields.len() < 7 {
            continue;
        }
        // No shell in the field means /bin/sh.
        let shell = fields[6].rsplit('/').next().unwrap_or_default();
        if matches!(shell, "nologin" | "false" | "sync" | "halt" | "shutdown") {
            continue;
        }
        let shadowed = shadow.lines().find_map(|l| l.strip_prefix(fields[0])?.strip_prefix(':'));
        // `x` says that the password is in shadow; without an entry there, no password is valid.
        let password = match (fields[1], shadowed) {
            ("x", Some(rest)) => rest.split(':').next().unwrap_or_default(),
            ("x", None) => "!",
            (own, _) => own,
        };
        if !password.starts_with(['!', '*']) {
            open.push(fields[0].to_owned());
        }
    }
    Ok(open)
}

fn remove_all(root: &Root, manifest: &Manifest, dry_run: bool) -> Result<Sealed> {
    let mut sealed = Sealed { dry_run, ..Sealed::default() };
    let mut paths: Vec<String> = OF_ONE_MACHINE.iter().map(|p| (*p).to_owned()).collect();
    for (dir, begins) in NAMED {
        paths.extend(root.list(dir)?.iter().filter(|n| n.starts_with(begins)).map(|n| format!("{dir}/{n}")));
    }
    let network = network::of_builder(root, &undo::baked(root)?)?;
    paths.extend(network.gone);
    for home in homes(root)? {
        paths.push(format!("{home}/.ssh/authorized_keys"));
        // sshd looks there too, unless it is told otherwise.
        paths.push(format!("{home}/.ssh/authorized_keys2"));
        paths.push(format!("{home}/.ssh/authorized_keys.d"));
        paths.push(format!("{home}/.bash_history"));
    }
    logs(root, "/var/log", LOG_DEPTH, &mut paths)?;
    for path in paths {
        if root.meta_of_link(&path)?.is_some() && !sealed.has(&path) {
            sealed.remove(root, path)?;
        }
    }
    undo::undo(root, manifest, &mut sealed)?;
    first_boot(root, &mut sealed)?;
    oem_config(root, &mut sealed)?;
    let hosts = root.read("/etc/hosts", MAX_FILE)?.unwrap_or_default();
    let address =
        |line: &str| line.split('#').next().and_then(|line| line.split_whitespace().next()?.parse().ok());
    let others = String::from_utf8_lossy(&hosts).lines().filter_map(address).filter(leads_out).count();
    if others > 0 {
        sealed.notes.push(format!("left as it is: /etc/hosts, addresses of other machines ({others})"));
    }
    for path in network.left {
        if !sealed.has(&path) {
            let why = "it has no address and no key of one machine, and counts on every machine";
            sealed.notes.push(format!("left as it is: {path}: {why}"));
        }
    }
    for (dir, what) in LEFT {
        let inside = |name: &String| !sealed.has(&format!("{dir}/{name}"));
        let count = root.list(dir)?.iter().filter(|name| inside(name)).count();
        if count > 0 {
            sealed.notes.push(format!("left as it is: {dir}, {what} ({count})"));
        }
    }
    Ok(sealed)
}

/// Whether an address of `/etc/hosts` is one of a network, and not one that each machine has for itself.
fn leads_out(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_loopback(),
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_multicast() || address.segments()[0] == 0xfe00)
        }
    }
}

/// Home directories of all accounts, without those that several system accounts share.
fn homes(root: &Root) -> Result<Vec<String>> {
    let passwd = root.read("/etc/passwd", MAX_FILE)?.unwrap_or_default();
    let passwd = String::from_utf8_lossy(&passwd).into_owned();
    let mut homes: Vec<String> =
        passwd.lines().filter_map(|l| l.split(':').nth(5)).map(str::to_owned).collect();
    homes.extend(["/root".to_owned(), "/home/core".to_owned()]);
    homes.retain(|h| h.len() > 1 && h.starts_with('/'));
    homes.sort();
    homes.dedup();
    Ok(homes)
}

/// How deep logs are looked for: the journal's are two directories down.
const LOG_DEPTH: u32 = 4;

/// Files below the logs' directory. The directories stay: programs look for theirs, but for those of a machine's journal.
fn logs(root: &Root, dir: &str, depth: u32, paths: &mut Vec<String>) -> Result<()> {
    if depth == 0 {
        bail!("{dir}: has directories that are nested too deep to look for logs in");
    }
    for name in root.list(dir)? {
        let path = format!("{dir}/{name}");
        match root.meta_of_link(&path)?.map(|m| m.kind) {
            Some(SFlag::S_IFDIR) if dir.ends_with("/journal") => paths.push(path),
            Some(SFlag::S_IFDIR) => logs(root, &path, depth - 1, paths)?,
            Some(_) => paths.push(path),
            None => {}
        }
    }
    Ok(())
}

fn first_boot(root: &Root, sealed: &mut Sealed) -> Result<()> {
    sealed.write(root, FIRST_BOOT, b"")?;
    let device = |path: &str| Ok::<_, anyhow::Error>(root.meta(path)?.map(|m| m.device));
    if device("/boot")? == device("/")? {
        sealed.notes.push(format!(
            "/boot is not a mount point here, and the boot loader reads {FIRST_BOOT} from the EFI system partition only: mount that partition there and seal again"
        ));
    }
    Ok(())
}

/// image-builder's clean-up deletes the OEM partition's config. In the cloud-config flavour it is what keeps the boot alive.
fn oem_config(root: &Root, sealed: &mut Sealed) -> Result<()> {
    let oem = oem_dir(root)?;
    let kernel_arguments = root.read(&format!("{oem}/grub.cfg"), MAX_FILE)?.unwrap_or_default();
    if String::from_utf8_lossy(&kernel_arguments).contains("flatcar.autologin") {
        sealed.notes.push(format!(
            "{oem}/grub.cfg has flatcar.autologin: anyone at a console is logged in without a password"
        ));
    }
    let path = format!("{oem}/config.ign");
    let cloud_config = record(root)?.is_some_and(|r| r.userdata == Userdata::CloudConfig);
    if cloud_config {
        sealed.write(root, &path, CONFIG_IGN.as_bytes())?;
    }
    Ok(())
}
