// SPDX-License-Identifier: Apache-2.0
//! The few programs that footplate runs itself.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

/// Most of a log that is looked at: kubeadm's whole output is about 20 KiB.
const MAX_LOG: u64 = 256 << 10;

/// The program that runs now.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// How long a program may take to say its version.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// What a program answers on its standard output. It gets no environment and no input.
///
/// # Errors
/// It can't be started, fails, or takes longer than 20 seconds.
pub fn answer_of(program: &Path, args: &[&str]) -> Result<String> {
    let name = args.first().map_or_else(String::new, |a| format!(" {a}"));
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("can't be run{name}"))?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.map_or(Ok(0), |o| o.take(MAX_LOG).read_to_end(&mut bytes)).map(|_| bytes)
    });
    let deadline = Instant::now() + ANSWER_LIMIT;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                child.kill()?;
                child.wait()?;
                bail!("no answer after {} s", ANSWER_LIMIT.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        bail!("ended with {status}");
    }
    let bytes = reader.join().map_err(|_| anyhow!("its answer could not be read"))??;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines that a unit wrote to the journal in its last run, messages only.
///
/// # Errors
/// `journalctl` can't be run.
pub fn journal_of(unit: &str, invocation: Option<&str>) -> Result<String> {
    // What a unit wrote last may still be on its way to the journal; if that can't be hurried, what is there is read.
    let _ = answer_of(Path::new("journalctl"), &["--sync"]);
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
