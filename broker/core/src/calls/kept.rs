//! Answers that are kept, so that an equal request need not leave again.
//!
//! Some for 15 s, within which Gateway refuses identical requests for history; some as long as
//! the session, because they do not change. Bounded in bytes: the oldest go first.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Asked, Sharing};

/// An answer is good for so long.
const RECENT: Duration = Duration::from_secs(15);

/// Bytes of all that is kept.
const MOST_BYTES: usize = 64 << 20;

/// What makes two requests equal.
pub(super) type Key = (u32, &'static str, Bytes);

/// The answers.
#[derive(Debug, Default)]
pub struct Kept {
    answers: BTreeMap<Key, (Bytes, Option<Instant>)>,
    order: VecDeque<Key>,
    bytes: usize,
}

pub(super) fn key_of(asked: &Asked) -> Key {
    (asked.kind.request, asked.kind.tws, asked.body.clone())
}

impl Kept {
    /// The answer to an equal request, if it is still good.
    pub fn find(&self, asked: &Asked, now: Instant) -> Option<Bytes> {
        let (answer, until) = self.answers.get(&key_of(asked))?;
        until.is_none_or(|until| now < until).then(|| answer.clone())
    }

    /// Keeps an answer as long as its kind allows.
    pub fn keep(&mut self, asked: &Asked, answer: &Bytes, now: Instant) {
        let until = match asked.kind.sharing {
            Sharing::Private | Sharing::Joined => return,
            Sharing::Recent => Some(now + RECENT),
            Sharing::Session => None,
        };
        self.forget_old(now);
        let key = key_of(asked);
        self.bytes += answer.len() + key.2.len();
        self.remove(&key);
        self.answers.insert(key.clone(), (answer.clone(), until));
        self.order.push_back(key);
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.order.front().cloned()
        {
            self.remove(&oldest);
        }
    }

    /// The session is gone; the next Gateway may say other things.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn forget_old(&mut self, now: Instant) {
        let old = |(_, until): &(Bytes, Option<Instant>)| until.is_some_and(|until| until <= now);
        let old: Vec<_> = self
            .order
            .iter()
            .filter(|key| self.answers.get(key).is_some_and(old))
            .cloned()
            .collect();
        for key in old {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some((answer, _)) = self.answers.remove(key) {
            self.bytes -= answer.len() + key.2.len();
            self.order.retain(|other| other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_good_for_as_long_as_their_kind_says() {
        let mut kept = Kept::default();
        let now = Instant::now();
        let forever = Asked::news_providers();
        let short = Asked::soft_dollar_tiers();
        let never = Asked::user_info();
        for asked in [&forever, &short, &never] {
            kept.keep(asked, &Bytes::from_static(b"answer"), now);
        }
        let later = now + Duration::from_secs(14);
        assert!(kept.find(&forever, later).is_some() && kept.find(&short, later).is_some());
        assert!(kept.find(&never, now).is_none());
        let later = now + Duration::from_secs(15);
        assert!(kept.find(&forever, later).is_some() && kept.find(&short, later).is_none());
        kept.clear();
        assert!(kept.find(&forever, now).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let mut kept = Kept::default();
        let now = Instant::now();
        let asked = |number: i32| Asked {
            body: Bytes::from(number.to_string()),
            ..Asked::soft_dollar_tiers()
        };
        let large = Bytes::from(vec![0; 10 << 20]);
        for number in 0..20 {
            kept.keep(&asked(number), &large, now);
            kept.keep(&asked(number), &large, now);
        }
        assert!(kept.bytes() <= MOST_BYTES);
        assert!(kept.find(&asked(0), now).is_none());
        assert!(kept.find(&asked(19), now).is_some());
    }
}
