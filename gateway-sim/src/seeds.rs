//! What an account holds, has ordered and has traded when the simulator starts.
//!
//! Only data. The usual seeds are a few of each kind that clients meet: positions of every
//! security type, orders of ours, of others and by hand, executions of all of these.

/// A position.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedPosition {
    /// Which of the accounts, from 0; without such an account there is no position.
    pub account: usize,
    /// Symbol of an instrument that the simulator knows.
    pub symbol: String,
    /// Its type; of `OPT` the call at the money that lasts longest.
    pub sec_type: String,
    /// Negative if it is short.
    pub quantity: f64,
    /// What one unit has cost, multiplier included.
    pub average_cost: f64,
}

/// Who gave an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedOwner {
    /// The client whose orders are ours: see `GatewayConfig::own_client_id`.
    Own,
    /// Another API client.
    Client(i32),
    /// A person at a screen: order id 0, or 2147483647 in executions.
    Manual,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedState {
    /// It works.
    Submitted,
    /// It was filled, and is completed.
    Filled,
    /// It was cancelled, and is completed.
    Cancelled,
}

/// An order.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedOrder {
    /// Who gave it.
    pub owner: SeedOwner,
    /// Its order id; of a manual one 0.
    pub order_id: i32,
    /// Its permanent id.
    pub perm_id: i64,
    /// Which of the accounts, from 0; without such an account there is no order.
    pub account: usize,
    /// Symbol of a stock.
    pub symbol: String,
    /// Buy, or else sell.
    pub buy: bool,
    /// How much.
    pub quantity: u32,
    /// Its limit.
    pub limit_price: f64,
    /// How far it is.
    pub state: SeedState,
    /// Its reference.
    pub order_ref: String,
}

/// An execution. Its order need not be among the orders.
#[derive(Debug, Clone, PartialEq)]
pub struct SeedExecution {
    /// Who gave the order.
    pub owner: SeedOwner,
    /// The order's id.
    pub order_id: i32,
    /// The order's permanent id.
    pub perm_id: i64,
    /// Which of the accounts, from 0; without such an account there is no execution.
    pub account: usize,
    /// Symbol of a stock.
    pub symbol: String,
    /// Bought, or else sold.
    pub bought: bool,
    /// How much.
    pub quantity: u32,
    /// At which price.
    pub price: f64,
    /// How many seconds before the start of the simulator.
    pub seconds_ago: u32,
}

/// The positions of a simulator that is told nothing else.
pub(crate) fn usual_positions() -> Vec<SeedPosition> {
    let position = |account, symbol: &str, sec_type: &str, quantity, average_cost| SeedPosition {
        account,
        symbol: symbol.to_owned(),
        sec_type: sec_type.to_owned(),
        quantity,
        average_cost,
    };
    vec![
        position(0, "AAPL", "STK", 100.0, 198.42),
        position(0, "MSFT", "STK", 50.0, 401.17),
        position(0, "TSLA", "STK", -20.0, 351.90),
        position(0, "ES", "FUT", 1.0, 295_112.50),
        position(0, "EUR", "CASH", 10_000.0, 1.0481),
        position(0, "AAPL", "OPT", 2.0, 812.35),
        position(1, "NVDA", "STK", 200.0, 117.05),
        position(1, "AAPL", "STK", 10.0, 223.80),
        position(2, "SPY", "STK", 30.0, 570.25),
    ]
}

/// The orders of a simulator that is told nothing else.
pub(crate) fn usual_orders() -> Vec<SeedOrder> {
    use SeedOwner::{Client, Manual, Own};
    use SeedState::{Cancelled, Filled, Submitted};
    let order = |owner, order_id, perm_id, symbol: &str, buy, quantity, limit_price, state| {
        let (account, symbol, order_ref) = (0, symbol.to_owned(), "sim".to_owned());
        SeedOrder {
            owner,
            order_id,
            perm_id,
            account,
            symbol,
            buy,
            quantity,
            limit_price,
            state,
            order_ref,
        }
    };
    vec![
        order(Own, 101, 700_000_101, "AAPL", true, 10, 150.0, Submitted),
        order(Own, 102, 700_000_102, "MSFT", false, 5, 600.0, Submitted),
        order(Client(55), 3, 700_000_103, "NVDA", true, 20, 90.0, Submitted),
        order(Manual, 0, 700_000_104, "TSLA", false, 15, 480.0, Submitted),
        order(Own, 99, 700_000_099, "AAPL", true, 100, 232.0, Filled),
        order(Client(55), 2, 700_000_098, "MSFT", true, 50, 300.0, Cancelled),
        order(Manual, 0, 700_000_097, "TSLA", false, 20, 340.0, Filled),
    ]
}

/// The executions of a simulator that is told nothing else.
pub(crate) fn usual_executions() -> Vec<SeedExecution> {
    use SeedOwner::{Client, Manual, Own};
    let execution =
        |owner, order_id, perm_id, symbol: &str, bought, quantity, price, seconds_ago| {
            let (account, symbol) = (0, symbol.to_owned());
            SeedExecution {
                owner,
                order_id,
                perm_id,
                account,
                symbol,
                bought,
                quantity,
                price,
                seconds_ago,
            }
        };
    vec![
        execution(Own, 99, 700_000_099, "AAPL", true, 60, 231.10, 3000),
        execution(Own, 99, 700_000_099, "AAPL", true, 40, 231.15, 2990),
        execution(Client(55), 1, 700_000_096, "NVDA", true, 20, 137.80, 2400),
        execution(Manual, i32::MAX, 700_000_097, "TSLA", false, 20, 341.25, 1800),
    ]
}
