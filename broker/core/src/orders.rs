//! The desk: orders of all clients on one session, owned, durable, sent at most once.
pub mod journal;
pub mod request;
