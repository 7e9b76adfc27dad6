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
    /// Pass of Gateway's lists in which Gateway showed it without the change that it has not answered.
    pub(crate) unchanged_in: u64,
    /// Gateway's word has proven its end wrong, and may move it.
    pub(crate) overruled: bool,
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
            unchanged_in: 0,
            overruled: false,
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
        self.record.change = Some(Change {
            kind: kind.into(),
            state: ChangeState::Waiting.into(),
            request: request.to_vec().into(),
            by: by.to_owned(),
            reason: reason.to_owned(),
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

    /// It leaves now, in this link frame.
    pub(crate) fn on_leaving(&mut self, sending: Sending) {
        self.record.sending = Some(sending);
    }
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
            matches!(to, Acknowledged | Working | Inactive | Filled | Cancelled)
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

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 10] = [
        State::Intent,
        State::Sent,
        State::Acknowledged,
        State::Working,
        State::Inactive,
        State::Unknown,
        State::Filled,
        State::Cancelled,
        State::Rejected,
        State::NotSent,
    ];

    /// Rows are `from`, columns `to`, both in the order of `STATES`.
    const TABLE: [&str; 10] = [
        ".x...x...x", // INTENT
        "..xxxxxxxx", // SENT
        "...xxxxxx.", // ACKNOWLEDGED
        "..x.xxxxx.", // WORKING
        "..xx.xxxx.", // INACTIVE
        "..xxx.xxxx", // UNKNOWN
        ".....x....", // FILLED
        "..xxx.x...", // CANCELLED
        "..xxx.xx..", // REJECTED
        "..xxx.xx..", // NOT_SENT
    ];

    #[test]
    fn each_transition_is_as_in_the_table() {
        for (row, from) in TABLE.iter().zip(STATES) {
            for (cell, to) in row.bytes().zip(STATES) {
                let mut order = Order::new(OrderRecord::default());
                order.record.set_state(from);
                let moved = order.transition(to, "test");
                let expected = if from == to { Ok(false) } else { Ok(true) };
                if cell == b'x' || from == to {
                    assert_eq!(moved, expected, "{from:?} to {to:?}");
                    assert_eq!(order.state(), to);
                } else {
                    assert_eq!(moved, Err(Illegal), "{from:?} to {to:?}");
                    assert_eq!(order.state(), from);
                }
            }
        }
    }

    #[test]
    fn each_transition_of_a_change_is_as_in_the_table() {
        use ChangeState::*;
        let states = [Waiting, Sent, Done, Failed, Unknown, NotSent];
        let table = [
            ".xxxxx", // WAITING
            "..xxxx", // SENT
            "......", // DONE
            "......", // FAILED
            "..xx.x", // UNKNOWN
            "......", // NOT_SENT
        ];
        for (row, from) in table.iter().zip(states) {
            for (cell, to) in row.bytes().zip(states) {
                assert_eq!(change_allowed(from, to), cell == b'x', "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn silence_ends_nothing_and_no_end_is_live() {
        for state in STATES {
            let ended = matches!(
                state,
                State::Filled | State::Cancelled | State::Rejected | State::NotSent
            );
            assert_eq!(is_live(state), !ended, "{state:?}");
        }
    }

    #[test]
    fn gateways_words_are_known_and_a_new_word_moves_nothing() {
        assert_eq!(meaning("PreSubmitted"), Some(State::Working));
        assert_eq!(meaning("Inactive"), Some(State::Inactive));
        assert_eq!(meaning("SomethingNew"), None);
    }

    #[test]
    fn a_done_modification_is_what_is_in_force() {
        let mut order = Order::new(OrderRecord { request: "old".into(), ..Default::default() });
        order.begin_change(ChangeKind::Modify, b"new", None);
        assert!(order.move_change(ChangeState::Sent, "", 0));
        assert!(order.move_change(ChangeState::Failed, "no", 201));
        assert_eq!(order.record.request, "old");
        order.begin_change(ChangeKind::Modify, b"new", None);
        assert!(order.move_change(ChangeState::Sent, "", 0));
        assert!(order.move_change(ChangeState::Done, "", 0));
        assert_eq!(order.record.request, "new");
    }
}
