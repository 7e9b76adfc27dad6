//! When a command that goes on is over: after its time, or when the user says so.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep_until};

/// The end of a command that goes on.
pub(crate) struct Until {
    end: Option<Instant>,
    signals: [Signal; 3],
}

impl Until {
    /// Counts from now; without a period only a signal ends it.
    pub(crate) fn new(period: Option<Duration>) -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        let end = period.and_then(|period| Instant::now().checked_add(period));
        Ok(Self { end, signals: [interrupt?, terminate?, hangup?] })
    }

    /// Waits for it. May be dropped and called again.
    pub(crate) async fn over(&mut self) {
        let end = self.end;
        let time = async {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            () = time => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
