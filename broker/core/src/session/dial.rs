//! Before an attempt: what must have been looked at, and whether one is made at all.
//!
//! Whoever wants an attempt says so; then the kernel's tables are read, and only then it is
//! decided. A look that does not come in time counts as eyes that see nothing.

use std::time::{Duration, Instant};

use super::{HeldBy, Session, State, Wish};
use crate::clock::Clock;
use crate::ids::Epoch;
use crate::ledger::Wedged;
use crate::lookout::News;
use crate::sight::Sight;

/// The tables are read within milliseconds; a machine that needs longer is not waited for.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Connections that wait so long to be accepted, beside a silent attempt, are proof enough.
const QUEUE_STUCK: Duration = Duration::from_secs(30);

/// The wish for an attempt.
#[derive(Debug)]
pub(super) struct Intent {
    because: String,
    force: Force,
    since: Instant,
}

/// What the wish overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Force {
    /// Nothing.
    None,
    /// That nothing listens: a closed port answers by itself.
    Absence,
    /// The verdict WEDGED as well: a probe, or a reason to believe that it is over.
    Verdict,
}

impl Intent {
    pub(super) fn deadline(&self) -> Instant {
        self.since + LOOK_DEADLINE
    }
}

impl Session {
    /// An attempt is wanted; the tables are read first.
    pub(super) fn want(&mut self, because: &str, force: Force, now: Instant) {
        self.intent = Some(Intent { because: because.to_owned(), force, since: now });
        self.wishes.push_back(Wish::Look);
    }

    /// The kernel's tables were read.
    pub fn on_sight(&mut self, sight: Sight, clock: Clock, now: Instant) {
        self.clock = clock;
        let news = self.lookout.see(sight, now);
        self.note_start(now);
        let replaced = news.changed || self.is_replaced_since_wedged();
        if replaced {
            self.on_new_listener();
        }
        if let Some(intent) = self.intent.take() {
            return self.decide(intent, now);
        }
        self.on_news(news, replaced, now);
    }

    /// They could not be read in time.
    pub(super) fn on_no_sight(&mut self, now: Instant) {
        self.lookout.see(Sight::blind("the kernel's tables were not read in time"), now);
        if let Some(intent) = self.intent.take() {
            self.decide(intent, now);
        }
    }

    /// Is a restart of Gateway expected now?
    pub fn in_restart_window(&self, now: Instant) -> bool {
        self.window_until.is_some_and(|until| now < until)
    }

    /// An operator's window in which Gateway is restarted.
    pub fn on_restart_window(&mut self, until: Option<Instant>) {
        self.window_until = until;
    }

    /// May Gateway be about to start, so that silence proves nothing? Until when, if so.
    pub(super) fn starting_until(&self, now: Instant) -> Option<Instant> {
        [self.grace_until, self.window_until]
            .into_iter()
            .flatten()
            .filter(|until| now < *until)
            .max()
    }

    /// Has Gateway been silent as often as it may be?
    pub(super) fn is_over_budget(&self, now: Instant) -> bool {
        let budget = self.settings.attempts.silent_budget;
        let silent = self.ledger.silent_in_row;
        let stuck =
            || silent > 0 && self.lookout.queue_age(now).is_some_and(|age| age >= QUEUE_STUCK);
        budget > 0 && self.starting_until(now).is_none() && (silent >= budget || stuck())
    }

    /// WEDGED, until `probe_at` at the latest.
    pub(super) fn become_wedged(&mut self, because: String, now: Instant) {
        let period = self.probe_period();
        // A probe that was due before a restart is due after it, neither sooner nor later.
        let (since_ms, wait) = match &self.ledger.wedged {
            Some(wedged) if matches!(self.state, State::Stopped) => {
                (wedged.since_ms, self.clock.until(wedged.probe_at_ms, now).min(period))
            }
            Some(wedged) => (wedged.since_ms, period),
            None => (self.clock.millis(now), period),
        };
        let probe_at = now + wait;
        self.ledger.wedged = Some(Wedged {
            since_ms,
            probe_at_ms: self.clock.millis(probe_at),
            listener: self.lookout.known_listener(),
        });
        self.wishes.push_back(Wish::Remember);
        let count = self.ledger.silent_in_row;
        let because = format!("{count} silent handshakes in a row; the last: {because}");
        self.transition(State::Wedged { probe_at }, because, now);
    }

    fn probe_period(&self) -> Duration {
        let settings = &self.settings.attempts;
        if self.lookout.counts() { settings.slow_probe_local } else { settings.slow_probe_remote }
    }

    fn decide(&mut self, intent: Intent, now: Instant) {
        if self.stopping || self.has_attempt() {
            return;
        }
        if let Some(hold) = &self.ledger.hold {
            let because = format!("held by an operator: {}", hold.reason);
            if !matches!(self.state, State::Held { .. }) {
                self.transition(State::Held { by: HeldBy::Operator }, because, now);
            }
            return;
        }
        let wedged = self.is_over_budget(now) || self.is_wedged_from_before(now);
        if wedged && intent.force < Force::Verdict {
            if !matches!(self.state, State::Wedged { .. }) {
                let because = "it was met before this broker started".to_owned();
                self.become_wedged(because, now);
            }
            return;
        }
        if matches!(self.state, State::Stopped) && intent.force == Force::None {
            let wait = self.clock.until(self.ledger.not_before_ms, now).min(self.backoff.longest());
            if !wait.is_zero() {
                let class = crate::attempts::FailureClass::Cancelled;
                let because = "the wait after the attempt before goes on over the restart".into();
                return self.transition(
                    State::Backoff { dial_at: now + wait, class },
                    because,
                    now,
                );
            }
        }
        if self.lookout.is_absent() && intent.force < Force::Absence {
            let because = "nothing listens on Gateway's port".into();
            return self.become_absent(because, now);
        }
        self.dial(&intent.because, now);
    }

    /// GATEWAY_ABSENT: looked at all the time, and dialled now and then all the same.
    pub(super) fn become_absent(&mut self, because: String, now: Instant) {
        let wait = if self.lookout.is_absent() {
            self.settings.attempts.absent_dial
        } else {
            self.absent_backoff.next(&mut self.rng).min(self.settings.attempts.absent_retry)
        };
        self.transition(State::GatewayAbsent { dial_at: now + wait }, because, now);
    }

    fn on_news(&mut self, news: News, replaced: bool, now: Instant) {
        match self.state {
            State::GatewayAbsent { .. } if self.lookout.sight().listening() == Some(true) => {
                self.dial("something listens on Gateway's port again", now);
            }
            // An updated Gateway is another process as well.
            State::Wedged { .. }
            | State::Backoff { .. }
            | State::ClientIdInUse { .. }
            | State::Held { by: HeldBy::Version }
                if replaced =>
            {
                self.dial("another process listens on Gateway's port", now);
            }
            State::Wedged { .. } if news.drained => {
                self.dial("Gateway's accept queue has drained", now);
            }
            State::Backoff { .. } if self.is_over_budget(now) => {
                let because = "connections wait for 30 s and more to be accepted".to_owned();
                self.become_wedged(because, now);
            }
            _ => {}
        }
    }

    /// A process that was started a moment ago is given time.
    fn note_start(&mut self, now: Instant) {
        let grace = self.settings.attempts.startup_grace;
        if let Some(left) = self.lookout.startup_left(grace, &self.clock, now) {
            let until = now + left;
            self.grace_until = Some(self.grace_until.map_or(until, |other| other.max(until)));
        }
    }

    fn is_replaced_since_wedged(&self) -> bool {
        let known = self.ledger.wedged.as_ref().and_then(|wedged| wedged.listener);
        known.is_some_and(|known| self.lookout.is_another(known))
    }

    /// The verdict was there before this broker was, and nothing speaks against it.
    fn is_wedged_from_before(&self, now: Instant) -> bool {
        self.settings.attempts.silent_budget > 0
            && self.ledger.wedged.is_some()
            && self.starting_until(now).is_none()
    }

    /// What was met before says nothing about this one.
    fn on_new_listener(&mut self) {
        self.ledger.forgive();
        self.backoff.reset();
        self.ledger.failures = 0;
        self.ledger.not_before_ms = 0;
        self.port_moved = None;
        self.wishes.push_back(Wish::Remember);
    }

    /// One attempt, entered in the ledger before it is made.
    pub(super) fn dial(&mut self, because: &str, now: Instant) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.dials += 1;
        self.dialled_id = self.next_client_id();
        self.verdict = None;
        self.upstream_lost = None;
        self.history.begin(self.epoch, now);
        self.ledger.epoch = self.epoch.0;
        // If nobody sees its end, the next probe is due a period after this one all the same.
        let next_probe_ms = self.clock.millis(now + self.probe_period());
        if let Some(wedged) = &mut self.ledger.wedged {
            wedged.probe_at_ms = next_probe_ms;
        }
        self.ledger.begin("broker", self.clock.millis(now));
        self.wishes.push_back(Wish::Remember);
        self.wishes.push_back(Wish::Dial(self.epoch));
        self.transition(State::Connecting { epoch: self.epoch }, because.to_owned(), now);
    }
}
