// SPDX-License-Identifier: Apache-2.0
//! Groups, and users with their homes and keys.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::manifest::Manifest;
use super::{Done, Kind, MAX_FILE, Machine, OURS, Outcome, Step, above};
use crate::io::root::{Change, Ids, Root, SFlag};
use crate::model::config::{GroupSpec, UserSpec};
use crate::model::storage::Owner;

impl Kind for GroupSpec {
    fn name(&self) -> String {
        format!("group {}", self.name)
    }

    fn step(&self) -> Step {
        Step::Users
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let (absent, before) = (on.accounts.gid(&self.name).is_none(), on.accounts.fingerprint());
        on.accounts.put_spec(self)?;
        let differs = before != on.accounts.fingerprint();
        Ok(self.outcome(Done::would(differs, absent), without(&on.accounts.missing_members(self))))
    }

    fn record(&self, on: &mut Machine<'_>, _: &mut Manifest) -> Result<()> {
        on.accounts.put_spec(self)
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on.accounts.put_spec(self)?;
        let missing = without(&on.accounts.missing_members(self));
        Ok(self.outcome(on.accounts.write(on.root)?.into(), missing))
    }
}

/// The members of a group who are left out.
fn without(missing: &[&str]) -> String {
    match missing {
        [] => String::new(),
        names => format!("without {}: no such user", names.join(", ")),
    }
}

impl UserSpec {
    fn detail(&self) -> String {
        format!("{} groups, {} keys", self.groups.len(), self.ssh_keys.len())
    }

    /// A home that is missing is made also where nobody asked for it, if keys are to be put into it.
    fn makes_home(&self, root: &Root, home: &str) -> Result<bool> {
        Ok((self.create_home || !self.ssh_keys.is_empty()) && root.meta(home)?.is_none())
    }

    /// A home as useradd makes it: private, with the files at the top of the skeleton; and the keys. It gets its name when all of
    /// it is there: a run that is cut off leaves no half of one.
    fn make_home(&self, root: &Root, home: &str, ids: Ids) -> Result<()> {
        root.make_dirs(above(home), OURS)?;
        root.put_new_dir(home, |draft| {
            root.put_dir(draft, 0o700, ids)?;
            let skeleton = if self.create_home { root.list("/etc/skel")? } else { Vec::new() };
            for name in skeleton {
                let (from, to) = (format!("/etc/skel/{name}"), format!("{draft}/{name}"));
                if let Some(target) = root.link_target(&from)? {
                    root.put_link(&to, &target)?;
                    root.chown(&to, ids)?;
                } else if let (Some(meta), true) = (root.meta(&from)?, name != ".ssh")
                    && meta.kind == SFlag::S_IFREG
                {
                    let bytes = root.read(&from, MAX_FILE)?.unwrap_or_default();
                    root.put(&to, &bytes, meta.mode, ids)?;
                }
            }
            if !self.ssh_keys.is_empty() {
                put_keys(root, draft, &self.ssh_keys, ids)?;
            }
            Ok(())
        })
    }
}

impl Kind for UserSpec {
    fn name(&self) -> String {
        format!("user {}", self.name)
    }

    fn step(&self) -> Step {
        Step::Users
    }

    fn compare(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        let (absent, before) = (on.accounts.home(&self.name).is_none(), on.accounts.fingerprint());
        on.accounts.put(self)?;
        let differs = before != on.accounts.fingerprint();
        if self.absent {
            return Ok(self.outcome(Done::would(differs, absent), "absent".to_owned()));
        }
        let home = on.accounts.home(&self.name).unwrap_or_default();
        let differs = differs || !missing_keys(on.root, &home, &self.ssh_keys)?.is_empty();
        Ok(self.outcome(Done::would(differs, absent), self.detail()))
    }

    fn record(&self, on: &mut Machine<'_>, manifest: &mut Manifest) -> Result<()> {
        on.accounts.put(self)?;
        if self.absent {
            return Ok(());
        }
        let (root, home) = (on.root, on.accounts.home(&self.name).unwrap_or_default());
        if self.makes_home(root, &home)? {
            return manifest.home(root, &home);
        }
        if self.ssh_keys.is_empty() {
            return Ok(());
        }
        let missing = missing_keys(root, &home, &self.ssh_keys)?;
        manifest.name(root, &format!("{home}/.ssh"), || false)?;
        manifest.name(root, &format!("{home}/.ssh/authorized_keys"), || !missing.is_empty())?;
        let parts = format!("{home}/.ssh/authorized_keys.d");
        if root.meta(&parts)?.is_some() {
            manifest.name(root, &format!("{parts}/footplate"), || true)?;
        }
        Ok(())
    }

    fn apply(&self, on: &mut Machine<'_>) -> Result<Outcome> {
        on.accounts.put(self)?;
        let root = on.root;
        let mut change = on.accounts.write(root)?;
        if self.absent {
            return Ok(self.outcome(change.into(), "absent; its home stays".to_owned()));
        }
        let home = on.accounts.home(&self.name).unwrap_or_default();
        let uid = on.accounts.ids(&Owner { user: Some(self.name.clone()), group: None }, &self.place)?.uid;
        let ids = Ids { uid, gid: on.accounts.primary_group(&self.name) };
        if self.makes_home(root, &home)? {
            self.make_home(root, &home, ids)?;
            change = Change::Changed;
        } else if !self.ssh_keys.is_empty() && put_keys(root, &home, &self.ssh_keys, ids)? == Change::Changed
        {
            change = Change::Changed;
        }
        let note = if root.privileged() { "" } else { "; owner of the home left out: needs root" };
        Ok(self.outcome(change.into(), self.detail() + note))
    }
}

/// The keys that may not log in yet. A user makes what it likes of its home: a link there must not lead root's hands to
/// a file of somebody else.
fn missing_keys(root: &Root, home: &str, keys: &[String]) -> Result<Vec<String>> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    for name in ["", "/authorized_keys", "/authorized_keys.d", "/authorized_keys.d/footplate"] {
        let path = format!("{home}/.ssh{name}");
        if root.link_target(&path)?.is_some() {
            bail!("{path}: is a symbolic link");
        }
    }
    let have = root.read(&format!("{home}/.ssh/authorized_keys"), MAX_FILE)?.unwrap_or_default();
    let have = String::from_utf8_lossy(&have);
    let mut known: BTreeSet<&str> = have.lines().map(str::trim).collect();
    Ok(keys.iter().filter(|key| known.insert(key.trim())).cloned().collect())
}

/// Adds keys to those that may log in. Flatcar's update-ssh-keys makes `authorized_keys` anew from the files of
/// `authorized_keys.d` where that directory exists, so they go there too.
fn put_keys(root: &Root, home: &str, keys: &[String], ids: Ids) -> Result<Change> {
    let (dir, parts) = (format!("{home}/.ssh"), format!("{home}/.ssh/authorized_keys.d"));
    let missing = missing_keys(root, home, keys)?;
    let mut change = root.put_dir(&dir, 0o700, ids)?;
    if !missing.is_empty() {
        let path = format!("{dir}/authorized_keys");
        let mut text = root.read(&path, MAX_FILE)?.unwrap_or_default();
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        text.extend(missing.iter().flat_map(|k| [k.as_bytes(), b"\n"].concat()));
        change = root.put(&path, &text, 0o600, ids)?;
    }
    if root.meta(&parts)?.is_some() {
        let text: String = keys.iter().map(|k| format!("{k}\n")).collect();
        if root.put(&format!("{parts}/footplate"), text.as_bytes(), 0o600, ids)? == Change::Changed {
            change = Change::Changed;
        }
    }
    Ok(change)
}
