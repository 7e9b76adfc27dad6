//! Halts, doubts, policies: what closes trading, and for whom.

use super::*;

#[test]
fn trading_opens_with_the_second_reading_of_the_lists() {
    let mut floor = Floor::closed(Loaded::default());
    let early = floor.place("momentum", "a");
    assert_eq!(floor.refused(early).code, "NOT_READY");
    floor.session(1, Before::New);
    let early = floor.place("momentum", "a");
    assert_eq!(floor.refused(early).code, "TRADING_RECONCILING");
    let mut lists = Vec::new();
    while let Some(listing) = floor.desk.poll_listing() {
        lists.push(listing);
        let refused = floor.place("momentum", "a");
        assert_eq!(floor.refused(refused).code, "TRADING_RECONCILING");
        floor.desk.on_listed(true, floor.now);
        floor.settle();
    }
    assert_eq!(lists.len(), 6);
    floor.placed("momentum", "a");
}

#[test]
fn a_patient_client_waits_and_an_impatient_one_is_told() {
    let mut floor = Floor::closed(Loaded::default());
    let waits = floor.place("patient", "a");
    let dropped = floor.place("patient", "b");
    floor.desk.on_call_dropped(dropped, floor.now);
    floor.session(1, Before::New);
    assert!(!floor.replies.contains_key(&waits));
    floor.reconcile();
    floor.leave();
    floor.answer::<v1::PlaceOrderResponse>(waits);
    assert_eq!(floor.placements().len(), 1);
    floor.desk.on_road(Road::UpstreamLost);
    let refused = floor.place("momentum", "c");
    assert_eq!(floor.refused(refused).code, "NOT_READY");
    let id = floor.order("patient", "a").order_id;
    floor.told(id, "Submitted");
    floor.cancel("patient", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER, "cancels pass");
}

#[test]
fn under_the_reserved_client_id_orders_are_unreachable_and_no_cancel_leaves() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let ended = floor.placed("momentum", "b");
    floor.told(ended, "Cancelled");
    floor.desk.on_road(Road::Alternate);
    let list = |floor: &mut Floor| {
        let asked = v1::ListOrdersRequest { ended: true, ..Default::default() };
        let call = floor.call("momentum", OrderRequest::List(asked));
        let orders = floor.answer::<v1::ListOrdersResponse>(call).orders;
        orders.iter().map(|one| (one.client_order_id.clone(), one.unreachable)).collect::<Vec<_>>()
    };
    assert_eq!(list(&mut floor), [("a".into(), true), ("b".into(), false)]);
    let cancel = floor.cancel("momentum", "a");
    let refused = floor.refused(cancel);
    assert_eq!(refused.code, "NOT_READY");
    assert!(refused.message.contains("reserved client id"), "{}", refused.message);
    floor.leave();
    assert!(floor.left.iter().all(|(message, _)| *message != id::CANCEL_ORDER));
    floor.desk.on_road(Road::Open);
    assert_eq!(list(&mut floor), [("a".into(), false), ("b".into(), false)]);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

pub(super) fn halt(client: &str, cancel_open: bool) -> OrderRequest {
    OrderRequest::Halt(v1::HaltTradingRequest {
        client: client.into(),
        cancel_open,
        reason: "too hot".into(),
    })
}

#[test]
fn a_halt_takes_back_what_waits_refuses_what_comes_and_is_kept() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.told(id, "Submitted");
    let waits = floor.place("momentum", "b");
    let denied = floor.call("carry", halt("momentum", true));
    assert_eq!(floor.refused(denied).code, "RIGHT_DENIED");
    let halted = floor.call("risk", halt("momentum", true));
    assert_eq!(floor.answer::<v1::HaltTradingResponse>(halted).cancels, 1);
    assert_eq!(floor.refused(waits).code, "TRADING_HALTED");
    floor.leave();
    assert_eq!(floor.placements(), [id]);
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
    let refused = floor.call("momentum", modify("a", 11.0));
    assert_eq!(floor.refused(refused).code, "TRADING_HALTED");
    floor.placed("carry", "x");
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::New);
    next.reconcile();
    let refused = next.place("momentum", "c");
    let error = next.refused(refused);
    assert_eq!(error.code, "TRADING_HALTED");
    assert!(error.message.contains("too hot") && error.message.contains("risk"));
    let resume = OrderRequest::Resume(v1::ResumeTradingRequest {
        client: "momentum".into(),
        reason: "cooled".into(),
    });
    next.call("risk", resume);
    next.placed("momentum", "c");
}

#[test]
fn what_does_not_fit_halts_trading_until_a_person_has_looked() {
    let adopt = |floor: &mut Floor| {
        let reason = "looked".to_owned();
        let call =
            floor.call("risk", OrderRequest::AdoptState(v1::AdoptTradingStateRequest { reason }));
        floor.answer::<v1::AdoptTradingStateResponse>(call).adopted
    };
    // An order of our client id that the journal does not know.
    let mut floor = Floor::open();
    floor.opened(500, "Submitted", 10.0);
    let refused = floor.place("momentum", "a");
    assert!(floor.refused_in_doubt(refused).message.contains("500"));
    assert_eq!(adopt(&mut floor).len(), 1);
    assert!(floor.placed("momentum", "a") > 500);
    // Other accounts.
    let mut next = Floor::closed(floor.disk.clone());
    next.accounts = vec!["DU0000009".into()];
    next.session(2, Before::New);
    next.reconcile();
    let refused = next.place("momentum", "b");
    let message = &next.refused(refused).message;
    assert!(message.contains("accounts") || message.contains("belongs"), "{message}");
    assert!(!message.contains("DU0000009"), "accounts are masked: {message}");
    adopt(&mut next);
    next.placed("momentum", "b");
    // Ids near those of requests, and two permIds.
    let high = tws::OrderStatus {
        order_id: Some(1_700_000_000),
        client_id: Some(77),
        perm_id: Some(77_000),
        ..Default::default()
    };
    next.hear(id::ORDER_STATUS, &high);
    let refused = next.place("momentum", "c");
    assert!(next.refused(refused).message.contains("77"));
    adopt(&mut next);
    // Gateway lists it again, and again.
    next.hear(id::ORDER_STATUS, &high);
    let id = next.placed("momentum", "c");
    next.told(id, "Submitted");
    let twice = tws::OrderStatus {
        order_id: Some(id),
        client_id: Some(CLIENT_ID),
        perm_id: Some(5),
        status: Some("Submitted".into()),
        ..Default::default()
    };
    next.hear(id::ORDER_STATUS, &twice);
    let refused = next.place("momentum", "d");
    assert!(next.refused(refused).message.contains("permId"));
}

#[test]
fn gateways_word_is_stronger_than_a_persons() {
    use v1::Resolution::{Cancelled, Filled, NeverArrived};
    for (resolution, taken_for) in
        [(Filled, State::Filled), (Cancelled, State::Cancelled), (NeverArrived, State::NotSent)]
    {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.down();
        floor.session(2, Before::New);
        let resolve = OrderRequest::Resolve(v1::ResolveOrderRequest {
            owner: "momentum".into(),
            client_order_id: "a".into(),
            resolution: resolution.into(),
            reason: "TWS says so".into(),
        });
        floor.call("risk", resolve);
        assert_eq!(floor.state("momentum", "a"), taken_for);
        floor.opened(id, "Submitted", 10.0);
        assert_eq!(floor.state("momentum", "a"), State::Working, "{taken_for:?}");
        let alarm = format!("was taken for {taken_for:?}");
        assert!(floor.notes.iter().any(|note| note.contains(&alarm)), "{:?}", floor.notes);
        floor.cancel("momentum", "a");
        floor.leave();
        assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
        // What Gateway itself has ended stays so.
        floor.told(id, "Filled");
        floor.told(id, "Submitted");
        assert_eq!(floor.state("momentum", "a"), State::Filled);
    }
}

#[test]
fn what_gateway_confirms_of_a_persons_word_is_its_own() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    let resolve = OrderRequest::Resolve(v1::ResolveOrderRequest {
        owner: "momentum".into(),
        client_order_id: "a".into(),
        resolution: v1::Resolution::Filled.into(),
        reason: "TWS says so".into(),
    });
    floor.call("risk", resolve);
    floor.told(id, "Filled");
    floor.told(id, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
}

#[test]
fn an_unknown_order_is_resolved_by_a_person_with_a_reason() {
    let mut floor = Floor::open();
    floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile();
    let resolve = |reason: &str| {
        OrderRequest::Resolve(v1::ResolveOrderRequest {
            owner: "momentum".into(),
            client_order_id: "a".into(),
            resolution: v1::Resolution::NeverArrived.into(),
            reason: reason.into(),
        })
    };
    let refused = floor.call("momentum", resolve("mine"));
    assert_eq!(floor.refused(refused).code, "RIGHT_DENIED");
    let refused = floor.call("risk", resolve(" "));
    assert_eq!(floor.refused(refused).code, "INVALID_ARGUMENT");
    floor.call("risk", resolve("not in TWS, asked IB"));
    assert_eq!(floor.state("momentum", "a"), State::NotSent);
    assert_eq!(floor.audit.last().unwrap().what, "ResolveOrder");
}

#[test]
fn everything_of_everybody_needs_the_typed_words() {
    let mut floor = Floor::open();
    let every = |confirmation: &str| {
        OrderRequest::CancelEvery(v1::CancelEveryOrderRequest {
            confirmation: confirmation.into(),
            reason: "fire".into(),
        })
    };
    let words = "cancel every order of every program";
    let denied = floor.call("momentum", every(words));
    assert_eq!(floor.refused(denied).code, "RIGHT_DENIED");
    let refused = floor.call("risk", every("yes"));
    assert!(floor.refused(refused).message.contains(words));
    floor.call("risk", every(words));
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::REQ_GLOBAL_CANCEL);
}

#[test]
fn nobody_trades_without_being_configured_and_whoami_says_why() {
    let mut floor = Floor::open();
    for who in ["nobody", "observer"] {
        let refused = floor.place(who, "a");
        assert_eq!(floor.refused(refused).code, "RIGHT_DENIED");
        let me = floor.call(who, OrderRequest::WhoAmI);
        let me = floor.answer::<v1::WhoAmIResponse>(me);
        assert!(!me.may_trade && !me.because.is_empty(), "{me:?}");
    }
    let me = floor.call("momentum", OrderRequest::WhoAmI);
    assert!(floor.answer::<v1::WhoAmIResponse>(me).may_trade);
}

#[test]
fn unknown_orders_count_against_limits() {
    let mut floor = Floor::open();
    let mut all = principals();
    all.get_mut("momentum").unwrap().limits.open_orders = Some(1);
    let settings = TradingSettings { enabled: true, ..TradingSettings::default() };
    floor.desk.on_settings(settings, all, &Contracts::default(), floor.now);
    floor.placed("momentum", "a");
    floor.down();
    floor.session(2, Before::New);
    floor.reconcile();
    assert_eq!(floor.state("momentum", "a"), State::Unknown);
    let refused = floor.place("momentum", "b");
    let message = &floor.refused(refused).message;
    assert!(message.contains("clients.momentum.max_open_orders = 1"), "{message}");
}

/// Rows of the tests' disk are what the journal would hold.
#[test]
fn the_journal_has_the_number_before_the_frame_leaves() {
    let mut floor = Floor::open();
    floor.place("momentum", "a");
    assert!(floor.disk.orders.is_empty(), "what waits is not on disk");
    let (key, _) = floor.queue[0].clone();
    let numbered = floor.desk.on_numbered(key, 77, floor.now).unwrap();
    assert!(!floor.desk.is_on_disk(numbered.wait_for));
    floor.settle();
    assert!(floor.desk.is_on_disk(numbered.wait_for));
    let sending = floor.disk.orders[0].sending.unwrap();
    assert_eq!((sending.epoch, sending.number), (1, 77));
}

#[test]
fn trading_that_is_switched_off_takes_nothing_new_and_goes_on_with_what_there_is() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.desk.on_settings(
        TradingSettings::default(),
        principals(),
        &Contracts::default(),
        floor.now,
    );
    let refused = floor.place("momentum", "b");
    assert_eq!(floor.refused(refused).code, "TRADING_OFF");
    floor.told(id, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Working);
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn a_halt_is_answered_once_it_outlives_the_broker_and_without_a_disk_it_is_said_that_it_does_not() {
    let mut floor = Floor::open();
    let call = CallId(1_000);
    floor.ask(&caller("risk"), call, &halt("", false));
    while let Some(doing) = floor.desk.poll_doing() {
        assert!(!matches!(doing, Doing::Reply(..)), "nothing is on disk yet");
    }
    floor.settle();
    assert!(floor.replies[&call].is_ok());
    assert!(floor.disk.facts.as_ref().unwrap().halts.contains_key(""));
    floor.disk_works = false;
    let call = floor.call("risk", halt("momentum", false));
    let Err(said) = &floor.replies[&call] else { panic!("nothing is on disk") };
    assert_eq!(
        (said.code.as_str(), said.delivery()),
        ("JOURNAL_FAILED", crate::error::Delivery::Unspecified)
    );
    assert!(said.message.contains("holds now"));
    let held = floor.place("momentum", "a");
    assert_eq!(floor.refused(held).code, "TRADING_HALTED", "and it does hold");
    assert!(floor.notes.iter().any(|note| note.contains("not on disk")), "{:?}", floor.notes);
}

#[test]
fn a_halt_that_the_audit_log_does_not_take_is_answered_as_one_that_may_be_lost() {
    let mut floor = Floor::open();
    floor.desk.on_audit(Some("write audit.jsonl: it is a directory".into()));
    floor.settle();
    let call = floor.call("risk", halt("", false));
    let Err(said) = &floor.replies[&call] else { panic!("nobody can read it later") };
    assert_eq!(said.code, "JOURNAL_FAILED");
    assert!(said.message.contains("audit log") && said.message.contains("holds now"), "{said:?}");
}
