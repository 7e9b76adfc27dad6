//! What a stream's program wants, kept so that another broker can be asked for it.
//!
//! Owns the live subscriptions of one stream and whether the program was told STALE of each.
//! Marks tell what ended; they are rare, and batches without one are not looked into.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::SubscriptionId;
use super::batch::EventBatch;
use crate::api::market_data_event::Body;
use crate::api::{self, MarkKind, MarketDataEvent, StreamMark, StreamMarketDataResponse};

/// How a mark begins inside an event: field 16 of `MarketDataEvent`, as bytes.
const MARK_TAG: [u8; 2] = [0x82, 0x01];

/// One live subscription.
#[derive(Debug, Clone)]
struct Wish {
    subscribe: api::Subscribe,
    told_stale: bool,
    /// The newest number that marks told; numbers start anew with a new broker.
    sequence: u64,
    /// Asked of a new broker, and no data came yet.
    waits: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    wishes: BTreeMap<u32, Wish>,
    waiting: usize,
}

impl Wanted {
    pub(super) fn add(&mut self, subscribe: &api::Subscribe) {
        let wish =
            Wish { subscribe: subscribe.clone(), told_stale: false, sequence: 0, waits: false };
        self.wishes.insert(subscribe.subscription_id, wish);
    }

    /// No longer wanted. Its end may still be confirmed.
    pub(super) fn remove(&mut self, id: SubscriptionId) {
        if self.wishes.remove(&id.0).is_some_and(|wish| wish.waits) {
            self.waiting -= 1;
        }
    }

    /// The broker is away: a STALE mark for each that has not had one.
    pub(super) fn lose(&mut self, because: &str) -> Option<EventBatch> {
        self.waiting = 0;
        let mut events = Vec::new();
        for (id, wish) in &mut self.wishes {
            wish.waits = false;
            if !std::mem::replace(&mut wish.told_stale, true) {
                let because = format!("the broker is away: {because}");
                events.push(mark(*id, wish.sequence, MarkKind::Stale, because));
            }
        }
        batch(events)
    }

    /// Another broker is here: what it is to be asked for.
    pub(super) fn requests(&mut self) -> Vec<api::Subscribe> {
        self.waiting = self.wishes.len();
        let each = |wish: &mut Wish| {
            wish.waits = true;
            wish.subscribe.clone()
        };
        self.wishes.values_mut().map(each).collect()
    }

    /// What of a batch the program is to see. As long as nobody waits for a new broker's data
    /// that is all of it, untouched.
    pub(super) fn take(&mut self, bytes: Bytes) -> Option<EventBatch> {
        let whole = EventBatch::new(bytes);
        if self.waiting == 0 && !has_mark(whole.bytes()) {
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

    /// Leaves out what the program was told before, and tells when data flows again.
    fn sift(&mut self, events: Vec<MarketDataEvent>) -> Vec<MarketDataEvent> {
        let mut out = Vec::with_capacity(events.len());
        // Last values, until it is clear that no STALE follows them.
        let mut held: BTreeMap<u32, Vec<MarketDataEvent>> = BTreeMap::new();
        for event in events {
            let id = event.subscription_id;
            let waits = self.wishes.get(&id).is_some_and(|wish| wish.waits);
            let kind = match &event.body {
                Some(Body::Mark(mark)) => Some(mark.kind()),
                _ => None,
            };
            match kind {
                _ if !waits => {
                    self.note(&event);
                    out.push(event);
                }
                Some(MarkKind::Subscribed) => {}
                Some(MarkKind::Stale) => drop(held.remove(&id)),
                Some(MarkKind::Resumed) => {
                    self.resume(id, None, &mut held, &mut out);
                    out.push(event);
                }
                Some(_) => {
                    self.note(&event);
                    out.push(event);
                }
                None if event.replayed => held.entry(id).or_default().push(event),
                None => {
                    self.resume(id, Some(()), &mut held, &mut out);
                    out.push(event);
                }
            }
        }
        // The line is live with that broker; it only has nothing newer yet.
        for id in held.keys().copied().collect::<Vec<_>>() {
            self.resume(id, Some(()), &mut held, &mut out);
        }
        out
    }

    fn resume(
        &mut self,
        id: u32,
        tell: Option<()>,
        held: &mut BTreeMap<u32, Vec<MarketDataEvent>>,
        out: &mut Vec<MarketDataEvent>,
    ) {
        let Some(wish) = self.wishes.get_mut(&id) else {
            return;
        };
        if std::mem::take(&mut wish.waits) {
            self.waiting -= 1;
        }
        wish.told_stale = false;
        if tell.is_some() {
            let because = format!(
                "data flows again, from another broker; its numbers start anew, the last of the \
                 one before was at least {}",
                wish.sequence
            );
            out.push(mark(id, 0, MarkKind::Resumed, because));
        }
        out.extend(held.remove(&id).unwrap_or_default());
    }

    fn note(&mut self, event: &MarketDataEvent) {
        let Some(Body::Mark(mark)) = &event.body else {
            return;
        };
        let id = event.subscription_id;
        match mark.kind() {
            MarkKind::Ended => self.remove(SubscriptionId(id)),
            kind => {
                if let Some(wish) = self.wishes.get_mut(&id) {
                    wish.sequence = event.sequence;
                    match kind {
                        MarkKind::Stale => wish.told_stale = true,
                        MarkKind::Resumed => wish.told_stale = false,
                        _ => {}
                    }
                }
            }
        }
    }
}

fn has_mark(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, &MARK_TAG).is_some()
}

fn mark(id: u32, sequence: u64, kind: MarkKind, because: String) -> MarketDataEvent {
    let mark = StreamMark { kind: kind.into(), because, ..StreamMark::default() };
    MarketDataEvent {
        subscription_id: id,
        sequence,
        body: Some(Body::Mark(mark)),
        ..MarketDataEvent::default()
    }
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
    use crate::tws;

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
        mark(id, 0, MarkKind::Subscribed, String::new())
    }

    fn stale(id: u32) -> MarketDataEvent {
        mark(id, 0, MarkKind::Stale, String::new())
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
        let told = encode(&[mark(2, 0, MarkKind::Resumed, String::new()), tick(2, 1, false)]);
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
        wanted.take(encode(&[mark(1, 4, MarkKind::Ended, String::new())]));
        wanted.remove(SubscriptionId(2));
        wanted.lose("killed");
        let ids: Vec<_> =
            wanted.requests().into_iter().map(|request| request.subscription_id).collect();
        assert_eq!(ids, [3]);
        let refused = encode(&[mark(3, 0, MarkKind::Ended, String::new())]);
        assert_eq!(words(wanted.take(refused)), ["3 ENDED"]);
        assert_eq!(wanted.waiting, 0);
    }
}
