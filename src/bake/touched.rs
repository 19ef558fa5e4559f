// SPDX-License-Identifier: Apache-2.0
//! What a bake, a seal or a clean-up changed, as an item for programs: the same object as an item of a plan.

use std::fmt;

use anyhow::Result;
use serde::{Serialize, Serializer};

use super::Baked;
use crate::io::root::{Change, Meta, Root, SFlag};
use crate::model::problem::Problem;

/// A path or an account that was changed, or would be.
#[derive(Clone, Debug, Serialize)]
pub struct Touched {
    /// `file`, `directory`, `link`, `user` or `group`.
    kind: &'static str,
    /// The absolute path, or the account's name.
    pub path: String,
    /// Permission bits in octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    /// The numbers of owner and group.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// `create`, `change` or `remove`.
    action: &'static str,
}

impl Touched {
    /// A path before something is put there: what stands there, and whether that creates or changes it.
    pub fn before(root: &Root, path: &str) -> Result<Self> {
        let meta = root.meta_of_link(path)?;
        let action = if meta.is_some() { "change" } else { "create" };
        let item = Self { kind: "file", path: path.to_owned(), mode: None, owner: None, bytes: None, action };
        Ok(meta.map_or(item.clone(), |meta| item.with(meta)))
    }

    /// The same path now.
    pub fn after(self, root: &Root) -> Result<Self> {
        let meta = root.meta_of_link(&self.path)?;
        Ok(match meta {
            Some(meta) => self.with(meta),
            None => self.removed(),
        })
    }

    /// The same as one that is removed.
    pub fn removed(self) -> Self {
        Self { action: "remove", ..self }
    }

    /// The same as one that is created, or as one that is changed.
    pub fn created(self, created: bool) -> Self {
        Self { action: if created { "create" } else { "change" }, ..self }
    }

    /// An account that is removed.
    pub fn account(kind: &'static str, name: &str) -> Self {
        Self { kind, path: name.to_owned(), mode: None, owner: None, bytes: None, action: "remove" }
    }

    fn with(self, meta: Meta) -> Self {
        let is_link = meta.kind == SFlag::S_IFLNK;
        Self {
            kind: match meta.kind {
                SFlag::S_IFDIR => "directory",
                SFlag::S_IFLNK => "link",
                _ => "file",
            },
            mode: (!is_link).then(|| format!("{:04o}", meta.mode)),
            owner: Some(format!("{}:{}", meta.uid, meta.gid)),
            bytes: (meta.kind == SFlag::S_IFREG).then_some(meta.size),
            ..self
        }
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.starts_with('/') {
            true => f.write_str(&self.path),
            false => write!(f, "{} {}", self.kind, self.path),
        }
    }
}

impl Baked {
    /// Notes what was put at a path; `item` is what stood there before.
    pub(super) fn note(&mut self, root: &Root, item: Touched, change: Change) -> Result<()> {
        match change {
            Change::Changed => self.changed.push(item.after(root)?),
            Change::Unchanged => self.unchanged += 1,
        }
        Ok(())
    }
}

/// Notes for people as findings for programs.
pub fn findings<S: Serializer>(notes: &[String], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(notes.iter().map(|note| Problem::note("", note.as_str())))
}
