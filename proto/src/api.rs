//! Messages of the public gRPC API, package `ibouncer.v1`.
//!
//! The services are generated in `broker` (server) and `client-sdk/rust` (client).

/// Package `ibouncer.v1`.
#[allow(missing_docs, reason = "generated: documented in proto/schema/ibouncer/v1")]
#[allow(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/ibouncer.v1.rs"));
}

/// What the journal of orders keeps, package `ibouncer.journal.v1`.
pub mod journal {
    /// Package `ibouncer.journal.v1`.
    #[allow(missing_docs, reason = "generated: documented in proto/schema/ibouncer/journal/v1")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/ibouncer.journal.v1.rs"));
    }
}
