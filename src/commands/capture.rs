// SPDX-License-Identifier: Apache-2.0
//! `capture`: a machine's answers, without secrets, for replay and support.

use std::rc::Rc;

use super::output;
use crate::cli;
use crate::io::live;
use crate::io::replay::{self, Capture};
use crate::io::root::Ids;
use crate::io::{Ask, World};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::{self, Context, open_root};
use crate::pipeline::recorder::Recorder;
use crate::pipeline::redact::Known;
use crate::pipeline::{bootstrap_data, fetch, redact};

/// Asks all that a provision asks, and keeps the answers and the status of the last one.
pub fn run(args: &cli::Capture) -> Result<u8, Failure> {
    let dir = &args.dir;
    live::new_directory(dir)
        .cure("name a new directory: what was captured before is not mixed with this")
        .stage(Stage::Usage)?;
    let source = super::source(&args.source);
    let world = source.world(&context::policy(&open_root(None)?).0)?;
    let capture = Rc::new(Capture::new(Rc::clone(&world)));
    let context = Context::of(source, Rc::clone(&capture) as Rc<dyn World>, open_root(Some(dir))?);
    // A machine whose metadata is broken is worth capturing most of all.
    let found = fetch::find(&mut Recorder::new(None), &context, false);
    // What include lists bring is bootstrap data too: it is read for the picture, and not kept.
    let includes = Capture::new(world);
    let config = found.as_ref().map(|f| bootstrap_data::glance(f, &includes).config).unwrap_or_default();
    let status = Ask::File("/run/footplate/status.json");
    let _ = context.world().links().and_then(|_| context.world().ask(status));
    let mut kept = capture.take();
    let mut included = includes.take();
    // Where an answer is the user-data, its picture shows all that it includes.
    if kept.iter().any(|(name, _)| redact::is_bootstrap_data(name)) {
        included.clear();
    }
    included.retain(|(name, _)| !name.ends_with(".error"));
    let known = Known {
        config: &config,
        instance: found.as_ref().ok().map(|found| &found.instance),
        included: included.iter().map(|(name, _)| name.clone()).collect(),
    };
    kept.extend(included);
    let mut answers = redact::redact(kept, &known);
    let wanted = context.source.wanted();
    if wanted.platform.is_some() || wanted.seed.is_some() {
        answers.push(replay::asked_for_file(wanted.platform, wanted.seed));
    }
    for (name, bytes) in &answers {
        context.root.put(&format!("/{name}"), bytes, 0o600, Ids::default()).stage(Stage::Apply)?;
    }
    output::text(&format!("{} answers in {}\n", answers.len(), dir.display()));
    if let Err(failure) = found {
        for problem in &failure.problems {
            log::warn!("captured, and provision would fail: {}: {problem}", failure.stage);
        }
    }
    Ok(0)
}
