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

    /// An order, by a code that somebody chose.
    pub(super) fn order(code: i32) -> Self {
        let text = match code {
            103 => return Self::duplicate_order(),
            104 => return Self::filled_order(),
            105 => return Self::other_order(),
            110 => return Self::off_increment(),
            135 => return Self::lost_order(0),
            161 => return Self::cannot_cancel_now(0),
            200 => return Self::unknown_contract(),
            201 => "Order rejected - reason:The simulator was told to reject it.",
            202 => "Order Canceled - reason:",
            321 => "Error validating request: cause - The simulator was told to reject it.",
            399 => {
                "Order Message:\nWarning: your order will not be placed at the exchange until \
                 09:30:00 US/Eastern"
            }
            2109 => {
                "Order Event Warning: Attribute 'Outside Regular Trading Hours' is ignored based \
                 on the order type and destination. PlaceOrder is now being processed."
            }
            _ => "The simulator was told to say this",
        };
        Self::new(code, text)
    }

    pub(super) fn duplicate_order() -> Self {
        Self::new(103, "Duplicate order id")
    }

    pub(super) fn filled_order() -> Self {
        Self::new(104, "Cannot modify a filled order.")
    }

    /// What was cancelled or rejected cannot be modified either.
    pub(super) fn ended_order() -> Self {
        Self::new(104, "Cannot modify an order that is not active.")
    }

    pub(super) fn other_order() -> Self {
        Self::new(105, "Order being modified does not match original order.")
    }

    pub(super) fn off_increment() -> Self {
        let text = "The price does not conform to the minimum price variation for this contract.";
        Self::new(110, text)
    }

    pub(super) fn lost_order(order_id: i32) -> Self {
        Self::new(135, format!("Can't find order with ID ={order_id}"))
    }

    pub(super) fn cannot_cancel_now(perm_id: i64) -> Self {
        let text = format!(
            "Cancel attempted when order is not in a cancellable state. Order permId ={perm_id}"
        );
        Self::new(161, text)
    }

    pub(super) fn busy_order() -> Self {
        Self::new(2102, "Unable to modify this order as it is still being processed.")
    }

    pub(super) fn missing_parent() -> Self {
        Self::new(10006, "Missing parent order.")
    }

    pub(super) fn no_such_order(order_id: i32) -> Self {
        Self::new(10147, format!("OrderId {order_id} that needs to be cancelled is not found."))
    }

    pub(super) fn not_cancellable(order_id: i32, state: &str) -> Self {
        let text = format!(
            "OrderId {order_id} that needs to be cancelled can not be cancelled, state: {state}."
        );
        Self::new(10148, text)
    }

    pub(super) fn too_many_orders(most: u32) -> Self {
        let text = format!(
            "Order rejected - reason:The account has {most} active orders of this contract and side"
        );
        Self::limit(Limit::ActiveOrders, 201, text)
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
