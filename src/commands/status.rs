// SPDX-License-Identifier: Apache-2.0
//! `status`: how the bootstrap stands.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{PENDING, output};
use crate::cli::{self, Format};
use crate::io::{Console, live, screen, uptime_ms};
use crate::model::problem::{Failure, In as _, Severity, Stage};
use crate::model::status::{Progress, Status, VERSION};
use crate::pipeline::context::open_root;
use crate::pipeline::state;

/// The state where there is no status.
const NOT_RUN: &str = "not-run";

/// How often `--wait` looks.
const POLL: Duration = Duration::from_millis(200);

pub fn run(args: &cli::Status) -> Result<u8, Failure> {
    if let Some(recorded) = &args.replay {
        let status = state::recorded_status(recorded).stage(Stage::Usage)?;
        output::text(&shown(args, status.as_ref(), true));
        return Ok(code(status));
    }
    let root = open_root(Some(&args.root))?;
    let deadline = Instant::now() + args.timeout;
    let mut told = String::new();
    let status = loop {
        let status = state::read_status(&root).stage(Stage::Report)?;
        let over = status.as_ref().is_some_and(|s| !s.state.is_under_way());
        let waits = (args.wait || args.watch) && Instant::now() < deadline;
        if over || !waits {
            break status;
        }
        let shown = shown(args, status.as_ref(), false);
        // The time of what runs goes on, which is a change only for a person at a terminal.
        let is_screen = args.watch && std::io::stdout().is_terminal();
        let now = if is_screen { shown.clone() } else { format!("{status:?}") };
        if now != told {
            match args.watch {
                true => redraw(&shown),
                false => Console::stderr().event(&waits_for(status.as_ref())),
            }
            told = now;
        }
        std::thread::sleep(POLL);
    };
    let now = shown(args, status.as_ref(), true);
    match args.watch {
        true => redraw(&now),
        false => output::text(&now),
    }
    Ok(code(status))
}

/// The exit code that tells a state.
fn code(status: Option<Status>) -> u8 {
    match status.unwrap_or_default().state {
        Progress::Done | Progress::NothingToDo => 0,
        Progress::Failed => 1,
        Progress::Running | Progress::Waiting => PENDING,
    }
}

/// The status in the form that was asked for; `last` says whether no other is shown after it.
fn shown(args: &cli::Status, status: Option<&Status>, last: bool) -> String {
    match (args.format, status) {
        (Format::Json, Some(status)) => output::indented(status),
        (Format::Json, None) => output::indented(&json!({ "version": VERSION, "state": NOT_RUN })),
        (Format::Text, None) => not_run(),
        (Format::Text, Some(status)) => screen::for_screen(&std::io::stdout(), &text(status, last)),
    }
}

/// What is said where there is no status.
pub(super) fn not_run() -> String {
    format!(
        "{NOT_RUN}: footplate has not run on this machine in this boot\n \
         next: `systemctl status footplate.service` says whether it will run\n"
    )
}

/// Shows a status in place of the one before it, on a terminal; elsewhere below it. Each line is written over, so that nothing
/// flickers, and what the terminal showed earlier can still be scrolled to.
fn redraw(text: &str) {
    match std::io::stdout().is_terminal() {
        true => output::text(&format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))),
        false => output::text(text),
    }
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
        (Progress::Failed, Some(stage)) if stage.is_bootstrap() => {
            "`journalctl -b -u kubeadm`; then `footplate retry`, which says whether it may begin again"
        }
        (Progress::Failed, Some(Stage::Usage)) => {
            "`footplate check /etc/footplate.yaml`; then `footplate retry`"
        }
        (Progress::Failed, Some(Stage::Detect)) => "`footplate platforms`; then `footplate retry`",
        (Progress::Failed, Some(Stage::Install)) => "`footplate verify`; then `footplate retry`",
        // The failure of an earlier boot says itself where its log is.
        (Progress::Failed, _) => "`journalctl -b -u footplate`; then `footplate retry`",
        _ => return None,
    })
}

/// The status in words.
fn text(status: &Status, last: bool) -> String {
    let colour = match status.state {
        Progress::Done | Progress::NothingToDo => live::GREEN,
        Progress::Failed => live::RED,
        Progress::Running | Progress::Waiting => live::AMBER,
    };
    let mut text = output::coloured(status.state.name(), colour);
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
        let ms = match stage.state.is_under_way() {
            true => uptime_ms().saturating_sub(stage.started_ms) / 1000 * 1000,
            false => stage.ms,
        };
        let line = format!("  {name:9} {state:8} {ms:>7} ms  {}", stage.summary);
        let line = line.trim_end();
        match std::io::stdout().is_terminal() {
            true => screen::wrapped(line).iter().for_each(|piece| text += &format!("{piece}\n")),
            false => text += &format!("{line}\n"),
        }
    }
    for (n, attempt) in (1..).zip(&status.attempts) {
        text += &format!("  attempt {n}: {}\n", attempt.told());
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
    next(status).filter(|_| last).iter().for_each(|next| text += &format!(" next: {next}\n"));
    text
}
