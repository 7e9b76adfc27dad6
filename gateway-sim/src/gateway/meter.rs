//! How many messages a connection sends in a second, and what becomes of those that are too many:
//! they wait, or they are refused, and the third time the connection is closed.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

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
