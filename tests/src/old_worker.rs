//! A worker of another build, as a broker meets it after an upgrade: it holds the worker's lock
//! and a live session, speaks some version of the link, and comes to the link by itself.
//!
//! `old-worker LOCK LINK VERSION EPOCH`. Answers pings, ends when told, and by itself after a
//! minute.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program of the tests")]

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ibouncer_proto::link::v1::{
    Hello, Pong, SessionFacts, ToBroker, ToWorker, to_broker, to_worker,
};
use ibouncer_proto::link::{LinkDeframer, LinkFrame, read_control, write_control};

const LIFE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [lock, link, version, epoch] = &arguments[..] else {
        panic!("LOCK LINK VERSION EPOCH");
    };
    let held = OpenOptions::new().write(true).create(true).truncate(false).open(lock).unwrap();
    held.lock().unwrap();
    println!("locked");
    let (version, epoch) = (version.parse().unwrap(), epoch.parse().unwrap());
    let begun = Instant::now();
    while begun.elapsed() < LIFE {
        if let Ok(stream) = UnixStream::connect(link) {
            serve(stream, version, epoch);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Until the broker closes the link.
fn serve(mut stream: UnixStream, version: u32, epoch: u64) {
    let session = SessionFacts {
        server_version: 220,
        accounts: "DU0000001".into(),
        next_order_id: 1,
        ..SessionFacts::default()
    };
    let hello = Hello {
        link_version: version,
        build: "ibouncer 0.0.9".into(),
        epoch,
        pid: std::process::id(),
        session: Some(session),
        ..Hello::default()
    };
    tell(&mut stream, to_broker::Message::Hello(hello));
    let mut inbound = LinkDeframer::new();
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        inbound.extend(&piece[..count]);
        while let Ok(Some(frame)) = inbound.next_frame() {
            let LinkFrame::Control(body) = frame else {
                continue;
            };
            match read_control::<ToWorker>(&body).unwrap().message {
                Some(to_worker::Message::Hello(hello)) => {
                    assert_eq!(hello.link_version, version, "a broker speaks the worker's version");
                    println!("greeted");
                }
                Some(to_worker::Message::Ping(ping)) => {
                    let pong = Pong { number: ping.number, ..Pong::default() };
                    tell(&mut stream, to_broker::Message::Pong(pong));
                }
                Some(to_worker::Message::Shutdown(_)) => std::process::exit(0),
                _ => {}
            }
        }
    }
}

fn tell(stream: &mut UnixStream, message: to_broker::Message) {
    let mut out = BytesMut::new();
    write_control(&ToBroker { message: Some(message) }, &mut out);
    // A broker that has had enough is noticed by reading.
    let _ = stream.write_all(&out);
}
