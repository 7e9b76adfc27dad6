//! What every message id of the TWS API means, in both directions, as data.
//!
//! [`outgoing`] and [`incoming`] look up by wire id. Ids up to 200 are text forms, which these
//! lookups do not know: from server version 213 on every message with a schema travels as
//! protobuf. Removed messages (fundamental data) are left out. Source: protocol fact sheet,
//! sections 3.1, 4 and 5.

mod incoming;
mod outgoing;

use super::PROTOBUF_ID_OFFSET;

/// By what the answers to a message are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A request id.
    Request,
    /// An order id. Shares its number space with request ids in error frames.
    Order,
    /// Nothing: the message is one of a kind on its connection.
    None,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageInfo {
    /// Message id in text form.
    pub text_id: u16,
    /// Name in IB's own spelling.
    pub name: &'static str,
    /// Message of package `tws.v1` that is its body; `None` for messages that exist as text only.
    pub body: Option<&'static str>,
    /// What correlates it.
    pub key: Key,
    /// Protobuf field of the key; 0 without one.
    pub id_field: u32,
    /// Text id of the message that cancels it.
    pub cancelled_by: Option<u16>,
    /// Text ids of the answers that end it (or, for a stream, its first image).
    pub ended_by: &'static [u16],
    /// Server version from which clients send it as protobuf; 0 if they never do, and for
    /// messages from Gateway.
    pub protobuf_since: i32,
}

impl MessageInfo {
    /// The id on the wire in protobuf form.
    pub const fn wire_id(&self) -> u32 {
        self.text_id as u32 + PROTOBUF_ID_OFFSET
    }
}

/// Row of a message from a client to Gateway, by wire id (above 200).
#[inline]
pub fn outgoing(wire_id: u32) -> Option<&'static MessageInfo> {
    look_up(outgoing::MESSAGES, &OUTGOING_INDEX, wire_id)
}

/// Row of a message from Gateway to a client, by wire id (above 200).
#[inline]
pub fn incoming(wire_id: u32) -> Option<&'static MessageInfo> {
    look_up(incoming::MESSAGES, &INCOMING_INDEX, wire_id)
}

/// All rows from clients to Gateway, in the order of their ids.
pub fn all_outgoing() -> &'static [MessageInfo] {
    outgoing::MESSAGES
}

/// All rows from Gateway to clients, in the order of their ids.
pub fn all_incoming() -> &'static [MessageInfo] {
    incoming::MESSAGES
}

/// Wire ids by name; each is checked against the table.
pub mod id {
    macro_rules! ids {
        ($($direction:ident { $($name:ident = $value:literal),* $(,)? })*) => {
            $($(
                #[doc = concat!("Wire id of `", stringify!($name), "`.")]
                pub const $name: u32 = $value;
            )*)*

            #[test]
            fn names_and_ids_agree_with_the_tables() {
                $($(
                    let row = super::$direction($value).expect(stringify!($name));
                    assert_eq!(row.name, stringify!($name));
                )*)*
            }
        };
    }

    ids! {
        outgoing {
            REQ_MKT_DATA = 201,
            CANCEL_MKT_DATA = 202,
            PLACE_ORDER = 203,
            CANCEL_ORDER = 204,
            REQ_OPEN_ORDERS = 205,
            REQ_ACCT_DATA = 206,
            REQ_EXECUTIONS = 207,
            REQ_IDS = 208,
            REQ_CONTRACT_DATA = 209,
            REQ_MKT_DEPTH = 210,
            CANCEL_MKT_DEPTH = 211,
            REQ_NEWS_BULLETINS = 212,
            CANCEL_NEWS_BULLETINS = 213,
            SET_SERVER_LOGLEVEL = 214,
            REQ_AUTO_OPEN_ORDERS = 215,
            REQ_ALL_OPEN_ORDERS = 216,
            REQ_MANAGED_ACCTS = 217,
            REQ_FA = 218,
            REPLACE_FA = 219,
            REQ_HISTORICAL_DATA = 220,
            EXERCISE_OPTIONS = 221,
            REQ_SCANNER_SUBSCRIPTION = 222,
            CANCEL_SCANNER_SUBSCRIPTION = 223,
            REQ_SCANNER_PARAMETERS = 224,
            CANCEL_HISTORICAL_DATA = 225,
            REQ_CURRENT_TIME = 249,
            REQ_REAL_TIME_BARS = 250,
            CANCEL_REAL_TIME_BARS = 251,
            REQ_CALC_IMPLIED_VOLAT = 254,
            REQ_CALC_OPTION_PRICE = 255,
            CANCEL_CALC_IMPLIED_VOLAT = 256,
            CANCEL_CALC_OPTION_PRICE = 257,
            REQ_GLOBAL_CANCEL = 258,
            REQ_MARKET_DATA_TYPE = 259,
            REQ_POSITIONS = 261,
            REQ_ACCOUNT_SUMMARY = 262,
            CANCEL_ACCOUNT_SUMMARY = 263,
            CANCEL_POSITIONS = 264,
            VERIFY_REQUEST = 265,
            VERIFY_MESSAGE = 266,
            QUERY_DISPLAY_GROUPS = 267,
            SUBSCRIBE_TO_GROUP_EVENTS = 268,
            UPDATE_DISPLAY_GROUP = 269,
            UNSUBSCRIBE_FROM_GROUP_EVENTS = 270,
            START_API = 271,
            REQ_POSITIONS_MULTI = 274,
            CANCEL_POSITIONS_MULTI = 275,
            REQ_ACCOUNT_UPDATES_MULTI = 276,
            CANCEL_ACCOUNT_UPDATES_MULTI = 277,
            REQ_SEC_DEF_OPT_PARAMS = 278,
            REQ_SOFT_DOLLAR_TIERS = 279,
            REQ_FAMILY_CODES = 280,
            REQ_MATCHING_SYMBOLS = 281,
            REQ_MKT_DEPTH_EXCHANGES = 282,
            REQ_SMART_COMPONENTS = 283,
            REQ_NEWS_ARTICLE = 284,
            REQ_NEWS_PROVIDERS = 285,
            REQ_HISTORICAL_NEWS = 286,
            REQ_HEAD_TIMESTAMP = 287,
            REQ_HISTOGRAM_DATA = 288,
            CANCEL_HISTOGRAM_DATA = 289,
            CANCEL_HEAD_TIMESTAMP = 290,
            REQ_MARKET_RULE = 291,
            REQ_PNL = 292,
            CANCEL_PNL = 293,
            REQ_PNL_SINGLE = 294,
            CANCEL_PNL_SINGLE = 295,
            REQ_HISTORICAL_TICKS = 296,
            REQ_TICK_BY_TICK_DATA = 297,
            CANCEL_TICK_BY_TICK_DATA = 298,
            REQ_COMPLETED_ORDERS = 299,
            REQ_WSH_META_DATA = 300,
            CANCEL_WSH_META_DATA = 301,
            REQ_WSH_EVENT_DATA = 302,
            CANCEL_WSH_EVENT_DATA = 303,
            REQ_USER_INFO = 304,
            REQ_CURRENT_TIME_IN_MILLIS = 305,
            CANCEL_CONTRACT_DATA = 306,
            CANCEL_HISTORICAL_TICKS = 307,
            REQ_CONFIG = 308,
            UPDATE_CONFIG = 309,
        }
        incoming {
            TICK_PRICE = 201,
            TICK_SIZE = 202,
            ORDER_STATUS = 203,
            ERR_MSG = 204,
            OPEN_ORDER = 205,
            ACCT_VALUE = 206,
            PORTFOLIO_VALUE = 207,
            ACCT_UPDATE_TIME = 208,
            NEXT_VALID_ID = 209,
            CONTRACT_DATA = 210,
            EXECUTION_DATA = 211,
            MARKET_DEPTH = 212,
            MARKET_DEPTH_L2 = 213,
            NEWS_BULLETINS = 214,
            MANAGED_ACCTS = 215,
            RECEIVE_FA = 216,
            HISTORICAL_DATA = 217,
            BOND_CONTRACT_DATA = 218,
            SCANNER_PARAMETERS = 219,
            SCANNER_DATA = 220,
            TICK_OPTION_COMPUTATION = 221,
            TICK_GENERIC = 245,
            TICK_STRING = 246,
            CURRENT_TIME = 249,
            REAL_TIME_BARS = 250,
            CONTRACT_DATA_END = 252,
            OPEN_ORDER_END = 253,
            ACCT_DOWNLOAD_END = 254,
            EXECUTION_DATA_END = 255,
            TICK_SNAPSHOT_END = 257,
            MARKET_DATA_TYPE = 258,
            COMMISSION_AND_FEES_REPORT = 259,
            POSITION_DATA = 261,
            POSITION_END = 262,
            ACCOUNT_SUMMARY = 263,
            ACCOUNT_SUMMARY_END = 264,
            VERIFY_MESSAGE_API = 265,
            VERIFY_COMPLETED = 266,
            DISPLAY_GROUP_LIST = 267,
            DISPLAY_GROUP_UPDATED = 268,
            POSITION_MULTI = 271,
            POSITION_MULTI_END = 272,
            ACCOUNT_UPDATE_MULTI = 273,
            ACCOUNT_UPDATE_MULTI_END = 274,
            SECURITY_DEFINITION_OPTION_PARAMETER = 275,
            SECURITY_DEFINITION_OPTION_PARAMETER_END = 276,
            SOFT_DOLLAR_TIERS = 277,
            FAMILY_CODES = 278,
            SYMBOL_SAMPLES = 279,
            MKT_DEPTH_EXCHANGES = 280,
            TICK_REQ_PARAMS = 281,
            SMART_COMPONENTS = 282,
            NEWS_ARTICLE = 283,
            TICK_NEWS = 284,
            NEWS_PROVIDERS = 285,
            HISTORICAL_NEWS = 286,
            HISTORICAL_NEWS_END = 287,
            HEAD_TIMESTAMP = 288,
            HISTOGRAM_DATA = 289,
            HISTORICAL_DATA_UPDATE = 290,
            REROUTE_MKT_DATA_REQ = 291,
            REROUTE_MKT_DEPTH_REQ = 292,
            MARKET_RULE = 293,
            PNL = 294,
            PNL_SINGLE = 295,
            HISTORICAL_TICKS = 296,
            HISTORICAL_TICKS_BID_ASK = 297,
            HISTORICAL_TICKS_LAST = 298,
            TICK_BY_TICK = 299,
            ORDER_BOUND = 300,
            COMPLETED_ORDER = 301,
            COMPLETED_ORDERS_END = 302,
            REPLACE_FA_END = 303,
            WSH_META_DATA = 304,
            WSH_EVENT_DATA = 305,
            HISTORICAL_SCHEDULE = 306,
            USER_INFO = 307,
            HISTORICAL_DATA_END = 308,
            CURRENT_TIME_IN_MILLIS = 309,
            CONFIG_RESPONSE = 310,
            UPDATE_CONFIG_RESPONSE = 311,
        }
    }
}

const ABSENT: u8 = u8::MAX;
const INDEX_SIZE: usize = 128;

static OUTGOING_INDEX: [u8; INDEX_SIZE] = index(outgoing::MESSAGES);
static INCOMING_INDEX: [u8; INDEX_SIZE] = index(incoming::MESSAGES);

#[inline]
fn look_up(
    rows: &'static [MessageInfo],
    index: &[u8; INDEX_SIZE],
    wire_id: u32,
) -> Option<&'static MessageInfo> {
    let text_id = wire_id.checked_sub(PROTOBUF_ID_OFFSET)? as usize;
    match index.get(text_id) {
        Some(&ABSENT) | None => None,
        Some(&row) => Some(&rows[row as usize]),
    }
}

const fn index(rows: &[MessageInfo]) -> [u8; INDEX_SIZE] {
    let mut index = [ABSENT; INDEX_SIZE];
    let mut row = 0;
    while row < rows.len() {
        if rows[row].body.is_some() {
            index[rows[row].text_id as usize] = row as u8;
        }
        row += 1;
    }
    index
}

#[expect(clippy::too_many_arguments, reason = "one column of the table each")]
const fn out(
    text_id: u16,
    name: &'static str,
    body: Option<&'static str>,
    key: Key,
    id_field: u32,
    cancelled_by: Option<u16>,
    ended_by: &'static [u16],
    protobuf_since: i32,
) -> MessageInfo {
    MessageInfo { text_id, name, body, key, id_field, cancelled_by, ended_by, protobuf_since }
}

const fn inc(
    text_id: u16,
    name: &'static str,
    body: Option<&'static str>,
    key: Key,
    id_field: u32,
) -> MessageInfo {
    out(text_id, name, body, key, id_field, None, &[], 0)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn schema() -> Vec<prost_types::DescriptorProto> {
        prost_types::FileDescriptorSet::decode(crate::FILE_DESCRIPTOR_SET)
            .unwrap()
            .file
            .into_iter()
            .filter(|file| file.package() == "tws.v1")
            .flat_map(|file| file.message_type)
            .collect()
    }

    #[test]
    fn every_body_is_in_the_schema_and_its_key_field_is_an_integer() {
        let schema = schema();
        for row in all_outgoing().iter().chain(all_incoming()) {
            let Some(body) = row.body else { continue };
            let message = schema
                .iter()
                .find(|message| message.name() == body)
                .unwrap_or_else(|| panic!("{}: no message {body}", row.name));
            if row.key != Key::None {
                let field =
                    message.field.iter().find(|field| field.number() == row.id_field as i32);
                let field = field.unwrap_or_else(|| panic!("{body} has no field {}", row.id_field));
                assert_eq!(field.r#type(), prost_types::field_descriptor_proto::Type::Int32);
            }
        }
    }

    #[test]
    fn rows_are_in_order_and_cancels_and_ends_exist() {
        for rows in [all_outgoing(), all_incoming()] {
            assert!(rows.is_sorted_by_key(|row| row.text_id));
        }
        for row in all_outgoing() {
            if let Some(cancel) = row.cancelled_by {
                assert!(outgoing(u32::from(cancel) + 200).is_some(), "{}", row.name);
            }
            for end in row.ended_by {
                assert!(
                    all_incoming().iter().any(|candidate| candidate.text_id == *end),
                    "{} is ended by {end}, which does not exist",
                    row.name
                );
            }
        }
    }
}
