// SPDX-License-Identifier: Apache-2.0
//! Symbolic and hard links.

use anyhow::{Context as _, Result, anyhow, bail};

use super::manifest::Manifest;
use super::{Done, Kind, Machine, OURS, Outcome, Step, above, differs, settable};
use crate::io::root::{Change, Ids, Root, SFlag};
use crate::model::paths::ZONES;
use crate::model::problem::WithCure as _;
use crate::model::storage::{Existing, Link};

impl Link {
    fn detail(&self) -> String {
        format!("{} {}", if self.hard { "=" } else { "->" }, self.target)
    }

    /// The owner that the link must have; a link that is kept keeps what the data does not give.
    fn ids(&self, on: &Machine<'_>, differs: bool) -> Result<Ids> {
        let ids = on.accounts.ids(&self.owner, &self.place)?;
        Ok(if differs || self.existing == Existing::Replaced { ids.or(OURS) } else { ids })
    }

    fn differs(&self, root: &Root) -> Result<bool> {
        Ok(match self.hard {
            true => !root.same_file(&self.path, &self.target)?,
            false => root.link_target(&self.path)?.as_deref() != Some(&self.target),
        })
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
        let zone = self.target.strip_prefix("..").filter(|target| target.starts_with(ZONES));
        if let Some(zone) = zone
            && on.root.stands(ZONES)?
            && !on.root.stands(zone)?
        {
            // systemd would take UTC in silence.
            return Err(anyhow!("{}: there is no time zone of this name", self.place))
                .cure(format!("see the names in {ZONES}"));
        }
        let differs = self.differs(on.root)?;
        let ids = settable(on.root, self.ids(on, differs)?);
        let meta = on.root.meta_of_link(&self.path)?;
        if meta.is_none() {
            on.root.check_dirs(above(&self.path)).with_context(|| self.place.clone())?;
        }
        if let (Some(meta), true) = (meta, differs) {
            let fits = match self.existing {
                Existing::Replaced => matches!(meta.kind, SFlag::S_IFREG | SFlag::S_IFLNK | SFlag::S_IFDIR),
                Existing::Written => meta.kind == SFlag::S_IFLNK,
                Existing::Refused | Existing::Kept { .. } => false,
            };
            if !fits {
                bail!("{}: {} is there already, and overwrite is not true", self.place, self.path);
            }
        }
        let owned = self.hard || meta.is_some_and(|m| m.is(m.mode, ids));
        Ok(self.outcome(Done::would(differs || !owned, meta.is_none()), self.detail()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        manifest.name(on.root, &self.path, || differs(self, on))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        let differs = self.differs(root)?;
        let directory = root.meta_of_link(&self.path)?.is_some_and(|m| m.kind == SFlag::S_IFDIR);
        if differs && directory && self.existing == Existing::Replaced {
            root.remove_tree(&self.path)?;
        }
        let mut change = match (self.hard, self.existing) {
            (true, _) => root.put_hard_link(&self.path, &self.target)?,
            (false, Existing::Replaced) => root.replace_link(&self.path, &self.target)?,
            (false, _) => root.put_link(&self.path, &self.target)?,
        };
        if !self.hard {
            let ids = self.ids(on, differs)?;
            if root.chown(&self.path, ids)? == Change::Changed {
                change = Change::Changed;
            }
        }
        Ok(self.outcome(change.into(), self.detail()))
    }
}
