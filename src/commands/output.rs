// SPDX-License-Identifier: Apache-2.0
//! Standard output: what a command answers.

use std::io::Write as _;

use serde::Serialize;

use crate::io::live;

/// Prints text. A reader that went away is not a failure of the command.
pub fn text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// A word in a colour of ANSI's (`31;1`), where a person looks at it on a terminal.
pub fn coloured(word: &str, colour: &str) -> String {
    live::coloured(&std::io::stdout(), word, colour)
}

/// The version of each command's JSON: a later footplate may add fields.
const VERSION: u32 = 1;

/// Prints an object as JSON, indented, with the version of its form.
pub fn json(value: &impl Serialize) {
    let mut value = serde_json::to_value(value).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        let version = object.shift_remove("version").unwrap_or_else(|| VERSION.into());
        object.shift_insert(0, "version".to_owned(), version);
    }
    text(&indented(&value));
}

/// A value as JSON, indented, and a newline.
pub fn indented(value: &impl Serialize) -> String {
    format!("{:#}\n", serde_json::to_value(value).unwrap_or_default())
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

/// The width of the first column of a table: that of its longest entry, 72 characters at most.
pub fn width<'a>(entries: impl Iterator<Item = &'a str>) -> usize {
    entries.map(|entry| entry.chars().count()).max().unwrap_or(0).min(72)
}
