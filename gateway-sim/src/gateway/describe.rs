//! What is told about a request: its key fields, read from its body by message id.
//!
//! For reports only. A body that cannot be read tells nothing; the request itself is refused
//! where it is answered.

use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message;

use super::ids::ask;
use crate::events::Request;

/// Fills in what the body says.
pub(super) fn describe(request: &mut Request, envelope: &Envelope<'_>) {
    let body = envelope.body;
    match envelope.message_id {
        id::REQ_MKT_DATA => market_data(request, &read(body)),
        id::REQ_MARKET_DATA_TYPE => {
            let body: tws::MarketDataTypeRequest = read(body);
            request.market_data_type = body.market_data_type;
        }
        ask::REQ_CONTRACT_DATA => {
            contract(request, read::<tws::ContractDataRequest>(body).contract);
        }
        ask::REQ_MKT_DEPTH => {
            let body: tws::MarketDepthRequest = read(body);
            request.rows = body.num_rows;
            request.smart_depth = Some(body.is_smart_depth());
            contract(request, body.contract);
        }
        ask::REQ_TICK_BY_TICK_DATA => {
            let body: tws::TickByTickRequest = read(body);
            request.tick_type = body.tick_type;
            request.number_of_ticks = body.number_of_ticks;
            contract(request, body.contract);
        }
        ask::REQ_REAL_TIME_BARS => {
            let body: tws::RealTimeBarsRequest = read(body);
            request.what_to_show = body.what_to_show;
            request.bar_size = Some("5 secs".to_owned());
            request.use_rth = body.use_rth;
            contract(request, body.contract);
        }
        ask::REQ_HISTORICAL_DATA
        | ask::REQ_HEAD_TIMESTAMP
        | ask::REQ_HISTOGRAM_DATA
        | ask::REQ_HISTORICAL_TICKS => history(request, envelope.message_id, body),
        ask::REQ_ACCT_DATA
        | ask::REQ_ACCOUNT_SUMMARY
        | ask::REQ_ACCOUNT_UPDATES_MULTI
        | ask::REQ_POSITIONS_MULTI
        | ask::REQ_PNL
        | ask::REQ_PNL_SINGLE => account(request, envelope.message_id, body),
        ask::REQ_EXECUTIONS => {
            let filter = read::<tws::ExecutionRequest>(body).execution_filter.unwrap_or_default();
            request.account = filter.acct_code;
            request.filter_client_id = filter.client_id;
            request.symbol = filter.symbol;
            request.sec_type = filter.sec_type;
        }
        ask::PLACE_ORDER => order(request, read(body)),
        ask::EXERCISE_OPTIONS => {
            let body: tws::ExerciseOptionsRequest = read(body);
            request.quantity = body.exercise_quantity.map(|quantity| quantity.to_string());
            request.account = body.account;
            contract(request, body.contract);
        }
        ask::REQ_AUTO_OPEN_ORDERS => {
            request.subscribe = read::<tws::AutoOpenOrdersRequest>(body).auto_bind;
        }
        ask::REQ_SCANNER_SUBSCRIPTION => {
            let body: tws::ScannerSubscriptionRequest = read(body);
            let scanner = body.scanner_subscription.unwrap_or_default();
            request.scan_code = scanner.scan_code;
            request.instrument = scanner.instrument;
            request.location = scanner.location_code;
            request.rows = scanner.number_of_rows;
        }
        ask::REQ_CALC_IMPLIED_VOLAT => {
            contract(request, read::<tws::CalculateImpliedVolatilityRequest>(body).contract);
        }
        ask::REQ_CALC_OPTION_PRICE => {
            contract(request, read::<tws::CalculateOptionPriceRequest>(body).contract);
        }
        other => reference(request, other, body),
    }
}

fn read<M: Message + Default>(body: &[u8]) -> M {
    M::decode(body).unwrap_or_default()
}

fn contract(request: &mut Request, contract: Option<tws::Contract>) {
    let contract = contract.unwrap_or_default();
    request.symbol = Some(contract.symbol.unwrap_or_default());
    request.sec_type = contract.sec_type;
    request.exchange = contract.exchange;
    request.con_id = contract.con_id.filter(|con_id| *con_id != 0);
    request.expiry = contract.last_trade_date_or_contract_month.filter(|date| !date.is_empty());
    request.strike = contract.strike.filter(|strike| *strike != 0.0 && *strike < 1e300);
    request.right = contract.right.filter(|right| !right.is_empty());
}

fn order(request: &mut Request, body: tws::PlaceOrderRequest) {
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let order = body.order.unwrap_or_default();
    request.transmit = Some(order.transmit());
    request.what_if = order.what_if.filter(|question| *question);
    request.action = order.action;
    request.quantity = order.total_quantity;
    request.order_type = order.order_type;
    request.limit_price = order.lmt_price.filter(|price| *price != 0.0 && *price < 1e300);
    request.order_ref = text(order.order_ref);
    request.account = text(order.account);
    request.parent_id = order.parent_id.filter(|parent| *parent != 0);
    request.oca_group = text(order.oca_group);
    contract(request, body.contract);
}

fn market_data(request: &mut Request, body: &tws::MarketDataRequest) {
    contract(request, body.contract.clone());
    request.generic_ticks = Some(body.generic_tick_list().to_owned());
    request.snapshot = Some(body.snapshot() || body.regulatory_snapshot());
    request.regulatory_snapshot = body.regulatory_snapshot.filter(|regulatory| *regulatory);
}

fn history(request: &mut Request, message_id: u32, body: &[u8]) {
    match message_id {
        ask::REQ_HISTORICAL_DATA => {
            let body: tws::HistoricalDataRequest = read(body);
            request.what_to_show = body.what_to_show;
            request.bar_size = body.bar_size_setting;
            request.duration = body.duration;
            request.end_date_time = body.end_date_time;
            request.use_rth = body.use_rth;
            request.keep_up_to_date = body.keep_up_to_date;
            contract(request, body.contract);
        }
        ask::REQ_HEAD_TIMESTAMP => {
            let body: tws::HeadTimestampRequest = read(body);
            request.what_to_show = body.what_to_show;
            request.use_rth = body.use_rth;
            contract(request, body.contract);
        }
        ask::REQ_HISTOGRAM_DATA => {
            let body: tws::HistogramDataRequest = read(body);
            request.duration = body.time_period;
            request.use_rth = body.use_rth;
            contract(request, body.contract);
        }
        _ => {
            let body: tws::HistoricalTicksRequest = read(body);
            request.what_to_show = body.what_to_show;
            request.start_date_time = body.start_date_time;
            request.end_date_time = body.end_date_time;
            request.number_of_ticks = body.number_of_ticks;
            request.use_rth = body.use_rth;
            contract(request, body.contract);
        }
    }
}

fn account(request: &mut Request, message_id: u32, body: &[u8]) {
    match message_id {
        ask::REQ_ACCT_DATA => {
            let body: tws::AccountDataRequest = read(body);
            request.subscribe = Some(body.subscribe());
            request.account = body.acct_code;
        }
        ask::REQ_ACCOUNT_SUMMARY => {
            let body: tws::AccountSummaryRequest = read(body);
            request.group = body.group;
            request.tags = body.tags;
        }
        ask::REQ_ACCOUNT_UPDATES_MULTI => {
            let body: tws::AccountUpdatesMultiRequest = read(body);
            request.account = body.account;
            request.model_code = body.model_code;
        }
        ask::REQ_POSITIONS_MULTI => {
            let body: tws::PositionsMultiRequest = read(body);
            request.account = body.account;
            request.model_code = body.model_code;
        }
        ask::REQ_PNL => {
            let body: tws::PnLRequest = read(body);
            request.account = body.account;
            request.model_code = body.model_code;
        }
        _ => {
            let body: tws::PnLSingleRequest = read(body);
            request.account = body.account;
            request.model_code = body.model_code;
            request.con_id = body.con_id;
        }
    }
}

fn reference(request: &mut Request, message_id: u32, body: &[u8]) {
    match message_id {
        ask::REQ_MATCHING_SYMBOLS => {
            request.pattern = read::<tws::MatchingSymbolsRequest>(body).pattern;
        }
        ask::REQ_SEC_DEF_OPT_PARAMS => {
            let body: tws::SecDefOptParamsRequest = read(body);
            request.symbol = body.underlying_symbol;
            request.sec_type = body.underlying_sec_type;
            request.exchange = body.fut_fop_exchange;
            request.con_id = body.underlying_con_id;
        }
        ask::REQ_MARKET_RULE => {
            request.market_rule_id = read::<tws::MarketRuleRequest>(body).market_rule_id;
        }
        ask::REQ_SMART_COMPONENTS => {
            request.bbo_exchange = read::<tws::SmartComponentsRequest>(body).bbo_exchange;
        }
        ask::REQ_NEWS_ARTICLE => {
            let body: tws::NewsArticleRequest = read(body);
            request.providers = body.provider_code;
            request.article_id = body.article_id;
        }
        ask::REQ_HISTORICAL_NEWS => {
            let body: tws::HistoricalNewsRequest = read(body);
            request.con_id = body.con_id;
            request.providers = body.provider_codes;
            request.start_date_time = body.start_date_time;
            request.end_date_time = body.end_date_time;
        }
        ask::REQ_WSH_EVENT_DATA => {
            request.con_id = read::<tws::WshEventDataRequest>(body).con_id;
        }
        ask::REQ_FA => request.fa_data_type = read::<tws::FaRequest>(body).fa_data_type,
        _ => {}
    }
}
