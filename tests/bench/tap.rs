//! A relay in this process, between broker and simulator: it notes when an order comes out.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use ibouncer_proto::tws::frame::Deframer;
use ibouncer_proto::tws::messages::id;
use tokio::sync::mpsc;

/// What a client says before its first frame.
const GREETING: usize = 4;

/// Where the broker is to connect, and when orders came out there.
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    pub(crate) orders: mpsc::Receiver<Instant>,
}

impl Tap {
    /// In front of this address, for one connection; two threads, which end with it.
    pub(crate) fn start(gateway: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = gateway.to_owned();
        let (sender, orders) = mpsc::channel(1024);
        std::thread::spawn(move || {
            let (broker, _) = listener.accept().unwrap();
            let gateway = TcpStream::connect(gateway).unwrap();
            for socket in [&broker, &gateway] {
                socket.set_nodelay(true).unwrap();
            }
            let (back_from, back_to) = (gateway.try_clone().unwrap(), broker.try_clone().unwrap());
            std::thread::spawn(move || relay(back_from, back_to, |_, _| ()));
            let mut greeting = GREETING;
            let mut frames = Deframer::new();
            relay(broker, gateway, |bytes, now| {
                let skip = greeting.min(bytes.len());
                greeting -= skip;
                frames.extend(&bytes[skip..]);
                while let Ok(Some(body)) = frames.next_body() {
                    if body.starts_with(&id::PLACE_ORDER.to_be_bytes()) {
                        let _ = sender.try_send(now);
                    }
                }
            });
        });
        Self { address, orders }
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8], Instant)) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let now = Instant::now();
        if to.write_all(&buffer[..count]).is_err() {
            return;
        }
        look(&buffer[..count], now);
    }
}
