// SPDX-License-Identifier: Apache-2.0
//! Paths that an earlier run of footplate made and that are no longer wanted.

use anyhow::Result;

use super::manifest::Manifest;
use super::{Done, Kind, Machine, Outcome, Step};
use crate::model::plan::Absent;

const DETAIL: &str = "a leftover";

impl Kind for Absent {
    fn name(&self) -> String {
        format!("no file {}", self.path)
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let stands = on.root.meta(&self.path)?.is_some();
        Ok(self.outcome(Done::would(stands, false), DETAIL.to_owned()))
    }

    fn record(&self, _: &mut Machine<'_>, _: &mut Manifest) -> Result<()> {
        // It is listed already.
        Ok(())
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        Ok(self.outcome(on.root.remove(&self.path)?.into(), DETAIL.to_owned()))
    }
}
