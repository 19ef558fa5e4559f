// SPDX-License-Identifier: Apache-2.0
//! The time by which requests are signed. AWS takes a signature within five minutes of its own time
//! ([request-signing](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html)), and a machine that has just
//! started may not have been told the time.

use std::cell::Cell;

use crate::io::http::Response;
use crate::io::now;
use crate::model::time::Time;

/// Seconds by which the machine's clock may differ from AWS's.
const MOST: i64 = 240;

/// The machine's clock, and how far AWS's is ahead of it.
#[derive(Default)]
pub(super) struct Clock {
    ahead: Cell<i64>,
}

impl Clock {
    /// The time as AWS has it, as far as it is known.
    pub(super) fn now(&self) -> Time {
        Time(now().0 + self.ahead.get())
    }

    /// Takes the time of an answer that refuses a request, where it is so far from the one that was signed with that this is the
    /// reason. Whether the request is to be signed again.
    pub(super) fn refused_for(&self, answer: &Response) -> bool {
        let date = answer.headers.get("date").and_then(|date| Time::parse_http(date.to_str().ok()?));
        let Some(date) = date.filter(|_| matches!(answer.status, 400 | 403)) else { return false };
        let off = date.0 - self.now().0;
        if off.abs() <= MOST {
            return false;
        }
        self.ahead.set(date.0 - now().0);
        let side = if self.ahead.get() > 0 { "behind" } else { "ahead of" };
        log::warn!(
            "aws: this machine's clock is {} s {side} that of AWS: requests are signed with AWS's time; \
             time servers set the clock (`timedatectl timesync-status`)",
            self.ahead.get().abs()
        );
        true
    }
}
