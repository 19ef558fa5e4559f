// SPDX-License-Identifier: Apache-2.0
//! The way from rendered bootstrap data back to the object that its author wrote.

use std::collections::HashMap;

use crate::decode::document::Step;
use crate::model::problem::{Pos, Problem};

/// A value of the author's object.
#[derive(Clone)]
pub struct Mark {
    /// Its key path, `spec.files[2].content`.
    pub place: String,
    /// Where it stands in the author's text.
    pub pos: Pos,
    /// The way from a place within the value to one in the author's text.
    pub step: Step<'static>,
    /// Whether it has a variable of clusterctl's in it: what it will be is not known.
    pub open: bool,
}

/// A line of the rendered text: the mark that it came of, which line of that value it is, in which column the value begins, and
/// how many columns behind that each sign stands that was put before another one.
#[derive(Clone)]
struct Line {
    mark: usize,
    line: usize,
    column: usize,
    escapes: Vec<usize>,
}

/// A line's mark and its line in that value, from 1; `None` for a line that Cluster API makes.
type Within = Option<(usize, usize)>;

/// Where each line and each place of rendered bootstrap data came from. The empty one changes nothing.
#[derive(Clone, Default)]
pub struct Origin {
    /// Whether the data is made of an object's keys, and does not stand in it as it is.
    rendered: bool,
    marks: Vec<Mark>,
    lines: Vec<Option<Line>>,
    /// Places in the rendered data, and the marks that they came of.
    places: HashMap<String, usize>,
    /// Scripts that are made of several values, by their places: the mark of each line and its line there.
    scripts: Vec<(String, Vec<Within>)>,
    /// Files of the rendered data that are made of an object's keys, by their places.
    files: Vec<(String, Origin)>,
}

impl Origin {
    /// That of data which is made of an object's keys.
    pub fn rendered() -> Self {
        Self { rendered: true, ..Self::default() }
    }

    /// Adds a value of the author's, and gives its number.
    pub fn mark(&mut self, mark: Mark) -> usize {
        self.marks.push(mark);
        self.marks.len() - 1
    }

    /// Says that the next line of the rendered text came of a mark; `None` for one that Cluster API makes.
    pub fn line(&mut self, of: Option<(usize, usize, usize)>) {
        self.lines.push(of.map(|(mark, line, column)| Line { mark, line, column, escapes: Vec::new() }));
    }

    /// The same for a value of one line in quotes, with a backslash before each quote and backslash in it.
    pub fn quoted_line(&mut self, mark: usize, column: usize, text: &str) {
        let escaped = text.chars().enumerate().filter(|(_, c)| matches!(c, '"' | '\\'));
        let escapes = escaped.enumerate().map(|(before, (at, _))| at + before).collect();
        self.lines.push(Some(Line { mark, line: 1, column, escapes }));
    }

    /// Says that a place in the rendered data came of a mark.
    pub fn place(&mut self, place: impl Into<String>, mark: usize) {
        self.places.insert(place.into(), mark);
    }

    /// A problem in the rendered data as one in the author's object.
    pub fn locate(&self, mut problem: Problem) -> Problem {
        if self.marks.is_empty() {
            return problem;
        }
        let by_line = problem.pos.and_then(|pos| self.by_line(pos));
        let by_place = self.by_place(&problem.place);
        // Which entry it is says the place, where in its value the line.
        let mark = match (&by_place, by_line) {
            (Some((_, mark, _)), _) => Some(*mark),
            (None, line) => line.map(|(mark, _)| mark),
        };
        let Some(mark) = mark else {
            problem.pos = None;
            return problem;
        };
        let rest = match by_place {
            Some((rest, _, detail)) => format!("{rest}{detail}"),
            None if problem.place.is_empty() => String::new(),
            None => format!(" ({})", problem.place),
        };
        problem.pos = Some(by_line.map_or(self.marks[mark].pos, |(_, pos)| pos));
        // The text of a Secret has places of its own.
        if !self.marks[mark].place.is_empty() {
            problem.place = format!("{}{rest}", self.marks[mark].place);
        }
        if self.marks[mark].open {
            problem.severity = crate::model::problem::Severity::Note;
            problem.what +=
                "; a variable of clusterctl's is not filled in here, so that the value is not known";
            problem.cure = None;
        }
        problem
    }

    /// Says what the lines of the script at a place came of.
    pub fn script(&mut self, place: String, lines: Vec<Within>) {
        self.scripts.push((place, lines));
    }

    /// Says where the text of the file at a place came from.
    pub fn file(&mut self, place: String, origin: Self) {
        self.files.push((place, origin));
    }

    /// Whether the data is made of an object's keys.
    pub fn is_rendered(&self) -> bool {
        self.rendered
    }

    /// Whether a provider makes what stands at a place, of nothing that the author wrote there.
    pub fn is_made(&self, place: &str) -> bool {
        self.rendered && self.by_place(place).is_none()
    }

    /// The author's place of a position in the value at a place.
    pub fn inside(&self, place: &str, within: Pos) -> Option<(String, Pos)> {
        if let Some((_, file)) = self.files.iter().find(|(at, _)| place.starts_with(at.as_str())) {
            let (mark, pos) = file.by_line(within)?;
            return Some((file.marks[mark].place.clone(), pos));
        }
        let Pos { line, column } = within;
        let script = self.scripts.iter().find(|(at, _)| place.starts_with(at.as_str()));
        let (mark, line) = match script {
            Some((_, lines)) => (*lines.get(line.checked_sub(1)?)?)?,
            None => (self.by_place(place)?.1, line),
        };
        let mark = &self.marks[mark];
        Some((mark.place.clone(), mark.step.back(Pos { line, column })))
    }

    fn by_line(&self, pos: Pos) -> Option<(usize, Pos)> {
        let Line { mark, line, column, escapes } = self.lines.get(pos.line.checked_sub(1)?)?.as_ref()?;
        let of = &self.marks[*mark];
        let within = pos.column.checked_sub(*column);
        let within = within.map(|c| c - escapes.iter().take_while(|at| **at < c).count());
        let pos = within.map_or(of.pos, |c| of.step.back(Pos { line: *line, column: c + 1 }));
        Some((*mark, pos))
    }

    /// The mark of the longest known place that this one begins with, the rest of it, and what stands behind the place in
    /// brackets.
    fn by_place(&self, place: &str) -> Option<(String, usize, String)> {
        let (path, detail) = place.find(" (").map_or((place, ""), |at| place.split_at(at));
        let cuts = path.rmatch_indices(['.', '[']).map(|(at, _)| at);
        let mut known = std::iter::once(path.len()).chain(cuts).map(|at| path.split_at(at));
        known.find_map(|(known, rest)| Some((rest.to_owned(), *self.places.get(known)?, detail.to_owned())))
    }
}
