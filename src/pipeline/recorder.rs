// SPDX-License-Identifier: Apache-2.0
//! Keeps the status of a run up to date, in the log and under the root, and names the stage of each failure.

use std::time::{Duration, Instant};

use super::state;
use crate::io::root::Root;
use crate::io::uptime_ms;
use crate::model::problem::{Failure, In as _, MOST, Problem, Severity, Stage};
use crate::model::status::{Progress, StageStatus, Status};

/// How often is told what is waited for.
const TELL: Duration = Duration::from_secs(10);

/// The status of a run.
pub struct Recorder<'a> {
    root: Option<&'a Root>,
    /// The status so far.
    pub status: Status,
    /// When was told last what is waited for.
    told: Option<Instant>,
}

impl<'a> Recorder<'a> {
    /// A run that has not begun. Without a root nothing is written down.
    pub fn new(root: Option<&'a Root>) -> Self {
        Self { root, status: Status::default(), told: None }
    }

    /// Runs a stage and records how it went; `summary` tells its result in `key=value` words.
    ///
    /// # Errors
    /// Those of the stage, or the status can't be written.
    pub fn stage<T>(
        &mut self,
        stage: Stage,
        run: impl FnOnce(&mut Self) -> Result<T, Failure>,
        summary: impl FnOnce(&T) -> String,
    ) -> Result<T, Failure> {
        let (started_ms, clock, name) = (uptime_ms(), Instant::now(), stage.name());
        let result = run(self);
        let ms = clock.elapsed().as_millis() as u64;
        if self.status.state == Progress::Waiting {
            (self.status.state, self.status.reason) = (Progress::Running, None);
        }
        let (state, summary) = match &result {
            Ok(value) => (Progress::Done, summary(value)),
            Err(_) => (Progress::Failed, String::new()),
        };
        if result.is_ok() {
            log::info!(stage = name, ms = ms; "{name}: {summary} ms={ms}");
        }
        self.status.stages.push(StageStatus {
            name: name.to_owned(),
            state,
            started_ms,
            ms,
            summary,
            ..StageStatus::default()
        });
        let saved = self.save();
        // Why the stage failed tells more than that a full disk does not take the status either.
        let value = result?;
        saved.map(|()| value)
    }

    /// Tells of what does not stop the run. An error that gets here concerns a part, such as one of several interfaces: it
    /// counts as a warning.
    pub fn warn(&mut self, problems: &[Problem]) {
        let (told, more) =
            problems.split_at(problems.len().min(MOST.saturating_sub(self.status.problems.len())));
        if !more.is_empty() {
            log::warn!("{} more problems are not told; `footplate check` tells all of them", more.len());
        }
        for problem in told {
            let severity = problem.severity.min(Severity::Warning);
            match severity {
                Severity::Note => log::info!("{}", problem.in_the_log()),
                _ => log::warn!("{}", problem.in_the_log()),
            }
            self.status.problems.push(Problem { severity, ..problem.clone() });
        }
    }

    /// Writes the status down.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&self) -> Result<(), Failure> {
        match self.root {
            Some(root) => state::write_status(root, &self.status).stage(Stage::Report),
            None => Ok(()),
        }
    }

    /// Records what the run waits for, and tells it at once and then every ten seconds; `left` is how long it goes on to wait. It
    /// goes on with the end of its stage, or when it waits for something else.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn wait_for(&mut self, what: String, left: Duration) -> Result<(), Failure> {
        let is_new = self.told.is_none() || self.status.reason.as_ref() != Some(&what);
        if is_new || self.told.is_some_and(|told| told.elapsed() >= TELL) {
            log::info!("waiting for {what}; given up in {} s", left.as_secs());
            self.told = Some(Instant::now());
        }
        if !is_new {
            return Ok(());
        }
        (self.status.state, self.status.reason) = (Progress::Waiting, Some(what));
        self.save()
    }

    /// Records that the run ended well.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn done(&mut self) -> Result<(), Failure> {
        self.status.succeed();
        self.save()
    }

    /// Records that the data asks for no bootstrap, and why.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn nothing_to_do(&mut self, reason: &str) -> Result<(), Failure> {
        self.status.succeed();
        (self.status.state, self.status.reason) = (Progress::NothingToDo, Some(reason.to_owned()));
        self.save()
    }

    /// Records why the run ends.
    pub fn fail(&mut self, failure: &Failure) {
        self.status.fail(failure);
        // The failure that is on its way tells more than one of writing it down.
        let _ = self.save();
    }
}
