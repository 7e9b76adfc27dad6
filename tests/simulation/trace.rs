//! What happened, as lines: the newest are kept for a failure, all are hashed for the comparison
//! of two runs of a seed. A seed that is replayed keeps all of them.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

/// Lines that are told with a failure.
const KEPT: usize = 60;

/// The trace of one run.
pub(crate) struct Trace {
    newest: VecDeque<String>,
    hasher: DefaultHasher,
    keeps_all: bool,
}

impl Trace {
    /// An empty one.
    pub(crate) fn new(keeps_all: bool) -> Self {
        Self {
            newest: VecDeque::with_capacity(KEPT),
            // Its keys are fixed, so two runs can be compared.
            hasher: DefaultHasher::new(),
            keeps_all,
        }
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, now: Duration, text: &str) {
        now.hash(&mut self.hasher);
        text.hash(&mut self.hasher);
        let line = format!("{:>12.6}  {text}", now.as_secs_f64());
        if self.newest.len() == KEPT && !self.keeps_all {
            self.newest.pop_front();
        }
        self.newest.push_back(line);
    }

    /// Adds bytes to the hash only.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        bytes.hash(&mut self.hasher);
    }

    /// One number for all lines so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// The newest lines.
    pub(crate) fn tail(&self) -> String {
        self.from(self.newest.len().saturating_sub(KEPT))
    }

    /// All lines that were kept.
    pub(crate) fn all(&self) -> String {
        self.from(0)
    }

    fn from(&self, first: usize) -> String {
        let lines: Vec<_> = self.newest.iter().skip(first).map(String::as_str).collect();
        lines.join("\n")
    }
}
