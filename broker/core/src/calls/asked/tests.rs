//! Requests that are refused, and those that are the same.

use super::*;

#[test]
fn requests_that_gateway_would_refuse_or_misread_are_refused_here() {
    for (result, word) in [
        (Asked::contract_details(tws::ContractDataRequest::default()), "contract"),
        (Asked::matching_symbols(tws::MatchingSymbolsRequest::default()), "pattern"),
        (Asked::option_parameters(tws::SecDefOptParamsRequest::default()), "underlying_symbol"),
        (Asked::market_rule(tws::MarketRuleRequest::default()), "market_rule_id"),
        (Asked::advisor_configuration(tws::FaRequest { fa_data_type: Some(2) }), "aliases"),
        (Asked::news_article(tws::NewsArticleRequest::default()), "provider_code"),
    ] {
        let message = result.unwrap_err().message;
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn what_is_left_out_and_what_is_said_to_be_nothing_are_equal() {
    let none = || Some(String::new());
    let contract = || Some(tws::Contract { con_id: Some(265_598), ..Default::default() });
    let ticks = |start_date_time, ignore_size| {
        Asked::historical_ticks(tws::HistoricalTicksRequest {
            contract: contract(),
            start_date_time,
            end_date_time: Some("20251128 12:00:00 UTC".into()),
            number_of_ticks: Some(10),
            what_to_show: Some("TRADES".into()),
            ignore_size,
            ..Default::default()
        })
    };
    assert_eq!(ticks(none(), Some(false)).unwrap(), ticks(None, None).unwrap());
    let options = |fut_fop_exchange| {
        Asked::option_parameters(tws::SecDefOptParamsRequest {
            underlying_symbol: Some("AAPL".into()),
            underlying_sec_type: Some("STK".into()),
            underlying_con_id: Some(265_598),
            fut_fop_exchange,
            ..Default::default()
        })
    };
    assert_eq!(options(none()).unwrap(), options(None).unwrap());
    let news = |text: Option<String>| {
        Asked::historical_news(tws::HistoricalNewsRequest {
            con_id: Some(265_598),
            provider_codes: Some("BRFG".into()),
            start_date_time: text.clone(),
            end_date_time: text,
            ..Default::default()
        })
    };
    assert_eq!(news(none()).unwrap(), news(None).unwrap());
    let events = |text: Option<String>, fill| {
        Asked::wsh_event_data(tws::WshEventDataRequest {
            filter: text.clone(),
            start_date: text.clone(),
            end_date: text,
            fill_portfolio: fill,
            ..Default::default()
        })
    };
    assert_eq!(events(none(), Some(false)), events(None, None));
}

#[test]
fn a_request_id_of_the_client_means_nothing() {
    let with = |req_id| {
        let contract = Some(tws::Contract { con_id: Some(265_598), ..Default::default() });
        Asked::contract_details(tws::ContractDataRequest { req_id, contract }).unwrap()
    };
    assert_eq!(with(Some(7)), with(None));
}
