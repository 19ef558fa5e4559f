// SPDX-License-Identifier: Apache-2.0
//! What comes from outside, metadata and bootstrap data, is read apart from what applies it: by a process that systemd starts for each
//! connection to `/run/footplate-reader.socket`, with the rights of `footplate-reader@.service`, and in it by a thread without any
//! ([`confined`]). Where that socket is not there, in the initramfs and on a laptop, a thread of this process reads.
//!
//! The process asks services itself, metadata's and those that the data names. What it needs of the machine it asks of who called it, and
//! also what a name in the data stands for, which may be a file there: where it is at a service, who is asked has the reader ask that
//! ([`http()`]) before it answers. Messages ([`connection`]) go to and fro by turns. What is logged is sent beside.

mod connection;
mod distant;

use std::borrow::Cow;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use log::Record;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::connection::{Connection, VERSION};
pub use self::distant::{Distant, Manner};
use super::live::Live;
use super::{Ask, Error, World, budget, confined, http};
use crate::model::fetch::{Request, Unfetched};
use crate::model::problem::{Failure, Problem, Stage};
use crate::model::secret::Secret;
use crate::model::wire;

/// How long a reader may take beside what it waits for: it has 10 seconds of CPU time, on a machine that may be slow.
const SLACK: Duration = Duration::from_secs(60);

/// What a thread or a process without rights asks for.
pub enum Question {
    /// Something of the machine.
    Ask(Asked),
    /// Answers of services.
    Http(Vec<http::Request>, Instant),
    /// What the data names.
    Fetch(Request),
}

/// What it gets.
pub enum Answer {
    /// See [`World::ask`].
    Ask(Result<Option<Vec<u8>>, Error>),
    /// See [`World::http`].
    Http(Vec<Result<http::Response, http::Error>>),
    /// What the data names, `None` where that is not brought here.
    Fetch(Result<Option<Vec<u8>>, Unfetched>),
}

/// [`Ask`] as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asked {
    File(String),
    Hypervisor,
    Guestinfo(String),
    Drives,
    Drive(String, String),
    Links,
    BootTimes,
}

impl From<Ask<'_>> for Asked {
    fn from(ask: Ask<'_>) -> Self {
        match ask {
            Ask::File(path) => Self::File(path.to_owned()),
            Ask::Hypervisor => Self::Hypervisor,
            Ask::Guestinfo(key) => Self::Guestinfo(key.to_owned()),
            Ask::Drives => Self::Drives,
            Ask::Drive { label, file } => Self::Drive(label.to_owned(), file.to_owned()),
            Ask::Links => Self::Links,
            Ask::BootTimes => Self::BootTimes,
        }
    }
}

impl Asked {
    fn ask(&self) -> Ask<'_> {
        match self {
            Self::File(path) => Ask::File(path),
            Self::Hypervisor => Ask::Hypervisor,
            Self::Guestinfo(key) => Ask::Guestinfo(key),
            Self::Drives => Ask::Drives,
            Self::Drive(label, file) => Ask::Drive { label, file },
            Self::Links => Ask::Links,
            Self::BootTimes => Ask::BootTimes,
        }
    }
}

/// Sends a question and waits for its answer; `None` where nobody answers any more.
pub type Asker<'a> = dyn FnMut(Question) -> Option<Answer> + 'a;

/// Something to read, with all that is known before.
pub trait Work: Serialize + DeserializeOwned + Sync {
    /// Its name between the two.
    const NAME: &'static str;
    /// What is known afterwards.
    type Done: Serialize + DeserializeOwned + Send;

    /// Reads it.
    fn read(&self, asker: &mut Asker<'_>) -> Self::Done;
}

/// Reads: in a process of its own where there is one and it may be `apart`, and else in a thread. What is asked, `serve` answers.
///
/// # Errors
/// The machine has no room for a thread, the process ended, or the data took more than its budget.
pub fn read<W: Work>(
    work: &W,
    apart: bool,
    patience: Duration,
    mut serve: impl FnMut(Question) -> Answer,
) -> Result<W::Done, Failure> {
    let reader = if apart { lock(&READER).take().or_else(Connection::open) } else { None };
    let Some(reader) = reader else {
        let failed = |e| Failure::new(Stage::Fetch, e);
        let done = confined::run(|asker| work.read(asker), serve).map_err(failed)?;
        // In a program for tests it goes the way that it would go between two processes: what is lost there is lost in each of them.
        return if cfg!(all(debug_assertions, not(test))) {
            wire::pack(&done).and_then(wire::unpack).map_err(failed)
        } else {
            Ok(done)
        };
    };
    follow(reader, work, patience, &mut serve)
}

/// The reader of this process, while it waits for something to do.
static READER: Mutex<Option<Connection>> = Mutex::new(None);

/// What ended it.
static ENDED: Mutex<Option<Failure>> = Mutex::new(None);

/// Asks services, from a process of its own; `None` where there is none.
pub fn http(
    requests: &[http::Request],
    deadline: Instant,
) -> Option<Vec<Result<http::Response, http::Error>>> {
    let mut reader = lock(&READER).take().or_else(Connection::open)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let answers = reader
        .wait_for(left.saturating_add(SLACK))
        .and_then(|()| reader.send(&Told::Http(Cow::Borrowed(requests), left, http::is_for_a_person())));
    let answers = answers.and_then(|()| match hear(&mut reader)? {
        Said::Http(answers) if answers.len() == requests.len() => Ok(answers),
        Said::Spent(failure) => {
            let what = failure.to_string();
            *lock(&ENDED) = Some(failure);
            Err(anyhow!(what))
        }
        _ => Err(anyhow!("an answer to another question")),
    });
    Some(match answers {
        Ok(answers) => {
            *lock(&READER) = Some(reader);
            answers
        }
        Err(error) => {
            requests.iter().map(|r| Err(http::Error::of(r, format!("was not asked: {error:#}")))).collect()
        }
    })
}

/// Lets the reader end: all is read.
pub fn end() {
    drop(lock(&READER).take());
}

/// What a reader says.
#[derive(Serialize, Deserialize)]
enum Said {
    /// It is there, and of this version.
    Ready(String),
    Log(String, String, String),
    Asked(Asked),
    Fetch(Request),
    /// What services answered.
    Http(Vec<Result<http::Response, http::Error>>),
    /// The data took more than its budget.
    Spent(Failure),
    /// What is known comes next.
    Done,
}

/// What it is told.
#[derive(Serialize, Deserialize)]
enum Told<'a> {
    /// Work of this name comes next.
    Work(String),
    /// Services are to be asked, within this time, and whether a person waits.
    Http(Cow<'a, [http::Request]>, Duration, bool),
    Asked(Result<Option<Secret>, Refusal>),
    Fetch(Result<Option<Secret>, Unfetched>),
}

/// An [`Error`] as it is sent.
#[derive(Serialize, Deserialize)]
struct Refusal {
    broken: bool,
    problem: Problem,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Broken(problem) => Self { broken: true, problem },
            Error::Unreachable(error) => Self { broken: false, problem: error.into() },
        }
    }
}

impl From<Refusal> for Error {
    fn from(Refusal { broken, problem }: Refusal) -> Self {
        if broken { Self::Broken(problem) } else { Self::Unreachable(problem.into_error()) }
    }
}

/// Hands a reader its work and answers what it asks.
fn follow<W: Work>(
    mut line: Connection,
    work: &W,
    patience: Duration,
    serve: &mut dyn FnMut(Question) -> Answer,
) -> Result<W::Done, Failure> {
    let ended = |error: anyhow::Error| {
        if let Some(failure) = lock(&ENDED).take() {
            return failure;
        }
        let what = "the process that reads metadata and data ended before its time";
        let cure = "see `journalctl -u 'footplate-reader@*'` for how it ended";
        Failure::new(
            Stage::Decode,
            Problem { why: vec![format!("{error:#}")], ..Problem::error("", what).cure(cure) },
        )
    };
    line.send(&Told::Work(W::NAME.to_owned())).and_then(|()| line.send(work)).map_err(ended)?;
    loop {
        line.wait_for(patience.saturating_add(SLACK)).map_err(ended)?;
        let question = match hear(&mut line).map_err(ended)? {
            Said::Done => {
                let done = line.receive().map_err(ended)?;
                *lock(&READER) = Some(line);
                return Ok(done);
            }
            Said::Spent(failure) => return Err(failure),
            Said::Asked(asked) => Question::Ask(asked),
            Said::Fetch(request) => Question::Fetch(request),
            Said::Ready(_) | Said::Log(..) | Said::Http(_) => {
                return Err(ended(anyhow!("it said what nobody asked for")));
            }
        };
        // It waits, and may ask services for who answers.
        *lock(&READER) = Some(line);
        let told = match serve(question) {
            Answer::Ask(answer) => {
                Told::Asked(answer.map(|bytes| bytes.map(Secret::new)).map_err(Refusal::from))
            }
            Answer::Fetch(answer) => Told::Fetch(answer.map(|bytes| bytes.map(Secret::new))),
            Answer::Http(_) => return Err(ended(anyhow!("it asked for what it may not have"))),
        };
        line = lock(&READER).take().ok_or_else(|| ended(anyhow!("it ended while it asked a service")))?;
        line.send(&told).map_err(ended)?;
    }
}

/// What a reader says next. What it logs is logged.
fn hear(line: &mut Connection) -> Result<Said> {
    loop {
        match line.receive()? {
            Said::Log(level, target, text) => {
                log::log!(target: &target, level.parse().unwrap_or(log::Level::Info), "{text}");
            }
            said => return Ok(said),
        }
    }
}

/// What a reader sends on; whoever logs there uses it too.
static OUT: OnceLock<Mutex<Connection>> = OnceLock::new();

/// Sends what is logged to who asked for a reader. Gives whether this process is one.
pub fn hand_over(record: &Record<'_>) -> bool {
    let Some(out) = OUT.get() else { return false };
    let said = Said::Log(record.level().to_string(), record.target().to_owned(), record.args().to_string());
    // Who asked may be gone: then nobody reads it.
    let _ = lock(out).send(&said);
    true
}

/// What it guards is whole between any two of its changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader's end of a connection.
pub struct Server {
    line: Connection,
    out: &'static Mutex<Connection>,
    services: Live,
}

impl Server {
    /// Answers at standard input, which is the connection.
    ///
    /// # Errors
    /// Standard input is no such connection, or who asked is gone.
    pub fn open() -> Result<Self> {
        let end = || -> Result<Connection> {
            let input = std::io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
            let stream = UnixStream::from(input);
            stream.peer_addr().context("standard input is no connection to footplate")?;
            Ok(Connection(stream))
        };
        let (line, out) = (end()?, end()?);
        let out = OUT.get_or_init(|| Mutex::new(out));
        lock(out).send(&Said::Ready(VERSION.to_owned()))?;
        budget::begin(move |failure| {
            let _ = lock(out).send(&Said::Spent(failure.clone()));
        });
        Ok(Self { line, out, services: Live::default() })
    }

    /// The name of the next work; `None` where there is no more.
    ///
    /// # Errors
    /// What comes is none, or who asked is gone.
    pub fn next(&mut self) -> Result<Option<String>> {
        while !self.line.ended()? {
            match self.told()? {
                Some(Told::Work(name)) => return Ok(Some(name)),
                Some(_) => return Err(anyhow!("an answer that nothing here asked for")),
                None => {}
            }
        }
        Ok(None)
    }

    /// What it is told; `None` where it was to ask services, and did.
    fn told(&mut self) -> Result<Option<Told<'static>>> {
        match self.line.receive()? {
            Told::Http(requests, left, for_a_person) => {
                if for_a_person {
                    http::for_a_person();
                }
                let answers = self.services.http(&requests, Instant::now() + left);
                lock(self.out).send(&Said::Http(answers))?;
                Ok(None)
            }
            told => Ok(Some(told)),
        }
    }

    /// Does the work.
    ///
    /// # Errors
    /// Who asked is gone, or the machine has no room for a thread.
    pub fn serve<W: Work>(&mut self) -> Result<()> {
        let work: W = self.line.receive()?;
        let done = confined::run(
            |asker| work.read(asker),
            |question| match question {
                Question::Http(requests, deadline) => Answer::Http(self.services.http(&requests, deadline)),
                Question::Ask(asked) => Answer::Ask(match self.ask(&Said::Asked(asked)) {
                    Ok(Told::Asked(answer)) => {
                        answer.map(|bytes| bytes.map(Secret::into_exposed)).map_err(Error::from)
                    }
                    Ok(_) => Err(anyhow!("an answer to another question").into()),
                    Err(error) => Err(error.into()),
                }),
                Question::Fetch(request) => Answer::Fetch(match self.ask(&Said::Fetch(request)) {
                    Ok(Told::Fetch(answer)) => answer.map(|bytes| bytes.map(Secret::into_exposed)),
                    _ => Err("footplate is gone".into()),
                }),
            },
        )?;
        let mut out = lock(self.out);
        out.send(&Said::Done)?;
        out.send(&done)
    }

    fn ask(&mut self, said: &Said) -> Result<Told<'static>> {
        lock(self.out).send(said)?;
        loop {
            if let Some(told) = self.told()? {
                return Ok(told);
            }
        }
    }
}

/// Answers what is asked of a machine and its services.
pub fn answer(world: &dyn World, question: Question) -> Answer {
    match question {
        Question::Ask(asked) => Answer::Ask(world.ask(asked.ask())),
        Question::Http(requests, deadline) => Answer::Http(world.http(&requests, deadline)),
        Question::Fetch(_) => Answer::Fetch(Ok(None)),
    }
}

#[cfg(test)]
mod tests;
