// SPDX-License-Identifier: Apache-2.0
//! A root of its own for as long as something is tried on it.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

use super::Root;

/// An empty root in the directory for temporary files, readable by its owner alone; removed when it is dropped.
pub struct Scratch {
    root: Root,
    path: PathBuf,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// The directory for temporary files can't be written.
    pub fn new() -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("footplate-{}-{:x}-{number}", std::process::id(), crate::io::uptime_ms());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).with_context(|| path.display().to_string())?;
        Ok(Self { root: Root::open(&path, false)?, path })
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed is for the system to clean up.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_it() {
        let scratch = Scratch::new().unwrap();
        scratch.root().put("/etc/a", b"a", 0o600, crate::io::root::Ids::default()).unwrap();
        let path = scratch.path.clone();
        assert!(path.join("etc/a").exists());
        drop(scratch);
        assert!(!path.exists());
    }
}
