// SPDX-License-Identifier: Apache-2.0
//! Which failures are worth another try, and how long to wait before it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::request::{Error, Request};
use crate::io::dns;

/// The pause after the first failed try. It doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A try that has less than this until the deadline is not made: it would only hide what the one before it met.
const SHORTEST_TRY: Duration = Duration::from_millis(50);

/// How far a pause is off its mark, so that a cluster's nodes do not come back all at once.
const JITTER: f64 = 0.2;

/// The longest `Retry-After` that is obeyed. A service that asks for more is asked again sooner.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// How often an answer may come in part, one time after the other, before no whole one is expected.
const MOST_PARTS: u32 = 6;

/// Whether a person waits for this run, and not a machine that boots.
static FOR_A_PERSON: AtomicBool = AtomicBool::new(false);

/// How long is waited before it is told what for, and from then on: where a person waits, and on a machine that boots.
const TOLD_EACH: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(10)];

/// The target of what a person is told while this program waits.
pub const WAITING: &str = "footplate-waiting";

/// Says that a person waits: a long wait is told sooner, and a name that does not exist is not asked for again. A machine that boots
/// may ask a name server that does not know all names yet.
pub fn for_a_person() {
    FOR_A_PERSON.store(true, Ordering::Relaxed);
}

/// Whether a person waits.
pub fn is_for_a_person() -> bool {
    FOR_A_PERSON.load(Ordering::Relaxed)
}

/// An answer, with the wait for it told.
pub(super) async fn told<T>(request: &Request, answer: impl Future<Output = T>) -> T {
    let [person, machine] = TOLD_EACH;
    let each = if is_for_a_person() { person } else { machine };
    let began = Instant::now();
    let mut answer = std::pin::pin!(answer);
    loop {
        match timeout(each, &mut answer).await {
            Ok(answer) => return answer,
            Err(_) => {
                let seconds = began.elapsed().as_secs();
                log::info!(target: WAITING, "waiting for {}: no answer for {seconds} s", request.place());
            }
        }
    }
}

/// Whether this run has told that it waits for the clock.
static CLOCK_TOLD: AtomicBool = AtomicBool::new(false);

/// The status codes after which the same request may yet succeed. [`Request::retry_also`] has what a platform adds to
/// them. This is the only place that decides it.
pub(super) fn may_pass(status: u16, also: &[u16]) -> bool {
    matches!(status, 408 | 429 | 500..=599) || also.contains(&status)
}

/// Why a try did not bring an answer.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) what: String,
    pub(super) status: Option<u16>,
    /// Whether another try may succeed.
    pub(super) again: bool,
    /// Whether the answer is larger than [`Request::limit`].
    pub(super) too_large: bool,
    /// The pause that the server asks for.
    pub(super) after: Option<Duration>,
    /// Whether a part of the answer came.
    pub(super) in_part: bool,
    /// Whether it may be that the clock is only not set yet.
    pub(super) for_clock: bool,
}

impl Trouble {
    pub(super) fn again(what: impl Into<String>) -> Self {
        let what = what.into();
        Self {
            what,
            status: None,
            again: true,
            too_large: false,
            after: None,
            in_part: false,
            for_clock: false,
        }
    }

    pub(super) fn never(what: impl Into<String>) -> Self {
        Self { again: false, ..Self::again(what) }
    }

    pub(super) fn too_large(request: &Request) -> Self {
        let what = format!("the answer is larger than the {} bytes that are allowed for it", request.limit);
        Self { too_large: true, ..Self::never(what) }
    }

    /// The same trouble, met after so many bytes of an answer.
    pub(super) fn after_bytes(self, bytes: usize) -> Self {
        let what = format!("the answer stopped after {bytes} bytes: {}", self.what);
        Self { what, in_part: true, ..self }
    }

    /// A status that is not a success.
    pub(super) fn of_status(status: u16, again: bool) -> Self {
        Self { status: Some(status), again, ..Self::again(status_text(status)) }
    }
}

/// A status in words.
pub fn status_text(status: u16) -> String {
    match status {
        300..=399 => format!("HTTP status {status}: a redirect, which is not followed here"),
        _ => format!("HTTP status {status}"),
    }
}

/// The tries of one request: pauses that double, with jitter, until a deadline or a number of failures in a row.
pub(super) struct Tries {
    deadline: Option<Instant>,
    /// Most failures in a row.
    most: u32,
    in_a_row: u32,
    /// How many answers in a row came in part.
    parts: u32,
    count: u32,
    /// What the try before met.
    met: Option<Trouble>,
}

impl Tries {
    pub(super) fn until(deadline: Instant) -> Self {
        Self { deadline: Some(deadline), most: u32::MAX, in_a_row: 0, parts: 0, count: 0, met: None }
    }

    pub(super) fn at_most_in_a_row(most: u32) -> Self {
        Self { deadline: None, most, in_a_row: 0, parts: 0, count: 0, met: None }
    }

    /// How many tries there were.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The last try got further than all before it: failures are counted anew.
    pub(super) fn got_further(&mut self) {
        self.in_a_row = 0;
    }

    /// Waits before the next try, or makes the last trouble an error.
    pub(super) async fn next(&mut self, request: &Request, trouble: Trouble) -> Result<(), Error> {
        let doubled = FIRST_PAUSE * 2_u32.pow(self.in_a_row.min(16));
        let pause = trouble.after.map_or(doubled.min(LONGEST_PAUSE), |a| a.min(LONGEST_RETRY_AFTER));
        let pause = jitter(pause);
        self.in_a_row += 1;
        self.parts = if trouble.in_part { self.parts + 1 } else { 0 };
        let enough = self.in_a_row > self.most || self.parts >= MOST_PARTS;
        let again = trouble.again && !(trouble.what.contains(dns::NO_SUCH_NAME) && is_for_a_person());
        let gave_up = again && (enough || pause + SHORTEST_TRY >= self.left());
        if !again || gave_up {
            let Trouble { what, status, too_large, .. } = trouble;
            return Err(Error {
                place: request.place(),
                what,
                status,
                tries: self.count,
                too_large,
                gave_up,
                deadline: self.deadline.is_some() && !enough,
            });
        }
        if trouble.for_clock && !CLOCK_TOLD.swap(true, Ordering::Relaxed) {
            log::warn!("{}: {}; waiting for a time server to set it", request.place(), trouble.what);
        }
        log::debug!("{}: {}, next try in {} ms", request.place(), trouble.what, pause.as_millis());
        sleep(pause).await;
        self.met = Some(trouble);
        Ok(())
    }

    /// Runs one try within its bound and the deadline's.
    pub(super) async fn bounded<T>(
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

/// A pause a little off its mark.
pub fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + JITTER * (2.0 * (dns::random() as f64 / u64::MAX as f64) - 1.0))
}

/// A piece of a try within its bound.
pub(super) async fn within<T>(
    bound: Duration,
    piece: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    let late = |_| Err(Trouble::again(format!("no answer within {} ms", bound.as_millis())));
    timeout(bound, piece).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

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
