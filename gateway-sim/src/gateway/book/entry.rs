//! One order of the book: what it is, how far it is, and which step may follow which.
//!
//! ```text
//!   Untransmitted ─► PendingSubmit ─► PreSubmitted ─► Submitted ─► Filled
//!                                          │             │  ▲
//!                                          ├─► Inactive ─┤  │      any that is alive ─► Cancelled
//!                                          ▼             ▼  │
//!                                       Rejected     PendingCancel ─► Cancelled
//! ```
//!
//! On the wire Untransmitted and Rejected are `Inactive` too. Vanished orders existed only in an
//! earlier session of this Gateway: nobody hears of them again. A fill after Cancelled does not
//! bring an order back; it only counts.

use std::time::Duration;

use ibouncer_proto::tws::v1::{Contract, Order};

use super::super::answer::Refusal;
use super::super::traded::Traded;
use super::kinds::Kind;
use super::quantity::Quantity;
use crate::seeds::SeedOwner;

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// Kept until it is transmitted.
    Untransmitted,
    /// Gateway has it, IB has not: the link between them is lost.
    PendingSubmit,
    /// IB has it: it waits for its parent, for its trigger, or to be routed.
    PreSubmitted,
    /// It works.
    Submitted,
    /// IB holds it back; it may come back.
    Inactive,
    /// A cancel is on its way to IB.
    PendingCancel,
    Filled,
    Cancelled,
    Rejected,
    Vanished,
}

impl Status {
    /// As it is on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PendingSubmit => "PendingSubmit",
            Self::PreSubmitted => "PreSubmitted",
            Self::Submitted => "Submitted",
            Self::Untransmitted | Self::Inactive | Self::Rejected => "Inactive",
            Self::PendingCancel => "PendingCancel",
            Self::Filled => "Filled",
            Self::Cancelled | Self::Vanished => "Cancelled",
        }
    }

    /// In the ledger, where each has a name of its own.
    pub(crate) fn ledger_name(self) -> &'static str {
        match self {
            Self::Untransmitted => "Untransmitted",
            Self::Rejected => "Rejected",
            Self::Vanished => "Vanished",
            other => other.name(),
        }
    }

    /// Whether it can still be filled, changed or cancelled.
    pub(crate) fn is_alive(self) -> bool {
        !matches!(self, Self::Filled | Self::Cancelled | Self::Rejected | Self::Vanished)
    }
}

fn allowed(from: Status, to: Status) -> bool {
    use Status::{
        Cancelled, Filled, Inactive, PendingCancel, PendingSubmit, PreSubmitted, Rejected,
        Submitted, Untransmitted, Vanished,
    };
    match from {
        Untransmitted => matches!(to, PendingSubmit | PreSubmitted | Cancelled | Vanished),
        PendingSubmit => matches!(to, PreSubmitted | PendingCancel | Cancelled | Vanished),
        PreSubmitted => {
            matches!(to, Submitted | Inactive | PendingCancel | Filled | Cancelled | Rejected)
        }
        Submitted => matches!(to, Inactive | PendingCancel | Filled | Cancelled | Rejected),
        Inactive => matches!(to, PreSubmitted | Submitted | PendingCancel | Filled | Cancelled),
        PendingCancel => matches!(to, Submitted | PreSubmitted | Filled | Cancelled | Vanished),
        Filled | Cancelled | Rejected | Vanished => false,
    }
}

/// One order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) perm_id: i64,
    pub(crate) owner: SeedOwner,
    /// 0 for one that was placed by hand.
    pub(crate) order_id: i32,
    pub(crate) account: String,
    pub(crate) traded: Traded,
    pub(crate) contract: Contract,
    /// As it was wished, with the defaults of TWS.
    pub(crate) order: Order,
    pub(crate) kind: Kind,
    pub(crate) buy: bool,
    pub(crate) quantity: Quantity,
    pub(crate) filled: Quantity,
    /// Sum of price times quantity.
    pub(crate) paid: f64,
    pub(crate) last_price: f64,
    pub(crate) commission: f64,
    status: Status,
    pub(crate) parent: Option<i64>,
    /// Where a stop is, which a trailing one moves.
    pub(crate) stop: Option<f64>,
    pub(crate) triggered: bool,
    /// Filled only when told.
    pub(crate) stuck: bool,
    /// Its statuses are not told.
    pub(crate) silent: bool,
    /// When its next part is due.
    pub(crate) next_part: Option<Duration>,
    /// Status before a cancel or an Inactive, for when it comes back.
    pub(crate) before: Status,
    /// Unix time in seconds of its end.
    pub(crate) ended: Option<i64>,
    /// What IB will say to it, and a notice that comes with that.
    pub(crate) rejection: Option<Refusal>,
    pub(crate) warning: Option<(i32, String)>,
    /// So much of it is filled at once, and the rest only when told.
    pub(crate) first_part: Option<Quantity>,
    /// Why it was rejected.
    pub(crate) reject_code: Option<i32>,
    /// Frames that placed or modified it, and that cancelled it.
    pub(crate) places: u32,
    pub(crate) cancels: u32,
    /// It was there from the start.
    pub(crate) seeded: bool,
}

/// What an order is when it arrives.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry {
    pub(crate) perm_id: i64,
    pub(crate) owner: SeedOwner,
    pub(crate) order_id: i32,
    pub(crate) traded: Traded,
    pub(crate) contract: Contract,
    pub(crate) order: Order,
    pub(crate) kind: Kind,
    pub(crate) buy: bool,
    pub(crate) quantity: Quantity,
    pub(crate) parent: Option<i64>,
}

impl Entry {
    pub(crate) fn new(new: NewEntry, status: Status) -> Self {
        let NewEntry { perm_id, owner, order_id, traded, contract, order, kind, .. } = new;
        let mut entry = Self {
            perm_id,
            owner,
            order_id,
            account: order.account().to_owned(),
            traded,
            contract,
            order,
            kind,
            buy: new.buy,
            quantity: new.quantity,
            filled: Quantity::ZERO,
            paid: 0.0,
            last_price: 0.0,
            commission: 0.0,
            status,
            parent: new.parent,
            stop: None,
            triggered: false,
            stuck: false,
            silent: false,
            next_part: None,
            before: Status::PreSubmitted,
            ended: None,
            rejection: None,
            warning: None,
            first_part: None,
            reject_code: None,
            places: 0,
            cancels: 0,
            seeded: false,
        };
        entry.set_stop();
        entry
    }

    /// Takes over what a modify may change.
    pub(crate) fn change(&mut self, order: Order, kind: Kind, quantity: Quantity) {
        self.order = order;
        self.kind = kind;
        self.quantity = quantity;
        self.triggered &= kind.waits_for_trigger();
        self.next_part = None;
        self.set_stop();
    }

    fn set_stop(&mut self) {
        let given = |price: f64| (price < f64::MAX && price != 0.0).then_some(price);
        self.stop = match self.kind {
            kind if kind.has_stop() => given(self.order.aux_price()),
            kind if kind.trails() => given(self.order.trail_stop_price()),
            _ => None,
        };
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.status.is_alive()
    }

    /// Whether IB may execute it.
    pub(crate) fn works(&self) -> bool {
        matches!(self.status, Status::PreSubmitted | Status::Submitted)
    }

    pub(crate) fn remaining(&self) -> Quantity {
        self.quantity - self.filled
    }

    /// Whether only a hand fills it, whatever the market does: its type, or the auction that it
    /// waits for, is not simulated.
    pub(crate) fn waits_to_be_told(&self) -> bool {
        self.kind == Kind::Told || matches!(self.order.tif(), "OPG" | "AUC")
    }

    /// The price that it must not miss, if it has one.
    pub(crate) fn limit(&self) -> Option<f64> {
        let given = self.order.lmt_price.filter(|price| *price < f64::MAX && *price != 0.0);
        match self.kind {
            Kind::Told => given,
            kind => kind.has_limit().then(|| self.order.lmt_price()),
        }
    }

    /// Average price of what is filled; 0 before.
    pub(crate) fn average(&self) -> f64 {
        match self.filled {
            Quantity::ZERO => 0.0,
            filled => ((self.paid / filled.as_f64()) * 1e8).round() / 1e8,
        }
    }

    /// Whether this step is one that an order can take from here.
    pub(crate) fn may(&self, to: Status) -> bool {
        allowed(self.status, to)
    }

    /// The only writer of the status; false if nothing changed.
    pub(crate) fn transition(&mut self, to: Status, because: &'static str) -> bool {
        let from = self.status;
        if from == to {
            return false;
        }
        let perm_id = self.perm_id;
        if !allowed(from, to) {
            #[cfg(test)]
            panic!("order {perm_id} cannot go from {from:?} to {to:?}: {because}");
            #[cfg(not(test))]
            tracing::error!(perm_id, ?from, ?to, because, "refused a transition");
            #[cfg(not(test))]
            return false;
        }
        tracing::debug!(perm_id, ?from, ?to, because, "order moved on");
        self.before = from;
        self.status = to;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Status::*;
    use super::*;

    const ALL: [Status; 10] = [
        Untransmitted,
        PendingSubmit,
        PreSubmitted,
        Submitted,
        Inactive,
        PendingCancel,
        Filled,
        Cancelled,
        Rejected,
        Vanished,
    ];

    #[test]
    fn an_end_is_an_end_and_every_life_can_be_cancelled() {
        for from in ALL {
            for to in ALL {
                assert!(from.is_alive() || !allowed(from, to), "{from:?} to {to:?}");
            }
            assert_eq!(allowed(from, Cancelled), from.is_alive(), "{from:?}");
        }
        assert!(allowed(Inactive, Submitted) && !allowed(Filled, Submitted));
        assert!(!allowed(PendingSubmit, Filled), "IB does not have it");
    }
}
