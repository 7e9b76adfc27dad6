//! Frames of the TWS wire: a big-endian `u32` length, then that many bytes of body.
//!
//! [`Deframer`] cuts a byte stream at frame borders, whatever the pieces in which it arrives. A
//! length that cannot be one ends the stream: there is no way to find the next border. Lengths
//! are checked before anything is kept for them. Source: protocol fact sheet, section 1.1.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use thiserror::Error;

/// Largest body that any client library accepts.
pub const MAX_BODY: usize = 0xff_ffff;

/// Bytes of the length in front of a body.
pub const HEADER: usize = 4;

/// Why a byte stream cannot be cut into frames.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The announced length is over [`MAX_BODY`].
    #[error(
        "frame at byte {offset} announces {length} bytes, the limit is {MAX_BODY}; \
         the peer does not speak the TWS API or lost its place"
    )]
    TooLong {
        /// Position of the frame in the stream.
        offset: u64,
        /// The announced length.
        length: u32,
    },
    /// The announced length has no room for a message id.
    #[error("frame at byte {offset} announces {length} bytes, which is too short for a message id")]
    TooShort {
        /// Position of the frame in the stream.
        offset: u64,
        /// The announced length.
        length: u32,
    },
}

/// Cuts a byte stream into frames.
///
/// Feed it with [`Deframer::extend`], then take frames until there is none.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
    /// Stream position of the first byte in `buffer`.
    offset: u64,
    /// Least length of a body; 4 once message ids are binary.
    least: u32,
}

impl Deframer {
    /// A deframer at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on a body shorter than a binary message id (4 bytes) is an error.
    pub fn require_message_ids(&mut self) {
        self.least = 4;
    }

    /// Adds bytes as they came from the socket.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer itself, for reading a socket straight into its end.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next body, if it is there in full.
    pub fn next_body(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(length) = self.next_length()? else {
            return Ok(None);
        };
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        self.offset += (HEADER + length) as u64;
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// All whole frames that are there, headers included, in one piece; empty if there is none.
    /// An error is reported once the frames before it have been taken.
    pub fn take_whole(&mut self) -> Result<Bytes, FrameError> {
        let (end, error) = whole_frames(&self.buffer, self.offset, self.least);
        if end == 0 {
            return match error {
                Some(error) => Err(error),
                None => Ok(Bytes::new()),
            };
        }
        self.offset += end as u64;
        Ok(self.buffer.split_to(end).freeze())
    }

    /// Bytes of an unfinished frame, or of frames not yet taken.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn next_length(&self) -> Result<Option<usize>, FrameError> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        check(u32::from_be_bytes(*header), self.offset, self.least).map(Some)
    }
}

/// Length of the whole frames at the start of `bytes`, and the error behind them, if any.
/// `offset` is the stream position of `bytes`, for the error.
pub fn whole_frames(bytes: &[u8], offset: u64, least: u32) -> (usize, Option<FrameError>) {
    let mut end = 0;
    while let Some(header) = bytes[end..].first_chunk::<HEADER>() {
        match check(u32::from_be_bytes(*header), offset + end as u64, least) {
            Ok(length) if bytes.len() - end >= HEADER + length => end += HEADER + length,
            Ok(_) => break,
            Err(error) => return (end, Some(error)),
        }
    }
    (end, None)
}

/// Appends one frame.
///
/// # Panics
/// If the body is over [`MAX_BODY`]: our own messages are checked where they are made.
pub fn write(body: &[u8], out: &mut BytesMut) {
    assert!(body.len() <= MAX_BODY, "a frame body of {} bytes is over the limit", body.len());
    out.reserve(HEADER + body.len());
    out.put_u32(body.len() as u32);
    out.put_slice(body);
}

/// The bodies in a piece that holds whole frames only, as [`Deframer::take_whole`] returns it.
/// Stops at the first byte that does not fit.
pub fn bodies(whole: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = whole;
    std::iter::from_fn(move || {
        let (header, tail) = rest.split_first_chunk::<HEADER>()?;
        let (body, tail) = tail.split_at_checked(u32::from_be_bytes(*header) as usize)?;
        rest = tail;
        Some(body)
    })
}

#[inline]
fn check(length: u32, offset: u64, least: u32) -> Result<usize, FrameError> {
    if length as usize > MAX_BODY {
        return Err(FrameError::TooLong { offset, length });
    }
    if length < least {
        return Err(FrameError::TooShort { offset, length });
    }
    Ok(length as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(bodies: &[Vec<u8>]) -> BytesMut {
        let mut out = BytesMut::new();
        for body in bodies {
            write(body, &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            cuts in prop::collection::vec(1_usize..64, 1..40),
        ) {
            let bytes = stream(&bodies);
            let mut deframer = Deframer::new();
            let mut seen = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                deframer.extend(piece);
                rest = tail;
                while let Some(body) = deframer.next_body().unwrap() {
                    seen.push(body.to_vec());
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert_eq!(deframer.buffered(), 0);
        }

        #[test]
        fn whole_pieces_hold_the_same_bodies(
            list in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20),
            missing in 0_usize..10,
        ) {
            let mut bytes = stream(&list);
            write(b"last", &mut bytes);
            let cut = bytes.len() - missing.min(7);
            let mut deframer = Deframer::new();
            deframer.extend(&bytes[..cut]);
            let whole = deframer.take_whole().unwrap();
            let mut expected = list.clone();
            if missing == 0 {
                expected.push(b"last".to_vec());
            }
            let seen: Vec<_> = bodies(&whole).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut deframer = Deframer::new();
            deframer.require_message_ids();
            deframer.extend(&bytes);
            while let Ok(Some(_)) = deframer.next_body() {}
        }
    }

    #[test]
    fn a_length_over_the_limit_names_its_place() {
        let mut deframer = Deframer::new();
        deframer.extend(&[0, 0, 0, 1, b'x', 0xff, 0, 0, 0]);
        assert_eq!(deframer.next_body().unwrap().unwrap(), "x");
        assert_eq!(
            deframer.next_body(),
            Err(FrameError::TooLong { offset: 5, length: 0xff00_0000 })
        );
    }

    #[test]
    fn frames_before_an_error_are_not_lost() {
        let mut deframer = Deframer::new();
        deframer.require_message_ids();
        deframer.extend(&[0, 0, 0, 4, 1, 2, 3, 4, 0, 0, 0, 2, 9, 9]);
        assert_eq!(deframer.take_whole().unwrap().len(), 8);
        assert_eq!(deframer.take_whole(), Err(FrameError::TooShort { offset: 8, length: 2 }));
    }
}
