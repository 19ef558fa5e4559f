// SPDX-License-Identifier: Apache-2.0
//! Directories.

use anyhow::{Context as _, Result, bail};

use super::manifest::Manifest;
use super::{Done, Kind, Machine, OURS, Outcome, Step, above, differs, settable};
use crate::io::root::{Ids, Meta, Root, SFlag};
use crate::model::storage::{Directory, Existing};

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
        let meta = self.there(on.root)?;
        if meta.is_none() {
            on.root.check_dirs(above(&self.path)).with_context(|| self.place.clone())?;
        }
        let (mode, ids) = self.bits(meta, on.accounts.ids(&self.owner, &self.place)?);
        let same = meta.is_some_and(|m| m.kind == SFlag::S_IFDIR && m.is(mode, settable(on.root, ids)));
        Ok(self.outcome(Done::would(!same, meta.is_none()), self.outline()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        match self.existing {
            Existing::Written => manifest.path(on.root, &self.path, || differs(self, on)),
            _ => manifest.name(on.root, &self.path, || differs(self, on)),
        }
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let meta = self.there(on.root)?;
        if meta.is_some_and(|m| m.kind != SFlag::S_IFDIR) {
            on.root.remove(&self.path)?;
        }
        let (mode, ids) = self.bits(meta, on.accounts.ids(&self.owner, &self.place)?);
        on.root.make_dirs(above(&self.path), OURS)?;
        let change = on.root.put_dir(&self.path, mode, ids)?;
        Ok(self.outcome(change.into(), self.outline()))
    }
}

impl Directory {
    /// The bits and the owner that the directory must have, given those of what is there.
    fn bits(&self, have: Option<Meta>, ids: Ids) -> (u32, Ids) {
        match have.filter(|m| m.kind == SFlag::S_IFDIR && self.existing != Existing::Replaced) {
            Some(have) => (self.mode.unwrap_or(have.mode), ids),
            None => (self.mode.unwrap_or(MODE), ids.or(OURS)),
        }
    }

    /// What is at the path, if it may be there. Only what must be replaced is not a directory.
    fn there(&self, root: &Root) -> Result<Option<Meta>> {
        let follows = self.existing == Existing::Written;
        let meta = if follows { root.meta(&self.path)? } else { root.meta_of_link(&self.path)? };
        let what = match meta.map(|m| m.kind) {
            None | Some(SFlag::S_IFDIR) => return Ok(meta),
            Some(SFlag::S_IFREG | SFlag::S_IFLNK) if self.existing == Existing::Replaced => return Ok(meta),
            Some(SFlag::S_IFLNK) => "is a symbolic link",
            Some(SFlag::S_IFREG) => "is a file",
            Some(_) => "is not a directory",
        };
        let why = if follows { "" } else { ", and overwrite is not true" };
        bail!("{}: {} {what}{why}", self.place, self.path)
    }
}
