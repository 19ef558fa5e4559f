// SPDX-License-Identifier: Apache-2.0
//! `footplate seal`: makes the next boot of an image its first one.

use super::output;
use crate::bake;
use crate::cli::{self, Format};
use crate::model::problem::Failure;
use crate::pipeline::context::open_root;

/// `seal`
pub fn run(args: &cli::Seal) -> Result<u8, Failure> {
    let root = open_root(Some(&args.root))?;
    if !args.force {
        bake::dry::refuse_unbaked(&root)?;
    }
    let sealed = bake::seal::seal(&root, args.dry_run)?;
    match args.format {
        Format::Json => output::json(&sealed),
        Format::Text => {
            let mut text = String::new();
            let (removed, written, end) = match args.dry_run {
                true => ("would remove", "would write", "dry run: nothing was removed or written\n"),
                false => ("removed", "written", "sealed: the next boot is a first one\n"),
            };
            let lines = [(removed, &sealed.removed), (written, &sealed.written), ("note", &sealed.notes)];
            for (word, items) in lines {
                text.extend(items.iter().map(|item| format!("{word}: {item}\n")));
            }
            output::text(&text);
            output::text(end);
        }
    }
    Ok(0)
}
