//! A question in TLS over a connection of its own: does a TLS server stand there?
//!
//! A server of TLS that is asked in another language mostly closes without a word, as a Gateway
//! does that rejects us and as a relay does that leads nowhere. It is no handshake of the API: one
//! ClientHello, one look at what comes, and a reset. Nothing is encrypted and nothing is agreed,
//! so nothing in it is secret or random. Whether it may be asked is decided by
//! [`crate::examine`]. Source: RFC 5246, sections 6.2.1 and 7.4.1.2.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::first_bytes::{Speaker, speaker};
use crate::probe;
use crate::timeline::TlsAnswer;

/// So long an answer is waited for.
pub(crate) const ANSWER: Duration = Duration::from_secs(2);

/// Bytes that say what it is.
const FIRST: usize = 16;

/// AES of both lengths in GCM, with either kind of key; an old one for old servers.
const SUITES: [u16; 6] = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0x009c, 0x002f];

/// Curves, point format, and signatures, as every client names them.
const EXTENSIONS: [&[u8]; 3] = [
    &[0, 10, 0, 6, 0, 4, 0, 23, 0, 24],
    &[0, 11, 0, 2, 1, 0],
    &[0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 4, 1, 2, 1],
];

/// The 32 bytes that stand for randomness.
const RANDOM: &[u8; 32] = b"is TLS spoken here? ask ibouncer";

/// Asks, within this time for TCP and [`ANSWER`] for the rest, or `within` if that is less.
pub(crate) fn ask(gateway: SocketAddr, within: Duration) -> TlsAnswer {
    let Ok(mut stream) = probe::open(gateway, within) else {
        return TlsAnswer::NoTcp;
    };
    // A write that fails shows in what is read next.
    let _ = stream.write_all(&client_hello());
    let deadline = Instant::now() + ANSWER.min(within);
    let mut bytes = [0; FIRST];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return TlsAnswer::Silence;
        }
        match stream.read(&mut bytes) {
            Ok(0) => return TlsAnswer::Closed,
            Ok(length) => return answer(&bytes[..length]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return TlsAnswer::Closed,
            },
        }
    }
}

fn answer(bytes: &[u8]) -> TlsAnswer {
    match speaker(bytes) {
        Speaker::Tls => TlsAnswer::Record(bytes.to_vec()),
        _ => TlsAnswer::Other(bytes.to_vec()),
    }
}

/// TLS 1.2 in a record of 1.0, which every version answers, with an alert at least.
fn client_hello() -> Vec<u8> {
    let suites: Vec<u8> = SUITES.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let extensions = EXTENSIONS.concat();
    let mut body = vec![3, 3];
    body.extend_from_slice(RANDOM);
    // No session to go on with.
    body.push(0);
    body.extend(with_length(&suites));
    // One compression: none.
    body.extend([1, 0]);
    body.extend(with_length(&extensions));
    let mut message = vec![1, 0];
    message.extend(with_length(&body));
    let mut record = vec![0x16, 3, 1];
    record.extend(with_length(&message));
    record
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a hello has some hundred bytes");
    [&length.to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_one_whole_record() {
        let hello = client_hello();
        assert_eq!(hello[..3], [0x16, 3, 1]);
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(hello[5], 1);
        let length = u32::from_be_bytes([0, hello[6], hello[7], hello[8]]);
        assert_eq!(length as usize, hello.len() - 9);
    }

    #[test]
    fn a_record_or_an_alert_is_tls_and_a_page_is_not() {
        assert!(matches!(answer(&[0x16, 3, 3, 0]), TlsAnswer::Record(_)));
        assert!(matches!(answer(&[0x15, 3, 1]), TlsAnswer::Record(_)));
        assert!(matches!(answer(b"HTTP/1.1"), TlsAnswer::Other(_)));
    }
}
