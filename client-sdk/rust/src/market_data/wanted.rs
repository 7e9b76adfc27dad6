//! What a stream's program wants, kept so that another broker can be asked for it.
//!
//! Owns the live subscriptions of one stream and whether the program was told STALE of each.
//! Marks tell what ended; they are rare, and batches without one are not looked into.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::SubscriptionId;
use super::batch::EventBatch;
use crate::api::{self, MarkKind, MarketDataEvent, StreamMarketDataResponse};
use crate::told::{Event as _, Told};

/// How a mark begins inside an event: field 16 of `MarketDataEvent`, as bytes.
const MARK_TAG: [u8; 2] = [0x82, 0x01];

/// One live subscription.
#[derive(Debug, Clone)]
struct Wish {
    subscribe: api::Subscribe,
    told: Told<MarketDataEvent>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    wishes: BTreeMap<u32, Wish>,
    /// How many wait for a new broker's data.
    waiting: usize,
    /// How many must know the number of their newest event.
    resumable: usize,
}

impl Wanted {
    pub(super) fn add(&mut self, subscribe: &api::Subscribe) {
        let id = subscribe.subscription_id;
        // Where an earlier stream broke is of no use to a later broker.
        let subscribe = api::Subscribe { resume: None, ..subscribe.clone() };
        self.resumable += usize::from(subscribe.resumable);
        self.wishes.insert(id, Wish { subscribe, told: Told::new(id) });
    }

    /// No longer wanted. Its end may still be confirmed.
    pub(super) fn remove(&mut self, id: SubscriptionId) {
        if let Some(wish) = self.wishes.remove(&id.0) {
            self.waiting -= usize::from(wish.told.waits());
            self.resumable -= usize::from(wish.subscribe.resumable);
        }
    }

    /// The stream broke: a STALE mark for each that has not had one.
    pub(super) fn lose(&mut self, because: &str) -> Option<EventBatch> {
        self.waiting = 0;
        batch(self.wishes.values_mut().filter_map(|wish| wish.told.lose(because)).collect())
    }

    /// Another broker is here: what it is to be asked for.
    pub(super) fn requests(&mut self) -> Vec<api::Subscribe> {
        self.waiting = self.wishes.len();
        let each = |wish: &mut Wish| {
            wish.told.ask();
            let resumable = wish.subscribe.resumable;
            let resume = if resumable { wish.told.resume_point() } else { None };
            api::Subscribe { resume, ..wish.subscribe.clone() }
        };
        self.wishes.values_mut().map(each).collect()
    }

    /// What of a batch the program is to see. As long as nobody waits for a new broker's data
    /// that is all of it, untouched.
    pub(super) fn take(&mut self, bytes: Bytes) -> Option<EventBatch> {
        let whole = EventBatch::new(bytes);
        if self.waiting == 0 && !has_mark(whole.bytes()) {
            self.count(&whole);
            return Some(whole);
        }
        // What cannot be read is the program's to find out.
        let Ok(events) = whole.to_typed() else {
            return Some(whole);
        };
        if self.waiting == 0 {
            events.iter().for_each(|event| self.note(event));
            return Some(whole);
        }
        batch(self.sift(events))
    }

    /// Keeps the numbers of what is handed on unseen.
    fn count(&mut self, batch: &EventBatch) {
        if self.resumable == 0 {
            return;
        }
        for event in batch.events().flatten() {
            if let Some(wish) = self.wishes.get_mut(&event.subscription_id.0) {
                wish.told.saw(event.sequence);
            }
        }
    }

    fn note(&mut self, event: &MarketDataEvent) {
        if let Some(wish) = self.wishes.get_mut(&event.subscription_id) {
            wish.told.note(event);
        }
        self.end(event);
    }

    /// Leaves out what the program was told before, and tells when data flows again.
    fn sift(&mut self, events: Vec<MarketDataEvent>) -> Vec<MarketDataEvent> {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            let Some(wish) = self.wishes.get_mut(&event.subscription_id) else {
                out.push(event);
                continue;
            };
            let before = out.len();
            wish.told.sift(event, &mut out);
            for event in &out[before..] {
                self.end(event);
            }
        }
        for wish in self.wishes.values_mut() {
            wish.told.settle(&mut out);
        }
        self.waiting = self.wishes.values().filter(|wish| wish.told.waits()).count();
        out
    }

    fn end(&mut self, event: &MarketDataEvent) {
        if event.mark().is_some_and(|mark| mark.kind() == MarkKind::Ended) {
            self.remove(SubscriptionId(event.subscription_id));
        }
    }
}

fn has_mark(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, &MARK_TAG).is_some()
}

fn batch(events: Vec<MarketDataEvent>) -> Option<EventBatch> {
    use prost::Message as _;
    if events.is_empty() {
        return None;
    }
    let answer = StreamMarketDataResponse { events };
    Some(EventBatch::new(answer.encode_to_vec().into()))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::api::StreamMark;
    use crate::api::market_data_event::Body;
    use crate::tws;

    fn mark(id: u32, sequence: u64, kind: MarkKind, line: &str) -> MarketDataEvent {
        let mark = StreamMark { kind: kind.into(), line: line.into(), ..Default::default() };
        MarketDataEvent::of_mark(id, sequence, mark)
    }

    fn wanted(ids: &[u32]) -> Wanted {
        let mut wanted = Wanted::default();
        for id in ids {
            wanted.add(&api::Subscribe { subscription_id: *id, ..Default::default() });
        }
        wanted
    }

    fn tick(id: u32, sequence: u64, replayed: bool) -> MarketDataEvent {
        let body = Some(Body::TickPrice(tws::TickPrice { price: Some(1.0), ..Default::default() }));
        MarketDataEvent { subscription_id: id, sequence, replayed, body, ..Default::default() }
    }

    fn encode(events: &[MarketDataEvent]) -> Bytes {
        StreamMarketDataResponse { events: events.to_vec() }.encode_to_vec().into()
    }

    /// Kinds of marks, and "tick" or "last".
    fn words(batch: Option<EventBatch>) -> Vec<String> {
        let Some(batch) = batch else {
            return Vec::new();
        };
        let word = |event: MarketDataEvent| match event.body {
            Some(Body::Mark(mark)) => {
                let name = mark.kind().as_str_name().trim_start_matches("MARK_KIND_");
                format!("{} {name}", event.subscription_id)
            }
            _ if event.replayed => format!("{} last", event.subscription_id),
            _ => format!("{} tick", event.subscription_id),
        };
        batch.to_typed().unwrap().into_iter().map(word).collect()
    }

    fn subscribed(id: u32) -> MarketDataEvent {
        mark(id, 0, MarkKind::Subscribed, "")
    }

    fn stale(id: u32) -> MarketDataEvent {
        mark(id, 0, MarkKind::Stale, "")
    }

    #[test]
    fn an_ordinary_batch_is_handed_on_as_it_came() {
        let mut wanted = wanted(&[1]);
        let bytes = encode(&[subscribed(1), tick(1, 1, false)]);
        let batch = wanted.take(bytes.clone()).unwrap();
        assert_eq!(batch.bytes().as_ptr(), bytes.as_ptr());
    }

    #[test]
    fn stale_is_told_once_and_resumed_with_the_first_data() {
        let mut wanted = wanted(&[1, 2]);
        wanted.take(encode(&[stale(2)]));
        assert_eq!(words(wanted.lose("killed")), ["1 STALE"]);
        assert_eq!(words(wanted.lose("again")), [""; 0]);
        assert_eq!(wanted.requests().len(), 2);
        let first = encode(&[subscribed(1), tick(1, 9, true), stale(1), subscribed(2)]);
        assert_eq!(words(wanted.take(first)), [""; 0], "it was told");
        let data = encode(&[tick(1, 1, false), tick(1, 2, false)]);
        assert_eq!(words(wanted.take(data)), ["1 RESUMED", "1 tick", "1 tick"]);
        let told = encode(&[mark(2, 0, MarkKind::Resumed, ""), tick(2, 1, false)]);
        assert_eq!(words(wanted.take(told)), ["2 RESUMED", "2 tick"]);
        assert_eq!(wanted.waiting, 0);
    }

    #[test]
    fn last_values_of_a_line_that_lives_are_news_and_others_are_not() {
        let mut wanted = wanted(&[1]);
        wanted.lose("killed");
        wanted.requests();
        let live = encode(&[subscribed(1), tick(1, 7, true)]);
        assert_eq!(words(wanted.take(live)), ["1 RESUMED", "1 last"]);
    }

    #[test]
    fn what_ended_is_not_asked_for_again() {
        let mut wanted = wanted(&[1, 2, 3]);
        wanted.take(encode(&[mark(1, 4, MarkKind::Ended, "")]));
        wanted.remove(SubscriptionId(2));
        wanted.lose("killed");
        let ids: Vec<_> =
            wanted.requests().into_iter().map(|request| request.subscription_id).collect();
        assert_eq!(ids, [3]);
        let refused = encode(&[mark(3, 0, MarkKind::Ended, "")]);
        assert_eq!(words(wanted.take(refused)), ["3 ENDED"]);
        assert_eq!(wanted.waiting, 0);
    }

    #[test]
    fn a_resumable_subscription_says_where_it_broke() {
        let mut wanted = wanted(&[1]);
        wanted.add(&api::Subscribe { subscription_id: 2, resumable: true, ..Default::default() });
        wanted.take(encode(&[
            mark(1, 0, MarkKind::Subscribed, "b1-line-1"),
            mark(2, 0, MarkKind::Subscribed, "b1-line-2"),
        ]));
        wanted.take(encode(&[tick(1, 7, false), tick(2, 9, false), tick(2, 8, true)]));
        wanted.lose("killed");
        let resumes: Vec<_> = wanted.requests().into_iter().map(|request| request.resume).collect();
        assert_eq!(resumes, [None, Some(api::Resume { line: "b1-line-2".into(), sequence: 9 })]);
        let answer = encode(&[mark(2, 9, MarkKind::Resumed, "b1-line-2"), tick(2, 10, false)]);
        assert_eq!(words(wanted.take(answer)), ["2 RESUMED", "2 tick"]);
        wanted.remove(SubscriptionId(2));
        assert_eq!((wanted.resumable, wanted.waiting), (0, 1));
    }

    #[test]
    fn a_book_of_another_broker_begins_behind_resumed() {
        let mut wanted = wanted(&[1]);
        wanted.lose("killed");
        wanted.requests();
        let book = encode(&[
            subscribed(1),
            mark(1, 0, MarkKind::Reset, ""),
            tick(1, 3, true),
            tick(1, 4, false),
        ]);
        let expected = ["1 RESUMED", "1 RESET", "1 last", "1 tick"];
        assert_eq!(words(wanted.take(book)), expected);
    }
}
