// SPDX-License-Identifier: Apache-2.0
//! The few programs that footplate runs itself: those that know a thing better than a library that would be linked in.

use std::io::{BufRead as _, BufReader, Error, ErrorKind, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value as Json;

/// Most bytes of a program's output that are read: kubeadm's whole log has about 20 KiB.
const MAX_OUTPUT: u64 = 256 << 10;

/// Most bytes of a unit's journal that are looked through: kubeadm writes about 10 MiB with `--v=10`.
const MAX_JOURNAL: u64 = 32 << 20;

/// The program that runs now.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// How long a program may take to say its version, and journalctl to read a log.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The directories of the system's own programs. What was added to the machine does not come before them.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How a program ended, and what it said.
pub struct Ended {
    /// Its exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// The beginning of its standard output, at most 256 KiB.
    pub out: String,
    /// The same of its standard error.
    pub err: String,
}

impl Ended {
    /// What it said about its failure, on one line.
    pub fn complaint(&self) -> String {
        let text = if self.err.trim().is_empty() { &self.out } else { &self.err };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let tail = lines.len().saturating_sub(4);
        if lines.is_empty() { self.how() } else { lines[tail..].join("; ") }
    }

    fn how(&self) -> String {
        self.status.map_or("ended by a signal".to_owned(), |status| format!("exit status {status}"))
    }
}

/// Why a program gave no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// Whether it ran and failed; otherwise it can't run on this machine.
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

/// What is taken of a program's output.
type Take = Box<dyn FnOnce(&mut dyn Read) -> String + Send>;

/// The beginning of a program's output.
fn beginning() -> Take {
    Box::new(|from| {
        let mut bytes = Vec::new();
        let _ = from.take(MAX_OUTPUT).read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Runs a program to its end, with no environment but [`PATH`] and what `command` sets; `take` reads its standard output. `None` where
/// it had not ended after `limit` and was killed.
fn end_of(
    command: &mut Command,
    input: &[u8],
    limit: Duration,
    take: Take,
) -> std::io::Result<Option<Ended>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // One thread for each pipe: a program may fill one while it waits for another.
    let (stdin, input) = (child.stdin.take(), input.to_vec());
    // A program that does not read its input says why at its end.
    thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    fn text(from: Option<impl Read + Send + 'static>, take: Take) -> JoinHandle<String> {
        thread::spawn(move || from.map(|mut from| take(&mut from)).unwrap_or_default())
    }
    let (out, err) = (text(child.stdout.take(), take), text(child.stderr.take(), beginning()));
    let deadline = Instant::now() + limit;
    // Most programs end soon.
    let mut pause = POLL / 32;
    loop {
        if let Some(status) = child.try_wait()? {
            let text = |thread: JoinHandle<String>| thread.join().unwrap_or_default();
            return Ok(Some(Ended { status: status.code(), out: text(out), err: text(err) }));
        }
        if Instant::now() >= deadline {
            child.kill().and_then(|()| child.wait())?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = POLL.min(pause * 2);
    }
}

/// A program with a clean environment. What it says is read, and so is in English.
fn clean(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command
}

/// Runs a system program to its end with `input` at its standard input; `None` where the program is not installed.
///
/// # Errors
/// It can't be run, or it had not ended after `limit` and was killed.
pub fn run(program: &str, args: &[&str], input: &[u8], limit: Duration) -> Result<Option<Ended>> {
    run_and(program, args, input, limit, beginning())
}

fn run_and(program: &str, args: &[&str], input: &[u8], limit: Duration, take: Take) -> Result<Option<Ended>> {
    match end_of(&mut clean(program, args), input, limit, take) {
        Ok(Some(ended)) => Ok(Some(ended)),
        Ok(None) => bail!("{program}: no end after {} s", limit.as_secs()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).context(program.to_owned()),
    }
}

/// What a program of the machine or of an image answers on its standard output. It gets no environment and no input.
///
/// # Errors
/// It can't be started, fails, or takes longer than 20 seconds.
pub fn answer_of(program: &Path, args: &[&str]) -> Result<String, Unanswered> {
    answer_within(program, args, ANSWER_LIMIT)
}

/// The same within `limit`.
///
/// # Errors
/// It can't be started, fails, or takes longer.
pub fn answer_within(program: &Path, args: &[&str], limit: Duration) -> Result<String, Unanswered> {
    let not_run = |error: Error| Unanswered { ran: false, why: error.to_string() };
    let failed = |why: String| Unanswered { ran: true, why };
    // The C library gives a file that the kernel does not know to a shell: bytes of any kind would run as a script.
    let mut head = Vec::new();
    std::fs::File::open(program).and_then(|f| f.take(4).read_to_end(&mut head)).map_err(not_run)?;
    if !head.starts_with(b"\x7fELF") && !head.starts_with(b"#!") {
        return Err(Unanswered { ran: false, why: "it is not a program".to_owned() });
    }
    let mut command = clean(program, args);
    command.env("HOME", "/nonexistent").current_dir("/");
    match end_of(&mut command, b"", limit, beginning()).map_err(not_run)? {
        Some(ended) if ended.status == Some(0) => Ok(ended.out),
        Some(ended) => Err(failed(format!("it failed: {}", ended.how()))),
        None => Err(failed(format!("no answer after {} s", limit.as_secs()))),
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was written, in milliseconds since the kernel started.
    pub at_ms: u64,
    /// The message. Bytes that are not UTF-8 are replaced.
    pub message: String,
}

/// What a unit wrote last to the journal: in the run with that id, systemd's `$INVOCATION_ID`, or in this boot. Of what is more than
/// 256 KiB back only the lines that `counts` are there, if any may; of a log that is long or read slowly the oldest are left out.
///
/// # Errors
/// `journalctl` can't be run.
pub fn journal_of(
    unit: &str,
    invocation: Option<&str>,
    counts: Option<fn(&str) -> bool>,
) -> Result<Vec<Entry>> {
    // What footplate itself logs beside the unit's commands comes another way, and is not theirs.
    // What a unit wrote last may still be on its way to the journal; if that can't be hurried, what is there is read.
    let _ = run("journalctl", &["--sync"], b"", ANSWER_LIMIT);
    let of_run = invocation.map(|id| format!("_SYSTEMD_INVOCATION_ID={id}"));
    let whose = of_run.as_deref().map_or(vec!["--unit", unit], |of_run| vec![of_run, "_TRANSPORT=stdout"]);
    // Without `--all` a message of more than 4096 bytes is `null`.
    let form = ["--output=json", "--all", "--output-fields=MESSAGE", "--boot", "--reverse"];
    let args = [&["--no-pager", "--quiet"], &form[..], &whose[..]].concat();
    // The last ones come first: should there be too much to read, the oldest are left out.
    let until = Instant::now() + ANSWER_LIMIT / 2;
    let take: Take = Box::new(move |from| newest(from, counts, until));
    let ended = run_and("journalctl", &args, b"", ANSWER_LIMIT, take)?
        .context("journalctl: the program is not installed")?;
    let mut entries: Vec<Entry> = ended.out.lines().filter_map(entry).collect();
    entries.reverse();
    Ok(entries)
}

/// The first lines of what `journalctl` prints, and of the others, which are read until then, those whose message counts. A line that
/// is longer than [`MAX_OUTPUT`] is left out; journald cuts what a unit prints at 48 KiB.
fn newest(from: &mut dyn Read, counts: Option<fn(&str) -> bool>, until: Instant) -> String {
    let (mut from, mut lines) = (BufReader::new(from.take(MAX_JOURNAL)), String::new());
    let max = usize::try_from(MAX_OUTPUT).unwrap_or_default();
    loop {
        let whole = lines.len() < max;
        let goes_on = whole || (counts.is_some() && lines.len() < 2 * max && Instant::now() < until);
        let mut line = Vec::new();
        if !goes_on || !(&mut from).take(MAX_OUTPUT).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            return lines;
        }
        if line.len() as u64 == MAX_OUTPUT && !line.ends_with(b"\n") {
            let _ = from.skip_until(b'\n');
            continue;
        }
        let line = String::from_utf8_lossy(&line);
        let counts = |message: &str| counts.is_some_and(|counts| counts(message));
        if whole || entry(&line).is_some_and(|entry| counts(&entry.message)) {
            lines += &line;
        }
    }
}

/// An entry of `journalctl --output=json`, in the
/// [journal's JSON form](https://systemd.io/JOURNAL_EXPORT_FORMATS/#journal-json-format): a message is a text, or numbers where it
/// is not one. What has no message or time is passed over.
fn entry(line: &str) -> Option<Entry> {
    let json: Json = serde_json::from_str(line).ok()?;
    let micros: u64 = json["__MONOTONIC_TIMESTAMP"].as_str()?.parse().ok()?;
    let message = match &json["MESSAGE"] {
        Json::String(text) => text.clone(),
        Json::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|b| u8::try_from(b.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return None,
    };
    Some(Entry { at_ms: micros / 1000, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_journal_are_text_or_bytes() {
        let text = r#"{"__MONOTONIC_TIMESTAMP":"12345678","MESSAGE":"[certs] a","_BOOT_ID":"b"}"#;
        let message = "[certs] a".to_owned();
        assert_eq!(entry(text), Some(Entry { at_ms: 12345, message }));
        let bytes = r#"{"__MONOTONIC_TIMESTAMP":"1000","MESSAGE":[27,91,255]}"#;
        assert_eq!(entry(bytes), Some(Entry { at_ms: 1, message: "\u{1b}[\u{fffd}".to_owned() }));
        assert_eq!(entry(r#"{"__MONOTONIC_TIMESTAMP":"1000","MESSAGE":null}"#), None);
        assert_eq!(entry("-- No entries --"), None);
    }

    #[test]
    fn the_newest_lines_are_read_whole_and_of_others_those_that_count() {
        let line =
            |n: u32, text: &str| format!("{{\"__MONOTONIC_TIMESTAMP\":\"{n}000\",\"MESSAGE\":\"{text}\"}}\n");
        let mut log: String = (0..20_000).map(|n| line(30_000 - n, "noise")).collect();
        log += &line(7, "[certs] a");
        log += &line(8, &"[".repeat(600_000));
        log += &line(6, &"[".repeat(200_000));
        log += &line(9, &"[".repeat(100_000));
        log += &line(5, "[preflight] a");
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(600));
        let marks: Option<fn(&str) -> bool> = Some(|text| text.starts_with('['));
        for (counts, until, want) in
            [(marks, later, vec![7, 6, 9]), (marks, now, vec![]), (None, later, vec![])]
        {
            let read = newest(&mut log.as_bytes(), counts, until);
            let entries: Vec<Entry> = read.lines().filter_map(entry).collect();
            assert!(read.len() > 256 << 10 && read.len() < 600_000, "{}", read.len());
            assert_eq!(entries[0].at_ms, 30_000);
            assert_eq!(entries.iter().filter(|e| e.at_ms < 10).map(|e| e.at_ms).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn a_program_runs_to_its_end_or_to_its_limit() {
        let sh = |script: &str, input: &[u8], limit| run("sh", &["-c", script], input, limit);
        let long = Duration::from_secs(20);
        // More than a pipe holds, in both directions at once.
        let input = vec![b'x'; 1 << 20];
        let ended = sh("cat; echo done >&2; exit 3", &input, long).unwrap().unwrap();
        assert_eq!((ended.status, ended.err.as_str()), (Some(3), "done\n"));
        assert_eq!(ended.out.len() as u64, MAX_OUTPUT);
        let ended = sh("echo a; echo b >&2; kill -9 $$", b"", long).unwrap().unwrap();
        assert_eq!((ended.status, ended.complaint().as_str()), (None, "b"));
        assert_eq!(sh("exit 4", b"", long).unwrap().unwrap().complaint(), "exit status 4");
        assert_eq!(
            sh("env | cut -d= -f1 | sort | tr '\\n' ' '", b"", long).unwrap().unwrap().out,
            "LC_ALL PATH PWD "
        );
        let begun = Instant::now();
        let error = sh("exec sleep 60", b"", Duration::from_millis(100)).err().unwrap();
        assert!(error.to_string().contains("no end after") && begun.elapsed() < long, "{error}");
        assert!(run("no-such-program", &[], b"", long).unwrap().is_none());
    }
}
