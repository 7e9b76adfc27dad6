//! How many messages a connection sends in a second, and what becomes of those that are too many:
//! they wait, or they are refused, and the third time the connection is closed.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::answer::Refusal;
use super::connection::{Connection, Ending, State};
use super::{Shared, millis, trading};
use crate::events::{CloseHow, Event};
use crate::limits::Limit;

const SECOND: Duration = Duration::from_secs(1);

/// Bytes that may be behind a message that waits.
const MOST_BEHIND: usize = 1 << 20;

/// After so many breaches the connection is closed.
const STRIKES: u32 = 3;

/// The messages of the last second.
#[derive(Debug, Default)]
pub(super) struct Meter {
    taken: VecDeque<Duration>,
    /// A message that has to wait, and with it all behind it.
    pub(super) waiting: Option<Bytes>,
    /// Bytes that came while one waited.
    behind: usize,
    breaches: u32,
    /// When the last breach began: what comes within a second of it belongs to it.
    breach: Option<Duration>,
}

impl Meter {
    /// Counts a message; false if it is one too many.
    pub(super) fn take(&mut self, most: u32, now: Duration) -> bool {
        if most == u32::MAX {
            return true;
        }
        while self.taken.front().is_some_and(|oldest| now - *oldest >= SECOND) {
            self.taken.pop_front();
        }
        // With none at all a message would wait for ever.
        let fits = self.taken.len() < most.max(1) as usize;
        if fits {
            self.taken.push_back(now);
        }
        fits
    }

    /// Bytes came; they are behind the message that waits, if one does.
    pub(super) fn extend(&mut self, bytes: usize) {
        self.behind = if self.waiting.is_some() { self.behind + bytes } else { 0 };
    }

    /// Whether so much waits that no more should be read.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.is_some() && self.behind > MOST_BEHIND
    }

    /// When the message that waits may be taken.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.waiting.as_ref()?;
        Some(self.taken.front().map_or(Duration::ZERO, |oldest| *oldest + SECOND))
    }

    /// A message was refused; true if that was once too often.
    pub(super) fn strike(&mut self, now: Duration) -> bool {
        if self.breach.is_none_or(|began| now - began >= SECOND) {
            self.breach = Some(now);
            self.breaches += 1;
        }
        self.breaches >= STRIKES
    }
}

impl Connection {
    /// Takes what has come, as far as the rate of messages allows.
    pub(super) fn take_requests(
        &mut self,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        while let State::Started(deframer) = &mut self.state {
            let body = match self.meter.waiting.take() {
                Some(body) => Ok(Some(body)),
                None => deframer.next_body(),
            };
            let body = match body {
                Ok(Some(body)) => body,
                Ok(None) => return Ok(()),
                Err(error) => return Err(Ending::violation(&error)),
            };
            if self.meter.take(shared.config.limits.of(Limit::MessageRate), now) {
                self.on_frame(&body, shared, now);
                if self.dies {
                    return Err(trading::death());
                }
            } else if shared.config.reject_above_rate {
                self.on_frame_above_rate(&body, shared, now)?;
            } else {
                return self.delay(body, shared, now);
            }
        }
        Ok(())
    }

    /// The message, and all behind it, must wait.
    fn delay(&mut self, body: Bytes, shared: &mut Shared, now: Duration) -> Result<(), Ending> {
        self.meter.waiting = Some(body);
        let limit = Limit::MessageRate;
        *shared.sums.limits.entry(limit).or_default() += 1;
        let (connection, at_ms, code, request_id) = (self.id, millis(now), None, None);
        shared.event(Event::Limit { connection, at_ms, limit, code, request_id });
        Ok(())
    }

    /// The message is refused, and the third time the connection with it.
    fn on_frame_above_rate(
        &mut self,
        body: &[u8],
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        self.report_frame(body, shared, now);
        let text = "Max rate of messages per second has been exceeded";
        let refusal = Refusal::limit(Limit::MessageRate, 100, text);
        self.refuse(None, refusal, shared, now);
        match self.meter.strike(now) {
            true => Err(Ending::new(CloseHow::Refused, text.to_owned())),
            false => Ok(()),
        }
    }
}
