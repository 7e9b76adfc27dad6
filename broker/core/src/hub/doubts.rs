//! Lines of which Gateway says that data may not come for a while, though nothing has to be asked
//! for anew.

use ibouncer_proto::api::v1::MarkKind;

use super::Hub;
use crate::lines::{Line, Upstream};

impl Hub {
    /// Gateway has lost IB (1100, 2110), and no data come until that is over. Nothing is asked for
    /// anew: the subscriptions may outlive it.
    pub(super) fn hold_lines(&mut self, because: &str) {
        for slot in self.lines.slots() {
            let Some(line) = self.lines.get_mut(slot).filter(|line| !line.stale) else {
                continue;
            };
            if let Upstream::Live(request) = line.upstream {
                // Whatever comes next is the first that is new.
                line.upstream = Upstream::Requested(request);
                line.held = true;
            }
            for (stream, subscription) in line.become_stale() {
                self.mark(slot, stream, subscription, MarkKind::Stale, because.to_owned());
            }
        }
    }

    /// IB is back, with all subscriptions (1102). What only comes when something changes is as it
    /// was; of all else the first data is waited for.
    pub(super) fn release_lines(&mut self, because: &str) {
        for slot in self.lines.slots() {
            let is_held = |line: &&mut Line| line.held && line.memory.is_image();
            let Some(line) = self.lines.get_mut(slot).filter(is_held) else {
                continue;
            };
            if let Upstream::Requested(request) = line.upstream {
                line.upstream = Upstream::Live(request);
            }
            for (stream, subscription) in line.become_fresh() {
                self.mark(slot, stream, subscription, MarkKind::Resumed, because.to_owned());
            }
        }
    }
}
