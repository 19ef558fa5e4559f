// SPDX-License-Identifier: Apache-2.0
//! Where the places of what is found stand in the author's text.

use crate::decode::capi::Origin;
use crate::decode::sites::Sites;
use crate::model::problem::{Pos, Problem};

/// The way from rendered data to the author's text.
pub struct Places<'a> {
    pub sites: Sites<'a>,
    pub origin: &'a Origin,
}

impl Places<'_> {
    /// A problem at a place of the data, in the author's terms.
    pub fn entry(&self, mut problem: Problem) -> Problem {
        if problem.pos.is_none() && !problem.place.is_empty() {
            problem.pos = self.sites.pos(&problem.place);
        }
        self.origin.locate(problem)
    }

    /// A problem in a line and a column of the text at its place, counted from 1, in the author's terms.
    pub fn line(&self, problem: Problem, line: usize, column: usize) -> Problem {
        let within = Pos { line, column };
        if let Some((place, pos)) = self.origin.inside(&problem.place, within) {
            return Problem { place, ..problem.at(pos) };
        }
        let lone = (problem.place == "user-data").then_some(within);
        match self.sites.line(&problem.place, within).or(lone) {
            Some(pos) => problem.at(pos),
            None => problem,
        }
    }
}
