//! What the book has to tell, on its way to whom it concerns.

use super::{Audience, Frame, OrderBook};
use crate::seeds::SeedOwner;

impl OrderBook {
    /// Frames for one client, in order; those for everyone wait.
    pub(in super::super) fn take_for(&mut self, client_id: i32) -> Vec<Frame> {
        let news = std::mem::take(&mut self.news);
        let mut taken = Vec::new();
        for (audience, frame) in news {
            match audience {
                // What was done by hand concerns client 0 only if it is bound.
                Audience::Owner(owner)
                    if self.client_of(owner) == client_id && owner != SeedOwner::Manual =>
                {
                    taken.push(frame);
                }
                _ => self.news.push_back((audience, frame)),
            }
        }
        taken
    }

    /// The next frame, whomever it concerns.
    pub(in super::super) fn take_news(&mut self) -> Option<(Audience, Frame)> {
        self.news.pop_front()
    }

    pub(in super::super) fn has_news(&self) -> bool {
        !self.news.is_empty() || !self.changes.is_empty()
    }

    /// Keeps frames for the next session of a client.
    pub(in super::super) fn keep_for_later(&mut self, client_id: i32, frames: Vec<Frame>) {
        self.later.entry(client_id).or_default().extend(frames);
    }

    /// What was kept for this session.
    pub(in super::super) fn take_later(&mut self, client_id: i32) -> Vec<Frame> {
        self.later.remove(&client_id).unwrap_or_default()
    }

    /// Something that IB says of an order: later, while the link to it is lost.
    pub(super) fn tell(&mut self, perm_id: i64, frame: Frame) {
        let Some(entry) = self.entries.get(&perm_id) else {
            return;
        };
        let news = (Audience::Owner(entry.owner), frame);
        match self.linked {
            true => self.news.push_back(news),
            false => self.withheld.push(news),
        }
    }

    /// `openOrder` and `orderStatus` of an order as it is.
    pub(super) fn tell_order(&mut self, perm_id: i64) {
        self.tell_open_order(perm_id, false);
        self.tell_status(perm_id);
    }

    pub(super) fn tell_open_order(&mut self, perm_id: i64, commission: bool) {
        if let Some(entry) = self.entries.get(&perm_id).filter(|entry| !entry.silent) {
            let frame = Frame::OpenOrder(Box::new(entry.clone()), commission);
            self.tell(perm_id, frame);
        }
    }

    pub(super) fn tell_status(&mut self, perm_id: i64) {
        if let Some(entry) = self.entries.get(&perm_id).filter(|entry| !entry.silent) {
            let frame = Frame::Status(Box::new(entry.clone()), self.why_held(entry));
            let twice = self.script.repeats.contains(&perm_id).then(|| frame.clone());
            self.tell(perm_id, frame);
            if let Some(frame) = twice {
                self.tell(perm_id, frame);
            }
        }
    }

    /// A status that Gateway knows by itself.
    pub(super) fn tell_local_status(&mut self, perm_id: i64) {
        let linked = std::mem::replace(&mut self.linked, true);
        self.tell_status(perm_id);
        self.linked = linked;
    }
}
