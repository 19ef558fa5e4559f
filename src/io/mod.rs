// SPDX-License-Identifier: Apache-2.0
//! Hands: every system call, process, socket and bus call of footplate. The only place for `unsafe`.
//!
//! What the pipe *asks* of the machine goes through one door, [`World::ask`], so that everything it was told can be
//! captured into a directory and replayed from there. What it *does* goes through [`root::Root`], [`systemd`] and
//! [`exec`].

pub mod api_server;
pub mod budget;
pub mod confined;
pub mod containerd;
pub mod disk;
mod dns;
pub mod drive;
pub mod exec;
mod glibc;
pub mod guestinfo;
pub mod http;
pub mod kvp;
pub mod live;
pub mod nic;
mod nss;
pub mod process;
pub mod reader;
pub mod replay;
pub mod root;
mod runtime;
pub mod screen;
pub mod systemd;
pub mod tar;

use std::time::{Duration, Instant};

use std::fmt;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::model::facts::Link;
use crate::model::policy::Policy;
use crate::model::problem::Problem;
use crate::model::time::Time;

/// Most bytes that one question may bring: more than any platform's user-data (vSphere raises its 64 KiB to 1 MiB at
/// most, drives carry what fits).
pub const MAX_ANSWER: usize = 4 << 20;

/// The kernel's number of an error, where it has one.
fn errno(error: &anyhow::Error) -> Option<nix::errno::Errno> {
    use nix::errno::Errno;
    error.chain().find_map(|cause| {
        let number = |e: &std::io::Error| e.raw_os_error().map(Errno::from_raw);
        cause.downcast_ref::<Errno>().copied().or_else(|| cause.downcast_ref().and_then(number))
    })
}

/// An error in words, without the number that std puts behind it.
fn plain(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// Whether an error came of a file system that is read-only.
pub fn is_read_only(error: &anyhow::Error) -> bool {
    errno(error) == Some(nix::errno::Errno::EROFS)
}

/// What helps where the kernel's own word for an error says all.
pub fn cure(error: &anyhow::Error) -> Option<&'static str> {
    use nix::errno::Errno;
    match errno(error)? {
        Errno::ENOSPC | Errno::EDQUOT => Some("make room: `df` and `df -i` tell which file system is full"),
        Errno::EROFS => Some("choose a path on another file system: `findmnt` tells which one is read-only"),
        _ => None,
    }
}

/// A question to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// A file by its path.
    File(&'a str),
    /// CPUID's hypervisor signature.
    Hypervisor,
    /// A guestinfo key of vSphere, without its value's meaning.
    Guestinfo(&'a str),
    /// The file systems on the machine's drives, a line each, as [`crate::model::facts::Drive`] reads it.
    Drives,
    /// A file on the drive whose file system has that label, or on the one of that device.
    Drive {
        /// The label, whose case does not matter; or the device, such as `/dev/sr0`.
        label: &'a str,
        /// The file's path on the drive, without a leading slash.
        file: &'a str,
    },
    /// The network interfaces, as a JSON list of [`crate::model::facts::Link`].
    Links,
    /// When the parts of the boot that are not footplate's began and ended, as a JSON list of [`crate::model::status::StageStatus`].
    BootTimes,
}

impl Ask<'_> {
    /// The question as a relative path: its name in messages and its place in a captured directory.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => format!("file{path}"),
            Self::Hypervisor => "hypervisor".to_owned(),
            Self::Guestinfo(key) => format!("guestinfo/{key}"),
            Self::Drives => "labels".to_owned(),
            Self::Drive { label, file } => format!("drive/{}/{file}", label.trim_start_matches('/')),
            Self::Links => "links".to_owned(),
            Self::BootTimes => "boot-times".to_owned(),
        }
    }
}

/// Something that a platform is told.
#[derive(Clone, Copy, Debug)]
pub enum Tell<'a> {
    /// The new value of a guestinfo key of vSphere.
    Guestinfo {
        /// The key.
        key: &'a str,
        /// The value; the hypervisor takes no empty one.
        value: &'a [u8],
    },
    /// A key-value pair for the host of Hyper-V.
    Pair {
        /// The key.
        key: &'a str,
        /// The value, at most 2047 bytes.
        value: &'a [u8],
    },
    /// A request to a platform's service, which has an answer of no interest.
    Http(&'a http::Request),
}

impl Tell<'_> {
    /// What is told as a relative path, as [`Ask::name`] has it for questions.
    pub fn name(&self) -> String {
        match self {
            Self::Guestinfo { key, .. } => format!("told/guestinfo/{key}"),
            Self::Pair { key, .. } => format!("told/kvp/{key}"),
            Self::Http(request) => format!("told/{}", request.name()),
        }
    }

    /// The bytes that are told.
    pub fn value(&self) -> &[u8] {
        match self {
            Self::Guestinfo { value, .. } | Self::Pair { value, .. } => value,
            Self::Http(request) => request.body.expose(),
        }
    }
}

/// Why a question has no good answer. The kind decides the exit code of the command that asked.
#[derive(Debug)]
pub enum Error {
    /// Asking failed. It may work another time.
    Unreachable(anyhow::Error),
    /// What came is broken. The same will come another time.
    Broken(Problem),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Broken(problem)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => error.fmt(f),
            Self::Broken(problem) => problem.fmt(f),
        }
    }
}

impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Unreachable(error) => error,
            Error::Broken(problem) => problem.into(),
        }
    }
}

/// The one door to the machine: what it says of itself, and what its platform is asked and told.
pub trait World {
    /// The answer, or `None`.
    ///
    /// # Errors
    /// The machine could not be asked, or the answer is larger than [`MAX_ANSWER`].
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error>;

    /// Tells the machine's platform something.
    ///
    /// # Errors
    /// It does not take it, or there is nothing that could.
    fn tell(&self, tell: Tell<'_>) -> Result<(), Error>;

    /// Sends independent requests over HTTP, several at once, and gives the answers in their order.
    fn http(&self, requests: &[http::Request], deadline: Instant)
    -> Vec<Result<http::Response, http::Error>>;

    /// Whether it is this very machine, so that another process of it asks the same services.
    fn is_here(&self) -> bool {
        false
    }

    /// How long all questions of one undertaking may take over the network.
    fn patience(&self) -> Duration {
        Policy::default().metadata_wait
    }

    /// Whether a metadata service is asked without a token where it gives none, though no kernel argument says so.
    fn asks_without_token(&self) -> bool;

    /// The answer as text without blanks around it; empty where there is no answer.
    ///
    /// # Errors
    /// As [`World::ask`].
    fn text(&self, ask: Ask<'_>) -> Result<String, Error> {
        let bytes = self.ask(ask)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    }

    /// The machine's links; none where there is no answer.
    ///
    /// # Errors
    /// As [`World::ask`], or the answer is not what [`Ask::Links`] asks for.
    fn links(&self) -> Result<Vec<Link>, Error> {
        let json = self.ask(Ask::Links)?;
        Ok(json.map_or(Ok(Vec::new()), |json| serde_json::from_slice(&json).context(Ask::Links.name()))?)
    }
}

/// Reads an answer to its end, up to [`MAX_ANSWER`]; `name` is what messages call it.
fn read_bounded(file: impl Read, name: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    file.take(MAX_ANSWER as u64 + 1).read_to_end(&mut bytes).with_context(|| name.to_owned())?;
    if bytes.len() > MAX_ANSWER {
        let what =
            format!("larger than {} MiB, which is more than any platform hands over", MAX_ANSWER >> 20);
        return Err(Problem::error(name, what).into());
    }
    Ok(bytes)
}

/// Reads a regular file to its end, up to [`MAX_ANSWER`]; `None` where there is none. `name` is what messages call it.
fn read_file(path: &Path, name: &str) -> Result<Option<Vec<u8>>, Error> {
    // Opening or reading a FIFO, or a log of the kernel's, would wait for ever.
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    match std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) if !file.metadata().with_context(|| name.to_owned())?.is_file() => {
            Err(Problem::error(name, "is not a regular file").into())
        }
        Ok(file) => read_bounded(file, name).map(Some),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(anyhow::Error::new(e).context(name.to_owned()).into()),
    }
}

/// What is logged for this target is in the journal alone: a slow console would drop what comes after many such lines.
pub const ITEM: &str = "footplate-item";

/// Writes a line to the machine's console, if it has one that is ready.
pub fn console(line: &str) {
    use std::io::Write as _;
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    if let Ok(mut console) = std::fs::OpenOptions::new().write(true).custom_flags(flags).open("/dev/console")
    {
        // A console that is full or gone must not hold the boot.
        let _ = console.write_all(format!("{line}\r\n").as_bytes());
    }
}

/// What the clock says. It may be wrong until the machine asked a time server.
pub fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time(since.map_or(0, |s| s.as_secs() as i64))
}

/// Where a person follows a command: standard error, a terminal or not.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    terminal: bool,
    silent: bool,
}

impl Console {
    /// Standard error; silent where the command line asks for errors and warnings alone.
    pub fn stderr() -> Self {
        use std::io::IsTerminal as _;
        let silent = log::max_level() < log::LevelFilter::Info;
        Self { terminal: std::io::stderr().is_terminal(), silent }
    }

    /// Nobody looks.
    pub fn silent() -> Self {
        Self { terminal: false, silent: true }
    }

    /// Whether it is a terminal, where a line can be drawn over.
    pub fn terminal(&self) -> bool {
        self.terminal
    }

    /// Draws the line that moves, cut to what a narrow terminal shows.
    pub fn line(&self, text: &str) {
        let text: String = text.chars().take(100).collect();
        self.put(&format!("\r\x1b[K{text}"));
    }

    /// Writes a line that stays, over the one that moves.
    pub fn event(&self, text: &str) {
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        self.put(&format!("{clear}{text}\n"));
    }

    fn put(&self, text: &str) {
        use std::io::Write as _;
        if !self.silent {
            // Standard error that is closed can't be told so.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// The id of this boot as the journal knows it, 32 digits of hexadecimal.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().replace('-', ""))
}

/// Milliseconds since the kernel started.
pub fn uptime_ms() -> u64 {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .map_or(0, |t| t.tv_sec() as u64 * 1000 + t.tv_nsec() as u64 / 1_000_000)
}

/// An open file, for those who read one piece by piece or hand one on.
pub use std::fs::File;

/// Opens a file of this machine, outside of any root: one that a person names, or this program.
pub fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}
