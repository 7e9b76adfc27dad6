//! One-shot requests and lines of all kinds: what is shared, told late, paced, and lost.

use ibouncer_proto::api::v1::{self as api, AccountEvent, Resume, account_event};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::calls::Asked;
use crate::ids::CallId;

pub(super) fn contract(symbol: &str) -> Contract {
    Contract { symbol: Some(symbol.into()), ..Contract::default() }
}

pub(super) fn details(symbol: &str) -> Result<Asked, Error> {
    let contract = Some(contract(symbol));
    Asked::contract_details(tws::ContractDataRequest { req_id: None, contract })
}

impl World {
    pub(super) fn call(&mut self, call: u64, asked: Result<Asked, Error>) {
        let (client, call) = (ClientId(call % 3), CallId(call));
        self.input(Input::Call { client, call, asked: asked.map(Box::new) });
    }

    pub(super) fn answer<T: prost::Message + Default>(&mut self, call: u64) -> T {
        match self.replies.remove(&CallId(call)) {
            Some(Ok(Reply::Answer(answer) | Reply::Paced(answer, _))) => T::decode(answer).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn error(&mut self, call: u64) -> Error {
        match self.replies.remove(&CallId(call)) {
            Some(Err(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn sent_of(&self, message: u32) -> Vec<i32> {
        self.sent.iter().filter(|(sent, _)| *sent == message).map(|(_, id)| *id).collect()
    }

    /// Time passes, in steps, with a worker that answers.
    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            self.now += Duration::from_millis(50);
            self.hub.handle_timeout(self.now);
            self.worker(WorkerEvent::Pong(Pong::default()));
        }
    }

    fn account_events(&mut self, stream: StreamId) -> Vec<AccountEvent> {
        let mut out = BytesMut::new();
        self.queues.get_mut(&stream).unwrap().pull(usize::MAX, &mut out);
        api::StreamPositionsResponse::decode(&out[..]).unwrap().events
    }

    /// Positions as symbol and size, end marks, and marks.
    pub(super) fn positions(&mut self, stream: StreamId) -> Vec<String> {
        let tell = |event: AccountEvent| match event.body {
            Some(account_event::Body::Position(one)) => {
                let contract = one.contract.clone().unwrap_or_default();
                format!("{} {}", contract.symbol(), one.position())
            }
            Some(account_event::Body::PositionEnd(_)) => "end".into(),
            Some(account_event::Body::Mark(mark)) => format!("{:?}", mark.kind()),
            other => format!("{other:?}"),
        };
        self.account_events(stream).into_iter().map(tell).collect()
    }

    pub(super) fn position(&mut self, symbol: &str, size: &str) {
        let position = tws::Position {
            account: Some("DU0000001".into()),
            contract: Some(contract(symbol)),
            position: Some(size.into()),
            avg_cost: Some(1.0),
        };
        self.frame(id::POSITION_DATA, &position);
    }
}

#[test]
fn equal_calls_are_one_request_and_its_answer_is_good_for_fifteen_seconds() {
    let mut world = World::ready();
    world.call(1, details("AAPL"));
    world.call(2, details("AAPL"));
    world.call(3, details("MSFT"));
    let requests = world.sent_of(id::REQ_CONTRACT_DATA);
    assert_eq!(requests.len(), 2);
    let data = tws::ContractData {
        req_id: Some(requests[0]),
        contract: Some(contract("AAPL")),
        ..Default::default()
    };
    world.frame(id::CONTRACT_DATA, &data);
    assert!(world.replies.is_empty());
    let notice =
        ErrorMessage { id: Some(requests[0]), error_code: Some(10_167), ..Default::default() };
    world.frame(id::ERR_MSG, &notice);
    world.frame(id::CONTRACT_DATA_END, &tws::ContractDataEnd { req_id: Some(requests[0]) });
    for call in [1, 2] {
        let answer: api::GetContractDetailsResponse = world.answer(call);
        assert_eq!(answer.contract_data, std::slice::from_ref(&data));
        assert_eq!(answer.notices[0].error_code(), 10_167);
    }
    world.call(4, details("AAPL"));
    assert_eq!(world.answer::<api::GetContractDetailsResponse>(4).contract_data.len(), 1);
    world.pass(16);
    world.call(5, details("AAPL"));
    assert_eq!(world.sent_of(id::REQ_CONTRACT_DATA).len(), 3);
}

#[test]
fn an_answer_says_how_long_its_caller_waited_for_the_request_to_leave() {
    let mut world = World::ready();
    let symbols = |pattern: &str| {
        let pattern = Some(pattern.to_owned());
        Asked::matching_symbols(tws::MatchingSymbolsRequest { req_id: None, pattern })
    };
    // Gateway takes one of them a second.
    world.call(1, symbols("APP"));
    world.call(2, symbols("MIC"));
    world.now += Duration::from_millis(400);
    world.call(3, symbols("MIC"));
    world.pass(2);
    world.call(4, symbols("MIC"));
    for request in world.sent_of(id::REQ_MATCHING_SYMBOLS) {
        let samples = tws::SymbolSamples { req_id: Some(request), ..Default::default() };
        world.frame(id::SYMBOL_SAMPLES, &samples);
    }
    let mut waited = |call| match world.replies.remove(&CallId(call)) {
        Some(Ok(Reply::Answer(_))) => 0,
        Some(Ok(Reply::Paced(_, waited))) => waited.as_millis(),
        other => panic!("{other:?}"),
    };
    assert_eq!((waited(1), waited(4)), (0, 0), "those who did not wait are told nothing");
    let (first, joined) = (waited(2), waited(3));
    assert!((1_000..1_100).contains(&first), "{first}");
    assert_eq!(joined, first - 400, "who came later waited less");
}

#[test]
fn calls_end_with_gateways_error_with_their_deadline_and_with_the_session() {
    let mut world = World::ready();
    for (call, symbol) in ["NOSUCH", "SLOW", "LATE"].iter().enumerate() {
        world.call(call as u64, details(symbol));
    }
    let request = world.sent_of(id::REQ_CONTRACT_DATA)[0];
    let error = ErrorMessage { id: Some(request), error_code: Some(200), ..Default::default() };
    world.frame(id::ERR_MSG, &error);
    assert_eq!(world.error(0).gateway_code, 200);
    world.input(Input::CallDropped { call: CallId(1) });
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    assert_eq!(world.error(2).code, "WORKER_ENDED");
    world.call(9, details("AAPL"));
    assert_eq!(world.error(9).code, "NOT_READY");
    assert!(world.replies.is_empty(), "nobody waits for what was dropped");
}

#[test]
fn a_gateway_that_does_not_answer_cannot_hang_a_caller() {
    let mut world = World::ready();
    world.call(1, details("AAPL"));
    world.call(2, Ok(Asked::family_codes()));
    world.pass(35);
    assert_eq!(world.error(2).code, "GATEWAY_DEADLINE");
    // A late answer would be taken for that of the next one, which therefore waits.
    world.call(3, Ok(Asked::family_codes()));
    assert_eq!(world.sent_of(id::REQ_FAMILY_CODES).len(), 1);
    world.frame(id::FAMILY_CODES, &tws::FamilyCodes::default());
    world.pass(1);
    assert_eq!(world.sent_of(id::REQ_FAMILY_CODES).len(), 2);
    world.frame(id::FAMILY_CODES, &tws::FamilyCodes::default());
    world.answer::<api::GetFamilyCodesResponse>(3);
    world.pass(90);
    assert_eq!(world.error(1).code, "GATEWAY_DEADLINE");
}

#[test]
fn lists_without_an_id_are_asked_for_one_at_a_time() {
    let mut world = World::ready();
    world.call(1, Ok(Asked::open_orders(false)));
    world.call(2, Ok(Asked::open_orders(true)));
    world.call(3, Ok(Asked::open_orders(false)));
    assert_eq!(world.sent_of(id::REQ_ALL_OPEN_ORDERS).len(), 1);
    assert_eq!(world.sent_of(id::REQ_OPEN_ORDERS).len(), 0, "both end with the same mark");
    let order = tws::OpenOrder { order_id: Some(3), ..Default::default() };
    world.frame(id::OPEN_ORDER, &order);
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    for call in [1, 3] {
        let answer: api::ListOpenOrdersResponse = world.answer(call);
        assert_eq!(answer.open_orders, std::slice::from_ref(&order));
    }
    assert_eq!(world.sent_of(id::REQ_OPEN_ORDERS).len(), 1);
    world.frame(id::OPEN_ORDER_END, &tws::OpenOrdersEnd {});
    assert!(world.answer::<api::ListOpenOrdersResponse>(2).open_orders.is_empty());
}

#[test]
fn executions_come_with_their_commissions_or_after_a_second_without() {
    let mut world = World::ready();
    for (call, missing) in [(1, false), (2, true)] {
        world.call(call, Asked::executions(tws::ExecutionRequest::default(), false));
        let request = *world.sent_of(id::REQ_EXECUTIONS).last().unwrap();
        let execution =
            |exec_id: &str| tws::Execution { exec_id: Some(exec_id.into()), ..Default::default() };
        for exec_id in ["a.1", "b.1"] {
            let details = tws::ExecutionDetails {
                req_id: Some(request),
                execution: Some(execution(exec_id)),
                ..Default::default()
            };
            world.frame(id::EXECUTION_DATA, &details);
        }
        let report = |exec_id: &str| tws::CommissionAndFeesReport {
            exec_id: Some(exec_id.into()),
            ..Default::default()
        };
        world.frame(id::COMMISSION_AND_FEES_REPORT, &report("a.1"));
        world.frame(id::EXECUTION_DATA_END, &tws::ExecutionDetailsEnd { req_id: Some(request) });
        assert!(world.replies.is_empty(), "one commission is on its way");
        if missing {
            world.pass(2);
        } else {
            world.frame(id::COMMISSION_AND_FEES_REPORT, &report("b.1"));
        }
        let answer: api::ListExecutionsResponse = world.answer(call);
        assert_eq!(
            (answer.executions.len(), answer.commissions.len()),
            (2, 2 - usize::from(missing))
        );
    }
}

#[test]
fn the_calendar_is_asked_for_its_metadata_first() {
    let mut world = World::ready();
    world.call(1, Ok(Asked::wsh_event_data(tws::WshEventDataRequest::default())));
    assert!(world.sent_of(id::REQ_WSH_EVENT_DATA).is_empty());
    let meta = world.sent_of(id::REQ_WSH_META_DATA)[0];
    world.frame(id::WSH_META_DATA, &tws::WshMetaData { req_id: Some(meta), ..Default::default() });
    let request = world.sent_of(id::REQ_WSH_EVENT_DATA)[0];
    world.frame(
        id::WSH_EVENT_DATA,
        &tws::WshEventData { req_id: Some(request), ..Default::default() },
    );
    world.answer::<api::GetWshEventDataResponse>(1);
    world.call(2, Ok(Asked::wsh_meta_data()));
    world.answer::<api::GetWshMetaDataResponse>(2);
    assert_eq!(world.sent_of(id::REQ_WSH_META_DATA).len(), 1, "it is known");
}

#[test]
fn a_head_timestamp_is_cancelled_once_answered_because_it_counts_as_open() {
    let mut world = World::ready();
    let request =
        tws::HeadTimestampRequest { contract: Some(contract("AAPL")), ..Default::default() };
    world.call(1, Asked::head_timestamp(request));
    let request = world.sent_of(id::REQ_HEAD_TIMESTAMP)[0];
    world.frame(
        id::HEAD_TIMESTAMP,
        &tws::HeadTimestamp { req_id: Some(request), ..Default::default() },
    );
    world.answer::<api::GetHeadTimestampResponse>(1);
    assert_eq!(world.sent_of(id::CANCEL_HEAD_TIMESTAMP), [request]);
}

#[test]
fn positions_are_one_request_and_a_late_joiner_knows_what_the_first_one_knows() {
    let mut world = World::ready();
    let (first, second) = (world.open(1), world.open(2));
    world.want(first, 0, Ok(Wanted::positions()), Manner::default());
    world.position("AAPL", "5");
    world.position("MSFT", "7");
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    world.position("AAPL", "6");
    world.want(second, 0, Ok(Wanted::positions()), Manner::default());
    assert_eq!(world.positions(first), ["Subscribed", "AAPL 5", "MSFT 7", "end", "AAPL 6"]);
    assert_eq!(world.positions(second), ["Subscribed", "MSFT 7", "AAPL 6", "end"]);
    assert_eq!(world.sent_of(id::REQ_POSITIONS).len(), 1);

    // Another session, in which one position is gone: it is told once, before the end.
    world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
    world.look();
    world.pass(1);
    world.handshake();
    world.position("MSFT", "7");
    world.frame(id::POSITION_END, &tws::PositionEnd {});
    let story = ["Stale", "Resumed", "MSFT 7", "AAPL 0", "end"];
    assert_eq!(world.positions(first), story);
    assert_eq!(world.positions(second), story);

    world.input(Input::StreamClosed { stream: first });
    assert!(world.sent_of(id::CANCEL_POSITIONS).is_empty());
    world.input(Input::StreamClosed { stream: second });
    assert_eq!(world.sent_of(id::CANCEL_POSITIONS).len(), 1);
}

#[test]
fn a_second_account_is_told_by_what_gateway_sends_of_any_number() {
    let mut world = World::ready();
    let (first, second) = (world.open(1), world.open(2));
    world.want(first, 0, Wanted::account_updates("DU0000001"), Manner::default());
    world.want(second, 0, Wanted::account_updates("DU0000002"), Manner::default());
    world.pass(1);
    assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 1);
    let values = world.sent_of(id::REQ_ACCOUNT_UPDATES_MULTI)[0];
    let positions = world.sent_of(id::REQ_POSITIONS_MULTI)[0];
    let value = tws::AccountUpdateMulti { req_id: Some(values), ..Default::default() };
    world.frame(id::ACCOUNT_UPDATE_MULTI, &value);
    let position = tws::PositionMulti { req_id: Some(positions), ..Default::default() };
    world.frame(id::POSITION_MULTI, &position);
    let events = world.account_events(second);
    assert!(events.iter().all(|event| event.subscription_id == 0));
    let bodies =
        events.iter().filter(|event| !matches!(event.body, Some(account_event::Body::Mark(_))));
    assert_eq!(bodies.count(), 2);
    world.input(Input::Unsubscribe { stream: second, subscription: 0 });
    world.pass(1);
    assert_eq!(world.sent_of(id::CANCEL_ACCOUNT_UPDATES_MULTI), [values]);
    assert_eq!(world.sent_of(id::CANCEL_POSITIONS_MULTI), [positions]);
}

#[test]
fn a_client_that_comes_back_is_told_what_it_missed_and_no_more() {
    let mut world = World::ready();
    let first = world.open(1);
    let resumable = Manner { resumable: true, ..Manner::default() };
    let request = || MarketDataRequest { contract: Some(contract("AAPL")), ..Default::default() };
    world.want(first, 1, Wanted::market_data(request(), 0), resumable.clone());
    let line = world.line();
    world.tick(line, 1.0);
    let events = world.events(first);
    let Some(Body::Mark(mark)) = &events[0].body else { panic!("{events:?}") };
    let resume = Resume { line: mark.line.clone(), sequence: events[1].sequence };
    world.input(Input::StreamClosed { stream: first });
    for price in [2.0, 3.0, 4.0] {
        world.tick(line, price);
    }
    let second = world.open(2);
    let manner = Manner { resume: Some(resume), ..resumable };
    world.want(second, 1, Wanted::market_data(request(), 0), manner.clone());
    let events = world.events(second);
    let Some(Body::Mark(resumed)) = &events[1].body else { panic!("{events:?}") };
    assert_eq!((resumed.kind(), resumed.missed), (MarkKind::Resumed, Some(2)));
    assert_eq!(events.len(), 3, "the newest value follows");
    assert_eq!(world.asked(), 1, "the line went on");
    world.input(Input::StreamClosed { stream: second });
    world.pass(31);
    assert_eq!(world.sent_of(id::CANCEL_MKT_DATA), [line]);
    let third = world.open(3);
    world.want(third, 1, Wanted::market_data(request(), 0), manner);
    let events = world.events(third);
    let Some(Body::Mark(resumed)) = &events[1].body else { panic!("{events:?}") };
    assert_eq!((resumed.kind(), resumed.missed), (MarkKind::Resumed, None));
}

#[test]
fn a_book_is_told_whole_to_late_joiners_and_begins_anew_when_gateway_says_so() {
    let mut world = World::ready();
    let (first, second) = (world.open(1), world.open(2));
    let request =
        || tws::MarketDepthRequest { contract: Some(contract("AAPL")), ..Default::default() };
    world.want(first, 1, Wanted::market_depth(request()), Manner::default());
    let line = world.sent_of(id::REQ_MKT_DEPTH)[0];
    let row = |world: &mut World, position, operation| {
        let data = tws::MarketDepthData {
            position: Some(position),
            operation: Some(operation),
            side: Some(1),
            ..Default::default()
        };
        world.frame(
            id::MARKET_DEPTH,
            &tws::MarketDepth { req_id: Some(line), market_depth_data: Some(data) },
        );
    };
    for (position, operation) in [(0, 0), (1, 0), (2, 0), (0, 2)] {
        row(&mut world, position, operation);
    }
    world.want(second, 1, Wanted::market_depth(request()), Manner::default());
    let depths = |events: &[MarketDataEvent]| {
        events.iter().filter(|event| matches!(event.body, Some(Body::MarketDepth(_)))).count()
    };
    assert_eq!(depths(&world.events(first)), 4);
    assert_eq!(depths(&world.events(second)), 2, "two rows are left");
    let reset = ErrorMessage { id: Some(line), error_code: Some(317), ..Default::default() };
    world.frame(id::ERR_MSG, &reset);
    row(&mut world, 0, 0);
    for stream in [first, second] {
        assert_eq!(world.story(stream)[..2], ["error 317", "Reset 1"]);
    }
    // Frames that were lost on the link may have been changes of the book.
    world.worker(WorkerEvent::Gap(ibouncer_proto::link::v1::Gap { from: 1, to: 2, frames: 9 }));
    world.pass(1);
    assert_eq!(world.sent_of(id::REQ_MKT_DEPTH).len(), 2);
    assert_eq!(world.story(first), ["Stale 1"]);
}
