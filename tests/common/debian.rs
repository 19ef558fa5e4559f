// SPDX-License-Identifier: Apache-2.0
//! Debian's packages, unpacked beside the tests: what they bring is used and the machine stays as it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The root below which these packages are unpacked, once; without what they depend on.
pub fn unpacked(packages: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian").join(packages[0]);
    let root = dir.join("root");
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    if !root.exists() {
        fs::create_dir_all(&dir).unwrap();
        let script = "set -e; rm -rf *.deb new; $APT download \"$@\"
            for deb in *.deb; do dpkg-deb -x \"$deb\" new; done; mv new root";
        let mut command = Command::new("timeout");
        command.args(["1200", "sh", "-c", script, "sh"]).args(packages).current_dir(&dir);
        command.env("APT", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/apt"));
        let unpacked = command.output().unwrap();
        assert!(
            unpacked.status.success(),
            "Debian's {} cannot be had: make `tests/apt download` work\n{}",
            packages.join(", "),
            String::from_utf8_lossy(&unpacked.stderr)
        );
    }
    root
}
