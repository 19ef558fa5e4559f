// SPDX-License-Identifier: Apache-2.0
//! What footplate made on this machine: a list of paths and accounts that lasts. It is on the disk before the first of
//! them is made, so that a power cut leaves nothing behind that is not listed. `seal` undoes it, and each later run adds
//! to it.
//!
//! It stands beside the lock and not in `/var`: the network is set up before `/var` is mounted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::accounts::{Accounts, GROUP, GSHADOW, PASSWD, SHADOW};
use super::{OURS, above};
use crate::io::root::Root;
use crate::model::problem::WithCure as _;

/// Where the list stands.
pub const MANIFEST: &str = "/opt/footplate/manifest.json";

/// The largest list: bootstrap data of 32 MiB names fewer paths.
const MAX_MANIFEST: usize = 64 << 20;

/// What is gone after a boot, and needs no list on a live system.
const VOLATILE: &str = "/run/";

/// Nothing stood at the path before.
pub const MADE: &str = "made";

/// A directory that was made and belongs, with all that is in it, to an account that was made.
pub const HOME: &str = "home";

/// Something stood at the path before, and is another now.
pub const CHANGED: &str = "changed";

/// Something stood at the path before, and was removed.
pub const REMOVED: &str = "removed";

/// The list.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format. A reader takes what it knows of a newer one.
    pub version: u32,
    /// Paths without symbolic links, and what became of each: [`MADE`], [`HOME`], [`CHANGED`] or [`REMOVED`]. A newer
    /// footplate may have more words.
    #[serde(default)]
    pub paths: BTreeMap<String, String>,
    /// Users that were made.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub users: BTreeSet<String>,
    /// Groups that were made.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Directories that [`Manifest::path`] has come by. They and all above them are there or listed.
    #[serde(skip)]
    passed: HashSet<String>,
    /// What a newer footplate wrote: it is kept.
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Manifest {
    /// Reads the list; an empty one where there is none.
    ///
    /// # Errors
    /// It is there and broken.
    pub fn read(root: &Root) -> Result<Self> {
        let Some(bytes) = root.read(MANIFEST, MAX_MANIFEST)? else {
            return Ok(Self { version: 1, ..Self::default() });
        };
        serde_json::from_slice(&bytes).context(MANIFEST).cure(
            "remove the file: the node works without it, but `footplate seal` then leaves what it listed",
        )
    }

    /// Writes the list; it is on the disk when this returns.
    pub(super) fn write(&mut self, root: &Root) -> Result<()> {
        self.path(root, MANIFEST, || false)?;
        let bytes = serde_json::to_vec_pretty(self)?;
        if bytes.len() > MAX_MANIFEST {
            return Err(anyhow!("{MANIFEST}: the list of what was made has more than {MAX_MANIFEST} bytes"))
                .cure("make fewer files: bring a directory of them as an archive");
        }
        let mut missing = MANIFEST;
        while !above(missing).is_empty() && root.meta(above(missing))?.is_none() {
            missing = above(missing);
        }
        if missing == MANIFEST {
            return root.put(MANIFEST, &bytes, 0o600, OURS).map(drop);
        }
        // Its directories come with it: a run that is cut off leaves none that is not listed.
        let below = MANIFEST.strip_prefix(missing).unwrap_or_default();
        root.put_new_dir(missing, |draft| root.put(&format!("{draft}{below}"), &bytes, 0o600, OURS).map(drop))
    }

    /// Lists a path that is about to be written, and the directories that are missing on the way to it. What stands
    /// there is only listed if it `differs` from what is wanted. Links are followed as [`Root::put`] follows them.
    pub(super) fn path(&mut self, root: &Root, path: &str, differs: impl FnOnce() -> bool) -> Result<()> {
        self.list(root, root.destination(path)?, MADE, differs)
    }

    /// The same for a path whose link gives way and is not followed.
    pub(super) fn name(&mut self, root: &Root, path: &str, differs: impl FnOnce() -> bool) -> Result<()> {
        let place = root.place(path)?;
        let stands = root.stands(&place)?;
        self.list(root, (place, stands), MADE, differs)
    }

    /// Adds a path that is about to be changed to the list on the disk.
    ///
    /// # Errors
    /// The list is broken, or the disk refuses.
    pub fn changes(root: &Root, path: &str) -> Result<()> {
        let mut manifest = Self::read(root)?;
        manifest.name(root, path, || true)?;
        manifest.write(root)
    }

    /// Lists a home that is about to be made.
    pub(super) fn home(&mut self, root: &Root, path: &str) -> Result<()> {
        self.list(root, root.destination(path)?, HOME, || false)
    }

    /// Lists a path that is about to be removed.
    pub(super) fn removed(&mut self, root: &Root, path: &str) -> Result<()> {
        let path = root.place(path)?;
        if root.stands(&path)? && !volatile(root, &path) {
            self.paths.entry(path).or_insert_with(|| REMOVED.to_owned());
        }
        Ok(())
    }

    fn list(
        &mut self,
        root: &Root,
        (path, stands): (String, bool),
        made: &str,
        differs: impl FnOnce() -> bool,
    ) -> Result<()> {
        if volatile(root, &path) || self.paths.contains_key(&path) {
            return Ok(());
        }
        if stands {
            if differs() {
                self.paths.insert(path, CHANGED.to_owned());
            }
            return Ok(());
        }
        let mut missing = above(&path);
        // Many files have the same directories. What is listed needs no look; what stands above it may be gone since.
        while !missing.is_empty()
            && !self.passed.contains(missing)
            && (self.paths.contains_key(missing) || root.meta(missing)?.is_none())
        {
            self.paths.entry(missing.to_owned()).or_insert_with(|| MADE.to_owned());
            self.passed.insert(missing.to_owned());
            missing = above(missing);
        }
        self.paths.insert(path, made.to_owned());
        Ok(())
    }

    /// Looks at each directory again: something else than the listing has changed the root.
    pub(super) fn look_again(&mut self) {
        self.passed = HashSet::new();
    }

    /// How much is listed: nothing is taken from the list.
    pub(super) fn size(&self) -> usize {
        self.paths.len() + self.users.len() + self.groups.len()
    }

    /// Lists accounts that are about to be made, and the account files in which more than these change.
    pub(super) fn accounts(&mut self, root: &Root, before: &Accounts, after: &Accounts) -> Result<()> {
        let (users, groups) = after.new_names(before);
        self.users.extend(users);
        self.groups.extend(groups);
        let (was, is) = (self.without(before), self.without(after));
        for path in [PASSWD, GROUP, SHADOW, GSHADOW] {
            let new_file = before.lines(path).is_empty() && !after.lines(path).is_empty();
            if new_file || was.lines(path) != is.lines(path) {
                self.path(root, path, || true)?;
            }
        }
        Ok(())
    }

    /// The accounts without those that were made.
    pub fn without(&self, accounts: &Accounts) -> Accounts {
        let mut accounts = accounts.clone();
        accounts.forget(&self.users, &self.groups);
        accounts
    }
}

fn volatile(root: &Root, path: &str) -> bool {
    root.live() && path.starts_with(VOLATILE)
}
