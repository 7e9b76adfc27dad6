//! Each rule, with what passes it and what does not.

mod combinations;
mod exercises;
mod prices;

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
    let contracts = contracts();
    let mut known = Known {
        name: "m",
        accounts: &accounts[..2],
        open_orders: 0,
        last_minute: 0,
        quote: Some(100.0),
        contracts: &contracts,
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
    refused(check(&settings, principal, known, &stock(), &order))
}

/// Of this contract instead of the stock.
fn refusal_of(
    principal: &Principal,
    contract: &tws::Contract,
    change: impl Fn(&mut tws::Order),
) -> Option<String> {
    let (accounts, contracts) = (["DU0000001".to_owned()], contracts());
    let known = Known {
        name: "m",
        accounts: &accounts,
        open_orders: 0,
        last_minute: 0,
        quote: Some(100.0),
        contracts: &contracts,
    };
    let settings = TradingSettings { enabled: true, ..Default::default() };
    let mut order = order();
    change(&mut order);
    refused(check(&settings, principal, known, contract, &order))
}

/// What Gateway has told.
fn contracts() -> Contracts {
    let mut contracts = Contracts::default();
    for (con_id, symbol, sec_type, multiplier) in [
        (1, "AAPL", "STK", None),
        (2, "MSFT", "STK", None),
        (3, "AAPL", "OPT", Some(100.0)),
        (4, "MBT", "FUT", Some(0.1)),
    ] {
        contracts.learn(&tws::Contract {
            con_id: Some(con_id),
            symbol: Some(symbol.into()),
            sec_type: Some(sec_type.into()),
            multiplier,
            ..Default::default()
        });
    }
    contracts
}

fn with_con_id(con_id: i32) -> tws::Contract {
    tws::Contract { con_id: Some(con_id), ..stock() }
}

fn refused(checked: Result<(), Error>) -> Option<String> {
    checked.err().map(|error| {
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
    for refused in [&other, &none, &group] {
        assert!(refused.contains("clients.m.accounts = [DU***001]"), "{refused}");
    }
    let clearing = refusal(&one, |order, _, _| order.clearing_account = Some("DU0000002".into()));
    assert!(clearing.unwrap().contains("clearing_account DU***002"));
    assert_eq!(
        refusal(&one, |order, _, _| order.clearing_account = Some("DU0000001".into())),
        None
    );
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
    assert!(refused.unwrap().contains(
        "U0***001 is a live account of the login that is not in trading.live_accounts = []"
    ));
    // Of accounts that are not its own a client hears how many there are.
    let own = Principal { accounts: vec!["U0000001".into()], ..any.clone() };
    let refused = refusal(&own, |order, _, settings| {
        live(order);
        settings.allow_live = true;
        settings.live_accounts = vec!["U0000002".into(), "U0000003".into()];
    });
    assert!(refused.unwrap().contains("trading.live_accounts = [2 that this client does not see]"));
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
    assert_eq!(refusal(&list(&["STK"], &["AAPL"]), |_, _, _| {}), None);
    assert!(refusal(&list(&["OPT"], &[]), |_, _, _| {}).unwrap().contains("security_types"));
    assert!(refusal(&list(&[], &["MSFT"]), |_, _, _| {}).unwrap().contains("clients.m.symbols"));
}

#[test]
fn words_beside_what_gateway_goes_by_prove_nothing() {
    let listed = list(&["STK"], &["AAPL"]);
    let refusal = |contract: &tws::Contract| refusal_of(&listed, contract, |_| {});
    assert_eq!(refusal(&with_con_id(1)), None);
    assert!(refusal(&with_con_id(2)).unwrap().contains("symbol \"MSFT\" is not in"));
    assert!(refusal(&with_con_id(3)).unwrap().contains("security type \"OPT\""));
    assert!(refusal(&with_con_id(9)).unwrap().contains("GetContractDetails"));
    for (field, contract) in [
        ("local_symbol", tws::Contract { local_symbol: Some("MSFT".into()), ..stock() }),
        ("sec_id", tws::Contract { sec_id: Some("US5949181045".into()), ..stock() }),
        ("issuer_id", tws::Contract { issuer_id: Some("e1".into()), ..stock() }),
    ] {
        assert!(refusal(&contract).unwrap().contains(field), "{field}");
    }
    let delta = Some(tws::DeltaNeutralContract { con_id: Some(2), ..Default::default() });
    let delta = tws::Contract { delta_neutral_contract: delta, ..stock() };
    assert!(refusal(&delta).unwrap().contains("delta_neutral_contract"));
    for change in [
        (|order| order.delta_neutral_con_id = Some(2)) as fn(&mut tws::Order),
        |order| order.delta_neutral_order_type = Some("MKT".into()),
        |order| order.delta_neutral_aux_price = Some(1.0),
    ] {
        for listed in [list(&["STK"], &[]), list(&[], &["AAPL"])] {
            let refused = refusal_of(&listed, &stock(), change).unwrap();
            assert!(refused.contains("delta neutral") && refused.contains(" = ["), "{refused}");
        }
    }
    let none = |order: &mut tws::Order| order.delta_neutral_order_type = Some("None".into());
    assert_eq!(refusal_of(&listed, &stock(), none), None, "as Gateway tells it");
    let any = Principal { role: Role::Trade, ..Default::default() };
    assert_eq!(refusal_of(&any, &with_con_id(9), |_| {}), None, "nothing is limited");
}

fn list(types: &[&str], symbols: &[&str]) -> Principal {
    Principal {
        role: Role::Trade,
        security_types: types.iter().map(|one| (*one).to_owned()).collect(),
        symbols: symbols.iter().map(|one| (*one).to_owned()).collect(),
        ..Default::default()
    }
}

#[test]
fn no_words_make_an_order_worth_less() {
    let limits = OrderLimits { notional: Some(1000.0), ..Default::default() };
    let limited = Principal { role: Role::Trade, limits, ..Default::default() };
    // At the quote of 100 that is 1 100.
    let refusal = |contract: &tws::Contract, change: fn(&mut tws::Order)| {
        refusal_of(&limited, contract, |order| {
            order.total_quantity = Some("11".into());
            change(order);
        })
    };
    let cheap: fn(&mut tws::Order) = |order| order.lmt_price = Some(90.0);
    assert_eq!(refusal(&stock(), cheap), None, "bought at 90 at worst");
    for (what, contract, change) in [
        (
            "a sale below the market",
            stock(),
            (|order| {
                order.action = Some("SELL".into());
                order.lmt_price = Some(0.01);
            }) as fn(&mut tws::Order),
        ),
        ("a stop that triggers at once", stock(), |order| {
            order.order_type = Some("stp".into());
            order.lmt_price = None;
            order.aux_price = Some(0.01);
        }),
        ("a price and less cash", stock(), |order| order.cash_qty = Some(0.01)),
        ("a price and what it may pay besides", stock(), |order| {
            order.lmt_price = Some(90.0);
            order.discretionary_amt = Some(10.0);
        }),
        ("a multiplier", tws::Contract { multiplier: Some(0.001), ..stock() }, |_| {}),
        ("the multiplier of an option", with_con_id(3), |order| order.lmt_price = Some(1.0)),
    ] {
        let refused = refusal(&contract, change).unwrap_or_else(|| panic!("{what}"));
        assert!(refused.contains("max_notional = 1000"), "{what}: {refused}");
    }
    let future = tws::Contract { sec_type: Some("FUT".into()), ..with_con_id(4) };
    assert_eq!(refusal(&future, |_| {}), None, "a tenth of 1 100, as Gateway says");
    let words = tws::Contract { con_id: None, multiplier: Some(0.1), ..future };
    assert!(refusal(&words, |_| {}).unwrap().contains("multiplier"));
}

#[test]
fn a_size_that_gateway_computes_is_over_every_limit() {
    let quantity = OrderLimits { quantity: Some(10.0), ..Default::default() };
    let notional = OrderLimits { notional: Some(1000.0), ..Default::default() };
    let limited = |limits| Principal { role: Role::Trade, limits, ..Default::default() };
    let none: fn(&mut tws::Order) = |order| order.total_quantity = None;
    for (what, change) in [
        ("nothing", none),
        ("a hedge", |order| order.hedge_type = Some("D".into())),
        ("a share of what there is", |order| order.fa_percentage = Some("50".into())),
        ("a delta neutral order", |order| order.delta_neutral_order_type = Some("MKT".into())),
    ] {
        for limits in [&quantity, &notional] {
            let refused = refusal_of(&limited(limits.clone()), &stock(), change);
            let refused = refused.unwrap_or_else(|| panic!("{what}"));
            assert!(refused.contains("cannot be measured"), "{refused}");
        }
    }
    let cash: fn(&mut tws::Order) = |order| {
        order.total_quantity = None;
        order.cash_qty = Some(999.0);
    };
    assert!(refusal_of(&limited(quantity), &stock(), cash).is_some());
    assert_eq!(refusal_of(&limited(notional), &stock(), cash), None);
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
    // A limit order without a limit, and a limit that says nothing in this type of order.
    assert!(sell(f64::MAX).unwrap().contains("no limit price"));
    for kind in ["STP", "mkt"] {
        let told = refusal(&band, |order, _, _| {
            order.action = Some("SELL".into());
            order.order_type = Some(kind.into());
            order.lmt_price = Some(0.0);
        });
        assert_eq!(told, None, "{kind}");
    }
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
