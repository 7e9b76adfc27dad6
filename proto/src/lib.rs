//! Every byte format that crosses a process boundary of IBouncer, and nothing else.
//!
//! - [`tws`]: the wire between a TWS API client and Gateway: frames, envelopes, message tables,
//!   both roles of the handshake, message bodies.
//! - [`link`]: the wire between broker and worker.
//! - [`places`]: names of the sockets and files at which processes meet.
//! - [`api`]: messages of the public gRPC API (the services are generated where they are served
//!   and called).
//!
//! Everything here is pure: no clock, no I/O, no runtime. Bytes go in, values come out.
#![warn(missing_docs)]

pub mod api;
pub mod link;
pub mod places;
pub mod tws;

/// The compiled schema of all packages, as an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/ibouncer_descriptor.bin"));

/// The schema's own files: path below the schema folder, and text.
pub const SCHEMA_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/schema_files.rs"));
