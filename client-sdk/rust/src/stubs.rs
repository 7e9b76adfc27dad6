//! The generated stubs, for calls that [`Client`](crate::Client) does not wrap.
//!
//! Build one over [`Client::service`](crate::Client::service), which adds name and credential
//! to every call. Nothing here is written by hand.
#![allow(missing_docs, reason = "generated: documented in proto/schema/ibouncer/v1")]
#![allow(unreachable_pub, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/client/ibouncer.v1.rs"));
