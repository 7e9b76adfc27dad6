//! The wire between a TWS API client and Gateway.
//!
//! - [`frame`]: four bytes of length, then the body; cutting a stream into frames.
//! - [`envelope`]: message id and correlation id of a frame, and replacing the latter.
//! - [`messages`]: what every message id means, in both directions.
//! - [`readable`]: is a body one that every reader of protobuf accepts?
//! - [`handshake`]: the opening, in the client's role and in the server's.
//! - [`v1`]: the protobuf bodies.

pub mod envelope;
pub mod frame;
pub mod handshake;
pub mod messages;
pub mod readable;
mod varint;

/// Bodies of the messages, package `tws.v1`.
#[allow(missing_docs, reason = "generated: documented in proto/schema/tws/v1")]
#[allow(clippy::doc_markdown, clippy::doc_lazy_continuation, clippy::large_enum_variant)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/tws.v1.rs"));
}

/// Server versions whose messages all have protobuf bodies: what IBouncer speaks for now.
pub const PROTOBUF_VERSIONS: std::ops::RangeInclusive<i32> = 213..=226;

/// Lowest version of the modern handshake; below it the opening itself is different.
pub const OLDEST_OFFER: i32 = 100;

/// Added to the text id of a message to get the wire id of its protobuf form.
pub const PROTOBUF_ID_OFFSET: u32 = 200;
