//! What a rule of pacing says of a request.

use std::time::{Duration, Instant};

/// May it leave?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go,
    /// Not before then.
    At(Instant, &'static str),
    /// When another request has been answered.
    Later(&'static str),
}

/// Not sooner after the last one than this.
pub(super) fn after(
    last: Option<Instant>,
    wait: Duration,
    now: Instant,
    why: &'static str,
) -> Verdict {
    match last {
        Some(last) if now < last + wait => Verdict::At(last + wait, why),
        _ => Verdict::Go,
    }
}

/// The stricter of two.
pub(super) fn later(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::At(a, _), Verdict::At(b, _)) => {
            if a >= b {
                one
            } else {
                other
            }
        }
        (Verdict::Go, other) => other,
        (one, _) => one,
    }
}
