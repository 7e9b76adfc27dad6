//! A market-data stream of the SDK, read until something came.

use std::time::Duration;

use ibouncer_client::api::market_data_event::Body;
use ibouncer_client::api::{MarkKind, MarketDataEvent};
use ibouncer_client::{Client, Feed, MarketDataStream, SubscriptionId, contract};
use ibouncer_tests::harness::Broker;
use ibouncer_tests::harness::wait::PATIENCE;

/// A stream, and what was not looked at yet.
pub(super) struct Reader {
    pub(super) stream: MarketDataStream,
    waiting: std::collections::VecDeque<MarketDataEvent>,
}

pub(super) async fn connect(broker: &Broker) -> Client {
    let options = broker.home().options().client_name("test");
    Client::connect(options).await.unwrap()
}

impl Reader {
    pub(super) async fn open(client: &Client) -> Self {
        Self {
            stream: client.market_data().await.unwrap(),
            waiting: std::collections::VecDeque::new(),
        }
    }

    pub(super) async fn stock(&self, symbol: &str) -> SubscriptionId {
        let line = contract::stock(symbol);
        self.stream.subscribe(line, Feed::Live).await.unwrap()
    }

    /// The next event; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Option<MarketDataEvent> {
        while self.waiting.is_empty() {
            let batch = tokio::time::timeout(PATIENCE, self.stream.next_batch())
                .await
                .expect("an event in time")
                .expect("the stream is whole")?;
            self.waiting.extend(batch.to_typed().unwrap());
        }
        self.waiting.pop_front()
    }

    /// The next event that fits; those before it are gone.
    pub(super) async fn until(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&MarketDataEvent) -> bool,
    ) -> MarketDataEvent {
        let search = async {
            loop {
                let event = self.next().await;
                let event = event.unwrap_or_else(|| panic!("the stream ended before {what}"));
                if fits(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE + Duration::from_secs(1), search)
            .await
            .unwrap_or_else(|_| panic!("no {what}"))
    }

    /// The next mark of this kind.
    pub(super) async fn mark(&mut self, kind: MarkKind) -> ibouncer_client::api::StreamMark {
        let event = self
            .until(
                kind.as_str_name(),
                |event| matches!(&event.body, Some(Body::Mark(mark)) if mark.kind() == kind),
            )
            .await;
        match event.body {
            Some(Body::Mark(mark)) => mark,
            _ => unreachable!("it was looked for"),
        }
    }

    /// The next tick that is not a replayed one.
    pub(super) async fn live_tick(&mut self) -> MarketDataEvent {
        self.until("a live tick", |event| is_tick(event) && !event.replayed).await
    }
}

pub(super) fn is_tick(event: &MarketDataEvent) -> bool {
    matches!(
        event.body,
        Some(Body::TickPrice(_) | Body::TickSize(_) | Body::TickString(_) | Body::TickGeneric(_))
    )
}
