// SPDX-License-Identifier: Apache-2.0
//! `clean`: footplate forgets what it did on this machine.

use std::time::Duration;

use anyhow::anyhow;

use super::{output, seal};
use crate::bake;
use crate::cli::{self, Format};
use crate::io::root::{Lock, Root};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::open_root;
use crate::pipeline::{retry, state};
use crate::plan::RUN_DIR;

pub fn run(args: &cli::Clean) -> Result<u8, Failure> {
    let root = open_root(Some(&args.root))?;
    // First, so that what is looked at below stays so.
    let _turn = (!args.dry_run).then(|| taken(&root)).transpose()?;
    if !args.force {
        // A status that can't be read is one more reason to remove it.
        if state::read_status(&root).ok().flatten().is_some_and(|status| status.state.is_under_way()) {
            return Err(anyhow!("the bootstrap of this machine runs"))
                .cure("wait until it ends: `footplate status --wait`; or add --force")
                .stage(Stage::Usage);
        }
        retry::refuse_member(&root)
            .cure("delete its Machine, or run `kubeadm reset` first; --force forgets it all the same")
            .stage(Stage::Usage)?;
    }
    let cleaned = bake::seal::clean(&root, args.made, args.dry_run)?;
    match args.format {
        Format::Json => output::json(&cleaned),
        Format::Text => {
            seal::tell(&cleaned, "the next start of footplate.service is that of a new machine\n")
        }
    }
    Ok(0)
}

/// The lock that a provision has while it works on this root. A root where none has run has no directory for it.
fn taken(root: &Root) -> Result<Option<Lock>, Failure> {
    let lock = || match root.meta(RUN_DIR)? {
        Some(_) => root.lock_dir(RUN_DIR, Duration::ZERO).map(Some),
        None => Ok(None),
    };
    lock().cure("wait until it ends: `footplate status --wait`").stage(Stage::Apply)
}
