//! Which lane is next: the most urgent, but none waits for ever.

use super::LANES;

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
    pub(super) fn choose(&mut self, ready: [bool; LANES]) -> Option<usize> {
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

    #[test]
    fn every_lane_gets_its_minimum_and_the_first_most() {
        let mut turns = Turns::default();
        let mut sent = [0; LANES];
        for _ in 0..900 {
            sent[turns.choose([true; LANES]).unwrap()] += 1;
        }
        assert!(sent[0] >= 400, "{sent:?}");
        assert!(sent[1..].iter().all(|sent| *sent >= 60), "{sent:?}");
    }
}
