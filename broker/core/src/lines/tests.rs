//! What is shared, what is allowed, and how lines are found.

use ibouncer_proto::tws::v1::{AccountSummaryRequest, Contract, MarketDataRequest};

use super::*;

fn wanted(symbol: &str, feed: i32) -> Wanted {
    let contract = Contract { symbol: Some(symbol.into()), ..Default::default() };
    let request = MarketDataRequest { contract: Some(contract), ..Default::default() };
    Wanted::market_data(request, feed).unwrap()
}

fn lines(lines: u32) -> Lines {
    Lines::new(&PacingSettings { lines, ..PacingSettings::default() })
}

#[test]
fn equal_wishes_share_a_line_and_types_of_data_do_not() {
    let mut lines = lines(10);
    let slot = lines.open(ClientId(1), wanted("AAPL", 1)).unwrap();
    assert_eq!(lines.find(&wanted("AAPL", 1)), Some(slot));
    assert_eq!(lines.find(&wanted("AAPL", 3)), None);
    assert_eq!(lines.find(&wanted("MSFT", 1)), None);
    let private = Wanted { private: true, ..wanted("AAPL", 1) };
    assert_eq!(lines.find(&private), None);
    assert_ne!(lines.open(ClientId(1), private), Ok(slot));
}

#[test]
fn allowances_hold_and_a_closed_slot_is_free() {
    let mut lines = lines(1);
    let slot = lines.open(ClientId(1), wanted("AAPL", 1)).unwrap();
    let full = Full { allowance: Allowance::MarketData, limit: 1 };
    assert_eq!(lines.open(ClientId(1), wanted("MSFT", 1)), Err(full));
    // Other kinds have their own.
    lines.open(ClientId(1), Wanted::positions()).unwrap();
    for group in ["All", "A", "B"] {
        let group = Some(group.to_owned());
        let request = AccountSummaryRequest { group, ..Default::default() };
        let opened = lines.open(ClientId(1), Wanted::account_summary(request.clone()).unwrap());
        assert_eq!(opened.is_err(), request.group() == "B");
    }
    lines.close(slot);
    assert_eq!(lines.open(ClientId(1), wanted("MSFT", 1)), Ok(slot));
}

#[test]
fn messages_without_an_id_find_their_line() {
    use ibouncer_proto::tws::messages::id;
    let mut lines = lines(1);
    let slot = lines.open(ClientId(1), Wanted::positions()).unwrap();
    assert_eq!(lines.for_message(id::POSITION_END), Some(slot));
    assert_eq!(lines.only(&kind::POSITIONS).map(|(slot, _)| slot), Some(slot));
    lines.close(slot);
    assert_eq!(lines.for_message(id::POSITION_END), None);
}
