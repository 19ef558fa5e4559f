// SPDX-License-Identifier: Apache-2.0
//! A `join` that failed, tried again where that is safe: it wrote nothing, or its own `reset` undid what it wrote.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::context::Context;
use super::super::{settle, state};
use super::read;
use crate::apply::manifest::Manifest;
use crate::io::http::jitter;
use crate::io::root::{Ids, Root, SFlag};
use crate::io::uptime_ms;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::status::{Attempt, Status};
use crate::plan::RUN_DIR;
use crate::plan::kubeadm::BEFORE;

/// The directories that kubeadm and the kubelet write to.
const WRITTEN: &[&str] = &["/etc/kubernetes", "/var/lib/kubelet", "/var/lib/etcd"];

/// The directories that `kubeadm reset` empties: what the data or the image put there would be lost.
const EMPTIED: &[&str] = &["/etc/kubernetes/manifests/", "/etc/kubernetes/pki/", "/var/lib/kubelet/"];

/// Most files that are compared.
const MAX_FILES: usize = 10_000;

/// Levels of directories that are looked at: pods' volumes stand deeper, and are no matter once a node runs pods.
const MAX_LEVELS: usize = 6;

/// kubeadm's exit statuses for checks that failed and for a configuration that is wrong: they fail again.
const HOPELESS: [i32; 2] = [2, 3];

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(120);

/// What the script does after a kubeadm that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It runs kubeadm again.
    Again,
    /// It undoes by `kubeadm reset` what kubeadm wrote, and asks once more.
    Undo,
    /// It ends.
    End,
}

/// Files with their sizes and the times of their last change.
type Files = BTreeMap<String, (u64, i64)>;

/// Remembers what there was before kubeadm.
pub(super) fn remember(root: &Root) {
    let json = serde_json::to_vec(&files(root)).unwrap_or_default();
    // Without it nothing is tried again.
    if let Err(error) =
        root.put_dir(RUN_DIR, 0o700, Ids::ROOT).and_then(|_| root.put(BEFORE, &json, 0o600, Ids::ROOT))
    {
        log::warn!("preflight: a join that fails will not be tried again: {error:#}");
    }
}

fn files(root: &Root) -> Files {
    fn walk(root: &Root, path: &str, levels: usize, files: &mut Files) {
        for name in root.list(path).unwrap_or_default() {
            let path = format!("{path}/{name}");
            let Ok(Some(meta)) = root.meta_of_link(&path) else { continue };
            if files.len() >= MAX_FILES {
                return;
            }
            if meta.kind == SFlag::S_IFDIR {
                if levels > 0 {
                    walk(root, &path, levels - 1, files);
                }
            } else {
                files.insert(path, (meta.size, meta.mtime));
            }
        }
    }
    let mut files = Files::new();
    for dir in WRITTEN {
        walk(root, dir, MAX_LEVELS, &mut files);
    }
    files
}

/// What kubeadm writes, and what a second kubeadm fails at: its own checks look for it
/// ([checks](https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/preflight/checks.go)).
const KUBEADMS: &[&str] = &[
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/super-admin.conf",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/kubeadm-flags.env",
];

/// Directories in which all is kubeadm's and etcd's, but for what the bootstrap data put there.
const KUBEADMS_OWN: &[&str] = &["/etc/kubernetes/pki/", "/var/lib/etcd/"];

/// A file that kubeadm wrote and that still stands there.
///
/// # Errors
/// The list of what footplate made can't be read.
pub fn written(root: &Root) -> anyhow::Result<Option<String>> {
    let made = Manifest::read(root)?;
    let is_kubeadms = |path: &String| {
        !made.paths.contains_key(path)
            && (KUBEADMS.contains(&path.as_str()) || KUBEADMS_OWN.iter().any(|dir| path.starts_with(dir)))
    };
    Ok(files(root).into_keys().find(is_kubeadms))
}

/// Decides what follows a kubeadm that ended with `code`, writes the attempt down, and waits before the next one. `undone` is
/// whether `kubeadm reset` ran after it.
///
/// # Errors
/// The status can't be written.
pub fn after(context: &Context, words: &[String], code: i32, undone: bool) -> Result<Next, Failure> {
    let root = &context.root;
    let mut status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
    if !undone {
        let (n, began) = (status.attempts.len() as u32 + 1, began(&status));
        status.attempts.push(Attempt {
            started_ms: began,
            ms: uptime_ms().saturating_sub(began),
            exit_status: code,
            then: None,
        });
        log::info!("preflight: kubeadm ended with exit status {code} in attempt {n}");
    }
    let why_not = why_not(context, words, code, &status).or_else(|| unsafe_now(root, words, undone).err());
    let next = match why_not {
        None if !undone && changed(root) => Next::Undo,
        None => Next::Again,
        Some(_) => Next::End,
    };
    let call = if read(root, words).join { "join" } else { "init" };
    let pause = pause(context.policy.retry_pause, status.attempts.len());
    if let Some(last) = status.attempts.last_mut() {
        last.then = Some(match &why_not {
            None => format!("tried again after {} s", pause.as_secs()),
            Some(why) => format!("not tried again: {why}"),
        });
        if next != Next::Undo {
            log::info!("preflight: kubeadm {call} is {}", last.then.as_deref().unwrap_or_default());
        }
    }
    state::write_status(root, &status).stage(Stage::Report)?;
    if next == Next::Again {
        std::thread::sleep(pause);
        if !matches!(super::before(root, &context.policy, words), Ok(false)) {
            let then = "not tried again: it could only fail";
            log::info!("preflight: kubeadm join is {then}");
            // What was looked at is in the status by now.
            let mut status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
            if let Some(last) = status.attempts.last_mut() {
                last.then = Some(then.to_owned());
            }
            state::write_status(root, &status).stage(Stage::Report)?;
            return Ok(Next::End);
        }
    }
    Ok(next)
}

/// When the attempt began that ends now: with the stage, or after the pause of the one before.
fn began(status: &Status) -> u64 {
    let stage = status.stages.iter().find(|stage| Stage::names_bootstrap(&stage.name));
    let last = status.attempts.last().map(|a| a.started_ms + a.ms);
    last.or(stage.map(|stage| stage.started_ms)).unwrap_or_else(uptime_ms)
}

/// Why a further attempt is of no use, or not allowed.
fn why_not(context: &Context, words: &[String], code: i32, status: &Status) -> Option<String> {
    let policy = &context.policy;
    let asked = read(&context.root, words);
    let begun = status.attempts.first().map_or(0, |first| first.started_ms);
    let spent = Duration::from_millis(uptime_ms().saturating_sub(begun));
    Some(match () {
        () if !asked.join => "an init may have begun a cluster".to_owned(),
        () if policy.join_retries == 0 => "the policy says so (retries.join: 0)".to_owned(),
        () if HOPELESS.contains(&code) => "kubeadm's checks or its configuration would fail again".to_owned(),
        () if code > 128 => "a signal ended it".to_owned(),
        () if status.attempts.len() > policy.join_retries as usize => {
            format!("{} attempts are most (retries.join)", policy.join_retries + 1)
        }
        () if spent > policy.bootstrap_wait / 2 => {
            "half of the bootstrap's time is spent (waits.bootstrap)".to_owned()
        }
        () => return None,
    })
}

/// Says why a further attempt would not be safe.
fn unsafe_now(root: &Root, words: &[String], undone: bool) -> Result<(), String> {
    if settle::is_member(root).unwrap_or(true) {
        return Err("the node is a member of the cluster".to_owned());
    }
    let Some(before) = before(root) else { return Err("what there was before is not known".to_owned()) };
    let now = files(root);
    if now == before {
        return Ok(());
    }
    let differs = now.iter().find(|(path, file)| before.get(*path) != Some(file)).map(|(path, _)| path);
    let differs = differs.or_else(|| before.keys().find(|path| !now.contains_key(*path)));
    let differs = differs.map_or("", String::as_str);
    if undone {
        return Err(format!("`kubeadm reset` did not undo all: {differs} differs"));
    }
    if read(root, words).control_plane {
        return Err(format!("a control plane may have joined etcd: {differs} was written"));
    }
    match before.keys().find(|path| EMPTIED.iter().any(|dir| path.starts_with(dir))) {
        Some(path) => Err(format!("`kubeadm reset` would remove {path}, which kubeadm did not write")),
        None => Ok(()),
    }
}

fn before(root: &Root) -> Option<Files> {
    let json = root.read(BEFORE, 4 << 20).ok().flatten()?;
    serde_json::from_slice(&json).ok()
}

fn changed(root: &Root) -> bool {
    before(root).is_none_or(|before| before != files(root))
}

/// The pause before the attempt that follows `count` others: it doubles, and no two nodes have the same.
fn pause(first: Duration, count: usize) -> Duration {
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(10));
    jitter(doubled.min(LONGEST.max(first)))
}
