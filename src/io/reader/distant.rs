// SPDX-License-Identifier: Apache-2.0
//! The machine as it is seen by what reads: each question goes to who called it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use super::{Answer, Asker, Question};
use crate::io::{Ask, Error, Tell, World, http};

/// A machine that answers elsewhere.
pub struct Distant<'a, 'b> {
    asker: RefCell<&'a mut Asker<'b>>,
    manner: Manner,
}

/// How services are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manner {
    /// See [`World::patience`].
    pub patience: Duration,
    /// See [`World::asks_without_token`].
    pub asks_without_token: bool,
    /// See [`http::for_a_person`].
    pub for_a_person: bool,
}

impl Manner {
    /// That of a machine.
    pub fn of(world: &dyn World) -> Self {
        Self {
            patience: world.patience(),
            asks_without_token: world.asks_without_token(),
            for_a_person: http::is_for_a_person(),
        }
    }
}

impl<'a, 'b> Distant<'a, 'b> {
    /// The machine that answers there.
    pub fn new(asker: &'a mut Asker<'b>, manner: Manner) -> Self {
        if manner.for_a_person {
            http::for_a_person();
        }
        Self { asker: RefCell::new(asker), manner }
    }

    fn send(&self, question: Question) -> Option<Answer> {
        (self.asker.borrow_mut())(question)
    }
}

impl World for Distant<'_, '_> {
    fn ask(&self, ask: Ask<'_>) -> Result<Option<Vec<u8>>, Error> {
        match self.send(Question::Ask(ask.into())) {
            Some(Answer::Ask(answer)) => answer,
            _ => Err(anyhow!("{}: the machine does not answer", ask.name()).into()),
        }
    }

    /// Who reads tells nothing.
    fn tell(&self, tell: Tell<'_>) -> Result<(), Error> {
        Err(anyhow!("{}: not told while metadata is read", tell.name()).into())
    }

    fn http(
        &self,
        requests: &[http::Request],
        deadline: Instant,
    ) -> Vec<Result<http::Response, http::Error>> {
        match self.send(Question::Http(requests.to_vec(), deadline)) {
            Some(Answer::Http(answers)) => answers,
            _ => Vec::new(),
        }
    }

    fn patience(&self) -> Duration {
        self.manner.patience
    }

    fn asks_without_token(&self) -> bool {
        self.manner.asks_without_token
    }
}
