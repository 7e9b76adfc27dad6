//! The one place where the doctor looks at the kernel's tables.

use std::net::SocketAddr;
use std::time::Instant;

use ibouncer_core::sight::Sight;
use ibouncer_eyes::{Eyes, Ours, Setting};

/// Eyes for one examination.
#[derive(Debug)]
pub(crate) struct Looker {
    eyes: Eyes,
    ours: Ours,
}

impl Looker {
    pub(crate) fn new(gateway: SocketAddr, setting: Setting, worker: Option<u32>) -> Self {
        let ours = Ours { worker, doctor: Some(std::process::id()) };
        Self { eyes: Eyes::new(gateway, setting), ours }
    }

    /// One look, without a packet.
    pub(crate) fn look(&mut self) -> Sight {
        self.eyes.look(&self.ours, Instant::now())
    }
}
