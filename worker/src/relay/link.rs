//! The worker's end of the link: open, or looked for.
//!
//! A fixed path is tried again and again until a broker listens there, or until the grace is
//! over. Each connection begins with a deframer of its own, so that half a frame of the link
//! before is never taken for the begin of one.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use ibouncer_proto::link::{LinkDeframer, LinkError, LinkFrame};
use ibouncer_quiet::QuietSocket;
use tokio::io::{AsyncReadExt as _, AsyncWrite};
use tokio::net::UnixStream;
use tokio::time::Sleep;

/// The link.
pub(super) struct Link {
    path: PathBuf,
    state: State,
    inbound: LinkDeframer,
    retry: Duration,
    /// Ends with the grace; runs as long as no broker was good for us.
    grace: Option<Pin<Box<Sleep>>>,
}

enum State {
    Up(QuietSocket),
    /// Waits for its next try.
    Down(Pin<Box<Sleep>>),
    Trying(Pin<Box<dyn Future<Output = io::Result<QuietSocket>>>>),
    /// Not looked for.
    Lost,
}

/// What came of looking for a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    /// Nothing yet.
    Nothing,
    /// Somebody listens.
    Found,
    /// The grace is over.
    GaveUp,
}

impl Link {
    /// An open one.
    pub(super) fn up(path: &Path, stream: QuietSocket) -> Self {
        Self {
            path: path.to_owned(),
            state: State::Up(stream),
            inbound: LinkDeframer::new(),
            retry: Duration::ZERO,
            grace: None,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// It broke.
    pub(super) fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Looks for a broker, for as long as the grace lasts.
    pub(super) fn look_for_broker(&mut self, retry: Duration, grace: Duration) {
        self.retry = retry;
        self.grace = Some(Box::pin(tokio::time::sleep(grace)));
        self.look_on();
    }

    /// Drops what is open and looks on; the grace is not begun anew.
    pub(super) fn look_on(&mut self) {
        self.state = State::Down(Box::pin(tokio::time::sleep(self.retry)));
    }

    /// A broker is here, and good for us.
    pub(super) fn settle(&mut self) {
        self.grace = None;
    }

    /// The next data frame of the broker has this number.
    pub(super) fn expect_number(&mut self, number: u64) {
        self.inbound.expect_number(number);
    }

    /// Looks, while there is no link.
    pub(super) fn poll_search(&mut self, context: &mut Context<'_>) -> Search {
        // Also while somebody is connected who says nothing.
        if let Some(grace) = &mut self.grace
            && grace.as_mut().poll(context).is_ready()
        {
            self.grace = None;
            self.state = State::Lost;
            return Search::GaveUp;
        }
        match &mut self.state {
            State::Up(_) | State::Lost => Search::Nothing,
            State::Down(pause) => {
                if pause.as_mut().poll(context).is_pending() {
                    return Search::Nothing;
                }
                self.state = State::Trying(Box::pin(open(self.path.clone())));
                self.poll_search(context)
            }
            State::Trying(attempt) => match attempt.as_mut().poll(context) {
                Poll::Pending => Search::Nothing,
                Poll::Ready(Ok(stream)) => {
                    self.state = State::Up(stream);
                    self.inbound = LinkDeframer::new();
                    Search::Found
                }
                Poll::Ready(Err(_)) => {
                    self.look_on();
                    self.poll_search(context)
                }
            },
        }
    }

    /// Bytes of the broker, into the deframer.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let State::Up(stream) = &mut self.state else {
            return Poll::Pending;
        };
        let buffer = self.inbound.buffer_mut();
        buffer.reserve(16 * 1024);
        pin!(stream.read_buf(buffer)).poll(context)
    }

    pub(super) fn next_frame(&mut self) -> Result<Option<LinkFrame>, LinkError> {
        self.inbound.next_frame()
    }

    /// Bytes for the broker.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.state {
            State::Up(stream) => Pin::new(stream).poll_write(context, bytes),
            State::Down(_) | State::Trying(_) | State::Lost => Poll::Pending,
        }
    }
}

/// Connects to a broker's link.
pub(super) async fn open(path: PathBuf) -> io::Result<QuietSocket> {
    QuietSocket::new(UnixStream::connect(path).await?.into_std()?)
}
