//! The stamped stream in the older text form, for clients that speak no newer one: ib_async ends
//! at server version 178, and the simulator begins above it.
//!
//! A blocking process with one connection, as `direct::relay` is. It answers the handshake with
//! version 176, START_API with an account and the next valid id, and REQ_MKT_DATA with `tickPrice`
//! at the offered rate: the same stamps, in slices as the simulator makes them, and what is over a
//! second late is not made.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::beside::Beside;
use crate::ticks::monotonic_nanos;

/// First argument that makes this program the feeder.
pub(crate) const FEEDER: &str = "__text_feeder";

const SLICE: Duration = Duration::from_millis(1);

/// Ticks in one write, as in the simulator.
const PART: u64 = 2048;

const REQ_MKT_DATA: &str = "1";
const START_API: &str = "71";

/// A feeder process with this rate.
pub(crate) fn start(rate: u64) -> Beside {
    Beside::start([FEEDER, &rate.to_string()])
}

/// The feeder itself.
pub(crate) fn run(rate: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    let (mut client, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    // "API", then the range of versions as a frame.
    client.read_exact(&mut [0; 4]).unwrap();
    fields(&mut client).unwrap();
    client.write_all(&frame("176\x0020260101 09:30:00 EST\0")).unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let (mut reader, mut writer) = (client.try_clone().unwrap(), client.try_clone().unwrap());
    let wanted = Arc::clone(&lines);
    std::thread::spawn(move || {
        while let Some(fields) = fields(&mut reader) {
            match fields[0].as_str() {
                START_API => {
                    let start = [frame("15\x001\0DU1\0"), frame("9\x001\x001\0")].concat();
                    writer.write_all(&start).unwrap();
                }
                REQ_MKT_DATA => wanted.lock().unwrap().push((fields[2].clone(), 0)),
                _ => {}
            }
        }
        std::process::exit(0);
    });
    feed(client, rate, &lines);
}

/// Request id and counter of each line.
type Lines = Mutex<Vec<(String, u64)>>;

fn feed(mut client: TcpStream, rate: u64, lines: &Lines) {
    while lines.lock().unwrap().is_empty() {
        std::thread::sleep(SLICE);
    }
    let begun = Instant::now();
    let (mut made, mut next) = (0, 0);
    let mut out = Vec::new();
    loop {
        let through = (begun.elapsed().as_nanos() * u128::from(rate) / 1_000_000_000) as u64;
        made = made.max(through.saturating_sub(rate));
        if through == made {
            std::thread::sleep(SLICE);
            continue;
        }
        let ticks = (through - made).min(PART);
        made += ticks;
        let now = monotonic_nanos();
        out.clear();
        let mut lines = lines.lock().unwrap();
        for _ in 0..ticks {
            next = (next + 1) % lines.len();
            let (id, counter) = &mut lines[next];
            *counter += 1;
            let tick = format!("1\x006\0{id}\x004\0{now}.0\0{counter}\x000\0");
            out.extend_from_slice(&frame(&tick));
        }
        drop(lines);
        if client.write_all(&out).is_err() {
            return;
        }
    }
}

/// The next frame's fields; nothing at the end.
fn fields(stream: &mut TcpStream) -> Option<Vec<String>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(String::from_utf8_lossy(&body).split('\0').map(str::to_owned).collect())
}

fn frame(body: &str) -> Vec<u8> {
    [&(body.len() as u32).to_be_bytes(), body.as_bytes()].concat()
}
