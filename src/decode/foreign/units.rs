// SPDX-License-Identifier: Apache-2.0
//! What systemd units have of other distributions: the programs that they run, and the units that they can't start without.

use super::{Foreign, UNITS, by_itself, find, of_line};
use crate::model::paths::UNIT_DIR;
use crate::model::unit::{Line, lines};

/// Before a program's path, what systemd makes of it
/// ([systemd.service(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Command%20lines)).
const MARKS: [char; 6] = ['-', '@', ':', '+', '!', '|'];

/// Whether a file is one of a unit, or a drop-in of one.
pub(super) fn is_unit(path: &str) -> bool {
    path.strip_prefix(UNIT_DIR).is_some_and(|rest| rest.starts_with('/'))
}

/// What a unit's text has of other distributions, each once, with the number of its line, from 1. Nothing stands in for the
/// programs that a unit runs.
pub(super) fn of_unit(text: &str) -> Vec<(usize, Foreign)> {
    let mut found: Vec<(usize, Foreign)> = Vec::new();
    for Line { number, text } in lines(text) {
        let Some((key, value)) = text.split_once('=') else { continue };
        let foreign: Vec<Foreign> = match key.trim_end() {
            key if key.starts_with("Exec") => of_line(value.trim_start().trim_start_matches(MARKS)),
            // systemd orders a unit after one that is not there, and starts none that requires one.
            "Requires" | "Requisite" | "BindsTo" => value.split_whitespace().filter_map(of_name).collect(),
            _ => continue,
        };
        for foreign in foreign.into_iter().filter_map(by_itself) {
            if found.iter().all(|(_, have)| *have != foreign) {
                found.push((number, foreign));
            }
        }
    }
    found
}

/// A unit that Flatcar does not have.
pub(super) fn of_name(unit: &str) -> Option<Foreign> {
    find(UNITS, unit.strip_suffix(".service").unwrap_or(unit))
}
