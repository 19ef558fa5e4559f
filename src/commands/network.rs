// SPDX-License-Identifier: Apache-2.0
//! `network`: networkd's files, link names and the hostname, from what can be known before the network is up.

use crate::cli;
use crate::io;
use crate::model::problem::Failure;
use crate::pipeline::context::Context;
use crate::pipeline::network;

pub fn run(args: &cli::Network) -> Result<u8, Failure> {
    let context = Context::open(super::source(&args.source), args.root.as_deref())?;
    let out = args.out.as_deref().map(io::live::absolute);
    network::set_up(&context, out.as_ref().and_then(|dir| dir.to_str()))?;
    Ok(0)
}
