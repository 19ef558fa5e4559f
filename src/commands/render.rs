// SPDX-License-Identifier: Apache-2.0
//! `render network`: a network config as networkd's files.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::output;
use crate::cli::{self, Format};
use crate::decode;
use crate::decode::document::envelope;
use crate::decode::syntax::yaml;
use crate::io::live::{self, Live};
use crate::model::problem::{Failure, In as _, Problem, Stage, any_error};
use crate::pipeline::online;
use crate::plan::network;
use crate::platform;

pub fn run(input: &cli::Input) -> Result<u8, Failure> {
    let bytes = live::input(&input.file).map_err(|e| platform::failure(Stage::Usage, e))?;
    let opened = envelope::open(&bytes).map_err(|what| Problem::error("", what)).stage(Stage::Decode)?;
    let text = std::str::from_utf8(&opened).map_err(|_| anyhow!("not UTF-8 text")).stage(Stage::Decode)?;
    let (config, mut problems) = decode::network::parse(&yaml::parse(text).stage(Stage::Decode)?);
    // The files are for whatever machine; which NICs of this one they would match is told to people.
    let rendered = network::render(&config, &[]);
    problems.extend(rendered.problems.iter().cloned());
    let nics = online::nics_of(&Live::default()).unwrap_or_default();
    let here = network::render(&config, &nics);
    for problem in problems.iter().filter(|p| !p.is_error()) {
        log::warn!("{problem}");
    }
    if any_error(&problems) {
        return Err(Failure::of(Stage::Decode, &problems));
    }
    match input.format {
        Format::Json => {
            let files = rendered.files.iter().map(|f| (f.path.clone(), f.contents.clone().into()));
            output::json(&json!({ "files": Value::Object(files.collect()) }));
        }
        Format::Text => {
            here.matches.iter().for_each(|m| output::text(&format!("# on this machine, {m}\n")));
            for file in &rendered.files {
                output::text(&format!("# {}\n{}\n", file.path, file.contents));
            }
        }
    }
    Ok(0)
}
