// SPDX-License-Identifier: Apache-2.0
//! Files.

use std::borrow::Cow;

use anyhow::{Context as _, Result, anyhow};

use super::manifest::Manifest;
use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step, above, differs, settable};
use crate::io::root::{Change, Ids, Meta, Root, SFlag};
use crate::model::storage::{Existing, File};

impl Kind for File {
    fn name(&self) -> String {
        format!("file {}", self.path)
    }

    /// Bits, owner, size.
    fn outline(&self) -> String {
        let how = if self.append { ", appended" } else { "" };
        format!("{:04o} {} {} bytes{how}", self.mode, self.owner, self.content.len())
    }

    fn step(&self) -> Step {
        Step::Files
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        let meta = self.there(root)?;
        if meta.is_none() {
            root.check_dirs(above(&self.path)).with_context(|| self.place.clone())?;
        }
        let (mode, ids) = self.bits(meta, on.accounts.ids(&self.owner, &self.place)?);
        let same = meta.is_some_and(|m| m.kind == SFlag::S_IFREG && m.is(mode, settable(root, ids)));
        let same = same && {
            let have = root.read(&self.path, MAX_FILE)?;
            have.as_ref().is_some_and(|h| *h == *wanted(self, Some(h)))
        };
        Ok(self.outcome(Done::would(!same, meta.is_none()), self.outline()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        let (root, path) = (on.root, &self.path);
        match self.existing {
            Existing::Written => manifest.path(root, path, || differs(self, on)),
            _ => manifest.name(root, path, || differs(self, on)),
        }
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        // A file that is written whatever is there needs no look, if its owner is said: `put` takes one.
        let whole = self.owner.user.is_some() && self.owner.group.is_some();
        let meta = if self.existing == Existing::Written && whole { None } else { self.there(root)? };
        if meta.is_some_and(|m| m.kind != SFlag::S_IFREG) {
            root.remove_tree(&self.path)?;
        }
        let meta = meta.filter(|m| m.kind == SFlag::S_IFREG);
        let kept = self.append || matches!(self.existing, Existing::Kept { .. });
        let have = if kept { root.read(&self.path, MAX_FILE)? } else { None };
        if self.existing != Existing::Written {
            // Ignition's directories on the way are root's, cloud-init's belong to the owner of the file.
            root.make_dirs(above(&self.path), OURS)?;
        }
        let (mode, ids) = self.bits(meta, on.accounts.ids(&self.owner, &self.place)?);
        let change = root.put(&self.path, &wanted(self, have.as_deref()), mode, ids)?;
        if let (Some(unit), Change::Changed) = (self.restart, change)
            && !on.restarts.contains(&unit)
        {
            on.restarts.push(unit);
        }
        let others = ids.uid.is_some_and(|u| u != 0) || ids.gid.is_some_and(|g| g != 0);
        let note = if others && !root.privileged() { "; owner left out: needs root" } else { "" };
        Ok(self.outcome(change.into(), self.outline() + note))
    }
}

/// The bytes that the file must hold, given those that it has.
fn wanted<'c>(file: &'c File, have: Option<&'c [u8]>) -> Cow<'c, [u8]> {
    let content = file.content.expose();
    match have {
        Some(have) if file.append && have.ends_with(content) => have.into(),
        Some(have) if file.append => [have, content].concat().into(),
        Some(have) if matches!(file.existing, Existing::Kept { .. }) => have.into(),
        _ => content.into(),
    }
}

impl File {
    /// What is at the path, if it may be there. Only what must be replaced is not a regular file.
    fn there(&self, root: &Root) -> Result<Option<Meta>> {
        let follows = self.existing == Existing::Written;
        let meta = if follows { root.meta(&self.path)? } else { root.meta_of_link(&self.path)? };
        let what = match meta.map(|m| m.kind) {
            None => return Ok(None),
            Some(SFlag::S_IFREG) if self.existing != Existing::Refused => return Ok(meta),
            // A file as the data wants it was left by an earlier run.
            Some(SFlag::S_IFREG) => {
                let have = root.read(&self.path, MAX_FILE)?;
                if have.is_some_and(|have| have == self.content.expose()) {
                    return Ok(meta);
                }
                "is there already"
            }
            Some(SFlag::S_IFDIR | SFlag::S_IFLNK) if self.existing == Existing::Replaced => return Ok(meta),
            Some(SFlag::S_IFDIR) => "is a directory",
            Some(SFlag::S_IFLNK) => "is a symbolic link",
            // Nobody means to replace a device node or a FIFO by a file.
            Some(_) => "is not a regular file",
        };
        let why = if follows { "" } else { ", and overwrite is not true" };
        Err(anyhow!("{}: {} {what}{why}", self.place, self.path))
    }

    /// The bits and the owner that the file must have, given those of the file that is there.
    fn bits(&self, have: Option<Meta>, ids: Ids) -> (u32, Ids) {
        let own = |have: Meta| Ids { uid: Some(have.uid), gid: Some(have.gid) };
        match (self.existing, have) {
            // chown(1) of a user alone leaves the group as it is.
            (Existing::Written, have) => (self.mode, have.map_or(ids, |have| ids.or(own(have)))),
            (Existing::Kept { mode }, Some(have)) => {
                (if mode { self.mode } else { have.mode }, ids.or(own(have)))
            }
            _ => (self.mode, ids.or(OURS)),
        }
    }
}
