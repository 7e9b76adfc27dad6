//! Messages as gRPC frames them: a header that says that they are not compressed, and their length.

use bytes::{BufMut as _, Bytes, BytesMut};

/// Bytes of a header.
pub(crate) const HEADER: usize = 5;

/// The header of a message of this length.
pub(crate) fn header(length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    // No message is that long; a client refuses it by its length.
    header[1..].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    header
}

/// An empty message, with room for about so many bytes.
pub(crate) fn begin(room: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER + room);
    out.put_slice(&header(0));
    out
}

/// Says how long it has become.
pub(crate) fn complete(mut message: BytesMut) -> Bytes {
    let length = message.len() - HEADER;
    message[..HEADER].copy_from_slice(&header(length));
    message.freeze()
}
