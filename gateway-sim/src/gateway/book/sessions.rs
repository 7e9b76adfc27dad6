//! The link between Gateway and IB, and the sessions of Gateway itself.
//!
//! While the link is lost, Gateway keeps what clients send, and IB works on alone: what it does is
//! heard once the link is back. A new session of Gateway has only what IB has.

use super::{Desk, Frame, OrderBook, Queued, Status};
use crate::ledger::OrderChange;

impl OrderBook {
    /// The link to IB was lost, or is back: what waited for it is done now.
    pub(in super::super) fn set_linked(&mut self, linked: bool, desk: &mut Desk<'_>) {
        self.linked = linked;
        if !linked {
            return;
        }
        let withheld = std::mem::take(&mut self.withheld);
        self.news.extend(withheld);
        while let Some(queued) = self.queue.pop_front() {
            match queued {
                Queued::Submit(perm_id) => self.submit(perm_id, desk),
                Queued::Modify(perm_id, wish) => self.apply(perm_id, *wish, desk),
                Queued::Cancel(perm_id) => self.end_cancelled(perm_id, "", desk),
            }
        }
        self.match_all(desk);
    }

    /// Another session of Gateway: what IB does not have is gone, and so much of the memory of
    /// ids.
    pub(in super::super) fn restart(&mut self, roll_back: i32, desk: &mut Desk<'_>) {
        self.queue.clear();
        self.withheld.clear();
        self.news.clear();
        let mut gone = Vec::new();
        for entry in self.entries.values_mut() {
            match entry.status() {
                Status::Untransmitted | Status::PendingSubmit => gone.push(entry.perm_id),
                // The cancel never left.
                Status::PendingCancel if entry.before == Status::PendingSubmit => {
                    gone.push(entry.perm_id);
                }
                Status::PendingCancel => {
                    let back = match entry.before {
                        Status::PreSubmitted => Status::PreSubmitted,
                        _ => Status::Submitted,
                    };
                    entry.transition(back, "the cancel is lost");
                    self.restless.insert(entry.perm_id);
                }
                _ => {}
            }
        }
        // Nobody has an answer for what is gone.
        for frames in self.later.values_mut() {
            frames.retain(|frame| match frame {
                Frame::OpenOrder(entry, _) | Frame::Status(entry, _) => {
                    !gone.contains(&entry.perm_id)
                }
                _ => true,
            });
        }
        for perm_id in gone {
            if let Some(entry) = self.entries.get_mut(&perm_id) {
                entry.transition(Status::Vanished, "Gateway restarted");
                entry.ended = Some(desk.unix);
                self.changed(perm_id, OrderChange::Vanished);
            }
        }
        self.settings.first_order_id =
            self.settings.first_order_id.saturating_sub(roll_back).max(1);
        for highest in self.highest.values_mut() {
            *highest = highest.saturating_sub(roll_back).max(0);
        }
        self.linked = true;
    }
}
