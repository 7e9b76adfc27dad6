//! What is told about one request.

use serde::Serialize;

/// A request, as far as it was understood.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Request {
    /// Id on the wire.
    pub message_id: u32,
    /// IB's name for it; `UNKNOWN` for ids without one.
    pub name: &'static str,
    /// Request or order id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<i32>,
    /// Of requests with a contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Of requests with a contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sec_type: Option<String>,
    /// Of requests with a contract, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exchange: Option<String>,
    /// Of requests with a contract or a contract id, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub con_id: Option<i32>,
    /// Of contracts: last trade date or contract month, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<String>,
    /// Of contracts, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strike: Option<f64>,
    /// Of contracts, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Of market data requests: the generic tick list, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generic_ticks: Option<String>,
    /// Of market data requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<bool>,
    /// Of market data requests, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regulatory_snapshot: Option<bool>,
    /// Of market data type requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_data_type: Option<i32>,
    /// Of bars, head timestamps and historical ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_to_show: Option<String>,
    /// Of bars; real-time bars have `5 secs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bar_size: Option<String>,
    /// Of historical data; of histograms the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Of historical data, ticks and news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_date_time: Option<String>,
    /// Of historical ticks and news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_date_time: Option<String>,
    /// Of bars, histograms, head timestamps and historical ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_rth: Option<bool>,
    /// Of historical data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_up_to_date: Option<bool>,
    /// Of tick-by-tick data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_type: Option<String>,
    /// Of tick-by-tick data and historical ticks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_of_ticks: Option<i32>,
    /// Of depth and scanners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<i32>,
    /// Of depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_depth: Option<bool>,
    /// Of account updates and of automatic binding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<bool>,
    /// Of account updates, multi requests, PnL and executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Of multi requests and PnL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_code: Option<String>,
    /// Of account summaries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Of account summaries, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Of executions: the client id in the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_client_id: Option<i32>,
    /// Of orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Of orders: a decimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Of orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_type: Option<String>,
    /// Of orders, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_price: Option<f64>,
    /// Of orders, when it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_ref: Option<String>,
    /// Of orders, when they have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<i32>,
    /// Of orders, when they are in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oca_group: Option<String>,
    /// Of orders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit: Option<bool>,
    /// Of orders that only ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what_if: Option<bool>,
    /// Of scanners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scan_code: Option<String>,
    /// Of scanners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<String>,
    /// Of scanners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Of matching symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of market rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub market_rule_id: Option<i32>,
    /// Of smart components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bbo_exchange: Option<String>,
    /// Of historical news and articles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<String>,
    /// Of news articles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub article_id: Option<String>,
    /// Of FA requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fa_data_type: Option<i32>,
}
