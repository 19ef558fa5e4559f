// SPDX-License-Identifier: Apache-2.0
//! The few programs that footplate runs itself.

use std::io::Read as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

/// Most of a log that is looked at: kubeadm's whole output is about 20 KiB.
const MAX_LOG: u64 = 256 << 10;

/// The last lines that a unit wrote to the journal in its last run, messages only.
///
/// # Errors
/// `journalctl` can't be run.
pub fn journal_of(unit: &str, invocation: Option<&str>) -> Result<String> {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "--quiet", "--output=cat", "--boot", "--lines=400"]);
    match invocation {
        // The messages of this run only; the id is systemd's `$INVOCATION_ID`.
        Some(id) => command.arg(format!("_SYSTEMD_INVOCATION_ID={id}")),
        None => command.args(["--unit", unit]),
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("journalctl")?;
    let mut log = Vec::new();
    if let Some(out) = child.stdout.take() {
        out.take(MAX_LOG).read_to_end(&mut log).context("journalctl")?;
    }
    // More than the bound is left in the pipe: end it rather than wait for it.
    let _ = child.kill();
    child.wait().context("journalctl")?;
    Ok(String::from_utf8_lossy(&log).into_owned())
}
