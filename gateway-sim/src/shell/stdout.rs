//! Events as lines of JSON on stdout, written by a thread of its own.
//!
//! Each line is flushed at once. Whoever does not read them never stops the simulator: what does
//! not fit into the queue is lost, and the loss is reported.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;

use crate::events::Event;

/// Events that may wait.
const QUEUE: usize = 65_536;

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The thread that writes.
pub(crate) struct EventWriter {
    events: SyncSender<Event>,
    ended: mpsc::Receiver<()>,
}

impl EventWriter {
    pub(crate) fn start() -> std::io::Result<Self> {
        let (events, receiver) = mpsc::sync_channel::<Event>(QUEUE);
        let (done, ended) = mpsc::channel();
        std::thread::Builder::new().name("sim-events".to_owned()).spawn(move || {
            let _done = done;
            for event in receiver {
                if let Err(error) = write(&event) {
                    tracing::debug!(%error, "nobody reads the events");
                    return;
                }
            }
        })?;
        Ok(Self { events, ended })
    }

    /// Takes the events of a simulator.
    pub(crate) fn observer(&self) -> super::Observer {
        let events = self.events.clone();
        let mut lost = 0_u64;
        Box::new(move |event| {
            if let Err(TrySendError::Full(_)) = events.try_send(event.clone()) {
                lost += 1;
                if lost.is_power_of_two() {
                    tracing::warn!(lost, "events are lost: nobody reads them");
                }
            }
        })
    }

    /// Waits for the last line, but not for a reader that has stopped reading.
    pub(crate) fn finish(self) {
        drop(self.events);
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(LAST_LINES) {
            tracing::warn!("the last events are lost: nobody reads them");
        }
    }
}

fn write(event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line)?;
    stdout.flush()
}
