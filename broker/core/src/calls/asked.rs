//! One-shot requests, checked, in the one form in which equal requests are equal bytes.

use bytes::Bytes;
use ibouncer_proto::tws::v1 as tws;

use super::{self as calls, CallKind};
use crate::checks;
use crate::error::{self, Error};
use crate::history;
use crate::pacing::gates::{Gate, Group};

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Of what kind.
    pub kind: &'static CallKind,
    /// Encoded, without a request id.
    pub body: Bytes,
    /// What it is about, for people.
    pub label: String,
    /// Gateway's rule for it.
    pub gate: Gate,
    /// Only what belongs to the session's own client id, which the hub knows.
    pub own_only: bool,
    /// Of the answer only what the caller placed through this broker.
    pub callers_own: bool,
}

impl Asked {
    fn new(kind: &'static CallKind, body: &impl prost::Message, label: &str) -> Self {
        Self {
            kind,
            body: body.encode_to_vec().into(),
            label: label.to_owned(),
            gate: Gate::Open,
            own_only: false,
            callers_own: false,
        }
    }

    /// Is this, which came without an id, of its answer?
    pub fn is_answered_by(&self, message_id: u32, body: &[u8]) -> bool {
        let fits = |key: calls::AnswerKey| key.fits(&self.body, body);
        self.kind.knows(message_id) && self.kind.answer_key.is_none_or(fits)
    }

    fn alone(self, group: Group) -> Self {
        Self { gate: Gate::Alone(group), ..self }
    }

    /// Contracts that match.
    pub fn contract_details(request: tws::ContractDataRequest) -> Result<Self, Error> {
        let contract = checks::contract(request.contract.as_ref())?;
        let body =
            tws::ContractDataRequest { req_id: None, contract: Some(checks::plain(contract)) };
        Ok(Self::new(&calls::CONTRACT_DETAILS, &body, &checks::label(contract)))
    }

    /// Symbols that begin like this.
    pub fn matching_symbols(request: tws::MatchingSymbolsRequest) -> Result<Self, Error> {
        checks::needed("pattern", request.pattern(), "APP")?;
        let label = request.pattern().to_owned();
        let body = tws::MatchingSymbolsRequest { req_id: None, ..request };
        let gate = Gate::OneASecond(Group::MatchingSymbols);
        Ok(Self { gate, ..Self::new(&calls::MATCHING_SYMBOLS, &body, &label) })
    }

    /// Expirations and strikes.
    pub fn option_parameters(request: tws::SecDefOptParamsRequest) -> Result<Self, Error> {
        checks::needed("underlying_symbol", request.underlying_symbol(), "AAPL")?;
        checks::needed("underlying_sec_type", request.underlying_sec_type(), "STK")?;
        if request.underlying_con_id() <= 0 {
            return Err(error::invalid(
                "request.underlying_con_id is missing: GetContractDetails of the underlying has it",
            ));
        }
        let label = request.underlying_symbol().to_owned();
        let exchange = request.fut_fop_exchange.clone().unwrap_or_default();
        let body = tws::SecDefOptParamsRequest {
            req_id: None,
            fut_fop_exchange: Some(exchange),
            ..request
        };
        Ok(Self::new(&calls::OPTION_PARAMETERS, &body, &label))
    }

    /// Price increments.
    pub fn market_rule(request: tws::MarketRuleRequest) -> Result<Self, Error> {
        if request.market_rule_id() <= 0 {
            return Err(error::invalid(
                "request.market_rule_id is missing: contract details have it in market_rule_ids",
            ));
        }
        let label = request.market_rule_id().to_string();
        Ok(Self::new(&calls::MARKET_RULE, &request, &label))
    }

    /// Exchanges behind letters.
    pub fn smart_components(request: tws::SmartComponentsRequest) -> Result<Self, Error> {
        checks::needed("bbo_exchange", request.bbo_exchange(), "9c0001")?;
        let label = request.bbo_exchange().to_owned();
        let body = tws::SmartComponentsRequest { req_id: None, ..request };
        Ok(Self::new(&calls::SMART_COMPONENTS, &body, &label))
    }

    /// Exchanges with books.
    pub fn market_depth_exchanges() -> Self {
        let body = tws::MarketDepthExchangesRequest {};
        Self::new(&calls::MARKET_DEPTH_EXCHANGES, &body, "").alone(Group::MarketDepthExchanges)
    }

    /// Volatility at a price.
    pub fn implied_volatility(
        request: tws::CalculateImpliedVolatilityRequest,
    ) -> Result<Self, Error> {
        let label = checks::label(checks::contract(request.contract.as_ref())?);
        positive("option_price", request.option_price)?;
        positive("under_price", request.under_price)?;
        let body = tws::CalculateImpliedVolatilityRequest { req_id: None, ..request };
        Ok(Self::new(&calls::IMPLIED_VOLATILITY, &body, &label))
    }

    /// Price at a volatility.
    pub fn option_price(request: tws::CalculateOptionPriceRequest) -> Result<Self, Error> {
        let label = checks::label(checks::contract(request.contract.as_ref())?);
        positive("volatility", request.volatility)?;
        positive("under_price", request.under_price)?;
        let body = tws::CalculateOptionPriceRequest { req_id: None, ..request };
        Ok(Self::new(&calls::OPTION_PRICE, &body, &label))
    }

    /// Bars.
    pub fn historical_bars(request: tws::HistoricalDataRequest) -> Result<Self, Error> {
        if request.keep_up_to_date() {
            return Err(error::invalid(
                "request.keep_up_to_date: use StreamHistoricalBars for bars that go on",
            ));
        }
        if request.what_to_show() == "SCHEDULE" {
            return Err(error::invalid(
                "request.what_to_show is SCHEDULE: use GetHistoricalSchedule",
            ));
        }
        let request = tws::HistoricalDataRequest { keep_up_to_date: None, ..request };
        let (body, contract, gate) = history::bars(request)?;
        let label = checks::label(&contract);
        Ok(Self { gate, ..Self::new(&calls::HISTORICAL_BARS, &body, &label) })
    }

    /// Trading sessions.
    pub fn historical_schedule(request: tws::HistoricalDataRequest) -> Result<Self, Error> {
        let request = tws::HistoricalDataRequest {
            what_to_show: Some("SCHEDULE".into()),
            bar_size_setting: Some(
                request.bar_size_setting.filter(|size| !size.is_empty()).unwrap_or("1 day".into()),
            ),
            keep_up_to_date: None,
            ..request
        };
        let (body, contract, gate) = history::bars(request)?;
        let label = checks::label(&contract);
        Ok(Self { gate, ..Self::new(&calls::HISTORICAL_SCHEDULE, &body, &label) })
    }

    /// Ticks.
    pub fn historical_ticks(request: tws::HistoricalTicksRequest) -> Result<Self, Error> {
        let (body, contract, gate) = history::ticks(request)?;
        let label = checks::label(&contract);
        Ok(Self { gate, ..Self::new(&calls::HISTORICAL_TICKS, &body, &label) })
    }

    /// When history begins.
    pub fn head_timestamp(request: tws::HeadTimestampRequest) -> Result<Self, Error> {
        let (body, contract, gate) = history::head_timestamp(request)?;
        let label = checks::label(&contract);
        Ok(Self { gate, ..Self::new(&calls::HEAD_TIMESTAMP, &body, &label) })
    }

    /// Volume by price.
    pub fn histogram(request: tws::HistogramDataRequest) -> Result<Self, Error> {
        let (body, contract, gate) = history::histogram(request)?;
        let label = checks::label(&contract);
        Ok(Self { gate, ..Self::new(&calls::HISTOGRAM, &body, &label) })
    }

    /// Family codes.
    pub fn family_codes() -> Self {
        let body = tws::FamilyCodesRequest {};
        Self::new(&calls::FAMILY_CODES, &body, "").alone(Group::FamilyCodes)
    }

    /// White-branding id.
    pub fn user_info() -> Self {
        Self::new(&calls::USER_INFO, &tws::UserInfoRequest { req_id: None }, "")
    }

    /// Soft-dollar tiers.
    pub fn soft_dollar_tiers() -> Self {
        Self::new(&calls::SOFT_DOLLAR_TIERS, &tws::SoftDollarTiersRequest { req_id: None }, "")
    }

    /// Groups (1) or aliases (3).
    pub fn advisor_configuration(request: tws::FaRequest) -> Result<Self, Error> {
        if ![1, 3].contains(&request.fa_data_type()) {
            return Err(error::invalid(format!(
                "request.fa_data_type is {}: use 1 (groups) or 3 (aliases)",
                request.fa_data_type()
            )));
        }
        let label = if request.fa_data_type() == 1 { "groups" } else { "aliases" };
        Ok(Self::new(&calls::ADVISOR_CONFIGURATION, &request, label))
    }

    /// Open orders of all, or of the session's client id.
    pub fn open_orders(own_only: bool) -> Self {
        let asked = if own_only {
            Self::new(&calls::OPEN_ORDERS, &tws::OpenOrdersRequest {}, "session")
        } else {
            Self::new(&calls::ALL_OPEN_ORDERS, &tws::AllOpenOrdersRequest {}, "all")
        };
        asked.alone(Group::OpenOrders)
    }

    /// The same request, of whose answer the caller sees only what is its own.
    #[must_use]
    pub fn for_owner(self, callers_own: bool) -> Self {
        Self { callers_own, ..self }
    }

    /// Filled and cancelled orders.
    pub fn completed_orders(request: tws::CompletedOrdersRequest) -> Self {
        let body = tws::CompletedOrdersRequest { api_only: Some(request.api_only()) };
        Self::new(&calls::COMPLETED_ORDERS, &body, "").alone(Group::CompletedOrders)
    }

    /// Executions and their commissions.
    pub fn executions(request: tws::ExecutionRequest, own_only: bool) -> Result<Self, Error> {
        let filter = request.execution_filter.unwrap_or_default();
        for (field, value) in [
            ("acct_code", filter.acct_code()),
            ("time", filter.time()),
            ("symbol", filter.symbol()),
            ("sec_type", filter.sec_type()),
            ("exchange", filter.exchange()),
            ("side", filter.side()),
        ] {
            checks::text(&format!("execution_filter.{field}"), value)?;
        }
        let label = filter.symbol().to_owned();
        let body = tws::ExecutionRequest { req_id: None, execution_filter: Some(filter) };
        Ok(Self { own_only, ..Self::new(&calls::EXECUTIONS, &body, &label) })
    }

    /// News providers.
    pub fn news_providers() -> Self {
        let body = tws::NewsProvidersRequest {};
        Self::new(&calls::NEWS_PROVIDERS, &body, "").alone(Group::NewsProviders)
    }

    /// One article.
    pub fn news_article(request: tws::NewsArticleRequest) -> Result<Self, Error> {
        checks::needed("provider_code", request.provider_code(), "BRFG")?;
        checks::needed("article_id", request.article_id(), "BRFG$04fb9da2")?;
        let label = request.article_id().to_owned();
        let body = tws::NewsArticleRequest { req_id: None, ..request };
        Ok(Self::new(&calls::NEWS_ARTICLE, &body, &label))
    }

    /// Headlines.
    pub fn historical_news(request: tws::HistoricalNewsRequest) -> Result<Self, Error> {
        if request.con_id() <= 0 {
            return Err(error::invalid("request.con_id is missing: the contract's number"));
        }
        checks::needed("provider_codes", request.provider_codes(), "BRFG+DJNL")?;
        checks::text("start_date_time", request.start_date_time())?;
        checks::text("end_date_time", request.end_date_time())?;
        checks::count("total_results", request.total_results)?;
        let label = format!("conId {}", request.con_id());
        let body = tws::HistoricalNewsRequest {
            req_id: None,
            start_date_time: Some(request.start_date_time().to_owned()),
            end_date_time: Some(request.end_date_time().to_owned()),
            ..request
        };
        Ok(Self::new(&calls::HISTORICAL_NEWS, &body, &label))
    }

    /// Filters of the calendar.
    pub fn wsh_meta_data() -> Self {
        let body = tws::WshMetaDataRequest { req_id: None };
        Self::new(&calls::WSH_META_DATA, &body, "").alone(Group::Wsh)
    }

    /// Events of the calendar.
    pub fn wsh_event_data(request: tws::WshEventDataRequest) -> Self {
        let label = format!("conId {}", request.con_id());
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let body = tws::WshEventDataRequest {
            req_id: None,
            fill_watchlist: Some(request.fill_watchlist()),
            fill_portfolio: Some(request.fill_portfolio()),
            fill_competitors: Some(request.fill_competitors()),
            filter: some(request.filter),
            start_date: some(request.start_date),
            end_date: some(request.end_date),
            ..request
        };
        Self::new(&calls::WSH_EVENT_DATA, &body, &label).alone(Group::Wsh)
    }

    /// What can be scanned for.
    pub fn scanner_parameters() -> Self {
        let body = tws::ScannerParametersRequest {};
        Self::new(&calls::SCANNER_PARAMETERS, &body, "").alone(Group::ScannerParameters)
    }

    /// Gateway's clock.
    pub fn current_time() -> Self {
        let body = tws::CurrentTimeInMillisRequest {};
        Self::new(&calls::CURRENT_TIME, &body, "").alone(Group::CurrentTime)
    }

    /// Gateway's settings.
    pub fn configuration() -> Self {
        Self::new(&calls::CONFIGURATION, &tws::ConfigRequest { req_id: None }, "")
    }
}

fn positive(field: &str, value: Option<f64>) -> Result<(), Error> {
    match value {
        Some(value) if value > 0.0 && value.is_finite() => Ok(()),
        Some(other) => {
            Err(error::invalid(format!("request.{field} is {other}: use a positive number")))
        }
        None => Err(error::invalid(format!("request.{field} is missing: use a positive number"))),
    }
}

#[cfg(test)]
mod tests;
