//! The budget, the lanes and the turns, in virtual time.

use ibouncer_proto::tws::v1::Contract;

use super::*;
use crate::contracts::Instrument;

fn message(id: i32) -> Waiting {
    Waiting {
        frame: Bytes::new(),
        request: RequestId(id),
        feed: None,
        gate: Gate::Open,
        what: ("reqMktData", String::new()),
    }
}

fn history(symbol: &str, small: bool, kind: &str) -> Gate {
    let contract = Contract { symbol: Some(symbol.into()), ..Contract::default() };
    Gate::History(gates::History {
        small,
        instrument: Instrument::new(&contract),
        identity: Vec::new(),
        kind: kind.into(),
        weight: 1 + u32::from(kind == "BID_ASK"),
    })
}

fn pacer() -> (Pacer, Instant) {
    let now = Instant::now();
    (Pacer::new(&PacingSettings::default(), now), now)
}

/// Everything that leaves, with its time, in the order of leaving.
fn run(pacer: &mut Pacer, mut now: Instant) -> Vec<(Instant, i32)> {
    let mut left = Vec::new();
    while let Some(at) = pacer.poll_timeout() {
        now = now.max(at);
        while let Some(message) = pacer.pop(now) {
            left.push((now, message.request.0));
        }
    }
    left
}

#[test]
fn no_second_sees_more_than_fifty() {
    let (mut pacer, now) = pacer();
    for id in 0..500 {
        pacer.push(Lane::Data, ClientId(u64::from(id as u32 % 7)), message(id));
    }
    let left = run(&mut pacer, now);
    assert_eq!(left.len(), 500);
    for window in left.windows(51) {
        assert!(window[50].0 - window[0].0 > Duration::from_secs(1));
    }
    let took = left[499].0 - left[0].0;
    assert!(took < Duration::from_secs_f64(500.0 / 40.0 + 0.1), "{took:?}: no time is wasted");
}

#[test]
fn clients_take_turns_and_keep_their_own_order() {
    let (mut pacer, now) = pacer();
    for id in 0..10 {
        pacer.push(Lane::Data, ClientId(1), message(id));
    }
    pacer.push(Lane::Data, ClientId(2), message(100));
    let order: Vec<_> = run(&mut pacer, now).into_iter().map(|(_, id)| id).collect();
    assert_eq!(order[..3], [0, 100, 1]);
    assert!(order.iter().filter(|id| **id < 100).is_sorted());
}

#[test]
fn orders_leave_in_the_order_of_their_ids_whoever_sent_them() {
    let (mut pacer, now) = pacer();
    // Of the next session, too.
    pacer.push(Lane::Order, ClientId(7), message(1));
    pacer.clear();
    for id in 0..60 {
        pacer.push(Lane::Order, ClientId([7, 7, 7, 1, 3][id as usize % 5]), message(id));
    }
    assert_eq!(pacer.waiting_of(ClientId(7)), 36);
    assert!(pacer.take_back(RequestId(59)));
    let queue = pacer.queue(now);
    assert_eq!((queue[3].client, queue[3].request), (ClientId(1), RequestId(3)));
    let order: Vec<_> = run(&mut pacer, now).into_iter().map(|(_, id)| id).collect();
    assert_eq!(order, (0..59).collect::<Vec<_>>());
}

#[test]
fn nothing_is_asked_for_before_the_cancels_that_wait_have_left() {
    let (mut pacer, now) = pacer();
    let history = Waiting { gate: history("AAPL", false, "TRADES"), ..message(1001) };
    pacer.push(Lane::Data, ClientId(1), message(1000));
    pacer.push(Lane::History, ClientId(1), history);
    for id in 0..100 {
        // Of another client, too: what is shared is shared by all.
        pacer.push(Lane::DataCancel, ClientId(u64::from(id as u32 % 2)), message(id));
    }
    pacer.push(Lane::Control, ClientId(1), message(1002));
    let order: Vec<_> = run(&mut pacer, now).into_iter().map(|(_, id)| id).collect();
    let place = |id| order.iter().position(|one| *one == id).unwrap();
    assert_eq!((place(1000), place(1001)), (101, 102));
    assert!(place(1002) <= turns::PATIENCE as usize, "the session itself does not wait");
}

#[test]
fn what_waits_can_be_taken_back() {
    let (mut pacer, now) = pacer();
    pacer.push(Lane::Data, ClientId(1), message(1));
    pacer.push(Lane::Data, ClientId(1), message(2));
    assert!(pacer.take_back(RequestId(1)));
    assert!(!pacer.take_back(RequestId(1)));
    assert_eq!(pacer.pop(now).map(|message| message.request), Some(RequestId(2)));
    assert!(pacer.is_empty());
    assert_eq!(pacer.poll_timeout(), None);
}

#[test]
fn an_order_cancel_leaves_within_two_slots_of_a_full_queue() {
    let (mut pacer, now) = pacer();
    for id in 0..500 {
        let lane = Lane::ALL[1 + id as usize % 5];
        pacer.push(lane, ClientId(u64::from(id as u32 % 40)), message(id));
    }
    for id in 0..20 {
        pacer.pop(now + Duration::from_secs(id));
    }
    pacer.push(Lane::OrderCancel, ClientId(7), message(9_999));
    let order: Vec<_> = run(&mut pacer, now + Duration::from_secs(20));
    let place = order.iter().position(|(_, id)| *id == 9_999).unwrap();
    assert!(place < 2, "it left as number {place}");
}

#[test]
fn a_request_that_its_rule_holds_back_lets_others_pass() {
    let (mut pacer, now) = pacer();
    let alone = |id| Waiting { gate: Gate::Alone(gates::Group::OpenOrders), ..message(id) };
    pacer.push(Lane::Data, ClientId(1), alone(1));
    pacer.push(Lane::Data, ClientId(1), alone(2));
    pacer.push(Lane::Data, ClientId(1), message(3));
    let left = |pacer: &mut Pacer, now| pacer.pop(now).map(|message| message.request.0);
    assert_eq!(left(&mut pacer, now), Some(1));
    assert_eq!(left(&mut pacer, now), Some(3));
    assert_eq!(left(&mut pacer, now), None);
    let place = &pacer.queue(now)[0];
    assert_eq!(
        (place.request, place.because),
        (RequestId(2), "Gateway answers one such request at a time")
    );
    pacer.on_done(RequestId(1));
    assert_eq!(left(&mut pacer, now), Some(2));
}

#[test]
fn a_complaint_of_gateway_halves_the_rate_for_ten_minutes() {
    let (mut pacer, now) = pacer();
    assert_eq!(pacer.on_complaint(now), 20.0);
    assert_eq!(pacer.on_complaint(now + SAME_BURST / 2), 20.0, "of the same burst");
    for id in 0..100 {
        pacer.push(Lane::Data, ClientId(1), message(id));
    }
    let left = run(&mut pacer, now);
    let took = left[99].0 - left[0].0;
    assert!(took > Duration::from_secs_f64(96.0 / 20.0), "{took:?}");
    assert_eq!(pacer.on_complaint(now + SAME_BURST), 10.0);
    pacer.on_settings(&PacingSettings::default());
    assert_eq!(pacer.rate(), 10.0, "other settings do not end that");
    pacer.charge(now + SAME_BURST + FORGIVEN);
    assert_eq!(pacer.rate(), 40.0);
}

#[test]
fn the_queue_is_told_in_the_order_in_which_it_leaves() {
    let (mut pacer, now) = pacer();
    for id in 0..60 {
        let lane = Lane::ALL[3 + id as usize % 3];
        pacer.push(lane, ClientId(u64::from(id as u32 % 7)), message(id));
    }
    let told = pacer.queue(now);
    let left = run(&mut pacer, now);
    for (place, (at, id)) in told.iter().zip(&left) {
        assert_eq!(place.request.0, *id, "place {}", place.place);
        let wait = place.expected_wait.expect("time alone frees it");
        let error = wait.as_secs_f64() - (*at - now).as_secs_f64();
        assert!(error.abs() < 0.05, "{error} at {}", place.place);
    }
}

#[test]
fn what_rules_hold_back_is_told_with_its_own_time_and_what_waits_for_an_answer_without_one() {
    let (mut pacer, now) = pacer();
    for id in 0..70 {
        let gate = match history(&format!("S{id}"), true, "BID_ASK") {
            Gate::History(one) => Gate::History(gates::History { identity: vec![id as u8], ..one }),
            other => other,
        };
        pacer.push(Lane::History, ClientId(1), Waiting { gate, ..message(id) });
    }
    // Each counts twice of 60 in 10 minutes.
    let told = pacer.queue(now);
    let waits: Vec<_> = told.iter().map(|place| place.expected_wait.unwrap().as_secs()).collect();
    assert!(waits.is_sorted() && waits[29] == 0, "{waits:?}");
    assert!((600..610).contains(&waits[30]), "{waits:?}");
    assert!((1_200..1_210).contains(&waits[69]), "{waits:?}");
    assert!(told[29].because.is_empty() && told[30].because.contains("10 minutes"), "{told:?}");

    let (mut pacer, mut now) = (super::tests::pacer().0, now);
    for id in 0..51 {
        let gate = history(&format!("L{id}"), false, "TRADES");
        pacer.push(Lane::History, ClientId(1), Waiting { gate, ..message(id) });
    }
    while pacer.len() > 1 {
        now = now.max(pacer.poll_timeout().unwrap());
        pacer.pop(now);
    }
    let told = pacer.queue(now);
    assert_eq!(told[0].expected_wait, None);
    assert!(told[0].because.contains("50 requests"), "{told:?}");
    pacer.on_done(RequestId(0));
    assert!(pacer.queue(now)[0].expected_wait.is_some());
}

#[test]
fn a_queue_of_thousands_is_told_whole_and_its_end_without_times() {
    let (mut pacer, now) = pacer();
    for id in 0..5_000 {
        let gate = history(&format!("S{id}"), true, "TRADES");
        pacer.push(Lane::History, ClientId(1), Waiting { gate, ..message(id) });
    }
    pacer.push(Lane::History, ClientId(1), message(5_000));
    let told = pacer.queue(now);
    assert_eq!(told.len(), 5_001);
    assert_eq!(told.iter().filter(|place| place.expected_wait.is_some()).count(), 2_001);
}
