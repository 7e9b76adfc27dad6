//! The states of a session, as `status --watch --json` tells them.

use std::time::Duration;

use serde_json::Value;

use super::program::Program;
use super::wait::PATIENCE;

/// One transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// State before.
    pub from: String,
    /// State after.
    pub to: String,
    /// Why.
    pub because: String,
    /// Which worker.
    pub epoch: u64,
    /// When, of the day, to the millisecond.
    pub at: Duration,
}

/// A running `status --watch --json`.
#[derive(Debug)]
pub struct Watch {
    program: Program,
    seen: usize,
}

impl Watch {
    pub(super) fn start(program: Program) -> Self {
        program.stdout.find("first status", PATIENCE, |line| (!line.is_empty()).then_some(()));
        Self { program, seen: 0 }
    }

    /// The next update, of those that were not looked at yet, that fits.
    #[track_caller]
    pub fn next(&mut self, what: &str, mut fits: impl FnMut(&Value) -> bool) -> Value {
        let (value, seen) = self.program.stdout.find_from(self.seen, what, PATIENCE, |line| {
            serde_json::from_str(line).ok().filter(|value| fits(value))
        });
        self.seen = seen;
        value
    }

    /// Waits for a state of an epoch.
    #[track_caller]
    pub fn state(&mut self, state: &str, epoch: u64) -> Value {
        self.next(&format!("{state} in epoch {epoch}"), |update| {
            update["state"] == state && update["epoch"] == epoch
        })
    }

    /// The transitions of all updates so far, as "FROM TO".
    pub fn transitions(&self) -> Vec<String> {
        let updates = self.program.stdout.json();
        updates
            .iter()
            .flat_map(|update| update["transitions"].as_array().into_iter().flatten())
            .map(|step| format!("{} {}", text(&step["from"]), text(&step["to"])))
            .collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

impl Step {
    /// A line of the broker's log, if it is one of a transition.
    pub(super) fn from_log(line: &Value) -> Option<Self> {
        if line["message"] != "session" {
            return None;
        }
        Some(Self {
            from: text(&line["from"]).to_owned(),
            to: text(&line["to"]).to_owned(),
            because: text(&line["because"]).to_owned(),
            epoch: line["epoch"].as_u64()?,
            at: of_day(text(&line["timestamp"])),
        })
    }
}

/// `2026-03-01T14:02:10.923Z` as the time of its day.
fn of_day(text: &str) -> Duration {
    let (_, clock) = text.split_once('T').unwrap_or_default();
    let mut seconds = 0.0;
    for part in clock.trim_end_matches('Z').split(':') {
        seconds = seconds * 60.0 + part.parse::<f64>().unwrap_or_default();
    }
    Duration::from_secs_f64(seconds)
}
