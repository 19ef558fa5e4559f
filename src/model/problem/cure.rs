// SPDX-License-Identifier: Apache-2.0
//! What to do about an error that is on its way up.

use std::fmt;

use super::Problem;

/// An error with what to do.
#[derive(Debug)]
pub(super) struct Cured {
    pub error: anyhow::Error,
    pub cure: String,
}

impl fmt::Display for Cured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Cured {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Adds to an error what to do about it.
pub trait WithCure<T> {
    /// The same error with what to do.
    ///
    /// # Errors
    /// The error itself.
    fn cure(self, cure: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithCure<T> for Result<T, E> {
    fn cure(self, cure: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|e| anyhow::Error::new(Cured { error: e.into(), cure: cure.into() }))
    }
}

impl Problem {
    /// The problem as an error, with its reasons as causes.
    pub fn into_error(self) -> anyhow::Error {
        let Some(last) = self.why.last() else { return self.into() };
        let cause =
            Self { what: last.clone(), why: Vec::new(), place: String::new(), pos: None, ..self.clone() };
        let causes = self.why.iter().rev().skip(1).cloned();
        let error = causes.fold(anyhow::Error::from(cause), anyhow::Error::context);
        error.context(self.to_string())
    }
}
