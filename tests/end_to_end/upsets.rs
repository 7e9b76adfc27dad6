//! What happens to Gateway's link to IB and to its farms, and what clients are told of it.
//!
//! The simulator runs in this process, so that things happen when the test says so and not at a
//! time.

use std::sync::{Arc, Mutex};

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{AccountEvent, MarkKind, MarketDataEvent, account_event};
use ibouncer_client::{
    BarRequest, Client, LineRequest, Subscription, SubscriptionId, TickKind, contract, tws,
};
use ibouncer_gateway_sim::{Event, Farm, GatewayConfig, Happening, SimConfig, SimHandle};
use ibouncer_tests::harness::Broker;
use ibouncer_tests::harness::wait::{PATIENCE, until_true};

use super::binary;
use super::stream::{Reader, connect, is_tick};

type Requests = Arc<Mutex<Vec<(&'static str, Option<i32>)>>>;

/// A simulator, and every request that it was sent: name and id.
struct Gateway {
    sim: SimHandle,
    requests: Requests,
}

impl Gateway {
    async fn start(gateway: GatewayConfig) -> Self {
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        let observe = move |event: &Event| {
            if let Event::Request { request, .. } = event {
                seen.lock().unwrap().push((request.name, request.request_id));
            }
        };
        let config = SimConfig { gateway, ..SimConfig::default() };
        let sim = ibouncer_gateway_sim::start_observed(config, Box::new(observe)).await.unwrap();
        Self { sim, requests }
    }

    /// Ids of the requests of this name.
    fn asked(&self, name: &str) -> Vec<Option<i32>> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|(one, _)| *one == name).map(|(_, id)| *id).collect()
    }
}

async fn started() -> (Gateway, Broker, Client) {
    started_with(GatewayConfig::default()).await
}

async fn started_with(config: GatewayConfig) -> (Gateway, Broker, Client) {
    let gateway = Gateway::start(config).await;
    let broker = Broker::plan(binary(), &gateway.sim.address().to_string()).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    (gateway, broker, client)
}

/// Everything that is asked for again after a loss, as a client sees it.
struct Everything {
    market: Reader,
    lines: [SubscriptionId; 4],
    positions: Account,
    pnl: Account,
    summary: Account,
}

/// An account stream, read until something came.
struct Account(Subscription<AccountEvent>);

impl Account {
    async fn until(&mut self, what: &str, fits: impl Fn(&AccountEvent) -> bool) -> AccountEvent {
        loop {
            let event = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let event = event.unwrap_or_else(|_| panic!("no {what}")).unwrap();
            let event = event.unwrap_or_else(|| panic!("the stream ended before {what}"));
            if fits(&event) {
                return event;
            }
        }
    }

    async fn mark(&mut self, kind: MarkKind) -> AccountEvent {
        let is = |event: &AccountEvent| matches!(&event.body, Some(account_event::Body::Mark(mark)) if mark.kind() == kind);
        self.until(kind.as_str_name(), is).await
    }

    async fn data(&mut self) -> AccountEvent {
        let is = |event: &AccountEvent| {
            !event.replayed && !matches!(event.body, Some(account_event::Body::Mark(_)) | None)
        };
        self.until("data", is).await
    }
}

impl Everything {
    async fn open(client: &Client) -> Self {
        let market = Reader::open(client).await;
        let aapl = || contract::stock("AAPL");
        let wishes = [
            LineRequest::new(aapl()),
            LineRequest::depth(aapl(), 5),
            LineRequest::tick_by_tick(aapl(), TickKind::BidAsk),
            LineRequest::real_time_bars(aapl(), "TRADES"),
        ];
        let mut lines = Vec::new();
        for wish in wishes {
            lines.push(market.stream.subscribe_to(wish).await.unwrap());
        }
        let accounts = client.accounts();
        let pnl = tws::PnLRequest { account: Some("DU0000001".into()), ..Default::default() };
        let summary =
            tws::AccountSummaryRequest { group: Some("All".into()), ..Default::default() };
        let mut all = Self {
            market,
            lines: lines.try_into().unwrap(),
            positions: Account(accounts.stream_positions().await.unwrap()),
            pnl: Account(accounts.stream_pnl(pnl).await.unwrap()),
            summary: Account(accounts.stream_account_summary(summary).await.unwrap()),
        };
        all.data_of_all().await;
        all
    }

    fn accounts(&mut self) -> [&mut Account; 3] {
        [&mut self.positions, &mut self.pnl, &mut self.summary]
    }

    /// Data of each line come, or come again.
    async fn data_of_all(&mut self) {
        let mut missing = self.lines.to_vec();
        while !missing.is_empty() {
            let event = self.market.next().await.expect("it goes on");
            if is_data(&event) && !event.replayed {
                missing.retain(|id| id.0 != event.subscription_id);
            }
        }
        for account in self.accounts() {
            account.data().await;
        }
    }

    /// Each line is told STALE, then RESUMED with one gap, and its numbers only grow.
    async fn comes_back(&mut self) {
        let mut stale = self.lines.to_vec();
        let mut missing = self.lines.to_vec();
        while !missing.is_empty() {
            let event = self.market.next().await.expect("it goes on");
            if let Some(Body::Mark(mark)) = &event.body {
                let id = event.subscription_id;
                match mark.kind() {
                    MarkKind::Stale => stale.retain(|one| one.0 != id),
                    MarkKind::Resumed => {
                        assert!(stale.iter().all(|one| one.0 != id), "first STALE, then RESUMED");
                        assert_eq!(mark.gaps, 1);
                        missing.retain(|one| one.0 != id);
                    }
                    _ => {}
                }
            }
        }
        for account in self.accounts() {
            let stale = account.mark(MarkKind::Stale).await.sequence;
            let resumed = account.mark(MarkKind::Resumed).await.sequence;
            assert!(resumed >= stale, "numbers go on");
        }
    }
}

fn is_data(event: &MarketDataEvent) -> bool {
    is_tick(event)
        || matches!(
            event.body,
            Some(Body::MarketDepth(_) | Body::TickByTick(_) | Body::RealTimeBar(_))
        )
}

const REQUESTS: [&str; 7] = [
    "REQ_MKT_DATA",
    "REQ_MKT_DEPTH",
    "REQ_TICK_BY_TICK_DATA",
    "REQ_REAL_TIME_BARS",
    "REQ_POSITIONS",
    "REQ_PNL",
    "REQ_ACCOUNT_SUMMARY",
];

/// Every line was asked for so often, each time under another id.
fn check_asked(gateway: &Gateway, times: usize) {
    for name in REQUESTS {
        let ids = gateway.asked(name);
        assert_eq!(ids.len(), times, "{name}");
        let different: std::collections::BTreeSet<_> = ids.iter().flatten().collect();
        assert!(different.len() == times || name == "REQ_POSITIONS", "{name}: {ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_1101_every_line_is_asked_for_again_and_clients_see_the_gap() {
    let (gateway, broker, client) = started().await;
    let mut all = Everything::open(&client).await;
    let epoch = broker.status()["epoch"].clone();
    gateway.sim.happen(Happening::LinkLost).await;
    broker.wait_status("DEGRADED", |status| status["state"] == "DEGRADED");
    gateway.sim.happen(Happening::RestoredWithoutData).await;
    all.comes_back().await;
    all.data_of_all().await;
    check_asked(&gateway, 2);
    let status = broker.status();
    assert_eq!((&status["state"], &status["epoch"]), (&"READY".into(), &epoch), "one session");
    // The old ids were given back.
    for cancel in ["CANCEL_MKT_DATA", "CANCEL_MKT_DEPTH", "CANCEL_TICK_BY_TICK_DATA"] {
        assert_eq!(gateway.asked(cancel).len(), 1, "{cancel}");
    }
    drop(broker);
    let report = gateway.sim.report().await;
    assert!(report.limits.values().all(|count| *count == 0), "{:?}", report.limits);
    assert_eq!(report.output_dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_in_flight_when_1101_comes_may_be_asked_for_again() {
    let config = GatewayConfig { history_delay: PATIENCE, ..GatewayConfig::default() };
    let (gateway, _broker, client) = started_with(config).await;
    let bars = BarRequest::new(contract::stock("AAPL"), "1 D", "1 hour");
    let answer = tokio::spawn(async move { client.history().bars(bars).await });
    let asked = || !gateway.asked("REQ_HISTORICAL_DATA").is_empty();
    until_true("it is asked for", PATIENCE, asked);
    gateway.sim.happen(Happening::LinkLost).await;
    gateway.sim.happen(Happening::RestoredWithoutData).await;
    let answer = tokio::time::timeout(PATIENCE, answer).await.expect("it ends").unwrap();
    let error = answer.unwrap_err();
    assert_eq!((error.code(), error.retry()), ("WORKER_ENDED", ibouncer_client::Retry::After));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_1102_everything_goes_on_and_nothing_is_asked_again() {
    let (gateway, broker, client) = started().await;
    let mut all = Everything::open(&client).await;
    gateway.sim.happen(Happening::LinkLost).await;
    let status = broker.wait_status("DEGRADED", |status| status["state"] == "DEGRADED");
    assert!(status["reason"].as_str().unwrap().contains("1100"), "{status}");
    gateway.sim.happen(Happening::RestoredWithData).await;
    broker.wait_status("READY", |status| status["state"] == "READY");
    all.comes_back().await;
    check_asked(&gateway, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_told_whole_once_ib_is_back_also_to_whoever_came_while_it_was_lost() {
    let (gateway, broker, client) = started().await;
    let open = async || Account(client.accounts().stream_positions().await.unwrap());
    let is_end =
        |event: &AccountEvent| matches!(event.body, Some(account_event::Body::PositionEnd(_)));
    let mut first = open().await;
    first.until("the end", is_end).await;
    gateway.sim.happen(Happening::LinkLost).await;
    broker.wait_status("DEGRADED", |status| status["state"] == "DEGRADED");
    let mut late = open().await;
    for account in [&mut first, &mut late] {
        account.mark(MarkKind::Stale).await;
    }
    gateway.sim.happen(Happening::RestoredWithData).await;
    for account in [&mut first, &mut late] {
        account.mark(MarkKind::Resumed).await;
        let is_position =
            |event: &AccountEvent| matches!(event.body, Some(account_event::Body::Position(_)));
        assert!(account.until("a position", is_position).await.replayed);
        account.until("the end", is_end).await;
    }
    assert_eq!(gateway.asked("REQ_POSITIONS").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotes_are_stale_as_long_as_gateway_has_lost_ib_also_for_whoever_comes_meanwhile() {
    let (gateway, _broker, client) = started().await;
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.live_tick().await;
    gateway.sim.happen(Happening::LinkLost).await;
    let because = reader.mark(MarkKind::Stale).await.because;
    assert!(because.contains("1100"), "{because}");
    let mut late = Reader::open(&client).await;
    late.stock("AAPL").await;
    late.until("an old tick", |event| event.replayed && is_tick(event)).await;
    late.mark(MarkKind::Stale).await;
    gateway.sim.happen(Happening::RestoredWithData).await;
    for reader in [&mut reader, &mut late] {
        reader.mark(MarkKind::Resumed).await;
        reader.live_tick().await;
    }
    assert_eq!(gateway.asked("REQ_MKT_DATA").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_brings_account_lines_back_too() {
    let (gateway, broker, client) = started().await;
    let mut all = Everything::open(&client).await;
    gateway.sim.happen(Happening::Restart { roll_back: 5 }).await;
    all.comes_back().await;
    all.data_of_all().await;
    check_asked(&gateway, 2);
    let status = broker.status();
    assert_eq!((&status["state"], &status["epoch"]), (&"READY".into(), &2.into()), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farm_that_flaps_is_seen_and_costs_no_request() {
    let (gateway, broker, client) = started().await;
    let mut reader = Reader::open(&client).await;
    reader.stock("AAPL").await;
    reader.live_tick().await;
    let bars = async |days: u32| {
        let bars = BarRequest::new(contract::stock("AAPL"), format!("{days} D"), "1 hour");
        client.history().bars(bars).await
    };
    for round in 1..=3 {
        for farm in [Farm::Market, Farm::Historical] {
            gateway.sim.happen(Happening::FarmDown(farm)).await;
        }
        until_true("both are seen", PATIENCE, || broken_farms(&broker) == 2);
        let refused = bars(round).await.unwrap_err();
        assert_eq!(
            (refused.gateway_code(), refused.retry()),
            (Some(162), ibouncer_client::Retry::After)
        );
        for farm in [Farm::Market, Farm::Historical] {
            gateway.sim.happen(Happening::FarmUp(farm)).await;
        }
        until_true("both are back", PATIENCE, || broken_farms(&broker) == 0);
        let before = reader.live_tick().await.sequence;
        let after = reader.live_tick().await.sequence;
        assert!(after > before);
        assert!(!bars(round).await.unwrap().bars.is_empty());
    }
    assert_eq!(gateway.asked("REQ_MKT_DATA").len(), 1, "Gateway itself brings lines back");
    assert_eq!(broker.status()["epoch"], 1, "nor a session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_market_farm_makes_live_lines_stale_also_for_late_joiners_and_2104_ends_it() {
    let (gateway, _broker, client) = started().await;
    let mut all = Everything::open(&client).await;
    gateway.sim.happen(Happening::FarmDown(Farm::Market)).await;
    let mut missing = all.lines.to_vec();
    while !missing.is_empty() {
        let event = all.market.next().await.expect("it goes on");
        if let Some(Body::Mark(mark)) = &event.body {
            assert_eq!((mark.kind(), mark.gaps), (MarkKind::Stale, 1));
            let because = &mark.because;
            assert!(because.contains("2103") && because.contains("usfarm"), "{because}");
            missing.retain(|one| one.0 != event.subscription_id);
        }
    }
    let mut late = Reader::open(&client).await;
    late.stock("AAPL").await;
    late.until("an old tick", |event| event.replayed && is_tick(event)).await;
    let because = late.mark(MarkKind::Stale).await.because;
    assert!(because.contains("2103") && because.contains("usfarm"), "{because}");

    gateway.sim.happen(Happening::FarmUp(Farm::Market)).await;
    let mut missing = all.lines.to_vec();
    while !missing.is_empty() {
        let event = all.market.next().await.expect("it goes on");
        if let Some(Body::Mark(mark)) = &event.body {
            assert_eq!((mark.kind(), mark.gaps), (MarkKind::Resumed, 1));
            missing.retain(|one| one.0 != event.subscription_id);
        }
    }
    late.mark(MarkKind::Resumed).await;
    late.live_tick().await;
    all.data_of_all().await;
    check_asked(&gateway, 1);
}

fn broken_farms(broker: &Broker) -> usize {
    let farms = broker.status()["farms"].as_array().cloned().unwrap_or_default();
    farms.iter().filter(|farm| farm["state"] == "broken").count()
}
