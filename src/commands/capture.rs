// SPDX-License-Identifier: Apache-2.0
//! `capture`: a machine's answers, without secrets, for replay and support.

use std::rc::Rc;

use super::output;
use crate::cli;
use crate::io::live;
use crate::io::replay::{self, Capture};
use crate::io::root::{Ids, Root};
use crate::io::{Ask, World};
use crate::model::config::NodeConfig;
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::pipeline::context::{self, Context, Source, open_root};
use crate::pipeline::recorder::Recorder;
use crate::pipeline::redact::Known;
use crate::pipeline::{bootstrap_data, fetch, redact};

/// What a machine answered, without secrets.
pub struct Captured {
    /// The answers, each with its file's name.
    pub answers: Vec<(String, Vec<u8>)>,
    /// What the bootstrap data describes, secrets and all.
    pub config: NodeConfig,
    /// Why a provision would fail.
    failure: Option<Failure>,
}

impl Captured {
    /// Tells why a provision would fail.
    pub fn tell(&self) {
        if let Some(failure) = &self.failure {
            for problem in &failure.problems {
                let problem = problem.in_the_log();
                log::warn!("captured, and provision would fail: {}: {problem}", failure.stage);
            }
        }
    }
}

pub fn run(args: &cli::Capture) -> Result<u8, Failure> {
    let dir = &args.dir;
    live::new_directory(dir)
        .cure("name a new directory: what was captured before is not mixed with this")
        .stage(Stage::Usage)?;
    let captured = answers(super::source(&args.source), open_root(Some(dir))?)?;
    let root = open_root(Some(dir))?;
    for (name, bytes) in &captured.answers {
        root.put(&format!("/{name}"), bytes, 0o600, Ids::default()).stage(Stage::Apply)?;
    }
    output::text(&format!("{} answers in {}\n", captured.answers.len(), dir.display()));
    captured.tell();
    Ok(0)
}

/// Asks all that a provision asks, and for the status of the last one.
pub fn answers(source: Source, root: Root) -> Result<Captured, Failure> {
    let world = source.world(&context::policy(&open_root(None)?).0)?;
    let capture = Rc::new(Capture::new(Rc::clone(&world)));
    let context = Context::of(source, Rc::clone(&capture) as Rc<dyn World>, root);
    // A machine whose metadata is broken is worth capturing most of all.
    let found = fetch::find(&mut Recorder::new(None), &context, false);
    // What include lists bring is bootstrap data too.
    let includes = Capture::new(world);
    let config = found.as_ref().map(|f| bootstrap_data::glance(f, &includes).config).unwrap_or_default();
    let status = Ask::File("/run/footplate/status.json");
    let _ = context.world().links().and_then(|_| context.world().ask(status));
    let _ = context.world().ask(Ask::BootTimes);
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
    Ok(Captured { answers, config, failure: found.err() })
}
