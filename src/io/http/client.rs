// SPDX-License-Identifier: Apache-2.0
//! The client: one request, or several at once, each tried until there is an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::header::{self, HeaderMap};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connect::{self, Pool};
use super::download::{self, Sink, Unfinished};
use super::request::{Error, Request, Response, headers, parse_url, redirected};
use super::retry::{Tries, Trouble, may_pass, told, within};
use crate::io::runtime::Runtime;
use crate::model::secret::Secret;

/// Requests on their way at once. EC2 bounds an instance's simultaneous connections to its metadata service without
/// documenting the bound; its own SDKs stay below this.
const MAX_AT_ONCE: usize = 16;

/// How long a try waits for an answer's head, and for each further piece of it. A metadata service answers in
/// milliseconds, AWS's endpoints in a second.
const TRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends requests; connections are kept for the next ones.
pub struct Client {
    runtime: Runtime,
    pool: Arc<Pool>,
    until: Option<Instant>,
}

impl Client {
    /// A client without any connection. TLS is set up with the first `https` request.
    ///
    /// # Errors
    /// The system has no file descriptor left for it.
    pub fn new() -> Result<Self> {
        let runtime = Runtime::new()?;
        Ok(Self { runtime, pool: Arc::new(Pool::new().map_err(anyhow::Error::msg)?), until: None })
    }

    /// The same, with a time at which its downloads are given up.
    ///
    /// # Errors
    /// As of [`Client::new`].
    pub fn until(until: Option<Instant>) -> Result<Self> {
        Ok(Self { until, ..Self::new()? })
    }

    /// Sends one request and tries until there is an answer or `deadline` has come.
    ///
    /// # Errors
    /// No answer came, or one that breaks a bound.
    pub fn fetch(&self, request: &Request, deadline: Instant) -> Result<Response, Error> {
        self.runtime.run(async {
            // The connection of the request before gets its turn to become a kept one.
            tokio::task::yield_now().await;
            fetch(&self.pool, request, deadline).await
        })
    }

    /// Sends independent requests at once, and gives the answers in the requests' order.
    pub fn fetch_all(&self, requests: &[Request], deadline: Instant) -> Vec<Result<Response, Error>> {
        let lost = |r: &Request| Err(Error::of(r, "the request was given up"));
        let mut answers: Vec<Result<Response, Error>> = requests.iter().map(lost).collect();
        self.runtime.run(async {
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

    /// Downloads at most [`Request::limit`] bytes into a sink. A download that is interrupted goes on where it stopped, if
    /// the server can. It ends when the server brings nothing more in several tries in a row, or next to nothing for long.
    ///
    /// # Errors
    /// A status that is not a success, no answer, more bytes than the limit, or the sink refuses them.
    pub fn download(&self, request: &Request, sink: &mut dyn Sink) -> Result<(), Unfinished> {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let over =
            |_| Err(Unfinished::Server(Error::of(request, "the time that it was given is over (--timeout)")));
        self.runtime.run(async {
            timeout(left, download::download(&self.pool, request, sink)).await.unwrap_or_else(over)
        })
    }
}

async fn fetch(pool: &Pool, request: &Request, deadline: Instant) -> Result<Response, Error> {
    told(request, tried(pool, request, deadline)).await
}

async fn tried(pool: &Pool, request: &Request, deadline: Instant) -> Result<Response, Error> {
    let seconds = |bound: Option<u64>| bound.filter(|s| *s > 0).map(Duration::from_secs);
    let total = seconds(request.options.total).and_then(|total| Instant::now().checked_add(total));
    let mut tries = Tries::until(total.map_or(deadline, |total| total.min(deadline)));
    let head_bound = match request.options.response_headers {
        Some(0) => Duration::MAX,
        given => seconds(given).unwrap_or(TRY_TIMEOUT),
    };
    loop {
        let (turn, left) = (tries.count() as usize, tries.left());
        let attempt = async {
            let (head, mut body) = within(head_bound.min(left), open(pool, request, turn, &[])).await?;
            let mut bytes = Vec::new();
            loop {
                let piece = within(TRY_TIMEOUT.min(left), next_chunk(&mut body)).await;
                let Some(chunk) = piece.map_err(|t| t.after_bytes(bytes.len()))? else { break };
                if bytes.len() + chunk.len() > request.limit {
                    return Err(Trouble::too_large(request));
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

/// The next piece of a body, `None` at its end.
pub(super) async fn next_chunk(
    body: &mut reqwest::Response,
) -> Result<Option<impl std::ops::Deref<Target = [u8]>>, Trouble> {
    body.chunk().await.map_err(|e| connect::trouble(&e, ""))
}

/// Status and headers.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

/// Sends a request and gives the head of the final answer. Redirects are followed as far as the request allows; `turn`
/// shifts which address is tried first.
pub(super) async fn open(
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
        let mut response = pool.send(request, &url, headers, known, turn).await?;
        let headers = std::mem::take(response.headers_mut());
        let head = Head { status: response.status().as_u16(), headers };
        if may_pass(head.status, request.retry_also) {
            let after = head.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let after = after.map(Duration::from_secs);
            return Err(Trouble { after, ..Trouble::of_status(head.status, true) });
        }
        pool.worked(&response);
        let moved = matches!(head.status, 301 | 302 | 303 | 307 | 308);
        if !moved || request.redirects == 0 {
            let announced = response.content_length().unwrap_or_default();
            if head.status == 200 && announced > request.limit as u64 {
                return Err(Trouble::too_large(request));
            }
            return Ok((head, response));
        }
        if hop < request.redirects {
            let target = head.headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
            url = redirected(&url, target.unwrap_or_default())?;
        }
    }
    Err(Trouble::never(format!("more than {} redirects", request.redirects)))
}
