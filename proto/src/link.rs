//! The wire between broker and worker: one local socket, framed.
//!
//! ```text
//! u32 length, big-endian (of what follows) | u8 kind | u64 number, big-endian | body
//! ```
//!
//! Kind 0 is control (a protobuf message of `ibouncer.link.v1`, number 0), kind 1 is data: any
//! number of whole TWS frames, as read from the socket, numbered from 1 in each direction
//! without a gap. Control overtakes data. `docs/link.md` tells the whole story.
//!
//! [`LinkDeframer`] cuts the stream; lengths are checked before anything is kept for them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use prost::Message;
use thiserror::Error;

/// Control messages, package `ibouncer.link.v1`.
#[allow(missing_docs, reason = "generated: documented in proto/schema/ibouncer/link/v1")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/ibouncer.link.v1.rs"));
}

/// Version of the link that this build speaks. 2: a worker can outlive its broker and come back
/// to the link of the next one.
pub const LINK_VERSION: u32 = 2;

/// The oldest version that a broker of this build understands: its own and the one before.
pub const OLDEST_LINK_VERSION: u32 = 1;

/// Largest control message; the biggest real one is a `Configure` of some hundred bytes.
pub const MAX_CONTROL: usize = 64 * 1024;

/// Largest body of a data frame: one TWS frame of any legal size, and then some.
pub const MAX_DATA: usize = 32 * 1024 * 1024;

/// Bytes in front of a body: length, kind, number.
pub const HEADER: usize = 4 + REST_OF_HEADER;

const REST_OF_HEADER: usize = 1 + 8;
const CONTROL: u8 = 0;
const DATA: u8 = 1;

/// Why a link's bytes cannot be understood. The link is then closed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Length over the limit of its kind, or too short for a header.
    #[error("link frame of kind {kind} announces {length} bytes, which is out of bounds")]
    BadLength {
        /// The kind, or 255 if the frame is too short to have one.
        kind: u8,
        /// The announced length.
        length: u32,
    },
    /// Neither control nor data.
    #[error("link frame has the unknown kind {0}")]
    BadKind(u8),
    /// The body of a control frame is not a message.
    #[error("link control message is malformed")]
    BadControl(#[source] prost::DecodeError),
    /// A data frame came out of turn.
    #[error("link data frame has number {number}, expected was {expected}")]
    BadNumber {
        /// What came.
        number: u64,
        /// What should have come.
        expected: u64,
    },
}

/// One frame of the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkFrame {
    /// An encoded control message.
    Control(Bytes),
    /// Whole TWS frames.
    Data {
        /// Counts the data frames of this direction, from 1.
        number: u64,
        /// The frames, headers included.
        frames: Bytes,
    },
}

/// Appends a control frame.
pub fn write_control(message: &impl Message, out: &mut BytesMut) {
    let length = message.encoded_len();
    assert!(length <= MAX_CONTROL, "a control message of {length} bytes is over the limit");
    write_header(CONTROL, 0, length, out);
    message.encode(out).expect("a BytesMut grows");
}

/// The header of a data frame whose body of `length` bytes is written behind it.
///
/// # Panics
/// If the body is over [`MAX_DATA`]; the worker's read buffer is far smaller.
pub fn write_data_header(number: u64, length: usize, out: &mut BytesMut) {
    assert!(length <= MAX_DATA, "a data frame of {length} bytes is over the limit");
    write_header(DATA, number, length, out);
}

fn write_header(kind: u8, number: u64, length: usize, out: &mut BytesMut) {
    out.reserve(HEADER + length);
    out.put_u32((REST_OF_HEADER + length) as u32);
    out.put_u8(kind);
    out.put_u64(number);
}

/// Decodes the body of a control frame.
pub fn read_control<M: Message + Default>(body: &[u8]) -> Result<M, LinkError> {
    M::decode(body).map_err(LinkError::BadControl)
}

/// Cuts the link's byte stream into frames and checks the numbers of data frames.
#[derive(Debug)]
pub struct LinkDeframer {
    buffer: BytesMut,
    next_number: u64,
}

impl Default for LinkDeframer {
    fn default() -> Self {
        Self::new()
    }
}

impl LinkDeframer {
    /// A deframer at the start of a link whose other side has sent no data yet.
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), next_number: 1 }
    }

    /// The next data frame has this number: the link is not the first of its worker.
    pub fn expect_number(&mut self, number: u64) {
        self.next_number = number.max(1);
    }

    /// Adds bytes as they came from the socket.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer itself, for reading a socket straight into it.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame, if it is there in full.
    pub fn next_frame(&mut self) -> Result<Option<LinkFrame>, LinkError> {
        let Some(header) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*header);
        let Some(&kind) = self.buffer.get(4) else {
            return if (length as usize) < REST_OF_HEADER {
                Err(LinkError::BadLength { kind: u8::MAX, length })
            } else {
                Ok(None)
            };
        };
        let limit = match kind {
            CONTROL => MAX_CONTROL,
            DATA => MAX_DATA,
            other => return Err(LinkError::BadKind(other)),
        };
        let Some(body_length) =
            (length as usize).checked_sub(REST_OF_HEADER).filter(|body| *body <= limit)
        else {
            return Err(LinkError::BadLength { kind, length });
        };
        if self.buffer.len() < HEADER + body_length {
            self.buffer.reserve(HEADER + body_length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(5);
        let number = self.buffer.get_u64();
        let body = self.buffer.split_to(body_length).freeze();
        if kind == CONTROL {
            return Ok(Some(LinkFrame::Control(body)));
        }
        if number != self.next_number {
            return Err(LinkError::BadNumber { number, expected: self.next_number });
        }
        self.next_number += 1;
        Ok(Some(LinkFrame::Data { number, frames: body }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::v1::{Ping, StageReached, ToBroker, ToWorker, to_broker, to_worker};
    use super::*;

    fn control(number: u64) -> ToWorker {
        ToWorker { message: Some(to_worker::Message::Ping(Ping { number })) }
    }

    proptest! {
        #[test]
        fn frames_survive_any_split(
            payloads in prop::collection::vec(
                prop::option::of(prop::collection::vec(any::<u8>(), 0..100)), 0..20),
            step in 1_usize..50,
        ) {
            let mut bytes = BytesMut::new();
            let mut expected = Vec::new();
            let mut number = 0;
            for payload in payloads {
                match payload {
                    None => {
                        write_control(&control(7), &mut bytes);
                        let body = control(7).encode_to_vec();
                        expected.push(LinkFrame::Control(body.into()));
                    }
                    Some(body) => {
                        number += 1;
                        write_data_header(number, body.len(), &mut bytes);
                        bytes.extend_from_slice(&body);
                        expected.push(LinkFrame::Data { number, frames: body.into() });
                    }
                }
            }
            let mut deframer = LinkDeframer::new();
            let mut seen = Vec::new();
            for piece in bytes.chunks(step) {
                deframer.extend(piece);
                while let Some(frame) = deframer.next_frame().unwrap() {
                    seen.push(frame);
                }
            }
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn garbage_never_panics_and_reserves_no_more_than_a_frame(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut deframer = LinkDeframer::new();
            deframer.extend(&bytes);
            while let Ok(Some(_)) = deframer.next_frame() {}
            prop_assert!(deframer.buffer.capacity() <= 2 * (HEADER + MAX_DATA));
        }
    }

    #[test]
    fn numbers_count_without_a_gap() {
        let mut bytes = BytesMut::new();
        write_data_header(2, 0, &mut bytes);
        let mut deframer = LinkDeframer::new();
        deframer.extend(&bytes);
        let error = deframer.next_frame().unwrap_err();
        assert_eq!(error, LinkError::BadNumber { number: 2, expected: 1 });
    }

    #[test]
    fn a_length_is_checked_before_its_bytes_arrive() {
        let mut deframer = LinkDeframer::new();
        deframer.extend(&[0xff, 0xff, 0xff, 0xff, CONTROL]);
        assert!(matches!(deframer.next_frame(), Err(LinkError::BadLength { kind: 0, .. })));
        let mut deframer = LinkDeframer::new();
        deframer.extend(&[0, 0, 0, 100, 9]);
        assert_eq!(deframer.next_frame(), Err(LinkError::BadKind(9)));
    }

    #[test]
    fn control_messages_of_the_other_side_are_readable() {
        let stage = StageReached { stage: 3, at_us: 17, ..Default::default() };
        let message = ToBroker { message: Some(to_broker::Message::Stage(stage.clone())) };
        let again: ToBroker = read_control(&message.encode_to_vec()).unwrap();
        assert_eq!(again.message, Some(to_broker::Message::Stage(stage)));
        assert!(read_control::<ToBroker>(&[0xff]).is_err());
    }
}
