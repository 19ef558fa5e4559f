// SPDX-License-Identifier: Apache-2.0
//! An account file as a table.

use anyhow::{Context as _, Result};

use crate::io::root::{Change, Ids, Root};

/// The largest account file that is read.
const MAX_FILE: usize = 4 << 20;

/// A file of lines whose fields are divided by colons.
#[derive(Clone)]
pub(super) struct Table {
    pub lines: Vec<Vec<String>>,
    /// Whether the file is there.
    pub stands: bool,
    mode: u32,
    ids: Ids,
}

impl Table {
    pub fn read(root: &Root, path: &str, mode: u32) -> Result<Self> {
        let bytes = root.read(path, MAX_FILE)?.unwrap_or_default();
        let text = String::from_utf8(bytes).with_context(|| format!("{path}: not UTF-8 text"))?;
        let lines = text.lines().map(|l| l.split(':').map(str::to_owned).collect()).collect();
        let meta = root.meta(path)?;
        let ids = meta.map_or(Ids::ROOT, |m| Ids { uid: Some(m.uid), gid: Some(m.gid) });
        Ok(Self { lines, stands: meta.is_some(), mode: meta.map_or(mode, |m| m.mode), ids })
    }

    pub fn find(&self, name: &str) -> Option<&Vec<String>> {
        self.lines.iter().find(|l| l.len() > 1 && l[0] == name)
    }

    pub fn find_mut(&mut self, name: &str) -> Option<&mut Vec<String>> {
        self.lines.iter_mut().find(|l| l.len() > 1 && l[0] == name)
    }

    /// The third field as a number: uid in passwd, gid in group.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.find(name)?.get(2)?.parse().ok()
    }

    /// The name of the line that has a number.
    pub fn named(&self, number: u32) -> Option<String> {
        let number = number.to_string();
        self.lines.iter().find(|l| l.get(2) == Some(&number)).map(|l| l[0].clone())
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.lines.iter().filter_map(|l| l.get(2)?.parse().ok())
    }

    pub fn write(&self, root: &Root, path: &str) -> Result<Change> {
        if self.lines.is_empty() && !self.stands {
            return Ok(Change::Unchanged);
        }
        let text: String = self.lines.iter().map(|l| l.join(":") + "\n").collect();
        root.put(path, text.as_bytes(), self.mode, self.ids)
    }
}
