// SPDX-License-Identifier: Apache-2.0
//! Directories for the files of tests.

use std::fs;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// An empty directory below cargo's own for tests. Tests of two files may use the same name: each file has a directory
/// of its own.
#[track_caller]
pub fn fresh(name: &str) -> PathBuf {
    let file = Path::new(Location::caller().file()).with_extension("");
    let file = file.strip_prefix("tests/it").unwrap_or(&file);
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("it").join(file).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}
