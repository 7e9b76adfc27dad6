//! Before an attempt: what must have been looked at.
//!
//! Whoever wants an attempt says so; then the kernel's tables are read, then it is asked whether
//! it is our turn ([`super::turn`]), and only then it is decided. A look that does not come in time
//! counts as eyes that see nothing.

use std::time::{Duration, Instant};

use super::{HeldBy, Session, State, Wish};
use crate::clock::Clock;
use crate::ids::Epoch;
use crate::lookout::News;
use crate::record::Claim;
use crate::sight::Sight;

/// The tables are read within milliseconds; a machine that needs longer is not waited for.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// A reason to believe that Gateway is wedged no more.
pub(super) const DRAINED: &str = "Gateway's accept queue has drained";

/// The wish for an attempt.
#[derive(Debug)]
pub(super) struct Intent {
    pub(super) because: String,
    pub(super) force: Force,
    /// The broker has just started, and does not know what it waited for before.
    pub(super) restarted: bool,
    pub(super) step: Step,
}

/// How far it has come.
#[derive(Debug)]
pub(super) enum Step {
    /// The tables are being read.
    Look {
        /// They are not waited for longer.
        until: Instant,
    },
    /// It is asked whether it is our turn.
    Claim {
        /// The answer is not waited for longer.
        until: Instant,
    },
    /// It is not.
    Wait {
        /// When to look again.
        until: Instant,
        /// Whose turn it is, in words.
        others: String,
    },
}

/// What the wish overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Force {
    /// It is no wish for an attempt: it is only asked whether Gateway counts as wedged.
    Judge,
    /// Nothing.
    None,
    /// That nothing listens: a closed port answers by itself.
    Absence,
    /// The verdict WEDGED as well, if its probe is due.
    Due,
    /// The verdict: there is a reason to believe that it is over.
    Evidence,
    /// The same, by a person's word; that is not used up by what others try meanwhile.
    Person,
}

impl Intent {
    pub(super) fn deadline(&self) -> Instant {
        match self.step {
            Step::Look { until } | Step::Claim { until } | Step::Wait { until, .. } => until,
        }
    }

    pub(super) fn waits_for(&self) -> &'static str {
        match self.step {
            Step::Look { .. } => "look at the kernel's tables",
            Step::Claim { .. } => "handshake lock",
            Step::Wait { .. } => "handshake of somebody else",
        }
    }

    /// Whose handshake is waited for, and until when.
    pub(super) fn waits_for_others(&self) -> Option<(&str, Instant)> {
        match &self.step {
            Step::Wait { others, until } => Some((others, *until)),
            Step::Look { .. } | Step::Claim { .. } => None,
        }
    }
}

impl Session {
    /// An attempt is wanted; the tables are read first.
    pub(super) fn want(&mut self, because: &str, force: Force, now: Instant) {
        let step = Step::Look { until: now + LOOK_DEADLINE };
        let restarted = matches!(self.state, State::Stopped);
        self.intent = Some(Intent { because: because.to_owned(), force, restarted, step });
        self.wishes.push_back(Wish::Look);
    }

    /// What the wish waited for did not come in time, or its time has come.
    pub(super) fn on_intent_late(&mut self, now: Instant) {
        match self.intent.as_ref().map(|intent| &intent.step) {
            Some(Step::Look { .. }) => self.on_no_sight(now),
            Some(Step::Claim { .. }) => {
                let because = "the handshake lock was not looked at in time".to_owned();
                self.on_claimed(Claim::Unusable { because }, now);
            }
            Some(Step::Wait { .. }) => {
                if let Some(intent) = &mut self.intent {
                    intent.step = Step::Look { until: now + LOOK_DEADLINE };
                    self.wishes.push_back(Wish::Look);
                }
            }
            None => {}
        }
    }

    /// The kernel's tables were read.
    pub fn on_sight(&mut self, sight: Sight, clock: Clock, now: Instant) {
        self.clock = clock;
        let news = self.lookout.see(sight, now);
        self.note_start(now);
        let seen = self.lookout.known_listener();
        let known = seen.is_some_and(|seen| self.ledger.record.is_about_another(seen));
        let replaced = news.changed || known;
        if replaced {
            self.on_new_listener();
        }
        match self.intent.take() {
            // The answer comes at once.
            Some(intent @ Intent { step: Step::Claim { .. }, .. }) => self.intent = Some(intent),
            Some(intent) => self.decide(intent, now),
            None => self.on_news(news, replaced, now),
        }
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

    fn decide(&mut self, intent: Intent, now: Instant) {
        if self.stopping || self.has_attempt() {
            return;
        }
        if let Some(hold) = &self.ledger.hold {
            let because = format!("held: {}", hold.reason);
            if !matches!(self.state, State::Held { .. }) {
                self.transition(State::Held { by: HeldBy::Operator }, because, now);
            }
            return;
        }
        self.claim(intent, now);
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
                self.want("something listens on Gateway's port again", Force::Evidence, now);
            }
            // An updated Gateway is another process as well.
            State::Wedged { .. }
            | State::Backoff { .. }
            | State::ClientIdInUse { .. }
            | State::Held { by: HeldBy::Version }
                if replaced =>
            {
                self.want("another process listens on Gateway's port", Force::Evidence, now);
            }
            State::Wedged { .. } if news.drained => {
                self.want(DRAINED, Force::Evidence, now);
            }
            State::Backoff { .. } if self.is_over_budget(now) => {
                self.want("silence was met often enough", Force::Judge, now);
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

    /// What was met before says nothing about this one.
    fn on_new_listener(&mut self) {
        self.renewed = true;
        self.ledger.record.renew();
        self.backoff.reset();
        self.ledger.failures = 0;
        self.ledger.not_before_ms = 0;
        self.port_moved = None;
        self.wishes.push_back(Wish::Remember);
    }

    /// One attempt, entered in the record before it is made.
    pub(super) fn dial(&mut self, because: &str, now: Instant) {
        // A session that was taken over can have a lower number than others that were used.
        self.epoch = Epoch(self.epoch.0.max(self.ledger.epoch) + 1);
        self.dials += 1;
        self.dialled_id = self.next_client_id();
        self.verdict = None;
        self.upstream_lost = None;
        self.history.begin(self.epoch, now);
        self.ledger.epoch = self.epoch.0;
        let (name, period) = (self.name(), self.probe_period());
        self.ledger.record.begin(&name, self.clock.millis(now), period);
        self.wishes.push_back(Wish::Remember);
        self.wishes.push_back(Wish::Dial(self.epoch));
        self.transition(State::Connecting { epoch: self.epoch }, because.to_owned(), now);
    }
}
