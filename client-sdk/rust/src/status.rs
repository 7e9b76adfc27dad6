//! Answers about the session: the stream of changes, and the end of a wait.

use tonic::codec::Streaming;

use crate::api;
use crate::error::Error;

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
#[derive(Debug)]
pub struct StatusStream {
    inner: Streaming<api::WatchStatusResponse>,
}

impl StatusStream {
    pub(crate) fn new(inner: Streaming<api::WatchStatusResponse>) -> Self {
        Self { inner }
    }

    /// The next update; `None` when the broker ended the stream in good order.
    pub async fn next(&mut self) -> Result<Option<StatusUpdate>, Error> {
        let Some(answer) = self.inner.message().await? else {
            return Ok(None);
        };
        let status = answer
            .status
            .ok_or_else(|| Error::bad_answer("the broker reported a change without a status"))?;
        Ok(Some(StatusUpdate { status, transitions: answer.transitions }))
    }
}
