//! Streams of one subscription: positions, account values, profit and loss, bars that are kept
//! up to date, bulletins, scanners.
//!
//! One implementation for all of them. Like a stream of market data it outlives its broker: STALE
//! when that goes away, then another one is asked for the same, and RESUMED with its data, which
//! begins with the whole state again.

use std::collections::VecDeque;

use crate::api::MarkKind;
use crate::client::Service;
use crate::error::Error;
use crate::reconnect::{Finder, Opener, Returning, Step};
use crate::told::{Event, Told};

/// One subscription, with a stream of its own. Dropping it ends it.
///
/// Events are those of the schema, [`AccountEvent`](crate::api::AccountEvent) and its like. The
/// whole state comes first, then Gateway's end mark, then changes.
#[derive(Debug)]
pub struct Subscription<E> {
    source: Returning<Vec<E>>,
    told: Told<E>,
    ready: VecDeque<E>,
    over: bool,
}

impl<E: Event> Subscription<E> {
    pub(crate) async fn open(
        service: Service,
        finder: Option<Finder>,
        open: Opener<Vec<E>>,
    ) -> Result<Self, Error> {
        let source = Returning::open(service, finder, open).await?;
        Ok(Self { source, told: Told::new(0), ready: VecDeque::new(), over: false })
    }

    /// The next event; `None` behind an ENDED mark, and, without reconnecting, when the broker
    /// ended the stream in good order. While the broker is away this waits, see
    /// [`Options::reconnect`](crate::Options::reconnect). May be dropped while it waits: nothing
    /// is lost.
    pub async fn next(&mut self) -> Result<Option<E>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.over {
                return Ok(None);
            }
            match self.source.next().await {
                Ok(Step::Answer(events)) => self.take(events),
                Ok(Step::Lost(because)) => {
                    self.ready.extend(self.told.lose(&because));
                    self.told.ask();
                }
                Ok(Step::End) => self.over = true,
                Err(error) => {
                    self.over = true;
                    return Err(error);
                }
            }
        }
    }

    /// All events that are here, without waiting for more than the first of them; empty at the
    /// end.
    pub async fn next_batch(&mut self) -> Result<Vec<E>, Error> {
        let Some(first) = self.next().await? else {
            return Ok(Vec::new());
        };
        Ok(std::iter::once(first).chain(self.ready.drain(..)).collect())
    }

    fn take(&mut self, events: Vec<E>) {
        let mut out = Vec::with_capacity(events.len());
        for event in events {
            self.told.sift(event, &mut out);
        }
        self.told.settle(&mut out);
        let ended = |event: &E| event.mark().is_some_and(|mark| mark.kind() == MarkKind::Ended);
        self.over = out.iter().any(ended);
        self.ready.extend(out);
    }
}
