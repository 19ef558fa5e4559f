// SPDX-License-Identifier: Apache-2.0
//! How a failure is told: the stage it happened in, why, and the cure.

use std::fmt;

use crate::model::problem::Problem;

/// The part of the pipe that failed; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the command line.
    Usage,
    /// Problem out which platform this is.
    Detect,
    /// Asking the provider.
    Fetch,
    /// Reading what it sent.
    Decode,
    /// Making the node as the plan pictures it.
    Apply,
    /// Building an image: putting its parts in place.
    Install,
    /// Building an image: what is there, or what came, is not what it shall be.
    Verify,
    /// Starting the bootstrap and following it.
    Start,
    /// Telling how it went.
    Report,
}

impl Stage {
    /// The exit code, after `sysexits.h`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Decode | Self::Verify => 65,
            Self::Detect => 69,
            Self::Start | Self::Report => 70,
            Self::Apply | Self::Install => 74,
            Self::Fetch => 75,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "usage",
            Self::Detect => "detect",
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Apply => "apply",
            Self::Install => "install",
            Self::Verify => "verify",
            Self::Start => "start",
            Self::Report => "report",
        })
    }
}

/// An error with its cure.
#[derive(Debug)]
struct Cured {
    error: anyhow::Error,
    cure: String,
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

/// Puts a cure on an error, where the cure is known.
pub trait WithCure<T> {
    /// The same error with its cure.
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

impl std::error::Error for Problem {}

/// A failure of the pipe: where, why, the cure, and what else went wrong in the same stage.
#[derive(Debug)]
pub struct Failure {
    /// The stage.
    pub stage: Stage,
    /// What went wrong.
    pub error: String,
    /// Why, outermost first.
    pub why: Vec<String>,
    /// The cure.
    pub cure: Option<String>,
    /// Further failures of the stage, each a line.
    pub also: Vec<String>,
}

impl Failure {
    /// An error of a stage. A [`Problem`] at its root is bad input, whatever stage met it.
    pub fn new(stage: Stage, error: anyhow::Error) -> Self {
        let mut chain = error.chain();
        let problem = error.chain().find_map(|e| e.downcast_ref::<Problem>());
        let cured = error.chain().find_map(|e| e.downcast_ref::<Cured>());
        let mut lines = chain.next().map(ToString::to_string).unwrap_or_default();
        let mut also = Vec::new();
        // `apply` lists all that it found wrong, one a line.
        if let Some((first, rest)) = lines.clone().split_once('\n') {
            also = rest.lines().map(str::to_owned).collect();
            lines = first.to_owned();
        }
        Self {
            stage: if problem.is_some() { Stage::Decode } else { stage },
            error: lines,
            why: chain.map(ToString::to_string).collect(),
            cure: cured.map(|h| h.cure.clone()).or_else(|| problem.and_then(|f| f.cure.clone())),
            also,
        }
    }

    /// The errors among a decoder's problems. Where all that is wrong is that sources were out of reach, the data is not
    /// bad: another time it may be well.
    pub fn of_problems(problems: &[Problem]) -> Self {
        let errors = || problems.iter().filter(|f| f.severity == crate::model::problem::Severity::Error);
        let unreached = errors().all(|f| f.unreached) && errors().next().is_some();
        let mut errors = errors();
        let first = errors.next();
        Self {
            stage: if unreached { Stage::Fetch } else { Stage::Decode },
            error: first.map(ToString::to_string).unwrap_or_default(),
            why: Vec::new(),
            cure: first.and_then(|f| f.cure.clone()),
            also: errors
                .map(|f| match &f.cure {
                    Some(cure) => format!("{f}; hint: {cure}"),
                    None => f.to_string(),
                })
                .collect(),
        }
    }
}

/// Puts a stage on an error.
pub trait In<T> {
    /// The error as a failure of that stage.
    ///
    /// # Errors
    /// The error itself.
    fn stage(self, stage: Stage) -> Result<T, Failure>;
}

impl<T> In<T> for anyhow::Result<T> {
    fn stage(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(stage, e))
    }
}

impl<T> In<T> for Result<T, Vec<Problem>> {
    fn stage(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|problems| {
            let mut lines = problems.iter().map(ToString::to_string);
            Failure {
                stage,
                error: lines.next().unwrap_or_default(),
                why: Vec::new(),
                cure: problems.first().and_then(|p| p.cure.clone()),
                also: lines.collect(),
            }
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}: {}", self.stage, self.error)?;
        for why in &self.why {
            write!(f, "\n  why: {why}")?;
        }
        if let Some(cure) = &self.cure {
            write!(f, "\n hint: {cure}")?;
        }
        for also in &self.also {
            write!(f, "\n also: {also}")?;
        }
        Ok(())
    }
}
