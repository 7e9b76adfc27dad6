//! Ends that Gateway takes back: by correcting executions, and by listing what it had cancelled.

use super::*;

fn filled_status(order_id: i32, word: &str, filled: &str, remaining: &str) -> tws::OrderStatus {
    tws::OrderStatus {
        order_id: Some(order_id),
        status: Some(word.into()),
        filled: Some(filled.into()),
        remaining: Some(remaining.into()),
        perm_id: Some(i64::from(order_id) + 1_000_000),
        client_id: Some(CLIENT_ID),
        ..Default::default()
    }
}

/// So many of an execution, and so many in all.
fn fills(floor: &mut Floor, id: i32, exec_id: &str, shares: &str, cum_qty: &str) {
    let mut told = floor.execution(id, exec_id, cum_qty);
    told.execution.as_mut().unwrap().shares = Some(shares.into());
    floor.hear(id::EXECUTION_DATA, &told);
}

fn filled(floor: &Floor) -> &str {
    &floor.order("momentum", "a").filled
}

#[test]
fn what_executions_filled_is_open_again_once_they_were_corrected_to_less() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.executed(id, "x.1.01", "10");
    assert_eq!(floor.state("momentum", "a"), State::Filled);
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "0", "10"));
    assert_eq!(floor.state("momentum", "a"), State::Filled, "that is late");
    floor.executed(id, "x.1.02", "4");
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Unknown, "4"));
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders), "Gateway is asked");
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "4", "6"));
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Working, "4"));
    floor.executed(id, "x.1.01", "10");
    assert_eq!(filled(&floor), "4", "it was corrected");
    floor.down();
    floor.session(2, Before::New);
    floor.opened(id, "Submitted", 10.0);
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "4", "6"));
    floor.reconcile();
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Working, "4"));
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
    floor.now += Duration::from_secs(6);
    floor.desk.handle_timeout(floor.now);
    floor.settle();
    let kinds: Vec<_> = floor.execution_events().iter().map(v1::ExecutionEvent::kind).collect();
    assert_eq!(kinds, [v1::ExecutionEventKind::New, v1::ExecutionEventKind::Corrected]);
}

#[test]
fn what_gateway_called_filled_is_open_again_only_by_its_word_after_a_correction() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.executed(id, "x.1.01", "10");
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Filled", "10", "0"));
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "4", "6"));
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Filled, "10"));
    floor.executed(id, "x.1.02", "4");
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Filled, "4"));
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "3", "7"));
    assert_eq!(floor.state("momentum", "a"), State::Filled, "executions prove more");
    let mut next = Floor::closed(floor.disk.clone());
    next.session(2, Before::New);
    next.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "4", "6"));
    assert_eq!((next.state("momentum", "a"), filled(&next)), (State::Working, "4"));
    assert!(next.notes.iter().any(|note| note.contains("taken for Filled")), "{:?}", next.notes);
    fills(&mut next, id, "x.2.01", "6", "10");
    assert_eq!(next.state("momentum", "a"), State::Filled);
}

#[test]
fn a_correction_lowers_what_was_filled_and_nothing_else_does() {
    let mut floor = Floor::open();
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().total_quantity = Some("100".into());
    let call = floor.call("momentum", OrderRequest::Place(place("a", request)));
    floor.leave();
    let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
    floor.opened(id, "Submitted", 10.0);
    fills(&mut floor, id, "x.1.01", "50", "50");
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "50", "50"));
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "20", "80"));
    assert_eq!(filled(&floor), "50", "less than executions prove");
    fills(&mut floor, id, "x.1.02", "20", "20");
    assert_eq!(filled(&floor), "20");
    // What was on its way before the correction.
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "50", "50"));
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "20", "80"));
    assert_eq!(filled(&floor), "20", "executions agree");
    fills(&mut floor, id, "x.2.01", "7.5", "27.5");
    assert_eq!(filled(&floor), "27.5");
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "20", "80"));
    assert_eq!(filled(&floor), "27.5", "that is late");
    fills(&mut floor, id, "x.2.02", "5.2", "25.2");
    assert_eq!((filled(&floor), floor.state("momentum", "a")), ("25.2", State::Working));
}

#[test]
fn a_correction_upwards_counts_in_what_was_filled() {
    let mut floor = Floor::open();
    let mut request = limit(10.0);
    request.order.as_mut().unwrap().total_quantity = Some("90".into());
    let call = floor.call("momentum", OrderRequest::Place(place("a", request)));
    floor.leave();
    let id = floor.answer::<v1::PlaceOrderResponse>(call).order.unwrap().order_id;
    floor.opened(id, "Submitted", 10.0);
    fills(&mut floor, id, "x.1.01", "30", "30");
    fills(&mut floor, id, "x.2.01", "45", "75");
    fills(&mut floor, id, "x.1.02", "40", "40");
    assert_eq!((filled(&floor), floor.state("momentum", "a")), ("85", State::Working));
    // Gateway can have said it before.
    floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "87", "3"));
    fills(&mut floor, id, "x.2.02", "47", "77");
    assert_eq!(filled(&floor), "87", "it counts once");
    fills(&mut floor, id, "x.1.03", "43", "43");
    assert_eq!((filled(&floor), floor.state("momentum", "a")), ("90", State::Filled));
}

#[test]
fn what_was_cancelled_works_again_once_a_later_list_shows_it_open() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    floor.told(id, "Cancelled");
    floor.opened(id, "Submitted", 10.0);
    floor.told(id, "Submitted");
    assert_eq!(floor.state("momentum", "a"), State::Cancelled, "that is late");
    floor.down();
    floor.session(2, Before::New);
    for _ in 0..2 {
        assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders));
        floor.opened(id, "Submitted", 10.0);
        floor.told(id, "Submitted");
        assert_eq!(floor.state("momentum", "a"), State::Cancelled, "the list is not complete");
        for _ in 0..3 {
            floor.desk.on_listed(true, floor.now);
            floor.settle();
        }
    }
    assert_eq!(floor.state("momentum", "a"), State::Working);
    assert!(floor.notes.iter().any(|note| note.contains("taken for Cancelled")));
    assert!(floor.desk.relisted.is_empty());
    assert_eq!(floor.desk.book.live_count("momentum"), 1, "limits count it");
    floor.cancel("momentum", "a");
    floor.leave();
    assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
}

#[test]
fn a_list_that_was_asked_for_before_the_end_revives_nothing() {
    let mut floor = Floor::open();
    let (a, b) = (floor.placed("momentum", "a"), floor.placed("momentum", "b"));
    floor.opened(a, "Submitted", 10.0);
    floor.opened(b, "Submitted", 10.0);
    floor.told(b, "Cancelled");
    floor.desk.on_gap("test", false, floor.now);
    assert_eq!(floor.desk.poll_listing(), Some(Listing::OpenOrders));
    floor.told(a, "Cancelled");
    floor.opened(a, "Submitted", 10.0);
    floor.opened(b, "Submitted", 10.0);
    floor.told(b, "Cancelled");
    floor.desk.on_listed(true, floor.now);
    floor.settle();
    assert_eq!(floor.state("momentum", "a"), State::Cancelled);
    assert_eq!(floor.state("momentum", "b"), State::Cancelled, "it was cancelled meanwhile");
}

#[test]
fn what_its_executions_filled_works_again_once_a_later_list_shows_it_open_and_larger() {
    for restarts in [false, true] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        fills(&mut floor, id, "x.1.01", "10", "10");
        assert_eq!(floor.state("momentum", "a"), State::Filled);
        floor.opened(id, "Submitted", 10.0);
        assert_eq!(floor.desk.poll_listing(), None, "that is late");
        // In TWS it was made larger before that.
        let mut open = floor.open_order(id, "Submitted", 10.0);
        open.order.as_mut().unwrap().total_quantity = Some("30".into());
        if restarts {
            floor = Floor::closed(floor.disk.clone());
            floor.session(2, Before::New);
        } else {
            floor.hear(id::OPEN_ORDER, &open);
            assert_eq!(floor.state("momentum", "a"), State::Filled, "and that may be");
        }
        let mut lists = 0;
        floor.reconcile_with(|floor| {
            floor.hear(id::OPEN_ORDER, &open);
            floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "10", "20"));
            lists += 1;
        });
        assert_eq!(lists, if restarts { 2 } else { 1 }, "and not for ever");
        assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Working, "10"));
        assert_eq!(floor.order("momentum", "a").remaining, "20");
        assert!(floor.notes.iter().any(|note| note.contains("taken for Filled")));
        fills(&mut floor, id, "x.2.01", "10", "20");
        assert_eq!(floor.state("momentum", "a"), State::Working);
        floor.cancel("momentum", "a");
        floor.leave();
        assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
    }
}

#[test]
fn what_fills_while_the_list_comes_is_not_revived_by_it() {
    let mut floor = Floor::open();
    let id = floor.placed("momentum", "a");
    floor.opened(id, "Submitted", 10.0);
    fills(&mut floor, id, "x.1.01", "10", "10");
    let mut open = floor.open_order(id, "Submitted", 10.0);
    open.order.as_mut().unwrap().total_quantity = Some("30".into());
    floor.hear(id::OPEN_ORDER, &open);
    floor.reconcile_with(|floor| {
        floor.hear(id::OPEN_ORDER, &open);
        fills(floor, id, "x.2.01", "20", "30");
    });
    assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Filled, "30"));
}

#[test]
fn a_fill_that_gateway_takes_back_without_an_execution_leaves_the_order_open() {
    for (told, taken) in [("Filled", "10"), ("Submitted", "7")] {
        let mut floor = Floor::open();
        let id = floor.placed("momentum", "a");
        floor.opened(id, "Submitted", 10.0);
        let remaining = if taken == "10" { "0" } else { "3" };
        floor.hear(id::ORDER_STATUS, &filled_status(id, told, taken, remaining));
        let lists = |floor: &mut Floor| {
            floor.opened(id, "Submitted", 10.0);
            floor.hear(id::ORDER_STATUS, &filled_status(id, "Submitted", "6", "4"));
        };
        // Outside of a list that is late.
        lists(&mut floor);
        assert_eq!(filled(&floor), taken);
        floor.down();
        floor.session(2, Before::New);
        let mut passes = 0;
        floor.reconcile_with(|floor| {
            lists(floor);
            passes += 1;
            assert_eq!(filled(floor), taken, "the list is not complete, and may be late");
        });
        assert_eq!(passes, 2);
        assert_eq!((floor.state("momentum", "a"), filled(&floor)), (State::Working, "6"));
        assert_eq!(floor.order("momentum", "a").remaining, "4");
        assert!(floor.notes.iter().any(|note| note.contains("a fill was taken back")));
        floor.cancel("momentum", "a");
        floor.leave();
        assert_eq!(floor.left.last().unwrap().0, id::CANCEL_ORDER);
        // It fills once more.
        floor.hear(id::ORDER_STATUS, &filled_status(id, "Filled", "10", "0"));
        assert_eq!(floor.state("momentum", "a"), State::Filled);
    }
}
