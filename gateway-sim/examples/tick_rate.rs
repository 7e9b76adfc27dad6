//! How many ticks per second the simulator makes, and how old they are at a trivial reader.
//!
//! `cargo run --release -p ibouncer-gateway-sim --example tick_rate -- [RATE|max] [SECONDS]`
//!
//! One connection, 100 lines, in stamp mode. The reader only finds the borders of the frames, and
//! looks at the last tick of every read.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::BytesMut;
use ibouncer_gateway_sim::{GatewayConfig, Rate, SimConfig, SimHandle, start};
use ibouncer_proto::tws::envelope::{Envelope, write_message};
use ibouncer_proto::tws::frame::{Deframer, bodies};
use ibouncer_proto::tws::handshake::{ClientHandshake, start_api};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{Contract, MarketDataRequest, TickPrice};
use prost::Message as _;

const LINES: i32 = 100;

/// Contract id of the simulator's first instrument.
const FIRST_CON_ID: i32 = 900_000_001;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let rate = words.next().unwrap_or_else(|| "max".to_owned());
    let seconds = words.next().map_or(Ok(5), |word| word.parse::<u64>())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let config = SimConfig {
        gateway: GatewayConfig {
            rate: rate.parse::<Rate>().map_err(anyhow::Error::msg)?,
            stamp: true,
            ..GatewayConfig::default()
        },
        ..SimConfig::default()
    };
    let sim = runtime.block_on(start(config))?;
    let seen = read_for(&sim, Duration::from_secs(seconds))?;
    let report = runtime.block_on(sim.report());
    let mut ages = seen.ages;
    ages.sort_unstable();
    let age = |part: usize| ages.get(ages.len() * part / 100).copied().unwrap_or(0) / 1000;
    let line = format!(
        "{rate}: {:.0} ticks/s received in {:.2} s, {} dropped by the simulator; \
         age of the last tick of a read: median {} us, 99 % {} us\n",
        seen.ticks as f64 / seen.elapsed.as_secs_f64(),
        seen.elapsed.as_secs_f64(),
        report.dropped,
        age(50),
        age(99),
    );
    std::io::stdout().lock().write_all(line.as_bytes())?;
    Ok(())
}

struct Seen {
    ticks: u64,
    elapsed: Duration,
    /// Nanoseconds.
    ages: Vec<u64>,
}

fn read_for(sim: &SimHandle, duration: Duration) -> anyhow::Result<Seen> {
    let mut stream = TcpStream::connect(sim.address()).context("connect to the simulator")?;
    let mut buffer = vec![0; 256 * 1024];
    let mut handshake = ClientHandshake::new(213..=226);
    stream.write_all(&handshake.opening())?;
    loop {
        let length = stream.read(&mut buffer)?;
        if let Some(hello) = handshake.receive(&buffer[..length])? {
            stream.write_all(&start_api(hello.server_version, 7))?;
            break;
        }
    }
    let mut deframer = handshake.into_deframer();
    stream.write_all(&requests())?;
    let (mut ticks, mut ages) = (0, Vec::new());
    let started = Instant::now();
    while started.elapsed() < duration {
        let length = stream.read(&mut buffer)?;
        deframer.extend(&buffer[..length]);
        ticks += take(&mut deframer, &mut ages)?;
    }
    let elapsed = started.elapsed();
    Ok(Seen { ticks, elapsed, ages })
}

fn requests() -> BytesMut {
    let mut out = BytesMut::new();
    for line in 0..LINES {
        let request = MarketDataRequest {
            req_id: Some(1000 + line),
            contract: Some(Contract { con_id: Some(FIRST_CON_ID + line), ..Default::default() }),
            ..Default::default()
        };
        write_message(id::REQ_MKT_DATA, &request, &mut out);
    }
    out
}

fn take(deframer: &mut Deframer, ages: &mut Vec<u64>) -> anyhow::Result<u64> {
    let whole = deframer.take_whole()?;
    let (mut ticks, mut last) = (0, None);
    for body in bodies(&whole) {
        let envelope = Envelope::parse(body)?;
        if envelope.message_id == id::TICK_PRICE {
            ticks += 1;
            last = Some(envelope);
        }
    }
    if let Some(tick) = last {
        let stamp = TickPrice::decode(tick.body)?.price();
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = clock.tv_sec as u64 * 1_000_000_000 + clock.tv_nsec as u64;
        ages.push(now.saturating_sub(stamp as u64));
    }
    Ok(ticks)
}
