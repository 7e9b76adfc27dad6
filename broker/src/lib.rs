//! The broker: the daemon's shells around the pure machines of `ibouncer-core`.
//!
//! - [`audit`]: who asked for what about orders.
//! - [`config`]: where each setting comes from.
//! - [`places`]: private folders, the broker's lock, the token, the endpoints file.
//! - [`ledger`]: what is remembered of attempts over restarts.
//! - [`order_log`]: what happened to orders, for those who watch.
//! - [`open_requests`]: what is open at Gateway, for whoever takes the session over.
//! - [`events`]: what happened, for operators.
//! - [`journal`]: the journal of orders.
//! - `tokens`: secrets of clients, in files.
//! - [`trust`]: whose worker is it that outlived its broker.
//! - [`handover`]: another build takes over in our process.
//! - [`notify`]: the word to the service manager.
//! - [`process`]: worker processes: started from one thread, held by handles, waited for.
//! - [`link`]: the local socket to the worker.
//! - [`driver`]: the one task that owns the hub and carries out what it decides.
//! - [`handle`]: how everything else talks to the driver.
//! - [`grpc`]: the public services on both listeners.
//! - [`serve`]: the daemon from start to end.
//! - [`telemetry`]: what is logged, and how.
//! - [`watch`]: the thread that looks at Gateway's port.

pub mod audit;
pub mod config;
pub mod driver;
pub mod events;
pub mod grpc;
pub mod handle;
pub mod handover;
pub mod journal;
pub mod ledger;
pub mod link;
#[cfg(target_os = "linux")]
pub mod notify;
pub mod open_requests;
pub mod order_log;
pub mod places;
pub mod process;
pub mod serve;
pub mod subject;
pub mod telemetry;
mod tokens;
pub mod trust;
pub mod turn;
pub mod watch;

pub use config::{Config, Layers, Loaded};
pub use driver::Ending;
pub use serve::{Announcement, ServeOptions};

/// An error with its causes, as one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
