//! How far back Gateway is asked for executions: to when their list was last taken in, whole.
//!
//! What filled since then may not have been told, also of orders that have ended meanwhile. Gateway
//! counts in days, of a clock and a time zone that are not ours, and keeps a week: its midnight may
//! have been a moment ago, so yesterday is always asked for. Source: protocol fact sheet, section 7;
//! each server version that is accepted takes a number of days.

use std::time::Instant;

use crate::notes::Severity;
use crate::orders::Desk;
use crate::orders::brakes::Road;

/// Gateway tells no older ones.
const MOST_DAYS: i64 = 7;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// On which the clocks are put forward.
const SHORT_DAY: i64 = 23 * HOUR;

impl Desk {
    /// Executions are asked for now: of so many days.
    pub(crate) fn ask_for_executions(&mut self, now: Instant) -> i32 {
        let now_ms = self.millis(now);
        self.executions_asked_ms = now_ms;
        let taken_in = self.facts.executions_ms;
        let since = match taken_in {
            // Never, or by a build that did not keep it.
            0 => self.facts.created_ms,
            _ => taken_in,
        };
        let away = now_ms - since;
        let says = self.brakes.reconciling && self.reconciler.is_last_pass();
        if says && taken_in != 0 && away > (MOST_DAYS - 1) * DAY {
            let text = format!(
                "executions were read {} days ago for the last time, and Gateway tells those of \
                 {MOST_DAYS} days: what filled before is not told; compare the statements of the \
                 account",
                away / DAY
            );
            self.note(Severity::Warning, text);
        }
        days_since(since, now_ms)
    }

    /// The list of executions came whole.
    pub(super) fn on_executions_listed(&mut self) {
        let is_main = self.brakes.road != Road::Alternate;
        // The first pass of a session counts for nothing.
        if is_main && self.is_journals_login() && self.reconciler.is_last_pass() {
            self.facts.executions_ms = self.executions_asked_ms;
            self.save_facts();
        }
    }
}

/// Days that hold all that was after this.
pub(in crate::orders) fn days_since(since_ms: i64, now_ms: i64) -> i32 {
    if since_ms - now_ms > HOUR {
        // A clock was wrong, and how long ago that was is not known.
        return MOST_DAYS as i32;
    }
    // Today, and one for each midnight that may lie between. A clock can have been set back.
    let days = 2 + (now_ms - since_ms).max(0) / SHORT_DAY;
    i32::try_from(days.min(MOST_DAYS)).unwrap_or(1)
}
