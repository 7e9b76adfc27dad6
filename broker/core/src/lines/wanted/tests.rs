//! What may be wished, and which wishes are the same.

use super::*;

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
}
