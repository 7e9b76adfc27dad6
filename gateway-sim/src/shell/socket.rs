//! One accepted socket: what waits for it, and how it is closed.
//!
//! Never blocks, never decides: what to send and when to close is said by the Gateway.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::gateway::End;

/// How long a closed connection may take for what is left of it.
const LINGER: Duration = Duration::from_secs(1);

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    queue: VecDeque<Bytes>,
    /// Nothing more can be read.
    pub(super) ended: bool,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        // Without it a small frame may wait for an acknowledgement; the socket works either way.
        let _ = stream.set_nodelay(true);
        Self { stream, queue: VecDeque::new(), ended: false }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.queue.push_back(bytes);
    }

    pub(super) fn has_output(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Forgets what is left: nobody will read it.
    pub(super) fn discard(&mut self) {
        self.queue.clear();
    }

    /// Writes what the socket takes, one piece per call of the system: pieces that are meant to
    /// be apart stay apart. Returns how much that was, and the error that ended it, if any.
    pub(super) fn write(&mut self) -> (usize, Option<io::Error>) {
        let mut written = 0;
        while let Some(piece) = self.queue.front_mut() {
            match self.stream.try_write(piece) {
                Ok(taken) => {
                    written += taken;
                    piece.advance(taken);
                    if piece.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }

    /// Closes it. A regular end sends what is left, and then reads what the client still had
    /// under way: closing over unread bytes would be a reset, and lose what was sent.
    pub(super) fn close(mut self, how: End) {
        match how {
            End::Reset => {
                let zero = Some(Duration::ZERO);
                if let Err(error) = SockRef::from(&self.stream).set_linger(zero) {
                    tracing::debug!(%error, "cannot ask for a reset");
                }
            }
            End::Fin if self.ended => {}
            End::Fin => {
                let (_, error) = self.write();
                if error.is_none() {
                    tokio::spawn(async move {
                        // What is left after this time is the client's loss.
                        let _ = tokio::time::timeout(LINGER, self.linger()).await;
                    });
                }
            }
        }
    }

    async fn linger(&mut self) -> io::Result<()> {
        while self.has_output() {
            self.stream.writable().await?;
            if let (_, Some(error)) = self.write() {
                return Err(error);
            }
        }
        SockRef::from(&self.stream).shutdown(Shutdown::Write)?;
        let mut unread = [0; 4096];
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(&mut unread) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
