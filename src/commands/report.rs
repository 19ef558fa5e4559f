// SPDX-License-Identifier: Apache-2.0
//! `report`: the result of a bootstrap that has ended.

use anyhow::anyhow;

use crate::cli;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::Context;
use crate::pipeline::report;
use crate::pipeline::settle::Ended;

pub fn run(args: &cli::Report) -> Result<u8, Failure> {
    let Some(ended) = Ended::from_environment() else {
        return Err(anyhow!("`footplate report` was not started by systemd, and records nothing"))
            .cure("its unit runs it at its end; to see the result: `footplate status`")
            .stage(Stage::Usage);
    };
    let context = Context::open(super::source(&args.source), None)?;
    if args.provision {
        report::aborted(&context, &ended)?;
    } else {
        report::settled(&context, &ended)?;
    }
    Ok(0)
}
