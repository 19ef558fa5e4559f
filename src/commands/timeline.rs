// SPDX-License-Identifier: Apache-2.0
//! `timeline`: the times of a boot, drawn for people.

use anyhow::Context as _;
use serde_json::json;

use super::output;
use crate::cli::{self, TimelineFormat};
use crate::model::problem::{Failure, In as _, Stage, WithCure as _};
use crate::model::status::{Progress, StageStatus, VERSION};
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
        TimelineFormat::Json => output::json(&json!({ "version": VERSION, "stages": status.stages })),
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

/// Each stage and, behind it, what it consists of, with how deep it stands.
fn rows(stages: &[StageStatus]) -> Vec<(usize, &StageStatus)> {
    stages.iter().flat_map(|s| std::iter::once((0, s)).chain(s.parts.iter().map(|part| (1, part)))).collect()
}

/// A bar for each stage and part.
fn text(stages: &[StageStatus]) -> String {
    let (begin, length) = span(stages);
    let mut text =
        format!("from {:.3} s after the kernel's start, {length} ms in all\n", begin as f64 / 1000.0);
    let rows = rows(stages);
    let names = rows.iter().map(|(depth, row)| 2 * depth + row.name.len()).max().unwrap_or(0).max(8);
    // A line has 80 columns where no summary is long.
    let width = WIDTH.min(64u64.saturating_sub(names as u64)).max(1);
    for (depth, row) in rows {
        let from = (row.started_ms.saturating_sub(begin) * width / length).min(width - 1);
        let cells = (row.ms * width / length).clamp(1, width - from) as usize;
        let bar = format!("{}{}", " ".repeat(from as usize), "█".repeat(cells));
        let name = format!("{}{}", "  ".repeat(depth), row.name);
        let line =
            format!("{name:names$} |{bar:width$}| {:>7} ms  {}", row.ms, row.summary, width = width as usize);
        text += &format!("{}\n", line.trim_end());
    }
    text
}

/// The same as a picture.
fn svg(stages: &[StageStatus]) -> String {
    let (begin, length) = span(stages);
    let escape = |s: &str| s.replace('&', "&amp;").replace('<', "&lt;");
    let rows = rows(stages);
    let height = 20 * rows.len() + 30;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"monospace\" font-size=\"12\">\n\
         <style>svg {{ background: #fff; fill: #222 }} @media (prefers-color-scheme: dark) {{ svg {{ background: #181818; fill: #ddd }} }}</style>\n\
         <text x=\"4\" y=\"16\">footplate: {length} ms, from {:.3} s after the kernel's start</text>\n",
        begin as f64 / 1000.0
    );
    for (i, (depth, row)) in rows.into_iter().enumerate() {
        let y = 20 * i + 26;
        let x = 170 + row.started_ms.saturating_sub(begin) * 500 / length;
        let width = (row.ms * 500 / length).max(1);
        let fill = if row.state == Progress::Failed { "#c33" } else { ["#38c", "#6ab"][depth.min(1)] };
        svg += &format!(
            "<text x=\"{}\" y=\"{}\">{}</text><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"14\" fill=\"{fill}\"/>\
             <text x=\"{}\" y=\"{}\">{} ms</text>\n",
            4 + 12 * depth,
            y + 12,
            escape(&row.name),
            x + width + 6,
            y + 12,
            row.ms
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_drawn_with_its_parts() {
        let row = |name: &str, started_ms, ms| StageStatus {
            name: name.to_owned(),
            state: Progress::Done,
            started_ms,
            ms,
            ..StageStatus::default()
        };
        let mut kubeadm = row("kubeadm", 1500, 8500);
        kubeadm.parts = vec![row("preflight", 2000, 500), row("wait-control-plane", 2500, 7500)];
        let stages = [row("fetch", 1000, 500), kubeadm];
        let text = text(&stages);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "from 1.000 s after the kernel's start, 9000 ms in all");
        assert!(lines[1].starts_with("fetch                |██ "), "{text}");
        assert!(lines[4].starts_with("  wait-control-plane |      ███"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        let svg = svg(&stages);
        assert_eq!(svg.matches("<rect").count(), 4, "{svg}");
    }
}
