//! Every call of the Rust client that reads, through the broker, against the simulator: each is
//! made, and its answer is what it has to be. A public call that is not made here is a failure.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use ibouncer_client::api::{OrderScope, account_event, history_event, news_event, scanner_event};
use ibouncer_client::{BarRequest, Client, Feed, LineRequest, Subscription, contract, tws};
use ibouncer_tests::harness::READS;
use ibouncer_tests::harness::wait::PATIENCE;
use serde_json::Value;

use super::stream::{Reader, connect, is_tick};
use super::{plan, sim};

const FIRST: &str = "DU0000001";
const SECOND: &str = "DU0000002";
const AAPL: i32 = 900_000_001;

/// Calls that were made, by file and name.
#[derive(Default)]
struct Made(BTreeSet<String>);

impl Made {
    async fn note<T: Debug, E: Debug>(
        &mut self,
        call: String,
        answer: impl Future<Output = Result<T, E>>,
    ) -> T {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer to {call}"));
        let answer = answer.unwrap_or_else(|error| panic!("{call}: {error:?}"));
        self.0.insert(call);
        answer
    }
}

/// Makes one call of the service in a file, and notes that.
macro_rules! ask {
    ($made:ident, $file:literal, $service:expr => $call:ident($($argument:expr),*)) => {
        $made.note(format!("{}::{}", $file, stringify!($call)), $service.$call($($argument),*)).await
    };
}

/// What a subscription tells first that fits.
macro_rules! first {
    ($stream:expr, $fits:pat) => {
        first($stream, |event| matches!(&event.body, Some($fits))).await
    };
}

async fn first<E: ibouncer_client::SubscriptionEvent>(
    mut stream: Subscription<E>,
    mut fits: impl FnMut(&E) -> bool,
) -> E {
    loop {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await.expect("data in time");
        let event = next.unwrap().expect("the stream goes on");
        if fits(&event) {
            return event;
        }
    }
}

/// `file::name` of every call that the client offers and that waits for an answer.
fn offered() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../client-sdk/rust/src");
    let services = std::fs::read_dir(source.join("services")).unwrap();
    let mut files: Vec<_> = services.map(|entry| entry.unwrap().path()).collect();
    files.push(source.join("client.rs"));
    let mut offered = BTreeSet::new();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            if let Some(rest) = line.trim_start().strip_prefix("pub async fn ") {
                let name = rest.split(['(', '<']).next().unwrap();
                offered.insert(format!("{stem}::{name}"));
            }
        }
    }
    offered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_the_rust_client_that_reads_is_answered() {
    let sim = sim(&[
        "--accounts",
        "DU0000001,DU0000002",
        "--bar-interval",
        "100ms",
        "--snapshot-delay",
        "200ms",
        "--pnl-interval",
        "200ms",
    ]);
    let broker = plan(&sim).start();
    let client = connect(&broker).await;
    let mut made = Made::default();
    made.0.insert("client::connect".into());
    Box::pin(session(&client, &mut made)).await;
    let option = Box::pin(contracts(&client, &mut made)).await;
    Box::pin(market_data(&client, option, &mut made)).await;
    Box::pin(history(&client, &mut made)).await;
    Box::pin(about_the_login(&client, &mut made)).await;
    Box::pin(accounts(&client, &mut made)).await;
    Box::pin(orders(&client, &mut made)).await;
    Box::pin(news(&client, &mut made)).await;
    Box::pin(scanners(&client, &mut made)).await;

    let offered = offered();
    assert!(offered.len() > 40, "the source was read: {offered:?}");
    assert_eq!(offered.difference(&made.0).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(made.0.difference(&offered).collect::<Vec<_>>(), Vec::<&String>::new());
    for name in READS.iter().chain(&["REQ_OPEN_ORDERS"]) {
        sim.wait_requests(name, 1);
    }
    drop((client, broker));
    let report = sim.stop();
    let broken = |(_, count): (&String, &Value)| *count != 0;
    assert!(!report["limits"].as_object().unwrap().iter().any(broken), "refused: {report}");
    assert_eq!(report["regulatory_snapshots"], 1, "{report}");
}

async fn session(client: &Client, made: &mut Made) {
    let ready = ask!(made, "client", client => wait_ready(Duration::from_secs(25)));
    assert!(ready.ready);
    assert_eq!(ask!(made, "client", client => status()).state, ready.status.state);
    assert_eq!(ask!(made, "client", client => who_am_i()).client, "test");
    let mut watch = ask!(made, "client", client => watch_status());
    assert!(watch.next().await.unwrap().is_some());
    let session = client.session();
    assert_eq!(ask!(made, "session", session => queue(None)).messages_per_second, 40.0);
    assert!(ask!(made, "session", session => current_time()).current_time_in_millis() > 1 << 40);
    let told = ask!(made, "session", session => gateway_configuration());
    assert_ne!(told.value, tws::ConfigResponse::default());
}

/// Answers with an option of AAPL.
async fn contracts(client: &Client, made: &mut Made) -> tws::Contract {
    let contracts = client.contracts();
    let details = ask!(made, "contracts", contracts => details(contract::stock("AAPL")));
    let about = details[0].contract_details.clone().unwrap_or_default();
    assert_eq!(details[0].contract.as_ref().map(tws::Contract::con_id), Some(AAPL));
    let found = ask!(made, "contracts", contracts => matching("AAP"));
    assert!(found.iter().any(|one| one.contract.as_ref().is_some_and(|c| c.symbol() == "AAPL")));
    let request = tws::SecDefOptParamsRequest {
        underlying_symbol: Some("AAPL".into()),
        underlying_sec_type: Some("STK".into()),
        underlying_con_id: Some(AAPL),
        ..Default::default()
    };
    let chains = ask!(made, "contracts", contracts => option_parameters(request));
    assert_eq!((chains[0].expirations.len(), chains[0].strikes.len()), (8, 21));
    let rule: i32 = about.market_rule_ids().split(',').next().unwrap().parse().unwrap();
    let rule = ask!(made, "contracts", contracts => market_rule(rule)).value;
    assert!(rule.price_increments[0].increment() > 0.0);
    let parts = ask!(made, "contracts", contracts => smart_components("9c0001"));
    assert!(!parts.is_empty() && parts.iter().all(|part| !part.exchange().is_empty()));
    let books = ask!(made, "contracts", contracts => depth_exchanges());
    assert!(books.iter().any(|one| one.sec_type() == "STK"), "{books:?}");
    let chain = &chains[0];
    contract::option("AAPL", chain.expirations.last().unwrap(), chain.strikes[10], "C")
}

async fn market_data(client: &Client, option: tws::Contract, made: &mut Made) {
    let stock = || contract::stock("MSFT");
    let ticks = ask!(made, "snapshots", client => snapshot(stock(), Feed::Live));
    assert!(ticks.iter().any(is_tick));
    // It costs, so nothing leaves without a word about that.
    let free = client.regulatory_snapshot(stock(), false).await.unwrap_err();
    assert_eq!(free.code(), "INVALID_ARGUMENT", "{free}");
    let ticks = ask!(made, "snapshots", client => regulatory_snapshot(stock(), true));
    assert!(ticks.iter().any(is_tick));
    let computed = ask!(made, "snapshots", client => option_price(option.clone(), 0.3, 230.0));
    assert!(computed.opt_price() > 0.0 && computed.und_price() == 230.0, "{computed:?}");
    let price = computed.opt_price();
    let computed = ask!(made, "snapshots", client => implied_volatility(option, price, 230.0));
    assert!((computed.implied_vol() - 0.3).abs() < 0.01, "{computed:?}");
    let stream = ask!(made, "client", client => market_data());
    let id = stream.subscribe_to(LineRequest::new(contract::stock("AAPL"))).await.unwrap();
    drop(stream);
    assert_eq!(id.0, 1);
    Reader::open(client).await;
}

async fn history(client: &Client, made: &mut Made) {
    let history = client.history();
    let bars = || BarRequest::new(contract::stock("AAPL"), "2 D", "1 hour");
    let told = ask!(made, "history", history => bars(bars()));
    assert!(told.bars.len() > 10 && told.bars.iter().all(|bar| bar.low() <= bar.high()));
    let schedule = ask!(made, "history", history => schedule(BarRequest::new(contract::stock("AAPL"), "5 D", "1 day")));
    assert!(!schedule.historical_sessions.is_empty());
    let request = tws::HistoricalTicksRequest {
        contract: Some(contract::stock("AAPL")),
        end_date_time: Some("20251112-15:00:00".into()),
        number_of_ticks: Some(50),
        what_to_show: Some("TRADES".into()),
        ..Default::default()
    };
    assert!(ask!(made, "history", history => ticks(request)).last.len() >= 50);
    let request = tws::HeadTimestampRequest {
        contract: Some(contract::stock("AAPL")),
        what_to_show: Some("TRADES".into()),
        ..Default::default()
    };
    assert!(!ask!(made, "history", history => head_timestamp(request)).head_timestamp().is_empty());
    let request = tws::HistogramDataRequest {
        contract: Some(contract::stock("AAPL")),
        time_period: Some("1 week".into()),
        ..Default::default()
    };
    let rows = ask!(made, "history", history => histogram(request));
    assert!(!rows.is_empty() && rows.iter().all(|row| row.price() > 0.0));
    let stream = ask!(made, "history", history => stream_bars(bars()));
    first!(stream, history_event::Body::Update(_));
}

async fn about_the_login(client: &Client, made: &mut Made) {
    let accounts = client.accounts();
    let names: Vec<_> = ask!(made, "accounts", accounts => list());
    assert_eq!(names.iter().map(|one| one.account.as_str()).collect::<Vec<_>>(), [FIRST, SECOND]);
    let codes = ask!(made, "accounts", accounts => family_codes());
    assert_eq!(codes.iter().map(tws::FamilyCode::account_id).collect::<Vec<_>>(), [FIRST, SECOND]);
    assert_eq!(ask!(made, "accounts", accounts => user_info()).white_branding_id(), "");
    let tiers = ask!(made, "accounts", accounts => soft_dollar_tiers());
    assert!(!tiers.is_empty() && tiers.iter().all(|tier| !tier.name().is_empty()));
    let aliases = ask!(made, "accounts", accounts => advisor_configuration(3));
    assert!(aliases.xml().contains(SECOND), "{aliases:?}");
}

async fn accounts(client: &Client, made: &mut Made) {
    let accounts = client.accounts();
    let values = ask!(made, "accounts", accounts => account_summary("NetLiquidation"));
    assert_eq!(values.len(), 2, "one of each account: {values:?}");
    let told = ask!(made, "accounts", accounts => account_updates(FIRST));
    assert!(!told.values.is_empty() && told.portfolio.len() == 6, "{told:?}");
    assert_eq!(ask!(made, "accounts", accounts => positions()).len(), 8);
    use account_event::Body;
    let request = tws::AccountSummaryRequest {
        group: Some("All".into()),
        tags: Some("BuyingPower".into()),
        ..Default::default()
    };
    let stream = ask!(made, "accounts", accounts => stream_account_summary(request));
    first!(stream, Body::AccountSummaryEnd(_));
    let stream = ask!(made, "accounts", accounts => stream_account_updates(FIRST));
    first!(stream, Body::AccountDataEnd(_));
    let request = tws::AccountUpdatesMultiRequest {
        account: Some(SECOND.into()),
        ledger_and_nlv: Some(true),
        ..Default::default()
    };
    let stream = ask!(made, "accounts", accounts => stream_account_updates_multi(request));
    let value = first!(stream, Body::AccountUpdateMulti(_));
    let Some(Body::AccountUpdateMulti(value)) = value.body else { unreachable!("it fits") };
    assert_eq!(value.account(), SECOND);
    let stream = ask!(made, "accounts", accounts => stream_positions());
    first!(stream, Body::PositionEnd(_));
    let request = tws::PositionsMultiRequest { account: Some(SECOND.into()), ..Default::default() };
    let stream = ask!(made, "accounts", accounts => stream_positions_multi(request));
    first!(stream, Body::PositionMulti(_));
    let request = tws::PnLRequest { account: Some(FIRST.into()), ..Default::default() };
    let stream = ask!(made, "accounts", accounts => stream_pnl(request));
    first!(stream, Body::Pnl(_));
    let request = tws::PnLSingleRequest {
        account: Some(FIRST.into()),
        con_id: Some(AAPL),
        ..Default::default()
    };
    let stream = ask!(made, "accounts", accounts => stream_pnl_single(request));
    first!(stream, Body::PnlSingle(_));
}

async fn orders(client: &Client, made: &mut Made) {
    let orders = client.orders();
    let all = ask!(made, "orders", orders => open(OrderScope::All));
    assert_eq!((all.orders.len(), all.statuses.len()), (4, 4));
    let ours = client.orders().open(OrderScope::Session).await.unwrap();
    assert!(ours.orders.len() < 4, "only the session's own");
    assert_eq!(ask!(made, "orders", orders => completed(false)).len(), 3);
    let filter = tws::ExecutionFilter { last_n_days: Some(2), ..Default::default() };
    let told = ask!(made, "orders", orders => executions(filter, OrderScope::All));
    assert_eq!(told.executions.len(), 4);
}

async fn news(client: &Client, made: &mut Made) {
    let news = client.news();
    let providers = ask!(made, "news", news => providers());
    assert!(providers.iter().any(|one| one.provider_code() == "BRFG"));
    let request = tws::HistoricalNewsRequest {
        con_id: Some(AAPL),
        provider_codes: Some("BRFG".into()),
        total_results: Some(5),
        ..Default::default()
    };
    let found = ask!(made, "news", news => headlines(request));
    assert_eq!(found.headlines.len(), 5);
    let newest = &found.headlines[0];
    let (provider, id) = (newest.provider_code(), newest.article_id());
    let article = ask!(made, "news", news => article(provider, id));
    assert!(article.article_text().contains("AAPL"));
    let meta = ask!(made, "news", news => calendar_meta_data());
    assert!(meta.data_json().contains("event_types"));
    let request = tws::WshEventDataRequest { con_id: Some(AAPL), ..Default::default() };
    assert!(!ask!(made, "news", news => calendar_events(request)).data_json().is_empty());
    let stream = ask!(made, "news", news => stream_bulletins());
    first!(stream, news_event::Body::Bulletin(_));
}

async fn scanners(client: &Client, made: &mut Made) {
    let scanners = client.scanners();
    assert!(ask!(made, "scanners", scanners => parameters()).xml().len() > 100_000);
    let wanted = tws::ScannerSubscription {
        instrument: Some("STK".into()),
        location_code: Some("STK.US.MAJOR".into()),
        scan_code: Some("TOP_PERC_GAIN".into()),
        number_of_rows: Some(7),
        ..Default::default()
    };
    assert_eq!(ask!(made, "scanners", scanners => scan(wanted.clone())).len(), 7);
    let stream = ask!(made, "scanners", scanners => stream(wanted));
    first!(stream, scanner_event::Body::Data(_));
}
