// SPDX-License-Identifier: Apache-2.0
//! Text for a person at a terminal.

use std::io::IsTerminal;

/// A text with its long lines in pieces, where a person looks at it on a terminal. Lines with columns stay as they are.
pub fn for_screen(stream: &impl IsTerminal, text: &str) -> String {
    // Most lines are short, and to ask what the stream is takes a call of the system.
    if text.split('\n').all(|line| width(line) <= COLUMNS) || !stream.is_terminal() {
        return text.to_owned();
    }
    let is_prose = |line: &&str| !line.trim_start().contains("  ") && !line.contains(" | ");
    let pieces = |line: &str| match Some(line).filter(is_prose) {
        Some(line) => wrapped(line).join("\n"),
        None => line.to_owned(),
    };
    text.split('\n').map(pieces).collect::<Vec<_>>().join("\n")
}

/// A text without what acts on a terminal: colours, movements of the cursor, titles. A sequence ends with its line at the latest.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut chars = line.trim_end_matches('\n').chars();
        while let Some(c) = chars.next() {
            match c {
                '\u{1b}' => {
                    let _ = match chars.next() {
                        Some('[') => chars.find(|c| ('@'..='~').contains(c)),
                        Some(']') => chars.find(|c| ['\u{7}', '\\'].contains(c)),
                        other => other,
                    };
                }
                '\t' => out.push(c),
                _ if c.is_control() => {}
                _ => out.push(c),
            }
        }
        out.extend(line.ends_with('\n').then_some('\n'));
    }
    out
}

/// The columns of a terminal.
const COLUMNS: usize = 80;

/// Whether a line fits where a stream shows it: all lines do where no person looks.
pub fn fits(stream: &impl IsTerminal, line: &str) -> bool {
    width(line) <= COLUMNS || !stream.is_terminal()
}

/// The columns that a text takes: a colour takes none.
fn width(text: &str) -> usize {
    let mut chars = text.chars();
    let mut count = 0;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => drop(chars.find(char::is_ascii_alphabetic)),
            _ => count += 1,
        }
    }
    count
}

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
        if width(&last) > indent && width(&last) + 1 + width(word) > COLUMNS {
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

#[cfg(test)]
mod tests {
    use super::{plain, wrapped};

    #[test]
    fn a_colour_takes_no_column() {
        let line = |colour: &str, end: &str| format!("{colour}error{end}: {}", "word ".repeat(30));
        let pieces = wrapped(&line("\u{1b}[1;38;5;160m", "\u{1b}[0m"));
        assert_eq!(pieces.len(), wrapped(&line("", "")).len());
        assert_eq!(plain(&pieces[0]), wrapped(&line("", ""))[0]);
    }

    #[test]
    fn what_acts_on_a_terminal_is_left_out() {
        let text = "a\u{1b}[1;31mb\u{1b}[0mc\td\r\n\u{1b}]0;title\u{7}e\u{1b}[2J\n\u{1b}]0;no end\nf\u{7}\u{1b}cg\u{9b}h\u{1b}[";
        assert_eq!(plain(text), "abc\td\ne\n\nfgh");
        assert_eq!(plain("\u{1b}"), "");
    }
}
