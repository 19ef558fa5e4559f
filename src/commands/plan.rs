// SPDX-License-Identifier: Apache-2.0
//! `plan`: what provision would do, as a diff.

use serde_json::json;

use super::{PENDING, item, output};
use crate::apply::{Done, diff};
use crate::cli::{self, Format};
use crate::io::root::Root;
use crate::io::{live, screen};
use crate::model::plan::Item;
use crate::model::problem::{Failure, Problem, Severity};
use crate::pipeline;
use crate::pipeline::context::Context;
use crate::pipeline::preview::{self, Preview};
use crate::pipeline::recorder::Recorder;

/// The largest file of which differences are shown.
const MAX_FILE: usize = 4 << 20;

pub fn run(args: &cli::Plan) -> Result<u8, Failure> {
    let cli::Plan { provision: args, diff } = args;
    let context = Context::open(super::source(&args.source), args.root.as_deref())?;
    let mut recorder = Recorder::new(None);
    let preview = preview::preview(&mut recorder, &context)?;
    match args.format {
        Format::Json => {
            output::json(&json(&preview, &recorder.status.problems));
        }
        Format::Text => {
            if *diff {
                differences(&preview, &context.root);
            }
            output::text(&text(&preview));
        }
    }
    Ok(if pipeline::changes(&preview.outcomes) == 0 { 0 } else { PENDING })
}

/// How each file that would change differs. `compare` answers in the order of the plan.
fn differences(preview: &Preview, root: &Root) {
    for (item, outcome) in preview.plan.items.iter().zip(&preview.outcomes) {
        let Item::File(file) = item else { continue };
        if !matches!(outcome.done, Done::Absent | Done::Changed) {
            continue;
        }
        match root.read(&file.path, MAX_FILE) {
            Ok(old) => output::text(&diff::file(file, old.as_deref())),
            Err(error) => log::warn!("{}: can't be compared: {error:#}", file.path),
        }
    }
}

/// The sign and the word for what would become of an item.
fn word(done: Done) -> (&'static str, &'static str) {
    match done {
        Done::Unchanged => ("=", "unchanged"),
        Done::Absent => ("+", "create"),
        Done::Changed => ("~", "change"),
        Done::LeftOut => ("-", "left out"),
    }
}

fn json(preview: &Preview, problems: &[Problem]) -> serde_json::Value {
    let Preview { found, rendered, plan, outcomes } = preview;
    let items = plan.items.iter().zip(outcomes);
    let items = items.map(|(item, o)| item::json(item, word(o.done).1, &o.what, &o.detail));
    let warnings = problems.iter().filter(|p| p.severity < Severity::Error);
    json!({
        "platform": found.candidate.platform.id,
        "because": found.candidate.because.to_string(),
        "instance_id": found.instance.instance_id,
        "changes": pipeline::changes(outcomes),
        "items": items.collect::<Vec<_>>(),
        "network": rendered.matches,
        "start": plan.bootstrap.as_ref().map(|b| &b.unit),
        "findings": problems,
        "warnings": warnings.map(Problem::in_the_log).collect::<Vec<_>>(),
    })
}

fn text(preview: &Preview) -> String {
    let Preview { found, rendered, plan, outcomes } = preview;
    let (platform, because) = (found.candidate.platform.id, &found.candidate.because);
    let mut text = format!("{platform} ({because}), instance {}\n", found.instance.instance_id);
    for matched in &rendered.matches {
        text += &format!("  network {matched}\n");
    }
    let width = output::width(outcomes.iter().map(|o| o.what.as_str()));
    for o in outcomes {
        let colour = match o.done {
            Done::Unchanged => "0",
            Done::Absent => live::GREEN,
            Done::Changed => live::AMBER,
            Done::LeftOut => live::RED,
        };
        let sign = output::coloured(word(o.done).0, colour);
        let line = format!("{sign} {:width$}  {}", o.what, o.detail);
        text += &match screen::fits(&std::io::stdout(), &line) {
            true => format!("{line}\n"),
            false => format!("{sign} {}\n    {}\n", o.what, o.detail),
        };
    }
    if let Some(bootstrap) = &plan.bootstrap {
        text += &format!("> start {}\n", bootstrap.unit);
    }
    text + &match pipeline::changes(outcomes) {
        0 => "nothing to change: the machine is in this state already\n".to_owned(),
        n => format!("{n} to change, {} right already\n", outcomes.len() - n),
    }
}
