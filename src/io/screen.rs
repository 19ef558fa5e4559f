// SPDX-License-Identifier: Apache-2.0
//! Text for a person at a terminal.

use std::io::IsTerminal;

/// A text with its long lines in pieces, where a person looks at it on a terminal. Lines with columns stay as they are.
pub fn for_screen(stream: &impl IsTerminal, text: &str) -> String {
    // Most lines are short, and to ask what the stream is takes a call of the system.
    if text.split('\n').all(|line| line.chars().count() <= COLUMNS) || !stream.is_terminal() {
        return text.to_owned();
    }
    let is_prose = |line: &&str| !line.trim_start().contains("  ") && !line.contains(" | ");
    let pieces = |line: &str| match Some(line).filter(is_prose) {
        Some(line) => wrapped(line).join("\n"),
        None => line.to_owned(),
    };
    text.split('\n').map(pieces).collect::<Vec<_>>().join("\n")
}

/// The columns of a terminal.
const COLUMNS: usize = 80;

/// A line in pieces that fit on a terminal: each further piece stands below the last column of the first.
pub fn wrapped(line: &str) -> Vec<String> {
    let blanks = line.len() - line.trim_start().len();
    let column = line[blanks..].find("  ").map(|end| {
        let rest = &line[blanks + end..];
        line[..blanks + end].chars().count() + rest.len() - rest.trim_start().len()
    });
    let indent = column.unwrap_or(blanks);
    let mut lines = Vec::new();
    let mut last = " ".repeat(blanks);
    for word in line[blanks..].split(' ') {
        if last.chars().count() > indent && last.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(std::mem::replace(&mut last, format!("{:indent$}{word}", "")));
        } else {
            if last.chars().count() > blanks || !lines.is_empty() {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.push(last);
    lines
}
