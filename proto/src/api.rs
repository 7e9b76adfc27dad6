//! Messages of the public gRPC API, package `ibouncer.v1`.
//!
//! The services are generated in `broker` (server) and `client-sdk/rust` (client).

/// Package `ibouncer.v1`.
#[allow(missing_docs, reason = "generated: documented in proto/schema/ibouncer/v1")]
#[allow(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/ibouncer.v1.rs"));
}
