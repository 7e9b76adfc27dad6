//! The queue against the typed schema, and against a naive model.

use bytes::BytesMut;
use ibouncer_proto::api::v1::{StreamMarketDataResponse, market_data_event::Body};
use ibouncer_proto::tws::v1::{TickPrice, TickSize};
use proptest::prelude::*;
use prost::Message as _;

use super::*;

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
            sequence: *sequence,
        });
    }
    Chunk { bytes: bytes.freeze(), entries }
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
        queue.push(chunk(&ticks));
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
            queue.push(chunk(&piece));
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
        queue.push(chunk(&[(1, sequence, tick(1, 1.0))]));
    }
    assert_eq!(drain(&mut queue).len(), 1);
    queue.push(chunk(&[(1, 20, tick(1, 1.0)), (1, 22, tick(1, 2.0))]));
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
        sequence: 0,
    };
    queue.push(Chunk { bytes: Bytes::new(), entries: vec![entry; MOST_KEPT] });
    assert_eq!(queue.hopeless(), None);
    queue.push(Chunk { bytes: Bytes::new(), entries: vec![entry] });
    assert_eq!(queue.hopeless(), Some(MOST_KEPT + 1));
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
