//! What the kernel's tables say about Gateway's port, read without a packet.
//!
//! [`Eyes::look`] answers with a [`Sight`](ibouncer_core::sight::Sight): who listens, what waits
//! to be accepted, and every other socket of the port with its owner. Nothing here connects to
//! the port, and nothing here sends a signal. Whatever cannot be read is "unknown" with its
//! cause.
//!
//! Pure, and tested with tables:
//! - `table`: lines of `/proc/net/tcp`.
//! - `port`: which of them are of this port, and on which side.
//! - `programs`: Gateway, a relay, or something else.
//! - `vantage`: whether the tables show Gateway itself.
//! - `roles`: what a socket is to us.
//! - `ages`: since when a socket is known, and whose it was.
//! - [`short`]: programs that connect and close again soon.
//! - `changes`: what happened to the listener between two looks.
//! - `command`: command lines as they may be shown.
//! - [`view`]: all of it as the public API tells it.
//!
//! `system` reads, on Linux; elsewhere everything is unknown. [`Eyes`] joins them.
#![warn(missing_docs)]
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "what works on tables has none to work on")
)]

mod ages;
mod changes;
mod command;
mod eyes;
mod port;
mod programs;
mod roles;
mod setting;
pub mod short;
mod system;
mod table;
mod vantage;
pub mod view;

pub use crate::eyes::Eyes;
pub use crate::roles::Ours;
pub use crate::setting::{Setting, UnknownSetting};
pub use crate::short::ShortConnections;
