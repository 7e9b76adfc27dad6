//! The comparison: a plain TWS client, and one blocking relay process between it and the
//! simulator. Nothing can be simpler and still be two hops.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ibouncer_client::contract::stock;
use ibouncer_proto::tws::envelope::{Direction, Envelope, write_message};
use ibouncer_proto::tws::frame::{Deframer, bodies};
use ibouncer_proto::tws::handshake::{ClientHandshake, start_api};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::MarketDataRequest;

use crate::beside::Beside;
use crate::chain;
use crate::ticks::{Seen, monotonic_nanos};

/// First argument that makes this program the relay.
pub(crate) const RELAY: &str = "__relay";

/// A relay process in front of this address.
pub(crate) fn start(gateway: &str) -> Beside {
    Beside::start([RELAY, gateway])
}

/// The relay itself: one connection, two threads, blocking reads and writes.
pub(crate) fn relay(gateway: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (client, _) = listener.accept().unwrap();
    let gateway = TcpStream::connect(gateway).unwrap();
    for socket in [&client, &gateway] {
        socket.set_nodelay(true).unwrap();
    }
    let (mut from, mut to) = (client.try_clone().unwrap(), gateway.try_clone().unwrap());
    std::thread::spawn(move || pump(&mut from, &mut to));
    pump(&mut { gateway }, &mut { client });
}

fn pump(from: &mut TcpStream, to: &mut TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Subscribes to everything at this address and reads for a while.
pub(crate) fn measure(address: &str, warm_up: Duration, length: Duration, sample: u64) -> Seen {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 256 * 1024];
    let mut handshake = ClientHandshake::new(213..=226);
    stream.write_all(&handshake.opening()).unwrap();
    let hello = loop {
        let count = stream.read(&mut buffer).unwrap();
        if let Some(hello) = handshake.receive(&buffer[..count]).unwrap() {
            break hello;
        }
    };
    stream.write_all(&start_api(hello.server_version, 7)).unwrap();
    let mut requests = BytesMut::new();
    for (index, symbol) in chain::ten().iter().enumerate() {
        let request = MarketDataRequest {
            req_id: Some(index as i32),
            contract: Some(stock(*symbol)),
            ..MarketDataRequest::default()
        };
        write_message(id::REQ_MKT_DATA, &request, &mut requests);
    }
    stream.write_all(&requests).unwrap();
    let mut deframer: Deframer = handshake.into_deframer();
    let mut seen = Seen::default();
    let begin = Instant::now() + warm_up;
    let end = begin + length;
    let mut begun = false;
    loop {
        let count = stream.read(&mut buffer).unwrap();
        let now = Instant::now();
        if !begun && now >= begin {
            begun = true;
            seen.begin();
        }
        if count == 0 || now >= end {
            return seen;
        }
        let nanos = monotonic_nanos();
        deframer.extend(&buffer[..count]);
        for body in bodies(&deframer.take_whole().unwrap()) {
            let envelope = Envelope::parse(body).unwrap();
            if envelope.message_id != id::TICK_PRICE {
                continue;
            }
            let line = envelope.correlation_id(Direction::FromGateway).unwrap().unwrap();
            let aged = seen.ticks.is_multiple_of(sample).then_some(nanos);
            seen.take(line as usize, envelope.body, aged);
        }
    }
}
