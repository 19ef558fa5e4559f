// SPDX-License-Identifier: Apache-2.0
//! Large files from elsewhere, as streams that can begin in their middle.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, header};

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this machine.
    File(PathBuf),
    /// At an `https://` or `http://` address.
    Url(String),
}

impl Location {
    /// The location that an address or a path tells.
    pub fn of(text: &str) -> Self {
        match text.strip_prefix("file://") {
            Some(path) => Self::File(path.into()),
            None if text.contains("://") => Self::Url(text.to_owned()),
            None => Self::File(text.into()),
        }
    }

    /// A file in a directory at this location.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        match self {
            Self::File(dir) => Self::File(dir.join(name)),
            Self::Url(url) => Self::Url(format!("{}/{name}", url.trim_end_matches('/'))),
        }
    }
}

impl fmt::Display for Location {
    /// Without what a URL may carry of a secret: user, password and query.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => {
                let url = url.split(['?', '#']).next().unwrap_or_default();
                match url.split_once("://").and_then(|(s, rest)| Some((s, rest.split_once('@')?.1))) {
                    Some((scheme, rest)) => write!(f, "{scheme}://{rest}"),
                    None => f.write_str(url),
                }
            }
        }
    }
}

/// A file that comes in.
pub struct Stream {
    /// The first byte's offset: what was asked for, or 0 where the other side can't begin in the middle.
    pub offset: u64,
    /// The whole file's length, where it is told.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Box<dyn Read>,
}

/// Why a file could not be opened, or broke off.
#[derive(Debug)]
pub struct Trouble {
    /// What happened.
    pub error: anyhow::Error,
    /// Whether another try may do.
    pub may_pass: bool,
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self { error: error.into(), may_pass: false }
    }
}

/// Opens a file at an offset; `None` where there is none.
///
/// # Errors
/// It can't be read.
pub fn open(location: &Location, offset: u64) -> Result<Option<Stream>, Trouble> {
    match location {
        Location::File(path) => open_file(path, offset),
        Location::Url(url) => {
            open_url(url, offset).map_err(|t| Trouble { error: t.error.context(location.to_string()), ..t })
        }
    }
}

fn open_file(path: &Path, offset: u64) -> Result<Option<Stream>, Trouble> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(anyhow!(e).context(path.display().to_string()).into()),
    };
    let length = file.metadata()?.len();
    // A part that is longer than the whole belongs to another file.
    let offset = if offset <= length { offset } else { 0 };
    file.seek(SeekFrom::Start(offset))?;
    Ok(Some(Stream { offset, length: Some(length), body: Box::new(file) }))
}

/// How long a server may take to accept a connection, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(15);

/// A download that brings no byte for this long is tried again where it stopped.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// Redirects: a release of GitHub's takes one, a mirror in front of it another.
const MAX_REDIRECTS: usize = 5;

const USER_AGENT: &str = concat!("footplate/", env!("CARGO_PKG_VERSION"));

/// Names are resolved without the C library.
struct Names;

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = super::dns::resolve(name.as_str()).await?;
            // The URL's port takes the place of 0.
            let addresses = found.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// A client for one download: it lives and dies with its runtime. It uses the proxies of the environment, which builds of
/// images know; services of a node's own platform are asked by another one.
fn client() -> Result<Client> {
    let redirect = Policy::custom(|attempt| {
        let from = attempt.previous().last().map(|url| url.scheme().to_owned());
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirects")
        } else if from.as_deref() == Some("https") && attempt.url().scheme() != "https" {
            attempt.error("it redirects away from https")
        } else {
            attempt.follow()
        }
    });
    let client = Client::builder()
        .tls_backend_preconfigured(super::tls::config(super::tls::roots()?)?)
        .dns_resolver(Arc::new(Names))
        .redirect(redirect)
        .connect_timeout(CONNECT_LIMIT)
        .read_timeout(IDLE_LIMIT)
        .user_agent(USER_AGENT);
    client.build().context("HTTP can't be set up")
}

fn open_url(url: &str, offset: u64) -> Result<Option<Stream>, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = client()?;
    let mut request = client.get(url);
    if offset > 0 {
        request = request.header(header::RANGE, format!("bytes={offset}-"));
    }
    // Its timers are made when it is made, and belong to the runtime.
    let response = runtime.block_on(async { request.send().await }).map_err(|e| trouble(&e))?;
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
    // `Content-Range: bytes FIRST-LAST/LENGTH`
    let range = header(header::CONTENT_RANGE).and_then(|r| r.strip_prefix("bytes "));
    let first = range.and_then(|r| r.split('-').next()?.parse().ok());
    let length = response.content_length();
    let offset = match status.as_u16() {
        200 => 0,
        206 if first == Some(offset) => offset,
        // The part is not of this file, or is all of it: from its beginning again, where its length is told.
        206 | 416 if offset > 0 => return open_url(url, 0),
        404 | 410 => return Ok(None),
        code => {
            // A server in trouble may be out of it soon; a refusal stays one.
            let may_pass = matches!(code, 408 | 429 | 500..=599);
            return Err(Trouble { error: anyhow!("HTTP status {code}"), may_pass });
        }
    };
    let body = Body { runtime, response, chunk: Vec::new(), taken: 0 };
    Ok(Some(Stream { offset, length: length.map(|l| l + offset), body: Box::new(body) }))
}

/// An error of reqwest's in words, without the URL and its query.
fn trouble(error: &reqwest::Error) -> Trouble {
    let mut causes = Vec::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let text = causes.join(": ");
    // A certificate that is not trusted will not be at the next try.
    let certificate = text.contains("certificate");
    let what = match causes.is_empty() {
        false => text,
        true if error.is_timeout() => "no answer in time".to_owned(),
        true => "the request failed".to_owned(),
    };
    Trouble { error: anyhow!(what), may_pass: !certificate && !error.is_redirect() && !error.is_builder() }
}

/// The body of an answer, as a plain stream.
struct Body {
    runtime: tokio::runtime::Runtime,
    response: Response,
    /// What came last, and how much of it was taken.
    chunk: Vec<u8>,
    taken: usize,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.taken == self.chunk.len() {
            match self.runtime.block_on(self.response.chunk()) {
                Ok(Some(chunk)) => (self.chunk, self.taken) = (chunk.into(), 0),
                Ok(None) => return Ok(0),
                Err(e) => return Err(std::io::Error::other(format!("{:#}", trouble(&e).error))),
            }
        }
        let n = (self.chunk.len() - self.taken).min(buffer.len());
        buffer[..n].copy_from_slice(&self.chunk[self.taken..self.taken + n]);
        self.taken += n;
        Ok(n)
    }
}
