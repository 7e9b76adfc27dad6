//! Both roles against each other, at every version and split, and against nonsense.

use proptest::prelude::*;

use super::*;

#[test]
fn openings_are_the_documented_bytes() {
    let opening = ClientHandshake::new(100..=226).opening();
    assert_eq!(&opening[..], b"API\0\0\0\0\x09v100..226");
    assert_eq!(&start_api(178, 7)[..], b"\0\0\0\x0871\x002\x007\0\0");
    assert_eq!(&start_api(205, 7)[..], b"\0\0\0\x09\0\0\0\x472\x007\0\0");
    assert_eq!(&start_api(213, 7)[..], &[0, 0, 0, 8, 0, 0, 1, 0xf, 8, 7, 0x12, 0]);
    let reply = version_reply(178, "20250415 19:38:30 EST");
    assert_eq!(&reply[..4], &[0, 0, 0, 0x1a]);
}

#[test]
fn both_roles_agree_at_every_version_and_split() {
    for version in [100, 178, 200, 201, 212, 213, 226] {
        for step in [1, 3, 1000] {
            let mut client = ClientHandshake::new(100..=226);
            let mut server = ServerHandshake::new();
            let hello = feed(&client.opening(), step, |piece| server.receive(piece).unwrap());
            let ServerEvent::Hello(hello) = hello else { panic!("{hello:?}") };
            assert_eq!(hello.offer, 100..=226);
            server.chose(version);
            let reply = version_reply(version, "20261123 10:00:00 British Summer Time");
            let seen = feed(&reply, step, |piece| client.receive(piece).unwrap());
            assert_eq!(seen.server_version, version);
            assert_eq!(seen.time, "20261123 10:00:00 British Summer Time");
            let start = start_api(version, 410);
            let started = feed(&start, step, |piece| server.receive(piece).unwrap());
            let expected = StartApi { client_id: 410, capabilities: String::new() };
            assert_eq!(started, ServerEvent::Started(expected));
        }
    }
}

fn feed<T>(bytes: &[u8], step: usize, mut into: impl FnMut(&[u8]) -> Option<T>) -> T {
    bytes.chunks(step).find_map(&mut into).expect("the message is complete")
}

#[test]
fn an_opening_of_another_protocol_is_quoted() {
    let mut server = ServerHandshake::new();
    let error = server.receive(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    assert!(error.to_string().contains("GET"), "{error}");
    let mut client = ClientHandshake::new(100..=226);
    assert!(client.receive(b"HTTP/1.1 400 Bad Request\r\n").is_err());
}

#[test]
fn replies_that_are_none_are_refused_with_a_reason() {
    for (bytes, wanted) in [
        (&b"\0\0\0\x03abc"[..], "expected a server version"),
        (b"\0\0\0\x0d-1\0host:4001\0", "redirects"),
        (b"\0\0\0\x0299", "expected a server version"),
        (b"\0\0\0\x0799\0now\0", "offered were 100 to 226"),
    ] {
        let error = ClientHandshake::new(100..=226).receive(bytes).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClientHandshake::new(100..=226).receive(&bytes);
        let mut server = ServerHandshake::new();
        let _ = server.receive(&bytes);
        let mut server = ServerHandshake::new();
        server.receive(b"API\0\0\0\0\x04v213").unwrap();
        server.chose(213);
        let _ = server.receive(&bytes);
    }
}
