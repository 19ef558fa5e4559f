// SPDX-License-Identifier: Apache-2.0
//! Tells the platform how the node stands: at the begin, at a failure of any stage, and at the end.

use super::settle::{self, Ended};
use crate::io::World;
use crate::io::root::Root;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::status::{Progress, Status};
use crate::platform::{PLATFORMS, Platform, Report};

/// Settles the result of a bootstrap that has ended, and tells it.
///
/// # Errors
/// The result can't be written down.
pub fn settled(root: &Root, world: &dyn World, ended: &Ended) -> Result<(), Failure> {
    let Some(status) = settle::settle(root, ended).stage(Stage::Report)? else { return Ok(()) };
    match (status.state, status.error()) {
        (Progress::Failed, Some(error)) => log::error!("report: {error}"),
        (Progress::Done, _) => log::info!("report: the bootstrap succeeded"),
        _ => return Ok(()),
    }
    tell(world, &status);
    Ok(())
}

/// Tells the platform of a status.
fn tell(world: &dyn World, status: &Status) {
    let platform = status.platform.as_deref().and_then(|id| Platform::by_id(PLATFORMS, id));
    let Some(report) = platform.and_then(|p| p.report) else { return };
    let error = status.error();
    let told = Report { state: status.state.name(), error: error.as_deref() };
    // The node is what it is, whether its platform hears of it or not.
    if let Err(error) = report(world, &told) {
        log::warn!("report: the platform was not told: {:#}", anyhow::Error::from(error));
    }
}
