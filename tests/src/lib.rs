//! What the suites of this package share: real processes in private folders, and waiting for
//! conditions.
//!
//! Nothing here sleeps in place of a condition, nothing outlives its owner, and every wait has a
//! deadline. The binary under test is handed in by each suite (`env!("CARGO_BIN_EXE_…")` exists
//! only there). Start at [`harness::Broker`] and [`harness::Sim`].
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a suite that cannot go on says where it stopped"
)]

pub mod harness;
pub mod hub_alone;
