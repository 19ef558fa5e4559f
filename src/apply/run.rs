// SPDX-License-Identifier: Apache-2.0
//! Units that run to their end before what follows them in the plan.

use anyhow::Result;

use super::manifest::Manifest;
use super::{Done, Kind, Machine, Outcome, RUN_LIMIT, Step};
use crate::io::systemd::Systemd;
use crate::model::plan::Run;

impl Kind for Run {
    fn name(&self) -> String {
        format!("run {}", self.unit)
    }

    fn outline(&self) -> String {
        self.reason.to_owned()
    }

    fn step(&self) -> Step {
        Step::Run
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        Ok(self.outcome(Done::would(on.root.live(), false), self.outline()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        self.makes.iter().try_for_each(|path| manifest.path(on.root, path, || false))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        if !on.root.live() {
            let detail = format!("{}; starts with the next boot", self.reason);
            return Ok(self.outcome(Done::LeftOut, detail));
        }
        let result = Systemd::knowing(&self.unit, &[])?.start_and_wait("StartUnit", &self.unit, RUN_LIMIT)?;
        // cloud-init goes on too: the status of a script without `set -e` is that of its last line only.
        let note =
            if result == "done" { String::new() } else { format!("; it ended as {result}, see its journal") };
        Ok(self.outcome(Done::Changed, self.outline() + &note))
    }
}
