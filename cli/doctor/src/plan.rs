//! A row of handshakes as data: the sweep over client ids, and the matrix.
//!
//! They are made one after the other with a pause between, each only if the budget still allows
//! it, and the first silence ends the row. Nothing here opens a socket; printing a plan is what a
//! dry run does.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ibouncer_proto::tws;

use crate::probe;
use crate::timeline::{Attempt, ClosePolicy, Limits};

/// Versions that are offered unless a plan says otherwise: the range of the official client, so
/// that every Gateway answers.
pub const OFFER: RangeInclusive<i32> = tws::OLDEST_OFFER..=*tws::PROTOBUF_VERSIONS.end();

/// Handshakes of one plan, at most: each costs Gateway something.
pub const MOST_STEPS: usize = 24;

/// Between two of them.
pub const PAUSE: Duration = Duration::from_secs(2);

/// What is common to all handshakes of a plan.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Gateway.
    pub gateway: SocketAddr,
    /// The doctor's own client id.
    pub client_id: i32,
    /// How long each step may take.
    pub limits: Limits,
}

/// A row of handshakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// "one", "client-ids" or "matrix".
    pub kind: &'static str,
    /// What is made, in this order.
    pub steps: Vec<Attempt>,
    /// Between two of them.
    pub pause: Duration,
    /// Left out because there were more than [`MOST_STEPS`].
    pub left_out: usize,
}

impl Plan {
    /// One full handshake.
    pub fn one(ground: &Ground) -> Self {
        let mut attempt = attempt(ground, ground.client_id);
        attempt.read_settings = true;
        Self::of("one", vec![attempt])
    }

    /// The same handshake with one client id after the other.
    pub fn sweep(ground: &Ground, client_ids: &[i32]) -> Self {
        Self::of("client-ids", client_ids.iter().map(|id| attempt(ground, *id)).collect())
    }

    /// Time-outs × client ids × version ranges × close policies. What costs Gateway least comes
    /// first: the graceful close, the widest range, the shortest time-out.
    pub fn matrix(ground: &Ground, client_ids: &[i32]) -> Self {
        let own = [ground.client_id];
        let client_ids = if client_ids.is_empty() { &own } else { client_ids };
        let half = Duration::from_secs(5);
        let mut limits = vec![ground.limits.capped(half), ground.limits];
        limits.dedup();
        let ranges = [OFFER, 157..=178, tws::PROTOBUF_VERSIONS];
        let mut steps = Vec::new();
        for close in [ClosePolicy::Graceful, ClosePolicy::Reset] {
            for limits in &limits {
                for offer in &ranges {
                    for client_id in client_ids {
                        steps.push(Attempt {
                            limits: *limits,
                            offer: offer.clone(),
                            close,
                            ..attempt(ground, *client_id)
                        });
                    }
                }
            }
        }
        Self::of("matrix", steps)
    }

    fn of(kind: &'static str, mut steps: Vec<Attempt>) -> Self {
        let left_out = steps.len().saturating_sub(MOST_STEPS);
        steps.truncate(MOST_STEPS);
        Self { kind, steps, pause: PAUSE, left_out }
    }

    /// Is it more than one handshake, so that it must be asked for twice?
    pub fn is_row(&self) -> bool {
        self.kind != "one"
    }

    /// At most so long it takes.
    pub fn longest(&self) -> Duration {
        let pauses = self.pause * u32::try_from(self.steps.len().saturating_sub(1)).unwrap_or(0);
        let steps = self.steps.iter().map(|step| {
            let Limits { tcp, version, ready, answer } = step.limits;
            tcp + version + probe::LINE_ANSWER.max(ready + 2 * answer)
        });
        steps.sum::<Duration>() + pauses
    }
}

fn attempt(ground: &Ground, client_id: i32) -> Attempt {
    Attempt {
        gateway: ground.gateway,
        client_id,
        offer: OFFER,
        limits: ground.limits,
        close: ClosePolicy::Graceful,
        read_settings: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ground() -> Ground {
        Ground {
            gateway: "127.0.0.1:4002".parse().unwrap(),
            client_id: 411,
            limits: Limits::default(),
        }
    }

    #[test]
    fn one_handshake_offers_everything_and_reads_the_settings() {
        let plan = Plan::one(&ground());
        assert!(!plan.is_row());
        assert_eq!(plan.steps.len(), 1);
        assert_eq!(plan.steps[0].offer, 100..=226);
        assert_eq!(plan.steps[0].client_id, 411);
        assert!(plan.steps[0].read_settings);
    }

    #[test]
    fn a_sweep_keeps_the_order_of_its_ids_and_changes_nothing_else() {
        let plan = Plan::sweep(&ground(), &[1, 100, 500, 999, 1234, 9999]);
        let ids: Vec<_> = plan.steps.iter().map(|step| step.client_id).collect();
        assert_eq!(ids, [1, 100, 500, 999, 1234, 9999]);
        assert!(plan.steps.iter().all(|step| step.offer == OFFER && !step.read_settings));
        assert!(plan.is_row());
        assert_eq!(plan.longest(), Duration::from_secs(6 * 40 + 5 * 2));
    }

    #[test]
    fn a_matrix_is_every_combination_once_the_gentlest_first() {
        let plan = Plan::matrix(&ground(), &[]);
        assert_eq!((plan.steps.len(), plan.left_out), (12, 0));
        assert_eq!(plan.steps[0].close, ClosePolicy::Graceful);
        assert_eq!(plan.steps[0].limits.version, Duration::from_secs(5));
        assert_eq!(plan.steps[11].close, ClosePolicy::Reset);
        for (index, step) in plan.steps.iter().enumerate() {
            assert!(!plan.steps[index + 1..].contains(step), "twice: {step:?}");
        }
        let short = Limits::default().capped(Duration::from_secs(1));
        let plan = Plan::matrix(&Ground { limits: short, ..ground() }, &[]);
        assert_eq!(plan.steps.len(), 6, "one time-out if both would be the same");
    }

    #[test]
    fn no_plan_is_longer_than_the_cap() {
        let ids: Vec<_> = (1..=10).collect();
        let plan = Plan::matrix(&ground(), &ids);
        assert_eq!((plan.steps.len(), plan.left_out), (MOST_STEPS, 120 - MOST_STEPS));
    }
}
