// SPDX-License-Identifier: Apache-2.0
//! Tells whether an image, or a node that runs, is as it was baked.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::architecture::INIT;
use super::conflicts::{self, Kind, View};
use super::lock::{Artifact, CURRENT, LOCK, Lock, OWN_ARCHITECTURE};
use super::node::UNIT_DIR;
use super::store::{self, STORE};
use super::{RECORD, Record, architecture, baked_lock, record, sysext, with_own};
use crate::io::exec::{self, Unanswered};
use crate::io::root::{Meta, Root};
use crate::model::paths::KUBEADM_UNIT;

/// Directories whose content root alone may change: what is put there is run by root.
const GUARDED: &[&str] = &["/opt", "/opt/bin", "/opt/cni", "/opt/cni/bin", "/opt/footplate", STORE, UNIT_DIR];

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is right.
    Ok,
    /// Not so.
    Failed,
    /// Could not be told here.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What kind: `lock`, `architecture`, `content`, `link`, `owner`, `unit`, `version`, `path`, `conflict`, ….
    pub kind: &'static str,
    /// The path or the name that was looked at.
    pub what: String,
    /// How it came out.
    pub result: Outcome,
    /// What was found, or why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// All checks of an image.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether none failed.
    pub ok: bool,
    /// How many there were.
    pub count: usize,
    /// How many failed.
    pub failed: usize,
    /// How many could not be told.
    pub skipped: usize,
    /// The checks.
    pub checks: Vec<Check>,
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn put(&mut self, kind: &'static str, what: impl Into<String>, fault: Option<String>) {
        let result = if fault.is_some() { Outcome::Failed } else { Outcome::Ok };
        self.0.push(Check { kind, what: what.into(), result, detail: fault.unwrap_or_default() });
    }

    fn skip(&mut self, kind: &'static str, what: impl Into<String>, why: impl Into<String>) {
        self.0.push(Check { kind, what: what.into(), result: Outcome::Skipped, detail: why.into() });
    }

    /// A check whose own reading may fail: that is a fault as well.
    fn tried(&mut self, kind: &'static str, what: impl Into<String>, fault: Result<Option<String>>) {
        self.put(kind, what, fault.unwrap_or_else(|error| Some(format!("{error:#}"))));
    }
}

/// Checks a root against its own lock, or against `wanted` where the lock is kept elsewhere.
pub fn verify(root: &Root, wanted: Option<&Lock>) -> Report {
    let mut checks = Checks::default();
    let lock = baked_lock(root);
    let fault = match (&lock, wanted) {
        (Ok(None), _) if root.stands(sysext::INSIDE).unwrap_or(false) => Some(
            "is missing: this node's programs come from a system extension, which is verified when it is fetched, not here"
                .to_owned(),
        ),
        (Ok(None), _) => Some("is missing: nothing was baked here".to_owned()),
        (Ok(Some(have)), Some(wanted)) if have != wanted => {
            Some("is not the lock it is checked against".to_owned())
        }
        (Ok(Some(_)), _) => None,
        (Err(error), _) => Some(format!("{error:#}")),
    };
    checks.put("lock", LOCK, fault);
    let record = record(root);
    let fault = match &record {
        Ok(None) if matches!(lock, Ok(None)) => Some("is missing, as the lock is".to_owned()),
        Ok(None) => Some("is missing: a bake was interrupted; run it again".to_owned()),
        Ok(Some(_)) => None,
        Err(error) => Some(format!("{error:#}")),
    };
    checks.put("lock", RECORD, fault);
    let record = record.ok().flatten();
    if let Some(lock) = wanted.cloned().or(lock.ok().flatten()) {
        let all = with_own(&lock, record.as_ref().and_then(|r| r.footplate.as_ref()));
        for artifact in &all.artifacts {
            check_artifact(root, artifact, &mut checks);
        }
        match architecture::machine_of(root, INIT) {
            Ok(None) => checks.skip("architecture", INIT, "it is not there, or not a program"),
            _ => checks.tried("architecture", INIT, architecture::fault(root, &lock)),
        }
        check_versions(root, &lock, &mut checks);
        check_conflicts(root, &all, record.as_ref(), &mut checks);
        check_paths(root, &all, &mut checks);
    }
    for path in [LOCK, RECORD] {
        check_owner(root, path, Some(0o644), &mut checks);
    }
    if let Some(record) = &record {
        check_record(root, record, &mut checks);
    }
    for path in GUARDED {
        if root.meta(path).is_ok_and(|m| m.is_some()) {
            check_owner(root, path, None, &mut checks);
        }
    }
    summed(checks.0)
}

fn summed(checks: Vec<Check>) -> Report {
    let of = |outcome| checks.iter().filter(|c| c.result == outcome).count();
    let (failed, skipped) = (of(Outcome::Failed), of(Outcome::Skipped));
    Report { ok: failed == 0, count: checks.len(), failed, skipped, checks }
}

/// An artifact's files, its link to the version in use, and the links to its files.
fn check_artifact(root: &Root, artifact: &Artifact, checks: &mut Checks) {
    let called = format!("{} {}", artifact.name, artifact.version);
    let manifest = match store::manifest(root, artifact) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            let what = "the store has no such artifact with the lock's digest".to_owned();
            return checks.put("content", called, Some(what));
        }
        Err(error) => return checks.put("content", called, Some(format!("{error:#}"))),
    };
    let directory = store::directory(artifact);
    for stored in &manifest.files {
        let path = format!("{directory}/{}", stored.path);
        let fault = store::fault(root, artifact, stored, true);
        checks.tried("content", &path, fault);
        check_owner(root, &path, u32::from_str_radix(&stored.mode, 8).ok(), checks);
    }
    let stranger = store::stranger(root, artifact, &manifest);
    let fault =
        stranger.map(|name| name.map(|name| format!("holds {name}, which is not part of the artifact")));
    checks.tried("content", &directory, fault);
    check_owner(root, &directory, None, checks);
    let current = format!("{STORE}/{}/{CURRENT}", artifact.name);
    checks.tried("link", &current, check_link(root, &current, &artifact.version));
    for link in store::places(artifact, &manifest) {
        let fault = store::target(root, &link).and_then(|target| check_link(root, &link.path, &target));
        checks.tried("link", link.path, fault);
    }
}

fn check_link(root: &Root, path: &str, target: &str) -> Result<Option<String>> {
    Ok(match root.link_target(path)? {
        Some(have) if have == target => None,
        Some(have) => Some(format!("points to {have}, not to {target}")),
        None if root.meta_of_link(path)?.is_some() => Some("is not a symbolic link".to_owned()),
        None => Some("is missing".to_owned()),
    })
}

/// That root owns it and no other user may write it; with `mode`, that its bits are these.
fn check_owner(root: &Root, path: &str, mode: Option<u32>, checks: &mut Checks) {
    let fault = |meta: Option<Meta>| {
        let meta = meta?;
        if meta.uid != 0 || meta.gid != 0 {
            return Some(format!("is owned by {}:{}, not by root", meta.uid, meta.gid));
        }
        match mode {
            Some(mode) if meta.mode != mode => Some(format!("has mode {:04o}, not {mode:04o}", meta.mode)),
            _ if meta.mode & 0o022 != 0 => {
                Some(format!("users other than root may write it: mode {:04o}", meta.mode))
            }
            _ => None,
        }
    };
    checks.tried("owner", path, root.meta(path).map(fault));
}

/// The rest of the node.
fn check_record(root: &Root, record: &Record, checks: &mut Checks) {
    let kind = |path: &str| if path.starts_with("/etc/systemd/") { "unit" } else { "file" };
    for file in &record.files {
        let compared = root.open_file(&file.path).and_then(|have| {
            Ok(match have {
                None => Some("is missing".to_owned()),
                Some(have) => (store::digest_of(have)? != file.sha256)
                    .then(|| "its content is not what was baked".to_owned()),
            })
        });
        checks.tried(kind(&file.path), &file.path, compared);
        check_owner(root, &file.path, u32::from_str_radix(&file.mode, 8).ok(), checks);
    }
    for link in &record.links {
        checks.tried(kind(&link.path), &link.path, check_link(root, &link.path, &link.target));
    }
}

/// Units whose programs call others by their names alone.
const CALLERS: &[&str] = &[KUBEADM_UNIT, "kubelet.service"];

/// Where units stand, the ones that win last.
const UNIT_DIRS: &[&str] = &["/usr/lib/systemd/system", UNIT_DIR];

/// Most of a unit that is read.
const MAX_UNIT: usize = 1 << 20;

/// That a unit's PATH leads to the lock's programs and to no namesakes. Templates bring drop-ins of their own, which win over
/// the image's.
fn check_paths(root: &Root, lock: &Lock, checks: &mut Checks) {
    let targets = lock.artifacts.iter().flat_map(|a| &a.install).map(|i| i.to.as_str());
    let programs: Vec<&str> =
        targets.filter_map(|to| to.strip_prefix("/opt/bin/")).filter(|n| !n.is_empty()).collect();
    for unit in CALLERS {
        let fault = search_path(root, unit).and_then(|path| {
            let Some(path) = path else { return Ok(None) };
            for name in &programs {
                let found =
                    |dir: &&str| Ok::<_, anyhow::Error>(root.meta(&format!("{dir}/{name}"))?.is_some());
                let mut first = None;
                for dir in path.split(':').filter(|d| d.starts_with('/')) {
                    if found(&dir)? {
                        first = Some(dir);
                        break;
                    }
                }
                match first {
                    Some("/opt/bin") => {}
                    Some(dir) => {
                        return Ok(Some(format!("its PATH finds {dir}/{name}, not /opt/bin/{name}")));
                    }
                    // A missing link is told of its own.
                    None if path.split(':').any(|d| d == "/opt/bin") => {}
                    None => return Ok(Some("its PATH has no /opt/bin".to_owned())),
                }
            }
            Ok(None)
        });
        checks.tried("path", *unit, fault);
    }
}

/// The PATH that a unit and its drop-ins set; `None` where none of them does.
fn search_path(root: &Root, unit: &str) -> Result<Option<String>> {
    let mut files: Vec<String> = UNIT_DIRS.iter().map(|dir| format!("{dir}/{unit}")).collect();
    // Drop-ins go by their names, wherever they stand; of one name the one in /etc counts.
    let mut drop_ins = BTreeMap::new();
    for dir in UNIT_DIRS {
        let dir = format!("{dir}/{unit}.d");
        drop_ins.extend(root.list(&dir)?.into_iter().map(|name| (name.clone(), format!("{dir}/{name}"))));
    }
    files.extend(drop_ins.into_values());
    let mut path = None;
    for file in files {
        // A link to /dev/null masks, and holds nothing.
        let Ok(Some(text)) = root.read(&file, MAX_UNIT) else { continue };
        for line in String::from_utf8_lossy(&text).lines() {
            let Some(assigned) = line.trim().strip_prefix("Environment=") else { continue };
            let mut words = assigned.split(|c: char| c.is_whitespace() || c == '"' || c == '\'');
            path = words.find_map(|w| w.strip_prefix("PATH=")).map(str::to_owned).or(path);
        }
    }
    Ok(path)
}

/// Programs that tell their version, how they are asked, and how the answer is read.
const VERSIONED: &[(&str, &[&str])] = &[
    ("kubeadm", &["version", "-o", "json"]),
    ("kubectl", &["version", "--client", "-o", "json"]),
    ("kubelet", &["--version"]),
];

/// What programs say of themselves, where they run here.
fn check_versions(root: &Root, lock: &Lock, checks: &mut Checks) {
    for (name, args) in VERSIONED {
        let Some(artifact) = lock.artifact(name) else { continue };
        if lock.arch != OWN_ARCHITECTURE {
            checks.skip("version", *name, format!("a program for {} does not run here", lock.arch));
            continue;
        }
        let path = format!("{}/{}", store::directory(artifact), artifact.stored_name());
        // Only what is the lock's to the byte is run.
        let sound = root.open_file(&path).and_then(|file| match (file, &artifact.sha256) {
            (Some(file), Some(sha256)) => Ok(store::digest_of(file)?.eq_ignore_ascii_case(sha256)),
            _ => Ok(false),
        });
        if !sound.unwrap_or(false) {
            checks.skip("version", *name, "its content could not be verified, so it is not run");
            continue;
        }
        let answer = match root.outside(&path) {
            Ok(program) => exec::answer_of(&program.path(), args),
            Err(error) => Err(Unanswered { ran: false, why: format!("{error:#}") }),
        };
        match answer {
            Ok(answer) => match said_version(&answer) {
                Some(said) if said == artifact.version => checks.put("version", *name, None),
                Some(said) => {
                    checks.put("version", *name, Some(format!("says {said}, the lock {}", artifact.version)));
                }
                None => checks.skip("version", *name, "does not say its version"),
            },
            Err(Unanswered { ran: false, why }) => {
                checks.skip("version", *name, format!("does not run here: {why}"));
            }
            Err(Unanswered { why, .. }) => checks.put("version", *name, Some(why)),
        }
    }
}

/// The version in an answer: `{"clientVersion": {"gitVersion": "v1.34.1"}}` or `Kubernetes v1.34.1`.
fn said_version(answer: &str) -> Option<String> {
    match serde_json::from_str::<serde_json::Value>(answer) {
        Ok(json) => Some(json.get("clientVersion")?.get("gitVersion")?.as_str()?.to_owned()),
        Err(_) => answer.split_whitespace().last().filter(|v| v.starts_with('v')).map(str::to_owned),
    }
}

/// What can't stand beside what was baked. Kinds that were allowed then are told and are no fault.
fn check_conflicts(root: &Root, lock: &Lock, record: Option<&Record>, checks: &mut Checks) {
    let links = super::links(root, lock).unwrap_or_default();
    let units: Vec<String> = record.iter().flat_map(|r| &r.files).map(|f| f.path.clone()).collect();
    // kubeadm is only run when it is the lock's to the byte: its version was told then.
    let sound = |c: &Check| c.kind == "version" && c.what == "kubeadm" && c.result == Outcome::Ok;
    let kubeadm = lock.artifact("kubeadm").filter(|_| checks.0.iter().any(sound));
    let pause_image = kubeadm.and_then(|k| super::kubeadm_pause_image(root, lock, k).ok().flatten());
    let found = conflicts::find(&View::of(root, lock, pause_image), &links, &units);
    let found = match found {
        Ok(found) => found,
        Err(error) => return checks.put("conflict", "root", Some(format!("{error:#}"))),
    };
    for (name, kind) in Kind::ALL.iter().filter(|(_, kind)| *kind != Kind::Foreign) {
        let allowed = record.is_some_and(|r| r.allowed.iter().any(|a| a == name));
        let mut of_kind = found.iter().filter(|c| c.kind == *kind).peekable();
        if of_kind.peek().is_none() {
            checks.put("conflict", *name, None);
        }
        for conflict in of_kind {
            match allowed {
                true => {
                    checks.skip("conflict", *name, format!("{}; allowed when it was baked", conflict.what))
                }
                false => {
                    checks.put("conflict", *name, Some(format!("{}; {}", conflict.what, conflict.choice)))
                }
            }
        }
    }
}

/// The report for people: a line for each fault, and what there was.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let dot = |c: &Check| match c.result {
        Outcome::Ok => '.',
        Outcome::Failed => 'F',
        Outcome::Skipped => 'S',
    };
    let dots: Vec<char> = report.checks.iter().map(dot).collect();
    for line in dots.chunks(80) {
        text.extend(line);
        text.push('\n');
    }
    for check in report.checks.iter().filter(|c| c.result != Outcome::Ok) {
        let word = if check.result == Outcome::Failed { "failed" } else { "skipped" };
        text += &format!("{word}: {}: {}: {}\n", check.kind, check.what, check.detail);
    }
    text + &format!("Count: {}, Failed: {}, Skipped: {}\n", report.count, report.failed, report.skipped)
}

#[cfg(test)]
mod tests {
    use super::said_version;

    #[test]
    fn programs_say_their_version_in_their_own_ways() {
        let kubeadm =
            r#"{"clientVersion": {"major": "1", "gitVersion": "v1.34.1", "platform": "linux/amd64"}}"#;
        assert_eq!(said_version(kubeadm).as_deref(), Some("v1.34.1"));
        assert_eq!(said_version("Kubernetes v1.20.2\n").as_deref(), Some("v1.20.2"));
        assert_eq!(said_version("{}"), None);
        assert_eq!(said_version(""), None);
    }
}
