// SPDX-License-Identifier: Apache-2.0
//! `retry`: a bootstrap that failed begins anew, where that is safe.

use anyhow::anyhow;

use super::output;
use crate::cli;
use crate::io::live;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::open_root;
use crate::pipeline::retry;

pub fn run(args: &cli::Retry) -> Result<u8, Failure> {
    let root = open_root(None)?;
    let failed = retry::failed(&root)?;
    let of = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    output::text(&format!(
        "instance: {}\nfailed:   {}\nA retry\n\
         - forgets that the bootstrap of this instance failed;\n\
         - restarts footplate.service, which reads metadata and bootstrap data again and writes their files;\n\
         - starts kubeadm.service: all commands of the bootstrap data run again, from the first one.\n",
        of(&failed.instance_id),
        of(&failed.error())
    ));
    if !args.yes {
        match live::answer("Retry? [y/N] ") {
            Some(answer) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => {}
            Some(_) => {
                output::text("nothing was done\n");
                return Ok(0);
            }
            None => {
                return Err(anyhow!("nothing was done: there is no terminal on which to ask"))
                    .cure("run `footplate retry --yes`")
                    .stage(Stage::Usage);
            }
        }
    }
    retry::begin(&root, &failed)?;
    output::text("started: `footplate status --wait` waits for the end\n");
    Ok(0)
}
