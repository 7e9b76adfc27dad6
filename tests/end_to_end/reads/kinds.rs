//! Each kind of data is one line at Gateway, however many listen.

use std::future::Future;
use std::pin::Pin;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::{
    Client, LineRequest, Subscription, SubscriptionEvent, TickKind, contract, tws,
};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};

use super::super::stream::{Reader, connect};
use super::super::{plan, sim};
use super::{ACCOUNT, summary};

/// Something that is open, and is closed by being dropped.
type Opened = Box<dyn std::any::Any + Send>;
type Opening = Pin<Box<dyn Future<Output = Opened> + Send>>;

/// A kind of line: its request and cancel at Gateway, and how a client has its first data.
struct Kind {
    request: &'static str,
    cancel: &'static str,
    open: fn(Client) -> Opening,
}

fn market_data(client: Client, request: LineRequest, fits: fn(&Body) -> bool) -> Opening {
    Box::pin(async move {
        let mut reader = Reader::open(&client).await;
        reader.stream.subscribe_to(request).await.unwrap();
        reader.until("its data", |event| event.body.as_ref().is_some_and(fits)).await;
        Box::new((client, reader.stream)) as Opened
    })
}

/// The first event that is data, or Gateway's end of a first load.
async fn first_data<E: SubscriptionEvent>(mut subscription: Subscription<E>) -> Subscription<E> {
    loop {
        let event =
            tokio::time::timeout(PATIENCE, subscription.next()).await.expect("data in time");
        match event.unwrap().expect("it goes on").mark() {
            Some(mark) => assert_eq!(mark.error, None),
            None => return subscription,
        }
    }
}

macro_rules! stream {
    ($client:ident => $open:expr) => {
        Box::pin(async move {
            let opened = first_data($open.await.unwrap()).await;
            Box::new(($client, opened)) as Opened
        })
    };
}

fn pnl() -> tws::PnLRequest {
    tws::PnLRequest { account: Some(ACCOUNT.into()), ..Default::default() }
}

fn pnl_single() -> tws::PnLSingleRequest {
    let (account, con_id) = (Some(ACCOUNT.into()), Some(900_000_001));
    tws::PnLSingleRequest { account, con_id, ..Default::default() }
}

fn positions_multi() -> tws::PositionsMultiRequest {
    tws::PositionsMultiRequest { account: Some(ACCOUNT.into()), ..Default::default() }
}

fn updates_multi() -> tws::AccountUpdatesMultiRequest {
    tws::AccountUpdatesMultiRequest { account: Some(ACCOUNT.into()), ..Default::default() }
}

fn scan() -> tws::ScannerSubscription {
    tws::ScannerSubscription {
        instrument: Some("STK".into()),
        location_code: Some("STK.US.MAJOR".into()),
        scan_code: Some("TOP_PERC_GAIN".into()),
        ..Default::default()
    }
}

/// All that are shared; bars that are kept up to date are not.
fn kinds() -> Vec<Kind> {
    vec![
        Kind {
            request: "REQ_MKT_DATA",
            cancel: "CANCEL_MKT_DATA",
            open: |client| {
                let request = LineRequest::new(contract::stock("AAPL"));
                market_data(client, request, |body| matches!(body, Body::TickPrice(_)))
            },
        },
        Kind {
            request: "REQ_TICK_BY_TICK_DATA",
            cancel: "CANCEL_TICK_BY_TICK_DATA",
            open: |client| {
                let request = LineRequest::tick_by_tick(contract::stock("AAPL"), TickKind::Last);
                market_data(client, request, |body| matches!(body, Body::TickByTick(_)))
            },
        },
        Kind {
            request: "REQ_MKT_DEPTH",
            cancel: "CANCEL_MKT_DEPTH",
            open: |client| {
                let request = LineRequest::depth(contract::stock("AAPL"), 5);
                market_data(client, request, |body| matches!(body, Body::MarketDepth(_)))
            },
        },
        Kind {
            request: "REQ_REAL_TIME_BARS",
            cancel: "CANCEL_REAL_TIME_BARS",
            open: |client| {
                let request = LineRequest::real_time_bars(contract::stock("AAPL"), "TRADES");
                market_data(client, request, |body| matches!(body, Body::RealTimeBar(_)))
            },
        },
        Kind {
            request: "REQ_POSITIONS",
            cancel: "CANCEL_POSITIONS",
            open: |client| stream!(client => client.accounts().stream_positions()),
        },
        Kind {
            request: "REQ_ACCOUNT_SUMMARY",
            cancel: "CANCEL_ACCOUNT_SUMMARY",
            open: |client| stream!(client => client.accounts().stream_account_summary(summary("All", "NetLiquidation"))),
        },
        Kind {
            request: "REQ_ACCT_DATA",
            cancel: "REQ_ACCT_DATA",
            open: |client| stream!(client => client.accounts().stream_account_updates(ACCOUNT)),
        },
        Kind {
            request: "REQ_PNL",
            cancel: "CANCEL_PNL",
            open: |client| stream!(client => client.accounts().stream_pnl(pnl())),
        },
        Kind {
            request: "REQ_PNL_SINGLE",
            cancel: "CANCEL_PNL_SINGLE",
            open: |client| stream!(client => client.accounts().stream_pnl_single(pnl_single())),
        },
        Kind {
            request: "REQ_POSITIONS_MULTI",
            cancel: "CANCEL_POSITIONS_MULTI",
            open: |client| stream!(client => client.accounts().stream_positions_multi(positions_multi())),
        },
        Kind {
            request: "REQ_ACCOUNT_UPDATES_MULTI",
            cancel: "CANCEL_ACCOUNT_UPDATES_MULTI",
            open: |client| stream!(client => client.accounts().stream_account_updates_multi(updates_multi())),
        },
        Kind {
            request: "REQ_NEWS_BULLETINS",
            cancel: "CANCEL_NEWS_BULLETINS",
            open: |client| stream!(client => client.news().stream_bulletins()),
        },
        Kind {
            request: "REQ_SCANNER_SUBSCRIPTION",
            cancel: "CANCEL_SCANNER_SUBSCRIPTION",
            open: |client| stream!(client => client.scanners().stream(scan())),
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_is_one_request_however_many_listen_and_the_last_one_out_cancels() {
    let sim = sim(&["--bar-interval", "100ms", "--pnl-interval", "200ms"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    for kind in kinds() {
        let before = sim.requests(kind.request).len();
        let mut opened = Vec::new();
        for _ in 0..3 {
            opened.push((kind.open)(connect(&broker).await).await);
        }
        // The report comes by its own way, maybe later than the data.
        sim.wait_requests(kind.request, before + 1);
        assert_eq!(sim.requests(kind.request).len(), before + 1, "{}", kind.request);
        let last = opened.pop();
        drop(opened);
        // Two have left: their connections are gone, and the line is still there.
        until_true("they have left", PATIENCE, || {
            let clients = broker.cli(&["clients", "--json"]).json();
            clients["clients"].as_array().map_or(0, Vec::len) <= 2
        });
        let expected = before + 1 + usize::from(kind.cancel == kind.request);
        let cancels = sim.requests(kind.cancel).len();
        drop(last);
        until_true(kind.cancel, PATIENCE, || {
            let now = sim.requests(kind.cancel).len();
            if kind.cancel == kind.request { now == expected } else { now == cancels + 1 }
        });
    }
}
