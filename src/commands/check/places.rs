// SPDX-License-Identifier: Apache-2.0
//! Where the places of what is found stand in the author's text.

use std::cell::Cell;

use crate::decode::capi::Origin;
use crate::decode::document::unlabelled;
use crate::decode::sites::Sites;
use crate::model::config::NodeConfig;
use crate::model::problem::{Pos, Problem};
use crate::model::storage::File;

/// Problems whose line is looked for. For each the text is gone through once; others have their place alone.
const MAX_LINES: usize = 1000;

/// The way from rendered data to the author's text.
pub struct Places<'a> {
    pub sites: Sites<'a>,
    pub origin: &'a Origin,
    looked_for: Cell<usize>,
}

impl<'a> Places<'a> {
    pub fn new(sites: Sites<'a>, origin: &'a Origin) -> Self {
        Self { sites, origin, looked_for: Cell::new(0) }
    }

    /// Whether one more line is looked for.
    fn one_more(&self) -> bool {
        self.looked_for.replace(self.looked_for.get() + 1) < MAX_LINES
    }

    /// Whether the paths of all files are known: a template may make them of values of the machine.
    pub fn know_paths(&self, config: &NodeConfig) -> bool {
        let path = |file: &File| self.sites.entry(Problem::error(format!("{}.path", file.place), ""));
        config.files.iter().map(path).all(|problem| problem.is_error() && problem.pos.is_some())
    }

    /// A problem at a place of the data, in the author's terms.
    pub fn entry(&self, problem: Problem) -> Problem {
        self.origin.locate(match (problem.pos.is_some(), unlabelled(&problem.place).is_empty()) {
            (false, false) if self.one_more() => self.sites.entry(problem),
            // Lines of an object tell their keys themselves.
            (true, true) if problem.code.starts_with("template/") && !self.origin.is_rendered() => {
                self.sites.keyed(problem)
            }
            _ => problem,
        })
    }

    /// A problem in a line and a column of the text at its place, counted from 1, in the author's terms.
    pub fn line(&self, problem: Problem, line: usize, column: usize) -> Problem {
        let within = Pos { line, column };
        if let Some((place, pos)) = self.origin.inside(&problem.place, within) {
            return Problem { place, ..problem.at(pos) };
        }
        self.origin.locate(if self.one_more() { self.sites.line(problem, within) } else { problem })
    }
}
