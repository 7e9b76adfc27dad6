//! The twenty clients, and an order of each that is allowed.

use ibouncer_client::api::NewOrder;
use ibouncer_client::{contract, order, tws};
use ibouncer_tests::harness::Principal;

use super::{ONE, TWO};

/// Name and table of each.
pub(super) const CLIENTS: [(&str, &str); 20] = [
    ("watcher", "role = \"observe\""),
    ("watcher-one", "role = \"observe\"\naccounts = [\"DU0000001\"]"),
    ("one", "role = \"trade\"\naccounts = [\"DU0000001\"]"),
    ("two", "role = \"trade\"\naccounts = [\"DU0000002\"]"),
    ("both", "role = \"trade\"\naccounts = [\"DU0000001\", \"DU0000002\"]"),
    ("stocks", "role = \"trade\"\nsecurity_types = [\"STK\"]"),
    ("futures", "role = \"trade\"\nsecurity_types = [\"FUT\"]"),
    ("apple", "role = \"trade\"\nsymbols = [\"AAPL\"]"),
    ("tech", "role = \"trade\"\nsymbols = [\"AAPL\", \"MSFT\"]"),
    ("small", "role = \"trade\"\nmax_quantity = 10"),
    ("cheap", "role = \"trade\"\nmax_notional = 1000"),
    ("single", "role = \"trade\"\nmax_open_orders = 1"),
    ("slow", "role = \"trade\"\nmax_orders_per_minute = 1"),
    ("banded", "role = \"trade\"\nprice_band = 5.0"),
    ("options", "role = \"trade\"\nsecurity_types = [\"OPT\"]\nexercise = true"),
    ("boss", "role = \"admin\""),
    ("plain", "role = \"trade\""),
    ("other", "role = \"trade\""),
    (
        "narrow",
        "role = \"trade\"\naccounts = [\"DU0000001\"]\nsecurity_types = [\"STK\"]\n\
         symbols = [\"AAPL\"]\nmax_quantity = 5",
    ),
    ("alone", "role = \"trade\"\naccounts = [\"DU0000002\"]\nsymbols = [\"MSFT\"]"),
];

pub(super) fn all() -> Vec<Principal> {
    CLIENTS.iter().map(|(name, table)| Principal::with_token(name, table)).collect()
}

/// To buy at a price that nobody takes.
pub(super) fn bid(
    symbol: &str,
    quantity: &str,
    price: f64,
    account: &str,
) -> tws::PlaceOrderRequest {
    tws::PlaceOrderRequest {
        contract: Some(contract::stock(symbol)),
        order: Some(tws::Order {
            account: Some(account.to_owned()).filter(|account| !account.is_empty()),
            ..order::limit("BUY", quantity, price)
        }),
        ..Default::default()
    }
}

pub(super) fn named(name: &str, request: tws::PlaceOrderRequest) -> NewOrder {
    NewOrder { client_order_id: name.to_owned(), request: Some(request), ..Default::default() }
}

/// What each may, and does. The others are not here because there is nothing that they may, or
/// nothing that this Gateway has.
pub(super) fn allowed() -> Vec<(&'static str, NewOrder)> {
    [
        ("one", "own", bid("AAPL", "10", 1.0, ONE)),
        ("two", "own", bid("AAPL", "10", 1.0, TWO)),
        ("both", "first", bid("AAPL", "10", 1.0, ONE)),
        ("both", "second", bid("AAPL", "10", 1.0, TWO)),
        ("stocks", "own", bid("TSLA", "10", 1.0, ONE)),
        ("apple", "own", bid("AAPL", "10", 1.0, ONE)),
        ("tech", "own", bid("MSFT", "10", 1.0, ONE)),
        ("small", "own", bid("AAPL", "10", 1.0, ONE)),
        ("cheap", "own", bid("AAPL", "100", 10.0, ONE)),
        ("single", "own", bid("AAPL", "10", 1.0, ONE)),
        ("slow", "own", bid("AAPL", "10", 1.0, ONE)),
        ("banded", "own", bid("AAPL", "10", 1.0, ONE)),
        ("boss", "own", bid("AAPL", "10", 1.0, ONE)),
        ("plain", "own", bid("AAPL", "10", 1.0, ONE)),
        ("other", "own", bid("AAPL", "10", 1.0, TWO)),
        ("narrow", "own", bid("AAPL", "5", 1.0, ONE)),
        ("alone", "own", bid("MSFT", "10", 1.0, TWO)),
    ]
    .into_iter()
    .map(|(who, name, request)| (who, named(name, request)))
    .collect()
}
