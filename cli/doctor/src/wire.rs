//! What Gateway says in a handshake, in all three forms of the protocol; pure.
//!
//! Below server version 201 a body is text fields, each ended by NUL, the first one the message
//! id. From 201 on the id is four bytes, and what follows is text for ids up to 200 and protobuf
//! above; from 213 on everything is protobuf. Only the handful of messages that a handshake needs
//! is understood. Source: protocol fact sheet, sections 1.1 to 2.2.

use std::ops::RangeInclusive;

use bytes::{BufMut as _, Bytes, BytesMut};
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::frame::{self, Deframer, FrameError};
use ibouncer_proto::tws::handshake::{ClientHandshake, HandshakeError, ServerHello};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    ConfigRequest, ConfigResponse, CurrentTimeRequest, ErrorMessage, ManagedAccounts, NextValidId,
};
use prost::Message as _;
use thiserror::Error;

use crate::timeline::Notice;

/// Request id of the question for settings; nothing else is asked with an id.
pub(crate) const CONFIG_REQUEST: i32 = 1;

/// Server version from which settings can be asked for.
pub(crate) const CONFIG_SINCE: i32 = 219;

/// First server version whose message ids are four bytes.
const BINARY_IDS: i32 = 201;

/// First server version at which everything is protobuf.
const ALL_PROTOBUF: i32 = 213;

/// First server version whose errors have no version field.
const ERRORS_WITHOUT_VERSION: i32 = 194;

/// Text ids.
const ERR_MSG: u32 = 4;
const NEXT_VALID_ID: u32 = 9;
const MANAGED_ACCTS: u32 = 15;
const CURRENT_TIME: u32 = 49;

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Version(ServerHello),
    /// Possibly empty.
    Accounts(Vec<String>),
    NextId(i32),
    Notice(Notice),
    Time,
    Config(Box<ConfigResponse>),
    /// Anything else.
    Other,
}

/// Why the bytes are not the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum WireError {
    /// In the version reply.
    #[error(transparent)]
    Opening(#[from] HandshakeError),
    /// Behind it.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message that a handshake needs cannot be read.
    #[error("message {0} cannot be read")]
    Unreadable(&'static str),
}

/// One conversation, the client's side.
#[derive(Debug)]
pub(crate) struct Conversation {
    state: State,
    /// Bytes that came before the version was complete.
    before_version: usize,
}

#[derive(Debug)]
enum State {
    Opening(ClientHandshake),
    Open { deframer: Deframer, version: i32 },
}

impl Conversation {
    pub(crate) fn new(offer: RangeInclusive<i32>) -> Self {
        Self { state: State::Opening(ClientHandshake::new(offer)), before_version: 0 }
    }

    /// What is sent first, in one write.
    pub(crate) fn opening(&self) -> Bytes {
        match &self.state {
            State::Opening(handshake) => handshake.opening(),
            State::Open { .. } => Bytes::new(),
        }
    }

    /// Takes bytes from the socket. What was understood before an error is not lost.
    pub(crate) fn receive(
        &mut self,
        bytes: &[u8],
        heard: &mut Vec<Heard>,
    ) -> Result<(), WireError> {
        match &mut self.state {
            State::Open { deframer, .. } => deframer.extend(bytes),
            State::Opening(handshake) => {
                self.before_version += bytes.len();
                let Some(hello) = handshake.receive(bytes)? else {
                    return Ok(());
                };
                let version = hello.server_version;
                let done = std::mem::replace(handshake, ClientHandshake::new(0..=0));
                self.state = State::Open { deframer: done.into_deframer(), version };
                self.before_version = 0;
                heard.push(Heard::Version(hello));
            }
        }
        let State::Open { deframer, version } = &mut self.state else {
            return Ok(());
        };
        while let Some(body) = deframer.next_body()? {
            heard.push(understand(&body, *version)?);
        }
        Ok(())
    }

    /// Bytes of a frame that is not complete.
    pub(crate) fn unfinished(&self) -> usize {
        match &self.state {
            State::Opening(_) => self.before_version,
            State::Open { deframer, .. } => deframer.buffered(),
        }
    }
}

/// A current-time request, as a whole frame.
pub(crate) fn ask_time(version: i32) -> Bytes {
    let mut out = BytesMut::new();
    if version >= ALL_PROTOBUF {
        write_message(id::REQ_CURRENT_TIME, &CurrentTimeRequest {}, &mut out);
        return out.freeze();
    }
    let mut body = BytesMut::new();
    if version >= BINARY_IDS {
        body.put_u32(CURRENT_TIME);
        body.put_slice(b"1\0");
    } else {
        body.put_slice(b"49\x001\0");
    }
    frame::write(&body, &mut out);
    out.freeze()
}

/// The question for Gateway's settings, if the version knows it.
pub(crate) fn ask_config(version: i32) -> Option<Bytes> {
    if version < CONFIG_SINCE {
        return None;
    }
    let mut out = BytesMut::new();
    let request = ConfigRequest { req_id: Some(CONFIG_REQUEST) };
    write_message(id::REQ_CONFIG, &request, &mut out);
    Some(out.freeze())
}

fn understand(body: &[u8], version: i32) -> Result<Heard, WireError> {
    if version < BINARY_IDS {
        let fields = fields(body);
        let id = fields.first().and_then(|id| id.parse().ok()).unwrap_or_default();
        return understand_text(id, fields.get(1..).unwrap_or_default(), version);
    }
    let Some((id, rest)) = body.split_first_chunk::<4>() else {
        return Ok(Heard::Other);
    };
    let id = u32::from_be_bytes(*id);
    if id <= ibouncer_proto::tws::PROTOBUF_ID_OFFSET {
        return understand_text(id, &fields(rest), version);
    }
    understand_protobuf(id, rest)
}

fn understand_protobuf(message_id: u32, body: &[u8]) -> Result<Heard, WireError> {
    let unreadable = |name| move |_| WireError::Unreadable(name);
    Ok(match message_id {
        id::MANAGED_ACCTS => {
            let message = ManagedAccounts::decode(body).map_err(unreadable("MANAGED_ACCTS"))?;
            Heard::Accounts(accounts(message.accounts_list()))
        }
        id::NEXT_VALID_ID => {
            let message = NextValidId::decode(body).map_err(unreadable("NEXT_VALID_ID"))?;
            Heard::NextId(message.order_id())
        }
        id::ERR_MSG => {
            let message = ErrorMessage::decode(body).map_err(unreadable("ERR_MSG"))?;
            Heard::Notice(Notice {
                request: message.id(),
                code: message.error_code(),
                text: message.error_msg().to_owned(),
            })
        }
        id::CURRENT_TIME => Heard::Time,
        id::CONFIG_RESPONSE => {
            let message = ConfigResponse::decode(body).map_err(unreadable("CONFIG_RESPONSE"))?;
            Heard::Config(Box::new(message))
        }
        _ => Heard::Other,
    })
}

/// Fields without the message id.
fn understand_text(id: u32, fields: &[String], version: i32) -> Result<Heard, WireError> {
    let field = |index: usize| fields.get(index).map_or("", String::as_str);
    Ok(match id {
        MANAGED_ACCTS => Heard::Accounts(accounts(field(1))),
        NEXT_VALID_ID => match field(1).parse() {
            Ok(next) => Heard::NextId(next),
            Err(_) => return Err(WireError::Unreadable("NEXT_VALID_ID")),
        },
        ERR_MSG => {
            let first = usize::from(version < ERRORS_WITHOUT_VERSION);
            let (Ok(request), Ok(code)) = (field(first).parse(), field(first + 1).parse()) else {
                return Err(WireError::Unreadable("ERR_MSG"));
            };
            Heard::Notice(Notice { request, code, text: field(first + 2).to_owned() })
        }
        CURRENT_TIME => Heard::Time,
        _ => Heard::Other,
    })
}

fn fields(body: &[u8]) -> Vec<String> {
    let body = body.strip_suffix(b"\0").unwrap_or(body);
    body.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect()
}

/// Some Gateways end the list with a comma.
fn accounts(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::handshake::version_reply;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_peer_sends_is_an_error_at_worst(
            version in prop::option::of(100..=226),
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 4..40), 0..8),
        ) {
            let mut conversation = Conversation::new(100..=226);
            let mut stream = BytesMut::new();
            if let Some(version) = version {
                stream.extend_from_slice(&version_reply(version, "20260301 14:02:07 UTC"));
                for body in &bodies {
                    frame::write(body, &mut stream);
                }
            }
            stream.extend_from_slice(&bytes);
            let mut heard = Vec::new();
            for piece in stream.chunks(7) {
                if conversation.receive(piece, &mut heard).is_err() {
                    break;
                }
            }
        }
    }

    fn said(version: i32, bytes: &[u8]) -> Result<Vec<Heard>, WireError> {
        let mut conversation = Conversation::new(100..=226);
        let mut stream = version_reply(version, "20260301 14:02:07 UTC").to_vec();
        stream.extend_from_slice(bytes);
        let mut heard = Vec::new();
        // In single bytes: any split must do.
        for byte in &stream {
            conversation.receive(&[*byte], &mut heard)?;
        }
        assert!(matches!(heard.remove(0), Heard::Version(_)));
        assert_eq!(conversation.unfinished(), 0);
        Ok(heard)
    }

    fn notice(text: &str) -> Heard {
        Heard::Notice(Notice { request: -1, code: 2104, text: text.to_owned() })
    }

    #[test]
    fn the_documented_bytes_are_understood_in_every_form() {
        let accounts = || Heard::Accounts(vec!["DU1".to_owned()]);
        for (version, bytes, expected) in [
            (178, &b"\0\0\0\x069\x001\x001\0"[..], Heard::NextId(1)),
            (205, b"\0\0\0\x08\0\0\0\x091\x001\0", Heard::NextId(1)),
            (213, b"\0\0\0\x06\0\0\0\xd1\x08\x01", Heard::NextId(1)),
            (178, b"\0\0\0\x0915\x001\0DU1\0", accounts()),
            (178, b"\0\0\0\x0a15\x001\0DU1,\0", accounts()),
            (226, b"\0\0\0\x09\0\0\0\xd7\x0a\x03DU1", accounts()),
            (178, b"\0\0\0\x104\x002\0-1\x002104\0OK\0\0", notice("OK")),
            (200, b"\0\0\0\x1c4\0-1\x002104\0OK\0\x001700000000000\0", notice("OK")),
            (178, b"\0\0\0\x0749\x001\x009\0", Heard::Time),
            (178, b"\0\0\0\x0615\x001\0\0", Heard::Accounts(vec![])),
            (178, b"\0\0\0\x04999\0", Heard::Other),
        ] {
            assert_eq!(said(version, bytes), Ok(vec![expected]), "{version} {bytes:?}");
        }
        let error = b"\0\0\0\x1d\0\0\0\xcc\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x80\
                      \xd0\x95\xff\xbc\x31\x18\xb8\x10\x22\x02OK";
        assert_eq!(said(226, error), Ok(vec![notice("OK")]));
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_a_guess() {
        assert_eq!(
            said(178, b"\0\0\0\x069\x001\0x\0"),
            Err(WireError::Unreadable("NEXT_VALID_ID"))
        );
        assert!(matches!(said(226, &[0x7f, 0xff, 0xff, 0xff]), Err(WireError::Frame(_))));
    }

    #[test]
    fn questions_have_the_form_of_their_version() {
        assert_eq!(&ask_time(178)[..], b"\0\0\0\x0549\x001\0");
        assert_eq!(&ask_time(205)[..], b"\0\0\0\x06\0\0\0\x311\0");
        assert_eq!(&ask_time(213)[..], b"\0\0\0\x04\0\0\0\xf9");
        assert_eq!(ask_config(218), None);
        assert_eq!(&ask_config(219).unwrap()[..], b"\0\0\0\x06\0\0\x01\x34\x08\x01");
    }
}
