//! Bytes on their way to one connection: shaped by faults, and bounded.
//!
//! Bytes are collected in `ready` and taken out once per step, as long as not too many of those
//! that were taken are still unwritten: that is how a slow reader shows. What he leaves waiting is
//! bounded as at Gateway: at so many messages the first half of them is dropped, and counted. Two
//! faults change the pieces: `split-frames` cuts them small, `slow-drip` lets the handshake out
//! byte by byte.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use fastrand::Rng;

use crate::fault::Fault;

/// Bytes that are handed out ahead of a reader; what comes on top of them waits here.
const AHEAD: usize = 256 * 1024;

/// Length of a frame's head, which holds the length of its body.
const HEAD: usize = 4;

/// What a connection still has to get.
#[derive(Debug)]
pub(crate) struct Outbox {
    ready: BytesMut,
    /// Bytes of `ready` that were counted, and how many frames they are.
    counted: usize,
    frames: usize,
    /// Frames that were dropped.
    pub(crate) dropped: u64,
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
        Self { ready: BytesMut::new(), counted: 0, frames: 0, dropped: 0, unwritten: 0, shape }
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

    /// Everything at once, whatever the shape and the reader: the connection is about to close.
    pub(crate) fn hurry(&mut self) {
        self.unwritten = 0;
        if let Shape::Drip(drip) = &mut self.shape {
            self.ready.unsplit(std::mem::take(&mut drip.slow));
            self.ready.unsplit(std::mem::take(&mut drip.behind));
        }
    }

    /// Drops the first half of what waits, if that is more messages than may wait. Only whole
    /// frames wait: those of which a part was sent have been taken out.
    pub(crate) fn bound(&mut self, most: usize) {
        if !matches!(self.shape, Shape::Whole) || self.unwritten < AHEAD {
            return;
        }
        self.count_frames(usize::MAX);
        if self.frames <= most {
            return;
        }
        let half = self.frames / 2;
        (self.counted, self.frames) = (0, 0);
        self.count_frames(half);
        self.ready.advance(self.counted);
        self.dropped += self.frames as u64;
        (self.counted, self.frames) = (0, 0);
    }

    /// Goes on counting whole frames, up to so many.
    fn count_frames(&mut self, most: usize) {
        while self.frames < most
            && let Some(head) = self.ready[self.counted..].first_chunk::<HEAD>()
        {
            let length = HEAD + u32::from_be_bytes(*head) as usize;
            if length > self.ready.len() - self.counted {
                return;
            }
            self.counted += length;
            self.frames += 1;
        }
    }

    /// The next piece for the socket, unless it has enough.
    pub(crate) fn take(&mut self, rng: &mut Rng) -> Option<Bytes> {
        if self.ready.is_empty() || self.unwritten >= AHEAD {
            return None;
        }
        let length = match self.shape {
            Shape::Split => rng.usize(1..=7).min(self.ready.len()),
            Shape::Whole | Shape::Drip(_) => self.ready.len(),
        };
        self.unwritten += length;
        (self.counted, self.frames) = (0, 0);
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
    fn what_a_slow_reader_leaves_is_halved_by_whole_frames() {
        let mut outbox = Outbox::new(None, PAUSE);
        let mut rng = Rng::with_seed(1);
        let frame = |number: u32| [4u32.to_be_bytes(), number.to_be_bytes()].concat();
        outbox.buffer().extend_from_slice(&vec![0; AHEAD]);
        assert_eq!(outbox.take(&mut rng).map(|piece| piece.len()), Some(AHEAD));
        for number in 0..11 {
            outbox.buffer().extend_from_slice(&frame(number));
            outbox.bound(10);
            assert_eq!(outbox.take(&mut rng), None);
        }
        assert_eq!(outbox.dropped, 5);
        outbox.written(AHEAD);
        let rest: Vec<u8> = (5..11).flat_map(frame).collect();
        assert_eq!(outbox.take(&mut rng).as_deref(), Some(&rest[..]));
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
