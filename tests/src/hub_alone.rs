//! The hub alone: brought to READY by hand, with ten lines and streams that listen to all of them,
//! then fed the same batch of ticks again and again.

use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use ibouncer_client::contract::stock;
use ibouncer_core::clock::Clock;
use ibouncer_core::hub::{Hub, Input, Manner, Output, WorkerEvent};
use ibouncer_core::ids::{ClientId, Epoch, StreamId};
use ibouncer_core::ledger::Ledger;
use ibouncer_core::lines::wanted::Wanted;
use ibouncer_core::principals::Credential;
use ibouncer_core::queue::{Chunk, StreamQueue};
use ibouncer_core::record::Claim;
use ibouncer_core::session::Memory;
use ibouncer_core::settings::Settings;
use ibouncer_core::sight::Sight;
use ibouncer_proto::link::v1::{Hello, Stage, StageReached};
use ibouncer_proto::tws::envelope::{Direction, Envelope, write_message};
use ibouncer_proto::tws::frame::bodies;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{MarketDataRequest, TickPrice};

/// Ticks that come together.
pub const BATCH: usize = 100;

/// One that keeps up conflates nothing.
const QUEUE: usize = 1 << 20;

/// So many rounds of a batch over these lines, each with so many listeners. Answers how many bytes were
/// handed out.
pub fn run(symbols: &[&str], listeners: u64, rounds: u64) -> u64 {
    let mut alone = Alone::ready(symbols, listeners);
    let batch = alone.batch();
    // What is done once for a line is not counted.
    alone.route(&batch);
    alone.hand_out();
    (0..rounds).map(|_| alone.round(&batch)).sum()
}

struct Alone {
    hub: Hub,
    now: Instant,
    number: u64,
    queues: Vec<StreamQueue>,
    delivered: Vec<(StreamId, Chunk)>,
    /// Request ids that left for Gateway.
    requests: Vec<i32>,
}

impl Alone {
    fn ready(symbols: &[&str], listeners: u64) -> Self {
        let now = Instant::now();
        let clock = Clock { now, wall: SystemTime::now() };
        let memory = Memory { ledger: Ledger::new("127.0.0.1:4002"), clock };
        let mut alone = Self {
            hub: Hub::new(Settings::default(), memory, 1, now),
            now,
            number: 0,
            queues: Vec::new(),
            delivered: Vec::new(),
            requests: Vec::new(),
        };
        alone.input(Input::Start);
        alone.input(Input::Sight { sight: Box::new(Sight::blind("nothing to see")), clock });
        alone.worker(WorkerEvent::Spawned { pid: 100 });
        alone.worker(WorkerEvent::Hello(Hello { epoch: 1, ..Hello::default() }));
        for stage in [Stage::TcpConnected, Stage::VersionReceived, Stage::Ready] {
            let stage = StageReached { stage: stage.into(), ..StageReached::default() };
            alone.worker(WorkerEvent::Stage(stage));
        }
        assert!(alone.hub.is_up());
        for number in 0..listeners {
            alone.listen(symbols, number);
        }
        while alone.requests.len() < symbols.len() {
            alone.now += Duration::from_millis(20);
            alone.hub.handle_timeout(alone.now);
            alone.carry_out();
        }
        alone
    }

    fn listen(&mut self, symbols: &[&str], number: u64) {
        let (client, stream) = (ClientId(number), StreamId(number));
        self.queues.push(StreamQueue::new(QUEUE));
        self.input(Input::ClientJoined {
            client,
            name: "one".into(),
            peer: "here".into(),
            credential: Credential::default(),
        });
        self.input(Input::StreamOpened { client, stream, single: false });
        for (subscription, symbol) in symbols.iter().enumerate() {
            let request =
                MarketDataRequest { contract: Some(stock(*symbol)), ..Default::default() };
            let wanted = Wanted::market_data(request, 0).map(Box::new);
            let (subscription, manner) = (subscription as u32 + 1, Manner::default());
            self.input(Input::Subscribe { stream, subscription, wanted, manner });
        }
    }

    fn worker(&mut self, event: WorkerEvent) {
        self.input(Input::Worker { epoch: Epoch(1), event });
    }

    fn input(&mut self, input: Input) {
        self.hub.handle_input(input, self.now);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Claim => {
                    self.hub.handle_input(Input::Claimed(Claim::Ours(Box::default())), self.now);
                }
                Output::Deliver(stream, chunk) => self.delivered.push((stream, chunk)),
                Output::Send { frames, .. } => {
                    for body in bodies(&frames) {
                        let envelope = Envelope::parse(body).unwrap();
                        if envelope.message_id == id::REQ_MKT_DATA {
                            let request = envelope.correlation_id(Direction::ToGateway).unwrap();
                            self.requests.push(request.unwrap());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Stamped ticks of all lines in turn, as the simulator makes them.
    fn batch(&self) -> Bytes {
        let mut frames = BytesMut::new();
        for number in 0..BATCH {
            let tick = TickPrice {
                req_id: Some(self.requests[number % self.requests.len()]),
                tick_type: Some(4),
                price: Some(1e15 + number as f64),
                size: Some((1_000_000 + number).to_string()),
                attr_mask: Some(0),
            };
            write_message(id::TICK_PRICE, &tick, &mut frames);
        }
        frames.freeze()
    }

    /// What is counted: a batch through the hub, and out to each listener.
    #[inline(never)]
    fn round(&mut self, batch: &Bytes) -> u64 {
        self.route(batch);
        self.hand_out()
    }

    #[inline(never)]
    fn route(&mut self, batch: &Bytes) {
        self.number += 1;
        let (number, frames) = (self.number, batch.clone());
        self.worker(WorkerEvent::Frames { number, frames });
    }

    #[inline(never)]
    fn hand_out(&mut self) -> u64 {
        let mut bytes = 0;
        for (stream, chunk) in self.delivered.drain(..) {
            let queue = &mut self.queues[stream.0 as usize];
            queue.push(chunk, self.now);
            bytes += queue.message(usize::MAX).map_or(0, |message| message.len()) as u64;
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// What is measured by hand goes on to run: every listener gets every tick of every round.
    #[test]
    fn it_becomes_ready_and_hands_out_every_tick() {
        let symbols = ["AAPL", "MSFT"];
        let (once, thrice) = (run(&symbols, 1, 1), run(&symbols, 1, 3));
        let a_tick = TickPrice { price: Some(1e15), ..TickPrice::default() }.encoded_len() as u64;
        assert!(once > BATCH as u64 * a_tick);
        assert!(thrice >= 3 * once, "numbers grow, and so do events");
        assert_eq!(run(&symbols, 8, 3), 8 * thrice);
    }
}
