// SPDX-License-Identifier: Apache-2.0
//! Files.

use anyhow::{Context as _, Result, anyhow, bail};

use super::accounts::Accounts;
use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step, above, settable};
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
        let ids = settable(root, ids(self, &on.accounts)?);
        let meta = root.meta(&self.path)?;
        match meta.map(|m| m.kind) {
            None => root.check_dirs(above(&self.path)).with_context(|| self.place.clone())?,
            Some(SFlag::S_IFREG) => {}
            Some(SFlag::S_IFDIR) => bail!("{}: {} is a directory", self.place, self.path),
            // Nobody means to replace a device node or a FIFO by a file.
            Some(_) => bail!("{}: {} is no regular file", self.place, self.path),
        }
        check_existing(self, root)?;
        let (mode, ids) = bits(self, meta, ids);
        let same = meta.is_some_and(|m| m.is(mode, ids));
        let gives_way = self.existing == Existing::Replaced && root.link_target(&self.path)?.is_some();
        let have = if gives_way { None } else { root.read(&self.path, MAX_FILE)? };
        let same = same && have.as_ref().is_some_and(|h| *h == wanted(self, Some(h.clone())));
        Ok(self.outcome(Done::would(!same, meta.is_none()), self.outline()))
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let root = on.root;
        let ids = ids(self, &on.accounts)?;
        check_existing(self, root)?;
        let kept = matches!(self.existing, Existing::Kept { .. });
        let have = if self.append || kept { root.read(&self.path, MAX_FILE)? } else { None };
        if self.existing == Existing::Replaced && root.link_target(&self.path)?.is_some() {
            root.remove(&self.path)?;
        }
        if self.existing != Existing::Written {
            // Ignition's directories on the way are root's, cloud-init's belong to the owner of the file.
            root.make_dirs(above(&self.path), OURS)?;
        }
        let (mode, ids) = bits(self, root.meta(&self.path)?, ids);
        let change = root.put(&self.path, &wanted(self, have), mode, ids)?;
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

fn ids(file: &File, accounts: &Accounts) -> Result<Ids> {
    accounts.ids(&file.owner).map_err(|e| anyhow!("{}.owner: {e} on this machine or among users", file.place))
}

/// The bytes that the file must hold, given those that it has.
fn wanted(file: &File, have: Option<Vec<u8>>) -> Vec<u8> {
    let content = file.content.expose();
    match have {
        Some(have) if file.append && have.ends_with(content) => have,
        Some(have) if file.append => [&have, content].concat(),
        Some(have) if matches!(file.existing, Existing::Kept { .. }) => have,
        _ => content.to_vec(),
    }
}

/// The bits and the owner that the file must have, given those that it has.
fn bits(file: &File, meta: Option<Meta>, ids: Ids) -> (u32, Ids) {
    let (Existing::Kept { mode, owner }, Some(meta)) = (file.existing, meta) else { return (file.mode, ids) };
    (if mode { file.mode } else { meta.mode }, if owner { ids } else { Ids::default() })
}

/// Refuses a file that is there already where the data does not want it replaced. One that is as the data wants it was
/// left by an earlier run.
fn check_existing(file: &File, root: &Root) -> Result<()> {
    if file.existing != Existing::Refused || !root.stands(&file.path)? {
        return Ok(());
    }
    let link = root.link_target(&file.path)?.is_some();
    if link || root.read(&file.path, MAX_FILE)?.is_none_or(|have| have != file.content.expose()) {
        return Err(anyhow!("{}: {} is there already, and overwrite is false", file.place, file.path));
    }
    Ok(())
}
