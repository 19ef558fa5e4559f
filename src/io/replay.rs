// SPDX-License-Identifier: Apache-2.0
//! A machine's answers: kept by [`Capture`], given again from a directory by [`Replay`].
//!
//! Each answer is a file named by [`Ask::name`]. A question without a file has no answer, one with a file of its name
//! and `.error` fails with that file's text. An HTTP request that has no file is answered with 404.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::live::read_bounded;
use super::{Ask, World, http};

/// Gives the answers that a directory holds.
pub struct Replay {
    dir: PathBuf,
}

impl Replay {
    /// Opens a directory of answers.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            bail!("{}: no directory", dir.display());
        }
        Ok(Self { dir: dir.to_owned() })
    }
}

impl Replay {
    fn answer(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if name.split('/').any(|part| part == "..") {
            bail!("{name}: goes up by `..`");
        }
        if let Ok(text) = fs::read_to_string(self.dir.join(format!("{name}.error"))) {
            bail!("{}", text.trim());
        }
        match File::open(self.dir.join(name)) {
            Ok(file) => read_bounded(file, name).map(Some),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e).with_context(|| name.to_owned()),
        }
    }
}

impl World for Replay {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>> {
        self.answer(&ask.name())
    }

    fn http(
        &self,
        requests: &[http::Request],
        _deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        let answer = |request: &http::Request| match self.answer(&request.name()) {
            Ok(Some(body)) => Ok(http::Response::of(200, body)),
            // It was never captured; whoever asked for it sends it on and looks at it no further.
            Ok(None) if request.secret => Ok(http::Response::of(200, "replayed")),
            Ok(None) => Ok(http::Response::of(404, Vec::new())),
            Err(e) => Err(http::Error::of(request, e.to_string())),
        };
        requests.iter().map(answer).collect()
    }

    fn set_guestinfo(&self, _key: &str, _value: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Passes questions on and keeps the answers, each by its name.
pub struct Capture<'a> {
    inner: &'a dyn World,
    kept: RefCell<Vec<(String, Vec<u8>)>>,
}

impl<'a> Capture<'a> {
    /// Keeps what `inner` answers.
    pub fn new(inner: &'a dyn World) -> Self {
        Self { inner, kept: RefCell::default() }
    }

    /// What was kept, secrets and all.
    pub fn into_kept(self) -> Vec<(String, Vec<u8>)> {
        self.kept.into_inner()
    }
}

impl World for Capture<'_> {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>> {
        let answer = self.inner.ask(ask);
        let kept = match &answer {
            Ok(None) => None,
            Ok(Some(bytes)) => Some((ask.name(), bytes.clone())),
            Err(error) => Some((format!("{}.error", ask.name()), format!("{error:#}\n").into_bytes())),
        };
        self.kept.borrow_mut().extend(kept);
        answer
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

    fn set_guestinfo(&self, key: &str, value: &[u8]) -> Result<()> {
        self.inner.set_guestinfo(key, value)
    }
}
