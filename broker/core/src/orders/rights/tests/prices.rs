//! Whatever may become a price of an order counts, or the order is refused.

use super::*;

type Change = fn(&mut tws::Order);

/// Limited to a value of 5 000 in one order, with a quote of 100.
fn valued(change: Change) -> Option<String> {
    let limits = OrderLimits { notional: Some(5_000.0), ..Default::default() };
    refusal_of(&Principal { role: Role::Trade, limits, ..Default::default() }, &stock(), change)
}

/// Limited to 5 % on the wrong side of a quote of 100.
fn banded(change: Change) -> Option<String> {
    refusal_of(&band(), &stock(), change)
}

fn band() -> Principal {
    let limits = OrderLimits { price_band: Some(5.0), ..Default::default() };
    Principal { role: Role::Trade, limits, ..Default::default() }
}

fn sells(order: &mut tws::Order, kind: &str) {
    order.action = Some("SELL".into());
    typed(order, kind);
}

fn typed(order: &mut tws::Order, kind: &str) {
    order.order_type = Some(kind.into());
    order.lmt_price = None;
}

#[track_caller]
fn all_refused(refusal: fn(Change) -> Option<String>, cases: &[(&str, Change, &str)]) {
    for (what, change, why) in cases {
        let refused = refusal(*change).unwrap_or_else(|| panic!("{what} passes"));
        assert!(refused.contains(why), "{what}: {refused}");
        assert!(refused.contains(" = 5"), "the value of the rule: {refused}");
    }
}

#[test]
fn every_price_that_an_order_may_come_to_pay_makes_it_worth_more() {
    let over: &[(&str, Change, &str)] = &[
        ("an absurd limit", |order| order.lmt_price = Some(1e301), "is over"),
        ("an absurd size", |order| order.total_quantity = Some("1e308".into()), "is over"),
        (
            "a stop",
            |order| {
                typed(order, "STP");
                (order.total_quantity, order.aux_price) = (Some("40".into()), Some(200.0));
            },
            "a value of 8000",
        ),
        (
            "a trailing stop",
            |order| {
                typed(order, "TRAIL");
                (order.total_quantity, order.trail_stop_price) = (Some("40".into()), Some(200.0));
            },
            "a value of 8000",
        ),
        (
            "a trailing amount",
            |order| {
                typed(order, "TRAIL");
                (order.total_quantity, order.aux_price) = (Some("40".into()), Some(50.0));
            },
            "a value of 6000",
        ),
        (
            "a trailing percentage",
            |order| {
                typed(order, "TRAIL LIMIT");
                (order.total_quantity, order.trailing_percent) = (Some("40".into()), Some(50.0));
            },
            "a value of 6000",
        ),
        (
            "an offset from a trailing stop",
            |order| {
                typed(order, "TRAIL LIMIT");
                (order.total_quantity, order.lmt_price_offset) = (Some("40".into()), Some(50.0));
                order.trail_stop_price = Some(100.0);
            },
            "a value of 6000",
        ),
        (
            "a limit that is adjusted to a market order",
            |order| {
                order.total_quantity = Some("100".into());
                order.lmt_price = Some(1.0);
                order.adjusted_order_type = Some("MKT".into());
            },
            "a value of 10000",
        ),
        (
            "an adjusted stop",
            |order| {
                typed(order, "STP");
                (order.aux_price, order.adjusted_stop_price) = (Some(101.0), Some(600.0));
                order.adjusted_order_type = Some("STP".into());
            },
            "a value of 6000",
        ),
        (
            "an adjusted limit",
            |order| {
                typed(order, "STP");
                (order.aux_price, order.adjusted_stop_limit_price) = (Some(101.0), Some(900.0));
                order.adjusted_order_type = Some("STP LMT".into());
            },
            "a value of 9000",
        ),
        (
            "an adjusted trailing percentage",
            |order| {
                typed(order, "STP");
                (order.aux_price, order.adjusted_trailing_amount) = (Some(100.0), Some(500.0));
                order.adjustable_trailing_unit = Some(1);
                order.adjusted_order_type = Some("TRAIL".into());
            },
            "a value of 6000",
        ),
        (
            "an offset from the market",
            |order| {
                typed(order, "REL");
                order.aux_price = Some(500.0);
            },
            "is over",
        ),
        (
            "a percentage of the market",
            |order| {
                typed(order, "REL");
                order.percent_offset = Some(0.5);
            },
            "percent_offset",
        ),
        (
            "a volatility",
            |order| {
                typed(order, "VOL");
                order.volatility = Some(0.2);
            },
            "volatility",
        ),
        ("a model", |order| typed(order, "VOL"), "alone prices"),
        ("a scale", |order| order.scale_price_increment = Some(1.0), "scale"),
    ];
    all_refused(valued, over);
    let under: &[(&str, Change)] = &[
        ("a trailing sale", |order| {
            sells(order, "TRAIL");
            (order.total_quantity, order.aux_price) = (Some("50".into()), Some(20.0));
        }),
        ("a trailing purchase", |order| {
            typed(order, "TRAIL");
            (order.total_quantity, order.aux_price) = (Some("49".into()), Some(1.0));
        }),
        ("what Gateway tells of a limit order besides", |order| {
            (order.trail_stop_price, order.lmt_price) = (Some(900.0), Some(100.0));
            order.adjusted_order_type = Some("None".into());
            order.adjusted_stop_limit_price = Some(f64::MAX);
            order.volatility = Some(f64::MAX);
        }),
        ("no cash", |order| order.cash_qty = Some(f64::MAX)),
    ];
    for (what, change) in under {
        assert_eq!(valued(*change), None, "{what}");
    }
}

#[test]
fn no_number_times_nothing_is_worth_nothing() {
    for quantity in ["inf", "nan"] {
        let limits = OrderLimits { notional: Some(5_000.0), ..Default::default() };
        let limited = Principal { role: Role::Trade, limits, ..Default::default() };
        let refused = refusal_of(&limited, &stock(), |order| {
            order.total_quantity = Some(quantity.into());
            order.lmt_price = Some(0.0);
        });
        assert!(refused.is_some(), "{quantity}");
    }
    let multiplied = tws::Contract { multiplier: Some(f64::INFINITY), ..stock() };
    let limits = OrderLimits { notional: Some(5_000.0), ..Default::default() };
    let limited = Principal { role: Role::Trade, limits, ..Default::default() };
    let refused = refusal_of(&limited, &multiplied, |order| order.lmt_price = Some(0.0));
    assert!(refused.is_some());
}

#[test]
fn every_limit_that_an_order_may_come_to_have_is_within_the_band() {
    let over: &[(&str, Change, &str)] = &[
        ("a limit beyond all numbers", |order| order.lmt_price = Some(1.7e308), "is over"),
        (
            "a sale for less than nothing",
            |order| {
                sells(order, "LMT");
                order.lmt_price = Some(-1e301);
            },
            "is over",
        ),
        (
            "what it may pay besides",
            |order| {
                (order.lmt_price, order.discretionary_amt) = (Some(100.0), Some(50.0));
            },
            "a limit of 150, 50 %",
        ),
        (
            "what it may take less",
            |order| {
                sells(order, "LMT");
                (order.lmt_price, order.discretionary_amt) = (Some(100.0), Some(50.0));
            },
            "a limit of 50, 50 %",
        ),
        (
            "below a trailing stop",
            |order| {
                sells(order, "TRAIL LIMIT");
                (order.trail_stop_price, order.lmt_price_offset) = (Some(99.0), Some(50.0));
            },
            "a limit of 49, 51 %",
        ),
        (
            "below a stop that follows from the market",
            |order| {
                sells(order, "TRAIL LIMIT");
                (order.aux_price, order.lmt_price_offset) = (Some(4.0), Some(2.0));
            },
            "a limit of 94, 6 %",
        ),
        ("a trailing limit without one", |order| typed(order, "TRAIL LIMIT"), "neither"),
        (
            "an adjusted limit",
            |order| {
                sells(order, "STP");
                (order.aux_price, order.adjusted_stop_limit_price) = (Some(99.0), Some(1.0));
                order.adjusted_order_type = Some("STP LMT".into());
            },
            "a limit of 1, 99 %",
        ),
        (
            "an adjusted limit of nothing",
            |order| {
                sells(order, "STP");
                order.adjusted_order_type = Some("STP LMT".into());
            },
            "after its adjustment",
        ),
        (
            "an offset from an adjusted stop",
            |order| {
                sells(order, "STP");
                (order.adjusted_stop_price, order.lmt_price_offset) = (Some(98.0), Some(50.0));
                order.adjusted_order_type = Some("TRAIL LIMIT".into());
            },
            "a limit of 48, 52 %",
        ),
        (
            "an adjustment to something else",
            |order| {
                sells(order, "STP");
                order.adjusted_order_type = Some("REL".into());
            },
            "not known",
        ),
        (
            "an offset from the market",
            |order| {
                typed(order, "REL");
                order.aux_price = Some(50.0);
            },
            "a limit of 150, 50 %",
        ),
        (
            "a percentage of the market",
            |order| {
                typed(order, "REL");
                (order.lmt_price, order.percent_offset) = (Some(100.0), Some(0.5));
            },
            "percent_offset",
        ),
        (
            "a benchmark",
            |order| {
                typed(order, "PEG BENCH");
                order.starting_price = Some(500.0);
            },
            "starting_price",
        ),
        (
            "a volatility",
            |order| {
                typed(order, "VOL");
                order.volatility = Some(0.2);
            },
            "volatility",
        ),
        ("a model", |order| typed(order, "VOL"), "alone prices"),
        ("what is not known", |order| typed(order, "XYZ"), "alone prices"),
        ("a scale", |order| order.scale_price_adjust_value = Some(50.0), "scale"),
        ("a table of prices", |order| order.scale_table = Some("100,1".into()), "scale"),
        (
            "a hedge at its own price",
            |order| {
                order.delta_neutral_aux_price = Some(900.0);
            },
            "delta neutral",
        ),
    ];
    all_refused(banded, over);
    let within: &[(&str, Change)] = &[
        ("exactly at it", |order| order.lmt_price = Some(105.0)),
        ("exactly at it below", |order| {
            sells(order, "LMT");
            order.lmt_price = Some(95.0);
        }),
        ("a little discretion", |order| {
            (order.lmt_price, order.discretionary_amt) = (Some(104.0), Some(0.5));
        }),
        ("a trailing limit", |order| {
            sells(order, "TRAIL LIMIT");
            (order.trail_stop_price, order.lmt_price_offset) = (Some(97.0), Some(1.0));
        }),
        ("a trailing stop", |order| {
            sells(order, "TRAIL");
            order.aux_price = Some(50.0);
        }),
        ("the quote's own price", |order| typed(order, "SNAP MKT")),
        ("the midpoint", |order| {
            typed(order, "PEG BEST");
            order.compete_against_best_offset = Some(f64::INFINITY);
        }),
        ("an adjustment to a trailing stop", |order| {
            sells(order, "STP");
            (order.aux_price, order.adjusted_trailing_amount) = (Some(90.0), Some(5.0));
            order.adjusted_order_type = Some("TRAIL".into());
        }),
        ("what Gateway tells of a market order besides", |order| {
            order.order_type = Some("MKT".into());
            (order.lmt_price, order.aux_price) = (Some(0.0), Some(0.0));
            (order.trail_stop_price, order.lmt_price_offset) = (Some(f64::MAX), Some(f64::MAX));
        }),
    ];
    for (what, change) in within {
        assert_eq!(banded(*change), None, "{what}");
    }
}

#[test]
fn a_limit_at_the_band_passes_at_every_quote_and_a_tick_beyond_it_does_not() {
    let contracts = contracts();
    let settings = TradingSettings { enabled: true, ..Default::default() };
    for cents in (1..200_000).step_by(37) {
        let quote = f64::from(cents) / 100.0;
        let known = Known {
            name: "m",
            accounts: &["DU0000001".to_owned()],
            open_orders: 0,
            last_minute: 0,
            quote: Some(quote),
            contracts: &contracts,
        };
        for (limit, passes) in [(quote * 1.05, true), (quote * 1.0501, false)] {
            let order = tws::Order { lmt_price: Some(limit), ..order() };
            let checked = check(&settings, &band(), known, &stock(), &order);
            assert_eq!(checked.is_ok(), passes, "{limit} at {quote}");
            if let Err(error) = checked {
                let said = format!("the quote {quote}, is over clients.m.price_band = 5 %");
                assert!(error.message.len() < 200, "{}", error.message);
                assert!(error.message.contains(&said), "{}", error.message);
            }
        }
    }
}

#[test]
fn a_combination_with_prices_of_its_legs_has_no_band() {
    let legs = |price| tws::Contract {
        sec_type: Some("BAG".into()),
        combo_legs: vec![tws::ComboLeg {
            con_id: Some(1),
            per_leg_price: price,
            ..Default::default()
        }],
        ..stock()
    };
    assert_eq!(refusal_of(&band(), &legs(None), |_| {}), None);
    assert!(refusal_of(&band(), &legs(Some(900.0)), |_| {}).unwrap().contains("legs"));
}
