// SPDX-License-Identifier: Apache-2.0
//! From footplate to systemd and back: starts the bootstrap's unit, follows it, and ends with the result that it left.

use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::context::Context;
use super::node;
use super::recorder::Recorder;
use super::settle::{self, Ended};
use super::{note, report, state};
use crate::apply;
use crate::io::root::{Lock, Root};
use crate::io::systemd::{self, Systemd};
use crate::io::uptime_ms;
use crate::model::instance::Instance;
use crate::model::plan::{Bootstrap, Plan};
use crate::model::problem::{Failure, In as _, Problem, Stage, WithCure as _};
use crate::model::status::{Progress, StageStatus, Status};

/// How long to follow the bootstrap beyond its unit's own time-out: some minutes for its end.
const BEYOND: Duration = Duration::from_secs(10 * 60);

/// How long the unit's `ExecStopPost=` may take to settle the result after its job ended.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);

/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(200);

/// A node that was bootstrapped is left alone: once per instance, and never once it is a member of a cluster. Says whether it
/// was.
///
/// # Errors
/// The bootstrap of this instance failed on an earlier boot, or the disk refuses.
pub fn already_bootstrapped(instance: &Instance, root: &Root) -> Result<bool, Failure> {
    let stamp = state::read_stamp(root, &instance.instance_id).stage(Stage::Apply)?;
    let member = settle::is_member(root).stage(Stage::Apply)?;
    if stamp.is_some() {
        // The run that ended may have been cut off before it removed its files.
        settle::forget(root).stage(Stage::Apply)?;
    }
    match stamp {
        Some(stamp) if stamp.result == Progress::Failed => {
            let first = stamp.problems.into_iter().next().unwrap_or_default();
            let cure = first.cure.clone().unwrap_or("a bootstrap runs once: delete the Machine".to_owned());
            let why = [&[first.to_string()], first.why.as_slice()].concat();
            let what = "the bootstrap of this instance failed on an earlier boot";
            let boot = stamp.boot_id.unwrap_or("-1".to_owned());
            let cure = format!("{cure}; its log: `journalctl -b {boot} -u footplate -u kubeadm`");
            let problem = Problem { why, code: first.code, ..Problem::error("", what).cure(cure) };
            return Err(Failure::new(Stage::Start, problem));
        }
        None if !member => return Ok(false),
        // It succeeded; without a stamp, power went between kubeadm's success and the stamp.
        Some(_) | None => {}
    }
    // The run that ended may have been cut off before it forgot what it no longer needs.
    state::remove_bootstrap(root, &instance.instance_id).stage(Stage::Apply)?;
    if root.live() {
        settle::put_sentinel(root).stage(Stage::Apply)?;
        // Every boot begins with /run empty.
        let plan = Plan { items: node::metadata(instance, root)?, bootstrap: None };
        apply::apply(&plan, root, note).stage(Stage::Apply)?;
    }
    log::info!("start: instance {} was bootstrapped before: nothing to do", instance.instance_id);
    notify("bootstrapped before")?;
    Ok(true)
}

/// Starts what the plan has to start, and follows it to its end. `has_data` tells whether the platform has user-data; `turn` ends
/// where the following begins: the unit's own start may start footplate.service, which then finds all made.
///
/// # Errors
/// It can't be started, or it failed.
pub fn start(
    recorder: &mut Recorder<'_>,
    bootstrap: Option<&Bootstrap>,
    has_data: bool,
    context: &Context,
    turn: Lock,
) -> Result<(), Failure> {
    let root = &context.root;
    let Some(Bootstrap { unit, permit: _ }) = bootstrap else {
        let (reason, what) = match has_data {
            true => ("no-bootstrap", "the bootstrap data has no commands"),
            false => ("no-user-data", "there is no user-data"),
        };
        log::info!("start: {what}: there is nothing to start");
        notify(&format!("nothing to do: {what}"))?;
        return recorder.nothing_to_do(reason);
    };
    if !root.live() {
        log::info!("start: {unit} is enabled and not started: --root");
        return recorder.done();
    }
    let (systemd, job) = recorder.stage(
        Stage::Start,
        |_| {
            // Commands may have written drop-ins for what comes with it.
            let systemd =
                Systemd::knowing(unit, &["containerd.service", "kubelet.service"]).stage(Stage::Start)?;
            let job = systemd.start("StartUnit", unit).stage(Stage::Start)?;
            Ok((systemd, job))
        },
        |_| format!("unit={unit}"),
    )?;
    let stage = settle::stage(root).stage(Stage::Start)?;
    let (name, started_ms) = (stage.name().to_owned(), uptime_ms());
    recorder.status.stages.push(StageStatus { name, started_ms, ..StageStatus::default() });
    recorder.save()?;
    drop(turn);
    let limit = context.policy.bootstrap_wait + BEYOND;
    // The unit comes after this service: systemd runs it only now.
    notify(&format!("following {unit}"))?;
    report::tell(context, &recorder.status);
    let followed = systemd.wait(job, limit).stage(Stage::Start);
    let service = match systemd.service(unit) {
        Ok(service) => service,
        Err(error) => {
            // The unit's own `footplate report` tells its end.
            log::warn!(
                "start: {unit} is not followed any more: systemd does not answer, as where the machine goes down: {error:#}"
            );
            recorder.status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
            return recorder.status.failure().map_or(Ok(()), Err);
        }
    };
    let result = followed?;
    log::info!("{unit}: job={result} result={} exit-status={}", service.result, service.exit_status);
    if !service.condition {
        return Err(anyhow!("{unit} was not started: one of its conditions does not hold"))
            .cure(format!("look at `systemctl status {unit}`"))
            .stage(Stage::Start);
    }
    recorder.status = settled(&systemd, unit, root, limit)?;
    recorder.status.failure().map_or(Ok(()), Err)
}

/// The status once the bootstrap is settled. `footplate report`, which the unit runs at its end, settles it; where it is missing,
/// this does. A unit of the data's own may run on when its job has ended (`Type=simple`), or have no end (`RemainAfterExit=`).
fn settled(systemd: &Systemd, unit: &str, root: &Root, limit: Duration) -> Result<Status, Failure> {
    let begun = Instant::now();
    let mut deadline = begun + SETTLE_LIMIT;
    loop {
        let status = state::read_status(root).stage(Stage::Report)?.unwrap_or_default();
        if !status.state.is_under_way() {
            // What settled it may have been cut off before it removed its files.
            settle::forget(root).stage(Stage::Report)?;
            return Ok(status);
        }
        let service = systemd.service(unit).stage(Stage::Start)?;
        if service.sub == "running" && begun.elapsed() < limit {
            deadline = Instant::now() + SETTLE_LIMIT;
        }
        if service.sub == "exited" || Instant::now() >= deadline {
            let ended =
                Ended { result: service.result, status: service.exit_status.to_string(), invocation: None };
            return Ok(settle::settle(root, &ended).stage(Stage::Report)?.unwrap_or(status));
        }
        std::thread::sleep(POLL);
    }
}

fn notify(status: &str) -> Result<(), Failure> {
    systemd::notify_ready(status).stage(Stage::Start)
}
