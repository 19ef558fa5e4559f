// SPDX-License-Identifier: Apache-2.0
//! The machine's name.

use anyhow::Result;

use super::manifest::Manifest;
use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step, differs};
use crate::io::live;
use crate::io::root::Change;
use crate::model::plan::Hostname;

/// Where systemd reads the name at boot ([hostname(5)](https://www.freedesktop.org/software/systemd/man/latest/hostname.html)).
const PATH: &str = "/etc/hostname";

impl Hostname {
    fn text(&self) -> String {
        format!("{}\n", self.name)
    }
}

impl Kind for Hostname {
    fn name(&self) -> String {
        "hostname".to_owned()
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let have = on.root.read(PATH, MAX_FILE)?.unwrap_or_default();
        let done = Done::would(have != self.text().as_bytes(), on.root.meta(PATH)?.is_none());
        Ok(self.outcome(done, self.name.clone()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        manifest.path(on.root, PATH, || differs(self, on))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let mut change = on.root.put(PATH, self.text().as_bytes(), 0o644, OURS)?;
        if on.root.live() && live::set_hostname(&self.name)? == Change::Changed {
            change = Change::Changed;
        }
        Ok(self.outcome(change.into(), self.name.clone()))
    }
}
