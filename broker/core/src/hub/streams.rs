//! Which stream listens to which line, and what has gathered for it in this batch.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{ClientId, StreamId};
use crate::lines::Lines;
use crate::queue::{Chunk, Entry};

/// All open streams, in slots so that lines can point at them.
#[derive(Debug, Default)]
pub(super) struct Streams {
    slots: Vec<Option<Stream>>,
    by_id: BTreeMap<StreamId, u32>,
    /// Slots with something gathered.
    touched: Vec<u32>,
    /// What is being handed out; empty but for that.
    leaving: Vec<(StreamId, Chunk)>,
}

#[derive(Debug)]
pub(super) struct Stream {
    id: StreamId,
    pub(super) client: ClientId,
    /// It is for one subscription, and ends with it.
    single: bool,
    /// The client's number to the slot of the line.
    pub(super) subscriptions: BTreeMap<u32, u32>,
    gathered: Vec<Entry>,
}

impl Streams {
    pub(super) fn open(&mut self, id: StreamId, client: ClientId, single: bool) {
        let (subscriptions, gathered) = (BTreeMap::new(), Vec::new());
        let stream = Stream { id, client, single, subscriptions, gathered };
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[slot] = Some(stream);
        self.by_id.insert(id, slot as u32);
    }

    pub(super) fn close(&mut self, id: StreamId) -> Option<(u32, Stream)> {
        let slot = self.by_id.remove(&id)?;
        self.touched.retain(|touched| *touched != slot);
        Some((slot, self.slots[slot as usize].take()?))
    }

    pub(super) fn find(&mut self, id: StreamId) -> Option<(u32, &mut Stream)> {
        let slot = *self.by_id.get(&id)?;
        Some((slot, self.slots[slot as usize].as_mut()?))
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Stream> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn id(&self, slot: u32) -> Option<StreamId> {
        Some(self.slots.get(slot as usize)?.as_ref()?.id)
    }

    /// The stream in a slot, if it ends with its one subscription.
    pub(super) fn single(&self, slot: u32) -> Option<StreamId> {
        let stream = self.slots.get(slot as usize)?.as_ref()?;
        stream.single.then_some(stream.id)
    }

    pub(super) fn of(&self, client: ClientId) -> impl Iterator<Item = (StreamId, &Stream)> {
        let streams = self.slots.iter().flatten();
        streams.filter(move |stream| stream.client == client).map(|stream| (stream.id, stream))
    }

    pub(super) fn has(&self, slot: u32, subscription: u32) -> bool {
        let stream = self.slots.get(slot as usize).and_then(Option::as_ref);
        stream.is_some_and(|stream| stream.subscriptions.contains_key(&subscription))
    }

    pub(super) fn client(&self, slot: u32) -> Option<ClientId> {
        Some(self.slots.get(slot as usize)?.as_ref()?.client)
    }

    /// One event for one stream; its body lies in the batch at hand.
    #[inline]
    pub(super) fn gather(&mut self, slot: u32, entry: Entry) {
        if let Some(stream) = &mut self.slots[slot as usize] {
            if stream.gathered.is_empty() {
                self.touched.push(slot);
            }
            stream.gathered.push(entry);
        }
    }

    /// Hands out what has gathered. Streams whose clients chose the same numbers for the same lines
    /// get the same events, and share one chunk.
    pub(super) fn flush(&mut self, batch: &Bytes, mut deliver: impl FnMut(StreamId, Chunk)) {
        for slot in self.touched.drain(..) {
            if let Some(stream) = &mut self.slots[slot as usize] {
                let before = self.leaving.last().map(|(_, chunk)| chunk);
                let chunk = match before.filter(|before| before.serves(&stream.gathered)) {
                    Some(before) => {
                        let chunk = before.clone();
                        stream.forget();
                        chunk
                    }
                    None => Chunk::new(batch.clone(), stream.take()),
                };
                self.leaving.push((stream.id, chunk));
            }
        }
        for (stream, chunk) in self.leaving.drain(..) {
            deliver(stream, chunk);
        }
    }

    pub(super) fn check_invariants(&self, lines: &Lines) {
        assert!(self.touched.is_empty(), "everything gathered was handed out");
        for (id, slot) in &self.by_id {
            let stream = self.slots[*slot as usize].as_ref().expect("an id leads to a stream");
            assert_eq!(stream.id, *id);
            for (subscription, line) in &stream.subscriptions {
                let line = lines.get(*line).expect("a subscription leads to a line");
                let listens = |one: &&crate::lines::Subscriber| {
                    one.stream == *slot && one.subscription == *subscription
                };
                assert_eq!(line.subscribers.iter().filter(listens).count(), 1);
            }
        }
        for (_, line) in lines.iter() {
            for one in &line.subscribers {
                let stream = self.slots[one.stream as usize].as_ref().expect("it has a stream");
                assert!(stream.subscriptions.contains_key(&one.subscription));
            }
        }
    }
}

impl Stream {
    /// What has gathered. The next batch is about as big as this one.
    fn take(&mut self) -> Vec<Entry> {
        let room = self.gathered.len();
        std::mem::replace(&mut self.gathered, Vec::with_capacity(room))
    }

    /// What has gathered is with somebody else. The room for it stays, unless it was for a burst.
    fn forget(&mut self) {
        let used = self.gathered.len();
        self.gathered.clear();
        if self.gathered.capacity() > 64.max(4 * used) {
            self.gathered.shrink_to(used);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_events_are_one_chunk_and_others_each_their_own() {
        let mut streams = Streams::default();
        let entry = |subscription, reset| Entry {
            subscription,
            start: 0,
            length: 1,
            field: 5,
            replayed: false,
            reset,
            sequence: 9,
        };
        let events = [
            (1, entry(1, false)),
            (2, entry(1, false)),
            (3, entry(2, false)),
            (4, entry(2, false)),
        ];
        for (stream, event) in events {
            streams.open(StreamId(stream), ClientId(stream), false);
            streams.gather(stream as u32 - 1, event);
        }
        let mut chunks = Vec::new();
        streams.flush(&Bytes::from_static(b"x"), |_, chunk| chunks.push(chunk));
        assert!(chunks[0].is(&chunks[1]) && chunks[2].is(&chunks[3]));
        assert!(!chunks[0].is(&chunks[2]));
        for slot in [0, 1] {
            streams.gather(slot, entry(1, true));
        }
        let mut marks = Vec::new();
        streams.flush(&Bytes::from_static(b"x"), |_, chunk| marks.push(chunk));
        assert!(!marks[0].is(&marks[1]), "what it says before a book is its reader's alone");
    }
}
