// SPDX-License-Identifier: Apache-2.0
//! Directories.

use anyhow::{Result, bail};

use super::{Done, Kind, Machine, OURS, Outcome, Step, above, settable};
use crate::io::root::SFlag;
use crate::model::storage::Directory;

/// The bits of a new directory, where nothing is said of them.
const MODE: u32 = 0o755;

impl Kind for Directory {
    fn name(&self) -> String {
        format!("directory {}", self.path)
    }

    fn outline(&self) -> String {
        format!("{:04o} {}", self.mode.unwrap_or(MODE), self.owner)
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let ids = settable(on.root, on.accounts.ids(&self.owner)?);
        let meta = on.root.meta(&self.path)?;
        if meta.is_some_and(|m| m.kind != SFlag::S_IFDIR) {
            bail!("{}: is there already and no directory", self.path);
        }
        let same = meta.is_some_and(|m| m.is(self.mode.unwrap_or(m.mode), ids));
        Ok(self.outcome(Done::would(!same, meta.is_none()), self.outline()))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let have = on.root.meta(&self.path)?.map(|m| m.mode);
        let mode = self.mode.or(have).unwrap_or(MODE);
        on.root.make_dirs(above(&self.path), OURS)?;
        let change = on.root.put_dir(&self.path, mode, on.accounts.ids(&self.owner)?)?;
        Ok(self.outcome(change.into(), self.outline()))
    }
}
