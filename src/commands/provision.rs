// SPDX-License-Identifier: Apache-2.0
//! `provision`: the whole.

use super::output;
use crate::cli::{self, Format};
use crate::model::problem::Failure;
use crate::pipeline;
use crate::pipeline::context::Context;
use crate::pipeline::recorder::Recorder;

pub fn run(args: &cli::Provision) -> Result<u8, Failure> {
    let context = Context::open(super::source(&args.source), args.root.as_deref())?;
    let mut recorder = Recorder::new(Some(&context.root));
    let result = pipeline::provision(&mut recorder, &context);
    if args.format == Format::Json {
        output::json(&recorder.status);
    }
    // The failure is in the log already.
    Ok(result.map_or_else(|failure| failure.stage.exit_code(), |()| 0))
}
