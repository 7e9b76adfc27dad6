//! A Unix socket that wakes its owner to read, and to write only after a write had to wait.
//!
//! The kernel reports room in a Unix socket each time its peer has read something, to everybody
//! who registered for it; a runtime's own socket registers for both directions for good. Whoever
//! writes a batch is so woken a second time for each, by its own reader, and finds nothing to do:
//! half of all wake-ups of worker and broker. This socket registers for reading, and for writing
//! through a descriptor of its own only while a write waits.
//!
//! For the ends that write much and read little: what is read is copied once.

use std::io::{self, Read as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::SendFlags;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

/// Most bytes of one read: what comes this way is small.
const READ: usize = 16 * 1024;

/// The socket.
#[derive(Debug)]
pub struct QuietSocket {
    socket: AsyncFd<UnixStream>,
    /// The same socket, while a write waits for room.
    room: Option<AsyncFd<UnixStream>>,
}

impl QuietSocket {
    /// Takes over a connection. Must be called within a runtime.
    pub fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = register(socket, Interest::READABLE)?;
        Ok(Self { socket, room: None })
    }

    fn poll_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&UnixStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(room) = &self.room {
                // Registering anew tells of room that was there before.
                ready!(room.poll_write_ready(context))?.clear_ready();
            }
            match write(self.socket.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.room.is_none() {
                        let socket = self.socket.get_ref().try_clone()?;
                        self.room = Some(register(socket, Interest::WRITABLE)?);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => {
                    self.room = None;
                    return Poll::Ready(written);
                }
            }
        }
    }
}

/// Straight into the system and into the socket: a write goes through the C library's points of
/// cancellation and the kernel's layer of files, which is a tenth of the call.
fn send(socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?)
}

#[allow(unsafe_code, reason = "the runtime cannot see that a socket keeps its descriptor")]
fn register(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: a `UnixStream` owns its descriptor, names the same one at every call, and closes it
    // only when it is dropped, which is after the `AsyncFd` around it has been deregistered.
    let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
    registered.map_err(io::Error::from)
}

impl AsyncRead for QuietSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = buffer.remaining().min(READ);
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context))?;
            // Behind the wait: most polls find nothing, and need no room for it.
            let mut piece = [0; READ];
            match self.socket.get_ref().read(&mut piece[..most]) {
                Ok(count) => {
                    if count < most && count > 0 {
                        // All that was there: the next event comes with the next bytes.
                        guard.clear_ready();
                    }
                    buffer.put_slice(&piece[..count]);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for QuietSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(context, |socket| send(socket, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_with(context, |socket| match slices {
            [bytes] => send(socket, bytes),
            _ => Ok(rustix::io::writev(socket, slices)?),
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.get_ref().shutdown(Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::io::Write as _;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::timeout;

    use super::*;

    fn pair() -> (QuietSocket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (QuietSocket::new(ours).unwrap(), theirs)
    }

    #[tokio::test]
    async fn bytes_pass_in_both_directions_and_the_end_is_seen() {
        let (mut quiet, mut peer) = pair();
        quiet.write_all(b"down").await.unwrap();
        let mut buffer = [0; 4];
        peer.read_exact(&mut buffer).unwrap();
        assert_eq!(&buffer, b"down");
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            quiet.read_to_end(&mut all).await.unwrap();
            all
        });
        tokio::task::yield_now().await;
        peer.write_all(b"up").unwrap();
        tokio::task::yield_now().await;
        peer.write_all(&[7; 3 * READ]).unwrap();
        drop(peer);
        let all = timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
        assert_eq!(all.len(), 2 + 3 * READ);
    }

    #[tokio::test]
    async fn a_write_that_had_to_wait_goes_on_once_the_peer_reads() {
        const ALL: usize = 4 << 20;
        let (mut quiet, mut peer) = pair();
        let bytes: Vec<u8> = (0..ALL).map(|place| (place % 251) as u8).collect();
        let reading = {
            let mut writing = std::pin::pin!(quiet.write_all(&bytes));
            let waits = |context: &mut Context<'_>| {
                Poll::Ready(writing.as_mut().poll(context).is_pending())
            };
            assert!(std::future::poll_fn(waits).await, "more than the socket takes");
            let reading = std::thread::spawn(move || {
                let mut all = Vec::new();
                peer.read_to_end(&mut all).map(|count| (count, all))
            });
            timeout(Duration::from_secs(20), writing).await.unwrap().unwrap();
            reading
        };
        quiet.shutdown().await.unwrap();
        let (count, all) = reading.join().unwrap().unwrap();
        assert_eq!(count, ALL);
        assert!(all == bytes, "in order and whole");
        assert!(quiet.room.is_none(), "nothing waits any more");
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_an_error_and_not_a_wait() {
        let (mut quiet, peer) = pair();
        drop(peer);
        let error = quiet.write_all(&[1; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
