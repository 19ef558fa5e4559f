// SPDX-License-Identifier: Apache-2.0
//! Where in the data a piece of it stands, and the way back to the text that its author wrote.

use std::borrow::Cow;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use super::jinja;
use crate::decode::syntax::yaml::Node;
use crate::model::problem::{Pos, Problem};

/// A text of the data. Its copies share the bytes.
#[derive(Clone)]
pub enum Text<'d> {
    /// It stands so in the data.
    Given(&'d str),
    /// It was made of the data.
    Made(Arc<String>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Given(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'d> From<&'d str> for Text<'d> {
    fn from(text: &'d str) -> Self {
        Self::Given(text)
    }
}

impl<'d> From<Cow<'d, str>> for Text<'d> {
    fn from(text: Cow<'d, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Given(text),
            Cow::Owned(text) => Self::Made(Arc::new(text)),
        }
    }
}

/// A step from a text back to the one that it came from.
#[derive(Clone)]
pub enum Step<'d> {
    /// It is a block of it, so many lines down and so many columns to the right.
    Block { lines: usize, columns: usize },
    /// Its lines began in these lines of it, from 0.
    Lines(Rc<Vec<usize>>),
    /// It was rendered from it.
    Rendered(Rc<jinja::Rendered<'d>>),
    /// All of it stands at one place.
    At(Pos),
}

impl Step<'_> {
    /// The place in the text that this one came from.
    pub fn back(&self, pos: Pos) -> Pos {
        match self {
            Self::Block { lines, columns } => Pos { line: pos.line + lines, column: pos.column + columns },
            Self::Lines(map) => {
                let at = map.get(pos.line.saturating_sub(1)).or(map.last());
                Pos { line: at.map_or(pos.line, |l| l + 1), ..pos }
            }
            Self::Rendered(rendered) => rendered.origin(pos),
            Self::At(pos) => *pos,
        }
    }
}

pub fn back(origin: &[Step<'_>], pos: Pos) -> Pos {
    origin.iter().rev().fold(pos, |pos, step| step.back(pos))
}

pub fn prefixed(label: &str, place: &str) -> String {
    match (label, place) {
        ("", place) => place.to_owned(),
        (label, "") => label.to_owned(),
        (label, place) => format!("{label}: {place}"),
    }
}

/// A place without the name of the part of the data that it stands in.
pub fn unlabelled(place: &str) -> &str {
    match place.strip_prefix("part ") {
        Some(part) => part.split_once(": ").map_or("", |(_, within)| within),
        None => place,
    }
}

/// Where in the data a piece of it stands, and what is said of it there.
#[derive(Clone, Default)]
pub struct Place<'d> {
    pub label: String,
    pub depth: usize,
    pub origin: Vec<Step<'d>>,
    pub media_type: Option<String>,
    pub name: Option<String>,
    pub merge_type: Option<String>,
    /// Whether it came out of a template.
    pub rendered: bool,
    pub included: bool,
}

/// The reading stops at this piece; boxed, since it is large and rare.
pub type Stop = Box<Problem>;

impl Place<'_> {
    pub fn problem(&self, mut problem: Problem) -> Problem {
        problem.pos = problem.pos.map(|pos| back(&self.origin, pos));
        problem.place = prefixed(&self.label, &problem.place);
        problem
    }

    pub fn stop(&self, problem: Problem) -> Stop {
        Box::new(self.problem(problem))
    }

    /// A piece of this one.
    pub fn inner(&self, part: &str) -> Self {
        Self { label: inner_label(&self.label, part), depth: self.depth + 1, ..self.clone() }
    }

    /// A part that is decoded: its name says that lines are those of what came of it.
    pub fn decoded(mut self) -> Self {
        if !self.label.is_empty() && !self.included && !self.label.ends_with("decoded)") {
            self.label = match self.label.strip_suffix(')') {
                Some(open) => format!("{open}, decoded)"),
                None => format!("{} (decoded)", self.label),
            };
        }
        self.unpacked()
    }

    /// A text of which no place can be found again in the one that it came from: places in it are its own.
    pub fn unpacked(mut self) -> Self {
        self.origin.clear();
        self
    }
}

/// `part 2` within `part 1 (multipart/mixed)` is `part 1.2`.
fn inner_label(label: &str, part: &str) -> String {
    let outer = label.split(" (").next().unwrap_or_default();
    match (outer.rsplit_once("part "), part.strip_prefix("part ")) {
        (Some((before, number)), Some(part)) if !number.contains(' ') => {
            format!("{before}part {number}.{part}")
        }
        _ if outer.is_empty() => part.to_owned(),
        _ => format!("{outer} {part}"),
    }
}

/// The way from a scalar's content to the YAML text that it stands in: a literal block's lines stand there one by one,
/// a quoted one's stand behind the quote, any other scalar's are folded or escaped.
pub fn step_to_scalar<'d, 't>(text: &'t str, scalar: &Node) -> Step<'d> {
    let (pos, content) = (scalar.pos, scalar.text().unwrap_or_default());
    // The parser's position is that of the first line that is not empty.
    let empty = content.chars().take_while(|c| *c == '\n').count();
    let (lines, columns) = ((pos.line - 1).checked_sub(empty), pos.column - 1);
    let Some(lines) = lines else { return Step::At(pos) };
    let tail = |line: &'t str| line.char_indices().nth(columns).map_or("", |(i, _)| &line[i..]);
    // A quoted text on one line that has no escapes begins behind its quote.
    let quoted = text.lines().nth(lines).map(tail).is_some_and(|t| {
        !content.contains('\n')
            && t.starts_with(['"', '\''])
            && t[1..].starts_with(content)
            && t[1..].len() > content.len()
    });
    if quoted {
        return Step::Block { lines, columns: columns + 1 };
    }
    let same = content.lines().zip(text.lines().skip(lines)).all(|(c, t)| c.is_empty() || tail(t) == c);
    if same { Step::Block { lines, columns } } else { Step::At(pos) }
}
