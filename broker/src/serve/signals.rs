//! What each signal means to the broker.
//!
//! SIGTERM and SIGINT end the session in order. SIGHUP reads the configuration again. SIGUSR2
//! ends the broker and leaves a live session to the next one. None of them is worth a live
//! session but the first two. SIGXFSZ, of a file that may not grow any more, means nothing: the write
//! fails as on a full disk, which is handled where it is made.

use anyhow::Context as _;
use nix::sys::signal::Signal::SIGXFSZ;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    End(&'static str),
    Reload,
    LetGo,
}

/// All signals that mean something.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    let_go: Signal,
    /// Listened to, so that it does not kill.
    _too_large: Signal,
}

impl Signals {
    /// From now on none of them is deadly.
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listen for SIGINT")?,
            hang_up: signal(SignalKind::hangup()).context("listen for SIGHUP")?,
            let_go: signal(SignalKind::user_defined2()).context("listen for SIGUSR2")?,
            _too_large: signal(SignalKind::from_raw(SIGXFSZ as i32))
                .context("listen for SIGXFSZ")?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End("SIGTERM"),
            _ = self.interrupt.recv() => Order::End("SIGINT"),
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.let_go.recv() => Order::LetGo,
        }
    }
}
