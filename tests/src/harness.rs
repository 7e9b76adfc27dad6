//! The pieces of an end-to-end test.
//!
//! - [`Program`]: a process, its output as lines, its end.
//! - [`Home`]: private folders, and commands in them.
//! - [`Sim`], [`Broker`], [`Watch`]: simulated Gateway, broker, and the stream of its states.
//! - [`Principal`]: clients that may trade; [`certificates`]: what they show.
//! - [`machine`]: who uses it, and a test that needs all of it.
//! - [`wait`]: conditions with deadlines, and how late this machine is.
//! - [`procfs`]: processes and sockets as the kernel sees them.
//! - [`link`]: the test in the place of a broker, with a real worker.
//! - [`READS`]: what Gateway is asked by whoever reads everything.
//! - [`peers`]: Python and Node, each set up once.

mod broker;
pub mod certificates;
mod home;
pub mod link;
pub mod machine;
pub mod peers;
pub mod procfs;
mod program;
mod reads;
mod sim;
mod trading;
pub mod wait;
mod watch;

pub use broker::{Broker, BrokerPlan};
pub use home::{Answer, Home};
pub use program::{Lines, Program};
pub use reads::READS;
pub use sim::Sim;
pub use trading::Principal;
pub use watch::{Step, Watch};
