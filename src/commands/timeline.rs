// SPDX-License-Identifier: Apache-2.0
//! `timeline`: the times of a boot, drawn for people.

use anyhow::Context as _;
use serde_json::json;

use super::output;
use crate::cli::{self, TimelineFormat};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::model::status::{Progress, StageStatus};
use crate::pipeline::context::open_root;
use crate::pipeline::state;

/// Columns of the bars.
const WIDTH: u64 = 40;

/// The status under its root's path, also where it is part of a capture.
pub fn run(args: &cli::Timeline) -> Result<u8, Failure> {
    let captured = args.replay.as_ref().map(|dir| dir.join("file"));
    let root = open_root(Some(captured.as_deref().unwrap_or(&args.root)))?;
    let status = state::read_status(&root).stage(Stage::Report)?;
    let status = status
        .context("there is no status: footplate has not run on this machine in this boot")
        .cure("name another root directory with --root, or a capture with --replay")
        .stage(Stage::Report)?;
    match args.format {
        TimelineFormat::Json => output::json(&json!({ "stages": status.stages })),
        TimelineFormat::Text => output::text(&text(&status.stages)),
        TimelineFormat::Svg => output::text(&svg(&status.stages)),
    }
    Ok(0)
}

/// Begin and length of the whole in milliseconds; the length is at least 1.
fn span(stages: &[StageStatus]) -> (u64, u64) {
    let begin = stages.iter().map(|s| s.started_ms).min().unwrap_or(0);
    let end = stages.iter().map(|s| s.started_ms + s.ms).max().unwrap_or(0);
    (begin, (end - begin).max(1))
}

/// A bar for each stage.
fn text(stages: &[StageStatus]) -> String {
    let (begin, length) = span(stages);
    let mut text =
        format!("from {:.3} s after the kernel's start, {length} ms in all\n", begin as f64 / 1000.0);
    for stage in stages {
        let from = (stage.started_ms - begin) * WIDTH / length;
        let cells = (stage.ms * WIDTH / length).clamp(1, WIDTH - from.min(WIDTH - 1)) as usize;
        let bar = format!("{}{}", " ".repeat(from as usize), "█".repeat(cells));
        text += &format!(
            "{:8} |{bar:width$}| {:>7} ms  {}\n",
            stage.name,
            stage.ms,
            stage.summary,
            width = WIDTH as usize
        );
    }
    text
}

/// The same as a picture.
fn svg(stages: &[StageStatus]) -> String {
    let (begin, length) = span(stages);
    let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;");
    let height = 20 * stages.len() + 30;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"{height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <text x=\"4\" y=\"16\">footplate: {length} ms, from {:.3} s after the kernel's start</text>\n",
        begin as f64 / 1000.0
    );
    for (i, stage) in stages.iter().enumerate() {
        let y = 20 * i + 26;
        let x = 90 + (stage.started_ms - begin) * 500 / length;
        let width = (stage.ms * 500 / length).max(1);
        let fill = if stage.state == Progress::Failed { "#c33" } else { "#38c" };
        svg += &format!(
            "<text x=\"4\" y=\"{}\">{}</text><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"14\" fill=\"{fill}\"/>\
             <text x=\"{}\" y=\"{}\">{} ms</text>\n",
            y + 12,
            escape(&stage.name),
            x + width + 6,
            y + 12,
            stage.ms
        );
    }
    svg + "</svg>\n"
}
