// SPDX-License-Identifier: Apache-2.0
//! `kubeadm-prepare`: kubeadm's configuration with the values of this machine.

use crate::cli;
use crate::model::problem::Failure;
use crate::pipeline::context::open_root;
use crate::pipeline::prepare;

pub fn run(args: &cli::KubeadmPrepare) -> Result<u8, Failure> {
    // systemd gives it to all that a unit runs.
    let in_unit = std::env::var_os("INVOCATION_ID").is_some();
    prepare::prepare(&args.file, &open_root(args.root.as_deref())?, in_unit)?;
    Ok(0)
}
