//! A batch of events: the bytes of one answer of the broker, and the walk through them.

use bytes::Bytes;
use prost::Message as _;

use super::event::EventRef;
use super::wire::{Malformed, Reader};
use crate::api;

/// The events of one answer, as the bytes that came. Cheap to clone and to send to other tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    bytes: Bytes,
}

impl EventBatch {
    /// A batch over an encoded `ibouncer.v1.StreamMarketDataResponse`.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Walks the events in order, without copying or allocating.
    pub fn events(&self) -> Events<'_> {
        events(&self.bytes)
    }

    /// The bytes as they came. [`Bytes::slice_ref`] on them keeps a body without copying it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// All events, typed. Allocates; for programs that are not in a hurry.
    pub fn to_typed(&self) -> Result<Vec<api::MarketDataEvent>, Malformed> {
        api::StreamMarketDataResponse::decode(self.bytes.clone())
            .map(|answer| answer.events)
            .map_err(|_| Malformed("batch is not an answer of a market-data stream"))
    }
}

/// Walks the events of an encoded `ibouncer.v1.StreamMarketDataResponse`.
#[inline]
pub fn events(bytes: &[u8]) -> Events<'_> {
    Events { fields: Reader::new(bytes) }
}

/// The events of a batch, in order; ends after the first that cannot be read.
#[derive(Debug, Clone)]
pub struct Events<'a> {
    fields: Reader<'a>,
}

impl<'a> Events<'a> {
    #[inline]
    fn advance(&mut self) -> Result<Option<EventRef<'a>>, Malformed> {
        while let Some((field, value)) = self.fields.next()? {
            if field == 1 {
                return EventRef::read(value.bytes()?).map(Some);
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<EventRef<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let event = self.advance();
        if event.is_err() {
            self.fields = Reader::new(&[]);
        }
        event.transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DepthChange, EventKind, SingleTick, SubscriptionId, Tick};
    use super::*;
    use crate::api::market_data_event::Body;
    use crate::tws;

    fn maybe<T: Clone + std::fmt::Debug + 'static>(
        inner: impl Strategy<Value = T> + 'static,
    ) -> BoxedStrategy<Option<T>> {
        prop::option::of(inner).boxed()
    }

    fn body() -> impl Strategy<Value = Option<Body>> {
        let number = || maybe(any::<i32>());
        let double = || maybe(prop::num::f64::ANY.prop_filter("NaN differs", |x| !x.is_nan()));
        let text = || maybe("[0-9.]{0,6}|\\PC{0,40}");
        let price = (number(), number(), double(), text(), number()).prop_map(
            |(req_id, tick_type, price, size, attr_mask)| {
                Body::TickPrice(tws::TickPrice { req_id, tick_type, price, size, attr_mask })
            },
        );
        let size = (number(), number(), text()).prop_map(|(req_id, tick_type, size)| {
            Body::TickSize(tws::TickSize { req_id, tick_type, size })
        });
        let generic = (number(), number(), double()).prop_map(|(req_id, tick_type, value)| {
            Body::TickGeneric(tws::TickGeneric { req_id, tick_type, value })
        });
        let string = (number(), number(), text()).prop_map(|(req_id, tick_type, value)| {
            Body::TickString(tws::TickString { req_id, tick_type, value })
        });
        let error = (number(), maybe(any::<i64>()), text()).prop_map(|(error_code, at, text)| {
            Body::Error(tws::ErrorMessage {
                error_code,
                error_time: at,
                error_msg: text,
                ..Default::default()
            })
        });
        let mark = (0..9_i32, "\\PC{0,40}", any::<u64>()).prop_map(|(kind, because, epoch)| {
            Body::Mark(api::StreamMark { kind, because, epoch, ..Default::default() })
        });
        let depth = (any::<bool>(), 0..50_i32, 0..3_i32, 0..2_i32, double(), text()).prop_map(
            |(l2, position, operation, side, price, size)| {
                let market_maker = l2.then(|| "NSDQ".to_owned());
                let data = tws::MarketDepthData {
                    position: Some(position),
                    operation: Some(operation),
                    side: Some(side),
                    price,
                    size,
                    market_maker,
                    is_smart_depth: Some(l2),
                };
                let market_depth_data = Some(data);
                if l2 {
                    Body::MarketDepthL2(tws::MarketDepthL2 { req_id: Some(1), market_depth_data })
                } else {
                    Body::MarketDepth(tws::MarketDepth { req_id: Some(1), market_depth_data })
                }
            },
        );
        let trade = (maybe(any::<i64>()), double(), text(), text(), any::<bool>()).prop_map(
            |(time, price, size, exchange, past_limit)| {
                let tick = tws::HistoricalTickLast {
                    time,
                    tick_attrib_last: Some(tws::TickAttribLast {
                        past_limit: Some(past_limit),
                        unreported: Some(!past_limit),
                    }),
                    price,
                    size,
                    exchange,
                    special_conditions: None,
                };
                let tick = Some(tws::tick_by_tick_data::Tick::HistoricalTickLast(tick));
                Body::TickByTick(tws::TickByTickData { req_id: None, tick_type: Some(1), tick })
            },
        );
        let quote = (maybe(any::<i64>()), double(), double(), text(), text()).prop_map(
            |(time, price_bid, price_ask, size_bid, size_ask)| {
                let tick = tws::HistoricalTickBidAsk {
                    time,
                    price_bid,
                    price_ask,
                    size_bid,
                    size_ask,
                    ..Default::default()
                };
                let tick = Some(tws::tick_by_tick_data::Tick::HistoricalTickBidAsk(tick));
                Body::TickByTick(tws::TickByTickData { req_id: None, tick_type: Some(3), tick })
            },
        );
        let bar = (maybe(any::<i64>()), double(), text()).prop_map(|(time, open, volume)| {
            Body::RealTimeBar(tws::RealTimeBarTick { time, open, volume, ..Default::default() })
        });
        let unknown = (any::<u32>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(
            |(message_id, body)| {
                Body::Unknown(api::UnknownMessage { message_id, body: body.into() })
            },
        );
        prop_oneof![
            Just(None),
            price.prop_map(Some),
            size.prop_map(Some),
            generic.prop_map(Some),
            string.prop_map(Some),
            error.prop_map(Some),
            mark.prop_map(Some),
            unknown.prop_map(Some),
            depth.prop_map(Some),
            trade.prop_map(Some),
            quote.prop_map(Some),
            bar.prop_map(Some),
            Just(Some(Body::SnapshotEnd(tws::TickSnapshotEnd::default()))),
        ]
    }

    fn event() -> impl Strategy<Value = api::MarketDataEvent> {
        let numbers = (any::<u32>(), any::<u64>(), any::<u32>(), any::<bool>());
        (numbers, body()).prop_map(|((subscription_id, sequence, skipped, replayed), body)| {
            api::MarketDataEvent { subscription_id, sequence, skipped, replayed, body }
        })
    }

    fn encode(events: &[api::MarketDataEvent]) -> Bytes {
        let answer = api::StreamMarketDataResponse { events: events.to_vec() };
        answer.encode_to_vec().into()
    }

    proptest! {
        #[test]
        fn reading_by_hand_gives_what_prost_gives(
            expected in prop::collection::vec(event(), 0..20),
        ) {
            let batch = EventBatch::new(encode(&expected));
            let by_hand: Result<Vec<_>, _> =
                batch.events().map(|event| event.and_then(|event| event.to_typed())).collect();
            prop_assert_eq!(by_hand.unwrap(), expected.clone());
            prop_assert_eq!(batch.to_typed().unwrap(), expected.clone());
            for (event, typed) in batch.events().zip(expected) {
                let event = event.unwrap();
                check_depth(event.depth().unwrap(), typed.body.as_ref());
                check_single_tick(event.single_tick().unwrap(), typed.body.as_ref());
                check_tick(event.tick().unwrap(), typed.body);
            }
        }

        #[test]
        fn fields_of_a_later_schema_are_passed_over(event in event(), number in 26_u32..1000) {
            let mut bytes = event.encode_to_vec();
            let mut extra = Vec::new();
            for wire_type in [0, 1, 2, 5] {
                prost::encoding::encode_varint(u64::from(number << 3 | wire_type), &mut extra);
                extra.extend_from_slice(match wire_type {
                    0 => &[0x81, 0x01],
                    1 => &[1, 2, 3, 4, 5, 6, 7, 8],
                    2 => &[2, 9, 9],
                    _ => &[1, 2, 3, 4],
                });
            }
            bytes.extend_from_slice(&extra);
            let read = EventRef::read(&bytes).unwrap();
            prop_assert_eq!(read.to_typed().unwrap(), event.clone());
            if event.body.is_none() {
                prop_assert_eq!(read.kind(), EventKind::Other(number));
                prop_assert_eq!(read.body, &[9, 9]);
            }
        }

        #[test]
        fn garbage_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            for event in events(&bytes).flatten() {
                let _ = event.tick();
                let _ = event.depth();
                let _ = event.single_tick();
                let _ = event.to_typed();
            }
        }

        #[test]
        fn a_batch_that_was_cut_short_ends_with_an_error(
            expected in prop::collection::vec(event(), 1..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes = encode(&expected);
            let cut = cut.index(bytes.len());
            let whole = api::StreamMarketDataResponse::decode(&bytes[..cut]).is_ok();
            prop_assert_eq!(events(&bytes[..cut]).all(|event| event.is_ok()), whole);
        }
    }

    fn check_tick(tick: Option<Tick<'_>>, body: Option<Body>) {
        match (tick, body) {
            (
                Some(Tick::Price { tick_type, price, size, attributes }),
                Some(Body::TickPrice(typed)),
            ) => {
                assert_eq!(tick_type, typed.tick_type());
                assert_eq!(size, typed.size());
                assert_eq!(attributes, typed.attr_mask());
                same_number(price, typed.price);
            }
            (Some(Tick::Size { tick_type, size }), Some(Body::TickSize(typed))) => {
                assert_eq!((tick_type, size), (typed.tick_type(), typed.size()));
            }
            (Some(Tick::Generic { tick_type, value }), Some(Body::TickGeneric(typed))) => {
                assert_eq!(tick_type, typed.tick_type());
                same_number(value, typed.value);
            }
            (Some(Tick::Text { tick_type, value }), Some(Body::TickString(typed))) => {
                assert_eq!((tick_type, value), (typed.tick_type(), typed.value()));
            }
            (None, Some(Body::TickPrice(_) | Body::TickSize(_))) => panic!("a tick was not read"),
            (None, _) => {}
            (Some(tick), body) => panic!("{tick:?} was read from {body:?}"),
        }
    }

    fn check_depth(change: Option<DepthChange<'_>>, body: Option<&Body>) {
        let data = match body {
            Some(Body::MarketDepth(typed)) => typed.market_depth_data.as_ref(),
            Some(Body::MarketDepthL2(typed)) => typed.market_depth_data.as_ref(),
            _ => return assert_eq!(change, None),
        };
        let (change, data) = (change.unwrap(), data.unwrap());
        assert_eq!(change.position as i32, data.position());
        assert_eq!(change.operation as i32, data.operation());
        assert_eq!(change.side as i32, data.side());
        assert_eq!((change.size, change.market_maker), (data.size(), data.market_maker()));
        assert_eq!(change.is_smart, data.is_smart_depth());
        same_number(change.price, data.price);
    }

    fn check_single_tick(tick: Option<SingleTick<'_>>, body: Option<&Body>) {
        use tws::tick_by_tick_data::Tick as Typed;
        let typed = match body {
            Some(Body::TickByTick(data)) => data.tick.as_ref(),
            _ => None,
        };
        match (tick, typed) {
            (None, None) => {}
            (
                Some(SingleTick::Last {
                    time, price, size, exchange, past_limit, unreported, ..
                }),
                Some(Typed::HistoricalTickLast(typed)),
            ) => {
                assert_eq!((time, size, exchange), (typed.time(), typed.size(), typed.exchange()));
                assert_ne!(past_limit, unreported);
                assert_eq!(past_limit, typed.tick_attrib_last.as_ref().unwrap().past_limit());
                same_number(price, typed.price);
            }
            (
                Some(SingleTick::BidAsk { time, bid, ask, bid_size, ask_size, .. }),
                Some(Typed::HistoricalTickBidAsk(typed)),
            ) => {
                assert_eq!((time, bid_size), (typed.time(), typed.size_bid()));
                assert_eq!(ask_size, typed.size_ask());
                same_number(bid, typed.price_bid);
                same_number(ask, typed.price_ask);
            }
            (tick, typed) => panic!("{tick:?} was read from {typed:?}"),
        }
    }

    fn same_number(read: f64, typed: Option<f64>) {
        assert_eq!(read.to_bits(), typed.unwrap_or(f64::NAN).to_bits());
    }

    #[test]
    fn an_event_says_what_it_is() {
        let mark = api::StreamMark { because: "worker ended".into(), ..Default::default() };
        let bytes = encode(&[api::MarketDataEvent {
            subscription_id: 7,
            body: Some(Body::Mark(mark.clone())),
            ..Default::default()
        }]);
        let event = events(&bytes).next().unwrap().unwrap();
        assert_eq!(event.subscription_id, SubscriptionId(7));
        assert_eq!(event.kind(), EventKind::Mark);
        assert_eq!(event.mark().unwrap(), Some(mark));
        assert_eq!(event.tick().unwrap(), None);
        assert_eq!(event.gateway_error().unwrap(), None);
    }

    #[test]
    fn ticks_have_names() {
        let tick = Tick::Size { tick_type: 0, size: "1" };
        assert_eq!(tick.name(), "bid_size");
        assert_eq!(Tick::Size { tick_type: 107, size: "" }.name(), "tick_107");
    }
}
