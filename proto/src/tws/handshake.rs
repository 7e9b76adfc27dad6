//! The opening of a TWS API connection, in both roles.
//!
//! ```text
//!  client                                          server (Gateway)
//!    "API\0" + frame("v100..226")      ────────►
//!                                      ◄────────   frame("<version>\0<time>\0")
//!    START_API(client id)              ────────►
//!                                      ◄────────   MANAGED_ACCTS, NEXT_VALID_ID, notices
//! ```
//!
//! [`ClientHandshake`] ends with the version reply, [`ServerHandshake`] with START_API; what
//! follows is ordinary frames, and the deframer is handed on with whatever it holds. A server
//! sends nothing between its reply and START_API: the official client would throw it away.
//! Source: protocol fact sheet, sections 1.2, 1.3 and 2.1.

use std::fmt;
use std::ops::RangeInclusive;

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message as _;
use thiserror::Error;

use super::frame::{self, Deframer, FrameError};
use super::messages::id;
use super::v1::StartApiRequest;

/// First bytes of every connection.
pub const PREFIX: &[u8; 4] = b"API\0";

/// Longest opening line or version reply that makes sense; both are some tens of bytes.
const LONGEST_LINE: usize = 4096;

/// Text id of START_API, used below server version 213.
const START_API_TEXT: u32 = 71;

/// Why an opening failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The bytes are not frames.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client did not begin with `API\0`.
    #[error("the client began with {0}, not with \"API\\0\": it does not speak the TWS API")]
    NotApi(Quoted),
    /// The client's version line is not one.
    #[error("the client's version line is {0}, expected something like \"v100..226\"")]
    BadVersionLine(Quoted),
    /// The server's reply is not version and time.
    #[error("the version reply is {0}, expected a server version and a time")]
    BadVersionReply(Quoted),
    /// The server wants the client elsewhere; no current Gateway does that.
    #[error("the server redirects to {0}; connect to that address instead")]
    Redirect(Quoted),
    /// The server chose a version that was not offered.
    #[error("the server chose version {version}, offered were {} to {}", offer.start(), offer.end())]
    NotOffered {
        /// What the server chose.
        version: i32,
        /// What the client offered.
        offer: RangeInclusive<i32>,
    },
    /// The first message after the version reply is not START_API.
    #[error("message {0} came where START_API was expected")]
    NotStartApi(u32),
    /// START_API cannot be read.
    #[error("START_API is malformed: {0}")]
    BadStartApi(Quoted),
}

/// Bytes of a peer, cut and escaped so that they can stand in a message.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    const LONGEST: usize = 60;

    fn new(bytes: &[u8]) -> Self {
        let mut text = bytes[..bytes.len().min(Self::LONGEST)].escape_ascii().to_string();
        if bytes.len() > Self::LONGEST {
            text.push('…');
        }
        Self(text)
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What Gateway said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The version that both sides use from here on.
    pub server_version: i32,
    /// Time of the connection as Gateway wrote it, `YYYYMMDD HH:MM:SS zone`.
    pub time: String,
}

/// The client's role, up to the version reply.
#[derive(Debug)]
pub struct ClientHandshake {
    offer: RangeInclusive<i32>,
    deframer: Deframer,
}

impl ClientHandshake {
    /// A connection that will offer these versions.
    pub fn new(offer: RangeInclusive<i32>) -> Self {
        Self { offer, deframer: Deframer::new() }
    }

    /// What the client sends first, to be handed to the socket in one write.
    pub fn opening(&self) -> Bytes {
        let line = match (self.offer.start(), self.offer.end()) {
            (low, high) if low == high => format!("v{low}"),
            (low, high) => format!("v{low}..{high}"),
        };
        let mut out = BytesMut::from(&PREFIX[..]);
        frame::write(line.as_bytes(), &mut out);
        out.freeze()
    }

    /// Takes bytes from the socket; answers once the version reply is complete.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<ServerHello>, HandshakeError> {
        self.deframer.extend(bytes);
        let Some(reply) = self.deframer.next_body()? else {
            if self.deframer.buffered() > LONGEST_LINE {
                return Err(FrameError::TooLong { offset: 0, length: LONGEST_LINE as u32 }.into());
            }
            return Ok(None);
        };
        let hello = parse_reply(&reply)?;
        if !self.offer.contains(&hello.server_version) {
            let (version, offer) = (hello.server_version, self.offer.clone());
            return Err(HandshakeError::NotOffered { version, offer });
        }
        self.deframer.require_message_ids();
        Ok(Some(hello))
    }

    /// The deframer for everything after the reply.
    pub fn into_deframer(self) -> Deframer {
        self.deframer
    }
}

/// The version reply of a server.
pub fn version_reply(server_version: i32, time: &str) -> Bytes {
    let mut out = BytesMut::new();
    frame::write(format!("{server_version}\0{time}\0").as_bytes(), &mut out);
    out.freeze()
}

/// START_API in the form that the server version demands, as a whole frame.
pub fn start_api(server_version: i32, client_id: i32) -> Bytes {
    let mut body = BytesMut::new();
    if server_version >= 213 {
        body.put_u32(id::START_API);
        let request = StartApiRequest {
            client_id: Some(client_id),
            optional_capabilities: Some(String::new()),
        };
        request.encode(&mut body).expect("a BytesMut grows");
    } else if server_version >= 201 {
        body.put_u32(START_API_TEXT);
        body.put_slice(format!("2\0{client_id}\0\0").as_bytes());
    } else {
        body.put_slice(format!("{START_API_TEXT}\x002\0{client_id}\0\0").as_bytes());
    }
    let mut out = BytesMut::new();
    frame::write(&body, &mut out);
    out.freeze()
}

/// What a client said first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// Versions that it offers.
    pub offer: RangeInclusive<i32>,
    /// Connect options behind the range, usually empty.
    pub options: String,
}

/// The message that starts the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartApi {
    /// The client id it wants.
    pub client_id: i32,
    /// A free string, empty in practice.
    pub capabilities: String,
}

/// What a server learns from a client's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEvent {
    /// The opening line is complete: choose a version, send [`version_reply`], and call
    /// [`ServerHandshake::chose`].
    Hello(ClientHello),
    /// START_API is complete: the handshake is over.
    Started(StartApi),
}

/// The server's role, up to START_API.
#[derive(Debug)]
pub struct ServerHandshake {
    state: ServerState,
    /// Bytes of the prefix, until it is complete.
    prefix: Vec<u8>,
    deframer: Deframer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    AwaitingPrefix,
    AwaitingVersionLine,
    Choosing,
    AwaitingStartApi { server_version: i32 },
    Done,
}

impl Default for ServerHandshake {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerHandshake {
    /// A connection from which nothing has come yet.
    pub fn new() -> Self {
        Self {
            state: ServerState::AwaitingPrefix,
            prefix: Vec::with_capacity(PREFIX.len()),
            deframer: Deframer::new(),
        }
    }

    /// Takes bytes from the socket. Call again with no bytes until there is no event: one piece
    /// may hold several.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<ServerEvent>, HandshakeError> {
        let mut bytes = bytes;
        if self.state == ServerState::AwaitingPrefix {
            let (head, rest) = bytes.split_at(bytes.len().min(PREFIX.len() - self.prefix.len()));
            self.prefix.extend_from_slice(head);
            bytes = rest;
            if !PREFIX.starts_with(&self.prefix) {
                return Err(HandshakeError::NotApi(Quoted::new(&self.prefix)));
            }
            if self.prefix.len() == PREFIX.len() {
                self.state = ServerState::AwaitingVersionLine;
            }
        }
        self.deframer.extend(bytes);
        match self.state {
            ServerState::AwaitingVersionLine => {
                if let Some(line) = self.deframer.next_body()? {
                    let hello = parse_version_line(&line)?;
                    self.state = ServerState::Choosing;
                    return Ok(Some(ServerEvent::Hello(hello)));
                }
                if self.deframer.buffered() > LONGEST_LINE {
                    let length = LONGEST_LINE as u32;
                    return Err(FrameError::TooLong { offset: 4, length }.into());
                }
                Ok(None)
            }
            ServerState::AwaitingStartApi { server_version } => {
                let Some(body) = self.deframer.next_body()? else {
                    return Ok(None);
                };
                let start = parse_start_api(&body, server_version)?;
                self.state = ServerState::Done;
                if server_version >= 201 {
                    self.deframer.require_message_ids();
                }
                Ok(Some(ServerEvent::Started(start)))
            }
            ServerState::AwaitingPrefix | ServerState::Choosing | ServerState::Done => Ok(None),
        }
    }

    /// The version that was sent to the client; START_API is expected in its form.
    pub fn chose(&mut self, server_version: i32) {
        self.state = ServerState::AwaitingStartApi { server_version };
    }

    /// The deframer for everything after START_API.
    pub fn into_deframer(self) -> Deframer {
        self.deframer
    }
}

fn parse_reply(reply: &[u8]) -> Result<ServerHello, HandshakeError> {
    let bad = || HandshakeError::BadVersionReply(Quoted::new(reply));
    let text = std::str::from_utf8(reply).map_err(|_| bad())?;
    let mut fields = text.strip_suffix('\0').ok_or_else(bad)?.split('\0');
    let version = fields.next().and_then(|field| field.parse::<i32>().ok()).ok_or_else(bad)?;
    let time = fields.next().ok_or_else(bad)?;
    if version == -1 {
        return Err(HandshakeError::Redirect(Quoted::new(time.as_bytes())));
    }
    if fields.next().is_some() || version < 1 {
        return Err(bad());
    }
    Ok(ServerHello { server_version: version, time: time.to_owned() })
}

fn parse_version_line(line: &[u8]) -> Result<ClientHello, HandshakeError> {
    let bad = || HandshakeError::BadVersionLine(Quoted::new(line));
    let text = std::str::from_utf8(line).map_err(|_| bad())?;
    let (range, options) = text.split_once(' ').unwrap_or((text, ""));
    let range = range.strip_prefix('v').ok_or_else(bad)?;
    let (low, high) = range.split_once("..").unwrap_or((range, range));
    let (low, high) = match (low.parse::<i32>(), high.parse::<i32>()) {
        (Ok(low), Ok(high)) if 0 < low && low <= high => (low, high),
        _ => return Err(bad()),
    };
    Ok(ClientHello { offer: low..=high, options: options.to_owned() })
}

fn parse_start_api(body: &[u8], server_version: i32) -> Result<StartApi, HandshakeError> {
    let bad = || HandshakeError::BadStartApi(Quoted::new(body));
    if server_version < 201 {
        return parse_text_start(body, true).ok_or_else(bad);
    }
    let (id_bytes, rest) = body.split_first_chunk::<4>().ok_or_else(bad)?;
    let message_id = u32::from_be_bytes(*id_bytes);
    match message_id {
        id::START_API => {
            let request = StartApiRequest::decode(rest).map_err(|_| bad())?;
            Ok(StartApi {
                client_id: request.client_id(),
                capabilities: request.optional_capabilities().to_owned(),
            })
        }
        START_API_TEXT => parse_text_start(rest, false).ok_or_else(bad),
        other => Err(HandshakeError::NotStartApi(other)),
    }
}

/// `[71] | 2 | client id | capabilities`, each ended by NUL.
fn parse_text_start(fields: &[u8], with_id: bool) -> Option<StartApi> {
    let text = std::str::from_utf8(fields).ok()?;
    let mut fields = text.strip_suffix('\0')?.split('\0');
    if with_id && fields.next()? != "71" {
        return None;
    }
    fields.next()?.parse::<i32>().ok()?;
    let client_id = fields.next()?.parse().ok()?;
    let capabilities = fields.next().unwrap_or_default().to_owned();
    Some(StartApi { client_id, capabilities })
}

#[cfg(test)]
mod tests;
