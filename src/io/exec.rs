// SPDX-License-Identifier: Apache-2.0
//! The few programs that footplate runs itself: those that know a thing better than a library that would be linked in.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Most of a log that is looked at: kubeadm's whole output is about 20 KiB.
const MAX_LOG: u64 = 256 << 10;

/// The program that runs now.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// How long a program may take to say its version.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Why a program gave no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// Whether it ran, and not well; otherwise it can't run on this machine.
    pub ran: bool,
    /// What happened.
    pub why: String,
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Unanswered {}

/// What a program answers on its standard output. It gets no environment and no input.
///
/// # Errors
/// It can't be started, fails, or takes longer than 20 seconds.
pub fn answer_of(program: &Path, args: &[&str]) -> Result<String, Unanswered> {
    let not_run = |error: std::io::Error| Unanswered { ran: false, why: error.to_string() };
    let failed = |why: String| Unanswered { ran: true, why };
    let broken = |error: std::io::Error| failed(error.to_string());
    // The C library gives what the kernel does not know to a shell: bytes of any kind would run as a script.
    let mut head = Vec::new();
    std::fs::File::open(program).and_then(|f| f.take(4).read_to_end(&mut head)).map_err(not_run)?;
    if !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!") {
        return Err(Unanswered { ran: false, why: "it is no program".to_owned() });
    }
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
        .map_err(not_run)?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.map_or(Ok(0), |o| o.take(MAX_LOG).read_to_end(&mut bytes)).map(|_| bytes)
    });
    let deadline = Instant::now() + ANSWER_LIMIT;
    let status = loop {
        match child.try_wait().map_err(broken)? {
            Some(status) => break status,
            None if Instant::now() >= deadline => {
                child.kill().and_then(|()| child.wait()).map_err(broken)?;
                return Err(failed(format!("no answer after {} s", ANSWER_LIMIT.as_secs())));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if !status.success() {
        return Err(failed(format!("ended with {status}")));
    }
    let bytes = reader.join().map_err(|_| failed("its answer could not be read".to_owned()))?;
    Ok(String::from_utf8_lossy(&bytes.map_err(broken)?).into_owned())
}

/// The last lines that a unit wrote to the journal in its last run, messages only.
///
/// # Errors
/// `journalctl` can't be run.
pub fn journal_of(unit: &str, invocation: Option<&str>) -> Result<String> {
    // What a unit wrote last may still be on its way to the journal; if that can't be hurried, what is there is read.
    let _ = run("journalctl", &["--sync"], b"", ANSWER_LIMIT);
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

/// Where the system's own programs are; nothing that was added to the machine goes before them.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended, and what it said.
pub struct Ended {
    /// Its exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// What it said of its failure, on one line.
    pub fn complaint(&self) -> String {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let tail = lines.len().saturating_sub(4);
        match (self.status, lines.is_empty()) {
            (Some(status), true) => format!("exit status {status}"),
            (None, true) => "ended by a signal".to_owned(),
            _ => lines[tail..].join("; "),
        }
    }
}

/// Runs a system program to its end with `input` at its standard input; `None` where there is no such program.
///
/// # Errors
/// It can't be run, or has not ended after `limit` and was ended.
pub fn run(program: &str, args: &[&str], input: &[u8], limit: Duration) -> Result<Option<Ended>> {
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        // What it says is read, and not only shown.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).context(program.to_owned()),
    };
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it is given says why at its end.
        let _ = stdin.write_all(input);
    }
    fn text(from: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.map(|from| from.take(MAX_LOG).read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
    let (out, err) = (text(child.stdout.take()), text(child.stderr.take()));
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait().context(program.to_owned())? {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("{program}: no end after {} s", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = |thread: std::thread::JoinHandle<String>| thread.join().unwrap_or_default();
    Ok(Some(Ended { status: status.code(), out: text(out), err: text(err) }))
}
