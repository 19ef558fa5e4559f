// SPDX-License-Identifier: Apache-2.0
//! A machine whose platform is asked over the network twice at most, within one deadline, and which remembers what came.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::Error;
use crate::io::{Ask, Tell, World, http};

/// The pause before a platform is asked again. A service may not know a machine yet that has just begun to start.
const PAUSE: Duration = Duration::from_secs(1);

/// Most answers that are remembered.
const MOST: usize = 8;

/// A machine, and what its services answered.
pub(super) struct Watched<'a> {
    world: &'a dyn World,
    deadline: Instant,
    /// The pause before a second time.
    pause: Duration,
    without: RefCell<Vec<String>>,
    asked: Cell<bool>,
}

impl<'a> Watched<'a> {
    /// The machine, which may be asked for as long as its patience lasts from now on.
    pub(super) fn new(world: &'a dyn World) -> Self {
        let patience = world.patience();
        let deadline = Instant::now() + patience;
        Self {
            world,
            deadline,
            pause: PAUSE.min(patience / 4),
            without: RefCell::default(),
            asked: Cell::new(false),
        }
    }

    /// Waits before a second time, and forgets the first one's answers.
    pub(super) fn pause(&self) {
        std::thread::sleep(self.pause);
        self.without.take();
    }

    /// Whether a service was asked at all.
    pub(super) fn asked(&self) -> bool {
        self.asked.get()
    }

    /// The questions whose answers brought nothing, each with what came.
    pub(super) fn without(&self) -> Vec<String> {
        self.without.take()
    }
}

impl World for Watched<'_> {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        self.world.ask(ask)
    }

    fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
        self.world.tell(tell)
    }

    fn http(
        &self,
        requests: &[http::Request],
        deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        self.asked.set(true);
        let answers = self.world.http(requests, deadline);
        let mut without = self.without.borrow_mut();
        for (request, answer) in requests.iter().zip(&answers) {
            let Ok(response) = answer else { continue };
            let what = match response.status {
                200 if !response.body.is_blank() => continue,
                200 => "an empty answer".to_owned(),
                status => http::status_text(status),
            };
            if without.len() < MOST {
                without.push(format!("{}: {what}", request.place()));
            }
        }
        answers
    }

    fn patience(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn asks_without_token(&self) -> bool {
        self.world.asks_without_token()
    }
}
