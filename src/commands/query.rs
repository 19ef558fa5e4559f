// SPDX-License-Identifier: Apache-2.0
//! `query`: the names that a template can use on this machine, and their values.

use anyhow::anyhow;
use serde_json::{Map, Value, json};

use super::output;
use crate::cli::{self, Format};
use crate::decode::document::jinja::Variables;
use crate::decode::syntax::words;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::Context;
use crate::pipeline::fetch;
use crate::pipeline::recorder::Recorder;

pub fn run(args: &cli::Query) -> Result<u8, Failure> {
    let context = Context::open(super::source(&args.source), None)?;
    let found = fetch::find(&mut Recorder::new(None), &context, false)?;
    let all = Variables::of(&found.instance, &found.facts.os).told();
    let asked = args.name.as_deref().unwrap_or_default();
    let below = |name: &str| {
        let rest = name.strip_prefix(asked);
        rest.is_some_and(|rest| asked.is_empty() || rest.is_empty() || rest.starts_with('.'))
    };
    let names: Vec<&(String, Value)> = all.iter().filter(|(name, _)| below(name)).collect();
    if names.is_empty() {
        let near =
            words::nearest(asked, all.iter().map(|(name, _)| name), |name| words::distance(asked, name));
        let near =
            near.filter(|(far, _)| *far <= 3).map_or(String::new(), |(_, n)| format!("did you mean {n}? "));
        return Err(anyhow!("{asked}: a template has no such name on this machine"))
            .cure(format!("{near}`footplate query` lists all names"))
            .stage(Stage::Usage);
    }
    match args.format {
        Format::Json => {
            let values: Map<String, Value> = names.into_iter().cloned().collect();
            output::json(&json!({ "version": 1, "platform": found.instance.platform, "values": values }));
        }
        Format::Text => {
            let width = output::width(names.iter().map(|(name, _)| name.as_str()));
            for (name, value) in names {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                output::text(&format!("{name:width$}  {}\n", value.replace(char::is_control, " ")));
            }
        }
    }
    Ok(0)
}
