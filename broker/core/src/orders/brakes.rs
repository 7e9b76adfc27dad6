//! Whether a new order may be taken at all: everything that can close trading, in one place.
//!
//! A halt is a person's word and is kept over restarts. A doubt is the broker's own: something
//! about the journal does not fit what Gateway shows, and a person must look. Cancels pass all
//! of it. Read on in `brakes/doubts.rs`, and in `orders/rights.rs` (what one order is checked for).

mod doubts;

use std::collections::BTreeMap;

use super::Desk;
use super::session::reconcile::Listing;
use crate::error::{self, Error, Retry};
use crate::principals::WhenAway;
pub(crate) use doubts::Doubt;

/// What the session can do for an order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Road {
    /// There is none, and why.
    #[default]
    Down,
    /// Gateway is there and has lost IB (1100).
    UpstreamLost,
    /// A restart of Gateway is expected now.
    RestartWindow,
    /// The session's client id is the reserved one.
    Alternate,
    /// It is open.
    Open,
}

/// All that can close trading.
#[derive(Debug, Default)]
pub(crate) struct Brakes {
    pub(crate) doubts: BTreeMap<Doubt, String>,
    /// The journal cannot be written, and why.
    pub(crate) journal: Option<String>,
    /// The audit log cannot be written, and why.
    pub(crate) audit: Option<String>,
    /// Orders are compared with Gateway's lists for the first time in this session.
    pub(crate) reconciling: bool,
    /// The list that Gateway has not answered, if that is what it waits for.
    pub(crate) unlisted: Option<Listing>,
    pub(crate) road: Road,
    /// The broker is ending.
    pub(crate) stopping: bool,
}

impl Brakes {
    /// May there be orders of our clients that the journal does not know?
    pub(crate) fn forgets_orders(&self) -> bool {
        self.doubts.keys().any(|doubt| doubt.forgets_orders())
    }

    /// Why Gateway would not know what a cancel is about, if it would not.
    pub(crate) fn no_way(&self) -> Option<Error> {
        if self.stopping {
            return Some(error::stopping());
        }
        let because = match self.road {
            Road::Down => {
                "there is no session with Gateway, so nothing can be cancelled: wait for READY and \
                 try again; orders at IB live on meanwhile"
            }
            Road::Alternate => {
                "the session uses the reserved client id, under which Gateway knows none of these \
                 orders, so nothing can be cancelled: try again once the configured client id is \
                 free (ibouncer status), or cancel in TWS by hand; orders at IB live on meanwhile"
            }
            _ => return None,
        };
        Some(error::order_later("NOT_READY", because))
    }
}

/// May it be taken?
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Gate {
    Open,
    /// Not now, and the principal wants it to wait.
    Wait,
    Closed(Error),
}

impl Brakes {
    /// For a new or changed order of a client with this policy; halts have been looked at.
    pub(crate) fn gate(&self, when_away: WhenAway) -> Gate {
        if self.stopping {
            return Gate::Closed(error::stopping());
        }
        if let Some(doubt) = self.doubts.values().next() {
            return Gate::Closed(halted(doubt));
        }
        if let Some(journal) = &self.journal {
            let what = format!(
                "the journal of orders cannot be written: {journal}; no order is taken until it \
                 can, cancels pass"
            );
            return Gate::Closed(error::trading_closed("JOURNAL_FAILED", Retry::After, &what));
        }
        if let Some(audit) = &self.audit {
            let what = format!("the audit log cannot be written: {audit}; no order is taken");
            return Gate::Closed(error::trading_closed("JOURNAL_FAILED", Retry::After, &what));
        }
        let away = match self.road {
            Road::Open if self.reconciling => match self.unlisted {
                None => "orders are being compared with Gateway's lists",
                Some(list) => &format!(
                    "orders are being compared with Gateway's lists, and Gateway has not answered \
                     {}: it is asked again as soon as a late answer could not be taken for the \
                     next one's, within 6 minutes, or in a new session",
                    list.name()
                ),
            },
            Road::Open => return Gate::Open,
            Road::RestartWindow if when_away == WhenAway::Allow && !self.reconciling => {
                return Gate::Open;
            }
            Road::RestartWindow => "a restart of Gateway is expected now (gateway.restart_window)",
            Road::UpstreamLost => "Gateway has lost its connection to IB (1100)",
            Road::Down => "there is no session with Gateway",
            Road::Alternate => {
                return Gate::Closed(error::trading_closed(
                    "TRADING_OFF",
                    Retry::After,
                    "the session uses the reserved client id; orders of the configured one cannot \
                     be reached, and none is taken",
                ));
            }
        };
        if when_away == WhenAway::Queue {
            return Gate::Wait;
        }
        let code = if self.road == Road::Open { "TRADING_RECONCILING" } else { "NOT_READY" };
        let what = format!("{away}; try again, or let orders wait (when_away = \"queue\")");
        Gate::Closed(error::trading_closed(code, Retry::After, &what))
    }
}

impl Desk {
    /// Halts and everything else that can close trading for this owner.
    pub(in crate::orders) fn gate(&self, owner: &str, when_away: WhenAway) -> Gate {
        for (who, name) in [("all clients", ""), ("this client", owner)] {
            if let Some(error) = self.halt_of(who, name) {
                return Gate::Closed(error);
            }
        }
        self.brakes.gate(when_away)
    }

    /// Is there a halt of this client, or of all if it has no name? `who` says who that is.
    pub(in crate::orders) fn halt_of(&self, who: &str, name: &str) -> Option<Error> {
        let halt = self.facts.halts.get(name)?;
        let whose = if name.is_empty() { "" } else { &format!("--client {name} ") };
        let because = format!(
            "trading of {who} is halted by {}: {}; `ibouncer trading resume {whose}--reason …` \
             ends that",
            halt.by, halt.reason
        );
        Some(halted(&because))
    }
}

pub(crate) fn halted(because: &str) -> Error {
    error::trading_closed("TRADING_HALTED", Retry::After, because)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_road_has_its_answer_for_each_policy() {
        use WhenAway::*;
        let gate = |road, reconciling, policy| {
            let brakes = Brakes { road, reconciling, ..Brakes::default() };
            match brakes.gate(policy) {
                Gate::Open => "open",
                Gate::Wait => "wait",
                Gate::Closed(_) => "closed",
            }
        };
        for (road, reconciling, answers) in [
            (Road::Open, false, ["open", "open", "open"]),
            (Road::Open, true, ["closed", "wait", "closed"]),
            (Road::RestartWindow, false, ["closed", "wait", "open"]),
            (Road::RestartWindow, true, ["closed", "wait", "closed"]),
            (Road::UpstreamLost, false, ["closed", "wait", "closed"]),
            (Road::Down, false, ["closed", "wait", "closed"]),
            (Road::Alternate, false, ["closed", "closed", "closed"]),
        ] {
            for (policy, answer) in [Reject, Queue, Allow].into_iter().zip(answers) {
                assert_eq!(gate(road.clone(), reconciling, policy), answer, "{road:?} {policy:?}");
            }
        }
    }

    #[test]
    fn a_doubt_and_a_failing_disk_close_whatever_the_road() {
        let mut brakes = Brakes { road: Road::Open, ..Brakes::default() };
        brakes.journal = Some("disk full".into());
        let Gate::Closed(error) = brakes.gate(WhenAway::Queue) else { panic!("it is closed") };
        assert_eq!(error.code, "JOURNAL_FAILED");
        brakes.doubts.insert(Doubt::Accounts, "other accounts".into());
        let Gate::Closed(error) = brakes.gate(WhenAway::Queue) else { panic!("it is closed") };
        assert_eq!(error.code, "TRADING_HALTED");
    }
}
