//! How long to wait after failures in a row: a ladder with jitter from a seeded generator.
//!
//! Owns a position on the ladder. Knows nothing of why something failed.

use std::time::Duration;

use fastrand::Rng;

/// Jitter around each rung, so that brokers that failed together do not return together.
const JITTER: f64 = 0.25;

/// A position on a ladder of waiting times.
#[derive(Debug, Clone)]
pub struct Backoff {
    ladder: Vec<Duration>,
    failures: usize,
}

impl Backoff {
    /// At the foot of the ladder. An empty ladder waits one second each time: there is never a
    /// respawn without a wait.
    pub fn new(ladder: Vec<Duration>) -> Self {
        let ladder = if ladder.is_empty() { vec![Duration::from_secs(1)] } else { ladder };
        Self { ladder, failures: 0 }
    }

    /// One failure more: how long to wait now.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let rung = self.ladder[self.failures.min(self.ladder.len() - 1)];
        self.failures = self.failures.saturating_add(1);
        rung.mul_f64(1.0 - JITTER + 2.0 * JITTER * rng.f64())
    }

    /// Goes on where another one stood.
    pub fn resume(&mut self, failures: usize) {
        self.failures = failures;
    }

    /// The longest wait that there is, jitter included.
    pub fn longest(&self) -> Duration {
        self.ladder.iter().max().copied().unwrap_or_default().mul_f64(1.0 + JITTER)
    }

    /// Back to the foot.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last reset.
    pub fn failures(&self) -> usize {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_along_the_ladder_within_the_jitter_and_start_anew() {
        let ladder: Vec<_> = [1, 10, 100].map(Duration::from_secs).to_vec();
        let mut backoff = Backoff::new(ladder.clone());
        let mut rng = Rng::with_seed(7);
        for rung in [0, 1, 2, 2, 2] {
            let wait = backoff.next(&mut rng).as_secs_f64() / ladder[rung].as_secs_f64();
            assert!((0.75..=1.25).contains(&wait), "{wait}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) < Duration::from_secs(2));
    }

    #[test]
    fn the_same_seed_waits_the_same() {
        let run = |seed| {
            let mut backoff = Backoff::new(vec![Duration::from_secs(1); 3]);
            let mut rng = Rng::with_seed(seed);
            [(); 3].map(|()| backoff.next(&mut rng))
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}
