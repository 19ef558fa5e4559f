// SPDX-License-Identifier: Apache-2.0
//! Mounts and swap devices in use.

use anyhow::{Result, anyhow};

use super::{Done, Kind, Machine, Outcome, RUN_LIMIT, Step, on_live};
use crate::io::disk;
use crate::io::systemd::Systemd;
use crate::model::plan::Mounted;
use crate::model::problem::WithCure as _;

impl Mounted {
    fn state(&self) -> Done {
        Done::would(!disk::in_use(self.path.as_deref(), &self.what), true)
    }

    fn start(&self) -> Result<()> {
        let Self { place, unit, .. } = self;
        let result = Systemd::reloaded()?.start_and_wait("StartUnit", unit, RUN_LIMIT)?;
        if result == "done" {
            return Ok(());
        }
        Err(anyhow!("{place}: {unit} ended as {result}")).cure(format!("look at `systemctl status '{unit}'`"))
    }
}

impl Kind for Mounted {
    fn name(&self) -> String {
        match &self.path {
            Some(path) => format!("mount {path}"),
            None => format!("swap {}", self.what),
        }
    }

    fn step(&self) -> Step {
        Step::Mounts
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || Ok((self.state(), self.what.clone())))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on_live(self, on.root, || {
            let mut done = self.state();
            if done != Done::Unchanged {
                self.start()?;
                done = Done::Changed;
            }
            Ok((done, self.what.clone()))
        })
    }
}
