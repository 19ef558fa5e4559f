// SPDX-License-Identifier: Apache-2.0
//! `report`: the result of a bootstrap that has ended.

use crate::cli;
use crate::model::problem::Failure;
use crate::pipeline::context::Context;
use crate::pipeline::report;
use crate::pipeline::settle::Ended;

pub fn run(args: &cli::Report) -> Result<u8, Failure> {
    let context = Context::open(super::source(&args.source), None)?;
    let ended = Ended::from_environment();
    if args.provision {
        report::aborted(&context, &ended)?;
    } else {
        report::settled(&context, &ended)?;
    }
    Ok(0)
}
