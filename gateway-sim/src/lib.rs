//! A simulated IB Gateway that fails on demand, for tests, demonstrations and other people's CI.
//!
//! [`Gateway`] is pure: bytes and time go in, bytes and events come out, and one seed is one
//! history. [`start`] puts it behind a real socket on loopback, on a thread of its own; [`run`]
//! is that as a program, `ibouncer sim`. It never connects to anything, and never listens
//! elsewhere than on loopback.
//!
//! # What it does
//! Handshake in the server's role (protobuf from server version 213 on; below it the handshake
//! only), client ids, an answer to every read request, derived from a seed, and an order book that
//! outlives connections and restarts. It keeps Gateway's limits ([`Limits`]), and things happen to
//! it ([`Happening`]) and to orders ([`OrderHappening`]). Which request gets what is listed in
//! `docs/simulator.md`. How it can fail is listed at [`Fault`]; every connection takes the first
//! fault of the list that has connections left, when it is accepted.
//!
//! # Exposure
//! [`Gateway::ledger`], [`SimHandle::ledger`] and the event `ledger` tell of every permanent id that
//! ever was, and of every request that made none: a client that sends an order twice shows there,
//! whatever it believes itself ([`Ledger`]).
//!
//! Two faults need care:
//! - `never-accept:N`: there is no way to take the connection behind N others out of the kernel's
//!   queue, so these N are accepted, never read, and never closed. To the client it looks the
//!   same; in the socket table they have an owner. Without a count nothing is accepted at all.
//! - `serial-accept[:N]`: the acceptor reads the opening of the current connection, and takes the
//!   next only when that one has sent START_API or its end was read. So a client that says
//!   nothing and stays blocks everyone, though TCP connects; its FIN or RST frees the place.
//!   Those that gave up while they waited in the kernel's queue are still there: each is taken,
//!   read to its end, and only then the next. It holds beside the fault of the connection, and
//!   with `mute-after-version` or `accept-and-mute` the place is never freed.
//!
//! Two more are beyond some clients, which is no defect of theirs to be hidden: the official Python
//! client does not put a version reply together that comes in pieces, so it never connects under
//! `slow-drip`, and under `split-frames` only because the pieces usually arrive together.
//!
//! # Ticks
//! The rate is per connection and exact; ticks that are over a second late, or have no room in
//! the queue of a slow reader, are dropped and counted. In stamp mode every tick is a price tick
//! (type 4, delayed 68) whose price is CLOCK_MONOTONIC in nanoseconds at the moment it was made,
//! and whose size counts the ticks of its line from 1, dropped ones included: a gap is a loss.
//!
//! # Events
//! One JSON object per line on stdout, each with `event` first. `at_ms` counts from the start.
//!
//! | event | fields |
//! |---|---|
//! | `listening` | `address`; with a relay also `behind`. Always first |
//! | `accepted` | `connection`, `at_ms`, `peer`; `fault` if it suffers one |
//! | `stage` | `connection`, `at_ms`, `stage` and its own fields: `opening{offer_low, offer_high, options}`, `version_sent{server_version}`, `api_started{client_id}`, `ready`, `mute`, `close_wait` |
//! | `request` | `connection`, `at_ms`, `message_id`, `name`; `request_id` if it has one; the key fields of [`Request`] |
//! | `limit` | `connection`, `at_ms`, `limit`; `code` unless it only had to wait; `request_id` |
//! | `closed` | `connection`, `at_ms`, `how`, `reason`, `received_bytes`, `sent_ticks`, `dropped`, `output_dropped`, `lines` |
//! | `fault_set` | `at_ms`; `fault` and `connections` unless none and all |
//! | `happened` | `at_ms`, `what` |
//! | `order` | `at_ms`, `what` ([`OrderChange`]), and the fields of [`LedgerEntry`] |
//! | `ledger` | `at_ms`, `orders`, `refused`: when asked for, and before `stopped` if any order came |
//! | `refused_command` | `line`, `error`: of standard input, with `--control` |
//! | `stopped` | `at_ms`, and the sums of [`Report`]. Always last |
//!
//! `how` is `fin` or `reset` when the client ended it, otherwise `refused`, `violation`, `fault`,
//! `cut`, `asked` or `shutdown`. A connection that is deaf or in CLOSE_WAIT by fault has no
//! `closed` before the simulator ends.

mod args;
mod config;
mod control;
mod events;
mod fault;
mod gateway;
mod happening;
mod ledger;
mod limits;
mod run;
mod seeds;
mod shell;

pub use args::SimArgs;
pub use config::{ClockBase, GatewayConfig, Rate, SERVER_VERSION, SimConfig};
pub use events::{CloseHow, ConnectionId, Event, Report, Request, Stage};
pub use fault::{Fault, FaultError, FaultPlan, FaultSpec};
pub use gateway::{End, Gateway, Output};
pub use happening::{
    DropAtOrder, Farm, Happening, HappeningError, OrderHappening, OrderName, Scheduled,
};
pub use ledger::{Ledger, LedgerEntry, LedgerRefusal, OrderChange};
pub use limits::{Limit, LimitError, LimitSpec, Limits};
pub use run::run;
pub use seeds::{SeedExecution, SeedOrder, SeedOwner, SeedPosition, SeedState};
pub use shell::{Observer, SimHandle, StartError, start, start_observed};
