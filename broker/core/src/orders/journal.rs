//! What the desk wants written, and what it finds at start.
//!
//! Writes are numbered and made in order; those of one number are one transaction. A frame that
//! depends on a number leaves after the shell has said that it is on disk.

pub use ibouncer_proto::api::journal::v1::{
    Change, Doubt, EventRecord, ExecutionRecord, Facts, Halt, OrderRecord, OrderedCancels, Sending,
    Session,
};

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Replaces the facts.
    Facts(Box<Facts>),
    /// Replaces the order with this id.
    Order(Box<OrderRecord>),
    /// Replaces the execution with this id.
    Execution(Box<ExecutionRecord>),
    /// Adds an event.
    Event(Box<EventRecord>),
}

/// What was there at start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// None: the journal is new.
    pub facts: Option<Facts>,
    /// All orders.
    pub orders: Vec<OrderRecord>,
    /// All executions.
    pub executions: Vec<ExecutionRecord>,
    /// Number of the newest event.
    pub newest_event: u64,
    /// The journal cannot be trusted, and why: nothing is sent, data goes on.
    pub damaged: Option<String>,
    /// And nothing of it could be read: whose orders there are is not known.
    pub blind: bool,
    /// Of a journal that no session has had yet: others of its client id in the same folder.
    pub beside: Vec<Beside>,
}

/// A journal with orders that lies beside a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// Its file.
    pub path: String,
    /// The new one's.
    pub new: String,
    /// Accounts that it belongs to; none: it could not be read.
    pub accounts: Vec<String>,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// Name of the client, and of its principal.
    pub client: String,
    /// Empty if none.
    pub principal: String,
    /// What it proved itself by, in words; names are its own choice.
    pub credential: String,
    /// Name of the call, or what the broker did by itself.
    pub what: &'static str,
    /// "sent", "done", "refused", "not-sent", "withdrawn", "repeated".
    pub result: &'static str,
    /// Why: of a refusal the rule, of an order by a person what that person said.
    pub reason: String,
    /// The owner's name for the order.
    pub client_order_id: String,
    /// Whose order it is.
    pub owner: String,
    /// At Gateway, 0 if none.
    pub order_id: i32,
    /// 0 if not known.
    pub perm_id: i64,
    /// SHA-256 of the request's body, in hex; empty if there is none.
    pub body_sha256: String,
}
