//! Which lane is next: the most urgent, but none waits for ever.
//!
//! Requests for data leave behind every cancel of data that waits. A cancel gives back what the
//! request behind it takes (a book, a tick-by-tick line, an open history), and of subscriptions
//! without an id it would end the new one. Only what has left can be cancelled, so the cancels
//! come to an end.

use super::{LANES, Lane};

/// A lane that was passed over so often gets a turn.
pub(super) const PATIENCE: u32 = 8;

/// How often each lane was passed over while it could have sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Turns {
    passed_over: [u32; LANES],
    /// The last turn went to a lane that had waited long.
    gave_way: bool,
}

impl Turns {
    /// The lane that sends, of those that could. A more urgent lane never gives way twice in a
    /// row, so that a cancel of an order waits for one other message at most.
    pub(super) fn choose(&mut self, mut ready: [bool; LANES]) -> Option<usize> {
        if ready[Lane::DataCancel as usize] {
            ready[Lane::Data as usize] = false;
            ready[Lane::History as usize] = false;
        }
        let first = ready.iter().position(|ready| *ready)?;
        let patient = (first + 1..LANES)
            .filter(|lane| ready[*lane] && self.passed_over[*lane] >= PATIENCE)
            .max_by_key(|lane| self.passed_over[*lane]);
        let lane = match patient {
            Some(patient) if !self.gave_way => patient,
            _ => first,
        };
        self.gave_way = lane != first;
        for (other, passed_over) in self.passed_over.iter_mut().enumerate() {
            if other == lane || !ready[other] {
                *passed_over = 0;
            } else {
                *passed_over += 1;
            }
        }
        Some(lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(turns: &mut Turns, ready: [bool; LANES]) -> [u32; LANES] {
        let mut sent = [0; LANES];
        for _ in 0..900 {
            sent[turns.choose(ready).unwrap()] += 1;
        }
        sent
    }

    #[test]
    fn every_lane_gets_its_minimum_and_the_first_most() {
        let mut ready = [true; LANES];
        ready[Lane::DataCancel as usize] = false;
        let sent = count(&mut Turns::default(), ready);
        assert!(sent[0] >= 400, "{sent:?}");
        let others = (1..LANES).filter(|lane| ready[*lane]);
        assert!(others.clone().all(|lane| sent[lane] >= 60), "{sent:?}");
    }

    #[test]
    fn while_data_is_cancelled_none_is_asked_for_and_the_other_lanes_keep_their_minimum() {
        let sent = count(&mut Turns::default(), [true; LANES]);
        assert_eq!((sent[Lane::Data as usize], sent[Lane::History as usize]), (0, 0));
        assert!(sent[0] >= 400, "{sent:?}");
        let others = [Lane::Order, Lane::Control, Lane::DataCancel];
        assert!(others.iter().all(|lane| sent[*lane as usize] >= 60), "{sent:?}");
    }
}
