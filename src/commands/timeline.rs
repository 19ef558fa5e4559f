// SPDX-License-Identifier: Apache-2.0
//! `timeline`: the times of a boot, drawn for people.

use std::path::Path;

use serde_json::json;

use super::status::not_run;
use super::{PENDING, output};
use crate::cli::{self, TimelineFormat};
use crate::io::systemd;
use crate::model::problem::{Failure, In as _, Stage};
use crate::model::status::{Attempt, Progress, StageStatus, VERSION};
use crate::pipeline::context::open_root;
use crate::pipeline::state;

/// Columns of the bars, and of a line: what is longer ends with dots, and `status` has it whole.
const WIDTH: u64 = 24;
const COLUMNS: usize = 80;

/// Milliseconds after footplate's own end in which what begins is part of the boot: the kubelet may be started anew weeks later.
const AFTER: u64 = 10 * 60 * 1000;

/// Draws the status below a root, or that of a recorded machine.
pub fn run(args: &cli::Timeline) -> Result<u8, Failure> {
    let (status, times) = if let Some(recorded) = &args.replay {
        let status = state::recorded_status(recorded).stage(Stage::Usage)?;
        (status, state::recorded_times(recorded).stage(Stage::Usage)?)
    } else {
        let root = open_root(Some(&args.root))?;
        let status = state::read_status(&root).stage(Stage::Report)?;
        let live = args.root == Path::new("/");
        (status, if live { systemd::boot_times() } else { Vec::new() })
    };
    let ran = status.is_some();
    let status = status.unwrap_or_default();
    let mut stages = status.stages.clone();
    match args.format {
        TimelineFormat::Json => {
            let document = json!({ "version": VERSION, "stages": status.stages, "boot": times });
            output::json(&document);
        }
        TimelineFormat::Text if !ran => output::text(&not_run()),
        TimelineFormat::Text | TimelineFormat::Svg => {
            add_attempts(&mut stages, &status.attempts);
            add_times(&mut stages, times);
            let draw = if args.format == TimelineFormat::Text { text } else { svg };
            output::text(&draw(&stages));
        }
    }
    Ok(if ran { 0 } else { PENDING })
}

/// Draws the runs of kubeadm that failed among the parts of their stage.
fn add_attempts(stages: &mut [StageStatus], attempts: &[Attempt]) {
    let Some(stage) = stages.iter_mut().find(|stage| Stage::names_bootstrap(&stage.name)) else { return };
    stage.parts.extend((1..).zip(attempts).map(|(n, attempt)| StageStatus {
        name: format!("attempt {n}"),
        state: Progress::Failed,
        started_ms: attempt.started_ms,
        ms: attempt.ms,
        summary: attempt.told(),
        ..StageStatus::default()
    }));
    stage.parts.sort_by_key(|part| part.started_ms);
}

/// Draws the other parts of the boot where they belong by their begin.
fn add_times(stages: &mut Vec<StageStatus>, times: Vec<StageStatus>) {
    let (begin, length) = span(stages);
    stages.extend(times.into_iter().filter(|row| row.started_ms <= begin + length + AFTER));
    stages.sort_by_key(|stage| stage.started_ms);
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
    let width = WIDTH.min(64u64.saturating_sub(names as u64)).max(1);
    for (depth, row) in rows {
        let from = (row.started_ms.saturating_sub(begin) * width / length).min(width - 1);
        let cells = (row.ms * width / length).clamp(1, width - from) as usize;
        let bar = format!("{}{}", " ".repeat(from as usize), "█".repeat(cells));
        let name = format!("{}{}", "  ".repeat(depth), row.name);
        let failed = if row.state == Progress::Failed { "failed " } else { "" };
        let line = format!(
            "{name:names$} |{bar:width$}| {:>7} ms  {failed}{}",
            row.ms,
            row.summary,
            width = width as usize
        );
        text += &format!("{}\n", cut(line.trim_end(), COLUMNS));
    }
    text
}

/// Of the picture in pixels: how wide it is, where its bars begin, how wide all of them are, and how high a row is.
const PICTURE: (u64, u64, u64, u64) = (960, 210, 520, 20);

/// Most letters of a name and of a remark in the picture.
const LETTERS: (usize, usize) = (26, 30);

/// The same as a picture, in the colours of the reader's desktop: light or dark.
fn svg(stages: &[StageStatus]) -> String {
    let (begin, length) = span(stages);
    let (width, left, all, high) = PICTURE;
    let rows = rows(stages);
    let bottom = high * rows.len() as u64 + 52;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {h}\" width=\"{width}\" height=\"{h}\" \
         font-family=\"monospace\" font-size=\"12\">\n<style>.b {{ fill: #fff }} text {{ fill: #222 }} .g {{ fill: #666 }} \
         line {{ stroke: #ddd }} .s0 {{ fill: #2a78c0 }} .s1 {{ fill: #77add6 }} .f {{ fill: #c33 }}\n\
         @media (prefers-color-scheme: dark) {{ .b {{ fill: #181818 }} text {{ fill: #ddd }} .g {{ fill: #999 }} \
         line {{ stroke: #383838 }} .s0 {{ fill: #4a94d8 }} .s1 {{ fill: #2f628c }} .f {{ fill: #e55 }} }}</style>\n\
         <rect class=\"b\" width=\"100%\" height=\"100%\"/>\n\
         <text x=\"8\" y=\"18\">footplate: {}, from {} after the kernel's start</text>\n",
        seconds(length),
        seconds(begin),
        h = bottom + 8,
    );
    let step = step(length);
    for at in (0..=length).step_by(step as usize) {
        let x = left + at * all / length;
        let label = seconds(at);
        svg += &format!(
            "<line x1=\"{x}\" x2=\"{x}\" y1=\"44\" y2=\"{bottom}\"/><text class=\"g\" x=\"{x}\" y=\"38\" text-anchor=\"middle\">{label}</text>\n"
        );
    }
    for (i, (depth, row)) in (0u64..).zip(rows) {
        let y = high * i + 50;
        let from = row.started_ms.saturating_sub(begin) * all / length;
        let wide = (row.ms * all / length).clamp(1, (all - from).max(1));
        let class = if row.state == Progress::Failed { "f" } else { ["s0", "s1"][depth.min(1)] };
        let remark = format!("{} {}", seconds(row.ms), row.summary);
        svg += &format!(
            "<g><title>{}: {}</title><text x=\"{}\" y=\"{}\">{}</text><rect class=\"{class}\" x=\"{}\" y=\"{y}\" width=\"{wide}\" \
             height=\"14\"/><text class=\"g\" x=\"{}\" y=\"{}\">{}</text></g>\n",
            escaped(&row.name, usize::MAX),
            escaped(&remark, usize::MAX),
            8 + 12 * depth,
            y + 12,
            escaped(&row.name, LETTERS.0 - 2 * depth),
            left + from,
            left + all + 8,
            y + 12,
            escaped(&remark, LETTERS.1),
        );
    }
    svg + "</svg>\n"
}

/// A time in the unit that a person reads it in.
fn seconds(ms: u64) -> String {
    if ms < 1000 {
        format!("{ms} ms")
    } else {
        format!("{}.{:03} s", ms / 1000, ms % 1000).replace(".000", "")
    }
}

/// Milliseconds between two lines of the picture, of which there are five to ten.
fn step(length: u64) -> u64 {
    let mut step = 1;
    for factor in [2, 5, 10].into_iter().cycle() {
        if length / step <= 10 {
            break;
        }
        step = 10u64.pow(step.ilog10()) * factor;
    }
    step
}

/// A text of so many letters at most.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Text of an XML document, and no more letters than that.
fn escaped(text: &str, most: usize) -> String {
    cut(text.trim(), most).replace('&', "&amp;").replace('<', "&lt;").replace(|c: char| c.is_control(), " ")
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
        (kubeadm.state, kubeadm.summary) = (Progress::Failed, "exit-status=1".to_owned());
        kubeadm.parts = vec![row("preflight", 2000, 500), row("wait-control-plane", 2500, 7500)];
        let stages = [row("fetch", 1000, 500), kubeadm];
        let text = text(&stages);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "from 1.000 s after the kernel's start, 9000 ms in all");
        assert!(lines[1].starts_with("fetch                |█ "), "{text}");
        assert!(lines[2].ends_with(" ms  failed exit-status=1"), "{text}");
        assert!(lines[4].starts_with("  wait-control-plane |    ███"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        let svg = svg(&stages);
        assert_eq!(svg.matches("<rect").count(), 5, "{svg}");
    }

    #[test]
    fn runs_that_failed_are_drawn_whoever_called_kubeadm() {
        for name in ["kubeadm", "bootstrap"] {
            let mut stages = [StageStatus { name: name.to_owned(), ..StageStatus::default() }];
            add_attempts(&mut stages, &[Attempt { exit_status: 1, ..Attempt::default() }]);
            assert_eq!(stages[0].parts[0].name, "attempt 1", "{name}");
        }
    }

    #[test]
    fn the_boot_stands_before_and_after_the_stages() {
        let row = |name: &str, started_ms, ms| StageStatus {
            name: name.to_owned(),
            started_ms,
            ms,
            ..StageStatus::default()
        };
        let mut stages = vec![row("detect", 5000, 100), row("kubeadm", 6000, 4000)];
        let times = vec![row("kernel", 0, 1200), row("network-online", 3000, 2500), row("kubelet", 9000, 50)];
        add_times(&mut stages, times);
        // One that was started anew, long after.
        add_times(&mut stages, vec![row("kubelet", 10_001 + AFTER, 50)]);
        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        assert_eq!(names, ["kernel", "network-online", "detect", "kubeadm", "kubelet"]);
        assert!(text(&stages).starts_with("from 0.000 s after the kernel's start, 10000 ms in all\nkernel "));
    }

    #[test]
    fn the_picture_has_few_lines_and_round_times() {
        for (length, want) in
            [(1, 1), (10, 1), (11, 2), (99, 10), (1000, 100), (1100, 200), (9000, 1000), (254_000, 50_000)]
        {
            assert_eq!(step(length), want, "{length}");
        }
        assert_eq!([seconds(999), seconds(2000), seconds(2500)], ["999 ms", "2 s", "2.500 s"]);
        assert_eq!(escaped("a<b & cdefg", 7), "a&lt;b &amp; …");
    }
}
