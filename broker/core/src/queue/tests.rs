//! The queue against the typed schema, and against a naive model.

mod ends;
mod shared;

use bytes::BytesMut;
use ibouncer_proto::api::v1::market_data_event::Body;
use ibouncer_proto::api::v1::{MarkKind, MarketDataEvent, StreamMark, StreamMarketDataResponse};
use ibouncer_proto::tws::v1::{MarketDepth, MarketDepthData, TickPrice, TickSize, TickString};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::fields::{field, tick_type};
use crate::memory::Memory;

const PATIENCE: Duration = Duration::from_secs(300);

/// For tests in which no time passes.
fn now() -> Instant {
    static NOW: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *NOW.get_or_init(Instant::now)
}

fn chunk(ticks: &[(u32, u64, TickPrice)]) -> Chunk {
    let mut bytes = BytesMut::new();
    let mut entries = Vec::new();
    for (subscription, sequence, tick) in ticks {
        let start = bytes.len() as u32;
        tick.encode(&mut bytes).unwrap();
        entries.push(Entry {
            subscription: *subscription,
            start,
            length: bytes.len() as u32 - start,
            field: field::TICK_PRICE,
            replayed: sequence % 2 == 1,
            reset: false,
            sequence: *sequence,
        });
    }
    Chunk::new(bytes.freeze(), entries)
}

fn tick(kind: i32, price: f64) -> TickPrice {
    TickPrice {
        req_id: Some(1_500_000_007),
        tick_type: Some(kind),
        price: Some(price),
        ..Default::default()
    }
}

fn drain(queue: &mut StreamQueue) -> Vec<(u32, u64, u32, bool, TickPrice)> {
    let mut seen = Vec::new();
    let mut out = BytesMut::new();
    while queue.pull(100, &mut out) {
        let response = StreamMarketDataResponse::decode(&out.split()[..]).unwrap();
        for event in response.events {
            let Some(Body::TickPrice(tick)) = event.body else { panic!("{event:?}") };
            seen.push((event.subscription_id, event.sequence, event.skipped, event.replayed, tick));
        }
    }
    seen
}

proptest! {
    #[test]
    fn the_hand_written_encoding_is_the_schemas(
        ticks in prop::collection::vec((any::<u32>(), any::<u64>(), 0_i32..90, any::<i32>()), 0..50),
    ) {
        let mut queue = StreamQueue::new(usize::MAX);
        let ticks: Vec<_> = ticks
            .into_iter()
            .map(|(sub, sequence, kind, price)| (sub, sequence, tick(kind, f64::from(price))))
            .collect();
        queue.push(chunk(&ticks), now());
        let expected: Vec<_> = ticks
            .into_iter()
            .map(|(sub, sequence, tick)| (sub, sequence, 0, sequence % 2 == 1, tick))
            .collect();
        prop_assert_eq!(drain(&mut queue), expected);
        prop_assert!(queue.is_empty());
        prop_assert_eq!(queue.queued, 0);
    }

    #[test]
    fn a_conflated_state_is_the_last_state(
        ticks in prop::collection::vec((0_u32..3, 1_i32..5, any::<i32>()), 1..300),
        pieces in 1_usize..40,
    ) {
        let mut queue = StreamQueue::new(200);
        let mut naive = BTreeMap::new();
        let mut sequence = 0;
        for piece in ticks.chunks(pieces) {
            let piece: Vec<_> = piece
                .iter()
                .map(|(sub, kind, price)| {
                    sequence += 1;
                    naive.insert((*sub, *kind), f64::from(*price));
                    (*sub, sequence, tick(*kind, f64::from(*price)))
                })
                .collect();
            queue.push(chunk(&piece), now());
        }
        let mut state = BTreeMap::new();
        let (mut events, mut skipped) = (0, 0);
        for (sub, _, left_out, _, tick) in drain(&mut queue) {
            state.insert((sub, tick.tick_type()), tick.price());
            events += 1;
            skipped += u64::from(left_out);
        }
        prop_assert_eq!(state, naive);
        prop_assert_eq!(events + skipped, ticks.len() as u64, "every tick is accounted for");
        prop_assert_eq!(queue.totals(), (events, skipped));
    }
}

#[test]
fn a_queue_that_was_drained_is_complete_again() {
    let mut queue = StreamQueue::new(100);
    for sequence in 0..20 {
        queue.push(chunk(&[(1, sequence, tick(1, 1.0))]), now());
    }
    assert_eq!(drain(&mut queue).len(), 1);
    queue.push(chunk(&[(1, 20, tick(1, 1.0)), (1, 22, tick(1, 2.0))]), now());
    assert_eq!(drain(&mut queue).len(), 2);
}

#[test]
fn marks_are_never_left_out_and_too_many_of_them_are_hopeless() {
    let mut queue = StreamQueue::new(0);
    let entry = Entry {
        subscription: 1,
        start: 0,
        length: 0,
        field: field::MARK,
        replayed: false,
        reset: false,
        sequence: 0,
    };
    queue.push(Chunk::new(Bytes::new(), vec![entry; MOST_KEPT]), now());
    assert_eq!(queue.hopeless(now(), PATIENCE), None);
    queue.push(Chunk::new(Bytes::new(), vec![entry]), now());
    assert_eq!(queue.hopeless(now(), PATIENCE), Some(Hopeless::PiledUp(MOST_KEPT + 1)));
}

#[test]
fn who_takes_nothing_for_long_is_hopeless_and_who_takes_a_little_is_not() {
    let mut queue = StreamQueue::new(10_000);
    let mut now = now();
    let mut state = std::collections::BTreeMap::new();
    let mut sequence = 0;
    // One message a minute for two hours, of a line that ticks a hundred times a second.
    for minute in 0..120 {
        for number in 0..6_000 {
            sequence += 2;
            queue.push(chunk(&[(1, sequence, tick(number % 8, f64::from(minute)))]), now);
            now += Duration::from_millis(10);
            assert_eq!(queue.hopeless(now, PATIENCE), None);
        }
        assert!(queue.unread() < 20_000, "{} bytes wait", queue.unread());
        let mut out = BytesMut::new();
        assert!(queue.pull(10_000, &mut out));
        let response = StreamMarketDataResponse::decode(&out[..]).unwrap();
        for event in response.events {
            let Some(Body::TickPrice(tick)) = event.body else { panic!() };
            state.insert(tick.tick_type(), tick.price());
        }
        assert!(state.values().all(|price| *price == f64::from(minute)), "the newest of each");
    }
    queue.push(chunk(&[(1, sequence + 2, tick(1, 1.0))]), now);
    now += PATIENCE + Duration::from_secs(1);
    let stalled = Some(Hopeless::Stalled(PATIENCE + Duration::from_secs(1)));
    assert_eq!(queue.hopeless(now, PATIENCE), stalled);
    queue.clear();
    assert_eq!((queue.unread(), queue.hopeless(now, PATIENCE)), (0, None));
}

#[test]
fn tick_types_are_read_from_any_request_id() {
    for req_id in [None, Some(0), Some(1_500_000_000), Some(-1)] {
        for kind in [1, 45, 104, 200] {
            let body = TickSize { req_id, tick_type: Some(kind), size: None }.encode_to_vec();
            let expected = if req_id.is_some() { kind as u32 } else { 0 };
            assert_eq!(tick_type(&body), expected, "{req_id:?} {kind}");
        }
    }
    assert_eq!(tick_type(&[]), 0);
    assert_eq!(tick_type(&[8]), 0);
    assert_eq!(tick_type(&[8, 0x80, 0x80]), 0);
}

/// One body of a field, in a chunk of its own.
fn one(field: u8, body: Vec<u8>, sequence: u64) -> Chunk {
    let length = body.len() as u32;
    Chunk::new(body.into(), vec![event(1, field, length, sequence)])
}

/// An event at the start of a chunk.
fn event(subscription: u32, field: u8, length: u32, sequence: u64) -> Entry {
    Entry { subscription, start: 0, length, field, replayed: false, reset: false, sequence }
}

fn pull_all(queue: &mut StreamQueue) -> Vec<MarketDataEvent> {
    let mut events = Vec::new();
    let mut out = BytesMut::new();
    while queue.pull(1_000, &mut out) {
        events.extend(StreamMarketDataResponse::decode(&out.split()[..]).unwrap().events);
    }
    events
}

fn change((operation, side, position, price): (i32, i32, i32, u32)) -> Vec<u8> {
    let data = MarketDepthData {
        position: Some(position),
        operation: Some(operation),
        side: Some(side),
        price: Some(f64::from(price)),
        ..MarketDepthData::default()
    };
    MarketDepth { req_id: Some(1), market_depth_data: Some(data) }.encode_to_vec()
}

/// The mark before a whole book, and the book.
fn whole(book: &Memory, sequence: u64) -> Chunk {
    let rows = book.replay(None, sequence);
    whole_of(1, sequence, rows.iter().map(|row| (row.field, &row.body[..])))
}

fn whole_of<'a>(
    subscription: u32,
    sequence: u64,
    rows: impl IntoIterator<Item = (u8, &'a [u8])>,
) -> Chunk {
    let mark = StreamMark { kind: MarkKind::Reset.into(), ..StreamMark::default() };
    let mut bytes = mark.encode_to_vec();
    let first = event(subscription, field::MARK, bytes.len() as u32, sequence);
    let mut entries = vec![Entry { reset: true, ..first }];
    for (field, body) in rows {
        let start = bytes.len() as u32;
        entries.push(Entry { start, ..event(subscription, field, body.len() as u32, sequence) });
        bytes.extend_from_slice(body);
    }
    Chunk::new(bytes.into(), entries)
}

proptest! {
    #[test]
    fn a_book_is_whole_or_is_told_again_however_slow_the_reader(
        changes in prop::collection::vec((0_i32..3, 0_i32..2, 0_i32..6, 0_u32..100), 1..200),
        pauses in prop::collection::vec(0_usize..30, 1..20),
    ) {
        let mut queue = StreamQueue::new(300);
        let (mut truth, mut seen) = (Memory::book(), Memory::book());
        let (mut sequence, mut skipped, mut told) = (0, 0, 0);
        let mut read = |queue: &mut StreamQueue, seen: &mut Memory| {
            for event in pull_all(queue) {
                skipped += u64::from(event.skipped);
                match event.body {
                    Some(Body::Mark(_)) => *seen = Memory::book(),
                    Some(Body::MarketDepth(depth)) => {
                        told += 1;
                        seen.remember(field::MARKET_DEPTH, 0, &depth.encode_to_vec());
                    }
                    other => panic!("{other:?}"),
                }
            }
            skipped
        };
        let mut pauses = pauses.iter().cycle();
        let mut until = *pauses.next().unwrap();
        for (number, one_change) in changes.iter().enumerate() {
            let body = change(*one_change);
            sequence += 1;
            truth.remember(field::MARKET_DEPTH, sequence, &body);
            queue.push(one(field::MARKET_DEPTH, body, sequence), now());
            if number >= until {
                until = number + *pauses.next().unwrap();
                read(&mut queue, &mut seen);
                while queue.poll_lost_book().is_some() {
                    queue.push(whole(&truth, sequence), now());
                }
            }
        }
        read(&mut queue, &mut seen);
        while queue.poll_lost_book().is_some() {
            queue.push(whole(&truth, sequence), now());
        }
        let skipped = read(&mut queue, &mut seen);
        prop_assert_eq!(seen.replay(None, 0), truth.replay(None, 0));
        prop_assert_eq!(queue.totals().1, skipped, "all that was left out was counted");
    }

    #[test]
    fn of_a_tape_the_oldest_go_and_each_is_counted(
        events in prop::collection::vec(0_u8..3, 1..400),
    ) {
        let mut queue = StreamQueue::new(600);
        for (number, kind) in events.iter().enumerate() {
            let sequence = number as u64 + 1;
            let chunk = match kind {
                0 => one(field::TICK_BY_TICK, vec![8, 1, 16, 1], sequence),
                1 => one(field::REAL_TIME_BAR, vec![8, 1], sequence),
                _ => {
                    let text = TickString { req_id: Some(1), tick_type: Some(45), value: None };
                    one(field::TICK_STRING, text.encode_to_vec(), sequence)
                }
            };
            queue.push(chunk, now());
        }
        let newest_text = events.iter().rposition(|kind| *kind == 2).map(|at| at as u64 + 1);
        let got = pull_all(&mut queue);
        prop_assert!(got.is_sorted_by_key(|event| event.sequence));
        let newest = got.iter().filter(|event| matches!(event.body, Some(Body::TickString(_))));
        prop_assert_eq!(newest.map(|event| event.sequence).max(), newest_text);
        let skipped: u64 = got.iter().map(|event| u64::from(event.skipped)).sum();
        prop_assert_eq!(got.len() as u64 + skipped, events.len() as u64);
        prop_assert_eq!(queue.totals(), (got.len() as u64, skipped));
        prop_assert_eq!(queue.unread(), 0);
    }
}

#[test]
fn two_books_that_are_each_larger_than_the_queue_come_one_after_the_other() {
    let mut queue = StreamQueue::new(10);
    let row = change((0, 0, 0, 1));
    let book = |subscription| whole_of(subscription, 1, [(field::MARKET_DEPTH, &row[..])]);
    queue.push(book(1), now());
    queue.push(book(2), now());
    assert!(queue.is_empty(), "both had no room together");
    for subscription in [1, 2] {
        assert_eq!(queue.poll_lost_book(), Some(subscription));
        queue.push(book(subscription), now());
        assert_eq!(queue.poll_lost_book(), None, "the reader has something to read");
        assert_eq!(pull_all(&mut queue).len(), 2);
    }
    assert_eq!(queue.poll_lost_book(), None);
}

#[test]
fn what_is_cut_off_a_tape_is_told_with_its_next_event_however_late() {
    let mut queue = StreamQueue::new(100);
    let trade = |subscription, sequence| {
        let body = vec![8, 1, 16, 1];
        let entry = event(subscription, field::TICK_BY_TICK, body.len() as u32, sequence);
        Chunk::new(body.into(), vec![entry])
    };
    for sequence in 1..=3 {
        queue.push(trade(1, sequence), now());
    }
    for sequence in 1..=9 {
        queue.push(trade(2, sequence), now());
    }
    let got = pull_all(&mut queue);
    assert!(got.iter().all(|event| event.subscription_id == 2), "all of the first were cut");
    assert!(queue.owes(1) && !queue.owes(2));
    queue.push(trade(1, 4), now());
    let got = pull_all(&mut queue);
    assert_eq!((got.len(), got[0].sequence, got[0].skipped), (1, 4, 3));
    assert!(!queue.owes(1));
}
