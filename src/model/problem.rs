// SPDX-License-Identifier: Apache-2.0
//! What went wrong, in one shape from the first decoder to the exit code: a [`Problem`] says what was found, where, why and
//! what to do; a [`Failure`] is the stage that ended the run, with its problems.

mod cure;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use cure::Cured;
pub use cure::WithCure;

/// A place in a text as a person counts it: both from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pos {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// How much a problem weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Note,
    /// Part of the input has no effect here.
    Warning,
    /// The input can't be used, or the work can't go on.
    #[default]
    Error,
}

/// The code of a problem about a path in the part of Flatcar that nothing can write.
pub const READ_ONLY: &str = "path/read-only";

/// The code of a problem about a hard link to what the data does not make. A machine may have it.
pub const NO_TARGET: &str = "file/target";

/// The code of a problem about a key that nothing reads. One that is nearly a known key has that for its cure.
pub const UNKNOWN_KEY: &str = "key/unknown";

/// The code of a note about data that only the node fetches.
pub const NOT_FETCHED: &str = "source/not-fetched";

/// The code of a problem about a program that installs packages.
pub const PACKAGE_MANAGER: &str = "program/package-manager";

/// The code of a problem about such a program where what stands in for it does what the data needs.
pub const STAND_IN: &str = "program/stand-in";

/// The code of a problem about data that did not arrive in time. The text that names the data is not to blame.
pub const UNREACHED: &str = "fetch/unreached";

/// Most characters of a text that is told. What data names may be longer.
const LONGEST: usize = 1000;

/// Most problems that are told of a run: each stands in the status, which has a bound of its own.
pub const MOST: usize = 200;

/// A text as it is told: on one line, and no longer than that.
pub fn shown(text: &str, longest: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = chars.by_ref().take(longest).collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

fn told(text: String) -> String {
    if text.len() <= LONGEST && !text.contains(char::is_control) { text } else { shown(&text, LONGEST) }
}

/// Errors of the system, and what to do.
const OF_THE_SYSTEM: &[(&str, &str)] = &[
    ("Is a directory", "name a file: this is a directory"),
    ("Not a directory", "name a directory: a part of this path is a file"),
    ("No such file or directory", "look at the path: a part of it does not exist"),
];

/// One thing that is wrong or worth knowing. Its texts carry paths, types and names, never a value of user-data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// How much it weighs.
    #[serde(rename = "level")]
    pub severity: Severity,
    /// A stable name for programs, `join/ca-hash-mismatch`; empty if it has none.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub code: Cow<'static, str>,
    /// The path to the place in the document, `write_files[3].permissions`; empty for the document as a whole.
    pub place: String,
    /// Where in the original text, when known.
    #[serde(flatten)]
    pub pos: Option<Pos>,
    /// Where in the text at its place, if that is known more exactly; the author's text tells where its lines stand.
    #[serde(skip)]
    pub within: Option<Pos>,
    /// What was found.
    pub what: String,
    /// Why, outermost cause first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// What to do, where that is known.
    #[serde(rename = "hint", skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
}

impl Problem {
    /// An error at `place`.
    pub fn error(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: told(place.into()), what: told(what.into()), ..Self::default() }
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

    /// The same, with what to do.
    #[must_use]
    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(told(cure.into()));
        self
    }

    /// The same, with a stable name for programs.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = code.into();
        self
    }

    /// Whether it is about a key that is nearly a known one: its author relies on it.
    pub fn is_nearly_known(&self) -> bool {
        self.code == UNKNOWN_KEY && self.cure.is_some()
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Takes the system's numbers and names of errors (`EROFS`) out of the texts, and the reasons that only say again what stands
    /// before them, and says what to do where nothing else does.
    pub fn in_words(&mut self) {
        let mut before = String::new();
        self.why.insert(0, std::mem::take(&mut self.what));
        self.why.retain_mut(|text| {
            // More may stand behind the number, such as how often it was tried.
            let cut =
                text.split_once(" (os error ").and_then(|(head, tail)| Some((head, tail.split_once(')')?.1)));
            let plain = cut.map_or_else(|| text.clone(), |(head, rest)| head.to_owned() + rest);
            let is_name = |name: &str| name.starts_with('E') && name.bytes().all(|b| b.is_ascii_uppercase());
            let named = plain.split_once(": ").filter(|(name, _)| is_name(name));
            let plain = named.map_or(plain.as_str(), |(_, plain)| plain);
            if plain.len() < text.len() {
                let known = OF_THE_SYSTEM.iter().find(|(said, _)| plain.ends_with(said));
                self.cure = self.cure.take().or_else(|| known.map(|(_, cure)| (*cure).to_owned()));
                *text = plain.to_owned();
            }
            let is_new = before.is_empty() || !before.ends_with(text.as_str());
            before.clone_from(text);
            is_new
        });
        self.what = self.why.remove(0);
    }

    /// The problem and what to do as a line of the log.
    pub fn in_the_log(&self) -> String {
        match &self.cure {
            Some(cure) => format!("{self}; {cure}"),
            None => self.to_string(),
        }
    }

    /// The problem and what to do as one of several lines of a failure.
    pub fn on_a_line(&self) -> String {
        match &self.cure {
            Some(cure) => format!("{self}; hint: {cure}"),
            None => self.to_string(),
        }
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

impl std::error::Error for Problem {}

impl From<anyhow::Error> for Problem {
    /// The error's own words, its causes as reasons, and the code and the cure that are known of any of them.
    fn from(error: anyhow::Error) -> Self {
        // Not anyhow's own `downcast_ref`: that looks through a context, which then would be lost.
        let outermost = |error: &anyhow::Error| error.chain().next()?.downcast_ref::<Self>().cloned();
        let told = match error.chain().next().and_then(|e| e.downcast_ref::<Cured>()) {
            Some(cured) => outermost(&cured.error),
            None => outermost(&error),
        };
        let cure = error.chain().find_map(|e| match e.downcast_ref::<Cured>() {
            Some(cured) => Some(cured.cure.clone()),
            None => e.downcast_ref::<Self>()?.cure.clone(),
        });
        let code =
            error.chain().find_map(|e| Some(&e.downcast_ref::<Self>()?.code).filter(|c| !c.is_empty()));
        let code = code.cloned().unwrap_or_default();
        let mut chain = error.chain().map(ToString::to_string);
        let what = chain.next().unwrap_or_default();
        let problem = told.unwrap_or_else(|| Self { what, why: chain.collect(), ..Self::default() });
        Self { cure: cure.or(problem.cure.clone()), code, ..problem }
    }
}

/// All that is wrong, as one error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(problems: Vec<Problem>) -> Self {
        Self(problems)
    }
}

impl From<anyhow::Error> for Problems {
    fn from(error: anyhow::Error) -> Self {
        error.downcast().unwrap_or_else(|error| Problem::from(error).into())
    }
}

/// Whether any of them is an error.
pub fn any_error(problems: &[Problem]) -> bool {
    problems.iter().any(Problem::is_error)
}

/// The part of the pipe that failed. It alone decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Reading the command line.
    Usage,
    /// Finding out which platform this is.
    Detect,
    /// Asking the platform.
    Fetch,
    /// Reading what it sent.
    Decode,
    /// Making the node as the plan pictures it.
    Apply,
    /// Building an image: putting its parts in place.
    Install,
    /// Building an image: what is there, or what came, is not what was asked for.
    Verify,
    /// Starting the bootstrap and following it.
    Start,
    /// The bootstrap itself, by kubeadm.
    Kubeadm,
    /// The bootstrap itself, by anything else: RKE2, k3s, or a script of the data.
    Bootstrap,
    /// Writing down and telling how it went.
    Report,
}

impl Stage {
    /// All stages, in their order.
    const ALL: [Self; 11] = [
        Self::Usage,
        Self::Detect,
        Self::Fetch,
        Self::Decode,
        Self::Apply,
        Self::Install,
        Self::Verify,
        Self::Start,
        Self::Kubeadm,
        Self::Bootstrap,
        Self::Report,
    ];

    /// The exit code, after `sysexits.h`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Decode | Self::Verify => 65,
            Self::Detect => 69,
            Self::Start | Self::Kubeadm | Self::Bootstrap | Self::Report => 70,
            Self::Apply | Self::Install => 74,
            Self::Fetch => 75,
        }
    }

    /// Its name in messages and in the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Detect => "detect",
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Apply => "apply",
            Self::Install => "install",
            Self::Verify => "verify",
            Self::Start => "start",
            Self::Kubeadm => "kubeadm",
            Self::Bootstrap => "bootstrap",
            Self::Report => "report",
        }
    }

    /// Whether it is the bootstrap itself, which a unit of systemd's runs.
    pub fn is_bootstrap(self) -> bool {
        matches!(self, Self::Kubeadm | Self::Bootstrap)
    }

    /// Whether a stage of this name is the bootstrap.
    pub fn names_bootstrap(name: &str) -> bool {
        Self::by_name(name).is_some_and(Self::is_bootstrap)
    }

    /// The stage of that name; `None` for one that another version of footplate may have.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a run ended: the stage that failed, and all that was wrong there, the first problem before what follows from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The stage.
    pub stage: Stage,
    /// What was wrong, at least one.
    pub problems: Vec<Problem>,
}

impl Failure {
    /// What went wrong in a stage.
    pub fn new(stage: Stage, problems: impl Into<Problems>) -> Self {
        let mut problems = first(problems.into().0);
        problems.iter_mut().for_each(Problem::in_words);
        Self { stage, problems }
    }

    /// The errors among the problems of a stage.
    pub fn of(stage: Stage, problems: &[Problem]) -> Self {
        Self::new(stage, problems.iter().filter(|p| p.is_error()).cloned().collect::<Vec<_>>())
    }
}

/// The first of them, with the number of those that are not told.
fn first(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MOST);
    if more > 0 {
        problems.truncate(MOST);
        let cure = "mend these first; `footplate check` tells all of them";
        problems.push(Problem::error("", format!("{more} more problems are not told")).cure(cure));
    }
    problems
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.problems.split_first() else {
            return write!(f, "error: {} failed", self.stage);
        };
        write!(f, "error: {}: {first}", self.stage)?;
        write_rest(f, first, others)
    }
}

/// The lines below the first: reasons, what to do, and what else is wrong.
fn write_rest(f: &mut impl fmt::Write, first: &Problem, others: &[Problem]) -> fmt::Result {
    for why in &first.why {
        write!(f, "\n  why: {why}")?;
    }
    if let Some(cure) = &first.cure {
        write!(f, "\n hint: {cure}")?;
    }
    for other in others {
        write!(f, "\n also: {}", other.on_a_line())?;
    }
    Ok(())
}

/// Names the stage that an error ended.
pub trait In<T> {
    /// The error as a failure of that stage.
    ///
    /// # Errors
    /// The error itself.
    fn stage(self, stage: Stage) -> Result<T, Failure>;
}

impl<T, E: Into<Problems>> In<T> for Result<T, E> {
    fn stage(self, stage: Stage) -> Result<T, Failure> {
        self.map_err(|e| Failure::new(stage, e))
    }
}

#[cfg(test)]
mod tests;
