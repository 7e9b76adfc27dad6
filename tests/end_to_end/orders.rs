//! Orders through the broker, each checked against the ledger of the simulated Gateway: what it
//! has is what is real, whatever anyone believes.
//!
//! - `flow`: from a call to its end; brackets, previews.
//! - `command_line`: the same by hand, and what it says of what may have left.
//! - `restarts`: five hundred orders while worker and broker are killed.
//! - `rights`: twenty clients, and what each may not.
//! - `brakes`: halts, disconnects, a lost IB, a full disk, a journal that does not fit.
//! - `adoption`: live orders, and the next broker.
//! - `rivals`: another order under one of our numbers.

mod adoption;
mod brakes;
mod command_line;
mod flow;
mod restarts;
mod rights;
mod rivals;

use std::time::{Duration, Instant};

use ibouncer_client::api::{NewOrder, OrderScope, OrderState};
use ibouncer_client::{Client, contract, order, tws};
use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Broker, BrokerPlan, Principal, Sim};
use serde_json::Value;

const TRADE: &str = "role = \"trade\"";

/// A simulator that has no orders yet, and does what it is told.
fn sim(flags: &[&str]) -> Sim {
    super::sim(&[&["--no-orders", "--control"], flags].concat())
}

/// A broker that takes orders from `alpha` and `beta`, and whose worker outlives it.
fn plan(sim: &Sim) -> BrokerPlan {
    let principals = [Principal::named("alpha", TRADE), Principal::named("beta", TRADE)];
    plan_for(sim, &principals)
}

fn plan_for(sim: &Sim, principals: &[Principal]) -> BrokerPlan {
    super::adoption::adopting(sim).trading(principals)
}

fn trading(sim: &Sim) -> Broker {
    let broker = plan(sim).start();
    broker.wait_trading();
    broker
}

/// An order that rests: nobody sells so low.
fn resting(name: &str) -> NewOrder {
    order::named(name, contract::stock("AAPL"), order::limit("BUY", "100", 1.0))
}

fn market(name: &str, quantity: &str) -> NewOrder {
    order::named(name, contract::stock("AAPL"), order::market("BUY", quantity))
}

/// What a change to this order asks for.
fn request(order: tws::Order) -> tws::PlaceOrderRequest {
    tws::PlaceOrderRequest {
        contract: Some(contract::stock("AAPL")),
        order: Some(order),
        ..Default::default()
    }
}

/// Looks until there is something.
async fn soon<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "after {PATIENCE:?} still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until an order of this client is in a state.
async fn state(client: &Client, name: &str, state: OrderState) -> ibouncer_client::api::Order {
    let orders = client.orders();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = orders.get("", name).await;
        match found {
            Ok(order) if order.state() == state => return order,
            other => assert!(
                Instant::now() < deadline,
                "after {PATIENCE:?} {name} is not {}: {other:?}",
                state.as_str_name()
            ),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Its orders, those that have ended too.
async fn all_of(client: &Client) -> Vec<ibouncer_client::api::Order> {
    client.orders().list(OrderScope::Own, true).await.unwrap().0
}

/// Entries of the broker's client id in a ledger.
fn ours(ledger: &Value) -> Vec<Value> {
    let mut orders = ledger["orders"].as_array().unwrap().clone();
    orders.retain(|entry| entry["client_id"] == 410);
    orders
}

/// The ledger as it is now.
fn ledger_now(sim: &mut Sim) -> Vec<Value> {
    let before = sim.named("ledger").len();
    sim.happen("ledger");
    ours(&sim.wait_count("ledger", before + 1)[before])
}

/// What Gateway has of an order id.
#[track_caller]
fn entry(ledger: &[Value], order_id: i32) -> &Value {
    let mut found = ledger.iter().filter(|entry| entry["order_id"] == order_id);
    let entry = found.next().unwrap_or_else(|| panic!("no order {order_id} in {ledger:#?}"));
    assert!(found.next().is_none(), "order {order_id} is there twice");
    entry
}
