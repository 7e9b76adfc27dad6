//! The broker: the daemon's shells around the pure machines of `ibouncer-core`.
//!
//! - [`config`]: where each setting comes from.
//! - [`places`]: private folders, the broker's lock, the token, the endpoints file.
//! - [`ledger`]: what is remembered of attempts over restarts.
//! - [`process`]: worker processes: started from one thread, held by handles, waited for.
//! - [`link`]: the local socket to the worker.
//! - [`driver`]: the one task that owns the hub and carries out what it decides.
//! - [`handle`]: how everything else talks to the driver.
//! - [`grpc`]: the public services on both listeners.
//! - [`serve`]: the daemon from start to end.
//! - [`telemetry`]: what is logged, and how.
//! - [`watch`]: the thread that looks at Gateway's port.

pub mod config;
pub mod driver;
pub mod grpc;
pub mod handle;
pub mod ledger;
pub mod link;
pub mod places;
pub mod process;
pub mod serve;
pub mod telemetry;
pub mod watch;

pub use config::{Config, Layers, Loaded};
pub use serve::{Announcement, ServeOptions, serve};
