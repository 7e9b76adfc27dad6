//! Orders of people: end the worker, end a wait, hold, release, let go.

use std::time::Instant;

use super::dial::Force;
use super::{HeldBy, Session, State, Wish};
use crate::attempts::FailureClass;
use crate::error::{self, Error};
use crate::ids::Epoch;
use crate::ledger::Hold;

impl Session {
    /// An operator ends the worker.
    pub fn restart_worker(&mut self, reason: &str, drop_live: bool) -> Result<Epoch, Error> {
        if !self.has_attempt() {
            return Err(error::no_worker(self.kind().name()));
        }
        if self.is_up() && !drop_live {
            return Err(error::would_drop_live_session());
        }
        let because = format!("an operator restarted the worker: {reason}");
        self.order_end(FailureClass::Cancelled, because, self.is_up());
        Ok(self.epoch)
    }

    /// An operator ends a wait.
    pub fn retry(&mut self, reason: &str, now: Instant) -> Result<(), Error> {
        match self.state {
            State::Held { by: HeldBy::Operator } => return Err(error::held(&self.because)),
            State::GatewayAbsent { .. }
            | State::Backoff { .. }
            | State::ClientIdInUse { .. }
            | State::Wedged { .. }
            | State::Held { by: HeldBy::Version } => {}
            State::Stopped
            | State::Adopting { .. }
            | State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Ready { .. }
            | State::Degraded { .. } => {
                return Err(error::nothing_to_retry(self.kind().name()));
            }
        }
        let because = match reason {
            "" => "an operator asked for a retry".to_owned(),
            reason => format!("an operator asked for a retry: {reason}"),
        };
        self.want(&because, Force::Person, now);
        Ok(())
    }

    /// An operator stops all attempts, until [`Self::release`], over restarts.
    pub fn hold(&mut self, reason: &str, drop_live: bool, now: Instant) -> Result<(), Error> {
        if self.is_up() && !drop_live {
            return Err(error::hold_would_drop_live_session());
        }
        if matches!(self.state, State::Adopting { .. }) {
            return Err(error::nothing_to_retry("waiting for the worker of the broker before"));
        }
        let hold = Hold { reason: reason.to_owned(), since_ms: self.clock.millis(now) };
        self.ledger.hold = Some(hold);
        self.intent = None;
        self.wishes.push_back(Wish::Remember);
        let because = format!("held: {reason}");
        if self.has_attempt() {
            self.order_end(FailureClass::Cancelled, because, self.is_up());
        } else if matches!(self.state, State::Held { .. }) {
            self.state = State::Held { by: HeldBy::Operator };
            self.because = because;
        } else {
            self.transition(State::Held { by: HeldBy::Operator }, because, now);
        }
        Ok(())
    }

    /// Ends what [`Self::hold`] began.
    pub fn release(&mut self, reason: &str, now: Instant) -> Result<(), Error> {
        if self.ledger.hold.take().is_none() {
            return Err(error::not_held(self.kind().name()));
        }
        self.wishes.push_back(Wish::Remember);
        let because = match reason {
            "" => "an operator released the session".to_owned(),
            reason => format!("an operator released the session: {reason}"),
        };
        if matches!(self.state, State::Held { by: HeldBy::Operator }) {
            self.want(&because, Force::None, now);
        }
        Ok(())
    }

    /// The broker ends and leaves a live session to the next one. True if there is one; without,
    /// this is [`Self::stop`].
    pub fn let_go(&mut self, because: &str, now: Instant) -> bool {
        if matches!(self.state, State::Adopting { .. }) {
            // It waits for the next broker as it waited for this one.
            self.stopping = true;
            self.transition(State::Stopped, because.to_owned(), now);
            return false;
        }
        if !self.is_up() || self.verdict.is_some() {
            self.stop(because, now);
            return false;
        }
        self.stopping = true;
        self.wishes.push_back(Wish::Down(self.epoch, because.to_owned()));
        self.transition(State::Stopped, because.to_owned(), now);
        true
    }
}
