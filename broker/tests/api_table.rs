//! The table of docs/api.md, made from the code and held against the page: for every message of
//! the TWS API, which call or stream serves it, what is shared, what is kept, where it waits, or
//! why it is not offered.
//!
//! `PRINT_API_TABLE=1 cargo test -p ibouncer-broker --test api_table -- --nocapture` prints it.
#![allow(clippy::unwrap_used, reason = "a test; helpers stop where they cannot go on")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use ibouncer_core::calls::{self, CallKind, End, Sharing};
use ibouncer_core::fields::{field, field_of};
use ibouncer_core::lines::kind::{self, Kind};
use ibouncer_proto::tws::messages::{all_incoming, all_outgoing, id};
use prost::Message as _;

const BEGIN: &str = "<!-- table of messages: begin -->";
const END: &str = "<!-- table of messages: end -->";

/// Which method serves which request. SCHEDULE shares a message with bars.
const METHODS: &[(&str, &str)] = &[
    ("reqMktData", "MarketDataService.StreamMarketData"),
    ("reqMktDepth", "MarketDataService.StreamMarketData"),
    ("reqTickByTickData", "MarketDataService.StreamMarketData"),
    ("reqRealTimeBars", "MarketDataService.StreamMarketData"),
    ("calculateImpliedVolatility", "MarketDataService.CalculateImpliedVolatility"),
    ("calculateOptionPrice", "MarketDataService.CalculateOptionPrice"),
    ("reqContractDetails", "ContractService.GetContractDetails"),
    ("reqMatchingSymbols", "ContractService.GetMatchingSymbols"),
    ("reqSecDefOptParams", "ContractService.GetOptionParameters"),
    ("reqMarketRule", "ContractService.GetMarketRule"),
    ("reqSmartComponents", "ContractService.GetSmartComponents"),
    ("reqMktDepthExchanges", "ContractService.GetMarketDepthExchanges"),
    ("reqHistoricalData", "HistoryService.GetHistoricalBars"),
    ("reqHistoricalSchedule", "HistoryService.GetHistoricalSchedule"),
    ("reqHistoricalTicks", "HistoryService.GetHistoricalTicks"),
    ("reqHeadTimeStamp", "HistoryService.GetHeadTimestamp"),
    ("reqHistogramData", "HistoryService.GetHistogram"),
    ("reqAccountSummary", "AccountService.StreamAccountSummary"),
    ("reqAccountUpdates", "AccountService.StreamAccountUpdates"),
    ("reqAccountUpdatesMulti", "AccountService.StreamAccountUpdatesMulti"),
    ("reqPositions", "AccountService.StreamPositions"),
    ("reqPositionsMulti", "AccountService.StreamPositionsMulti"),
    ("reqPnL", "AccountService.StreamPnl"),
    ("reqPnLSingle", "AccountService.StreamPnlSingle"),
    ("reqFamilyCodes", "AccountService.GetFamilyCodes"),
    ("reqUserInfo", "AccountService.GetUserInfo"),
    ("reqSoftDollarTiers", "AccountService.GetSoftDollarTiers"),
    ("requestFA", "AccountService.GetAdvisorConfiguration"),
    ("reqOpenOrders", "OrderService.ListOpenOrders"),
    ("reqAllOpenOrders", "OrderService.ListOpenOrders"),
    ("reqCompletedOrders", "OrderService.ListCompletedOrders"),
    ("reqExecutions", "OrderService.ListExecutions"),
    ("reqNewsProviders", "NewsService.GetNewsProviders"),
    ("reqNewsArticle", "NewsService.GetNewsArticle"),
    ("reqHistoricalNews", "NewsService.GetHistoricalNews"),
    ("reqNewsBulletins", "NewsService.StreamNewsBulletins"),
    ("reqWshMetaData", "NewsService.GetWshMetaData"),
    ("reqWshEventData", "NewsService.GetWshEventData"),
    ("reqScannerParameters", "ScannerService.GetScannerParameters"),
    ("reqScannerSubscription", "ScannerService.StreamScanner"),
    ("reqCurrentTimeInMillis", "SessionService.GetCurrentTime"),
    ("reqConfig", "SessionService.GetGatewayConfiguration"),
];

/// Requests that the desk sends, each a row: method, sharing, what is kept, lane.
const SENT: &[(u32, [&str; 4])] = &[
    (
        id::PLACE_ORDER,
        [
            "`OrderService.PlaceOrder`, `PlaceOrders`, `ModifyOrder`, `PreviewOrder`",
            "private",
            "journal",
            "order",
        ],
    ),
    (
        id::CANCEL_ORDER,
        ["`OrderService.CancelOrder`, `CancelAllOrders`", "private", "journal", "order-cancel"],
    ),
    (id::EXERCISE_OPTIONS, ["`OrderService.ExerciseOptions`", "private", "journal", "order"]),
    (id::REQ_GLOBAL_CANCEL, ["`AdminService.CancelEveryOrder`", "private", "–", "order-cancel"]),
];

/// What the desk makes of a message, besides handing it on in lists.
const EVIDENCE: &[u32] = &[
    id::OPEN_ORDER,
    id::ORDER_STATUS,
    id::EXECUTION_DATA,
    id::COMMISSION_AND_FEES_REPORT,
    id::COMPLETED_ORDER,
];

/// Requests that no method offers, and why.
const NOT_OFFERED: &[(u32, &str)] = &[
    (id::REQ_IDS, "order ids are the broker's"),
    (id::SET_SERVER_LOGLEVEL, "a setting of Gateway that all its clients share"),
    (id::REQ_AUTO_OPEN_ORDERS, "binds orders placed by hand to client id 0, which changes them"),
    (
        id::REQ_MANAGED_ACCTS,
        "sent by Gateway at the start; `AccountService.ListAccounts` answers here",
    ),
    (id::REPLACE_FA, "writes the advisor's configuration for all"),
    (id::REQ_CURRENT_TIME, "the broker's heartbeat; `SessionService.GetCurrentTime` is more exact"),
    (id::REQ_MARKET_DATA_TYPE, "sent by the broker before each request, by its `feed`"),
    (id::VERIFY_REQUEST, "a handshake for third-party programs"),
    (id::VERIFY_MESSAGE, "a handshake for third-party programs"),
    (id::QUERY_DISPLAY_GROUPS, "windows of TWS, which Gateway does not have"),
    (id::SUBSCRIBE_TO_GROUP_EVENTS, "windows of TWS, which Gateway does not have"),
    (id::UPDATE_DISPLAY_GROUP, "windows of TWS, which Gateway does not have"),
    (id::UNSUBSCRIBE_FROM_GROUP_EVENTS, "windows of TWS, which Gateway does not have"),
    (id::START_API, "the worker's, once for each session"),
    (id::UPDATE_CONFIG, "writes Gateway's settings for all"),
];

/// Messages that IB has removed, with the fundamental data. They have no form any more.
const REMOVED: &str = "removed by IB";
const REMOVED_OUT: &[(u16, &str)] =
    &[(52, "REQ_FUNDAMENTAL_DATA"), (53, "CANCEL_FUNDAMENTAL_DATA")];
const REMOVED_IN: &[(u16, &str)] = &[(51, "FUNDAMENTAL_DATA")];

/// All ids that the API has ever given out for messages; those in between were never used.
/// Source: message table of the protocol fact sheet.
const IDS_OUT: &[RangeInclusive<u16>] = &[1..=25, 49..=59, 61..=109];
const IDS_IN: &[RangeInclusive<u16>] = &[1..=21, 45..=47, 49..=59, 61..=111];

/// Text-only requests.
const TEXT_ONLY: &str = "has no protobuf form; a handshake for third-party programs";

/// Messages from Gateway that no call and no stream hands on, and what becomes of them.
const KEPT_HERE: &[(u32, &str)] = &[
    (id::NEXT_VALID_ID, "read by the worker: READY"),
    (id::MANAGED_ACCTS, "read by the worker: READY; `ListAccounts`"),
    (id::CURRENT_TIME, "the heartbeat's answer"),
    (id::CONTRACT_DATA_END, "ends `GetContractDetails`"),
    (id::OPEN_ORDER_END, "ends `ListOpenOrders`"),
    (id::EXECUTION_DATA_END, "ends `ListExecutions`"),
    (id::SECURITY_DEFINITION_OPTION_PARAMETER_END, "ends `GetOptionParameters`"),
    (id::COMPLETED_ORDERS_END, "ends `ListCompletedOrders`"),
    (id::ORDER_BOUND, "not read: the broker binds no orders"),
    (id::VERIFY_MESSAGE_API, "a handshake that is not offered"),
    (id::VERIFY_COMPLETED, "a handshake that is not offered"),
    (id::DISPLAY_GROUP_LIST, "windows of TWS, which Gateway does not have"),
    (id::DISPLAY_GROUP_UPDATED, "windows of TWS, which Gateway does not have"),
    (id::REPLACE_FA_END, "answers a request that is not offered"),
    (id::UPDATE_CONFIG_RESPONSE, "answers a request that is not offered"),
];

fn methods() -> BTreeSet<String> {
    let files = prost_types::FileDescriptorSet::decode(ibouncer_proto::FILE_DESCRIPTOR_SET);
    let mut methods = BTreeSet::new();
    for file in files.unwrap().file {
        for service in file.service {
            for method in &service.method {
                methods.insert(format!("{}.{}", service.name(), method.name()));
            }
        }
    }
    methods
}

fn method_of(tws: &str) -> String {
    let found = METHODS.iter().find(|(request, _)| *request == tws);
    let (_, method) = found.unwrap_or_else(|| panic!("{tws} has no method in this table"));
    assert!(methods().contains(*method), "{method} does not exist");
    format!("`{method}`")
}

fn call_row(call: &CallKind) -> [String; 4] {
    let sharing = match call.sharing {
        Sharing::Private => "private",
        _ if call.is_anonymous() => "one at a time, equal ones joined",
        _ => "equal ones joined",
    };
    let kept = match call.sharing {
        Sharing::Private | Sharing::Joined => "–",
        Sharing::Recent => "15 s",
        Sharing::Session => "session",
    };
    [method_of(call.tws), sharing.into(), kept.into(), call.lane.name().into()]
}

fn line_row(line: &Kind) -> [String; 4] {
    let sharing = if *line == kind::HISTORICAL_BARS { "private" } else { "shared line" };
    let method = if *line == kind::HISTORICAL_BARS {
        "`HistoryService.StreamHistoricalBars`".into()
    } else {
        method_of(line.tws)
    };
    [method, sharing.into(), line.memory().words().into(), line.lane.name().into()]
}

/// One row for each way in which a request is served.
fn outgoing_rows(request: u32) -> Vec<[String; 4]> {
    let lines = kind::ALL.iter().filter(|line| line.request == request).map(|line| line_row(line));
    let calls = calls::ALL.iter().filter(|call| call.request == request).map(|call| call_row(call));
    let mut rows: Vec<_> = lines.chain(calls).collect();
    if request == id::REQ_MKT_DATA {
        let snapshot = ["`MarketDataService.GetSnapshot`", "private", "–", "data"];
        rows.push(snapshot.map(str::to_owned));
    }
    rows.dedup();
    if let Some((_, row)) = SENT.iter().find(|(other, _)| *other == request) {
        return vec![row.map(str::to_owned)];
    }
    if rows.is_empty() && cancels().contains(&request) {
        let cancel = ["by the broker, when nobody listens any more", "–", "–", "data-cancel"];
        return vec![cancel.map(str::to_owned)];
    }
    if rows.is_empty() {
        let found = NOT_OFFERED.iter().find(|(other, _)| *other == request);
        let (_, why) = found.unwrap_or_else(|| panic!("{request} is neither offered nor refused"));
        return vec![[format!("not offered: {why}"), "–".into(), "–".into(), "–".into()]];
    }
    rows
}

fn cancels() -> BTreeSet<u32> {
    let lines = kind::ALL.iter().map(|line| line.cancel.code() % 1_000);
    let calls = calls::ALL.iter().filter_map(|call| call.cancel).map(|cancel| cancel.code());
    lines.chain(calls).collect()
}

fn incoming_row(message: u32, events: &BTreeMap<u8, BTreeSet<String>>) -> String {
    let mut places = Vec::new();
    for call in calls::ALL.iter().filter(|call| call.field_of(message).is_some()) {
        let method = METHODS.iter().find(|(tws, _)| *tws == call.tws).unwrap().1;
        let place = format!("answer of `{}`", method.split('.').next_back().unwrap());
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let field = field_of(message);
    if field != field::UNKNOWN {
        for event in &events[&field] {
            places.push(format!("`{event}`"));
        }
    }
    if EVIDENCE.contains(&message) {
        places.push("the desk's evidence: `WatchOrders`, `WatchExecutions`".into());
    }
    if let Some((_, why)) = KEPT_HERE.iter().find(|(other, _)| *other == message) {
        places.push((*why).to_owned());
    }
    assert!(!places.is_empty(), "{message} goes nowhere");
    places.join("; ")
}

/// Event and field of each number.
fn event_fields() -> BTreeMap<u8, BTreeSet<String>> {
    let files = prost_types::FileDescriptorSet::decode(ibouncer_proto::FILE_DESCRIPTOR_SET);
    let mut fields: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    for file in files.unwrap().file {
        for message in file.message_type {
            let is_event = message.name().ends_with("Event")
                && message.field.iter().any(|field| field.name() == "mark");
            for field in message.field.iter().filter(|_| is_event) {
                let number = field.number() as u8;
                let every = [field::ERROR, field::MARK, field::UNKNOWN].contains(&number);
                let event = if every { "every event" } else { message.name() };
                fields.entry(number).or_default().insert(format!("{event}.{}", field.name()));
            }
        }
    }
    fields
}

fn table() -> String {
    let mut out = String::new();
    out.push_str("| Id | To Gateway | Served by | Shared | Kept for later | Lane |\n");
    out.push_str("|---|---|---|---|---|---|\n");
    let mut removed = REMOVED_OUT.iter().peekable();
    for row in all_outgoing() {
        while let Some((id, name)) = removed.next_if(|(id, _)| *id < row.text_id) {
            writeln!(out, "| {id} | {name} | not offered: {REMOVED} | – | – | – |").unwrap();
        }
        if row.body.is_none() {
            let (id, name) = (row.text_id, row.name);
            writeln!(out, "| {id} | {name} | not offered: {TEXT_ONLY} | – | – | – |").unwrap();
            continue;
        }
        for [served, shared, kept, lane] in outgoing_rows(row.wire_id()) {
            let (id, name) = (row.text_id, row.name);
            writeln!(out, "| {id} | {name} | {served} | {shared} | {kept} | {lane} |").unwrap();
        }
    }
    out.push_str("\n| Id | From Gateway | Where it goes |\n|---|---|---|\n");
    let events = event_fields();
    let mut removed = REMOVED_IN.iter().peekable();
    for row in all_incoming() {
        while let Some((id, name)) = removed.next_if(|(id, _)| *id < row.text_id) {
            writeln!(out, "| {id} | {name} | {REMOVED} |").unwrap();
        }
        let place = match row.body {
            Some(_) => incoming_row(row.wire_id(), &events),
            None => "has no protobuf form, which all Gateways of 213 and later send".into(),
        };
        writeln!(out, "| {} | {} | {place} |", row.text_id, row.name).unwrap();
    }
    out
}

#[test]
fn the_page_says_of_every_message_what_the_code_does() {
    let expected = table();
    if std::env::var_os("PRINT_API_TABLE").is_some() {
        println!("{expected}");
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(BEGIN).expect("the page has the table");
    let (found, _) = rest.split_once(END).expect("and its end");
    let lines = |text: &str| text.trim().lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(found), lines(&expected), "see this test's header");
}

#[test]
fn the_table_leaves_out_no_message() {
    let table = table();
    let (outgoing, incoming) = table.split_once("| Id | From Gateway").unwrap();
    for (rows, ids) in [(outgoing, IDS_OUT), (incoming, IDS_IN)] {
        let mut found: Vec<u16> = rows
            .lines()
            .filter_map(|row| row.strip_prefix("| ")?.split(' ').next()?.parse().ok())
            .collect();
        assert!(found.is_sorted());
        found.dedup();
        let all: Vec<u16> = ids.iter().cloned().flatten().collect();
        assert_eq!(found, all);
    }
}

#[test]
fn every_method_serves_a_request_or_is_the_brokers_own() {
    let own = [
        "SessionService.",
        "AdminService.",
        "MarketDataService.GetSnapshot",
        "HistoryService.StreamHistoricalBars",
        "AccountService.ListAccounts",
        "OrderService.GetOrder",
        "OrderService.ListOrders",
        "OrderService.Watch",
    ];
    for method in methods() {
        let name = method.split('.').next_back().unwrap();
        let sends = SENT.iter().any(|(_, row)| row[0].contains(&format!("{name}`")));
        let serves = sends || METHODS.iter().any(|(_, served)| *served == method);
        assert!(serves || own.iter().any(|own| method.starts_with(own)), "{method}");
    }
    for call in calls::ALL {
        assert!(
            !matches!(call.end, End::At(end) if call.field_of(end).is_some() && call.answers.len() == 1)
        );
    }
}
