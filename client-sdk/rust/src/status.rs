//! Answers about the session: the stream of changes, and the end of a wait.

use crate::api;
use crate::error::Error;
use crate::reconnect::{Returning, Step};

/// The status, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusUpdate {
    /// The status now.
    pub status: api::Status,
    /// Every transition since the update before, oldest first; empty in the first one.
    pub transitions: Vec<api::Transition>,
}

/// How a wait for READY ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// False if the timeout passed first.
    pub ready: bool,
    /// The status at that moment.
    pub status: api::Status,
}

/// The status now, then again at every change.
///
/// It outlives its broker, see [`Options::reconnect`](crate::Options::reconnect): the next
/// update is then the whole status as the next broker knows it, without transitions.
#[derive(Debug)]
pub struct StatusStream {
    source: Returning<api::WatchStatusResponse>,
}

impl StatusStream {
    pub(crate) fn new(source: Returning<api::WatchStatusResponse>) -> Self {
        Self { source }
    }

    /// The next update. While the broker is away this waits; without reconnecting, `None` when
    /// the broker ended the stream in good order. May be dropped while it waits: nothing is
    /// lost.
    pub async fn next(&mut self) -> Result<Option<StatusUpdate>, Error> {
        loop {
            let answer = match self.source.next().await? {
                Step::Answer(answer) => answer,
                Step::Lost(_) => continue,
                Step::End => return Ok(None),
            };
            let status = answer.status.ok_or_else(|| {
                Error::bad_answer("the broker reported a change without a status")
            })?;
            return Ok(Some(StatusUpdate { status, transitions: answer.transitions }));
        }
    }
}
