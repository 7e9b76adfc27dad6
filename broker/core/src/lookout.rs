//! The newest look at Gateway's port, and what it means beside the looks before.
//!
//! Owns what must be remembered between looks: which listener it was, and since when
//! connections wait to be accepted. Decides nothing: [`crate::session`] does.

use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::record::KnownListener;
use crate::sight::{ListenerId, Sight};

/// What a look showed that the one before did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// Another socket or process listens than before; also after nobody did.
    pub changed: bool,
    /// Connections waited to be accepted, and none does any more.
    pub drained: bool,
}

/// The memory.
#[derive(Debug)]
pub struct Lookout {
    sight: Sight,
    at: Option<Instant>,
    /// The newest listener, also after it is gone.
    listener: Option<ListenerId>,
    queue_since: Option<Instant>,
    /// The listener at which a session became READY: it is past its start.
    proven: Option<ListenerId>,
}

impl Default for Lookout {
    fn default() -> Self {
        Self {
            sight: Sight::blind("the kernel's tables were not read yet"),
            at: None,
            listener: None,
            queue_since: None,
            proven: None,
        }
    }
}

impl Lookout {
    /// A new look.
    pub fn see(&mut self, sight: Sight, now: Instant) -> News {
        let mut news = News::default();
        if sight.counts()
            && let Some(id) = sight.listener_id()
        {
            news.changed = self.listener.is_some_and(|before| is_another(before, id));
            self.listener = Some(id);
        }
        match sight.accept_queue() {
            Some(0) => news.drained = self.queue_since.take().is_some() && !news.changed,
            Some(_) => {
                self.queue_since.get_or_insert(now);
            }
            None => self.queue_since = None,
        }
        self.at = Some(now);
        self.sight = sight;
        news
    }

    /// What was seen last.
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// When that was.
    pub fn at(&self) -> Option<Instant> {
        self.at
    }

    /// Do the eyes see Gateway itself?
    pub fn counts(&self) -> bool {
        self.sight.counts()
    }

    /// Is it known that nothing listens?
    pub fn is_absent(&self) -> bool {
        self.counts() && self.sight.listening() == Some(false)
    }

    /// Is it known that no connection waits to be accepted?
    pub fn is_drained(&self) -> bool {
        self.counts() && self.sight.accept_queue() == Some(0)
    }

    /// For how long connections have waited to be accepted.
    pub fn queue_age(&self, now: Instant) -> Option<Duration> {
        let since = self.queue_since.filter(|_| self.counts())?;
        Some(now.saturating_duration_since(since))
    }

    /// A session became READY: this listener is past its start.
    pub fn on_ready(&mut self) {
        self.proven = self.listener;
    }

    /// How much longer the process that listens may still be starting.
    pub fn startup_left(&self, grace: Duration, clock: &Clock, now: Instant) -> Option<Duration> {
        if !self.counts() || (self.listener.is_some() && self.listener == self.proven) {
            return None;
        }
        let process = self.sight.listener()?.process.as_ref().ok()?;
        let age = clock.since_seconds(process.started_unix, now);
        grace.checked_sub(age).filter(|left| !left.is_zero())
    }

    /// The listener, in the form that outlives a restart.
    pub fn known_listener(&self) -> Option<KnownListener> {
        self.sight.known_listener()
    }
}

/// A process that could not be read is no evidence of another one.
fn is_another(before: ListenerId, now: ListenerId) -> bool {
    before.inode != now.inode
        || matches!((before.process, now.process), (Some(one), Some(other)) if one != other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::tests::{listening, nothing};

    #[test]
    fn another_listener_is_news_also_after_an_absence_and_the_first_is_not() {
        let now = Instant::now();
        let mut lookout = Lookout::default();
        assert_eq!(lookout.see(listening(1, 0), now), News::default());
        assert_eq!(lookout.see(listening(1, 0), now), News::default());
        assert_eq!(lookout.see(nothing(), now), News::default());
        assert!(lookout.is_absent());
        assert!(lookout.see(listening(2, 0), now).changed);
        assert!(!lookout.is_absent());
    }

    #[test]
    fn a_queue_is_timed_from_its_first_sight_and_its_end_is_news() {
        let now = Instant::now();
        let later = now + Duration::from_secs(40);
        let mut lookout = Lookout::default();
        lookout.see(listening(1, 2), now);
        lookout.see(listening(1, 3), later);
        assert_eq!(lookout.queue_age(later), Some(Duration::from_secs(40)));
        assert!(lookout.see(listening(1, 0), later).drained);
        assert_eq!(lookout.queue_age(later), None);
        lookout.see(listening(1, 2), later);
        let replaced = lookout.see(listening(9, 0), later);
        assert_eq!(replaced, News { changed: true, drained: false });
    }

    #[test]
    fn a_listener_whose_process_cannot_be_read_is_not_another_one() {
        let mut lookout = Lookout::default();
        lookout.see(listening(1, 0), Instant::now());
        let known = lookout.known_listener().unwrap();
        let is_another = |lookout: &Lookout| known.is_another(lookout.known_listener().unwrap());
        assert!(!is_another(&lookout));
        let mut unreadable = listening(1, 0);
        if let Ok(Some(listener)) = &mut unreadable.listener {
            listener.process = Err(crate::sight::Unknown("it is ending".into()));
        }
        assert!(!lookout.see(unreadable, Instant::now()).changed);
        assert!(!is_another(&lookout));
        lookout.see(listening(2, 0), Instant::now());
        assert!(is_another(&lookout));
    }

    #[test]
    fn eyes_that_do_not_count_prove_nothing() {
        let now = Instant::now();
        let mut lookout = Lookout::default();
        lookout.see(Sight::blind("no table"), now);
        assert!(!lookout.is_absent());
        assert_eq!(lookout.known_listener(), None);
        assert_eq!(lookout.queue_age(now), None);
    }

    #[test]
    fn a_young_process_is_starting_until_a_session_was_ready_with_it() {
        let now = Instant::now();
        let wall = std::time::UNIX_EPOCH + Duration::from_secs(1_000_100);
        let clock = Clock { now, wall };
        let grace = Duration::from_secs(180);
        let mut lookout = Lookout::default();
        // `listening` makes processes that were started at 1 000 000 s.
        lookout.see(listening(1, 0), now);
        assert_eq!(lookout.startup_left(grace, &clock, now), Some(Duration::from_secs(80)));
        assert_eq!(lookout.startup_left(grace, &clock, now + grace), None);
        lookout.on_ready();
        assert_eq!(lookout.startup_left(grace, &clock, now), None);
        lookout.see(listening(2, 0), now);
        assert!(lookout.startup_left(grace, &clock, now).is_some());
    }
}
