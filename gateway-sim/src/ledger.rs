//! What a simulator knows about exposure: one line for each permanent id that ever was.
//!
//! Only data, for tests that check a client against it: two lines with one reference are two
//! orders, whatever the client believes. The lines are kept in `gateway/book/account.rs`.

use serde::Serialize;

/// All orders, and all requests that made none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Ledger {
    /// By permanent id.
    pub orders: Vec<LedgerEntry>,
    /// In the order in which they came.
    pub refused: Vec<LedgerRefusal>,
}

/// One order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerEntry {
    /// Permanent id.
    pub perm_id: i64,
    /// Client id under which it is told.
    pub client_id: i32,
    /// Order id; 0 by hand.
    pub order_id: i32,
    /// Placed by hand.
    #[serde(skip_serializing_if = "is_false")]
    pub by_hand: bool,
    /// It was there from the start.
    #[serde(skip_serializing_if = "is_false")]
    pub seeded: bool,
    /// The client's reference.
    pub order_ref: String,
    /// Account.
    pub account: String,
    /// Symbol of the contract.
    pub symbol: String,
    /// Its type.
    pub sec_type: String,
    /// `BUY` or `SELL`.
    pub side: &'static str,
    /// How much, after modifications and what an OCA group took away; a decimal.
    pub quantity: String,
    /// How much of it is filled; a decimal.
    pub filled: String,
    /// Average price of that.
    pub average_price: f64,
    /// As on the wire, besides `Untransmitted`, `Rejected`, and `Vanished`: Gateway restarted
    /// before IB had it.
    pub status: &'static str,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Permanent id of its parent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_perm_id: Option<i64>,
    /// Its OCA group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oca_group: Option<String>,
    /// Frames that placed it, and that tried to modify it.
    pub places: u32,
    /// Frames that tried to cancel it.
    pub cancels: u32,
}

impl LedgerEntry {
    /// Whether nothing can become of it any more, besides a late fill.
    pub fn is_over(&self) -> bool {
        matches!(self.status, "Filled" | "Cancelled" | "Rejected" | "Vanished")
    }
}

/// A request that made no order and changed none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRefusal {
    /// Whose it was.
    pub client_id: i32,
    /// Order id in it.
    pub order_id: i32,
    /// Reference in it.
    pub order_ref: String,
    /// The error; 0 if the request was lost by fault.
    pub code: i32,
}

/// What became of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderChange {
    /// It has come, and has a permanent id.
    Placed,
    /// It works.
    Working,
    /// It was modified.
    Modified,
    /// Some or all of it is filled.
    Filled,
    /// An execution of it was corrected.
    Corrected,
    /// IB holds it back.
    Inactive,
    /// It was cancelled.
    Cancelled,
    /// IB rejected it.
    Rejected,
    /// Gateway restarted before IB had it.
    Vanished,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}
