// SPDX-License-Identifier: Apache-2.0
//! `status`: how the bootstrap stands.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{PENDING, output};
use crate::cli::{self, Format};
use crate::model::problem::{Failure, In as _, Severity, Stage};
use crate::model::status::{Progress, Status};
use crate::pipeline::context::open_root;
use crate::pipeline::state;

/// The state where there is no status.
const NOT_RUN: &str = "not-run";

/// How often `--wait` looks.
const POLL: Duration = Duration::from_millis(200);

pub fn run(args: &cli::Status) -> Result<u8, Failure> {
    let root = open_root(Some(&args.root))?;
    let deadline = Instant::now() + args.timeout;
    let mut told = String::new();
    let status = loop {
        let status = state::read_status(&root).stage(Stage::Report)?;
        let over = status.as_ref().is_some_and(|s| !s.state.is_under_way());
        if over || !args.wait || Instant::now() >= deadline {
            break status;
        }
        let now = waits_for(status.as_ref());
        if now != told {
            eprintln!("{now}");
            told = now;
        }
        std::thread::sleep(POLL);
    };
    let known = status.is_some();
    let status = status.unwrap_or_default();
    match args.format {
        Format::Json if known => output::json(&status),
        Format::Json => output::json(&json!({ "state": NOT_RUN })),
        Format::Text if !known => {
            output::text(&format!("{NOT_RUN}: footplate has not run on this machine in this boot\n"));
            output::text(" next: `systemctl status footplate.service` says whether it will run\n");
        }
        Format::Text => output::text(&text(&status)),
    }
    Ok(match status.state {
        Progress::Done | Progress::NothingToDo => 0,
        Progress::Failed => 1,
        Progress::Running | Progress::Waiting => PENDING,
    })
}

/// What a person waits for who waits for the end.
fn waits_for(status: Option<&Status>) -> String {
    let Some(status) = status else { return format!("{NOT_RUN}: waiting for footplate.service to start") };
    match (&status.reason, status.stages.last()) {
        (Some(reason), _) => format!("{}: for {reason}", status.state.name()),
        (None, Some(stage)) if stage.state == Progress::Running => {
            format!("{}: {} has not ended", status.state.name(), stage.name)
        }
        (None, Some(stage)) => format!("{}: {} is done", status.state.name(), stage.name),
        (None, None) => status.state.name().to_owned(),
    }
}

/// What to run next.
fn next(status: &Status) -> Option<&'static str> {
    Some(match (status.state, status.failed) {
        (Progress::Running | Progress::Waiting, _) => "`footplate status --wait` waits for the end",
        // The failure of an earlier boot says itself where its log is.
        (Progress::Failed, Some(Stage::Start)) => "`journalctl -b -u footplate`",
        (Progress::Failed, Some(stage)) if stage.is_bootstrap() => "`journalctl -b -u kubeadm`",
        (Progress::Failed, _) => "`journalctl -b -u footplate`",
        _ => return None,
    })
}

/// The status in words.
fn text(status: &Status) -> String {
    let mut text = status.state.name().to_owned();
    let facts = [
        ("reason", &status.reason),
        ("platform", &status.platform),
        ("instance", &status.instance_id),
        ("hostname", &status.hostname),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            text += &format!(" {name}={value}");
        }
    }
    text.push('\n');
    for stage in &status.stages {
        let (name, state) = (&stage.name, stage.state.name());
        text += &format!("  {name:9} {state:8} {:>7} ms  {}\n", stage.ms, stage.summary);
    }
    let mut errors = status.problems.iter().filter(|p| p.is_error());
    if let (Some(error), Some(first)) = (status.error(), errors.next()) {
        text += &format!("error: {error}\n");
        first.why.iter().for_each(|why| text += &format!("  why: {why}\n"));
        first.cure.iter().for_each(|cure| text += &format!(" hint: {cure}\n"));
    }
    errors.for_each(|other| text += &format!(" also: {}\n", other.on_a_line()));
    for warning in status.problems.iter().filter(|p| p.severity < Severity::Error) {
        text += &format!("warning: {}\n", warning.in_the_log());
    }
    next(status).iter().for_each(|next| text += &format!(" next: {next}\n"));
    text
}
