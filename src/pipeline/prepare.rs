// SPDX-License-Identifier: Apache-2.0
//! Makes kubeadm's configuration ready before Cluster API's own script, the one of its Ignition data, reads it.

use anyhow::{Context as _, anyhow};
use serde_json::{Map, Value as Json};

use super::node::MAX_METADATA;
use super::{context, preflight, state};
use crate::apply::manifest::Manifest;
use crate::decode::document::jinja::Variables;
use crate::decode::kubeadm::prepare::{self, Values};
use crate::io::root::{Change, Ids, Root};
use crate::model::facts::Os;
use crate::model::instance::Instance;
use crate::model::problem::{Failure, In as _, Problem, Stage, WithCure as _};
use crate::model::status::Progress;
use crate::plan::kubeadm::{PREPARED, SCRIPT};
use crate::plan::{RUN_DIR, metadata};
use crate::platform::PLATFORMS;

/// Most of `/etc/environment`.
const MAX_ENVIRONMENT: usize = 1 << 20;

/// Makes the machine and the configuration at `file`, a path below the root, ready for kubeadm. Where the bootstrap's unit runs this
/// (`in_unit`), a failure is written to the status too: nothing runs after it that could.
///
/// # Errors
/// A placeholder has no value, the file is missing or broken, or the disk refuses.
pub fn prepare(file: &str, root: &Root, in_unit: bool) -> Result<(), Failure> {
    make_room_for_commands(root);
    if root.live() {
        for problem in super::containerd::check(root, file) {
            log::warn!("kubeadm-prepare: {}", problem.in_the_log());
        }
    }
    if root.stands(SCRIPT).stage(Stage::Apply)? {
        log::info!("kubeadm-prepare: the bootstrap is footplate's own, there is nothing to prepare");
        return Ok(());
    }
    if !in_unit {
        log::info!("kubeadm-prepare: run by hand: its result is not recorded");
        return fill_in(file, root);
    }
    let ours = Ids::ROOT;
    root.put_dir(RUN_DIR, 0o700, ours).stage(Stage::Apply)?;
    root.put(PREPARED, b"", 0o600, ours).stage(Stage::Apply)?;
    let result = fill_in(file, root);
    if result.is_ok() && root.live() {
        preflight::before(root, &context::policy(root).0, &words(file, root))?;
    }
    if let Err(failure) = &result {
        let mut status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
        let mut told = Failure { stage: Stage::Kubeadm, ..failure.clone() };
        if let Some(first) = told.problems.first_mut() {
            first.place = format!("kubeadm-prepare: {}", first.place).trim_end_matches(": ").to_owned();
        }
        status.fail(&told);
        state::write_status(root, &status).stage(Stage::Report)?;
    }
    result
}

/// Makes `/etc` a place where the data's commands can run scripts and append to `/etc/environment`. Data that does neither
/// does not need it, so a failure is only told.
fn make_room_for_commands(root: &Root) {
    // Flatcar from 4628 on has /etc as a configuration extension, from which nothing may run; Cluster API's data has its scripts
    // there (https://github.com/flatcar/Flatcar/issues/2166). Older ones let them run.
    match root.allow_programs("/etc") {
        Ok(Change::Changed) => {
            log::info!("kubeadm-prepare: programs may run from /etc: its mount had noexec");
        }
        Ok(Change::Unchanged) => {}
        Err(error) => log::warn!("kubeadm-prepare: {error:#}"),
    }
    // Templates' commands append proxies to it, and Flatcar from 4593 on has it as a link into /usr
    // (https://github.com/kubermatic/operating-system-manager/issues/589).
    match own_environment(root) {
        Ok(Change::Changed) => {
            log::info!("kubeadm-prepare: /etc/environment is a file of its own, and can be written");
        }
        Ok(Change::Unchanged) => {}
        Err(error) => log::warn!("kubeadm-prepare: {error:#}"),
    }
}

/// Makes `/etc/environment` a file where it is a link, and lists that first.
fn own_environment(root: &Root) -> anyhow::Result<Change> {
    const ENVIRONMENT: &str = "/etc/environment";
    let is_link = root.link_target(ENVIRONMENT)?.is_some() && root.meta(ENVIRONMENT)?.is_some();
    // A link to what can be written is followed, and stays.
    if is_link && root.destination(ENVIRONMENT)?.0 == ENVIRONMENT {
        Manifest::changes(root, ENVIRONMENT)?;
    }
    root.put_own(ENVIRONMENT, MAX_ENVIRONMENT)
}

/// The words that Cluster API's script gives to kubeadm.
fn words(file: &str, root: &Root) -> [String; 3] {
    let text = root.read(file, MAX_METADATA).ok().flatten().unwrap_or_default();
    let join = String::from_utf8_lossy(&text).contains("JoinConfiguration");
    [if join { "join" } else { "init" }, "--config", file].map(str::to_owned)
}

fn fill_in(file: &str, root: &Root) -> Result<(), Failure> {
    let instance_id = state::read_status(root).stage(Stage::Report)?.and_then(|s| s.instance_id);
    let stamp = instance_id.map(|id| state::read_stamp(root, &id).stage(Stage::Apply)).transpose()?.flatten();
    if stamp.is_some_and(|s| s.result == Progress::Failed) {
        return Err(anyhow!("the bootstrap of this instance failed on an earlier boot"))
            .cure("a bootstrap runs once: delete the Machine")
            .stage(Stage::Start);
    }
    let read = |path: &str| root.read(path, MAX_METADATA).stage(Stage::Apply);
    let missing = || anyhow!("{file}: the file does not exist");
    let bytes = read(file)?.ok_or_else(missing).stage(Stage::Usage)?;
    let text =
        String::from_utf8(bytes).map_err(|_| anyhow!("{file}: not UTF-8 text")).stage(Stage::Decode)?;
    let mut values = values(root)?;
    let broken = |file: &str, problems: Vec<Problem>| {
        let placed = problems.into_iter().map(|p| Problem { place: file.to_owned(), ..p });
        Failure::of(Stage::Decode, &placed.collect::<Vec<_>>())
    };
    // The commands stand beside the configuration, in a script that runs them.
    let script = format!("{}.sh", file.trim_end_matches(".yml"));
    if let Some(commands) = read(&script)?.and_then(|bytes| String::from_utf8(bytes).ok()) {
        values.leave_to(&commands);
        let (ready, count) = prepare::script(&commands, &values).map_err(|p| broken(&script, p))?;
        if count > 0 {
            put(root, &script, &ready)?;
            log::info!("kubeadm-prepare: {script}: {count} placeholders expanded");
        }
    }
    let (ready, done) = prepare::prepare(&text, &values).map_err(|p| broken(file, p))?;
    put(root, file, &ready)?;
    let done = if done.is_empty() { "nothing to do".to_owned() } else { done.join(", ") };
    log::info!("kubeadm-prepare: {file}: {done}");
    Ok(())
}

/// Writes a file anew, with the owner and the mode that it has.
fn put(root: &Root, file: &str, text: &str) -> Result<(), Failure> {
    let meta = root.meta(file).stage(Stage::Apply)?;
    let ids = meta.map_or(Ids::default(), |m| Ids { uid: Some(m.uid), gid: Some(m.gid) });
    root.put(file, text.as_bytes(), meta.map_or(0o600, |m| m.mode), ids).stage(Stage::Apply)?;
    Ok(())
}

/// A template's names, of what was written of the machine.
fn variables(values: &Values, metadata: Map<String, Json>) -> Variables {
    let name = |name: &str| values.names.get(&format!("FOOTPLATE_{name}")).cloned();
    let platform = name("PLATFORM").and_then(|id| PLATFORMS.iter().map(|p| p.id).find(|known| *known == id));
    let instance = Instance {
        platform: platform.unwrap_or_default(),
        instance_id: name("INSTANCE_ID").unwrap_or_default(),
        hostname: name("HOSTNAME"),
        region: name("REGION"),
        availability_zone: name("AVAILABILITY_ZONE"),
        metadata,
        metadata_is_ds: platform == Some("oraclecloud"),
        ..Instance::default()
    };
    Variables::of(&instance, &Os::default())
}

/// The values of placeholders: the environment's, then those that footplate and Afterburn wrote.
fn values(root: &Root) -> Result<Values, Failure> {
    let read = |path: &str| root.read(path, MAX_METADATA).stage(Stage::Apply);
    let mut values = Values::default();
    // What drop-ins of the cluster's template set goes before what footplate knows.
    for (name, value) in std::env::vars() {
        values.add(&name, &value);
    }
    for path in [metadata::OURS, metadata::FLATCAR] {
        values.add_file(&String::from_utf8_lossy(&read(path)?.unwrap_or_default()));
    }
    if let Some(json) = read(metadata::METADATA)? {
        let metadata = serde_json::from_slice(&json).context(metadata::METADATA).stage(Stage::Apply)?;
        values.variables = Some(variables(&values, metadata));
    }
    Ok(values)
}
