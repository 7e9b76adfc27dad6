//! Error 100: what Gateway rejected is made again, at half the rate, and nothing is lost.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::MarketRuleRequest;

use super::reads::details;
use super::*;
use crate::calls::Asked;

fn too_fast(request: Option<i32>) -> ErrorMessage {
    ErrorMessage { id: request.or(Some(-1)), error_code: Some(100), ..Default::default() }
}

#[test]
fn a_request_that_came_too_fast_for_gateway_is_made_again_at_half_the_rate() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    let rejected =
        ErrorMessage { id: Some(world.line()), error_code: Some(100), ..Default::default() };
    world.frame(id::ERR_MSG, &rejected);
    assert_eq!(world.hub.pacer.rate(), 20.0);
    world.pass(1);
    assert_eq!(world.asked(), 2);
    world.tick(world.line(), 1.0);
    assert_eq!(world.story(stream), ["Subscribed 1", "error 100", "new 1"]);
    // Those of one second are one complaint.
    world.pass(2);
    world.frame(id::ERR_MSG, &ErrorMessage { id: Some(-1), ..rejected });
    assert_eq!(world.hub.pacer.rate(), 10.0);
}

#[test]
fn a_call_that_is_named_is_asked_again_for_the_same_caller() {
    let mut world = World::ready();
    world.call(1, details(AAPL));
    let first = world.sent_of(id::REQ_CONTRACT_DATA);
    world.frame(id::ERR_MSG, &too_fast(Some(first[0])));
    world.pass(1);
    let again = world.sent_of(id::REQ_CONTRACT_DATA);
    assert_eq!(again.len(), 2);
    let end = ibouncer_proto::tws::v1::ContractDataEnd { req_id: Some(again[1]) };
    world.frame(id::CONTRACT_DATA_END, &end);
    assert!(world.replies[&CallId(1)].is_ok(), "{:?}", world.replies);
}

#[test]
fn if_no_request_is_named_whatever_left_lately_and_has_no_answer_is_made_again() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, "MSFT");
    world.pass(5);
    world.subscribe(stream, 2, "NVDA");
    world.input(Input::Unsubscribe { stream, subscription: 2 });
    world.pass(1);
    world.subscribe(stream, 3, AAPL);
    let answered = world.line();
    world.tick(answered, 1.0);
    world.subscribe(stream, 4, "TSLA");
    let unanswered = world.line();
    world.call(1, details(AAPL));
    world.frame(id::ERR_MSG, &too_fast(None));
    let before = world.sent.len();
    world.pass(1);
    let again: Vec<_> = world.sent[before..].to_vec();
    let count = |message| again.iter().filter(|(one, _)| *one == message).count();
    assert_eq!(count(id::REQ_MKT_DATA), 1, "TSLA, and neither AAPL nor the old MSFT: {again:?}");
    assert_eq!(count(id::REQ_CONTRACT_DATA), 1);
    assert_eq!(count(id::CANCEL_MKT_DATA), 2, "NVDA's again, and TSLA's old id");
    assert!(again.contains(&(id::CANCEL_MKT_DATA, unanswered)));
    let line = world.line();
    world.tick(line, 2.0);
    assert_eq!(world.story(stream).last().map(String::as_str), Some("new 2"));
}

#[test]
fn a_list_without_an_id_is_made_again_once_nothing_has_come_of_it_for_a_while() {
    let mut world = World::ready();
    let asked = |world: &World| world.sent_of(id::REQ_ALL_OPEN_ORDERS).len();
    let end = |world: &mut World| {
        world.frame(id::OPEN_ORDER_END, &ibouncer_proto::tws::v1::OpenOrdersEnd {});
    };
    world.call(1, Ok(Asked::open_orders(false)));
    world.frame(id::ERR_MSG, &too_fast(None));
    world.pass(9);
    assert_eq!(asked(&world), 1, "it may be answered all the same");
    world.pass(2);
    assert_eq!(asked(&world), 2);
    end(&mut world);
    assert!(world.replies[&CallId(1)].is_ok(), "{:?}", world.replies);
    // What it has begun to answer has its time.
    world.call(2, Ok(Asked::open_orders(false)));
    world.frame(id::ERR_MSG, &too_fast(None));
    world.frame(id::OPEN_ORDER, &ibouncer_proto::tws::v1::OpenOrder::default());
    world.pass(20);
    assert_eq!(asked(&world), 3);
    end(&mut world);
    assert!(world.replies[&CallId(2)].is_ok(), "{:?}", world.replies);
    // Nobody waits any more, and the next need not either.
    world.call(3, Ok(Asked::open_orders(false)));
    world.frame(id::ERR_MSG, &too_fast(None));
    world.input(Input::CallDropped { call: CallId(3) });
    world.pass(11);
    world.call(4, Ok(Asked::open_orders(false)));
    world.pass(1);
    assert_eq!(asked(&world), 5);
}

#[test]
fn a_cancel_without_an_id_does_not_end_what_was_asked_for_behind_it() {
    let mut world = World::ready();
    let stream = world.open(1);
    let positions = || Ok(Wanted::positions());
    world.want(stream, 1, positions(), Manner::default());
    world.frame(id::POSITION_END, &ibouncer_proto::tws::v1::PositionEnd {});
    world.input(Input::Unsubscribe { stream, subscription: 1 });
    world.want(stream, 2, positions(), Manner::default());
    world.frame(id::POSITION_END, &ibouncer_proto::tws::v1::PositionEnd {});
    world.frame(id::ERR_MSG, &too_fast(None));
    world.pass(2);
    let about = [id::REQ_POSITIONS, id::CANCEL_POSITIONS];
    let sent = world.sent.iter().map(|(message, _)| *message);
    let sent: Vec<_> = sent.filter(|message| about.contains(message)).collect();
    assert_eq!(sent, [about[0], about[1], about[0]]);
}

#[test]
fn a_cancel_that_is_named_is_sent_again_and_a_snapshot_that_is_halves_the_rate_too() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    let line = world.line();
    world.input(Input::Unsubscribe { stream, subscription: 1 });
    assert_eq!(world.sent.last(), Some(&(id::CANCEL_MKT_DATA, line)));
    world.frame(id::ERR_MSG, &too_fast(Some(line)));
    world.pass(1);
    let cancels = world.sent_of(id::CANCEL_MKT_DATA);
    assert_eq!(cancels, [line, line], "or the line would stay open at Gateway");
    assert_eq!(world.hub.pacer.rate(), 20.0);

    let contract = Contract { symbol: Some(AAPL.into()), ..Contract::default() };
    let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
    let (client, call, request) = (ClientId(1), CallId(9), Box::new(request));
    world.input(Input::Snapshot { client, call, request, feed: 0, accept_fee: false });
    world.pass(2);
    world.frame(id::ERR_MSG, &too_fast(Some(world.line())));
    assert_eq!(world.hub.pacer.rate(), 10.0);
    assert_eq!(world.error(9).gateway_code, 100);
}

#[test]
fn an_error_without_an_id_ends_the_only_call_that_has_none() {
    let mut world = World::ready();
    let rule = |number| {
        let request = MarketRuleRequest { market_rule_id: Some(number) };
        Asked::market_rule(request)
    };
    let refused = ErrorMessage {
        id: Some(-1),
        error_code: Some(321),
        error_msg: Some("there is no such market rule".into()),
        ..Default::default()
    };
    // Nobody waits: it is a notice.
    world.frame(id::ERR_MSG, &refused);
    world.call(1, rule(99));
    world.call(2, rule(26));
    let asked = |world: &World| {
        world.sent.iter().filter(|(message, _)| *message == id::REQ_MARKET_RULE).count()
    };
    assert_eq!(asked(&world), 2, "neither holds the other back");
    world.frame(id::ERR_MSG, &refused);
    assert!(world.replies.is_empty(), "it may be about either");
    let named = Some("there is no market rule 99".into());
    world.frame(id::ERR_MSG, &ErrorMessage { error_msg: named, ..refused.clone() });
    assert_eq!(world.error(1).gateway_code, 321);
    // Gateway has several words for it.
    world.frame(id::ERR_MSG, &ErrorMessage { error_code: Some(322), ..refused });
    assert_eq!(world.error(2).gateway_code, 322);
}

#[test]
fn what_left_behind_a_market_data_type_that_gateway_may_not_have_taken_is_asked_for_under_it() {
    let mut world = World::ready();
    let stream = world.open(1);
    let delayed = |world: &mut World, number, symbol: &str, feed| {
        let contract = Contract { symbol: Some(symbol.into()), ..Contract::default() };
        let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
        world.want(stream, number, Wanted::market_data(request, feed), Manner::default());
    };
    delayed(&mut world, 1, AAPL, 3);
    world.tick(world.line(), 1.0);
    world.pass(3);
    // Gateway does not take the word that it is live from now on, and serves delayed data.
    delayed(&mut world, 2, "MSFT", 1);
    let rejected = world.line();
    world.tick(rejected, 2.0);
    let types = |world: &World| world.sent_of(id::REQ_MARKET_DATA_TYPE).len();
    assert_eq!(types(&world), 2);
    world.story(stream);
    world.frame(id::ERR_MSG, &too_fast(None));
    world.pass(1);
    assert_eq!((types(&world), world.asked()), (3, 3), "MSFT alone, behind its type");
    assert!(world.sent.contains(&(id::CANCEL_MKT_DATA, rejected)));
    world.tick(world.line(), 3.0);
    assert_eq!(world.story(stream), ["Stale 1", "Resumed 1", "new 3"]);
    // A snapshot has what it has under the wrong type.
    let contract = Contract { symbol: Some(AAPL.into()), ..Contract::default() };
    let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
    let (client, call, request) = (ClientId(1), CallId(9), Box::new(request));
    world.pass(3);
    world.input(Input::Snapshot { client, call, request, feed: 3, accept_fee: false });
    world.pass(1);
    world.frame(id::ERR_MSG, &too_fast(None));
    assert_eq!(world.error(9).gateway_code, 100);
}
