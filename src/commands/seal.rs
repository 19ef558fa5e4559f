// SPDX-License-Identifier: Apache-2.0
//! `footplate seal`: makes the next boot of an image its first one.

use super::output;
use crate::bake::{self, seal::Sealed};
use crate::cli::{self, Format};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::context::open_root;

/// `seal`
pub fn run(args: &cli::Seal) -> Result<u8, Failure> {
    let root = open_root(Some(&args.root))?;
    let mut refused = if args.force { None } else { bake::dry::refuse_to_seal(&root).err() };
    if let Some(error) = refused.take_if(|_| !args.dry_run) {
        return Err(error).stage(Stage::Verify);
    }
    let mut sealed = bake::seal::seal(&root, args.dry_run)?;
    if let Some(error) = refused {
        sealed.notes.push(format!("`seal` refuses this root without --force: {error}"));
    }
    match args.format {
        Format::Json => output::json(&sealed),
        Format::Text => tell(&sealed, "sealed: the next boot is a first one\n"),
    }
    Ok(0)
}

/// Tells a person what was removed and written; `end` says what that means.
pub fn tell(sealed: &Sealed, end: &str) {
    let (removed, written, end) = match sealed.dry_run {
        true => ("would remove", "would write", "dry run: nothing was removed or written\n"),
        false => ("removed", "written", end),
    };
    let items = [(removed, &sealed.removed), (written, &sealed.written)];
    let items = items.iter().flat_map(|(word, items)| items.iter().map(move |i| format!("{word}: {i}\n")));
    let notes = sealed.notes.iter().map(|note| format!("note: {note}\n"));
    output::prose(&(items.chain(notes).collect::<String>() + end));
}
