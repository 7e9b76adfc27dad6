//! How a request ends when it is not served: an error code of Gateway, its text, and the limit
//! that was in the way, if one was.
//!
//! Every refusal is built here, so that one code has one text. Codes: protocol fact sheet,
//! section 8.

use crate::limits::Limit;

/// What became of a request.
pub(super) type Answer = Result<(), Refusal>;

/// An error for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) text: String,
    pub(super) limit: Option<Limit>,
}

impl Refusal {
    pub(super) fn new(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), limit: None }
    }

    /// Refused because of a limit, which is counted.
    pub(super) fn limit(limit: Limit, code: i32, text: impl Into<String>) -> Self {
        Self { limit: Some(limit), ..Self::new(code, text) }
    }

    pub(super) fn unreadable() -> Self {
        Self::new(320, "The request cannot be read")
    }

    pub(super) fn invalid(cause: &str) -> Self {
        Self::new(321, format!("Error validating request: {cause}"))
    }

    pub(super) fn read_only() -> Self {
        Self::new(321, "The API is in read-only mode: orders are refused")
    }

    /// The request is well-formed and the thing to be done is not there.
    pub(super) fn failed(cause: &str) -> Self {
        Self::new(322, format!("Error processing request: {cause}"))
    }

    pub(super) fn unknown_contract() -> Self {
        Self::new(200, "No security definition has been found for the request")
    }

    pub(super) fn ambiguous_contract(symbol: &str) -> Self {
        Self::new(200, format!("The contract description specified for {symbol} is ambiguous"))
    }

    /// Of the historical data service.
    pub(super) fn history(cause: &str) -> Self {
        Self::new(162, format!("Historical Market Data Service error message:{cause}"))
    }

    pub(super) fn no_permission() -> Self {
        Self::new(354, "Requested market data is not subscribed")
    }

    /// As the configuration wants it; Gateway has a text of its own for the usual ones.
    pub(super) fn market_data(code: i32) -> Self {
        let text = match code {
            10168 => "Requested market data is not subscribed. Delayed market data is not enabled",
            10197 => "No market data during competing live session",
            _ => "Requested market data is refused",
        };
        Self::new(code, text)
    }

    pub(super) fn duplicate_ticker() -> Self {
        Self::new(102, "Duplicate ticker id")
    }

    /// A cancel names an id that nothing has.
    pub(super) fn nothing_to_cancel(code: i32, request_id: i32) -> Self {
        Self::new(code, format!("There is no subscription with id {request_id}"))
    }
}
