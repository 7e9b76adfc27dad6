//! Lines that Gateway serves and may have no data for: it has lost IB, or one of its farms.
//!
//! They are STALE, and nothing is asked for anew: Gateway brings them back by itself. A message of
//! a line proves that it lives, and so does, for lines that can be silent for hours, the end of
//! the trouble.

use ibouncer_proto::api::v1::MarkKind;

use super::Hub;
use super::upstream::because;
use crate::farms::Word;
use crate::lines::kind::Kind;
use crate::lines::{Doubt, Line, Upstream};

impl Hub {
    /// Gateway has lost IB (1100, 2110), and no data come until that is over. The subscriptions
    /// may outlive it.
    pub(super) fn hold_lines(&mut self, because: &str) {
        self.doubt_lines(Doubt::Ib, because, |_| true);
    }

    /// IB is back, with all subscriptions (1102). What only comes when something changes is as it
    /// was; of all else the first data is waited for.
    pub(super) fn release_lines(&mut self, because: &str) {
        self.trust_lines(Doubt::Ib, because, |line| line.memory.is_image());
    }

    /// A notice about a farm. Gateway does not say which farm serves a contract, so every live
    /// line of market data may be one of a farm that is broken.
    pub(super) fn on_farm(&mut self, word: Word, code: i32, text: &str) {
        match word {
            Word::Noted => {}
            Word::Broke => {
                let because = self.farms.in_words();
                self.doubt_lines(Doubt::Farm, &because, |line| line.kind().is_market_data());
            }
            Word::Mended => self.trust_lines(Doubt::Farm, &because(code, text), |line| {
                line.kind().is_market_data()
            }),
        }
    }

    /// Why Gateway may have no data for lines of this kind now, for whoever waits for them.
    pub(super) fn trouble_of(&self, kind: &Kind) -> Option<String> {
        if let Some(words) = self.session.upstream_lost() {
            return Some(words.to_owned());
        }
        (kind.is_market_data() && self.farms.is_broken()).then(|| self.farms.in_words())
    }

    /// Why there may be no data for one who joins a line now; none if they flow, or are awaited. Whoever
    /// shares a line is told the same: where others listen, what they were told decides.
    pub(super) fn why_no_data(&self, slot: u32, was_stale: bool) -> Option<String> {
        let line = self.lines.get(slot)?;
        let trouble = self.trouble_of(line.kind());
        if !was_stale {
            let is_alone = line.subscribers.is_empty();
            return trouble.filter(|_| is_alone && !matches!(line.upstream, Upstream::Live(_)));
        }
        Some(trouble.unwrap_or_else(|| match line.upstream {
            Upstream::Doubted(_, Doubt::Ib) => {
                "Gateway has IB back, which it had lost, and no data has come since".into()
            }
            _ => "no data has come yet since the line was lost".into(),
        }))
    }

    fn doubt_lines(&mut self, doubt: Doubt, because: &str, concerns: impl Fn(&Line) -> bool) {
        for slot in self.lines.slots() {
            let Some(line) = self.lines.get_mut(slot).filter(|line| concerns(line)) else {
                continue;
            };
            for (stream, subscription) in line.doubt(doubt) {
                self.mark(slot, stream, subscription, MarkKind::Stale, because.to_owned());
            }
        }
    }

    fn trust_lines(&mut self, doubt: Doubt, because: &str, concerns: impl Fn(&Line) -> bool) {
        let ib_is_there = self.session.upstream_lost().is_none();
        for slot in self.lines.slots() {
            let Some(line) = self.lines.get_mut(slot).filter(|line| concerns(line)) else {
                continue;
            };
            match line.upstream {
                Upstream::Doubted(request, why) if why == doubt => {
                    line.upstream = Upstream::Live(request);
                }
                // One that has had nothing yet has nothing old, and waits no more for Gateway.
                Upstream::Queued(_) | Upstream::Requested(_) | Upstream::Answered(_)
                    if !line.served && ib_is_there => {}
                _ => continue,
            }
            for (stream, subscription) in line.become_fresh() {
                self.resume_as_it_was(slot, stream, subscription, because.to_owned());
            }
        }
    }
}
