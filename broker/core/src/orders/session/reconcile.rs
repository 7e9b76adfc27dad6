//! Comparing what we hold with what Gateway lists.
//!
//! ```text
//!   idle ──begin──► open orders ──► executions ──► completed orders ──► (again, or) idle, done
//!     ▲                  │               │                │
//!     └──── retry ◄──────┴── an error, a deadline ────────┘
//! ```
//!
//! The lists are asked for one at a time. Whatever they hold is evidence, taken as it comes by
//! `orders/evidence.rs`, as are messages nobody asked for; so this machine only sees to it that
//! all lists have been read. What a list does not hold is no evidence: lists share an end mark
//! and come late. Therefore the first pass of a session counts for nothing, and a second is made.

use std::time::{Duration, Instant};

/// After a list that failed.
const RETRY: Duration = Duration::from_secs(5);

/// One list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// `reqAllOpenOrders`.
    OpenOrders,
    /// `reqExecutions`.
    Executions,
    /// `reqCompletedOrders`.
    CompletedOrders,
}

impl Listing {
    pub(in crate::orders) const fn name(self) -> &'static str {
        match self {
            Self::OpenOrders => "reqAllOpenOrders",
            Self::Executions => "reqExecutions",
            Self::CompletedOrders => "reqCompletedOrders",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no session.
    Off,
    Idle {
        at: Option<Instant>,
    },
    Listing {
        what: Listing,
        /// Passes after this one.
        more: u8,
    },
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Reconciler {
    state: State,
    /// Passes that the next run makes.
    passes: u8,
    wanted: Option<Listing>,
    /// Something was lost while a run was under way: another one follows.
    again: bool,
    /// Passes that were begun, ever.
    begun: u64,
}

/// How a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    More,
    /// All lists were read as often as it takes.
    Done,
}

impl Reconciler {
    pub(crate) fn new() -> Self {
        Self { state: State::Off, passes: 1, wanted: None, again: false, begun: 0 }
    }

    /// A session began, or was taken over: the first pass counts for nothing.
    pub(crate) fn on_session(&mut self) {
        self.passes = 2;
        self.start();
    }

    pub(crate) fn on_session_down(&mut self) {
        self.state = State::Off;
        self.wanted = None;
        self.again = false;
    }

    /// Something was lost, or may have been.
    pub(crate) fn begin(&mut self) {
        match self.state {
            State::Off => {}
            State::Idle { .. } => self.start(),
            State::Listing { .. } => self.again = true,
        }
    }

    fn start(&mut self) {
        self.again = false;
        self.list(Listing::OpenOrders, self.passes - 1);
    }

    fn list(&mut self, what: Listing, more: u8) {
        self.begun += u64::from(what == Listing::OpenOrders);
        self.state = State::Listing { what, more };
        self.wanted = Some(what);
    }

    /// The list is complete, or will never be.
    pub(crate) fn on_listed(&mut self, complete: bool, next: Instant, now: Instant) -> Progress {
        let State::Listing { what, more } = self.state else {
            return Progress::More;
        };
        self.wanted = None;
        if !complete {
            self.state = State::Idle { at: Some(now + RETRY) };
            return Progress::More;
        }
        match what {
            Listing::OpenOrders => self.list(Listing::Executions, more),
            Listing::Executions => self.list(Listing::CompletedOrders, more),
            Listing::CompletedOrders if more > 0 => self.list(Listing::OpenOrders, more - 1),
            Listing::CompletedOrders if self.again => self.start(),
            Listing::CompletedOrders => {
                self.passes = 1;
                self.state = State::Idle { at: Some(next) };
                return Progress::Done;
            }
        }
        Progress::More
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let State::Idle { at: Some(at) } = self.state
            && at <= now
        {
            self.start();
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle { at } => at,
            State::Off | State::Listing { .. } => None,
        }
    }

    /// The list that is to be asked for now; once.
    pub(crate) fn poll_listing(&mut self) -> Option<Listing> {
        self.wanted.take()
    }

    /// The list that is asked for.
    pub(crate) fn listing(&self) -> Option<Listing> {
        match self.state {
            State::Listing { what, .. } => Some(what),
            State::Off | State::Idle { .. } => None,
        }
    }

    /// No other pass follows in this run.
    pub(crate) fn is_last_pass(&self) -> bool {
        matches!(self.state, State::Listing { more: 0, .. })
    }

    pub(crate) fn passes_begun(&self) -> u64 {
        self.begun
    }

    pub(crate) fn is_listing(&self) -> bool {
        matches!(self.state, State::Listing { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(reconciler: &mut Reconciler, now: Instant) -> Vec<Listing> {
        let mut asked = Vec::new();
        while let Some(listing) = reconciler.poll_listing() {
            asked.push(listing);
            if reconciler.on_listed(true, now, now) == Progress::Done {
                break;
            }
        }
        asked
    }

    #[test]
    fn a_new_session_is_read_twice_and_later_once() {
        use Listing::*;
        let now = Instant::now();
        let mut reconciler = Reconciler::new();
        reconciler.begin();
        assert_eq!(reconciler.poll_listing(), None, "nothing without a session");
        reconciler.on_session();
        let pass = [OpenOrders, Executions, CompletedOrders];
        assert_eq!(run(&mut reconciler, now), [pass, pass].concat());
        reconciler.begin();
        assert_eq!(run(&mut reconciler, now), pass);
    }

    #[test]
    fn a_list_that_fails_is_asked_for_again_from_the_beginning() {
        let now = Instant::now();
        let mut reconciler = Reconciler::new();
        reconciler.on_session();
        reconciler.poll_listing();
        assert_eq!(reconciler.on_listed(false, now, now), Progress::More);
        assert_eq!(reconciler.poll_listing(), None);
        reconciler.handle_timeout(now + RETRY);
        assert_eq!(run(&mut reconciler, now).len(), 6);
    }

    #[test]
    fn what_is_lost_meanwhile_makes_another_run() {
        let now = Instant::now();
        let mut reconciler = Reconciler::new();
        reconciler.on_session();
        reconciler.begin();
        assert_eq!(run(&mut reconciler, now).len(), 12);
    }
}
