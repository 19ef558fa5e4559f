// SPDX-License-Identifier: Apache-2.0
//! HTTP/1.1, as metadata services, AWS's endpoints, download mirrors and the sources of bootstrap data are asked: no
//! cookies, no redirects and no proxies unless the request has them, bounds on every header and body, and one deadline
//! over all tries.
//!
//! The library is reqwest, with all that it would do by itself turned off. An answer's head is bounded by hyper below it:
//! 100 headers, 400 KiB; bodies are read by chunks and bounded here.

mod connect;
mod marked;

use std::fmt;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
pub use reqwest::Method;
use reqwest::Url;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::connect::Pool;
use super::{MAX_ANSWER, dns};
use crate::model::fetch::FetchOptions;
use crate::model::secret::Secret;

/// Requests on their way at once. EC2 bounds an instance's simultaneous connections to its metadata service without
/// saying where; its own SDKs stay below this.
const MAX_AT_ONCE: usize = 16;

/// How long a try waits for an answer's head, and for each further piece of it. A metadata service answers in
/// milliseconds, AWS's endpoints in a second.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// A download that brings no byte for this long is tried again where it stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause after the first failed try; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A try that has less than this until the deadline is not made: it would only cover what the one before it met.
const SHORTEST_TRY: Duration = Duration::from_millis(50);

/// How far a pause is off its mark, so that a cluster's nodes don't come back all at once.
const JITTER: f64 = 0.2;

/// What `Retry-After` is obeyed up to: a service that asks for more gets asked again sooner.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("footplate/", env!("CARGO_PKG_VERSION"));

/// The status codes after which the same request may yet succeed; what a platform adds to them is in
/// [`Request::retry_also`]. The one place that decides this.
fn may_pass(status: u16, also: &[u16]) -> bool {
    matches!(status, 408 | 429 | 500..=599) || also.contains(&status)
}

/// A request.
#[derive(Clone)]
pub struct Request {
    /// `GET`, `PUT`, `POST`, `PATCH`.
    pub method: Method,
    /// `http://` or `https://`, host, path, query. Its query may hold a signature and is never printed.
    pub url: String,
    /// Headers besides `Host`, `User-Agent` and `Content-Length`.
    pub headers: Vec<(String, Secret)>,
    /// The body, empty for none.
    pub body: Secret,
    /// Most bytes of the answer's body.
    pub limit: usize,
    /// Where the service listens, when that is known without asking DNS: all are tried, the first to answer is used.
    pub addresses: &'static [IpAddr],
    /// Redirects to follow; to `https` or from `http` only, and other hosts get no header of ours.
    pub redirects: u8,
    /// Further status codes after which the same request may yet succeed.
    pub retry_also: &'static [u16],
    /// What tells apart requests to one path, in [`Request::name`].
    pub label: String,
    /// Whether the answer is a credential, which is never captured.
    pub secret: bool,
    /// Bounds of the user's, authorities beside the system's, and a proxy.
    pub options: FetchOptions,
}

impl Request {
    /// A request with a method and nothing else.
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Secret::default(),
            limit: MAX_ANSWER,
            addresses: &[],
            redirects: 0,
            retry_also: &[],
            label: String::new(),
            secret: false,
            options: FetchOptions::default(),
        }
    }

    /// A `GET`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::GET, url)
    }

    /// The same with a further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Secret>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The request as a relative path: its place in a captured directory.
    pub fn name(&self) -> String {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        let last = match (self.label.as_str(), path.ends_with('/')) {
            // A directory of a metadata tree and the files below it share their path.
            ("", true) => "/index",
            ("", false) => "",
            (label, _) => &format!("/{label}"),
        };
        format!("http/{}{last}", path.trim_end_matches('/'))
    }

    /// The request in a message: method and URL without its query.
    pub fn place(&self) -> String {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        let label = if self.label.is_empty() { String::new() } else { format!(" ({})", self.label) };
        if self.method == Method::GET {
            format!("{url}{label}")
        } else {
            format!("{} {url}{label}", self.method)
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.place())
    }
}

/// An answer that will not change by asking again: any status but those of [`Request::retry_also`] and the common ones.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Secret,
}

impl Response {
    /// An answer without headers.
    pub fn of(status: u16, body: impl Into<Secret>) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// The body of a success, `None` for 404.
    ///
    /// # Errors
    /// Any other status, in words.
    pub fn found(self) -> Result<Option<Secret>, String> {
        match self.status {
            200 | 204 => Ok(Some(self.body)),
            404 => Ok(None),
            300..=399 => Err(format!("HTTP status {}: a redirect, which is not followed here", self.status)),
            status => Err(format!("HTTP status {status}")),
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request that got no answer.
#[derive(Clone, Debug)]
pub struct Error {
    /// Method and URL without its query.
    pub place: String,
    /// What the last try met.
    pub what: String,
    /// The status code that the last try met, if it came to one.
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether the deadline ended it.
    pub gave_up: bool,
}

impl Error {
    /// A request that could not even be tried.
    pub fn of(request: &Request, what: impl Into<String>) -> Self {
        Self { place: request.place(), what: what.into(), status: None, tries: 0, gave_up: false }
    }

    /// What happened, for a message that names the place itself.
    pub fn without_place(&self) -> String {
        let s = if self.tries == 1 { "y" } else { "ies" };
        match self.gave_up {
            true => format!("{} (gave up at the deadline, after {} tr{s})", self.what, self.tries),
            false => self.what.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.without_place())
    }
}

impl std::error::Error for Error {}

/// What a download brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// How many bytes.
    pub size: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Why a try did not bring an answer.
#[derive(Debug)]
struct Trouble {
    what: String,
    status: Option<u16>,
    /// Whether another try may.
    again: bool,
    /// The pause that the server asks for.
    after: Option<Duration>,
}

impl Trouble {
    fn again(what: impl Into<String>) -> Self {
        Self { what: what.into(), status: None, again: true, after: None }
    }

    fn never(what: impl Into<String>) -> Self {
        Self { again: false, ..Self::again(what) }
    }
}

/// Pauses between tries: doubling, jittered, never beyond the deadline.
struct Tries {
    deadline: Instant,
    pause: Duration,
    count: u32,
    /// What the try before met.
    met: Option<Trouble>,
}

impl Tries {
    fn until(deadline: Instant) -> Self {
        Self { deadline, pause: FIRST_PAUSE, count: 0, met: None }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits before the next try, or makes the last trouble an error.
    async fn next(&mut self, request: &Request, trouble: Trouble) -> Result<(), Error> {
        let spread = 1.0 + JITTER * (2.0 * (dns::random() as f64 / u64::MAX as f64) - 1.0);
        let pause = trouble.after.map_or(self.pause, |a| a.min(LONGEST_RETRY_AFTER)).mul_f64(spread);
        let gave_up = trouble.again && pause + SHORTEST_TRY >= self.left();
        if !trouble.again || gave_up {
            let Trouble { what, status, .. } = trouble;
            return Err(Error { place: request.place(), what, status, tries: self.count, gave_up });
        }
        log::debug!("{}: {}, next try in {} ms", request.place(), trouble.what, pause.as_millis());
        sleep(pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.met = Some(trouble);
        Ok(())
    }

    /// Runs one try within its bound and the deadline's.
    async fn bounded<T>(
        &mut self,
        bound: Duration,
        attempt: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        self.count += 1;
        let tried = within(bound.min(self.left()), attempt).await;
        match (tried, self.met.take()) {
            // That the deadline came in the middle of a try tells less than what the one before it met.
            (Err(_), Some(met)) if self.left().is_zero() => Err(met),
            (tried, _) => tried,
        }
    }
}

/// A piece of a try within its bound.
async fn within<T>(bound: Duration, piece: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let late = |_| Err(Trouble::again(format!("no answer within {} ms", bound.as_millis())));
    timeout(bound, piece).await.unwrap_or_else(late)
}

/// Sends requests; connections are kept for the next ones.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    pool: Arc<Pool>,
}

impl Client {
    /// A client without any connection. Its TLS is set up with the first `https` request.
    ///
    /// # Errors
    /// The system has no room for it.
    pub fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, pool: Arc::new(Pool::new().map_err(anyhow::Error::msg)?) })
    }

    /// Sends one request and tries until there is an answer or `deadline` has come.
    ///
    /// # Errors
    /// No answer came, or one that breaks a bound.
    pub fn fetch(&self, request: &Request, deadline: Instant) -> Result<Response, Error> {
        self.runtime.block_on(async {
            // The connection of the request before gets its turn to become a kept one.
            tokio::task::yield_now().await;
            fetch(&self.pool, request, deadline).await
        })
    }

    /// Sends independent requests at once, and gives the answers in the requests' order.
    pub fn fetch_all(&self, requests: &[Request], deadline: Instant) -> Vec<Result<Response, Error>> {
        let lost = |r: &Request| Err(Error::of(r, "was given up"));
        let mut answers: Vec<Result<Response, Error>> = requests.iter().map(lost).collect();
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            let mut waiting = requests.iter().cloned().enumerate();
            loop {
                while tasks.len() < MAX_AT_ONCE
                    && let Some((index, request)) = waiting.next()
                {
                    let pool = Arc::clone(&self.pool);
                    tasks.spawn(async move { (index, fetch(&pool, &request, deadline).await) });
                }
                match tasks.join_next().await {
                    Some(Ok((index, answer))) => answers[index] = answer,
                    Some(Err(_)) => {}
                    None => break,
                }
            }
        });
        answers
    }

    /// Downloads into a file from its start, at most [`Request::limit`] bytes of it, and digests what is written. A cut
    /// download goes on where it stopped, if the server can.
    ///
    /// # Errors
    /// Any status but 200, no answer until `deadline`, more bytes than the limit, or the disk refuses.
    pub fn download(&self, request: &Request, file: &mut File, deadline: Instant) -> Result<Downloaded> {
        self.runtime.block_on(download(&self.pool, request, file, deadline))
    }
}

async fn fetch(pool: &Pool, request: &Request, deadline: Instant) -> Result<Response, Error> {
    let seconds = |bound: Option<u64>| bound.filter(|s| *s > 0).map(Duration::from_secs);
    let total = seconds(request.options.total).and_then(|total| Instant::now().checked_add(total));
    let mut tries = Tries::until(total.map_or(deadline, |total| total.min(deadline)));
    let head_bound = match request.options.response_headers {
        Some(0) => Duration::MAX,
        given => seconds(given).unwrap_or(TRY_TIMEOUT),
    };
    loop {
        let (turn, left) = (tries.count as usize, tries.left());
        let attempt = async {
            let (head, mut body) = within(head_bound.min(left), open(pool, request, turn, &[])).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = within(TRY_TIMEOUT.min(left), next_chunk(&mut body)).await? {
                if bytes.len() + chunk.len() > request.limit {
                    return Err(too_large(request));
                }
                bytes.extend_from_slice(&chunk);
            }
            Ok(Response { status: head.status, headers: head.headers, body: Secret::new(bytes) })
        };
        match tries.bounded(left, attempt).await {
            Ok(response) => return Ok(response),
            Err(trouble) => tries.next(request, trouble).await?,
        }
    }
}

async fn download(pool: &Pool, request: &Request, file: &mut File, deadline: Instant) -> Result<Downloaded> {
    let mut tries = Tries::until(deadline);
    let (mut size, mut digest, mut etag) = (0_u64, Sha256::new(), None::<String>);
    file.set_len(0).and_then(|()| file.rewind()).context("the file to download into")?;
    loop {
        let turn = tries.count as usize;
        let mut range = Vec::new();
        if size > 0 {
            range.push(("range", format!("bytes={size}-")));
            // The rest of another version is no rest: then the whole is sent again.
            range.extend(etag.clone().map(|etag| ("if-range", etag)));
        }
        let opened = tries.bounded(IDLE_TIMEOUT, open(pool, request, turn, &range)).await;
        let (head, mut body) = match opened {
            Ok(opened) => opened,
            Err(trouble) => {
                tries.next(request, trouble).await?;
                continue;
            }
        };
        let resumed = head.status == 206 && head.resumes_at(size);
        if !resumed {
            (size, digest) = (0, Sha256::new());
            file.set_len(0)
                .and_then(|()| file.seek(SeekFrom::Start(0)))
                .context("the file to download into")?;
            if head.status == 416 || head.status == 206 {
                // The file changed between two tries: from its start again.
                tries.next(request, Trouble::again("it changed while it was downloaded")).await?;
                continue;
            }
        }
        if head.status != 200 && !resumed {
            let trouble = Trouble { status: Some(head.status), ..Trouble::never(status_text(head.status)) };
            tries.next(request, trouble).await?;
            continue;
        }
        etag = head.strong_etag();
        let trouble = loop {
            match timeout(IDLE_TIMEOUT.min(tries.left()), next_chunk(&mut body)).await {
                Ok(Ok(Some(chunk))) => {
                    size += chunk.len() as u64;
                    if size > request.limit as u64 {
                        break too_large(request);
                    }
                    digest.update(&*chunk);
                    file.write_all(&chunk).context("the file to download into")?;
                    // A mirror that brings something is given time to bring the rest.
                    tries.pause = FIRST_PAUSE;
                }
                Ok(Ok(None)) => return Ok(Downloaded { size, sha256: digest.finalize().into() }),
                Ok(Err(trouble)) => break trouble,
                Err(_) => break Trouble::again("stopped in the middle"),
            }
        };
        tries.next(request, trouble).await?;
    }
}

fn too_large(request: &Request) -> Trouble {
    Trouble::never(format!("its answer is larger than the {} bytes that are allowed for it", request.limit))
}

fn status_text(status: u16) -> String {
    match status {
        300..=399 => format!("HTTP status {status}: a redirect, which is not followed here"),
        _ => format!("HTTP status {status}"),
    }
}

async fn next_chunk(body: &mut reqwest::Response) -> Result<Option<impl Deref<Target = [u8]>>, Trouble> {
    body.chunk().await.map_err(|e| connect::trouble(&e, ""))
}

/// Status and headers.
struct Head {
    status: u16,
    headers: HeaderMap,
}

impl Head {
    /// Whether this is the rest from `offset` on: `Content-Range: bytes OFFSET-END/SIZE`.
    fn resumes_at(&self, offset: u64) -> bool {
        let range = self.headers.get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let start = range.strip_prefix("bytes ").and_then(|r| r.split('-').next());
        start.and_then(|s| s.parse().ok()) == Some(offset)
    }

    /// What names this version byte by byte; a weak tag does not.
    fn strong_etag(&self) -> Option<String> {
        let etag = self.headers.get(header::ETAG)?.to_str().ok()?;
        (!etag.starts_with("W/")).then(|| etag.to_owned())
    }
}

/// Sends a request and gives the head of the answer that is to be kept, redirects followed as far as the request
/// allows; `turn` shifts which address is tried first.
async fn open(
    pool: &Pool,
    request: &Request,
    turn: usize,
    extra: &[(&str, String)],
) -> Result<(Head, reqwest::Response), Trouble> {
    let mut url = parse_url(&request.url)?;
    let first = url.origin();
    for hop in 0..=request.redirects {
        let own = url.origin() == first;
        let headers = headers(request, &url, own, extra)?;
        let known = if own { request.addresses } else { &[] };
        let body = request.body.expose();
        let options = &request.options;
        let mut response = pool.send(&request.method, &url, headers, body, known, turn, options).await?;
        let headers = std::mem::take(response.headers_mut());
        let head = Head { status: response.status().as_u16(), headers };
        if may_pass(head.status, request.retry_also) {
            let after = head.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let after = after.map(Duration::from_secs);
            return Err(Trouble {
                status: Some(head.status),
                after,
                ..Trouble::again(status_text(head.status))
            });
        }
        pool.worked(&response);
        let moved = matches!(head.status, 301 | 302 | 303 | 307 | 308);
        if !moved || hop == request.redirects {
            let announced = response.content_length().unwrap_or_default();
            if head.status == 200 && announced > request.limit as u64 {
                return Err(too_large(request));
            }
            return Ok((head, response));
        }
        let target = head.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
        url = redirected(&url, target.unwrap_or_default())?;
    }
    Err(Trouble::never(format!("more than {} redirects", request.redirects)))
}

/// A URL that is used as it is written: what the library would leave out or read as something else is refused.
fn parse_url(text: &str) -> Result<Url, Trouble> {
    let no_url = || Trouble::never("is no URL");
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) {
        return Err(Trouble::never("is no http or https URL"));
    }
    let misread = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    if rest.starts_with('/') || rest.contains(misread) {
        return Err(no_url());
    }
    let mut url: Url = text.parse().map_err(|_| no_url())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Trouble::never("has a user name in its URL, which is not supported"));
    }
    // The reader's business, never sent.
    url.set_fragment(None);
    Ok(url)
}

/// Where a redirect leads: never from `https` to `http`, and nowhere but there.
fn redirected(from: &Url, target: &str) -> Result<Url, Trouble> {
    let no_url = || Trouble::never("it redirects to what is no http or https URL");
    let absolute = if target.starts_with('/') && !target.starts_with("//") {
        format!("{}://{}{target}", from.scheme(), authority(from))
    } else {
        target.to_owned()
    };
    let url = parse_url(&absolute).map_err(|_| no_url())?;
    if from.scheme() == "https" && url.scheme() != "https" {
        return Err(Trouble::never("it redirects away from https"));
    }
    Ok(url)
}

/// Host and port, as the `Host` header has them.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The headers of a request. A host that the request was redirected to gets none of its own: they may be credentials.
fn headers(request: &Request, url: &Url, own: bool, extra: &[(&str, String)]) -> Result<HeaderMap, Trouble> {
    let mut headers = HeaderMap::new();
    let value = |v: &[u8]| {
        HeaderValue::from_bytes(v).map_err(|_| Trouble::never("a header of the request is broken"))
    };
    headers.insert(header::HOST, value(authority(url).as_bytes())?);
    for (name, text) in extra {
        let name =
            HeaderName::try_from(*name).map_err(|_| Trouble::never("a header of the request is broken"))?;
        headers.insert(name, value(text.as_bytes())?);
    }
    for (name, text) in request.headers.iter().filter(|_| own) {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| Trouble::never("a header of the request is broken"))?;
        let mut value = value(text.expose())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_hold_no_query() {
        let request = Request::get("https://b.s3.example/k/v?X-Amz-Signature=abc");
        assert_eq!(request.name(), "http/b.s3.example/k/v");
        assert_eq!(request.place(), "https://b.s3.example/k/v");
        assert_eq!(format!("{request:?}"), "Request(https://b.s3.example/k/v)");
        assert_eq!(Request::get("http://169.254.169.254/a/").name(), "http/169.254.169.254/a/index");
        let mut post = Request::new(Method::POST, "https://ssm.example/");
        post.label = "GetParameter/p-0".to_owned();
        assert_eq!(post.name(), "http/ssm.example/GetParameter/p-0");
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let to = |from: &str, target: &str| {
            redirected(&from.parse().unwrap(), target).map(|u| u.to_string()).map_err(|t| t.what)
        };
        assert_eq!(to("https://a.example/x", "/y?z#f").unwrap(), "https://a.example/y?z");
        assert_eq!(to("https://a.example/x", "https://b.example/").unwrap(), "https://b.example/");
        assert_eq!(to("http://a.example/x", "https://b.example/").unwrap(), "https://b.example/");
        assert!(to("https://a.example/x", "http://a.example/y").is_err());
        for target in ["file:///etc/shadow", "//b.example/", "y", ""] {
            assert!(to("http://a.example/x", target).is_err(), "{target}");
        }
    }

    #[test]
    fn one_table_says_which_status_may_pass() {
        for status in [408, 429, 500, 503, 599] {
            assert!(may_pass(status, &[]), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 410] {
            assert!(!may_pass(status, &[]), "{status}");
        }
        assert!(may_pass(404, &[404]));
    }
}
