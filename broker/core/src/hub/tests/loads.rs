//! First loads of streams without an id: the rest of one that was cancelled is not taken for the
//! next one's.

use ibouncer_proto::api::v1 as api;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;

impl World {
    fn positions_wanted(&mut self, number: u64) -> StreamId {
        let stream = self.open(number);
        self.want(stream, 1, Ok(Wanted::positions()), Manner::default());
        self.pass(1);
        stream
    }

    fn end(&mut self) {
        self.frame(id::POSITION_END, &tws::PositionEnd {});
        self.pass(1);
    }

    /// How often positions were asked for.
    fn loads(&self) -> usize {
        self.sent_of(id::REQ_POSITIONS).len()
    }
}

#[test]
fn what_still_comes_of_a_load_that_was_cancelled_is_not_told_as_the_next_ones() {
    let mut world = World::ready();
    let first = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.input(Input::StreamClosed { stream: first });
    let second = world.positions_wanted(2);
    assert_eq!(world.loads(), 1, "it waits for the end of the other");
    let queue = world.hub.pacer.queue(world.now);
    assert!(queue[0].because.contains("cancelled in its middle"), "{queue:?}");
    world.position("MSFT", "7");
    world.end();
    assert_eq!(world.positions(second), ["Subscribed"]);
    assert_eq!(world.loads(), 2);
    world.position("AAPL", "5");
    world.end();
    assert_eq!(world.positions(second), ["AAPL 5", "end"]);
    // Of a load that is whole nothing is waited for.
    world.input(Input::StreamClosed { stream: second });
    world.positions_wanted(3);
    assert_eq!(world.loads(), 3);
}

#[test]
fn a_load_that_1101_broke_ends_no_other_and_nothing_is_told_as_gone() {
    let mut world = World::ready();
    let stream = world.positions_wanted(1);
    for symbol in ["AAPL", "MSFT"] {
        world.position(symbol, "5");
    }
    world.end();
    world.about(-1, 1101, "restored, data lost");
    world.pass(1);
    assert_eq!(world.loads(), 2);
    world.position("AAPL", "5");
    world.about(-1, 1101, "restored, data lost");
    world.pass(1);
    world.positions(stream);
    world.end();
    assert!(world.positions(stream).is_empty(), "that end is the older load's");
    assert_eq!(world.loads(), 3);
    world.position("AAPL", "5");
    world.position("MSFT", "5");
    world.end();
    assert_eq!(world.positions(stream), ["Resumed", "AAPL 5", "MSFT 5", "end"]);
}

#[test]
fn a_load_that_never_ends_holds_the_next_back_only_while_pieces_of_it_come() {
    let mut world = World::ready();
    let first = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.input(Input::StreamClosed { stream: first });
    world.pass(2);
    // Nobody wants any, and the rest is counted all the same.
    world.position("MSFT", "7");
    let second = world.positions_wanted(2);
    world.pass(6);
    world.position("IBM", "7");
    world.pass(9);
    assert_eq!(world.loads(), 1);
    world.pass(2);
    assert_eq!(world.loads(), 2);
    world.position("AAPL", "5");
    world.end();
    assert_eq!(world.positions(second), ["Subscribed", "AAPL 5", "end"]);
}

#[test]
fn what_gateway_may_not_have_taken_at_all_is_asked_for_again_at_once() {
    let mut world = World::ready();
    let stream = world.positions_wanted(1);
    let too_fast = |world: &mut World| world.about(-1, 100, "Max rate of messages");
    too_fast(&mut world);
    world.pass(1);
    assert_eq!(world.loads(), 2);
    world.position("AAPL", "5");
    world.end();
    assert_eq!(world.positions(stream), ["Subscribed", "AAPL 5", "end"]);
    // It was taken after all, and is on its way while it waits to be asked for again.
    world.input(Input::StreamClosed { stream });
    world.pass(3);
    let stream = world.positions_wanted(2);
    too_fast(&mut world);
    world.position("AAPL", "5");
    world.pass(2);
    assert_eq!(world.loads(), 3, "the rest of it could not be told from the next one");
    world.position("MSFT", "7");
    world.end();
    assert_eq!(world.loads(), 4);
    world.position("AAPL", "5");
    world.position("MSFT", "7");
    world.end();
    assert_eq!(world.positions(stream), ["Subscribed", "AAPL 5", "MSFT 7", "end"]);
}

#[test]
fn what_the_broker_before_had_asked_for_without_an_id_is_not_taken_for_our_own() {
    let mut world = World::ready();
    let notes = |world: &mut World| std::mem::take(&mut world.answers);
    let stream = world.positions_wanted(1);
    let asked = notes(&mut world);
    let [(Group::Positions, Some(frame))] = asked[..] else { panic!("{asked:?}") };
    assert!(frame > 0);
    world.position("AAPL", "5");
    world.end();
    assert_eq!(notes(&mut world), [(Group::Positions, None)]);
    world.call(1, Ok(crate::calls::Asked::open_orders(false)));
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    assert!(matches!(notes(&mut world)[..], [(Group::OpenOrders, Some(_)), (_, None)]));
    world.input(Input::StreamClosed { stream });

    let mut world = World::new(Settings::default());
    world.input(Input::StartAdopting { who: "a worker".into(), pid: None });
    let stream = world.open(1);
    world.want(stream, 1, Ok(Wanted::positions()), Manner::default());
    let (epoch, pid, open) =
        (Epoch(7), 100, vec![(crate::ids::RequestId(5), id::CANCEL_POSITIONS)]);
    let session = Some(ibouncer_proto::link::v1::SessionFacts::default());
    let hello = Hello { epoch: 7, session, ..Hello::default() };
    let owed = vec![Group::OpenOrders, Group::Positions];
    world.input(Input::Adopt { epoch, pid, hello, open, owed });
    world.spawned.push(epoch);
    world.call(1, Ok(crate::calls::Asked::open_orders(false)));
    world.pass(1);
    world.position("MSFT", "7");
    let order = |order_id| tws::OpenOrder { order_id: Some(order_id), ..Default::default() };
    world.frame(id::OPEN_ORDER, &order(6));
    world.pass(9);
    let lists = |world: &World| world.sent_of(id::REQ_ALL_OPEN_ORDERS).len();
    assert_eq!((world.loads(), lists(&world)), (0, 0), "both wait for what is owed");
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    world.end();
    assert_eq!((world.loads(), lists(&world)), (1, 1));
    for symbol in ["AAPL", "MSFT"] {
        world.position(symbol, "7");
    }
    world.end();
    let told = world.positions(stream);
    assert_eq!(told[told.len() - 3..], ["AAPL 7", "MSFT 7", "end"]);
    // Open orders come unasked, too, and hold nobody back then.
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    world.frame(id::OPEN_ORDER, &order(8));
    world.call(2, Ok(crate::calls::Asked::open_orders(false)));
    world.pass(1);
    assert_eq!(lists(&world), 2);
}

#[test]
fn a_new_connection_owes_no_end() {
    let mut world = World::ready();
    let first = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.input(Input::StreamClosed { stream: first });
    world.positions_wanted(2);
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.handshake();
    world.pass(1);
    assert_eq!(world.loads(), 2);
}

#[test]
fn updates_of_an_account_wait_for_the_end_of_those_of_the_one_before() {
    let accounts = ["DU0000001", "DU0000002"];
    let mut world = World::at(Settings::default(), 215, &accounts);
    let updates = |world: &mut World, number, account| {
        let stream = world.open(number);
        world.want(stream, 0, Wanted::account_updates(account), Manner::default());
        world.pass(1);
        stream
    };
    let first = updates(&mut world, 1, accounts[0]);
    world.input(Input::StreamClosed { stream: first });
    let second = updates(&mut world, 2, accounts[1]);
    world.input(Input::StreamClosed { stream: second });
    updates(&mut world, 3, accounts[0]);
    let asked = |world: &World| world.sent_of(id::REQ_ACCT_DATA).len();
    assert_eq!(asked(&world), 2, "asked, cancelled");
    let account_name = Some(accounts[0].to_owned());
    world.frame(id::ACCT_DOWNLOAD_END, &tws::AccountDataEnd { account_name });
    world.pass(1);
    assert_eq!(asked(&world), 3);
}

#[test]
fn what_could_not_be_read_of_a_load_is_not_told_as_gone() {
    let mut world = World::ready();
    let stream = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.position("MSFT", "7");
    world.end();
    world.about(-1, 1101, "restored, data lost");
    world.pass(1);
    world.positions(stream);
    world.position("MSFT", "7");
    world.raw(&[(id::POSITION_DATA, vec![0x12, 0x7f, 1])]);
    world.end();
    assert_eq!(world.positions(stream), ["Resumed", "MSFT 7", "Gap", "end"]);
    // Who comes late is not told that this is all, until it was asked for again.
    let late = world.positions_wanted(2);
    assert_eq!(world.positions(late), ["Subscribed", "Gap", "AAPL 5", "MSFT 7", "end"]);
    world.about(-1, 1101, "restored, data lost");
    world.pass(1);
    world.position("MSFT", "7");
    world.end();
    assert_eq!(world.positions(late), ["Stale", "Resumed", "MSFT 7", "AAPL 0", "end"]);
    let late = world.positions_wanted(3);
    assert_eq!(world.positions(late), ["Subscribed", "MSFT 7", "end"]);
}

#[test]
fn a_state_of_which_something_could_not_be_read_is_told_with_its_gap_also_behind_1102() {
    let mut world = World::ready();
    let stream = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.end();
    world.raw(&[(id::POSITION_DATA, vec![0x12, 0x7f, 1])]);
    let late = world.positions_wanted(2);
    assert_eq!(world.positions(late), ["Subscribed", "Gap", "AAPL 5", "end"]);
    world.positions(stream);
    world.about(-1, 1100, "lost");
    world.about(-1, 1102, "restored");
    assert_eq!(world.positions(stream), ["Stale", "Resumed", "Gap", "AAPL 5", "end"]);
}

#[test]
fn positions_of_an_account_that_the_next_login_does_not_have_are_not_told_as_gone() {
    let mut world = World::at(Settings::default(), 215, &["DU0000001"]);
    let stream = world.positions_wanted(1);
    world.position("AAPL", "5");
    world.end();
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.login("DU0000002");
    world.pass(1);
    world.positions(stream);
    world.end();
    assert_eq!(world.positions(stream), ["Resumed", "end"]);
    let late = world.positions_wanted(2);
    assert_eq!(world.positions(late), ["Subscribed", "end"]);
}

#[test]
fn positions_and_bulletins_that_gateway_refuses_without_an_id_are_ended_by_that() {
    let mut world = World::ready();
    let refuse = |world: &mut World| world.about(-1, 321, "Error validating request");
    let codes = |world: &mut World, stream| world.errors(stream);
    let stream = world.positions_wanted(1);
    refuse(&mut world);
    assert_eq!(codes(&mut world, stream), ["GATEWAY_ERROR"]);
    world.want(stream, 2, Ok(Wanted::news_bulletins()), Manner::default());
    world.pass(1);
    refuse(&mut world);
    assert_eq!(codes(&mut world, stream), ["GATEWAY_ERROR"]);
    // It may be about either.
    world.want(stream, 3, Ok(Wanted::positions()), Manner::default());
    world.want(stream, 4, Wanted::account_updates("DU0000001"), Manner::default());
    world.pass(1);
    refuse(&mut world);
    assert!(codes(&mut world, stream).is_empty());
    // Bulletins may not come for hours, and take no call's error.
    world.end();
    world.frame(id::ACCT_DOWNLOAD_END, &tws::AccountDataEnd::default());
    world.want(stream, 5, Ok(Wanted::news_bulletins()), Manner::default());
    world.pass(31);
    world.call(1, Ok(crate::calls::Asked::family_codes()));
    world.pass(1);
    refuse(&mut world);
    assert_eq!(world.error(1).gateway_code, 321);
}

#[test]
fn the_rest_of_a_list_that_1101_broke_is_not_taken_for_the_next_one() {
    let mut world = World::ready();
    let open_orders = || Ok(crate::calls::Asked::open_orders(false));
    world.call(1, open_orders());
    world.pass(1);
    let order = |order_id| tws::OpenOrder { order_id: Some(order_id), ..Default::default() };
    world.frame(id::OPEN_ORDER, &order(5));
    world.about(-1, 1101, "restored, data lost");
    assert_eq!(world.error(1).code, "WORKER_ENDED");
    world.call(2, open_orders());
    // What still comes lets it wait as long again.
    world.pass(9);
    world.frame(id::OPEN_ORDER, &order(6));
    world.pass(9);
    assert_eq!(world.sent_of(id::REQ_ALL_OPEN_ORDERS).len(), 1);
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    world.pass(1);
    assert!(world.replies.is_empty());
    assert_eq!(world.sent_of(id::REQ_ALL_OPEN_ORDERS).len(), 2);
    for order_id in [5, 6] {
        world.frame(id::OPEN_ORDER, &order(order_id));
    }
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    assert_eq!(world.answer::<api::ListOpenOrdersResponse>(2).open_orders.len(), 2);
    // If nothing comes, the next one leaves all the same.
    world.call(3, open_orders());
    world.pass(1);
    world.about(-1, 1101, "restored, data lost");
    world.call(4, open_orders());
    world.pass(11);
    assert_eq!(world.sent_of(id::REQ_ALL_OPEN_ORDERS).len(), 4);
}
