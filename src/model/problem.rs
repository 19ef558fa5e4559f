// SPDX-License-Identifier: Apache-2.0
//! What a decoder has to say about its input: where, what, why and the cure, never a value of it.

use std::fmt;

use serde::Serialize;

/// A place in a text as a person counts it: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pos {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Note,
    /// Part of the input has no effect here.
    Warning,
    /// The input can't be used.
    Error,
}

/// One thing that a decoder found. Its texts carry paths, types and names, never a value of user-data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How much it weighs.
    #[serde(rename = "level")]
    pub severity: Severity,
    /// The path to the place in the document, `write_files[3].permissions`; empty for the document as a whole.
    pub place: String,
    /// Where in the original text, when known.
    #[serde(flatten)]
    pub pos: Option<Pos>,
    /// What is wrong.
    pub what: String,
    /// The cure, where it is known.
    #[serde(rename = "hint", skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// Whether it is about what could not be fetched in time, and not about the data that names it.
    #[serde(skip)]
    pub unreached: bool,
}

impl Problem {
    /// An error at `place`.
    pub fn error(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place: place.into(),
            pos: None,
            what: what.into(),
            cure: None,
            unreached: false,
        }
    }

    /// A warning at `place`.
    pub fn warning(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, what) }
    }

    /// A note at `place`.
    pub fn note(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::error(place, what) }
    }

    /// The same, with its position in the text.
    #[must_use]
    pub fn at(mut self, pos: Pos) -> Self {
        self.pos = Some(pos);
        self
    }

    /// The same, with its cure.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

impl fmt::Display for Problem {
    /// `place: what (line 7, column 3)`, on one line and without the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{}", self.what)?;
        if let Some(pos) = self.pos {
            write!(f, " (line {}, column {})", pos.line, pos.column)?;
        }
        Ok(())
    }
}

/// Whether any of them is an error.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(|f| f.severity == Severity::Error)
}
