//! A real worker whose broker is the test: half a frame at a time, and a link that goes away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ibouncer_gateway_sim::{GatewayConfig, Rate, SimConfig, SimHandle};
use ibouncer_proto::link::v1::{Acknowledge, Gap, Hello, to_broker, to_worker};
use ibouncer_proto::tws::envelope::{Envelope, write_message};
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    CancelMarketData, Contract, ErrorMessage, MarketDataRequest, TickPrice,
};
use ibouncer_tests::harness::link::{LinkEnd, LoneWorker, Said, data_frame};
use ibouncer_tests::harness::wait::PATIENCE;
use prost::Message as _;

use super::{binary, sim};

const EPOCH: u64 = 7;

fn cancel(request: i32) -> Bytes {
    let mut out = BytesMut::new();
    let body = CancelMarketData { req_id: Some(request) };
    write_message(id::CANCEL_MKT_DATA, &body, &mut out);
    out.freeze()
}

fn request(request: i32) -> Bytes {
    let contract = Contract {
        symbol: Some("AAPL".into()),
        sec_type: Some("STK".into()),
        exchange: Some("SMART".into()),
        currency: Some("USD".into()),
        ..Contract::default()
    };
    let body = MarketDataRequest {
        req_id: Some(request),
        contract: Some(contract),
        ..MarketDataRequest::default()
    };
    let mut out = BytesMut::new();
    write_message(id::REQ_MKT_DATA, &body, &mut out);
    out.freeze()
}

#[test]
fn an_outbound_link_that_is_cut_at_each_byte_sends_each_frame_once() {
    let sim = sim(&[]);
    let worker = LoneWorker::start(binary(), EPOCH);
    let mut link = worker.bring_up(worker.configuration(sim.address(), 1 << 20));
    let mut taken = 0;
    let mut sent = Vec::new();
    let length = data_frame(1, &cancel(1)).len();
    for cut in 0..=length {
        let number = taken + 1;
        let frame = data_frame(number, &cancel(1000 + cut as i32));
        link.raw(&frame[..cut]);
        drop(link);
        link = worker.accept();
        // Half a frame is never taken; a whole one may have been, before the link was gone.
        let was_taken = link.hello.taken_through == number;
        assert!(
            link.hello.taken_through == taken || (was_taken && cut == length),
            "cut after {cut} bytes: {:?}",
            link.hello
        );
        link.greet(EPOCH);
        if !was_taken {
            // It was never sent, and that is proof; so it may be sent now.
            link.send(number, &cancel(1000 + cut as i32));
        }
        // What was taken is not sent twice, whoever sends it again.
        link.send(number + 1, &cancel(2000 + cut as i32));
        sent.extend([1000 + cut as i32, 2000 + cut as i32]);
        taken = number + 1;
        // A link that is cut loses what the worker has not read yet: it must have read these.
        sim.wait_requests("CANCEL_MKT_DATA", sent.len());
    }
    let requests = sim.wait_requests("CANCEL_MKT_DATA", sent.len());
    let seen: Vec<_> =
        requests.iter().map(|one| one["request_id"].as_i64().unwrap() as i32).collect();
    assert_eq!(seen, sent, "each once, in order");
    assert_eq!(sim.named("accepted").len(), 1);
}

#[test]
fn a_worker_takes_no_other_broker_for_its_own() {
    let sim = sim(&[]);
    let worker = LoneWorker::start(binary(), EPOCH);
    drop(worker.bring_up(worker.configuration(sim.address(), 1 << 20)));
    let mut other = worker.accept();
    other.greet(EPOCH + 1);
    drop(other);
    let mut newer = worker.accept();
    let hello = Hello { link_version: 99, epoch: EPOCH, ..Hello::default() };
    newer.tell(to_worker::Message::Hello(hello));
    drop(newer);
    let mut noise = worker.accept();
    noise.raw(&[0xff; 64]);
    drop(noise);
    let mut right = worker.accept();
    let facts = right.hello.session.clone().expect("its session lives");
    assert_eq!(facts.server_version, 226);
    assert!(facts.accounts.contains("DU0000001"), "{facts:?}");
    right.greet(EPOCH);
    right.send(1, &cancel(5));
    sim.wait_requests("CANCEL_MKT_DATA", 1);
    assert_eq!(sim.named("accepted").len(), 1);
}

/// What came from Gateway, and what is missing.
#[derive(Default)]
struct Ledger {
    ticks: u64,
    last_tick: f64,
    notices: Vec<i32>,
    gap: u64,
    numbers: Vec<u64>,
    replayed: BTreeMap<u64, Bytes>,
}

impl Ledger {
    fn take(&mut self, said: Said) {
        match said {
            Said::Control(to_broker::Message::Gap(Gap { from, to, frames })) => {
                assert!(from <= to);
                self.gap += frames;
            }
            Said::Control(_) => {}
            Said::Frames(number, frames) => {
                if let Some(newest) = self.numbers.last() {
                    assert_eq!(number, newest + 1, "numbers count without a gap");
                }
                self.numbers.push(number);
                self.replayed.insert(number, frames.clone());
                for body in frame::bodies(&frames) {
                    self.frame(body);
                }
            }
        }
    }

    fn frame(&mut self, body: &[u8]) {
        let envelope = Envelope::parse(body).unwrap();
        match envelope.message_id {
            id::TICK_PRICE => {
                let tick = TickPrice::decode(envelope.body).unwrap();
                assert!(tick.price() >= self.last_tick, "ticks keep their order");
                self.last_tick = tick.price();
                self.ticks += 1;
            }
            id::ERR_MSG => {
                let error = ErrorMessage::decode(envelope.body).unwrap();
                if error.error_msg().starts_with("order") {
                    self.notices.push(error.error_code());
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_ticks_are_kept_or_named_as_a_gap_and_orders_are_never_dropped() {
    let gateway = GatewayConfig {
        rate: Rate::PerConnection(60_000),
        stamp: true,
        ..GatewayConfig::default()
    };
    let config = SimConfig { gateway, ..SimConfig::default() };
    let sim = ibouncer_gateway_sim::start(config).await.unwrap();
    let address = sim.address().to_string();
    // The smallest buffer: full within half a second.
    let (worker, mut link, mut ledger) = tokio::task::spawn_blocking(move || {
        let worker = LoneWorker::start(binary(), EPOCH);
        let mut link = worker.bring_up(worker.configuration(&address, 1 << 20));
        link.send(1, &request(1));
        let mut ledger = Ledger::default();
        while ledger.ticks < 5000 {
            ledger.take(link.next("ticks"));
        }
        (worker, link, ledger)
    })
    .await
    .unwrap();
    // The broker dies having dealt with half of what it got.
    let acknowledged = ledger.numbers.len() as u64 / 2;
    link.tell(to_worker::Message::Acknowledge(Acknowledge {
        through: acknowledged,
        unjournaled: false,
    }));
    read_some(&mut link, &mut ledger);
    drop(link);

    let orders: Vec<i32> = (0..200).map(|index| 20_000 + index).collect();
    for code in &orders {
        // Errors are of the classes that are never dropped.
        sim.announce(*code, "order event").await;
        // Not a wait: ticks are to come between the orders.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let (worker, link, mut ledger) = tokio::task::spawn_blocking(move || {
        let mut link = worker.accept();
        let first = link.hello.next_number;
        assert!(first > acknowledged, "what was acknowledged does not come again");
        assert!(first <= ledger.numbers.last().unwrap() + 1, "nothing is left out");
        // What comes again was seen by the broker that died: it is counted once.
        for number in first..=*ledger.numbers.last().unwrap() {
            for body in frame::bodies(&ledger.replayed[&number]) {
                let envelope = Envelope::parse(body).unwrap();
                ledger.ticks -= u64::from(envelope.message_id == id::TICK_PRICE);
            }
        }
        ledger.last_tick = 0.0;
        ledger.numbers.clear();
        link.greet(EPOCH);
        let deadline = Instant::now() + PATIENCE;
        while ledger.notices.len() < 200 {
            assert!(Instant::now() < deadline, "{} orders", ledger.notices.len());
            if let Some(said) = link.poll() {
                ledger.take(said);
            }
        }
        link.send(2, &cancel(1));
        settle(&mut link, &mut ledger);
        assert_eq!(ledger.numbers.first(), Some(&first));
        (worker, link, ledger)
    })
    .await
    .unwrap();
    assert_eq!(ledger.notices, orders, "each order event, once, in order");
    assert!(ledger.gap > 0, "the buffer was too small for all ticks");
    let report = sim.report().await;
    assert_eq!(ledger.ticks + ledger.gap, report.sent_ticks, "every tick is accounted for");
    assert_eq!((report.accepted, report.open), (1, 1), "one connection, all the time");
    ledger.replayed.clear();
    drop((link, worker));
    SimHandle::shutdown(sim).await;
}

fn read_some(link: &mut LinkEnd, ledger: &mut Ledger) {
    for _ in 0..20 {
        if let Some(said) = link.poll() {
            ledger.take(said);
        }
    }
}

/// Reads until nothing comes any more.
fn settle(link: &mut LinkEnd, ledger: &mut Ledger) {
    let mut silent = 0;
    while silent < 10 {
        match link.poll() {
            Some(said) => {
                silent = 0;
                ledger.take(said);
            }
            None => silent += 1,
        }
    }
}

#[test]
fn without_a_broker_for_its_whole_grace_a_worker_says_why_it_ended() {
    let sim = sim(&[]);
    let mut worker = LoneWorker::start(binary(), EPOCH);
    let mut configuration = worker.configuration(sim.address(), 1 << 20);
    configuration.adoption_grace_ms = 300;
    drop(worker.bring_up(configuration));
    // Whoever is connected and says nothing does not make the grace longer.
    let mute = worker.accept();
    assert_eq!(worker.exit_code(), 14);
    drop(mute);
    assert_eq!(sim.close_of(1), "fin");
}
