//! Bytes on their way to one connection: shaped by faults, and bounded.
//!
//! Bytes are collected in `ready` and taken out once per step. Two faults change the pieces:
//! `split-frames` cuts them small, `slow-drip` lets the handshake out byte by byte. The outbox
//! counts what was taken and not yet written, which is how a slow reader shows; it decides
//! nothing itself.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use fastrand::Rng;

use crate::fault::Fault;

/// What a connection still has to get.
#[derive(Debug)]
pub(crate) struct Outbox {
    ready: BytesMut,
    /// Taken out, but not yet reported as written.
    unwritten: usize,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Whole,
    Split,
    Drip(Drip),
}

#[derive(Debug)]
struct Drip {
    pause: Duration,
    /// When the next byte leaves; `None`: nothing waits.
    next: Option<Duration>,
    /// Leaves byte by byte.
    slow: BytesMut,
    /// Leaves behind it, at once.
    behind: BytesMut,
    /// Whether the slow part is complete.
    sealed: bool,
}

impl Outbox {
    /// An outbox in the shape that the fault demands.
    pub(crate) fn new(fault: Option<Fault>, pause: Duration) -> Self {
        let shape = match fault {
            Some(Fault::SplitFrames) => Shape::Split,
            Some(Fault::SlowDrip) => Shape::Drip(Drip {
                pause,
                next: None,
                slow: BytesMut::new(),
                behind: BytesMut::new(),
                sealed: false,
            }),
            _ => Shape::Whole,
        };
        Self { ready: BytesMut::new(), unwritten: 0, shape }
    }

    /// Where the next frame goes.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        match &mut self.shape {
            Shape::Drip(Drip { sealed: true, behind, .. }) => behind,
            Shape::Drip(Drip { slow, .. }) => slow,
            Shape::Whole | Shape::Split => &mut self.ready,
        }
    }

    /// The handshake is complete: what comes now need not drip.
    pub(crate) fn end_handshake(&mut self) {
        if let Shape::Drip(drip) = &mut self.shape {
            drip.sealed = true;
        }
    }

    /// Whether ticks may be put in: not before a dripping handshake is out.
    pub(crate) fn takes_ticks(&self) -> bool {
        !matches!(self.shape, Shape::Drip(_))
    }

    /// Bytes that have not reached the socket.
    pub(crate) fn queued(&self) -> usize {
        self.unwritten + self.ready.len()
    }

    /// The socket took so many bytes.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.unwritten = self.unwritten.saturating_sub(bytes);
    }

    /// Lets drops fall that are due.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        let Shape::Drip(drip) = &mut self.shape else {
            return;
        };
        while !drip.slow.is_empty() && drip.next.is_some_and(|next| next <= now) {
            self.ready.extend_from_slice(&drip.slow[..1]);
            drip.slow.advance(1);
            drip.next = drip.next.map(|next| next + drip.pause);
        }
        if drip.slow.is_empty() {
            drip.next = None;
            if drip.sealed {
                self.ready.unsplit(std::mem::take(&mut drip.behind));
                self.shape = Shape::Whole;
            }
        } else if drip.next.is_none() {
            drip.next = Some(now + drip.pause);
        }
    }

    /// When [`Outbox::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        match &self.shape {
            Shape::Drip(drip) => drip.next,
            Shape::Whole | Shape::Split => None,
        }
    }

    /// Everything at once, whatever the shape: the connection is about to close.
    pub(crate) fn hurry(&mut self) {
        if let Shape::Drip(drip) = &mut self.shape {
            self.ready.unsplit(std::mem::take(&mut drip.slow));
            self.ready.unsplit(std::mem::take(&mut drip.behind));
        }
    }

    /// The next piece for the socket.
    pub(crate) fn take(&mut self, rng: &mut Rng) -> Option<Bytes> {
        if self.ready.is_empty() {
            return None;
        }
        let length = match self.shape {
            Shape::Split => rng.usize(1..=7).min(self.ready.len()),
            Shape::Whole | Shape::Drip(_) => self.ready.len(),
        };
        self.unwritten += length;
        Some(self.ready.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(50);

    #[test]
    fn split_pieces_are_small_and_lose_nothing() {
        let mut outbox = Outbox::new(Some(Fault::SplitFrames), PAUSE);
        let mut rng = Rng::with_seed(1);
        outbox.buffer().extend_from_slice(&[7; 100]);
        let mut total = 0;
        while let Some(piece) = outbox.take(&mut rng) {
            assert!((1..=7).contains(&piece.len()));
            total += piece.len();
        }
        assert_eq!((total, outbox.queued()), (100, 100));
        outbox.written(60);
        assert_eq!(outbox.queued(), 40);
    }

    #[test]
    fn a_dripping_handshake_leaves_byte_by_byte_and_the_rest_behind_it() {
        let mut outbox = Outbox::new(Some(Fault::SlowDrip), PAUSE);
        let mut rng = Rng::with_seed(1);
        outbox.buffer().extend_from_slice(b"abc");
        outbox.end_handshake();
        outbox.buffer().extend_from_slice(b"rest");
        outbox.handle_timeout(Duration::ZERO);
        let mut seen = Vec::new();
        while let Some(at) = outbox.poll_timeout() {
            assert!(!outbox.takes_ticks());
            outbox.handle_timeout(at);
            while let Some(piece) = outbox.take(&mut rng) {
                seen.push((at.as_millis(), piece));
            }
        }
        let expected: [(u128, &[u8]); 3] = [(50, b"a"), (100, b"b"), (150, b"crest")];
        assert_eq!(seen.iter().map(|(at, piece)| (*at, &piece[..])).collect::<Vec<_>>(), expected);
        assert!(outbox.takes_ticks());
    }
}
