//! What may be wished, and which wishes are the same.

use prost::Message as _;

use super::*;
use crate::fields::field;

fn request(symbol: &str, generic: &str) -> tws::MarketDataRequest {
    tws::MarketDataRequest {
        contract: Some(tws::Contract { symbol: Some(symbol.into()), ..Default::default() }),
        generic_tick_list: Some(generic.into()),
        ..Default::default()
    }
}

#[test]
fn requests_that_mean_the_same_are_the_same_bytes() {
    let first = Wanted::market_data(request("AAPL", "233,106"), 0).unwrap();
    let mut same = request("AAPL", "106, 233,233");
    same.req_id = Some(7);
    same.contract.as_mut().unwrap().exchange = Some(String::new());
    same.contract.as_mut().unwrap().con_id = Some(0);
    assert_eq!(Wanted::market_data(same, 1).unwrap(), first);
    let other = Wanted::market_data(request("AAPL", "233"), 1).unwrap();
    assert_ne!(other.body, first.body);
}

/// Each kind twice: as little as can be said, and the same with nothing written out.
fn twice(nothing: bool) -> Vec<Wanted> {
    let text = || nothing.then(String::new);
    let no = || nothing.then_some(false);
    let number = || nothing.then_some(0);
    let req_id = nothing.then_some(7);
    let contract = Some(tws::Contract {
        con_id: number(),
        symbol: Some("AAPL".into()),
        right: text(),
        strike: nothing.then_some(0.0),
        issuer_id: text(),
        description: text(),
        combo_legs_descrip: text(),
        last_trade_date: text(),
        include_expired: no(),
        ..Default::default()
    });
    let account = || Some("DU0000001".to_owned());
    let depth = |smart: Option<bool>| {
        Wanted::market_depth(tws::MarketDepthRequest {
            req_id,
            contract: contract.clone(),
            num_rows: nothing.then_some(5),
            is_smart_depth: smart,
            ..Default::default()
        })
    };
    let bars = tws::HistoricalDataRequest {
        req_id,
        contract: contract.clone(),
        end_date_time: text(),
        bar_size_setting: Some("1 hour".into()),
        duration: Some("1 D".into()),
        use_rth: no(),
        what_to_show: nothing.then(|| "TRADES".into()),
        format_date: nothing.then_some(1),
        keep_up_to_date: nothing.then_some(true),
        ..Default::default()
    };
    let scanner = tws::ScannerSubscription {
        number_of_rows: nothing.then_some(-1),
        instrument: Some("STK".into()),
        location_code: Some("STK.US.MAJOR".into()),
        scan_code: Some("TOP_PERC_GAIN".into()),
        moody_rating_above: text(),
        maturity_date_below: text(),
        exclude_convertible: no(),
        scanner_setting_pairs: text(),
        stock_type_filter: text(),
        ..Default::default()
    };
    [
        Wanted::market_data(
            tws::MarketDataRequest {
                req_id,
                contract: contract.clone(),
                generic_tick_list: text(),
                snapshot: no(),
                regulatory_snapshot: no(),
                ..Default::default()
            },
            i32::from(!nothing),
        ),
        depth(no()),
        depth(Some(true)),
        Wanted::tick_by_tick(tws::TickByTickRequest {
            req_id,
            contract: contract.clone(),
            tick_type: Some("BidAsk".into()),
            number_of_ticks: number(),
            ignore_size: no(),
        }),
        Wanted::real_time_bars(tws::RealTimeBarsRequest {
            req_id,
            contract: contract.clone(),
            bar_size: number(),
            what_to_show: nothing.then(|| "TRADES".into()),
            use_rth: no(),
            ..Default::default()
        }),
        Wanted::historical_bars(bars),
        Wanted::account_summary(tws::AccountSummaryRequest { req_id, group: text(), tags: text() }),
        Wanted::account_updates("DU0000001"),
        Wanted::account_updates_multi(tws::AccountUpdatesMultiRequest {
            req_id,
            account: account(),
            model_code: text(),
            ledger_and_nlv: no(),
        }),
        Ok(Wanted::positions()),
        Wanted::positions_multi(tws::PositionsMultiRequest {
            req_id,
            account: account(),
            model_code: text(),
        }),
        Wanted::pnl(tws::PnLRequest { req_id, account: account(), model_code: text() }),
        Wanted::pnl_single(tws::PnLSingleRequest {
            req_id,
            account: account(),
            model_code: text(),
            con_id: Some(265_598),
        }),
        Ok(Wanted::news_bulletins()),
        Wanted::scanner(tws::ScannerSubscriptionRequest {
            req_id,
            scanner_subscription: Some(scanner),
        }),
    ]
    .into_iter()
    .map(Result::unwrap)
    .collect()
}

#[test]
fn of_every_kind_what_is_left_out_and_what_is_said_to_be_nothing_are_the_same() {
    let (short, long) = (twice(false), twice(true));
    let kinds: Vec<_> = short.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, kind::ALL, "each kind is here");
    for (short, long) in short.iter().zip(&long) {
        assert_eq!(short, long, "{}", short.kind.name);
    }
    // What stands in for account updates is shared with whoever asks for it by its name.
    let updates = Wanted::account_updates("DU0000001").unwrap();
    for instead in Wanted::instead_of_updates(&updates) {
        assert!(short.contains(&instead), "{}", instead.kind.name);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_field() {
    let snapshot = tws::MarketDataRequest { snapshot: Some(true), ..request("AAPL", "") };
    for (result, word) in [
        (Wanted::market_data(tws::MarketDataRequest::default(), 1), "contract"),
        (Wanted::market_data(request("AAPL", "106;"), 1), "generic_tick_list"),
        (Wanted::market_data(request("AAPL", ""), 9), "feed"),
        (Wanted::market_data(snapshot, 1), "GetSnapshot"),
        (Wanted::pnl(tws::PnLRequest::default()), "account"),
        (Wanted::scanner(tws::ScannerSubscriptionRequest::default()), "scanner_subscription"),
        (
            Wanted::tick_by_tick(tws::TickByTickRequest {
                contract: request("AAPL", "").contract,
                tick_type: Some("last".into()),
                ..Default::default()
            }),
            "AllLast",
        ),
    ] {
        let message = result.unwrap_err().message;
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn summaries_share_all_tags_and_each_client_gets_its_own() {
    let tags = |tags: &str| {
        let request = tws::AccountSummaryRequest { tags: Some(tags.into()), ..Default::default() };
        Wanted::account_summary(request).unwrap()
    };
    let (one, all) = (tags("NetLiquidation, BuyingPower"), tags(""));
    assert_eq!(one.body, all.body);
    let value = tws::AccountSummary { tag: Some("SMA".into()), ..Default::default() };
    let body = value.encode_to_vec();
    assert!(!one.filter.passes(field::ACCOUNT_SUMMARY, &body));
    assert!(all.filter.passes(field::ACCOUNT_SUMMARY, &body));
    assert!(one.filter.passes(field::ACCOUNT_SUMMARY_END, &[]));

    // With the ledger come its own tags, in the currency that is asked for, and no other's.
    let passes = |wanted: &str, tag: &str, currency: &str| {
        let value = tws::AccountSummary {
            tag: Some(tag.into()),
            currency: Some(currency.into()),
            ..Default::default()
        };
        tags(wanted).filter.passes(field::ACCOUNT_SUMMARY, &value.encode_to_vec())
    };
    for (wanted, tag, currency, expected) in [
        ("$LEDGER:ALL", "CashBalance", "EUR", true),
        ("$LEDGER:ALL", "AccruedCash", "USD", true),
        ("$LEDGER:ALL", "NetLiquidation", "USD", false),
        ("$LEDGER:ALL,NetLiquidation", "NetLiquidation", "USD", true),
        ("$LEDGER:USD", "CashBalance", "EUR", false),
        ("$LEDGER:USD", "CashBalance", "USD", true),
        ("$LEDGER", "CashBalance", "BASE", true),
        ("NetLiquidation", "CashBalance", "USD", false),
    ] {
        assert_eq!(passes(wanted, tag, currency), expected, "{tag} {currency} of {wanted}");
    }
}
