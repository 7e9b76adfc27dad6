//! The services of the read side, with fixed answers: just enough to see that each call of the
//! client reaches the right method and hands out the right body.

use ibouncer_client::{api, tws};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response};

use super::market_data::no_such_security;
use super::stubs::{
    account_service_server, contract_service_server, history_service_server, news_service_server,
    order_service_server, scanner_service_server,
};
use super::{Answer, Answers, Calls};

/// A service whose calls answer what a function makes of the request, and whose streams send
/// what a function makes of it and then stay open.
macro_rules! service {
    (
        $service:path,
        calls { $($call:ident: $question:ident => $answer:ident, $make:expr;)* }
        streams { $($stream:ident, $kind:ident: $asked:ident => $told:ident, $send:expr;)* }
    ) => {
        #[tonic::async_trait]
        impl $service for Calls {
            $(
                async fn $call(&self, request: Request<api::$question>) -> Answer<api::$answer> {
                    let make: fn(api::$question) -> Result<api::$answer, tonic::Status> = $make;
                    make(request.into_inner()).map(Response::new)
                }
            )*
            $(
                type $kind = Answers<api::$told>;

                async fn $stream(&self, request: Request<api::$asked>) -> Answer<Self::$kind> {
                    let send: fn(api::$asked) -> Vec<_> = $send;
                    let mut answer = api::$told::default();
                    answer.events = send(request.into_inner());
                    let stream = tokio_stream::once(Ok(answer)).chain(tokio_stream::pending());
                    Ok(Response::new(Box::pin(stream)))
                }
            )*
        }
    };
}

fn sent(client_order_id: String) -> api::Order {
    let state = api::OrderState::Sent.into();
    api::Order { client_order_id, state, sequence: 4, ..Default::default() }
}

service! {
    contract_service_server::ContractService,
    calls {
        get_contract_details: GetContractDetailsRequest => GetContractDetailsResponse, |asked| {
            let contract = asked.request.unwrap_or_default().contract;
            if contract.as_ref().is_some_and(|contract| contract.symbol() == "NOPE") {
                return Err(no_such_security());
            }
            let data = tws::ContractData { contract, ..Default::default() };
            let bond_contract_data = vec![tws::ContractData::default()];
            let notices = vec![tws::ErrorMessage::default()];
            Ok(api::GetContractDetailsResponse {
                contract_data: vec![data],
                bond_contract_data,
                notices,
            })
        };
        get_matching_symbols: GetMatchingSymbolsRequest => GetMatchingSymbolsResponse, |_| {
            let contract_descriptions = vec![tws::ContractDescription::default()];
            let samples = tws::SymbolSamples { contract_descriptions, req_id: None };
            Ok(api::GetMatchingSymbolsResponse {
                symbol_samples: Some(samples),
                ..Default::default()
            })
        };
        get_option_parameters: GetOptionParametersRequest => GetOptionParametersResponse, |_| {
            Ok(api::GetOptionParametersResponse::default())
        };
        get_market_rule: GetMarketRuleRequest => GetMarketRuleResponse, |asked| {
            let market_rule_id = asked.request.unwrap_or_default().market_rule_id;
            let rule = tws::MarketRule { market_rule_id, ..Default::default() };
            Ok(api::GetMarketRuleResponse { market_rule: Some(rule), ..Default::default() })
        };
        get_smart_components: GetSmartComponentsRequest => GetSmartComponentsResponse, |_| {
            Ok(api::GetSmartComponentsResponse::default())
        };
        get_market_depth_exchanges:
            GetMarketDepthExchangesRequest => GetMarketDepthExchangesResponse, |_| {
            Ok(api::GetMarketDepthExchangesResponse::default())
        };
    }
    streams {}
}

fn bar(close: f64) -> tws::HistoricalDataBar {
    tws::HistoricalDataBar { close: Some(close), ..Default::default() }
}

service! {
    history_service_server::HistoryService,
    calls {
        get_historical_bars: GetHistoricalBarsRequest => GetHistoricalBarsResponse, |_| {
            let bars = tws::HistoricalData {
                historical_data_bars: vec![bar(1.0), bar(2.0)],
                ..Default::default()
            };
            let end = tws::HistoricalDataEnd {
                start_date_str: Some("20260301".into()),
                ..Default::default()
            };
            Ok(api::GetHistoricalBarsResponse {
                bars: Some(bars),
                end: Some(end),
                notices: vec![],
            })
        };
        get_historical_schedule: GetHistoricalScheduleRequest => GetHistoricalScheduleResponse,
            |_| Ok(api::GetHistoricalScheduleResponse::default());
        get_historical_ticks: GetHistoricalTicksRequest => GetHistoricalTicksResponse, |_| {
            let page = tws::HistoricalTicksLast {
                historical_ticks_last: vec![tws::HistoricalTickLast::default()],
                ..Default::default()
            };
            let last = vec![page.clone(), page];
            Ok(api::GetHistoricalTicksResponse { last, ..Default::default() })
        };
        get_head_timestamp: GetHeadTimestampRequest => GetHeadTimestampResponse, |_| {
            let head_timestamp = Some(tws::HeadTimestamp::default());
            Ok(api::GetHeadTimestampResponse { head_timestamp, ..Default::default() })
        };
        get_histogram: GetHistogramRequest => GetHistogramResponse, |_| {
            Ok(api::GetHistogramResponse::default())
        };
    }
    streams {
        stream_historical_bars, StreamHistoricalBarsStream:
            StreamHistoricalBarsRequest => StreamHistoricalBarsResponse, |_| {
            use api::history_event::Body;
            let event = |body| api::HistoryEvent { body: Some(body), ..Default::default() };
            let update = tws::HistoricalDataUpdate {
                historical_data_bar: Some(bar(3.0)),
                ..Default::default()
            };
            vec![
                event(Body::Bars(tws::HistoricalData::default())),
                event(Body::End(tws::HistoricalDataEnd::default())),
                event(Body::Update(update)),
            ]
        };
    }
}

fn account(body: api::account_event::Body) -> api::AccountEvent {
    api::AccountEvent { body: Some(body), replayed: true, ..Default::default() }
}

fn mark(kind: api::MarkKind) -> api::AccountEvent {
    let because = "no worker".to_owned();
    let mark = api::StreamMark { kind: kind.into(), because, ..Default::default() };
    account(api::account_event::Body::Mark(mark))
}

/// A whole state: what `bodies` say.
fn state(bodies: impl IntoIterator<Item = api::account_event::Body>) -> Vec<api::AccountEvent> {
    std::iter::once(mark(api::MarkKind::Subscribed))
        .chain(bodies.into_iter().map(account))
        .collect()
}

service! {
    account_service_server::AccountService,
    calls {
        list_accounts: ListAccountsRequest => ListAccountsResponse, |_| {
            let account = api::Account { account: "DU0000001".into(), paper: true };
            Ok(api::ListAccountsResponse { accounts: vec![account] })
        };
        get_family_codes: GetFamilyCodesRequest => GetFamilyCodesResponse, |_| {
            Ok(api::GetFamilyCodesResponse::default())
        };
        get_user_info: GetUserInfoRequest => GetUserInfoResponse, |_| {
            Ok(api::GetUserInfoResponse::default())
        };
        get_soft_dollar_tiers: GetSoftDollarTiersRequest => GetSoftDollarTiersResponse, |_| {
            Ok(api::GetSoftDollarTiersResponse::default())
        };
        get_advisor_configuration:
            GetAdvisorConfigurationRequest => GetAdvisorConfigurationResponse, |_| {
            Ok(api::GetAdvisorConfigurationResponse::default())
        };
    }
    streams {
        stream_account_summary, StreamAccountSummaryStream:
            StreamAccountSummaryRequest => StreamAccountSummaryResponse, |_| {
            use api::account_event::Body;
            state([
                Body::Error(tws::ErrorMessage::default()),
                Body::AccountSummary(tws::AccountSummary::default()),
                Body::AccountSummaryEnd(tws::AccountSummaryEnd::default()),
            ])
        };
        stream_account_updates, StreamAccountUpdatesStream:
            StreamAccountUpdatesRequest => StreamAccountUpdatesResponse, |_| {
            use api::account_event::Body;
            state([
                Body::AccountValue(tws::AccountValue::default()),
                Body::PortfolioValue(tws::PortfolioValue::default()),
                Body::AccountUpdateTime(tws::AccountUpdateTime { time_stamp: Some("14:02".into()) }),
                Body::AccountDataEnd(tws::AccountDataEnd::default()),
            ])
        };
        stream_account_updates_multi, StreamAccountUpdatesMultiStream:
            StreamAccountUpdatesMultiRequest => StreamAccountUpdatesMultiResponse, |_| vec![];
        stream_positions, StreamPositionsStream:
            StreamPositionsRequest => StreamPositionsResponse, |_| {
            use api::account_event::Body;
            let position = tws::Position { position: Some("7".into()), ..Default::default() };
            state([Body::Position(position), Body::PositionEnd(tws::PositionEnd {})])
        };
        stream_positions_multi, StreamPositionsMultiStream:
            StreamPositionsMultiRequest => StreamPositionsMultiResponse, |_| {
            vec![mark(api::MarkKind::Subscribed), mark(api::MarkKind::Ended)]
        };
        stream_pnl, StreamPnlStream: StreamPnlRequest => StreamPnlResponse, |_| {
            let pnl = tws::PnL { daily_pnl: Some(1.5), ..Default::default() };
            state([api::account_event::Body::Pnl(pnl)])
        };
        stream_pnl_single, StreamPnlSingleStream:
            StreamPnlSingleRequest => StreamPnlSingleResponse, |_| {
            vec![mark(api::MarkKind::Subscribed), mark(api::MarkKind::Stale)]
        };
    }
}

service! {
    order_service_server::OrderService,
    calls {
        list_open_orders: ListOpenOrdersRequest => ListOpenOrdersResponse, |_| {
            let open_orders = vec![tws::OpenOrder::default()];
            Ok(api::ListOpenOrdersResponse { open_orders, ..Default::default() })
        };
        list_completed_orders: ListCompletedOrdersRequest => ListCompletedOrdersResponse, |_| {
            Ok(api::ListCompletedOrdersResponse::default())
        };
        list_executions: ListExecutionsRequest => ListExecutionsResponse, |_| {
            let executions = vec![tws::ExecutionDetails::default()];
            Ok(api::ListExecutionsResponse { executions, ..Default::default() })
        };
        place_order: PlaceOrderRequest => PlaceOrderResponse, |asked| {
            let order = asked.order.unwrap_or_default();
            match order.client_order_id.as_str() {
                "halted" => Err(super::explained(
                    tonic::Code::FailedPrecondition,
                    "trading is halted",
                    &[("ibouncer-code", "TRADING_HALTED"), ("ibouncer-delivery", "not-sent")],
                )),
                "lost" => Err(tonic::Status::unavailable("gone")),
                "doubtful" => {
                    let state = api::OrderState::Unknown.into();
                    let order = Some(api::Order { state, ..sent(order.client_order_id) });
                    Ok(api::PlaceOrderResponse { order, already_placed: false })
                }
                _ => {
                    let order = Some(sent(order.client_order_id));
                    Ok(api::PlaceOrderResponse { order, already_placed: false })
                }
            }
        };
        place_orders: PlaceOrdersRequest => PlaceOrdersResponse, |asked| {
            let orders = asked.orders.into_iter().map(|one| sent(one.client_order_id)).collect();
            Ok(api::PlaceOrdersResponse { orders, already_placed: false })
        };
        modify_order: ModifyOrderRequest => ModifyOrderResponse, |asked| {
            Ok(api::ModifyOrderResponse { order: Some(sent(asked.client_order_id)) })
        };
        preview_order: PreviewOrderRequest => PreviewOrderResponse, |_| {
            Ok(api::PreviewOrderResponse { preview: Some(tws::OpenOrder::default()) })
        };
        cancel_order: CancelOrderRequest => CancelOrderResponse, |asked| {
            Ok(api::CancelOrderResponse { order: Some(sent(asked.client_order_id)) })
        };
        cancel_all_orders: CancelAllOrdersRequest => CancelAllOrdersResponse, |asked| {
            Ok(api::CancelAllOrdersResponse { orders: vec![sent(asked.owner)], spared: Vec::new() })
        };
        exercise_options: ExerciseOptionsRequest => ExerciseOptionsResponse, |asked| {
            let order = Some(sent(asked.client_order_id));
            Ok(api::ExerciseOptionsResponse { order, already_placed: false })
        };
        get_order: GetOrderRequest => GetOrderResponse, |asked| {
            let name = asked.client_order_id;
            let state = match name.as_str() {
                "doubtful" => api::OrderState::Rejected,
                _ => api::OrderState::Sent,
            };
            let order = Some(api::Order { state: state.into(), ..sent(name) });
            Ok(api::GetOrderResponse { order })
        };
        list_orders: ListOrdersRequest => ListOrdersResponse, |_| {
            let orders = vec![sent("a".into())];
            Ok(api::ListOrdersResponse { orders, through_sequence: 4 })
        };
    }
    streams {
        watch_orders, WatchOrdersStream: WatchOrdersRequest => WatchOrdersResponse, |asked| {
            let event = |sequence, state: api::OrderState| api::OrderEvent {
                sequence,
                order: Some(api::Order { state: state.into(), sequence, ..sent("a".into()) }),
                ..Default::default()
            };
            let events =
                [event(5, api::OrderState::Working), event(6, api::OrderState::Filled)];
            let after = asked.after_sequence();
            events.into_iter().filter(|event| event.sequence > after).collect()
        };
        watch_executions, WatchExecutionsStream:
            WatchExecutionsRequest => WatchExecutionsResponse, |_| {
            vec![api::ExecutionEvent { sequence: 7, ..Default::default() }]
        };
    }
}

service! {
    news_service_server::NewsService,
    calls {
        get_news_providers: GetNewsProvidersRequest => GetNewsProvidersResponse, |_| {
            Ok(api::GetNewsProvidersResponse::default())
        };
        get_news_article: GetNewsArticleRequest => GetNewsArticleResponse, |asked| {
            let article_text = asked.request.unwrap_or_default().article_id;
            let article = tws::NewsArticle { article_text, ..Default::default() };
            Ok(api::GetNewsArticleResponse { article: Some(article), ..Default::default() })
        };
        get_historical_news: GetHistoricalNewsRequest => GetHistoricalNewsResponse, |_| {
            let end = tws::HistoricalNewsEnd { has_more: Some(true), ..Default::default() };
            Ok(api::GetHistoricalNewsResponse { end: Some(end), ..Default::default() })
        };
        get_wsh_meta_data: GetWshMetaDataRequest => GetWshMetaDataResponse, |_| {
            Ok(api::GetWshMetaDataResponse::default())
        };
        get_wsh_event_data: GetWshEventDataRequest => GetWshEventDataResponse, |_| {
            Ok(api::GetWshEventDataResponse::default())
        };
    }
    streams {
        stream_news_bulletins, StreamNewsBulletinsStream:
            StreamNewsBulletinsRequest => StreamNewsBulletinsResponse, |_| vec![];
    }
}

service! {
    scanner_service_server::ScannerService,
    calls {
        get_scanner_parameters: GetScannerParametersRequest => GetScannerParametersResponse, |_| {
            let xml = Some("x".repeat(9_000_000));
            let parameters = Some(tws::ScannerParameters { xml });
            Ok(api::GetScannerParametersResponse { parameters, ..Default::default() })
        };
    }
    streams {
        stream_scanner, StreamScannerStream: StreamScannerRequest => StreamScannerResponse, |_| {
            let data = tws::ScannerData {
                scanner_data_element: vec![tws::ScannerDataElement::default()],
                ..Default::default()
            };
            let body = Some(api::scanner_event::Body::Data(data));
            vec![api::ScannerEvent { body, ..Default::default() }]
        };
    }
}
