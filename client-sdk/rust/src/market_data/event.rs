//! One event, borrowed from the batch that it came in.

use super::SubscriptionId;
use super::depth::DepthChange;
use super::single_tick::SingleTick;
use super::tick::Tick;
use super::wire::{Malformed, Reader};
use crate::api;
use crate::tws;

/// What the body of an event is.
///
/// The numbers are those of the schema's `MarketDataEvent.body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// `tws.v1.TickPrice`.
    TickPrice,
    /// `tws.v1.TickSize`.
    TickSize,
    /// `tws.v1.TickString`.
    TickString,
    /// `tws.v1.TickGeneric`.
    TickGeneric,
    /// `tws.v1.TickOptionComputation`.
    TickOptionComputation,
    /// `tws.v1.MarketDataType`.
    MarketDataType,
    /// `tws.v1.TickReqParams`.
    TickReqParams,
    /// `tws.v1.TickNews`.
    TickNews,
    /// `tws.v1.RerouteMarketDataRequest`.
    Reroute,
    /// `tws.v1.TickSnapshotEnd`.
    SnapshotEnd,
    /// `tws.v1.ErrorMessage`: a notice or error of Gateway about this line.
    Error,
    /// `ibouncer.v1.StreamMark`: what happened to the subscription.
    Mark,
    /// `ibouncer.v1.UnknownMessage`: a message of Gateway that the broker does not know.
    Unknown,
    /// `tws.v1.MarketDepth`: a change of a book; [`EventRef::depth`] reads it.
    MarketDepth,
    /// `tws.v1.MarketDepthL2`: a change of a book with market makers or exchanges.
    MarketDepthL2,
    /// `tws.v1.TickByTickData`: one trade or quote; [`EventRef::single_tick`] reads it.
    TickByTick,
    /// `tws.v1.HistoricalTicks`: a page of history before the ticks.
    HistoricalTicks,
    /// `tws.v1.HistoricalTicksBidAsk`: the same of quotes.
    HistoricalTicksBidAsk,
    /// `tws.v1.HistoricalTicksLast`: the same of trades.
    HistoricalTicksLast,
    /// `tws.v1.RealTimeBarTick`: a bar of 5 s.
    RealTimeBar,
    /// `tws.v1.RerouteMarketDepthRequest`.
    RerouteMarketDepth,
    /// No body, or one that this version of the schema does not have; its field number, 0 for
    /// none.
    Other(u32),
}

impl EventKind {
    fn of_field(field: u32) -> Self {
        match field {
            5 => Self::TickPrice,
            6 => Self::TickSize,
            7 => Self::TickString,
            8 => Self::TickGeneric,
            9 => Self::TickOptionComputation,
            10 => Self::MarketDataType,
            11 => Self::TickReqParams,
            12 => Self::TickNews,
            13 => Self::Reroute,
            14 => Self::SnapshotEnd,
            15 => Self::Error,
            16 => Self::Mark,
            17 => Self::Unknown,
            18 => Self::MarketDepth,
            19 => Self::MarketDepthL2,
            20 => Self::TickByTick,
            21 => Self::HistoricalTicks,
            22 => Self::HistoricalTicksBidAsk,
            23 => Self::HistoricalTicksLast,
            24 => Self::RealTimeBar,
            25 => Self::RerouteMarketDepth,
            other => Self::Other(other),
        }
    }
}

/// One event of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef<'a> {
    /// The subscription.
    pub subscription_id: SubscriptionId,
    /// Counts the events of the shared line.
    pub sequence: u64,
    /// Older ticks of the same type that were left out because this client read too slowly.
    pub skipped: u32,
    /// True for a last value from before this subscription.
    pub replayed: bool,
    /// Number of the body's field in the schema.
    pub field: u32,
    /// The body as Gateway sent it; a request id in it means nothing here.
    pub body: &'a [u8],
}

impl<'a> EventRef<'a> {
    /// Reads the envelope; the body is not looked into.
    ///
    /// Of a body that occurs twice the last one counts; the broker sends one.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut event = Self {
            subscription_id: SubscriptionId(0),
            sequence: 0,
            skipped: 0,
            replayed: false,
            field: 0,
            body: &[],
        };
        let mut fields = Reader::new(bytes);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => event.subscription_id = SubscriptionId(value.uint32()?),
                2 => event.sequence = value.uint64()?,
                3 => event.skipped = value.uint32()?,
                4 => event.replayed = value.bool()?,
                5..=25 => {
                    event.field = field;
                    event.body = value.bytes()?;
                }
                _ if event.field == 0 => {
                    // A body that a later schema added, or a field beside the body.
                    if let Ok(body) = value.bytes() {
                        event.field = field;
                        event.body = body;
                    }
                }
                _ => {}
            }
        }
        Ok(event)
    }

    /// What the body is.
    #[inline]
    pub fn kind(&self) -> EventKind {
        EventKind::of_field(self.field)
    }

    /// The body as a tick, without allocating; `None` if it is something else.
    #[inline]
    pub fn tick(&self) -> Result<Option<Tick<'a>>, Malformed> {
        Tick::read(self.kind(), self.body)
    }

    /// The body as a change of a book, without allocating; `None` if it is something else.
    /// [`Book`](crate::Book) applies it.
    #[inline]
    pub fn depth(&self) -> Result<Option<DepthChange<'a>>, Malformed> {
        DepthChange::read(self.kind(), self.body)
    }

    /// The body as one trade or quote of tick-by-tick data, without allocating; `None` if it is
    /// something else.
    #[inline]
    pub fn single_tick(&self) -> Result<Option<SingleTick<'a>>, Malformed> {
        SingleTick::read(self.kind(), self.body)
    }

    /// The body as a bar of 5 s; `None` if it is something else.
    pub fn real_time_bar(&self) -> Result<Option<tws::RealTimeBarTick>, Malformed> {
        self.decode_if(EventKind::RealTimeBar)
    }

    /// The body as a mark; `None` if it is something else.
    pub fn mark(&self) -> Result<Option<api::StreamMark>, Malformed> {
        self.decode_if(EventKind::Mark)
    }

    /// The body as an error or notice of Gateway; `None` if it is something else.
    pub fn gateway_error(&self) -> Result<Option<tws::ErrorMessage>, Malformed> {
        self.decode_if(EventKind::Error)
    }

    /// The body as any message; the caller knows from [`kind`](Self::kind) which.
    pub fn decode<M: prost::Message + Default>(&self) -> Result<M, Malformed> {
        M::decode(self.body).map_err(|_| Malformed("body is not what its field says"))
    }

    /// The whole event, typed. Allocates; for programs that are not in a hurry.
    pub fn to_typed(&self) -> Result<api::MarketDataEvent, Malformed> {
        use api::market_data_event::Body;
        let body = match self.kind() {
            EventKind::TickPrice => Some(Body::TickPrice(self.decode()?)),
            EventKind::TickSize => Some(Body::TickSize(self.decode()?)),
            EventKind::TickString => Some(Body::TickString(self.decode()?)),
            EventKind::TickGeneric => Some(Body::TickGeneric(self.decode()?)),
            EventKind::TickOptionComputation => Some(Body::TickOptionComputation(self.decode()?)),
            EventKind::MarketDataType => Some(Body::MarketDataType(self.decode()?)),
            EventKind::TickReqParams => Some(Body::TickReqParams(self.decode()?)),
            EventKind::TickNews => Some(Body::TickNews(self.decode()?)),
            EventKind::Reroute => Some(Body::Reroute(self.decode()?)),
            EventKind::SnapshotEnd => Some(Body::SnapshotEnd(self.decode()?)),
            EventKind::Error => Some(Body::Error(self.decode()?)),
            EventKind::Mark => Some(Body::Mark(self.decode()?)),
            EventKind::Unknown => Some(Body::Unknown(self.decode()?)),
            EventKind::MarketDepth => Some(Body::MarketDepth(self.decode()?)),
            EventKind::MarketDepthL2 => Some(Body::MarketDepthL2(self.decode()?)),
            EventKind::TickByTick => Some(Body::TickByTick(self.decode()?)),
            EventKind::HistoricalTicks => Some(Body::HistoricalTicks(self.decode()?)),
            EventKind::HistoricalTicksBidAsk => Some(Body::HistoricalTicksBidAsk(self.decode()?)),
            EventKind::HistoricalTicksLast => Some(Body::HistoricalTicksLast(self.decode()?)),
            EventKind::RealTimeBar => Some(Body::RealTimeBar(self.decode()?)),
            EventKind::RerouteMarketDepth => Some(Body::RerouteMarketDepth(self.decode()?)),
            EventKind::Other(_) => None,
        };
        Ok(api::MarketDataEvent {
            subscription_id: self.subscription_id.0,
            sequence: self.sequence,
            skipped: self.skipped,
            replayed: self.replayed,
            body,
        })
    }

    fn decode_if<M: prost::Message + Default>(
        &self,
        kind: EventKind,
    ) -> Result<Option<M>, Malformed> {
        if self.kind() == kind { self.decode().map(Some) } else { Ok(None) }
    }
}
