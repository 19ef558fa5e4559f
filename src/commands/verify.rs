// SPDX-License-Identifier: Apache-2.0
//! `footplate verify`: compares an image with its lock file.

use serde_json::json;

use super::bake::read_lock;
use super::output;
use crate::bake::{
    self,
    verify::{Check, Outcome},
};
use crate::cli::{self, Format};
use crate::model::problem::{Failure, Problem, Stage};
use crate::pipeline::context::open_root;

/// `verify`
pub fn run(args: &cli::Verify) -> Result<u8, Failure> {
    let wanted = args.lock.as_deref().map(read_lock).transpose()?.map(|(lock, _)| lock);
    let root = open_root(Some(&args.root))?;
    let report = bake::verify::verify(&root, wanted.as_ref());
    match args.format {
        Format::Json => {
            let failed = report.checks.iter().filter(|check| check.result == Outcome::Failed);
            let finding = |check: &Check| {
                Problem::error(&check.what, &check.detail).code(format!("verify/{}", check.kind))
            };
            let mut json = json!(report);
            json["findings"] = json!(failed.map(finding).collect::<Vec<_>>());
            output::json(&json);
        }
        Format::Text => output::text(&bake::verify::text(&report)),
    }
    Ok(if report.ok { 0 } else { Stage::Verify.exit_code() })
}
