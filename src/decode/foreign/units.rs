// SPDX-License-Identifier: Apache-2.0
//! What systemd units have of other distributions: the programs that they run, and the units that they can't start without.

use super::tables::UNITS;
use super::{Foreign, by_itself, find, of_line, once};
use crate::model::paths::UNIT_DIR;
use crate::model::problem::Pos;
use crate::model::unit::{Line, lines};

/// Before a program's path, what systemd makes of it
/// ([systemd.service(5)](https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Command%20lines)).
const MARKS: [char; 6] = ['-', '@', ':', '+', '!', '|'];

/// Whether a file is one of a unit, or a drop-in of one.
pub(super) fn is_unit(path: &str) -> bool {
    path.strip_prefix(UNIT_DIR).is_some_and(|rest| rest.starts_with('/'))
}

/// What a unit's text has of other distributions, each once, with its line. Nothing stands in for the programs that a unit runs.
pub(super) fn of_unit(text: &str) -> Vec<(Pos, Foreign)> {
    let mut found: Vec<(Pos, Foreign)> = Vec::new();
    for Line { number, text } in lines(text) {
        let Some((key, value)) = text.split_once('=') else { continue };
        let foreign: Vec<Foreign> = match key.trim_end() {
            key if key.starts_with("Exec") => {
                let command = value.trim_start().trim_start_matches(MARKS);
                of_line(command).into_iter().map(|(_, foreign)| foreign).collect()
            }
            // systemd orders a unit after one that is not there, and starts none that requires one.
            "Requires" | "Requisite" | "BindsTo" => value.split_whitespace().filter_map(of_name).collect(),
            _ => continue,
        };
        let at = Pos { line: number, column: 1 };
        found.extend(foreign.into_iter().filter_map(by_itself).map(|foreign| (at, foreign)));
    }
    once(found)
}

/// A unit that Flatcar does not have.
pub(super) fn of_name(unit: &str) -> Option<Foreign> {
    find(UNITS, unit.strip_suffix(".service").unwrap_or(unit))
}
