// SPDX-License-Identifier: Apache-2.0
//! What a boot would do, found out without doing it.

use super::context::Context;
use super::fetch::{self, Found};
use super::recorder::Recorder;
use super::signature::Signatures;
use super::{bootstrap_data, network, node};
use crate::apply::{self, Outcome};
use crate::model::plan::Plan;
use crate::model::problem::{Failure, In as _, Stage};
use crate::plan::network::Rendered;

/// What provision would do.
pub struct Preview {
    /// The platform and what it says.
    pub found: Found,
    /// The network's files and the links that they are for.
    pub rendered: Rendered,
    /// The plan.
    pub plan: Plan,
    /// What each of its items would change.
    pub outcomes: Vec<Outcome>,
}

/// Finds out what provision would do, and does nothing.
///
/// # Errors
/// Those that would stop provision.
pub fn preview(recorder: &mut Recorder<'_>, context: &Context) -> Result<Preview, Failure> {
    context.check_policy()?;
    let mut found = fetch::find(recorder, context, false)?;
    recorder.warn(&Signatures::check_data(&mut found)?);
    let rendered = network::render(context, &found.instance)?;
    let decoded = bootstrap_data::preview(context, &found)?;
    recorder.warn(&found.instance.problems);
    recorder.warn(&rendered.problems);
    recorder.warn(&decoded.problems);
    let (plan, problems) = node::picture(&found, &decoded, &rendered, context)?;
    recorder.warn(&problems);
    let outcomes = apply::compare(&plan, &context.root).stage(Stage::Apply)?;
    Ok(Preview { found, rendered, plan, outcomes })
}
