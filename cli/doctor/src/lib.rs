//! Says why Gateway does not answer: passive looks first, then at most one handshake.
//!
//! Pure parts, each a file of its own: [`wire`] reads what Gateway says, in all three forms;
//! [`timeline`] is what one handshake left; [`gate`] decides whether one may be made; [`plan`] is
//! a row of them as data; [`diagnose`] makes verdict, evidence, hypotheses and next steps out of
//! everything that is known; [`settings`] judges Gateway's own settings. Shells: [`probe`] makes
//! one handshake, [`tls`] asks a question in TLS, [`examine`] is the whole examination under the
//! broker's lock and ledger.
//!
//! It never signals anything, never opens more than one connection at a time, and never opens one
//! to see whether a port is open. What it may cost Gateway is at most one silent handshake.

pub mod diagnose;
pub mod examine;
mod eyes;
pub mod facts;
mod first_bytes;
pub mod gate;
mod locks;
pub mod plan;
pub mod probe;
pub mod settings;
pub mod timeline;
mod tls;
pub mod verdict;
mod wire;

pub use diagnose::{Diagnosis, Hypothesis};
pub use examine::{DoctorError, Order, Report, examine, resolve};
pub use facts::{BrokerAttempt, BrokerFacts, Facts, LedgerFacts};
pub use gate::Refusal;
pub use ibouncer_eyes::Setting;
pub use plan::Plan;
pub use timeline::Timeline;
pub use verdict::Verdict;
