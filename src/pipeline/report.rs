// SPDX-License-Identifier: Apache-2.0
//! Tells the platform how the node stands: at the begin, at a failure of any stage, and at the end. This is the only place
//! that does.

use super::context::Context;
use super::settle::{self, Ended};
use super::state;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::status::{Progress, Status};
use crate::platform::{PLATFORMS, Platform, Report};

/// Settles the result of a bootstrap that has ended, and tells it.
///
/// # Errors
/// The result can't be written down.
pub fn settled(context: &Context, ended: &Ended) -> Result<(), Failure> {
    let Some(status) = settle::settle(&context.root, ended).stage(Stage::Report)? else { return Ok(()) };
    match (status.state, status.error()) {
        (Progress::Failed, Some(error)) => log::error!("report: {error}"),
        (Progress::Done, _) => log::info!("report: the bootstrap succeeded"),
        _ => return Ok(()),
    }
    tell(context, &status);
    Ok(())
}

/// Tells the platform of a status. A node that is made below another root is not told: it is not the machine that runs.
pub fn tell(context: &Context, status: &Status) {
    let platform = status.platform.as_deref().and_then(|id| Platform::by_id(PLATFORMS, id));
    let Some(report) = platform.and_then(|p| p.report).filter(|_| context.is_the_machine()) else { return };
    let error = status.error();
    let spent = status.state == Progress::Done && was_bootstrapped(context, status);
    let told = Report { state: status.state.name(), error: error.as_deref(), spent };
    // The node is what it is, whether its platform hears of it or not.
    if let Err(error) = report(context.world(), &told) {
        log::warn!("report: the platform was not told: {:#}", anyhow::Error::from(error));
    }
}

/// Whether the bootstrap of this instance succeeded. Data without commands is applied at each boot, and so is needed again.
fn was_bootstrapped(context: &Context, status: &Status) -> bool {
    let stamp = status.instance_id.as_ref().map(|id| state::read_stamp(&context.root, id));
    matches!(stamp, Some(Ok(Some(stamp))) if stamp.result == Progress::Done)
}
