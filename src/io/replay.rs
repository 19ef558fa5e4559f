// SPDX-License-Identifier: Apache-2.0
//! A machine's answers: kept by [`Capture`], given again from a directory by [`Replay`].
//!
//! Each answer is a file named by [`Ask::name`]. A question without a file has no answer; one with a file of its name
//! and `.error` fails with that file's text. An HTTP request that has no file is answered with 404. What the platform is
//! told is kept in the same way, named by [`Tell::name`]. A replay only logs what it would have told.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::tar::{Archive, Kind};
use super::{Ask, Error, Tell, World, http, read_file};
use crate::model::problem::WithCure as _;

/// The file that tells with which options the answers of a directory were captured.
const ASKED_FOR: &str = "asked-for.json";

/// What that file holds, at its path in the directory.
pub fn asked_for_file(platform: Option<&str>, seed: Option<&str>) -> (String, Vec<u8>) {
    let text = format!("{:#}\n", serde_json::json!({ "version": 1, "platform": platform, "seed": seed }));
    (ASKED_FOR.to_owned(), text.into_bytes())
}

/// The platform and the NoCloud directory that were named when the answers of a directory or an archive were captured.
pub fn asked_for(path: &Path) -> (Option<String>, Option<String>) {
    let bytes = Replay::open(path).ok().and_then(|replay| replay.answer(ASKED_FOR).ok().flatten());
    let bytes = bytes.unwrap_or_default();
    let asked: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    (text("platform"), text("seed"))
}

/// Gives the answers that a directory holds, or an archive of one (tar).
pub struct Replay {
    dir: PathBuf,
    /// The files of an archive, by their paths.
    packed: Option<BTreeMap<String, Vec<u8>>>,
}

/// Most bytes of all files of an archive.
const MAX_PACKED: u64 = 64 << 20;

impl Replay {
    /// Opens a directory or an archive of answers.
    ///
    /// # Errors
    /// It does not exist, or it is not a whole archive.
    pub fn open(path: &Path) -> Result<Self> {
        let packed = match path.is_dir() {
            true => None,
            false => {
                let packed = unpacked(path).with_context(|| {
                    format!("{}: neither a directory nor an archive (tar) of answers", path.display())
                });
                Some(packed.cure("name what `footplate capture` or `footplate collect` wrote")?)
            }
        };
        Ok(Self { dir: path.to_owned(), packed })
    }

    /// The file of an answer; a document may have others below its path.
    fn file(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        if let Some(packed) = &self.packed {
            return Ok(packed.get(name).or_else(|| packed.get(&format!("{name}/{INDEX}"))).cloned());
        }
        let path = self.dir.join(name);
        let path = if path.is_dir() { path.join(INDEX) } else { path };
        read_file(&path, name)
    }
}

/// The files of an archive.
fn unpacked(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut archive = Archive::new(BufReader::new(File::open(path)?));
    let (mut files, mut left) = (BTreeMap::new(), MAX_PACKED);
    while let Some(member) = archive.next_member()? {
        left = left.checked_sub(member.size).with_context(|| format!("more than {MAX_PACKED} bytes"))?;
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes)?;
        if member.kind == Kind::File {
            files.insert(member.path, bytes);
        }
    }
    Ok(files)
}

impl Replay {
    fn answer(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        if name.split('/').any(|part| part == "..") {
            return Err(anyhow!("{name}: leaves the directory by `..`").into());
        }
        if let Some(text) = self.file(&format!("{name}.error"))? {
            return Err(anyhow!("{}", String::from_utf8_lossy(&text).trim()).into());
        }
        self.file(name)
    }
}

impl World for Replay {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        self.answer(&ask.name())
    }

    fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
        log::info!("replay: {}: {}", tell.name(), String::from_utf8_lossy(tell.value()));
        Ok(())
    }

    fn http(
        &self,
        requests: &[http::Request],
        _deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        let answer = |request: &http::Request| match self.answer(&request.name()) {
            Ok(Some(body)) => Ok(http::Response::of(200, body)),
            // A credential is never captured; what asked for it only sends it on.
            Ok(None) if request.secret => Ok(http::Response::of(200, "replayed")),
            Ok(None) => Ok(http::Response::of(404, Vec::new())),
            Err(e) => Err(http::Error::of(request, e.to_string())),
        };
        requests.iter().map(answer).collect()
    }

    /// What was recorded does not change: it is not waited for.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    fn asks_without_token(&self) -> bool {
        false
    }
}

/// Passes questions on and keeps the answers, each by its name, and likewise what the platform is told.
pub struct Capture {
    inner: Rc<dyn World>,
    kept: RefCell<Vec<(String, Vec<u8>)>>,
}

impl Capture {
    /// Keeps what `inner` answers.
    pub fn new(inner: Rc<dyn World>) -> Self {
        Self { inner, kept: RefCell::default() }
    }

    /// Takes out what was kept, secrets and all.
    pub fn take(&self) -> Vec<(String, Vec<u8>)> {
        let mut kept = self.kept.take();
        let names: Vec<String> = kept.iter().map(|(name, _)| name.clone()).collect();
        for (name, _) in &mut kept {
            let below = format!("{name}/");
            if names.iter().any(|other| other.starts_with(&below)) {
                name.push('/');
                name.push_str(INDEX);
            }
        }
        kept
    }
}

/// The file of an answer whose path is a directory here, since others are below it.
const INDEX: &str = "index";

/// How a question that failed is kept.
fn failed(name: &str, error: &Error) -> (String, Vec<u8>) {
    let text = match error {
        Error::Unreachable(error) => format!("{error:#}\n"),
        Error::Broken(problem) => format!("{problem}\n"),
    };
    (format!("{name}.error"), text.into_bytes())
}

impl World for Capture {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        let answer = self.inner.ask(ask);
        let kept = match &answer {
            Ok(None) => None,
            Ok(Some(bytes)) => Some((ask.name(), bytes.clone())),
            Err(error) => Some(failed(&ask.name(), error)),
        };
        self.kept.borrow_mut().extend(kept);
        answer
    }

    fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
        let result = self.inner.tell(tell);
        self.kept.borrow_mut().push(match &result {
            Ok(()) => (tell.name(), tell.value().to_vec()),
            Err(error) => failed(&tell.name(), error),
        });
        result
    }

    fn http(
        &self,
        requests: &[http::Request],
        deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        let answers = self.inner.http(requests, deadline);
        let keep = |(request, answer): (&http::Request, &Result<http::Response, http::Error>)| match answer {
            _ if request.secret => None,
            Ok(response) if response.status == 200 => Some((request.name(), response.body.expose().to_vec())),
            Ok(response) if response.status == 404 => None,
            Ok(response) => Some((
                format!("{}.error", request.name()),
                format!("HTTP status {}\n", response.status).into(),
            )),
            Err(error) => Some((format!("{}.error", request.name()), format!("{error}\n").into_bytes())),
        };
        self.kept.borrow_mut().extend(requests.iter().zip(&answers).filter_map(keep));
        answers
    }

    fn patience(&self) -> Duration {
        self.inner.patience()
    }

    fn asks_without_token(&self) -> bool {
        self.inner.asks_without_token()
    }
}
