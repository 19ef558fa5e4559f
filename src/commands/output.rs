// SPDX-License-Identifier: Apache-2.0
//! Standard output: what a command answers.

use std::io::Write as _;

use serde::Serialize;

/// Prints text. A reader that went away is not a failure of the command.
pub fn text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints a value as JSON, indented.
pub fn json(value: &impl Serialize) {
    let value = serde_json::to_value(value).unwrap_or_default();
    text(&format!("{value:#}\n"));
}

/// The width of the first column of a table: that of its longest entry, 72 characters at most.
pub fn width<'a>(entries: impl Iterator<Item = &'a str>) -> usize {
    entries.map(|entry| entry.chars().count()).max().unwrap_or(0).min(72)
}
