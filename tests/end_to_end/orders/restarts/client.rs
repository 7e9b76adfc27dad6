//! A client that trades through whatever happens, and watchers that forget nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ibouncer_client::api::{ExecutionEvent, Order, OrderEvent, OrderScope};
use ibouncer_client::{Client, Delivery, Error, Options, Orders, Retry, contract, order, tws};

use super::super::request;

/// How often each order may have been changed at Gateway.
pub(super) type Modifies = BTreeMap<String, u64>;

/// Tries of what may be given up.
const TRIES: usize = 40;

/// Between two tries.
const AGAIN: Duration = Duration::from_millis(15);

/// Prices of one side of a market in which somebody buys and sells near 231.
struct Prices {
    action: &'static str,
    far: f64,
    nearer: f64,
    /// Somebody takes it.
    through: f64,
}

const BUY: Prices = Prices { action: "BUY", far: 1.0, nearer: 2.0, through: 400.0 };
const SELL: Prices = Prices { action: "SELL", far: 400.0, nearer: 390.0, through: 1.0 };

/// What a client was told.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) orders: Vec<OrderEvent>,
    pub(super) executions: Vec<ExecutionEvent>,
}

/// A client.
pub(super) struct Trader {
    pub(super) name: &'static str,
    pub(super) options: Options,
    pub(super) random: fastrand::Rng,
    pub(super) until: Instant,
    /// Orders of all clients that were placed.
    pub(super) done: Arc<AtomicUsize>,
}

impl Trader {
    /// Places so many orders, and changes or cancels some of them.
    pub(super) async fn run(mut self, count: usize) -> Modifies {
        let mut modifies = Modifies::new();
        for number in 0..count {
            let name = format!("{}-{number}", self.name);
            let quantity = (self.random.u32(1..=30) * 10).to_string();
            let side = self.random.choice([&BUY, &SELL]).unwrap();
            let what = self.random.u8(0..4);
            if what == 0 {
                self.place(&name, order::market(side.action, quantity)).await;
                continue;
            }
            self.place(&name, order::limit(side.action, &quantity, side.far)).await;
            let price = match what {
                1 => None,
                2 => Some(side.nearer),
                _ => Some(side.through),
            };
            if let Some(price) = price {
                let wanted = order::limit(side.action, &quantity, price);
                modifies.insert(name.clone(), self.modify(&name, wanted).await);
            }
            if price.is_none() || self.random.bool() {
                self.cancel(&name).await;
            }
        }
        modifies
    }

    /// The same name until it is there: that is one order.
    async fn place(&self, name: &str, wanted: tws::Order) -> Order {
        let new = order::named(name, contract::stock("AAPL"), wanted);
        loop {
            let error = match self.orders().await.place(new.clone()).await {
                Ok(handle) => {
                    self.done.fetch_add(1, Ordering::Relaxed);
                    return handle.order().clone();
                }
                Err(error) => error,
            };
            let again = may_have_left(&error) || error.retry() != Retry::Never;
            assert!(again, "place {name}: {error:?}");
            self.pause(&error).await;
        }
    }

    /// A change is not repeated once it may have left. How often it may have.
    async fn modify(&self, name: &str, wanted: tws::Order) -> u64 {
        for _ in 0..TRIES {
            match self.orders().await.modify(name, request(wanted.clone())).await {
                Ok(_) => return 1,
                Err(error) if may_have_left(&error) => return 1,
                Err(error) if error.code() == "ORDER_ENDED" => return 0,
                Err(error) => self.pause(&error).await,
            }
        }
        0
    }

    async fn cancel(&self, name: &str) {
        for _ in 0..TRIES {
            match self.orders().await.cancel(name).await {
                Ok(_) => return,
                Err(error) if error.code() == "ORDER_ENDED" => return,
                Err(error) => self.pause(&error).await,
            }
        }
    }

    async fn orders(&self) -> Orders {
        loop {
            match Client::connect(self.options.clone()).await {
                Ok(client) => return client.orders(),
                Err(error) => assert!(Instant::now() < self.until, "connect: {error}"),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn pause(&self, error: &Error) {
        assert!(Instant::now() < self.until, "{} has not come to its end: {error:?}", self.name);
        tokio::time::sleep(AGAIN).await;
    }
}

fn may_have_left(error: &Error) -> bool {
    error.delivery() != Some(Delivery::NotSent)
}

/// Everything about the client's orders.
pub(super) async fn watch_orders(options: Options, seen: Arc<Mutex<Seen>>) {
    let mut after = 0;
    loop {
        if let Ok(client) = Client::connect(options.clone()).await
            && let Ok(mut events) = client.orders().watch(Some(after), OrderScope::Own).await
        {
            while let Ok(Some(batch)) = events.next().await {
                seen.lock().unwrap().orders.extend(batch);
                after = events.through().unwrap_or(after);
            }
            after = events.through().unwrap_or(after);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Everything about its executions.
pub(super) async fn watch_executions(options: Options, seen: Arc<Mutex<Seen>>) {
    let mut after = 0;
    loop {
        if let Ok(client) = Client::connect(options.clone()).await
            && let Ok(mut events) =
                client.orders().watch_executions(Some(after), OrderScope::Own).await
        {
            while let Ok(Some(batch)) = events.next().await {
                seen.lock().unwrap().executions.extend(batch);
                after = events.through().unwrap_or(after);
            }
            after = events.through().unwrap_or(after);
        }
        tokio::time::sleep(AGAIN).await;
    }
}
