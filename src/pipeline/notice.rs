// SPDX-License-Identifier: Apache-2.0
//! The failure for people: the last lines of the console, and a file beside the one by which Cluster API sees a success.

use super::context::Context;
use crate::io::console;
use crate::io::root::{Change, Ids, Root};
use crate::io::screen::wrapped;
use crate::model::problem::Problem;
use crate::model::status::Status;
use crate::plan::kubeadm::ERROR_LOG;

/// Most lines of the block.
const LINES: usize = 10;

/// How the line of another error begins.
const ALSO: &str = "   also:";

/// Writes the failure to the file, and to the console of a running machine: once, though both the bootstrap's unit and the run that
/// follows it tell its failure. What can't be written is a warning: a report never fails the boot.
pub fn put(context: &Context, status: &Status) {
    let root = &context.root;
    let lines = block(status);
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    match root.put(ERROR_LOG, text.as_bytes(), 0o600, Ids::ROOT) {
        Ok(Change::Unchanged) => return,
        Ok(Change::Changed) => {}
        Err(error) => log::warn!("report: {ERROR_LOG} is not written: {error:#}"),
    }
    if root.live() && context.policy.report_console {
        rows(lines).iter().for_each(|row| console(row));
    }
}

/// Removes what an earlier failure wrote.
pub fn remove(root: &Root) {
    if let Err(error) = root.remove(ERROR_LOG) {
        log::warn!("report: {ERROR_LOG} is not removed: {error:#}");
    }
}

/// The lines as a console of 80 columns shows them, with no word cut at its edge. Where these are more than [`LINES`], the other
/// errors are left to `footplate status`.
fn rows(mut lines: Vec<String>) -> Vec<String> {
    loop {
        let rows: Vec<String> = lines.iter().flat_map(|line| wrapped(line)).collect();
        match lines.iter().rposition(|line| line.starts_with(ALSO)) {
            Some(other) if rows.len() > LINES => lines.remove(other),
            _ => return rows,
        };
    }
}

/// What failed, why, what to do, where to look: at most [`LINES`] lines.
fn block(status: &Status) -> Vec<String> {
    let mut errors = status.problems.iter().filter(|p| p.is_error());
    let (first, others) = (errors.next(), errors.collect::<Vec<_>>());
    let phase = status.phase().unwrap_or("footplate");
    let mut lines = vec![format!("==== footplate: this node was not bootstrapped: {phase} failed ====")];
    let mut put = |name: &str, text: &str| {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        lines.push(format!("{name:>8}  {line}"));
    };
    put("what:", &status.error().unwrap_or_default());
    for why in first.iter().flat_map(|p| &p.why).take(2) {
        put("why:", why);
    }
    put("to do:", first.and_then(|p| p.cure.as_deref()).unwrap_or("look at the places below"));
    // One line is kept for the code, two for where to look.
    for other in others.iter().take(2) {
        put(ALSO.trim_start(), &Problem::on_a_line(other));
    }
    if let Some(code) = status.code() {
        put("code:", &code);
    }
    put("look at:", &format!("`footplate status`, {ERROR_LOG}"));
    put("", "`journalctl -u footplate -u kubeadm`");
    lines.truncate(LINES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::{Failure, Stage};

    #[test]
    fn the_block_has_at_most_ten_lines_of_text() {
        let mut status = Status::default();
        let first = Problem {
            why: (0..9).map(|n| format!("reason {n}")).collect(),
            ..Problem::error("a\u{1b}[2J", "is broken\nhere").cure("mend it")
        };
        let problems = std::iter::once(first).chain((0..9).map(|n| Problem::error(format!("b{n}"), "too")));
        status.fail(&Failure { stage: Stage::Decode, problems: problems.collect() });
        let lines = block(&status);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[0], "==== footplate: this node was not bootstrapped: decode failed ====");
        assert_eq!(lines[1], "   what:  decode: a [2J: is broken here");
        assert_eq!(lines[4], "  to do:  mend it");
        assert_eq!(lines[7], "   code:  decode/failed");
        assert!(lines[9].contains("journalctl"));
        assert!(lines.iter().all(|line| !line.contains(char::is_control)));
        assert_eq!(rows(lines.clone()), lines, "short lines stay as they are");
    }

    /// Long texts take the room of the other errors.
    #[test]
    fn the_console_cuts_no_word() {
        let mut status = Status::default();
        let long = |n: usize| format!("{n} {}", "word ".repeat(22));
        let problems = (0..3).map(|n| Problem::error("", long(n)).cure(long(9)));
        status.fail(&Failure { stage: Stage::Decode, problems: problems.collect() });
        let rows = rows(block(&status));
        assert!(rows.iter().all(|row| row.chars().count() <= 80 && !row.starts_with(ALSO)), "{rows:#?}");
        assert!(rows.len() <= LINES && rows[2].starts_with("          word word"), "{rows:#?}");
        assert!(rows[rows.len() - 1].contains("journalctl"), "{rows:#?}");
    }
}
