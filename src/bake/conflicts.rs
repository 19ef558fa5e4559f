// SPDX-License-Identifier: Apache-2.0
//! What can't stand beside what a lock installs, said before it is found out on a node. `bake` refuses each kind unless it is
//! allowed by name; `verify` reports it.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::Record;
use super::containerd;
use super::lock::Lock;
use super::node::{SOCKET, UNIT_DIR};
use super::store::{self, Link};
use crate::io::root::{Root, SFlag};
use crate::model::plan::{Item, Plan};
use crate::model::storage;

/// Most of a configuration that is looked at.
const MAX_FILE: usize = 1 << 20;

/// Directories of a node's PATH that the image itself fills. Login shells look there before `/opt/bin`; what footplate runs
/// looks there after it.
const SYSTEM_PATH: &[&str] = &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];

/// Where units of the image itself stand.
const SYSTEM_UNITS: &[&str] = &["/usr/lib/systemd/system", "/usr/local/lib/systemd/system"];

/// Flatcar's own containerd: its program, its unit, and the extension image that both come in.
const FLATCAR_CONTAINERD: &[&str] = &["/usr/bin/containerd", "/usr/lib/systemd/system/containerd.service"];
const CONTAINERD_EXTENSION: &str = "/etc/extensions/containerd-flatcar.raw";

/// Kinds of conflict, by the names that `--allow` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A program of one name in `/opt/bin` and in `/usr`.
    Shadowed,
    /// A unit in `/etc` over one in `/usr`.
    Unit,
    /// Two containerds, or one without its unit.
    Containerd,
    /// A file in the way that footplate did not put there.
    Foreign,
    /// Programs that look for each other at different sockets.
    Socket,
    /// A pause image that kubeadm does not pull.
    Pause,
    /// Two managers of one tree of cgroups.
    Cgroup,
}

impl Kind {
    /// All of them, with their names.
    pub const ALL: &[(&str, Self)] = &[
        ("shadowed", Self::Shadowed),
        ("unit", Self::Unit),
        ("containerd", Self::Containerd),
        ("foreign", Self::Foreign),
        ("socket", Self::Socket),
        ("pause", Self::Pause),
        ("cgroup", Self::Cgroup),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// A conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Its kind.
    pub kind: Kind,
    /// What stands against what.
    pub what: String,
    /// What can be done about it, besides allowing it.
    pub choice: String,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}, or --allow {}", self.what, self.choice, self.kind.name())
    }
}

/// A root, and the files that a bake is about to put there.
pub struct View<'a> {
    /// The root.
    pub root: &'a Root,
    /// The lock.
    pub lock: &'a Lock,
    /// Paths and contents that will be there.
    pub planned: BTreeMap<String, String>,
    /// The pause image that this kubeadm pulls, where it could be asked.
    pub pause_image: Option<String>,
}

impl<'a> View<'a> {
    /// The root as it is.
    pub fn of(root: &'a Root, lock: &'a Lock, pause_image: Option<String>) -> Self {
        Self { root, lock, planned: BTreeMap::new(), pause_image }
    }

    /// The root as it will be.
    pub fn with(root: &'a Root, lock: &'a Lock, plan: &Plan, pause_image: Option<String>) -> Self {
        let text = |item: &Item| match item {
            Item::File(f) => Some((f.path.clone(), String::from_utf8_lossy(f.content.expose()).into_owned())),
            _ => None,
        };
        Self { planned: plan.items.iter().filter_map(text).collect(), ..Self::of(root, lock, pause_image) }
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, dir: &str) -> Result<Vec<String>> {
        let planned = self.planned.keys().filter_map(|p| p.strip_prefix(dir)?.strip_prefix('/'));
        let planned = planned.filter(|name| !name.contains('/')).map(str::to_owned);
        let mut names: Vec<String> = self.root.list(dir)?.into_iter().chain(planned).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        if let Some(text) = self.planned.get(path) {
            return Ok(Some(text.clone()));
        }
        let bytes = self.root.read(path, MAX_FILE)?;
        Ok(bytes.map(|b| String::from_utf8_lossy(&b).into_owned()))
    }

    fn is_there(&self, path: &str) -> Result<bool> {
        Ok(self.planned.contains_key(path) || self.root.meta_of_link(path)?.is_some())
    }

    /// Whether the lock puts something there.
    pub(super) fn locked(&self, path: &str) -> bool {
        let (dir, _) = path.rsplit_once('/').unwrap_or_default();
        let inside = |i: &super::lock::Install| i.to == path || i.to == format!("{dir}/");
        self.lock.artifacts.iter().flat_map(|a| &a.install).any(inside)
    }
}

/// All conflicts but files in the way. `links` are the lock's, as far as they are known.
///
/// # Errors
/// The root can't be read.
pub fn find(view: &View<'_>, links: &[Link], units: &[String]) -> Result<Vec<Conflict>> {
    let mut found = Vec::new();
    shadowed(view, links, &mut found)?;
    over_system_units(view, units, &mut found)?;
    two_containerds(view, links, &mut found)?;
    sockets(view, &mut found)?;
    containerd::settings(view, &mut found)?;
    Ok(found)
}

fn shadowed(view: &View<'_>, links: &[Link], found: &mut Vec<Conflict>) -> Result<()> {
    for name in links.iter().filter_map(|l| l.path.strip_prefix("/opt/bin/")) {
        for dir in SYSTEM_PATH {
            let other = format!("{dir}/{name}");
            // Two containerds are told apart from other programs.
            if name != "containerd" && view.root.meta(&other)?.is_some() {
                found.push(Conflict {
                    kind: Kind::Shadowed,
                    what: format!(
                        "/opt/bin/{name} and {other}: login shells run the one in /usr, units of the bootstrap the one in /opt"
                    ),
                    choice: format!("leave {name} out of the lock"),
                });
                break;
            }
        }
    }
    Ok(())
}

fn over_system_units(view: &View<'_>, units: &[String], found: &mut Vec<Conflict>) -> Result<()> {
    for path in units {
        let Some(name) = path.strip_prefix(UNIT_DIR).and_then(|n| n.strip_prefix('/')) else { continue };
        if name.contains('/') || name == "containerd.service" {
            continue;
        }
        for dir in SYSTEM_UNITS {
            let other = format!("{dir}/{name}");
            if view.root.meta_of_link(&other)?.is_some() {
                found.push(Conflict {
                    kind: Kind::Unit,
                    what: format!(
                        "{path} over {other}: the one in /etc wins, whatever an update brings in /usr"
                    ),
                    choice: "take the one in /usr out of the image".to_owned(),
                });
            }
        }
    }
    Ok(())
}

fn two_containerds(view: &View<'_>, links: &[Link], found: &mut Vec<Conflict>) -> Result<()> {
    if links.iter().all(|l| l.path != "/opt/bin/containerd") {
        return Ok(());
    }
    let mut others = Vec::new();
    for path in FLATCAR_CONTAINERD {
        if view.root.meta_of_link(path)?.is_some() {
            others.push(*path);
        }
    }
    let extension = view.root.link_target(CONTAINERD_EXTENSION)?;
    if extension.as_deref().is_some_and(|t| t != "/dev/null") {
        others.push(CONTAINERD_EXTENSION);
    }
    if !others.is_empty() {
        found.push(Conflict {
            kind: Kind::Containerd,
            what: format!("/opt/bin/containerd and {}: two containerds", others.join(", ")),
            choice: format!(
                "leave containerd and runc out of the lock, or mask Flatcar's by linking {CONTAINERD_EXTENSION} and \
                 docker-flatcar.raw beside it to /dev/null"
            ),
        });
    }
    if !view.is_there(&format!("{UNIT_DIR}/containerd.service"))? {
        found.push(Conflict {
            kind: Kind::Containerd,
            what: "/opt/bin/containerd: no unit starts it".to_owned(),
            choice: "--containerd-config brings its unit and its configuration".to_owned(),
        });
    }
    Ok(())
}

/// The path of a socket, whichever way it is written. `/var/run` is `/run`.
fn socket(text: &str) -> String {
    let path = text.trim().trim_matches(['"', '\'']);
    let path = path.strip_prefix("unix://").unwrap_or(path);
    path.strip_prefix("/var/run/").map_or_else(|| path.to_owned(), |rest| format!("/run/{rest}"))
}

/// A value in YAML at the top of a document.
pub(super) fn yaml_value(text: &str, key: &str) -> Option<String> {
    let value =
        |line: &str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().trim_matches('"').to_owned());
    text.lines().find_map(value)
}

/// A flag in a file of arguments.
fn flag(text: &str, name: &str) -> Option<String> {
    let after = text.split(&format!("{name}=")).nth(1)?;
    Some(after.split(|c: char| c.is_whitespace() || c == '"').next()?.to_owned())
}

pub(super) const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";
const KUBELET_FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";

/// Everybody who names containerd's socket names the same.
fn sockets(view: &View<'_>, found: &mut Vec<Conflict>) -> Result<()> {
    let mut named: Vec<(&str, String)> = Vec::new();
    let files = containerd::files(view)?;
    for file in &files {
        named.extend(file.settings.socket.clone().map(|socket| (file.path.as_str(), socket)));
    }
    if let Some(text) = view.text("/etc/crictl.yaml")? {
        named.extend(yaml_value(&text, "runtime-endpoint").map(|e| ("/etc/crictl.yaml", e)));
    }
    if let Some(text) = view.text(KUBELET_CONFIG)? {
        named.extend(yaml_value(&text, "containerRuntimeEndpoint").map(|e| (KUBELET_CONFIG, e)));
    }
    if let Some(text) = view.text(KUBELET_FLAGS)? {
        named.extend(flag(&text, "--container-runtime-endpoint").map(|e| (KUBELET_FLAGS, e)));
    }
    for (path, socket_there) in named.iter().filter(|(_, s)| !s.is_empty() && socket(s) != socket(SOCKET)) {
        found.push(Conflict {
            kind: Kind::Socket,
            what: format!(
                "{path} names the socket {socket_there}, which Flatcar's containerd does not listen at"
            ),
            choice: format!("write {SOCKET}"),
        });
    }
    Ok(())
}

/// Files that stand where a bake puts its own, and that no bake put there. Answers their paths as well, for a bake that may
/// replace them.
///
/// # Errors
/// The root can't be read.
pub fn foreign(
    root: &Root,
    links: &[Link],
    plan: &Plan,
    record: Option<&Record>,
) -> Result<(Vec<Conflict>, Vec<String>)> {
    let (mut found, mut paths) = (Vec::new(), Vec::new());
    let mut put = |path: &str, is: &str| {
        paths.push(path.to_owned());
        found.push(Conflict {
            kind: Kind::Foreign,
            what: format!("{path}: {is} that footplate did not put there"),
            choice: "remove it".to_owned(),
        });
    };
    for link in links {
        let Some(meta) = root.meta_of_link(&link.path)? else { continue };
        if meta.kind == SFlag::S_IFLNK {
            let target = root.link_target(&link.path)?.unwrap_or_default();
            if !target.contains("footplate/store/") {
                put(&link.path, "a link");
            }
        } else if meta.kind == SFlag::S_IFREG {
            // The same program, put there by hand: Packer uploads footplate to its own place.
            let file = root.open_file(&link.path)?;
            if !file.is_some_and(|f| store::digest_of(f).is_ok_and(|d| d == link.sha256)) {
                put(&link.path, "a file");
            }
        }
    }
    let ours = |path: &str| {
        record
            .is_some_and(|r| r.files.iter().any(|f| f.path == path) || r.links.iter().any(|l| l.path == path))
    };
    for item in &plan.items {
        match item {
            Item::File(file) if !ours(&file.path) => {
                let have = root.read(&file.path, MAX_FILE)?;
                if have.is_some_and(|h| h != file.content.expose()) {
                    put(&file.path, "a file");
                }
            }
            Item::Link(storage::Link { path, target, .. }) if !ours(path) => match root.link_target(path)? {
                Some(have) if have == *target => {}
                Some(_) => put(path, "a link"),
                None if root.meta_of_link(path)?.is_some() => put(path, "a file"),
                None => {}
            },
            _ => {}
        }
    }
    Ok((found, paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found() {
        let flags = "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/x.sock --v=2\"\n";
        assert_eq!(flag(flags, "--container-runtime-endpoint").as_deref(), Some("unix:///run/x.sock"));
        assert_eq!(
            yaml_value("a: b\ncgroupDriver: \"cgroupfs\"\n", "cgroupDriver").as_deref(),
            Some("cgroupfs")
        );
        assert_eq!(socket("unix:///var/run/containerd/containerd.sock"), socket(SOCKET));
    }
}
