// SPDX-License-Identifier: Apache-2.0
//! How fetching goes: one line that moves on a terminal, a line for each event elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::io::Console;

/// How often the terminal's line is drawn: what an eye follows.
const REDRAW: Duration = Duration::from_millis(100);

/// How often a line tells the same where there is no terminal: a log shows that it goes on, and stays short.
const LINE: Duration = Duration::from_secs(10);

/// How fetching goes.
pub struct Progress {
    console: Console,
    state: Mutex<State>,
}

struct State {
    begun: Instant,
    drawn: Option<Instant>,
    /// Bytes that came in this run, for the rate.
    came: u64,
    running: BTreeMap<String, Running>,
}

#[derive(Clone, Copy)]
struct Running {
    have: u64,
    length: Option<u64>,
}

impl Progress {
    /// Tells nothing yet; `console` is where it will.
    pub fn new(console: Console) -> Self {
        // A terminal sees the first bytes at once.
        let drawn = (!console.terminal()).then(Instant::now);
        let state = State { begun: Instant::now(), drawn, came: 0, running: BTreeMap::new() };
        Self { console, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The numbers are valid also after a panic of the thread that held the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An artifact was there already.
    pub fn present(&self, name: &str) {
        self.event(&mut self.state(), &format!("{name}: in the store"));
    }

    /// An artifact begins to come in, or goes on after `have` bytes.
    pub fn begin(&self, name: &str, have: u64, length: Option<u64>) {
        let mut state = self.state();
        state.running.insert(name.to_owned(), Running { have, length });
        if have > 0 {
            self.event(&mut state, &format!("{name}: going on after {}", bytes(have)));
        }
    }

    /// More bytes of it came.
    pub fn advance(&self, name: &str, count: u64) {
        let mut state = self.state();
        state.came += count;
        if let Some(running) = state.running.get_mut(name) {
            running.have += count;
        }
        let terminal = self.console.terminal();
        let every = if terminal { REDRAW } else { LINE };
        if state.drawn.is_none_or(|at| at.elapsed() >= every) {
            state.drawn = Some(Instant::now());
            match terminal {
                true => self.console.line(&state.line()),
                false => self.console.event(&state.line()),
            }
        }
    }

    /// It is whole and verified.
    pub fn done(&self, name: &str) {
        let mut state = self.state();
        let have = state.running.remove(name).map_or(0, |r| r.have);
        self.event(&mut state, &format!("{name}: {} verified", bytes(have)));
    }

    /// Its connection broke and is made anew.
    pub fn broke(&self, name: &str, why: &str) {
        self.event(&mut self.state(), &format!("{name}: {why}; trying again"));
    }

    fn event(&self, state: &mut State, text: &str) {
        // The line that moves was written over; one that stays has its own time.
        if self.console.terminal() {
            state.drawn = None;
        }
        self.console.event(text);
    }
}

impl State {
    fn line(&self) -> String {
        let names: Vec<&str> = self.running.keys().map(String::as_str).collect();
        let have: u64 = self.running.values().map(|r| r.have).sum();
        let length: Option<u64> = self.running.values().map(|r| r.length).sum();
        line(&names, have, length, self.came, self.begun.elapsed())
    }
}

/// `kubeadm v1.34.1: 12.3 MB of 73.1 MB, 8.2 MB/s, 0:08 left`
fn line(names: &[&str], have: u64, length: Option<u64>, came: u64, elapsed: Duration) -> String {
    let rate = (came as f64 / elapsed.as_secs_f64().max(0.001)) as u64;
    let mut text = format!("{}: {}", names.join(", "), bytes(have));
    if let Some(length) = length {
        text += &format!(" of {}", bytes(length));
    }
    text += &format!(", {}/s", bytes(rate));
    if let (Some(length), 1..) = (length, rate) {
        let left = length.saturating_sub(have) / rate;
        text += &format!(", {}:{:02} left", left / 60, left % 60);
    }
    text
}

/// A number of bytes for people, in decimal units as disks and networks are sold by.
pub fn bytes(count: u64) -> String {
    match count {
        0..1000 => format!("{count} B"),
        1000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_bytes_rate_and_time_left() {
        let line = |have, length, came, ms| {
            line(&["kubeadm v1.34.1"], have, length, came, Duration::from_millis(ms))
        };
        assert_eq!(
            line(12_300_000, Some(73_100_000), 12_300_000, 1500),
            "kubeadm v1.34.1: 12.3 MB of 73.1 MB, 8.2 MB/s, 0:07 left"
        );
        // What an earlier run brought counts as had, not as speed.
        assert_eq!(line(900, Some(1000), 10, 1000), "kubeadm v1.34.1: 900 B of 1.0 kB, 10 B/s, 0:10 left");
        assert_eq!(line(5000, None, 5000, 1000), "kubeadm v1.34.1: 5.0 kB, 5.0 kB/s");
        assert_eq!(line(0, Some(10), 0, 0), "kubeadm v1.34.1: 0 B of 10 B, 0 B/s");
    }
}
