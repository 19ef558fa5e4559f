// SPDX-License-Identifier: Apache-2.0
//! `platforms`: the platforms that footplate knows, which one this machine is, and why.

use serde_json::json;

use super::output;
use crate::cli::{self, Format};
use crate::model::problem::{Failure, In as _, Stage};
use crate::pipeline::context;
use crate::platform::{self, ABSENT, Candidate, Detected, PLATFORMS, Platform};

pub fn run(args: &cli::Platforms) -> Result<u8, Failure> {
    let source = super::source(&args.source);
    let (policy, _) = context::policy(&context::open_root(None)?);
    let world = source.world(&policy)?;
    let facts = platform::facts(world.as_ref()).stage(Stage::Detect)?;
    let found = platform::detect(PLATFORMS, &facts, source.wanted());
    let contradiction =
        found.as_ref().ok().filter(|_| !policy.argument_decides).and_then(|d| d.agree().err());
    let seen = platform::seen(&facts);
    let candidates = found.as_ref().map(|d| d.candidates.as_slice()).unwrap_or_default();
    let passed_over = found.as_ref().map(|d| d.passed_over.as_slice()).unwrap_or_default();
    match args.format {
        Format::Json => output::json(&json(candidates, &seen)),
        Format::Text => {
            let verdict = match &found {
                _ if let Some(error) = &contradiction => format!("this machine: not known: {error}\n"),
                Ok(Detected { candidates, .. }) => {
                    let Candidate { platform, because } = &candidates[0];
                    format!("this machine: {}, because {because}\n", platform.id)
                }
                Err(error) => format!("this machine: not known: {error}\n"),
            };
            output::prose(&(text(candidates, passed_over, &seen) + &verdict));
        }
    }
    Ok(0)
}

/// The rank of a platform among the candidates, 0 for the chosen one, and the evidence for it.
fn rank(candidates: &[Candidate], id: &str) -> Option<(usize, String)> {
    let rank = candidates.iter().position(|c| c.platform.id == id)?;
    Some((rank, candidates[rank].because.to_string()))
}

fn json(candidates: &[Candidate], seen: &str) -> serde_json::Value {
    let row = |p: &Platform| {
        let rank = rank(candidates, p.id);
        json!({
            "version": 1,
            "id": p.id,
            "name": p.name,
            "network": p.local.is_none(),
            "matches": rank.is_some(),
            "chosen": rank.as_ref().is_some_and(|(rank, _)| *rank == 0),
            "because": rank.map(|(_, because)| because),
            "seen": seen,
        })
    };
    PLATFORMS.iter().map(row).collect()
}

fn text(candidates: &[Candidate], passed_over: &[Candidate], seen: &str) -> String {
    let mut text = format!("seen: {seen}\n");
    for p in PLATFORMS {
        let (mark, because) = match rank(candidates, p.id) {
            Some((0, because)) => ("*", Some(because)),
            Some((_, because)) => ("+", Some(because)),
            None => {
                let candidate = passed_over.iter().find(|c| c.platform.id == p.id);
                (" ", candidate.map(|c| format!("{} is not enough", c.because)))
            }
        };
        text += &format!("{mark} {:16} {}\n", p.id, p.name);
        // Below it, and so no line is wider than a terminal.
        text += &because.map_or_else(String::new, |because| format!("{:19}{because}\n", ""));
    }
    text + &format!("not known yet: {}\n", ABSENT.join(", "))
}
