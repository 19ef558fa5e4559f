// SPDX-License-Identifier: Apache-2.0
//! How the bootstrap went: kubeadm's own result, and the sentinel that Cluster API looks for.

use anyhow::Result;

use super::{logs, ran, state};
use crate::apply::manifest::Manifest;
use crate::decode::cloud_config::{check_hostname, final_message as final_message_of};
use crate::diagnosis;
use crate::io::exec::Entry;
use crate::io::root::{Ids, Root};
use crate::io::{boot_id, console, exec, now, systemd, uptime_ms};
use crate::model::instance::Instance;
use crate::model::problem::{Failure, Problem, Stage};
use crate::model::status::{Progress, StageStatus, Stamp, Status};
use crate::plan::kubeadm::{
    BEFORE, IGNITION_LEFTOVER, KUBEADM_STATUS, KUBELET_CONF, PREPARED, SCRIPT, SCRIPTS, SENTINEL, UNIT,
    bootstraps,
};
use crate::plan::noted::RAN;
use crate::plan::{FINAL_MESSAGE, name};

const OURS: Ids = Ids::ROOT;

/// Most that a status file or the script holds.
const MAX_FILE: usize = 64 << 20;

/// How the script ended when a shutdown ended it: `$EXIT_STATUS`, or the number over D-Bus.
const TERMINATED: &[&str] = &["TERM", "KILL", "15", "9"];

/// What the script records of a kubeadm that SIGTERM ended, when it comes to it.
const KUBEADM_TERMINATED: i32 = 128 + 15;

/// What systemd says of the unit when it has ended: `$SERVICE_RESULT`, `$EXIT_CODE`, `$EXIT_STATUS`, `$INVOCATION_ID`
/// ([systemd.exec(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#Environment%20Variables%20Set%20or%20Propagated%20by%20the%20Service%20Manager)).
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// One of [`diagnosis::RESULTS`].
    pub result: String,
    /// The script's exit status or the name of its signal; empty where a command before it failed.
    pub status: String,
    /// The run's id in the journal.
    pub invocation: Option<String>,
}

impl Ended {
    /// From the environment that systemd gives to `ExecStopPost=`; `None` where systemd did not start this program so.
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            result: std::env::var("SERVICE_RESULT").ok()?,
            status: std::env::var("EXIT_STATUS").unwrap_or_default(),
            invocation: std::env::var("INVOCATION_ID").ok(),
        })
    }

    /// How the unit ended, in words, and what to do.
    pub fn sentence(&self) -> (String, String) {
        let known = diagnosis::RESULTS.iter().find(|(result, ..)| *result == self.result);
        let end = match known {
            // The status is that of the script, which did not run.
            Some((_, text, _)) if text.contains("{}") && self.status.is_empty() => format!(
                "a command before the bootstrap's script failed (ExecStartPre= of a drop-in); result {}",
                self.result
            ),
            // systemd's own exit status for a program that can't be run, which is that of Ignition data's unit.
            Some(_) if self.result == "exit-code" && self.status == "203" => {
                "systemd could not run the bootstrap's script (203/EXEC): it is missing or not executable, lacks the interpreter that it names, or is on a file system that is mounted with noexec".to_owned()
            }
            Some((_, text, _)) => text.replace("{}", &self.status),
            None => format!("systemd gave the bootstrap the result {:?}", self.result),
        };
        let cure = known.map(|(.., cure)| *cure).filter(|cure| !cure.is_empty());
        (end, cure.map_or_else(|| format!("look at `journalctl -u {UNIT}`"), str::to_owned))
    }
}

/// Settles the bootstrap's result: status, sentinel, stamp; removes the script. It is called when the script has ended, once
/// or twice: the image and the bootstrap data may both call it. `None` where nothing ran, where the result is settled
/// already, or where the machine goes down in the middle.
///
/// # Errors
/// A file can't be read or written.
pub fn settle(root: &Root, ended: &Ended) -> Result<Option<Status>> {
    let mut status = state::read_status(root)?.unwrap_or_default();
    let script = root.read(SCRIPT, MAX_FILE)?;
    // Cluster API's Ignition script always calls kubeadm, and leaves nothing but the sentinel.
    let prepared = script.is_none() && root.stands(PREPARED)?;
    if script.is_none() && !prepared {
        return Ok(None);
    }
    let recorded = root.read(KUBEADM_STATUS, MAX_FILE)?;
    let recorded: Option<i32> = recorded.and_then(|b| String::from_utf8_lossy(&b).trim().parse().ok());
    // A reboot in the middle, which the bootstrap's own commands may ask for, is not a result: the next boot begins it anew.
    if recorded.is_none_or(|code| code == KUBEADM_TERMINATED)
        && TERMINATED.contains(&ended.status.as_str())
        && systemd::stopping()
    {
        return Ok(None);
    }
    let sentinel = root.meta(SENTINEL)?.is_some();
    let stage = stage_of(script.as_deref());
    let names_kubeadm = stage == Stage::Kubeadm;
    let mut journal =
        exec::journal_of(UNIT, ended.invocation.as_deref(), Some(diagnosis::is_mark)).unwrap_or_default();
    let said =
        recorded.is_none() && names_kubeadm && journal.iter().any(|e| diagnosis::says_success(&e.message));
    let success = match recorded {
        Some(code) => code == 0,
        // Called by its path, or by Ignition data's own script: the command line that Cluster API made tells, or kubeadm's output.
        None if names_kubeadm => sentinel || said,
        None => ended.result == "success",
    };
    status.kubeadm_exit_status = recorded;
    if ended.result == "exec-condition" {
        // Nothing ran, so nothing is settled: the next boot asks the condition again.
        status.succeed();
        (status.state, status.reason) = (Progress::NothingToDo, Some("condition".to_owned()));
        let (what, cure) = ended.sentence();
        status.problems.push(Problem::warning("", what).cure(cure));
        state::write_status(root, &status)?;
        return Ok(Some(status));
    }
    if success {
        status.succeed();
        if ended.result != "success" {
            let end = format!("kubeadm succeeded, and after it: {}", ended.sentence().0);
            status.problems.push(Problem::warning("", end));
        }
        if (recorded == Some(0) || said) && !sentinel {
            put_sentinel(root)?;
        }
    } else {
        if sentinel {
            root.remove(SENTINEL)?;
        }
    }
    // Of several attempts the last one decides. Those that failed are in the status.
    if let Some(last) = status.attempts.last() {
        let from = last.started_ms + if success { last.ms } else { 0 };
        journal.retain(|entry| entry.at_ms >= from);
    }
    let commands = ran::of_bootstrap(root);
    // `kubeadm-prepare` said why, and nothing ran after it.
    if !success && status.state != Progress::Failed {
        let stood_in = commands.last().map(|command| command.name.as_str());
        status.fail(&Failure::new(stage, why(root, ended, recorded, names_kubeadm, &journal, stood_in)));
    }
    status.problems.extend(ran::failures(&commands, script.as_deref(), script_calls_kubeadm));
    end_stage(&mut status, stage, &journal, commands);
    finish(root, &status)?;
    Ok(Some(status))
}

/// Settles a run of footplate that a signal, a time-out or a crash ended: its status would say `running` for ever. `None` where
/// there is nothing to settle: the run has its result, kubeadm.service runs and settles itself, or the machine goes down. The
/// instance gets no stamp, so the next boot tries again.
///
/// # Errors
/// A file can't be read or written.
pub fn aborted(root: &Root, ended: &Ended) -> Result<Option<Status>> {
    let mut status = state::read_status(root)?.unwrap_or_default();
    let last = status.stages.last().and_then(|stage| Stage::by_name(&stage.name));
    if !status.state.is_under_way() || last.is_some_and(Stage::is_bootstrap) || ended.result == "success" {
        return Ok(None);
    }
    if TERMINATED.contains(&ended.status.as_str()) && systemd::stopping() {
        return Ok(None);
    }
    let stage = match last {
        None => Stage::Detect,
        Some(Stage::Detect) => Stage::Fetch,
        Some(Stage::Fetch) => Stage::Decode,
        Some(Stage::Decode | Stage::Install) => Stage::Apply,
        Some(_) => Stage::Start,
    };
    let what = diagnosis::aborted(&ended.result, &ended.status);
    let problem = Problem::error("", what).code(format!("aborted/{}", ended.result)).cure(diagnosis::ABORTED);
    status.fail(&Failure::new(stage, problem));
    state::write_status(root, &status)?;
    Ok(Some(status))
}

/// Where kubeadm and the kubelet write what makes a machine a node.
const KUBEADMS: &[&str] = &["/etc/kubernetes", "/var/lib"];

/// Why the bootstrap failed, by its own end and by what its output says: the cause first. `stood_in` is the command that ran last.
fn why(
    root: &Root,
    ended: &Ended,
    recorded: Option<i32>,
    names_kubeadm: bool,
    journal: &[Entry],
    stood_in: Option<&str>,
) -> Vec<Problem> {
    let (mut end, cure) = ended.sentence();
    if ended.result == "timeout" {
        end += &match (phases(journal).last(), stood_in) {
            (Some((_, phase)), _) => format!("; kubeadm was in its phase {phase}"),
            (None, Some(command)) => format!("; it was in its command {command}"),
            (None, None) => String::new(),
        };
    }
    let what = match recorded {
        // A status over 128 is a signal's: systemd may know who sent it.
        Some(code) if code > 128 && ended.result != "exit-code" => {
            format!("kubeadm failed with exit status {code}: {end}")
        }
        Some(code) => format!("kubeadm failed with exit status {code}"),
        None if names_kubeadm && ended.result == "success" => {
            "the script ended, and neither kubeadm's exit status nor its output nor the sentinel file says that kubeadm succeeded"
                .to_owned()
        }
        None if names_kubeadm => format!("kubeadm did not succeed: {end}"),
        None => end,
    };
    let output: Vec<&str> = journal.iter().map(|entry| entry.message.as_str()).collect();
    let mut causes = diagnosis::classify(&output.join("\n"), |log| logs::read(root, log, journal));
    match causes.first_mut() {
        Some(cause) => cause.what = format!("{what}: {}", cause.what),
        None => {
            let code = format!("bootstrap/{}", ended.result);
            causes.push(Problem::error("", what).code(code).cure(cure));
        }
    }
    causes
}

/// Writes the result down, the stamp before the script goes: a run that is cut off in between settles once more.
fn finish(root: &Root, status: &Status) -> Result<()> {
    if status.state == Progress::Done {
        // kubeadm does not: the stamp would outlive a power cut, and the node's certificates would not.
        for dir in KUBEADMS {
            root.sync_file_system(dir)?;
        }
    }
    if let Some(instance_id) = &status.instance_id {
        keep_name(root, instance_id, status.hostname.clone())?;
        state::write_stamp(root, &Stamp::of(instance_id, status, boot_id()))?;
        if status.state == Progress::Done {
            // It ran once, and never runs again.
            state::remove_bootstrap(root, instance_id)?;
        }
    }
    state::write_status(root, status)?;
    forget(root)?;
    final_message(root, status)
}

/// A name that the commands gave the machine stays at later boots, as with cloud-init.
fn keep_name(root: &Root, instance_id: &str, hostname: Option<String>) -> Result<()> {
    let instance = Instance { instance_id: instance_id.to_owned(), hostname, ..Instance::default() };
    let read = |path| root.read(path, MAX_FILE).map(Option::unwrap_or_default);
    match name::of_commands(&read(name::WRITTEN)?, &instance, &read(name::FILE)?) {
        Some((name, text)) if check_hostname(&name).is_ok() => {
            Manifest::changes(root, name::WRITTEN)?;
            root.put(name::WRITTEN, text.as_bytes(), 0o644, OURS)?;
            log::info!("the commands named the machine {name}: it keeps that name");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Removes the files of a bootstrap that is settled. They hold its secrets, and are all that makes [`settle`] run again.
///
/// # Errors
/// The disk refuses.
pub fn forget(root: &Root) -> Result<()> {
    root.remove(SCRIPT)?;
    for name in root.list(SCRIPTS)? {
        root.remove(&format!("{SCRIPTS}/{name}"))?;
    }
    for file in [KUBEADM_STATUS, BEFORE, RAN] {
        root.remove(file)?;
    }
    if root.stands(PREPARED)? {
        root.remove(IGNITION_LEFTOVER)?;
        root.remove(PREPARED)?;
    }
    Ok(())
}

/// `final_message`: to the log and the console once the bootstrap succeeded. Its names are cloud-init's.
fn final_message(root: &Root, status: &Status) -> Result<()> {
    let Some(message) = root.read(FINAL_MESSAGE, MAX_FILE)? else { return Ok(()) };
    root.remove(FINAL_MESSAGE)?;
    if status.state != Progress::Done {
        return Ok(());
    }
    let (timestamp, uptime) = (now().to_string(), (uptime_ms() / 1000).to_string());
    let platform = status.platform.as_deref().unwrap_or_default();
    let values = [env!("CARGO_PKG_VERSION"), &timestamp, platform, &uptime];
    let text = match final_message_of(&String::from_utf8_lossy(&message), values) {
        Ok(text) => text,
        Err(problem) => {
            log::warn!("final_message: {problem}");
            return Ok(());
        }
    };
    for line in text.lines() {
        log::info!("{line}");
        console(line);
    }
    Ok(())
}

/// Whether the script bootstraps a node by kubeadm. With useExperimentalRetryJoin it is a script of the data that calls kubeadm,
/// and its success makes the sentinel.
fn script_calls_kubeadm(script: &[u8]) -> bool {
    let text = String::from_utf8_lossy(script);
    bootstraps(&text) || text.contains(SENTINEL)
}

/// What bootstraps this node, by the script that stands there. Without one it is Cluster API's own script, which calls kubeadm.
fn stage_of(script: Option<&[u8]>) -> Stage {
    if script.is_none_or(script_calls_kubeadm) { Stage::Kubeadm } else { Stage::Bootstrap }
}

/// The stage of the bootstrap that stands ready.
///
/// # Errors
/// The disk refuses.
pub fn stage(root: &Root) -> Result<Stage> {
    Ok(stage_of(root.read(SCRIPT, MAX_FILE)?.as_deref()))
}

/// Makes sure that a node which joined shows so: the sentinel stands on a file system that every boot begins empty.
///
/// # Errors
/// It can't be written.
pub fn put_sentinel(root: &Root) -> Result<()> {
    root.put(SENTINEL, b"success\n", 0o644, OURS)?;
    Ok(())
}

/// Whether the node is a member of a cluster already.
///
/// # Errors
/// The path can't be followed.
pub fn is_member(root: &Root) -> Result<bool> {
    Ok(root.meta(KUBELET_CONF)?.is_some())
}

/// kubeadm's phases, each with the time of its first line.
fn phases(journal: &[Entry]) -> Vec<(u64, &'static str)> {
    diagnosis::phases(journal.iter().map(|entry| (entry.at_ms, entry.message.as_str())))
}

/// Ends the stage of the bootstrap, with the data's commands and what kubeadm says of its phases. Only the last phase can have
/// failed.
fn end_stage(status: &mut Status, stage: Stage, journal: &[Entry], commands: Vec<StageStatus>) {
    let summary = match status.kubeadm_exit_status {
        Some(code) => format!("exit-status={code}"),
        None => String::new(),
    };
    let now = uptime_ms();
    let begun = phases(journal);
    let ends = begun.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let mut parts: Vec<StageStatus> = begun
        .iter()
        .zip(ends)
        .map(|((at, phase), end)| StageStatus {
            name: (*phase).to_owned(),
            state: Progress::Done,
            started_ms: *at,
            ms: end.saturating_sub(*at),
            ..StageStatus::default()
        })
        .collect();
    if let Some(last) = parts.last_mut() {
        last.state = status.state;
    }
    parts.splice(0..0, commands);
    parts.sort_by_key(|part| part.started_ms);
    let at = status.stages.iter().position(|s| s.name == stage.name()).unwrap_or(status.stages.len());
    if at == status.stages.len() {
        let name = stage.name().to_owned();
        status.stages.push(StageStatus { name, started_ms: now, ..StageStatus::default() });
    }
    let stage = &mut status.stages[at];
    stage.ms = now.saturating_sub(stage.started_ms);
    (stage.state, stage.summary, stage.parts) = (status.state, summary, parts);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_makes_the_sentinel_bootstraps_a_node() {
        let retry = "/usr/local/bin/kubeadm-bootstrap-script && echo success > /run/cluster-api/bootstrap-success.complete";
        assert!(script_calls_kubeadm(retry.as_bytes()));
        assert!(!script_calls_kubeadm(b"echo begun"));
    }

    #[test]
    fn every_result_has_a_sentence() {
        let of = |result: &str, status: &str| {
            let ended = Ended { result: result.to_owned(), status: status.to_owned(), invocation: None };
            ended.sentence().0
        };
        for (result, ..) in diagnosis::RESULTS {
            assert!(!of(result, "").contains("{}") && !of(result, "7").contains("{}"), "{result}");
        }
        assert_eq!(of("exit-code", "7"), "the bootstrap's commands ended with exit status 7");
        assert!(of("exit-code", "203").contains("is missing or not executable"));
        assert!(of("exit-code", "").starts_with("a command before the bootstrap's script failed"));
        assert_eq!(of("", ""), "systemd gave the bootstrap the result \"\"");
    }
}
