//! Every decision of the broker, as pure machines: no I/O, no clock, no runtime.
//!
//! One [`Hub`] composes them. A shell hands it inputs and the time, and carries out its outputs:
//!
//! ```text
//!            Input, now                     Output
//!   shell ──────────────► hub ──────────────────────► shell
//!                          │ session     what state the session is in, when to dial
//!                          │ supervisor  the life of the one worker
//!                          │ pacing      when a frame may leave for Gateway
//!                          │ routes      which request an answer belongs to
//!                          │ lines       subscriptions shared by clients
//!                          │ calls       one-shot requests and their answers
//!                          │ memory      what late joiners are told
//!                          │ lookout     what is seen of Gateway's port without a packet
//!                          │ record      what is remembered of one Gateway's handshakes
//!                          │ ledger      what is remembered of one client id over restarts
//!                          │ heartbeat   is Gateway alive on the wire
//!                          │ clients     who is connected
//! ```
//!
//! [`queue`] and [`unread`] are the odd ones out: they belong to a client's stream and to the
//! answers of its calls, and are driven by the shell, but deciding what a slow reader may miss is
//! a decision, so they stand here.
#![warn(missing_docs)]

pub mod accounts;
pub mod attempts;
pub mod backoff;
pub mod calls;
pub mod checks;
pub mod clients;
pub mod clock;
pub mod contracts;
pub mod error;
pub mod farms;
pub mod fields;
pub mod heartbeat;
pub mod history;
pub mod hub;
pub mod ids;
pub mod ledger;
pub mod lines;
pub mod lookout;
pub mod memory;
mod message;
pub mod notes;
pub mod orders;
pub mod pacing;
pub mod principals;
pub mod queue;
pub mod record;
pub mod routes;
pub mod scope;
pub mod session;
pub mod settings;
pub mod sight;
pub mod status;
pub mod supervisor;
pub mod unread;
pub mod wire;

pub use hub::{Hub, Input, Output};
pub use settings::Settings;
