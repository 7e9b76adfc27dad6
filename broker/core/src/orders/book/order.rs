//! One order: what is known of it, and of its newest change.
//!
//! ```text
//!             leaves          told             told
//!   INTENT ───────► SENT ───────► ACKNOWLEDGED ───► WORKING ◄──► INACTIVE
//!     │              │ │               │               │  │          │
//!     │ taken back   │ │ error         │ told          │  └─ told ─► FILLED, CANCELLED
//!     ▼              │ ▼               ▼               │
//!  NOT_SENT          │ REJECTED      (any)             │ a connection was lost in between
//!     ▲              │                                 ▼
//!     └─ proof ──────┴──────────────────────────►   UNKNOWN ── told, proof, a person ──► (any)
//! ```
//!
//! Only an openOrder or an orderStatus of Gateway, a completed order, or a person ends a live
//! order; an error ends one that Gateway has never told of. Fills are taken after CANCELLED too.
//! What Gateway tells is stronger than what we concluded: REJECTED and NOT_SENT can be revived by
//! it, CANCELLED by a later list of open orders, FILLED once executions were corrected to less; and
//! that is said aloud (`orders/evidence/revival.rs`). Never does silence move anything. Source: protocol
//! fact sheet, section 7.

#[cfg(test)]
mod tests;

use ibouncer_proto::api::v1::OrderState as State;
use ibouncer_proto::api::v1::{ChangeKind, ChangeState};

use crate::orders::journal::{Change, OrderRecord, Sending};

/// An order and what is only known while this process lives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// What the journal keeps.
    pub(crate) record: OrderRecord,
    /// The newest session in which Gateway told of it.
    pub(crate) seen_in: u64,
    /// The journal has it.
    pub(crate) journaled: bool,
    /// The session in which Gateway told of it with another contract or side, and not as it was
    /// placed since.
    pub(crate) altered_in: Option<u64>,
    /// Pass of Gateway's lists that was begun last when Gateway told of its end.
    pub(crate) ended_in: u64,
    /// The same of its newest fill.
    pub(crate) filled_in: u64,
    /// An error has come that can have been the late answer to its newest change.
    pub(crate) late_error: bool,
    /// Pass of Gateway's lists in which Gateway showed it without the change that it has not answered.
    pub(crate) unchanged_in: u64,
    /// Gateway's word has proven its end wrong, and may move it.
    pub(crate) overruled: bool,
    /// Gateway has said that it rejects it, and has not shown it working since.
    pub(crate) refused: Option<String>,
}

/// Why a state may not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Illegal;

impl Order {
    pub(crate) fn new(record: OrderRecord) -> Self {
        Self {
            record,
            seen_in: 0,
            journaled: false,
            altered_in: None,
            ended_in: 0,
            filled_in: 0,
            late_error: false,
            unchanged_in: 0,
            overruled: false,
            refused: None,
        }
    }

    pub(crate) fn state(&self) -> State {
        self.record.state()
    }

    /// It may still fill.
    pub(crate) fn is_live(&self) -> bool {
        is_live(self.state())
    }

    /// It never left, and its owner did not end it: the same call may place it after all.
    pub(crate) fn may_leave_after_all(&self) -> bool {
        self.state() == State::NotSent && self.record.change.is_none()
    }

    /// Where Gateway's word finds it: what a person has concluded, and what Gateway has proven
    /// wrong, is as good as UNKNOWN to it.
    pub(crate) fn state_for_gateway(&self) -> State {
        if self.record.by_person || self.overruled { State::Unknown } else { self.state() }
    }

    /// It has left, or may have.
    pub(crate) fn has_left(&self) -> bool {
        self.record.sending.is_some()
    }

    /// The change that Gateway has not answered.
    pub(crate) fn pending(&self) -> Option<&Change> {
        self.record.change.as_ref().filter(|change| is_pending(change.state()))
    }

    /// Gateway told of it in this session.
    pub(crate) fn is_seen_in(&self, epoch: u64) -> bool {
        self.seen_in == epoch
    }

    /// Gateway has told of it, in whatever session: it arrived.
    pub(crate) fn has_been_told(&self) -> bool {
        let OrderRecord { perm_id, status, filled, .. } = &self.record;
        *perm_id != 0 || !status.is_empty() || !filled.is_empty()
    }

    /// It left in this session.
    pub(crate) fn left_in(&self, epoch: u64) -> bool {
        self.record.sending.as_ref().is_some_and(|sending| sending.epoch == epoch)
    }

    /// The only writer of the state. False if it was there already.
    pub(crate) fn transition(&mut self, next: State, because: &str) -> Result<bool, Illegal> {
        let from = self.state();
        if from == next {
            return Ok(false);
        }
        if !allowed(from, next) && !allowed(self.state_for_gateway(), next) {
            tracing::error!(order = self.record.order_id, ?from, to = ?next, because, "refused");
            return Err(Illegal);
        }
        if next == State::Unknown {
            self.record.set_known_state(from);
        }
        self.record.set_state(next);
        self.record.by_person = false;
        self.overruled = false;
        because.clone_into(&mut self.record.because);
        tracing::debug!(order = self.record.order_id, ?from, to = ?next, because, "order");
        Ok(true)
    }

    /// A new change, in place of the one before. `by` says who wants it and why, if that is not
    /// the owner.
    pub(crate) fn begin_change(
        &mut self,
        kind: ChangeKind,
        request: &[u8],
        by: Option<(&str, &str)>,
    ) {
        let (by, reason) = by.unwrap_or_default();
        self.unchanged_in = 0;
        self.late_error = false;
        let overtaken = self.record.change.take().and_then(awaited).map(Box::new);
        self.record.change = Some(Change {
            kind: kind.into(),
            state: ChangeState::Waiting.into(),
            request: request.to_vec().into(),
            by: by.to_owned(),
            reason: reason.to_owned(),
            overtaken: overtaken.filter(|_| kind == ChangeKind::Cancel),
            ..Change::default()
        });
    }

    /// The only writer of a change's state. False if there is nothing to move.
    pub(crate) fn move_change(&mut self, next: ChangeState, because: &str, code: i32) -> bool {
        let Some(change) = self.record.change.as_mut() else {
            return false;
        };
        if change.state() == next || !change_allowed(change.state(), next) {
            return false;
        }
        change.set_state(next);
        because.clone_into(&mut change.because);
        change.gateway_code = code;
        if next == ChangeState::Done && change.kind() == ChangeKind::Modify {
            self.record.request = std::mem::take(&mut change.request);
        }
        true
    }

    /// An openOrder came: is this the modification that a cancel has overtaken? It is in force then.
    pub(crate) fn settle_overtaken(&mut self, shows: impl Fn(&OrderRecord, &Change) -> bool) {
        let overtaken = self.record.change.as_ref().and_then(|one| one.overtaken.as_deref());
        if overtaken.is_some_and(|overtaken| shows(&self.record, overtaken))
            && let Some(overtaken) = self.take_overtaken()
        {
            self.record.request = overtaken.request;
        }
    }

    /// The modification that a cancel has overtaken; it is answered.
    pub(crate) fn take_overtaken(&mut self) -> Option<Box<Change>> {
        self.record.change.as_mut().and_then(|change| change.overtaken.take())
    }

    /// The modification behind a cancel that Gateway has not answered, if it left in this session.
    pub(crate) fn overtaken_in(&self, epoch: u64) -> Option<&Change> {
        let overtaken = self.record.change.as_ref()?.overtaken.as_deref()?;
        overtaken.sending.is_some_and(|sending| sending.epoch == epoch).then_some(overtaken)
    }

    /// A modification of this session that Gateway has not refused: an error can come late, also
    /// after a list has shown the order without it.
    pub(crate) fn may_be_refused_late(&self, epoch: u64) -> bool {
        let change = self.record.change.as_ref().filter(|_| self.is_live());
        change.is_some_and(|change| {
            let left = change.sending.is_some_and(|sending| sending.epoch == epoch);
            let concluded = matches!(change.state(), ChangeState::Done | ChangeState::Failed);
            let is_answered = change.gateway_code != 0 || self.late_error;
            left && concluded && change.kind() == ChangeKind::Modify && !is_answered
        })
    }

    /// Gateway says why a change has failed that was taken for failed. False if there is none. The
    /// next error is not that one's.
    pub(crate) fn explain_failed(&mut self, because: &str, code: i32) -> bool {
        self.late_error = true;
        let failed = self.record.change.as_mut();
        let Some(change) = failed.filter(|change| change.state() == ChangeState::Failed) else {
            return false;
        };
        because.clone_into(&mut change.because);
        change.gateway_code = code;
        true
    }

    /// Why Gateway's next word is the end of what it has rejected before, if it is.
    pub(crate) fn is_refused_now(&mut self, next: Option<State>) -> Option<String> {
        match next {
            Some(State::Inactive) => self.refused.clone(),
            Some(State::Working | State::Acknowledged) => {
                self.refused = None;
                None
            }
            _ => None,
        }
    }

    /// So much of it has filled, and what remains follows.
    pub(crate) fn fill_to(&mut self, filled: &str) {
        let number = |text: &str| text.parse::<f64>().ok();
        if let (Some(remaining), Some(to)) = (number(&self.record.remaining), number(filled)) {
            let before = number(&self.record.filled).unwrap_or_default();
            self.record.remaining = decimal((remaining + before - to).max(0.0));
        }
        filled.clone_into(&mut self.record.filled);
    }

    /// It leaves now, in this link frame.
    pub(crate) fn on_leaving(&mut self, sending: Sending) {
        self.record.sending = Some(sending);
    }
}

/// The modification of which Gateway still owes an answer, also behind a cancel that took its place.
fn awaited(change: Change) -> Option<Change> {
    match change.kind() {
        ChangeKind::Cancel => change.overtaken.map(|overtaken| *overtaken),
        _ => Some(change)
            .filter(|one| matches!(one.state(), ChangeState::Sent | ChangeState::Unknown)),
    }
}

/// As Gateway writes quantities.
pub(crate) fn decimal(quantity: f64) -> String {
    ((quantity * 1e8).round() / 1e8).to_string()
}

/// May an order in this state still fill?
pub(crate) fn is_live(state: State) -> bool {
    match state {
        State::Intent
        | State::Sent
        | State::Acknowledged
        | State::Working
        | State::Inactive
        | State::Unknown => true,
        State::Filled
        | State::Cancelled
        | State::Rejected
        | State::NotSent
        | State::Unspecified => false,
    }
}

/// Is a change in this state unanswered?
pub(crate) fn is_pending(state: ChangeState) -> bool {
    match state {
        ChangeState::Waiting | ChangeState::Sent | ChangeState::Unknown => true,
        ChangeState::Done
        | ChangeState::Failed
        | ChangeState::NotSent
        | ChangeState::Unspecified => false,
    }
}

/// May `to` follow `from`?
pub(crate) fn allowed(from: State, to: State) -> bool {
    use State::*;
    match from {
        Unspecified => matches!(to, Intent),
        Intent => matches!(to, Sent | NotSent | Unknown),
        Sent => matches!(
            to,
            Acknowledged | Working | Inactive | Filled | Cancelled | Rejected | NotSent | Unknown
        ),
        Acknowledged | Working | Inactive => matches!(
            to,
            Acknowledged | Working | Inactive | Filled | Cancelled | Rejected | Unknown
        ),
        Unknown => matches!(
            to,
            Acknowledged | Working | Inactive | Filled | Cancelled | Rejected | NotSent
        ),
        // What its executions said they say no more; the others only as Gateway tells.
        Filled => matches!(to, Unknown),
        Cancelled => matches!(to, Filled | Working | Acknowledged | Inactive),
        Rejected | NotSent => {
            matches!(to, Acknowledged | Working | Inactive | Filled | Cancelled | Unknown)
        }
    }
}

/// Does what Gateway says move an order from here? An end is not taken back by a message that
/// says less.
pub(crate) fn follows(from: State, next: State) -> bool {
    match from {
        State::Filled => false,
        // Gateway repeats itself; only a fill is news.
        State::Cancelled => next == State::Filled,
        State::Working | State::Inactive => next != State::Acknowledged,
        // Gateway says Inactive of what it has rejected.
        State::Rejected => !matches!(next, State::Inactive | State::Acknowledged),
        _ => true,
    }
}

/// May `to` follow `from`, of a change?
pub(crate) fn change_allowed(from: ChangeState, to: ChangeState) -> bool {
    use ChangeState::*;
    match from {
        Unspecified => matches!(to, Waiting),
        Waiting => matches!(to, Sent | NotSent | Done | Failed | Unknown),
        Sent => matches!(to, Done | Failed | Unknown | NotSent),
        Unknown => matches!(to, Done | Failed | NotSent),
        Done | Failed | NotSent => false,
    }
}

/// What Gateway's word for a status means. Source: protocol fact sheet, section 7.
pub(crate) fn meaning(status: &str) -> Option<State> {
    Some(match status {
        "ApiPending" | "PendingSubmit" => State::Acknowledged,
        "PreSubmitted" | "Submitted" | "PendingCancel" | "PreCancelled" | "WarnState" => {
            State::Working
        }
        "Inactive" => State::Inactive,
        "Filled" => State::Filled,
        "Cancelled" | "ApiCancelled" => State::Cancelled,
        _ => return None,
    })
}
