// SPDX-License-Identifier: Apache-2.0
//! `provision`: the whole.

use std::time::Duration;

use super::output;
use crate::cli::{self, Format};
use crate::io::root::Ids;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline;
use crate::pipeline::context::Context;
use crate::pipeline::recorder::Recorder;
use crate::plan::RUN_DIR;

/// How long one run waits for another to make the node. A unit that this run starts may start footplate.service in its turn.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run(args: &cli::Provision) -> Result<u8, Failure> {
    let context = Context::open(super::source(&args.source), args.root.as_deref())?;
    // Before anything is recorded: what is told of the run that is under way stays as it is. Nobody but root opens that directory.
    context.root.put_dir(RUN_DIR, 0o700, Ids::ROOT).stage(Stage::Apply)?;
    let turn = context
        .root
        .lock_dir(RUN_DIR, PATIENCE)
        .cure("wait until it ends: `footplate status --wait`")
        .stage(Stage::Apply)?;
    let mut recorder = Recorder::new(Some(&context.root));
    let result = pipeline::provision(&mut recorder, &context, turn);
    if args.format == Format::Json {
        output::json(&recorder.status);
    }
    // The failure is in the log already.
    Ok(result.map_or_else(|failure| failure.stage.exit_code(), |()| 0))
}
