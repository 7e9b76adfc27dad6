//! The public services, on a Unix socket and on TCP.
//!
//! - [`listeners`]: both of them, and the services on each.
//! - [`connection`]: who is at the other end, and under which names it is known;
//!   [`credentials`]: which configured client that is; `standing`: whether it still is that;
//!   [`capacity`]: how many there may be.
//! - [`reader`], [`reads`]: the reading services, which hand on Gateway's bytes.
//! - [`tls`]: handshakes, for listeners beyond loopback.
//! - [`bodies`]: response bodies of our own: [`events`] takes them from a [`stream`]'s queue;
//!   [`answers`]: those of calls, and what becomes of answers that nobody takes.
//! - [`codec`]: what is encoded already goes through tonic as it is.
//! - [`status`], [`complete`]: errors as gRPC knows them, ours and its own.
//! - [`orders`]: orders, with [`raw`] bodies.
//! - [`session`], [`market_data`], [`admin`]: the other services.

pub mod admin;
pub mod answers;
pub mod bodies;
pub mod capacity;
pub mod codec;
pub mod complete;
pub mod connection;
pub mod credentials;
pub mod events;
pub mod listeners;
pub mod market_data;
pub mod orders;
pub mod raw;
pub mod reader;
pub mod reads;
pub mod session;
mod standing;
pub mod status;
pub mod stream;
pub mod tls;

/// Generated servers of package `ibouncer.v1`.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod servers {
    tonic::include_proto!("ibouncer.v1");
    include!(concat!(env!("OUT_DIR"), "/by_bytes.rs"));
}
