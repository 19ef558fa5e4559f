// SPDX-License-Identifier: Apache-2.0
//! Standard output: what a command answers.

use std::io::{IsTerminal, Write as _};

use serde::Serialize;

use crate::io::live;
use crate::io::screen::for_screen;

/// Prints text. A reader that went away is not a failure of the command.
pub fn text(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Prints text for people, as [`for_screen`] has it.
pub fn prose(words: &str) {
    text(&for_screen(&std::io::stdout(), words));
}

/// A word in a colour of [`live`]'s, where a person looks at it on a terminal.
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

/// The width of the first column of a table: that of its longest entry, at most 72 characters, or 44 on a terminal.
pub fn width<'a>(entries: impl Iterator<Item = &'a str>) -> usize {
    let most = if std::io::stdout().is_terminal() { 44 } else { 72 };
    entries.map(|entry| entry.chars().count()).max().unwrap_or(0).min(most)
}
