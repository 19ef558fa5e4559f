// SPDX-License-Identifier: Apache-2.0
//! A boot, from the machine's own account of itself to the end of its bootstrap:
//!
//! ```text
//! Facts ──detect──▶ Platform ──fetch──▶ Instance ──decode──▶ NodeConfig ──plan──▶ Plan ──apply──▶ Outcome ──start──▶ report
//! ```

pub mod bootstrap_data;
mod condition;
mod containerd;
pub mod context;
pub mod detect;
pub mod fetch;
mod handoff;
mod hidden;
mod logs;
mod metrics;
pub mod network;
pub mod node;
mod notice;
pub mod online;
pub mod preflight;
pub mod prepare;
pub mod preview;
mod ran;
pub mod recorder;
pub mod redact;
pub mod report;
pub mod retry;
pub mod settle;
mod signature;
pub mod sources;
pub mod state;

use crate::apply::{Done, Outcome};
use crate::io::root::Lock;
use crate::io::{ITEM, budget, reader};
use crate::model::problem::{Failure, Stage, any_error};
use crate::plan::network::Rendered;
use context::Context;
use fetch::Found;
use recorder::Recorder;
use signature::Signatures;

/// Provisions this node and follows its bootstrap to the end. Begin, failure and end are told; a failure is in the log already
/// when it is returned. `turn` is the lock of the node's state; it is free again once nothing is left but to follow.
///
/// # Errors
/// What failed, in which stage.
pub fn provision(recorder: &mut Recorder<'_>, context: &Context, turn: Lock) -> Result<(), Failure> {
    let result = run(recorder, context, turn);
    if let Err(failure) = &result {
        recorder.fail(failure);
    }
    report::ended(context, &recorder.status, &result);
    result
}

fn run(recorder: &mut Recorder<'_>, context: &Context, turn: Lock) -> Result<(), Failure> {
    context.check_policy()?;
    let mut found = fetch::find(recorder, context, context.root.live())?;
    if handoff::already_bootstrapped(&found.instance, &context.root)? {
        return recorder.done();
    }
    report::tell(context, &recorder.status);
    fetch::keep_data(&mut found.instance, &context.root)?;
    recorder.warn(&Signatures::check_data(&mut found)?);
    let rendered = network::render(context, &found.instance)?;
    check_network(recorder, context, &found, &rendered)?;
    let data = bootstrap_data::read(recorder, context, &found)?;
    recorder.warn(&data.decoded.problems);
    if context.policy.delete_secrets {
        data.delete_hidden(recorder, context.world());
    }
    let (plan, problems) = node::picture(&found, &data.decoded, &rendered, context)?;
    recorder.warn(&problems);
    // What is left is footplate's own work on data that was found good.
    budget::end();
    reader::end();
    node::make(recorder, context, &plan)?;
    handoff::start(recorder, plan.bootstrap.as_ref(), found.instance.user_data.is_some(), context, turn)
}

/// Tells of a run that ended in the middle, and why: the status on the disk is as far as it came.
pub fn ended_early(context: &Context, failure: &Failure) {
    let mut recorder = Recorder::new(Some(&context.root));
    recorder.status = state::read_status(&context.root).ok().flatten().unwrap_or_default();
    recorder.fail(failure);
    report::ended(context, &recorder.status, &Err(failure.clone()));
}

/// A network of which nothing can be used stops the node. The machine is up by DHCP, for a person to look at; it is not the
/// node that was asked for.
fn check_network(
    recorder: &mut Recorder<'_>,
    context: &Context,
    found: &Found,
    rendered: &Rendered,
) -> Result<(), Failure> {
    let problems = [found.instance.problems.as_slice(), &rendered.problems].concat();
    if any_error(&problems) && !rendered.usable {
        return Err(Failure::of(Stage::Decode, &problems));
    }
    recorder.warn(&problems);
    if context.root.live() {
        recorder.warn(&network::misnamed(rendered));
    }
    Ok(())
}

/// How many items changed, or would.
pub fn changes(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|o| matches!(o.done, Done::Changed | Done::Absent)).count()
}

/// Writes an outcome to the log.
fn note(outcome: &Outcome) {
    match outcome.done {
        Done::Unchanged => log::debug!("{}: is as planned", outcome.what),
        Done::Changed | Done::Absent => log::info!(target: ITEM, "{}: {}", outcome.what, outcome.detail),
        Done::LeftOut => log::info!(target: ITEM, "{}: left out: {}", outcome.what, outcome.detail),
    }
}
