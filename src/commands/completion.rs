// SPDX-License-Identifier: Apache-2.0
//! `completion`: what makes a shell complete footplate's command line. It is made with a release and stands beside the program.

use anyhow::anyhow;

use super::output;
use crate::cli::{self, COMPLETIONS};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::open_root;

/// Where the files of a release are: of an image or an extension that was baked, and of the system.
const SHARES: &[&str] = &["/opt/share", "/usr/share", "/usr/local/share"];

/// Most that such a file holds.
const MAX_FILE: usize = 4 << 20;

pub fn run(args: &cli::Completion) -> Result<u8, Failure> {
    let root = open_root(None)?;
    let path = COMPLETIONS.iter().find(|(shell, _)| *shell == args.shell).map_or("", |(_, path)| path);
    for share in SHARES {
        if let Some(bytes) = root.read(&format!("{share}/{path}"), MAX_FILE).stage(Stage::Usage)? {
            output::text(&String::from_utf8_lossy(&bytes));
            return Ok(0);
        }
    }
    Err(anyhow!("the completion for {} is not installed: there is no {}/{path}", args.shell, SHARES[0]))
        .cure("unpack `share` of the release's footplate-VERSION-pages.tar.gz into /opt, or let the image's lock do so")
        .stage(Stage::Usage)
}
