//! Which field of an event carries which message, and what a slow reader may miss of it.
//!
//! The events of every stream have the same envelope, and a body has the same number in each, so
//! that one encoder serves all (schema: `ibouncer/v1/stream.proto`). A test holds the table
//! against the schema.

use ibouncer_proto::tws::messages::id;

/// Numbers of the fields.
#[allow(missing_docs, reason = "named as in the schema")]
pub mod field {
    pub const TICK_PRICE: u8 = 5;
    pub const TICK_SIZE: u8 = 6;
    pub const TICK_STRING: u8 = 7;
    pub const TICK_GENERIC: u8 = 8;
    pub const TICK_OPTION_COMPUTATION: u8 = 9;
    pub const MARKET_DATA_TYPE: u8 = 10;
    pub const TICK_REQ_PARAMS: u8 = 11;
    pub const TICK_NEWS: u8 = 12;
    pub const REROUTE: u8 = 13;
    pub const SNAPSHOT_END: u8 = 14;
    pub const ERROR: u8 = 15;
    pub const MARK: u8 = 16;
    pub const UNKNOWN: u8 = 17;
    pub const MARKET_DEPTH: u8 = 18;
    pub const MARKET_DEPTH_L2: u8 = 19;
    pub const TICK_BY_TICK: u8 = 20;
    pub const HISTORICAL_TICKS: u8 = 21;
    pub const HISTORICAL_TICKS_BID_ASK: u8 = 22;
    pub const HISTORICAL_TICKS_LAST: u8 = 23;
    pub const REAL_TIME_BAR: u8 = 24;
    pub const REROUTE_MARKET_DEPTH: u8 = 25;
    pub const BARS: u8 = 26;
    pub const BARS_END: u8 = 27;
    pub const BARS_UPDATE: u8 = 28;
    pub const ACCOUNT_VALUE: u8 = 29;
    pub const PORTFOLIO_VALUE: u8 = 30;
    pub const ACCOUNT_UPDATE_TIME: u8 = 31;
    pub const ACCOUNT_DATA_END: u8 = 32;
    pub const ACCOUNT_SUMMARY: u8 = 33;
    pub const ACCOUNT_SUMMARY_END: u8 = 34;
    pub const POSITION: u8 = 35;
    pub const POSITION_END: u8 = 36;
    pub const POSITION_MULTI: u8 = 37;
    pub const POSITION_MULTI_END: u8 = 38;
    pub const ACCOUNT_UPDATE_MULTI: u8 = 39;
    pub const ACCOUNT_UPDATE_MULTI_END: u8 = 40;
    pub const PNL: u8 = 41;
    pub const PNL_SINGLE: u8 = 42;
    pub const BULLETIN: u8 = 43;
    pub const SCANNER_DATA: u8 = 44;
}

/// Bits from one field to another.
const fn through(from: u8, to: u8) -> u64 {
    (1 << (to + 1)) - (1 << from)
}

/// Fields that every event has, beside the mark, which is no message of Gateway.
const COMMON: u64 = 1 << field::ERROR | 1 << field::UNKNOWN;

/// Messages that each event can carry: a bit for each field.
pub(crate) const MARKET_DATA_EVENT: u64 = COMMON
    | through(field::TICK_PRICE, field::SNAPSHOT_END)
    | through(field::MARKET_DEPTH, field::REROUTE_MARKET_DEPTH);
pub(crate) const HISTORY_EVENT: u64 = COMMON | through(field::BARS, field::BARS_UPDATE);
pub(crate) const ACCOUNT_EVENT: u64 = COMMON | through(field::ACCOUNT_VALUE, field::PNL_SINGLE);
pub(crate) const NEWS_EVENT: u64 = COMMON | 1 << field::BULLETIN;
pub(crate) const SCANNER_EVENT: u64 = COMMON | 1 << field::SCANNER_DATA;

/// Messages and their fields.
const FIELDS: &[(u32, u8)] = &[
    (id::TICK_PRICE, field::TICK_PRICE),
    (id::TICK_SIZE, field::TICK_SIZE),
    (id::TICK_STRING, field::TICK_STRING),
    (id::TICK_GENERIC, field::TICK_GENERIC),
    (id::TICK_OPTION_COMPUTATION, field::TICK_OPTION_COMPUTATION),
    (id::MARKET_DATA_TYPE, field::MARKET_DATA_TYPE),
    (id::TICK_REQ_PARAMS, field::TICK_REQ_PARAMS),
    (id::TICK_NEWS, field::TICK_NEWS),
    (id::REROUTE_MKT_DATA_REQ, field::REROUTE),
    (id::TICK_SNAPSHOT_END, field::SNAPSHOT_END),
    (id::ERR_MSG, field::ERROR),
    (id::MARKET_DEPTH, field::MARKET_DEPTH),
    (id::MARKET_DEPTH_L2, field::MARKET_DEPTH_L2),
    (id::TICK_BY_TICK, field::TICK_BY_TICK),
    (id::HISTORICAL_TICKS, field::HISTORICAL_TICKS),
    (id::HISTORICAL_TICKS_BID_ASK, field::HISTORICAL_TICKS_BID_ASK),
    (id::HISTORICAL_TICKS_LAST, field::HISTORICAL_TICKS_LAST),
    (id::REAL_TIME_BARS, field::REAL_TIME_BAR),
    (id::REROUTE_MKT_DEPTH_REQ, field::REROUTE_MARKET_DEPTH),
    (id::HISTORICAL_DATA, field::BARS),
    (id::HISTORICAL_DATA_END, field::BARS_END),
    (id::HISTORICAL_DATA_UPDATE, field::BARS_UPDATE),
    (id::ACCT_VALUE, field::ACCOUNT_VALUE),
    (id::PORTFOLIO_VALUE, field::PORTFOLIO_VALUE),
    (id::ACCT_UPDATE_TIME, field::ACCOUNT_UPDATE_TIME),
    (id::ACCT_DOWNLOAD_END, field::ACCOUNT_DATA_END),
    (id::ACCOUNT_SUMMARY, field::ACCOUNT_SUMMARY),
    (id::ACCOUNT_SUMMARY_END, field::ACCOUNT_SUMMARY_END),
    (id::POSITION_DATA, field::POSITION),
    (id::POSITION_END, field::POSITION_END),
    (id::POSITION_MULTI, field::POSITION_MULTI),
    (id::POSITION_MULTI_END, field::POSITION_MULTI_END),
    (id::ACCOUNT_UPDATE_MULTI, field::ACCOUNT_UPDATE_MULTI),
    (id::ACCOUNT_UPDATE_MULTI_END, field::ACCOUNT_UPDATE_MULTI_END),
    (id::PNL, field::PNL),
    (id::PNL_SINGLE, field::PNL_SINGLE),
    (id::NEWS_BULLETINS, field::BULLETIN),
    (id::SCANNER_DATA, field::SCANNER_DATA),
];

/// Wire ids below this have a place in the index.
const INDEXED: usize = 400;

static INDEX: [u8; INDEXED] = {
    let mut index = [field::UNKNOWN; INDEXED];
    let mut row = 0;
    while row < FIELDS.len() {
        index[FIELDS[row].0 as usize] = FIELDS[row].1;
        row += 1;
    }
    index
};

/// The field that carries a message from Gateway.
#[inline]
pub fn field_of(message_id: u32) -> u8 {
    INDEX.get(message_id as usize).copied().unwrap_or(field::UNKNOWN)
}

/// Is it about what the line is for? Gateway answers a request for quotes at once with their type and
/// their parameters, also while none can come. A reroute is all that its line ever has, and counts.
#[inline]
pub const fn is_data(field: u8) -> bool {
    !matches!(field, field::MARKET_DATA_TYPE | field::TICK_REQ_PARAMS)
}

/// What may be left out for a reader that is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All but the newest of each tick type.
    OldTicks,
    /// All but the newest about the same thing: an account's value, a position, a list.
    OldState,
    /// The oldest, counted: things that happened, of which none replaces another.
    Oldest,
    /// All, because the whole book follows.
    Book,
    /// Nothing.
    Nothing,
}

/// What may be left out of events with this field.
#[inline]
pub fn loss_of(field: u8) -> Loss {
    match field {
        field::TICK_PRICE
        | field::TICK_SIZE
        | field::TICK_GENERIC
        | field::TICK_OPTION_COMPUTATION
        | field::MARKET_DATA_TYPE
        | field::TICK_REQ_PARAMS => Loss::OldTicks,
        field::TICK_STRING
        | field::TICK_NEWS
        | field::TICK_BY_TICK
        | field::REAL_TIME_BAR
        | field::BARS_UPDATE
        | field::BULLETIN => Loss::Oldest,
        field::MARKET_DEPTH | field::MARKET_DEPTH_L2 => Loss::Book,
        field::ACCOUNT_VALUE
        | field::PORTFOLIO_VALUE
        | field::ACCOUNT_UPDATE_TIME
        | field::ACCOUNT_SUMMARY
        | field::POSITION
        | field::POSITION_MULTI
        | field::ACCOUNT_UPDATE_MULTI
        | field::PNL
        | field::PNL_SINGLE
        | field::SCANNER_DATA => Loss::OldState,
        _ => Loss::Nothing,
    }
}

/// The end mark of the state that an event with this field is of.
pub const fn end_of(field: u8) -> Option<u8> {
    match field {
        field::ACCOUNT_VALUE | field::PORTFOLIO_VALUE | field::ACCOUNT_UPDATE_TIME => {
            Some(field::ACCOUNT_DATA_END)
        }
        field::ACCOUNT_SUMMARY => Some(field::ACCOUNT_SUMMARY_END),
        field::POSITION => Some(field::POSITION_END),
        field::POSITION_MULTI => Some(field::POSITION_MULTI_END),
        field::ACCOUNT_UPDATE_MULTI => Some(field::ACCOUNT_UPDATE_MULTI_END),
        _ => None,
    }
}

/// Field 2 of a tick: its type. 0 for a body without one.
#[inline]
pub fn tick_type(body: &[u8]) -> u32 {
    // Request id, then tick type: each a varint, in this order from every known encoder.
    if body.first() != Some(&0x08) {
        return 0;
    }
    let Some(end) = body.iter().skip(1).take(10).position(|byte| byte & 0x80 == 0) else {
        return 0;
    };
    match body.get(2 + end..) {
        Some([0x10, kind, ..]) if kind & 0x80 == 0 => u32::from(*kind),
        Some([0x10, low, high, ..]) => u32::from(*low & 0x7f) | u32::from(*high & 0x7f) << 7,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ibouncer_proto::tws::messages::incoming;
    use prost::Message as _;

    use super::*;

    #[test]
    fn each_event_carries_what_the_schema_says() {
        let files = prost_types::FileDescriptorSet::decode(ibouncer_proto::FILE_DESCRIPTOR_SET);
        let mut bits = BTreeMap::new();
        for message in files.unwrap().file.iter().flat_map(|file| &file.message_type) {
            let body = message.field.iter().filter(|field| field.oneof_index.is_some());
            let set = body.fold(0_u64, |set, field| set | 1 << field.number().min(63));
            bits.insert(message.name().to_owned(), set & !(1 << field::MARK));
        }
        for (name, set) in [
            ("MarketDataEvent", MARKET_DATA_EVENT),
            ("HistoryEvent", HISTORY_EVENT),
            ("AccountEvent", ACCOUNT_EVENT),
            ("NewsEvent", NEWS_EVENT),
            ("ScannerEvent", SCANNER_EVENT),
        ] {
            assert_eq!(bits[name], set, "{name}");
        }
    }

    /// Every field of every event's body: number to the name of its message.
    fn schema() -> BTreeMap<u8, String> {
        let files = prost_types::FileDescriptorSet::decode(ibouncer_proto::FILE_DESCRIPTOR_SET);
        let mut bodies = BTreeMap::new();
        for file in files.unwrap().file {
            for message in file.message_type {
                if file.package.as_deref() != Some("ibouncer.v1")
                    || !message.name().ends_with("Event")
                    || !message.field.iter().any(|field| field.name() == "mark")
                {
                    continue;
                }
                for field in message.field.iter().filter(|field| field.oneof_index.is_some()) {
                    let number = field.number() as u8;
                    let kind = field.type_name().rsplit('.').next().unwrap().to_owned();
                    if let Some(other) = bodies.insert(number, kind.clone()) {
                        assert_eq!(other, kind, "field {number} means two things");
                    }
                }
            }
        }
        bodies
    }

    #[test]
    fn the_fields_are_the_schemas() {
        let schema = schema();
        assert_eq!(schema.len(), FIELDS.len() + 2, "all, and MARK and UNKNOWN");
        for (message, field) in FIELDS {
            let row = incoming(*message).unwrap();
            assert_eq!(Some(schema[field].as_str()), row.body, "{}", row.name);
            assert_eq!(field_of(*message), *field);
        }
        assert_eq!(schema[&field::MARK], "StreamMark");
        assert_eq!(schema[&field::UNKNOWN], "UnknownMessage");
        assert_eq!(field_of(u32::MAX), field::UNKNOWN);
    }
}
