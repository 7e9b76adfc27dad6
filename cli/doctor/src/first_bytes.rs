//! Who speaks there, by the first bytes that came.
//!
//! A TWS API server begins with a frame of some tens of bytes, so with two zeros. What else is
//! found on a wrong port says its name sooner: web servers, TLS, SSH, VNC.

/// Who it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Not one byte came.
    Nobody,
    /// It begins as a version reply does.
    Tws,
    Http,
    Tls,
    Ssh,
    Vnc,
    /// None of these.
    Unknown,
}

/// By the first bytes.
pub(crate) fn speaker(bytes: &[u8]) -> Speaker {
    match bytes {
        [] => Speaker::Nobody,
        // Alert or handshake, version 3.x.
        [0x15 | 0x16, 0x03, ..] => Speaker::Tls,
        [b'H', b'T', b'T', b'P', ..] => Speaker::Http,
        [b'<', ..] if is_markup(bytes) => Speaker::Http,
        [b'S', b'S', b'H', b'-', ..] => Speaker::Ssh,
        [b'R', b'F', b'B', b' ', ..] => Speaker::Vnc,
        // The reply is "226\0" and a time: far below 4096 bytes.
        [0] | [0, 0] | [0, 0, 0..=0x0f, ..] => Speaker::Tws,
        _ => Speaker::Unknown,
    }
}

/// Some web servers answer nonsense with a bare page.
fn is_markup(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).to_lowercase();
    head.starts_with("<!doctype") || head.starts_with("<html")
}

/// The bytes for a page: printable as they are, the others escaped, cut.
pub(crate) fn quoted(bytes: &[u8], most: usize) -> String {
    let mut text = bytes[..bytes.len().min(most)].escape_ascii().to_string();
    if bytes.len() > most {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speakers_are_told_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b""[..], Speaker::Nobody),
            (b"HTTP/1.1 400 Bad Request\r\n", Speaker::Http),
            (b"<html><head>", Speaker::Http),
            (b"<!DOCTYPE html>", Speaker::Http),
            (b"<xml/>", Speaker::Unknown),
            (&[0x15, 3, 3, 0, 2, 2, 0x46], Speaker::Tls),
            (&[0x16, 3, 1], Speaker::Tls),
            (b"SSH-2.0-OpenSSH_9.6\r\n", Speaker::Ssh),
            (b"RFB 003.008\n", Speaker::Vnc),
            (&[0, 0, 0, 26], Speaker::Tws),
            (&[0], Speaker::Tws),
            (&[0, 0, 0x40, 0], Speaker::Unknown),
            (&[0x7f, 0xff, 0xff, 0xff], Speaker::Unknown),
        ] {
            assert_eq!(speaker(bytes), expected, "{bytes:?}");
        }
        assert_eq!(quoted(b"a\0b\xff", 3), "a\\x00b…");
    }
}
