// SPDX-License-Identifier: Apache-2.0
//! Large files: bounded, resumed where they were interrupted, given up where they come too slowly.

use std::time::{Duration, Instant};

use anyhow::Result;
use reqwest::header;
use tokio::time::timeout;

use super::client::{Head, next_chunk, open};
use super::connect::Pool;
use super::request::{Error, Request};
use super::retry::{Tries, Trouble};

/// A download that brings no byte for this long is tried again where it stopped.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Failures in a row, none of which got further than the tries before, after which a download is given up.
const MAX_BREAKS: u32 = 5;

/// A server that brings less than this in such a time is given up: the smallest program of a node would take hours.
const SLOW_BYTES: u64 = 32 << 10;
const SLOW_SPAN: Duration = Duration::from_secs(30);

/// Where the bytes of a download go.
pub trait Sink {
    /// How many bytes are there, counted from the file's start. The download goes on behind them.
    fn have(&self) -> u64;

    /// The server begins to send at `offset`: at [`Sink::have`], or at 0, and then what is there must go. `length` is the
    /// whole file's, if the server tells it.
    ///
    /// # Errors
    /// The sink refuses.
    fn begin(&mut self, offset: u64, length: Option<u64>) -> Result<()>;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The sink refuses.
    fn take(&mut self, bytes: &[u8]) -> Result<()>;

    /// The download was interrupted and is tried again.
    fn interrupted(&mut self, why: &str);
}

/// Why a download did not end.
#[derive(Debug)]
pub enum Unfinished {
    /// The server, or the way to it. The sink has what came.
    Server(Error),
    /// The sink refused.
    Sink(anyhow::Error),
}

pub(super) async fn download(pool: &Pool, request: &Request, sink: &mut dyn Sink) -> Result<(), Unfinished> {
    let mut tries = Tries::at_most_in_a_row(MAX_BREAKS);
    let (mut furthest, mut etag, mut from_start) = (sink.have(), None::<String>, false);
    loop {
        let offset = if from_start { 0 } else { sink.have() };
        let trouble = match attempt(pool, request, sink, &mut tries, offset, &mut etag).await {
            Ok(()) => return Ok(()),
            Err(Stopped::Sink(error)) => return Err(Unfinished::Sink(error)),
            Err(Stopped::OtherRange) => {
                from_start = true;
                Trouble::again("the file changed while it was downloaded")
            }
            Err(Stopped::Trouble(trouble)) => {
                from_start = false;
                trouble
            }
        };
        if sink.have() > furthest {
            furthest = sink.have();
            tries.got_further();
        }
        let what = trouble.what.clone();
        tries.next(request, trouble).await.map_err(Unfinished::Server)?;
        sink.interrupted(&what);
    }
}

/// Why one try ended.
enum Stopped {
    Trouble(Trouble),
    Sink(anyhow::Error),
    /// The server has no such part of the file: it is another file now, or all of it is there.
    OtherRange,
}

impl From<Trouble> for Stopped {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

async fn attempt(
    pool: &Pool,
    request: &Request,
    sink: &mut dyn Sink,
    tries: &mut Tries,
    offset: u64,
    etag: &mut Option<String>,
) -> Result<(), Stopped> {
    let mut range = Vec::new();
    if offset > 0 {
        range.push(("range", format!("bytes={offset}-")));
        // The rest of another version does not fit: with this header the server sends the whole of it instead.
        range.extend(etag.clone().map(|etag| ("if-range", etag)));
    }
    let turn = tries.count() as usize;
    let (head, mut body) = tries.bounded(IDLE_TIMEOUT, open(pool, request, turn, &range)).await?;
    let begins_at = match head.status {
        200 => 0,
        206 if head.first_byte() == Some(offset) => offset,
        206 | 416 if offset > 0 => return Err(Stopped::OtherRange),
        status => return Err(Trouble::of_status(status, false).into()),
    };
    *etag = head.strong_etag();
    let length = body.content_length().map(|rest| begins_at + rest);
    sink.begin(begins_at, length).map_err(Stopped::Sink)?;
    let (mut since, mut had) = (Instant::now(), sink.have());
    loop {
        if since.elapsed() >= SLOW_SPAN {
            let came = sink.have() - had;
            if came < SLOW_BYTES {
                let what = format!("too slow: {came} bytes in {} s", SLOW_SPAN.as_secs());
                return Err(Trouble::never(what).into());
            }
            (since, had) = (Instant::now(), sink.have());
        }
        let stopped = |_| Trouble::again(format!("no byte came for {} s", IDLE_TIMEOUT.as_secs()));
        let Some(chunk) = timeout(IDLE_TIMEOUT, next_chunk(&mut body)).await.map_err(stopped)?? else {
            return Ok(());
        };
        if sink.have() + chunk.len() as u64 > request.limit as u64 {
            return Err(Trouble::too_large(request).into());
        }
        sink.take(&chunk).map_err(Stopped::Sink)?;
    }
}

impl Head {
    /// The offset of a part's first byte: `Content-Range: bytes FIRST-LAST/LENGTH`.
    fn first_byte(&self) -> Option<u64> {
        let range = self.headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
    }

    /// The tag of exactly these bytes; a weak tag may stand for others too
    /// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-8.8.1)).
    fn strong_etag(&self) -> Option<String> {
        let etag = self.headers.get(header::ETAG)?.to_str().ok()?;
        (!etag.starts_with("W/")).then(|| etag.to_owned())
    }
}
