//! Rights that are changed by a reload: whoever they concern is cut off from what it may not see any
//! more, streams that are open among it; and nobody else notices.

use ibouncer_client::api::account_event::Body;
use ibouncer_client::api::{AccountEvent, OrderScope};
use ibouncer_client::{
    Client, Error, ExecutionStream, OrderStream, Retry, StatusStream, Subscription,
};
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Broker, Principal, Sim};

use super::super::super::stream::Reader;
use super::super::{OrderState, TRADE, ledger_now, plan_for, sim, state};
use super::{ONE, TWO, clients};

const OBSERVE: &str = "role = \"observe\"";
const ONLY_TWO: &str = "role = \"observe\"\naccounts = [\"DU0000002\"]";

/// Reads to the error.
macro_rules! error_of {
    ($next:expr) => {
        loop {
            match $next.await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("it ended in good order"),
                Err(error) => break error,
            }
        }
    };
}

/// Everything that a client can have open.
struct Open {
    orders: OrderStream,
    executions: ExecutionStream,
    positions: Subscription<AccountEvent>,
    status: StatusStream,
    quotes: Reader,
}

impl Open {
    /// By a client that sees this account.
    async fn by(client: &Client, account: &str) -> Self {
        let mut quotes = Reader::open(client).await;
        quotes.stock("AAPL").await;
        quotes.live_tick().await;
        let mut open = Self {
            orders: client.orders().watch(None, OrderScope::All).await.unwrap(),
            executions: client.orders().watch_executions(None, OrderScope::All).await.unwrap(),
            positions: client.accounts().stream_positions().await.unwrap(),
            status: client.watch_status().await.unwrap(),
            quotes,
        };
        open.position_of(account).await;
        open
    }

    /// Reads until there is a position of this account.
    async fn position_of(&mut self, account: &str) {
        let search = async {
            while let Some(event) = self.positions.next().await.unwrap() {
                if matches!(event.body, Some(Body::Position(one)) if one.account() == account) {
                    return;
                }
            }
            panic!("the stream ended before a position of {account}");
        };
        tokio::time::timeout(PATIENCE, search).await.expect("a position in time");
    }

    /// How each of them ends.
    async fn ends(mut self) -> Vec<(&'static str, Error)> {
        let ends = async {
            let mut ends = Vec::new();
            ends.push(("orders", error_of!(self.orders.next())));
            ends.push(("executions", error_of!(self.executions.next())));
            ends.push(("positions", error_of!(self.positions.next())));
            ends.push(("status", error_of!(self.status.next())));
            ends.push(("quotes", error_of!(self.quotes.stream.next_batch())));
            ends
        };
        tokio::time::timeout(PATIENCE, ends).await.expect("each ends in time")
    }
}

/// The accounts of the orders that a watch shows, up to the order of this name.
async fn accounts_until(orders: &mut OrderStream, name: &str) -> Vec<String> {
    let search = async {
        let mut accounts = Vec::new();
        loop {
            for event in orders.next().await.unwrap().expect("it goes on") {
                let order = event.order.unwrap();
                accounts.push(order.order.unwrap_or_default().account().to_owned());
                if order.client_order_id == name {
                    return accounts;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("no order {name}"))
}

async fn place_in_both(trader: &Client, names: [&str; 2]) {
    for (name, account) in names.into_iter().zip([ONE, TWO]) {
        let order = clients::named(name, clients::bid("AAPL", "10", 1.0, account));
        trader.orders().place(order).await.unwrap();
        state(trader, name, OrderState::Working).await;
    }
}

fn with(see: Option<&str>) -> Vec<Principal> {
    let see = see.map(|settings| Principal::with_token("see", settings));
    let others = [Principal::with_token("stays", OBSERVE), Principal::with_token("trader", TRADE)];
    see.into_iter().chain(others).collect()
}

fn check(ends: Vec<(&str, Error)>) {
    for (what, error) in ends {
        assert_eq!(
            (error.code(), error.retry()),
            ("RIGHTS_CHANGED", Retry::Now),
            "{what}: {error}"
        );
        assert!(error.message().contains("clients.see"), "{what}: {error}");
    }
}

fn start() -> (Sim, Broker) {
    let sim = sim(&["--accounts", "DU0000001,DU0000002"]);
    let broker = plan_for(&sim, &with(Some(OBSERVE))).start();
    broker.wait_trading();
    (sim, broker)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_ends_the_streams_of_those_whose_rights_it_changes_and_of_nobody_else() {
    let (_sim, mut broker) = start();
    let trader = broker.client_by_token("trader").await;
    let (see, stays) = (broker.client_by_token("see").await, broker.client_by_token("stays").await);
    let (seen, mut stayed) = (Open::by(&see, ONE).await, Open::by(&stays, ONE).await);

    // Narrowed: what is open ends, and what is opened anew shows no more than it may.
    broker.reload_clients(&with(Some(ONLY_TWO)));
    check(seen.ends().await);
    let mut narrow = see.orders().watch(None, OrderScope::All).await.unwrap();
    place_in_both(&trader, ["one", "two"]).await;
    assert!(accounts_until(&mut narrow, "two").await.iter().all(|account| account == TWO));
    let all = accounts_until(&mut stayed.orders, "two").await;
    assert!(all.contains(&ONE.to_owned()) && all.contains(&TWO.to_owned()), "{all:?}");

    // Another token: it is another caller.
    let seen = Open::by(&see, TWO).await;
    std::fs::remove_file(broker.home().path().join("see.token")).unwrap();
    broker.reload_clients(&with(Some(ONLY_TWO)));
    check(seen.ends().await);
    assert_eq!(see.who_am_i().await.unwrap_err().code(), "UNAUTHENTICATED");
    let see = broker.client_by_token("see").await;

    // Removed.
    let seen = Open::by(&see, TWO).await;
    broker.reload_clients(&with(None));
    check(seen.ends().await);
    assert_eq!(see.who_am_i().await.unwrap_err().code(), "UNAUTHENTICATED");

    // Whoever has not changed has noticed nothing, and reads on.
    place_in_both(&trader, ["three", "four"]).await;
    accounts_until(&mut stayed.orders, "four").await;
    stayed.quotes.live_tick().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_goes_with_the_token_that_placed_it() {
    const QUEUE: &str = "role = \"trade\"\nwhen_away = \"queue\"";
    let mut sim = sim(&["--accounts", "DU0000001,DU0000002"]);
    let clients =
        || [Principal::with_token("patient", QUEUE), Principal::with_token("stays", QUEUE)];
    let mut broker = plan_for(&sim, &clients()).start();
    broker.wait_trading();
    sim.happen("1100");
    broker.wait_status("IB is lost", |status| status["trading"] == "down");
    let mut waits = Vec::new();
    for name in ["patient", "stays"] {
        let client = broker.client_by_token(name).await;
        let orders = client.orders();
        let bid = clients::named("waits", clients::bid("AAPL", "10", 1.0, ONE));
        waits.push(tokio::spawn(async move { orders.place(bid).await }));
        // It has been asked for before this is answered.
        assert!(super::super::all_of(&client).await.is_empty());
    }
    let [lost, kept] = <[_; 2]>::try_from(waits).unwrap();
    // A reload that changes nothing takes nothing back.
    broker.reload_clients(&clients());
    assert!(!lost.is_finished());
    std::fs::remove_file(broker.home().path().join("patient.token")).unwrap();
    broker.reload_clients(&clients());
    let error = lost.await.unwrap().unwrap_err();
    assert!(["RIGHTS_CHANGED", "UNAUTHENTICATED"].contains(&error.code()), "{error}");
    sim.happen("1102");
    broker.wait_trading();
    kept.await.unwrap().unwrap();
    assert_eq!(ledger_now(&mut sim).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_comes_back_by_itself_goes_on_under_the_rights_that_hold_then() {
    let (_sim, mut broker) = start();
    let trader = broker.client_by_token("trader").await;
    let see = Client::connect(broker.options_by_token("see")).await.unwrap();
    let mut orders = see.orders().watch(None, OrderScope::All).await.unwrap();
    let mut quotes = Reader::open(&see).await;
    quotes.stock("AAPL").await;
    quotes.live_tick().await;
    place_in_both(&trader, ["one", "two"]).await;
    assert!(accounts_until(&mut orders, "two").await.contains(&ONE.to_owned()));
    broker.reload_clients(&with(Some(ONLY_TWO)));
    place_in_both(&trader, ["three", "four"]).await;
    assert!(accounts_until(&mut orders, "four").await.iter().all(|account| account == TWO));
    quotes.mark(ibouncer_client::api::MarkKind::Stale).await;
    quotes.live_tick().await;
    // There is nothing to come back to for a client that is not let in.
    broker.reload_clients(&with(None));
    let error = tokio::time::timeout(PATIENCE, async { error_of!(orders.next()) }).await;
    assert_eq!(error.expect("it ends in time").code(), "UNAUTHENTICATED");
}
