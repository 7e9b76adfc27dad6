//! Orders on their way through the hub: the queue, the disk, the link's numbers, the idle Gateway.

use ibouncer_proto::api::v1 as api;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::reads::details;
use super::*;
use crate::orders::journal::{Loaded, OrderRecord, Sending};
use crate::orders::request::OrderRequest;
use crate::principals::{Credential, Principal, Role, TradingSettings, WhenAway};

const CLIENT: ClientId = ClientId(9);

fn settings() -> Settings {
    let trader = Principal { role: Role::Trade, ..Principal::default() };
    Settings {
        trading: TradingSettings { enabled: true, ..TradingSettings::default() },
        principals: [
            ("momentum".to_owned(), trader.clone()),
            ("patient".to_owned(), Principal { when_away: WhenAway::Queue, ..trader.clone() }),
            ("bold".to_owned(), Principal { when_away: WhenAway::Allow, ..trader }),
        ]
        .into(),
        ..Settings::default()
    }
}

/// READY, compared, and with a client that may trade.
fn trading() -> World {
    let mut world = World::new(settings());
    let clock = memory(world.now).clock;
    world.hub.open_trading(Default::default(), clock);
    world.input(Input::Start);
    world.handshake();
    world.input(Input::ClientJoined {
        client: CLIENT,
        name: "momentum".into(),
        peer: "here".into(),
        credential: Credential { principal: Some("momentum".into()), ..Credential::default() },
    });
    for _ in 0..2 {
        world.pass(1);
        world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
        world.pass(1);
        let request = *world.sent_of(id::REQ_EXECUTIONS).last().unwrap();
        let end = tws::ExecutionDetailsEnd { req_id: Some(request) };
        world.frame(id::EXECUTION_DATA_END, &end);
        world.pass(1);
        world.frame(id::COMPLETED_ORDERS_END, &tws::CompletedOrdersEnd {});
    }
    world
}

fn place(world: &mut World, call: u64, name: &str) {
    place_of(world, CLIENT, call, name);
}

fn place_of(world: &mut World, client: ClientId, call: u64, name: &str) {
    let request = tws::PlaceOrderRequest {
        contract: Some(Contract {
            symbol: Some(AAPL.into()),
            sec_type: Some("STK".into()),
            ..Contract::default()
        }),
        order: Some(tws::Order {
            action: Some("BUY".into()),
            order_type: Some("MKT".into()),
            total_quantity: Some("1".into()),
            ..tws::Order::default()
        }),
        ..Default::default()
    };
    let order = api::NewOrder {
        client_order_id: name.into(),
        request: Some(request),
        ..Default::default()
    };
    let body = api::PlaceOrderRequest { order: Some(order) }.encode_to_vec();
    let request = OrderRequest::Place(body.into());
    world.input(Input::Order { client, call: CallId(call), request });
}

fn placed(world: &World) -> Vec<i32> {
    world.sent_of(id::PLACE_ORDER)
}

#[test]
fn sessions_are_numbered_above_the_journals_and_what_left_in_them_is_unknown_at_once() {
    let mut world = World::new(settings());
    let clock = memory(world.now).clock;
    let sending = Sending { epoch: 40, number: 3 };
    let order = OrderRecord {
        order_id: 5,
        owner: "momentum".into(),
        client_order_id: "a".into(),
        state: api::OrderState::Working.into(),
        sending: Some(sending),
        ..OrderRecord::default()
    };
    // The ledger was lost.
    world.hub.open_trading(Loaded { orders: vec![order], ..Loaded::default() }, clock);
    world.input(Input::Start);
    assert_eq!(world.spawned, [Epoch(41)]);
    let status = world.hub.desk.status(&clock).1.unwrap();
    assert_eq!((status.open_orders, status.unknown_orders), (1, 1), "no session is up yet");
}

#[test]
fn an_order_cancel_leaves_within_two_slots_while_a_thousand_requests_wait() {
    let mut world = trading();
    place(&mut world, 1_000_001, "a");
    world.pass(1);
    let order = placed(&world)[0];
    let limits = &mut world.hub.settings.limits;
    (limits.calls, limits.requests_per_second) = (2_000, 10_000);
    for call in 0..1_000 {
        world.call(call, details(&format!("S{call}")));
    }
    let before = world.sent.len();
    let cancel = api::CancelOrderRequest { client_order_id: "a".into(), ..Default::default() };
    let request = OrderRequest::Cancel(cancel.encode_to_vec().into());
    world.input(Input::Order { client: CLIENT, call: CallId(1_000_002), request });
    world.pass(1);
    let after = &world.sent[before..];
    let place = after.iter().position(|sent| *sent == (id::CANCEL_ORDER, order)).unwrap();
    assert!(place < 2, "it left as number {place}");
}

#[test]
fn a_frame_waits_for_the_disk_of_the_order_before_it_and_no_longer_than_the_deadline() {
    let mut world = trading();
    world.disk_works = false;
    place(&mut world, 1, "a");
    world.call(2, details("MSFT"));
    let contracts = |world: &World| world.sent_of(id::REQ_CONTRACT_DATA).len();
    assert_eq!((placed(&world).len(), contracts(&world)), (0, 0));
    let number = world.number;
    world.now += world.hub.settings.trading.journal_deadline;
    world.pass(1);
    assert_eq!(contracts(&world), 1, "the session goes on");
    assert!(placed(&world).is_empty());
    assert_eq!(world.number, number + 2, "an empty frame took the order's number");
    let error = world.replies[&CallId(1)].as_ref().unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.delivery()),
        ("JOURNAL_FAILED", api::ErrorDelivery::NotSent)
    );
    world.disk_works = true;
    world.input(Input::Journaled { through: u64::MAX });
    place(&mut world, 3, "a");
    world.pass(1);
    assert_eq!(placed(&world).len(), 1);
}

#[test]
fn what_waits_for_the_disk_when_the_broker_ends_does_not_leave_but_for_cancels() {
    for lets_go in [false, true] {
        let mut world = trading();
        world.hub.outlives = lets_go;
        place(&mut world, 1, "open");
        world.pass(1);
        let open = placed(&world);
        world.disk_works = false;
        place(&mut world, 2, "late");
        let cancel =
            api::CancelOrderRequest { client_order_id: "open".into(), ..Default::default() };
        let request = OrderRequest::Cancel(cancel.encode_to_vec().into());
        world.input(Input::Order { client: CLIENT, call: CallId(3), request });
        let number = world.number;
        let because = "SIGTERM".to_owned();
        world.input(if lets_go { Input::LetGo { because } } else { Input::Stop { because } });
        assert_eq!((world.shut_down, world.let_go), if lets_go { (0, 1) } else { (1, 0) });
        assert_eq!(placed(&world), open);
        assert_eq!(world.sent_of(id::CANCEL_ORDER), open);
        assert_eq!(world.number, number + 2, "an empty frame took the order's number");
        let error = world.replies[&CallId(2)].as_ref().unwrap_err();
        let not_sent = api::ErrorDelivery::NotSent;
        assert_eq!((error.code.as_str(), error.delivery()), ("STOPPING", not_sent));
        world.replies[&CallId(3)].as_ref().unwrap();
    }
}

#[test]
fn after_a_long_silence_gateway_must_speak_before_an_order_leaves() {
    let mut world = trading();
    world.now += world.hub.settings.trading.idle + Duration::from_secs(1);
    let asked = world.sent_of(id::REQ_CURRENT_TIME).len();
    place(&mut world, 1, "a");
    assert!(placed(&world).is_empty());
    assert!(world.sent_of(id::REQ_CURRENT_TIME).len() > asked);
    world.frame(id::CURRENT_TIME, &tws::CurrentTime { current_time: Some(1) });
    world.pass(1);
    assert_eq!(placed(&world).len(), 1);
}

#[test]
fn a_login_that_is_not_meant_is_held_and_nothing_is_asked_of_it() {
    let mut world = World::new(Settings { expect: crate::settings::Expect::Live, ..settings() });
    world.input(Input::Start);
    let epoch = *world.spawned.last().unwrap();
    world.worker(WorkerEvent::Spawned { pid: 100 });
    world.worker(WorkerEvent::Hello(Hello { epoch: epoch.0, ..Hello::default() }));
    for stage in
        [Stage::TcpConnected, Stage::VersionReceived, Stage::AccountsReceived, Stage::Ready]
    {
        let accounts = "DU0000001".into();
        let stage = StageReached { stage: stage.into(), accounts, ..StageReached::default() };
        world.worker(WorkerEvent::Stage(stage));
    }
    assert_eq!(world.shut_down, 1, "it is closed in order");
    assert!(world.sent.is_empty());
    world.worker(WorkerEvent::Exited(ExitStatus::Code(0)));
    assert_eq!(world.hub.session.kind(), StateKind::Held);
    assert!(world.hub.session.reason(world.now).contains("gateway.expect"));
}

#[test]
fn in_a_restart_window_each_policy_does_what_it_says() {
    let mut world = trading();
    for (client, name) in [(ClientId(10), "patient"), (ClientId(11), "bold")] {
        let credential = Credential { principal: Some(name.into()), ..Credential::default() };
        let (name, peer) = (name.into(), "here".into());
        world.input(Input::ClientJoined { client, name, peer, credential });
    }
    let until = Some(world.now + Duration::from_secs(600));
    world.input(Input::RestartWindow { until });
    place(&mut world, 1, "rejected");
    place_of(&mut world, ClientId(10), 2, "waits");
    place_of(&mut world, ClientId(11), 3, "goes");
    world.pass(1);
    let refused = world.replies[&CallId(1)].as_ref().unwrap_err();
    assert_eq!(refused.code, "NOT_READY");
    assert!(refused.message.contains("restart_window"), "{}", refused.message);
    assert!(!world.replies.contains_key(&CallId(2)));
    assert_eq!(placed(&world).len(), 1, "the bold one's");
    world.input(Input::RestartWindow { until: None });
    world.pass(1);
    assert_eq!(placed(&world).len(), 2);
    assert!(world.replies[&CallId(2)].is_ok());
}

#[test]
fn whoever_asks_for_what_is_for_operators_is_written_down_as_often_as_it_is_read() {
    let denied = |world: &mut World| {
        let because = "PERMISSION_DENIED: it is for operators".to_owned();
        world.hub.handle_input(
            Input::Denied { client: CLIENT, what: "ListClients", because },
            world.now,
        );
        let mut lines = Vec::new();
        while let Some(output) = world.hub.poll_output() {
            if let Output::Audit(audit) = output {
                lines.push((audit.principal, audit.what, audit.result));
            }
        }
        lines
    };
    let mut world = trading();
    assert_eq!(denied(&mut world), [("momentum".to_owned(), "ListClients", "refused")]);
    let lines: usize = (0..10_000).map(|_| denied(&mut world).len()).sum();
    assert!((1..10_000).contains(&lines), "{lines}");
    let mut world = World::new(Settings::default());
    assert!(denied(&mut world).is_empty(), "where nobody trades nothing is written");
}
