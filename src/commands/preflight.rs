// SPDX-License-Identifier: Apache-2.0
//! `preflight`: what stands against kubeadm, and what follows one that failed.

use super::PENDING;
use crate::cli;
use crate::model::problem::Failure;
use crate::pipeline::context::{Context, Source};
use crate::pipeline::preflight::{self, Next};

/// Exit code for a kubeadm that is not run again.
const END: u8 = 1;

pub fn run(args: &cli::Preflight) -> Result<u8, Failure> {
    let context = Context::open(Source::default(), None)?;
    let Some(code) = args.after else {
        preflight::before(&context.root, &context.policy, &args.words)?;
        return Ok(0);
    };
    Ok(match preflight::after(&context, &args.words, code, args.undone)? {
        Next::Again => 0,
        Next::Undo => PENDING,
        Next::End => END,
    })
}
