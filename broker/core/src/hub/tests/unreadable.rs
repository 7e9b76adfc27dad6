//! Messages of Gateway that not every client could read, and those that a line does not know.

use ibouncer_proto::api::v1::GetContractDetailsResponse;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::{contract, details};
use super::*;

/// A body that begins with the request id, and what stands behind it.
fn body(request: i32, rest: &[u8]) -> Vec<u8> {
    let mut body = tws::TickPrice { req_id: Some(request), ..Default::default() }.encode_to_vec();
    body.extend_from_slice(rest);
    body
}

/// `name` in Latin-1, as field `number`.
fn latin(number: u8) -> Vec<u8> {
    vec![number << 3 | 2, 4, b'c', b'a', b'f', 0xe9]
}

impl World {
    /// Frames of one read: message ids and bodies.
    pub(super) fn raw(&mut self, messages: &[(u32, Vec<u8>)]) {
        let mut frames = BytesMut::new();
        for (message_id, body) in messages {
            let mut frame = message_id.to_be_bytes().to_vec();
            frame.extend_from_slice(body);
            ibouncer_proto::tws::frame::write(&frame, &mut frames);
        }
        self.worker(WorkerEvent::Frames { number: 1, frames: frames.freeze() });
    }

    fn price(&self, request: i32, price: f64) -> (u32, Vec<u8>) {
        let tick = TickPrice {
            req_id: Some(request),
            tick_type: Some(1),
            price: Some(price),
            ..TickPrice::default()
        };
        (id::TICK_PRICE, tick.encode_to_vec())
    }
}

#[test]
fn a_message_that_no_client_could_read_is_left_out_and_the_others_of_its_batch_arrive() {
    let mut world = World::ready();
    let (first, late) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    let line = world.line();
    let cut = (id::TICK_PRICE, body(line, &[0x10, 1, 0x19, 0, 0]));
    let batch = [world.price(line, 1.0), cut.clone(), cut, world.price(line, 2.0)];
    world.raw(&batch);
    assert_eq!(world.story(first), ["Subscribed 1", "new 1", "Gap 1", "new 2"]);
    assert_eq!(world.hub.counters.malformed_frames, 2);
    world.subscribe(late, 1, AAPL);
    assert_eq!(world.story(late), ["Subscribed 1", "old 2"]);
}

#[test]
fn text_that_is_no_utf8_is_handed_on_mended_in_its_place_and_remembered_so() {
    let mut world = World::ready();
    let (first, late) = (world.open(1), world.open(2));
    world.subscribe(first, 1, AAPL);
    let line = world.line();
    let text = (id::TICK_STRING, body(line, &[vec![0x10, 48], latin(3)].concat()));
    let batch = [world.price(line, 1.0), text, world.price(line, 2.0)];
    world.raw(&batch);
    let value = |event: &MarketDataEvent| match &event.body {
        Some(Body::TickString(tick)) => Some(tick.value().to_owned()),
        _ => None,
    };
    let told = world.events(first);
    assert_eq!(told.len(), 4);
    assert_eq!(value(&told[2]).as_deref(), Some("caf\u{fffd}"));
    world.subscribe(late, 1, AAPL);
    assert!(world.events(late).iter().filter_map(value).eq(["caf\u{fffd}"]));
    assert_eq!(world.hub.counters.malformed_frames, 0);
}

#[test]
fn a_book_of_which_a_change_was_left_out_is_asked_for_anew_once() {
    let mut world = World::ready();
    let stream = world.open(1);
    let request = tws::MarketDepthRequest { contract: Some(contract(AAPL)), ..Default::default() };
    world.want(stream, 1, Wanted::market_depth(request), Manner::default());
    let asked = |world: &World| world.sent_of(id::REQ_MKT_DEPTH);
    let bad = |line| (id::MARKET_DEPTH, body(line, &[0x12, 0x02, 0x08, 0xff]));
    let line = asked(&world)[0];
    world.raw(&[bad(line), bad(line), bad(line)]);
    world.pass(1);
    assert_eq!(asked(&world).len(), 2);
    assert_eq!(world.story(stream), ["Subscribed 1", "Reset 1", "Stale 1"]);
}

#[test]
fn a_call_gets_mended_text_or_the_word_that_its_answer_is_unreadable() {
    let mut world = World::ready();
    let _stream = world.open(1);
    world.call(1, details(AAPL));
    let request = *world.sent_of(id::REQ_CONTRACT_DATA).last().unwrap();
    let named = [&[0x1a, 6][..], &latin(7)].concat();
    let end = (id::CONTRACT_DATA_END, body(request, &[]));
    world.raw(&[(id::CONTRACT_DATA, body(request, &named)), end]);
    match world.replies.remove(&CallId(1)) {
        Some(Ok(Reply::Answer(answer) | Reply::Paced(answer, _))) => {
            let answer = GetContractDetailsResponse::decode(answer).unwrap();
            assert_eq!(answer.contract_data.len(), 1);
        }
        other => panic!("{other:?}"),
    }
    world.call(4, details("MSFT"));
    let request = *world.sent_of(id::REQ_CONTRACT_DATA).last().unwrap();
    world.raw(&[(id::CONTRACT_DATA, body(request, &[0x1a, 6, 0x3a]))]);
    assert_eq!(world.error(4).code, "UNREADABLE_ANSWER");

    // An error is one, whatever its text is written in.
    world.call(7, details("IBM"));
    let request = *world.sent_of(id::REQ_CONTRACT_DATA).last().unwrap();
    let refused = ErrorMessage { id: Some(request), error_code: Some(200), ..Default::default() };
    world.raw(&[(id::ERR_MSG, [refused.encode_to_vec(), latin(4)].concat())]);
    let error = world.error(7);
    assert!(error.message.contains("caf\u{fffd}"), "{error:?}");
}

#[test]
fn what_a_line_does_not_know_comes_as_unknown_with_its_bytes() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    let line = world.line();
    // Of no table; of the table but no stream; of another kind of line.
    let ids = [399, 320, 60_000, 311, id::HISTORICAL_DATA_UPDATE];
    for message_id in ids {
        world.raw(&[(message_id, body(line, &[0x92, 0x03, 1, 7]))]);
    }
    let unknown = |event: MarketDataEvent| match event.body {
        Some(Body::Unknown(unknown)) => {
            assert_eq!(unknown.body, body(line, &[0x92, 0x03, 1, 7]));
            unknown.message_id
        }
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = world.events(stream).into_iter().skip(1).map(unknown).collect();
    assert_eq!(told, ids);
    world.raw(&[(399, body(line, &[0x12, 9]))]);
    world.raw(&[(399, vec![0x12, 0])]);
    assert!(world.story(stream).is_empty(), "neither is of this line");
}

#[test]
fn what_gateway_never_serves_well_is_asked_for_again_after_longer_and_longer_pauses() {
    let depth = tws::MarketDepthRequest { contract: Some(contract(AAPL)), ..Default::default() };
    let bars = tws::HistoricalDataRequest {
        contract: Some(contract(AAPL)),
        duration: Some("1 Y".into()),
        bar_size_setting: Some("1 day".into()),
        what_to_show: Some("TRADES".into()),
        ..Default::default()
    };
    let halted = |line, code| {
        let error =
            ErrorMessage { id: Some(line), error_code: Some(code), ..ErrorMessage::default() };
        (id::ERR_MSG, error.encode_to_vec())
    };
    let bad = |line| (id::MARKET_DEPTH, body(line, &[0x12, 0x02, 0x08, 0xff]));
    for trouble in 0..3 {
        let mut world = World::ready();
        let stream = world.open(1);
        let (request, wanted) = match trouble {
            2 => (id::REQ_HISTORICAL_DATA, Wanted::historical_bars(bars.clone())),
            _ => (id::REQ_MKT_DEPTH, Wanted::market_depth(depth.clone())),
        };
        world.want(stream, 1, wanted, Manner::default());
        world.pass(1);
        let mut answered = 0;
        for _ in 0..300 {
            let asked = world.sent_of(request);
            for line in &asked[answered..] {
                world.raw(&[match trouble {
                    0 => bad(*line),
                    1 => halted(*line, 316),
                    _ => halted(*line, 10_182),
                }]);
            }
            answered = asked.len();
            world.pass(1);
        }
        assert!((8..=12).contains(&answered), "{answered} times in 5 minutes");
        let queue = world.hub.pacer.queue(world.now);
        assert!(queue[0].because.contains("after a pause"), "{queue:?}");
    }
}
