// SPDX-License-Identifier: Apache-2.0
//! Symbolic and hard links.

use anyhow::{Context as _, Result, bail};

use super::{Done, Kind, Machine, Outcome, Step};
use crate::io::root::Change;
use crate::model::storage::{Existing, Link};

impl Link {
    fn detail(&self) -> String {
        format!("{} {}", if self.hard { "=" } else { "->" }, self.target)
    }
}

impl Kind for Link {
    fn name(&self) -> String {
        format!("link {}", self.path)
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        let differs = match self.hard {
            true => !root.same_file(&self.path, &self.target)?,
            false => root.link_target(&self.path)?.as_deref() != Some(&self.target),
        };
        let stands = root.stands(&self.path)?;
        if differs && self.existing == Existing::Refused && stands {
            bail!("{}: {} is there already, and overwrite is false", self.place, self.path);
        }
        Ok(self.outcome(Done::would(differs, !stands), self.detail()))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        let mut change = match (self.hard, self.existing) {
            (true, _) => root.put_hard_link(&self.path, &self.target)?,
            (false, Existing::Replaced) => root.replace_link(&self.path, &self.target)?,
            (false, _) => root.put_link(&self.path, &self.target)?,
        };
        if !self.hard {
            let ids = on.accounts.ids(&self.owner).with_context(|| self.place.clone())?;
            if root.chown(&self.path, ids)? == Change::Changed {
                change = Change::Changed;
            }
        }
        Ok(self.outcome(change.into(), self.detail()))
    }
}
