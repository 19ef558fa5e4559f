// SPDX-License-Identifier: Apache-2.0
//! `kubeadm-prepare`: kubeadm's configuration with the values of this machine.

use crate::cli;
use crate::model::problem::Failure;
use crate::pipeline::context::open_root;
use crate::pipeline::prepare;

pub fn run(args: &cli::KubeadmPrepare) -> Result<u8, Failure> {
    prepare::prepare(&args.file, &open_root(args.root.as_deref())?)?;
    Ok(0)
}
