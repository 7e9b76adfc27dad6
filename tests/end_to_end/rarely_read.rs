//! What few ask for, through the broker and back: fees, bonds, options on a stream, frozen data,
//! generic ticks, models; and what an answer says about the wait before it.

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{self, account_event};
use ibouncer_client::stubs::contract_service_client::ContractServiceClient;
use ibouncer_client::{Client, Feed, LineRequest, contract, tws};
use ibouncer_tests::harness::Sim;
use ibouncer_tests::harness::wait::PATIENCE;
use serde_json::Value;

use super::stream::{Reader, connect};
use super::{plan, ready, sim};

const ACCOUNT: &str = "DU0000001";
const MODEL: &str = "Growth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_costs_needs_a_word_and_one_leaves_a_second() {
    let sim = sim(&["--snapshot-delay", "100ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let stock = contract::stock("KO");
    let refused = client.regulatory_snapshot(stock.clone(), false).await.unwrap_err();
    assert_eq!(refused.code(), "INVALID_ARGUMENT");
    assert!(refused.message().contains("accept_fee"), "{refused}");
    assert!(sim.requests("REQ_MKT_DATA").is_empty(), "nothing left");
    let (one, other, queue) = tokio::join!(
        client.regulatory_snapshot(stock.clone(), true),
        client.regulatory_snapshot(stock.clone(), true),
        held_back(&client, "reqMktData"),
    );
    for events in [one.unwrap(), other.unwrap()] {
        assert!(events.iter().any(|event| matches!(event.body, Some(Body::TickPrice(_)))));
    }
    assert!(queue.contains("one a second"), "{queue}");
    let asked = sim.wait_requests("REQ_MKT_DATA", 2);
    assert_eq!(asked.len(), 2, "each is paid for, and none is shared");
    assert!(asked.iter().all(|request| request["regulatory_snapshot"] == true));
    drop(broker);
    let report = sim.stop();
    assert_eq!(report["regulatory_snapshots"], 2, "{report}");
    assert_eq!(report["limits"]["regulatory_snapshots"].as_u64().unwrap_or(0), 0, "{report}");
}

/// Why a request of this name is held back, once one is.
async fn held_back(client: &Client, name: &str) -> String {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let queue = client.session().queue(None).await.unwrap();
        if let Some(held) = queue.requests.into_iter().find(|one| one.request == name) {
            return held.because;
        }
        assert!(tokio::time::Instant::now() < deadline, "no {name} waits");
    }
}

/// Asks below the client, which does not show metadata.
async fn matching(client: &Client, pattern: &str) -> Option<u64> {
    let mut stub = ContractServiceClient::new(client.service());
    let request = tws::MatchingSymbolsRequest { pattern: Some(pattern.into()), req_id: None };
    let request = api::GetMatchingSymbolsRequest { request: Some(request) };
    let answer = stub.get_matching_symbols(request).await.unwrap();
    let waited = answer.metadata().get("ibouncer-waited-ms");
    let waited = waited.map(|waited| waited.to_str().unwrap().parse().unwrap());
    let found = answer.into_inner().symbol_samples.unwrap_or_default();
    assert!(!found.contract_descriptions.is_empty(), "{pattern}");
    waited
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn symbols_are_looked_for_once_a_second_and_the_answer_says_how_long_it_waited() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    assert_eq!(matching(&client, "AAP").await, None, "the first waits for nothing");
    let (waited, queue) =
        tokio::join!(matching(&client, "MSF"), held_back(&client, "reqMatchingSymbols"));
    assert!(waited > Some(0), "{waited:?}");
    assert!(queue.contains("one a second"), "{queue}");
    assert_eq!(matching(&client, "MSF").await, None, "it is known now");
    assert_eq!(sim.wait_requests("REQ_MATCHING_SYMBOLS", 2).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bonds_have_details_of_their_own() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let bond = tws::Contract { sec_type: Some("BOND".into()), ..contract::stock("US-T") };
    let mut stub = ContractServiceClient::new(client.service());
    let request = tws::ContractDataRequest { contract: Some(bond.clone()), req_id: None };
    let request = api::GetContractDetailsRequest { request: Some(request) };
    let answer = stub.get_contract_details(request).await.unwrap().into_inner();
    assert!(answer.contract_data.is_empty(), "{:?}", answer.contract_data);
    assert!(!answer.bond_contract_data.is_empty());
    let found = client.contracts().details(bond).await.unwrap();
    assert_eq!(found.value, answer.bond_contract_data, "the client hands on both");
    let about = found[0].contract_details.as_ref().expect("its details");
    assert!(about.coupon() > 0.0 && !about.cusip().is_empty(), "{about:?}");
    assert_eq!(sim.wait_requests("REQ_CONTRACT_DATA", 1)[0]["sec_type"], "BOND");
}

async fn an_option(client: &Client) -> tws::Contract {
    let request = tws::SecDefOptParamsRequest {
        underlying_symbol: Some("AAPL".into()),
        underlying_sec_type: Some("STK".into()),
        underlying_con_id: Some(900_000_001),
        ..Default::default()
    };
    let chains = client.contracts().option_parameters(request).await.unwrap();
    let chain = &chains[0];
    contract::option("AAPL", chain.expirations.last().unwrap(), chain.strikes[10], "C")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_an_option_has_what_it_is_worth_and_a_late_joiner_the_last_of_each() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let option = an_option(&client).await;
    let mut early = Reader::open(&client).await;
    early.stream.subscribe_to(LineRequest::new(option.clone())).await.unwrap();
    let computations = async |reader: &mut Reader, replayed: bool| {
        let mut kinds = std::collections::BTreeSet::new();
        while kinds.len() < 4 {
            let event = reader
                .until("a computation", |event| {
                    matches!(event.body, Some(Body::TickOptionComputation(_)))
                })
                .await;
            let Some(Body::TickOptionComputation(tick)) = event.body else { unreachable!() };
            assert_eq!(event.replayed, replayed);
            assert!(tick.implied_vol() > 0.0 && tick.delta() > 0.0, "{tick:?}");
            kinds.insert(tick.tick_type());
        }
        kinds
    };
    let told = computations(&mut early, false).await;
    assert_eq!(told.into_iter().collect::<Vec<_>>(), [10, 11, 12, 13]);
    let mut late = Reader::open(&connect(&broker).await).await;
    late.stream.subscribe_to(LineRequest::new(option)).await.unwrap();
    assert_eq!(computations(&mut late, true).await.len(), 4);
    let asked = sim.wait_requests("REQ_MKT_DATA", 1);
    assert_eq!((asked.len(), &asked[0]["sec_type"]), (1, &"OPT".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_data_is_asked_for_as_such_and_told_as_such() {
    let (sim, broker) = ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    // Whoever may have live data gets it while the market is open, whatever was asked for.
    let wanted =
        [("AAPL", Feed::Frozen, 1), ("NOPERM", Feed::DelayedFrozen, 4), ("AAPL", Feed::Live, 1)];
    for (symbol, feed, wire) in wanted {
        let id = reader.stream.subscribe(contract::stock(symbol), feed).await.unwrap();
        let event = reader
            .until("its type", |event| {
                event.subscription_id == id.0 && matches!(event.body, Some(Body::MarketDataType(_)))
            })
            .await;
        let Some(Body::MarketDataType(told)) = event.body else { unreachable!() };
        assert_eq!(told.market_data_type(), wire);
        reader.live_tick().await;
    }
    let types: Vec<_> = sim
        .wait_requests("REQ_MARKET_DATA_TYPE", 3)
        .iter()
        .map(|request| request["market_data_type"].as_i64().unwrap())
        .collect();
    assert_eq!(types, [2, 4, 1]);
    assert_eq!(sim.wait_requests("REQ_MKT_DATA", 3).len(), 3, "three types are three lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generic_ticks_come_as_they_were_asked_for_in_any_order() {
    let sim = sim(&["--generic-interval", "200ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let mut reader = Reader::open(&client).await;
    let wanted = |list: &str| LineRequest::new(contract::stock("AAPL")).generic_ticks(list);
    reader.stream.subscribe_to(wanted("233,106,165,292")).await.unwrap();
    // RTVolume, implied volatility, the high of 13 weeks, news.
    let (mut text, mut value, mut price, mut news) = (false, false, false, false);
    while !(text && value && price && news) {
        let event = reader.next().await.expect("it goes on");
        match event.body {
            Some(Body::TickString(tick)) => {
                text |= tick.tick_type() == 48 || tick.tick_type() == 77
            }
            Some(Body::TickGeneric(tick)) => value |= tick.tick_type() == 24,
            Some(Body::TickPrice(tick)) => price |= tick.tick_type() == 16,
            Some(Body::TickNews(tick)) => news |= !tick.headline().is_empty(),
            _ => {}
        }
    }
    // The same list in another order is the same line.
    let mut other = Reader::open(&connect(&broker).await).await;
    other.stream.subscribe_to(wanted("106,165,233,292")).await.unwrap();
    other.live_tick().await;
    let asked = sim.wait_requests("REQ_MKT_DATA", 1);
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0]["generic_ticks"], "106,165,233,292");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn models_are_told_apart() {
    let sim = sim(&["--pnl-interval", "200ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let client = connect(&broker).await;
    let (account, model) = (|| Some(ACCOUNT.to_owned()), || Some(MODEL.to_owned()));
    let accounts = client.accounts();
    let request = tws::PositionsMultiRequest {
        account: account(),
        model_code: model(),
        ..Default::default()
    };
    let mut positions = accounts.stream_positions_multi(request).await.unwrap();
    let whole = tws::PositionsMultiRequest { account: account(), ..Default::default() };
    let mut whole = accounts.stream_positions_multi(whole).await.unwrap();
    let position = |body: &account_event::Body| match body {
        account_event::Body::PositionMulti(held) => Some(held.model_code().to_owned()),
        _ => None,
    };
    assert_eq!(first(&mut positions, position).await, MODEL);
    assert_eq!(first(&mut whole, position).await, "", "two requests, two lines");
    let request = tws::AccountUpdatesMultiRequest {
        account: account(),
        model_code: model(),
        ..Default::default()
    };
    let mut updates = accounts.stream_account_updates_multi(request).await.unwrap();
    let update = |body: &account_event::Body| match body {
        account_event::Body::AccountUpdateMulti(value) => Some(value.model_code().to_owned()),
        _ => None,
    };
    assert_eq!(first(&mut updates, update).await, MODEL);
    let request = tws::PnLRequest { account: account(), model_code: model(), ..Default::default() };
    let mut pnl = accounts.stream_pnl(request).await.unwrap();
    let daily = |body: &account_event::Body| match body {
        account_event::Body::Pnl(pnl) => pnl.daily_pnl,
        _ => None,
    };
    assert!(first(&mut pnl, daily).await.is_finite());
    let models = |name: &str, count| model_of(&sim, name, count);
    assert_eq!(models("REQ_POSITIONS_MULTI", 2), [MODEL, ""]);
    assert_eq!(models("REQ_ACCOUNT_UPDATES_MULTI", 1), [MODEL]);
    assert_eq!(models("REQ_PNL", 1), [MODEL]);
}

fn model_of(sim: &Sim, name: &str, count: usize) -> Vec<String> {
    let requests = sim.wait_requests(name, count);
    let model = |request: &Value| request["model_code"].as_str().unwrap_or_default().to_owned();
    requests.iter().map(model).collect()
}

/// The first event of which this makes something.
async fn first<T>(
    stream: &mut ibouncer_client::Subscription<api::AccountEvent>,
    made: impl Fn(&account_event::Body) -> Option<T>,
) -> T {
    loop {
        let event = tokio::time::timeout(PATIENCE, stream.next()).await.expect("it comes in time");
        let body = event.unwrap().expect("it goes on").body;
        if let Some(made) = body.as_ref().and_then(&made) {
            return made;
        }
    }
}
