// SPDX-License-Identifier: Apache-2.0
//! Which platforms this machine may be on.

use super::context::{Context, Place};
use crate::model::facts::Facts;
use crate::model::problem::{Failure, In as _, Stage};
use crate::platform::{self, Detected, PLATFORMS};

/// The machine's own account of itself, and the platforms that it may be on, the likeliest first.
///
/// # Errors
/// The machine can't be asked, the platform that was asked for is not known, nothing says which one it is, or two say different ones.
pub fn detect(context: &Context) -> Result<(Facts, Detected), Failure> {
    let facts = platform::facts(context.world()).stage(Stage::Detect)?;
    let stage = match context.source.place {
        Place::Platform(_) | Place::Seed(_) | Place::Replay { platform: Some(_), .. } => Stage::Usage,
        Place::Machine | Place::Replay { .. } => Stage::Detect,
    };
    let detected = platform::detect(PLATFORMS, &facts, context.source.wanted()).stage(stage)?;
    if !context.policy.argument_decides {
        detected.agree().stage(Stage::Detect)?;
    }
    Ok((facts, detected))
}
