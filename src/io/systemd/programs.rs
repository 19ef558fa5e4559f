// SPDX-License-Identifier: Apache-2.0
//! The programs of a service.

use std::time::Duration;

use anyhow::Result;

use super::{SERVICE, Systemd};

/// A program of a service that has run (`ExecStart=`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its words, the program's path first.
    pub words: Vec<String>,
    /// When it began, in milliseconds since the kernel started.
    pub started_ms: u64,
    /// When it ended; `None` where it still runs.
    pub ended_ms: Option<u64>,
    /// Its exit status; `None` where it runs, or a signal ended it.
    pub exit_status: Option<i32>,
}

/// An entry of a service's `ExecStart`
/// ([org.freedesktop.systemd1](https://www.freedesktop.org/software/systemd/man/latest/org.freedesktop.systemd1.html#Properties4)):
/// path, words, whether a failure is ignored, begin and end each by the clock and since the kernel started in microseconds, the
/// process, how it ended (a `si_code` of `SIGCHLD`), and its exit status or signal.
type Exec = (String, Vec<String>, bool, u64, u64, u64, u64, u32, i32, i32);

/// The `si_code` of a process that ended by itself.
const CLD_EXITED: i32 = 1;

impl Systemd {
    /// The programs of a service that have begun in its last run, in their order.
    ///
    /// # Errors
    /// The unit can't be loaded.
    pub fn programs(&self, unit: &str) -> Result<Vec<Program>> {
        let execs: Vec<Exec> = self.runtime.run(async {
            let path = self.unit(unit).await?;
            let mut execs: Vec<Exec> = self.property(&path, SERVICE, "ExecStart").await?;
            // When systemd reads its units again, it keeps the times of the last program alone.
            if execs.iter().all(|exec| exec.4 == 0)
                && let Some(last) = execs.last_mut()
            {
                last.4 = self.property(&path, SERVICE, "ExecMainStartTimestampMonotonic").await?;
                last.6 = self.property(&path, SERVICE, "ExecMainExitTimestampMonotonic").await?;
                last.8 = self.property(&path, SERVICE, "ExecMainCode").await?;
                last.9 = self.property(&path, SERVICE, "ExecMainStatus").await?;
            }
            zbus::Result::Ok(execs)
        })?;
        let begun = execs.into_iter().filter(|exec| exec.4 != 0);
        let program = |(_, words, _, _, from, _, to, _, code, status): Exec| Program {
            words,
            started_ms: from / 1000,
            ended_ms: (to != 0).then_some(to / 1000),
            exit_status: (to != 0 && code == CLD_EXITED).then_some(status),
        };
        Ok(begun.map(program).collect())
    }
}

/// The main process of a service; `None` where there is none, or where systemd does not say so within `limit` for each answer.
pub fn main_process(unit: &str, limit: Duration) -> Option<u32> {
    let systemd = Systemd::connect_within(limit).ok()?;
    let pid = systemd.runtime.run(async {
        let path = systemd.unit(unit).await?;
        systemd.property(&path, SERVICE, "MainPID").await
    });
    pid.ok().filter(|pid| *pid != 0)
}
