//! Each rule, with what passes it and what does not.

use super::*;
use crate::principals::OrderLimits;

fn stock() -> tws::Contract {
    tws::Contract {
        symbol: Some("AAPL".into()),
        sec_type: Some("STK".into()),
        ..Default::default()
    }
}

fn order() -> tws::Order {
    tws::Order {
        action: Some("BUY".into()),
        order_type: Some("LMT".into()),
        total_quantity: Some("10".into()),
        lmt_price: Some(100.0),
        account: Some("DU0000001".into()),
        ..Default::default()
    }
}

fn refusal(
    principal: &Principal,
    change: impl Fn(&mut tws::Order, &mut Known<'_>, &mut TradingSettings),
) -> Option<String> {
    let accounts = ["DU0000001".to_owned(), "DU0000002".to_owned(), "U0000001".to_owned()];
    let mut known = Known {
        name: "m",
        accounts: &accounts[..2],
        open_orders: 0,
        last_minute: 0,
        quote: Some(100.0),
    };
    let mut settings = TradingSettings { enabled: true, ..Default::default() };
    let mut order = order();
    change(&mut order, &mut known, &mut settings);
    if order.account() == "U0000001" || order.account() == "live?" {
        known.accounts = &accounts;
        if order.account() == "live?" {
            order.account = None;
        }
    }
    check(&settings, principal, known, &stock(), &order).err().map(|error| {
        assert_eq!(error.delivery(), crate::error::Delivery::NotSent);
        error.message
    })
}

#[test]
fn a_right_that_is_not_given_is_refused_by_name() {
    let of = |accounts: &[&str]| Principal {
        role: Role::Trade,
        accounts: accounts.iter().map(|one| (*one).to_owned()).collect(),
        ..Default::default()
    };
    let any = of(&[]);
    let one = of(&["DU0000001"]);
    assert_eq!(refusal(&any, |_, _, _| {}), None);
    assert_eq!(refusal(&any, |order, _, _| order.account = None), None);
    let unknown = refusal(&any, |order, _, _| order.account = Some("DU9999999".into()));
    assert!(unknown.unwrap().contains("not of this login"));
    assert_eq!(refusal(&one, |_, _, _| {}), None);
    let other = refusal(&one, |order, _, _| order.account = Some("DU0000002".into())).unwrap();
    assert!(other.contains("clients.m.accounts") && !other.contains("DU0"), "{other}");
    let none = refusal(&one, |order, _, _| order.account = None).unwrap();
    assert!(none.contains("must name one account"), "{none}");
    let group = refusal(&one, |order, _, _| order.fa_group = Some("All".into())).unwrap();
    assert!(group.contains("fa_group"), "{group}");
}

#[test]
fn a_live_account_needs_both_switches() {
    let any = Principal { role: Role::Trade, ..Default::default() };
    let live = |order: &mut tws::Order| order.account = Some("U0000001".into());
    let refused = refusal(&any, |order, _, _| live(order)).unwrap();
    assert!(refused.contains("trading.allow_live"), "{refused}");
    let refused = refusal(&any, |order, _, settings| {
        live(order);
        settings.allow_live = true;
    });
    assert!(refused.unwrap().contains("trading.live_accounts"));
    let meant = |settings: &mut TradingSettings| {
        settings.allow_live = true;
        settings.live_accounts = vec!["U0000001".into()];
    };
    assert_eq!(
        refusal(&any, |order, _, settings| {
            live(order);
            meant(settings);
        }),
        None
    );
    let unnamed = |order: &mut tws::Order| order.account = Some("live?".into());
    assert!(refusal(&any, |order, _, _| unnamed(order)).is_some());
    assert_eq!(
        refusal(&any, |order, _, settings| {
            unnamed(order);
            meant(settings);
        }),
        None
    );
}

#[test]
fn instruments_outside_the_lists_are_refused() {
    let list = |types: &[&str], symbols: &[&str]| Principal {
        role: Role::Trade,
        security_types: types.iter().map(|one| (*one).to_owned()).collect(),
        symbols: symbols.iter().map(|one| (*one).to_owned()).collect(),
        ..Default::default()
    };
    assert_eq!(refusal(&list(&["STK"], &["AAPL"]), |_, _, _| {}), None);
    assert!(refusal(&list(&["OPT"], &[]), |_, _, _| {}).unwrap().contains("security_types"));
    assert!(refusal(&list(&[], &["MSFT"]), |_, _, _| {}).unwrap().contains("clients.m.symbols"));
}

#[test]
fn limits_hold_to_the_value_and_not_beyond() {
    let limited = |limits| Principal { role: Role::Trade, limits, ..Default::default() };
    let quantity = limited(OrderLimits { quantity: Some(10.0), ..Default::default() });
    assert_eq!(refusal(&quantity, |_, _, _| {}), None);
    let over = refusal(&quantity, |order, _, _| order.total_quantity = Some("11".into())).unwrap();
    assert!(over.contains("11") && over.contains("clients.m.max_quantity = 10"), "{over}");

    let notional = limited(OrderLimits { notional: Some(1000.0), ..Default::default() });
    assert_eq!(refusal(&notional, |_, _, _| {}), None);
    assert!(refusal(&notional, |order, _, _| order.lmt_price = Some(100.1)).is_some());
    let market = |order: &mut tws::Order| {
        order.order_type = Some("MKT".into());
        order.lmt_price = None;
    };
    assert_eq!(refusal(&notional, |order, _, _| market(order)), None);
    let blind = refusal(&notional, |order, known, _| {
        market(order);
        known.quote = None;
    });
    assert!(blind.unwrap().contains("no quote of AAPL"));
    assert!(refusal(&notional, |order, _, _| order.cash_qty = Some(1001.0)).is_some());

    let open = limited(OrderLimits { open_orders: Some(2), ..Default::default() });
    assert_eq!(refusal(&open, |_, known, _| known.open_orders = 1), None);
    assert!(refusal(&open, |_, known, _| known.open_orders = 2).is_some());

    let rate = limited(OrderLimits { orders_per_minute: Some(5), ..Default::default() });
    assert_eq!(refusal(&rate, |_, known, _| known.last_minute = 4), None);
    assert!(refusal(&rate, |_, known, _| known.last_minute = 5).is_some());

    let band = limited(OrderLimits { price_band: Some(5.0), ..Default::default() });
    assert_eq!(refusal(&band, |order, _, _| order.lmt_price = Some(104.9)), None);
    assert_eq!(refusal(&band, |order, _, _| order.lmt_price = Some(1.0)), None);
    assert!(refusal(&band, |order, _, _| order.lmt_price = Some(105.2)).is_some());
    let sell = |price| {
        refusal(&band, move |order, _, _| {
            order.action = Some("SELL".into());
            order.lmt_price = Some(price);
        })
    };
    assert!(sell(94.0).is_some() && sell(200.0).is_none());
}

#[test]
fn without_configuration_nobody_trades() {
    let off = TradingSettings::default();
    let on = TradingSettings { enabled: true, ..Default::default() };
    let observer = Principal::default();
    let trader = Principal { role: Role::Trade, ..Default::default() };
    assert_eq!(may_trade(&off, Some(("m", &trader))).unwrap_err().code, "TRADING_OFF");
    assert_eq!(may_trade(&on, None).unwrap_err().code, "RIGHT_DENIED");
    let refused = may_trade(&on, Some(("m", &observer))).unwrap_err();
    assert!(refused.message.contains("clients.m.role"), "{}", refused.message);
    assert!(may_trade(&on, Some(("m", &trader))).is_ok());
}
