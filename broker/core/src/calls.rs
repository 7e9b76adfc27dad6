//! One-shot requests: which there are, what answers and ends each, and what of the answer may be
//! shared.
//!
//! An answer is handed on as Gateway wrote it: each message becomes one field of the response.
//! Source: protocol fact sheet, sections 4, 5.1 and 10. Read on in `calls/asked.rs` (the checks),
//! `calls/open.rs` (what is open), `hub/calls.rs` (what becomes of it).

mod answer;
mod answer_key;
pub mod asked;
mod commissions;
pub mod kept;
pub mod open;
mod progress;

use std::time::Duration;

use ibouncer_proto::tws::messages::id;

use crate::lines::kind::Cancel;
use crate::pacing::Lane;

pub use answer_key::AnswerKey;
pub use asked::Asked;

/// A kind of one-shot request.
#[derive(Debug, PartialEq, Eq)]
pub struct CallKind {
    /// TWS name.
    pub tws: &'static str,
    /// Wire id of the request.
    pub request: u32,
    /// Gateway knows it from this server version on.
    pub since: i32,
    /// What takes it back.
    pub cancel: Option<Cancel>,
    /// Gateway knows that from this server version on.
    pub cancel_since: i32,
    /// Messages of the answer, and the field of the response that each becomes.
    pub answers: &'static [(u32, u8)],
    /// What ends it.
    pub end: End,
    /// The request has no id, and its answers neither.
    pub unkeyed: bool,
    /// What such an answer says of its request all the same.
    pub answer_key: Option<AnswerKey>,
    /// What of it may be shared.
    pub sharing: Sharing,
    /// Where it waits.
    pub lane: Lane,
    /// Gateway completes it within this, from its leaving.
    pub deadline: Duration,
}

/// What ends an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its first message.
    First,
    /// This message.
    At(u32),
    /// A page that says that it is the last.
    LastPage,
    /// This message, and the commission of every execution.
    Commissions(u32),
}

/// What of an answer may be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing.
    Private,
    /// Equal requests while one is open.
    Joined,
    /// Also those that come within 15 s.
    Recent,
    /// Also those that come later in the same session: the answer does not change.
    Session,
}

/// Field of every response for warnings of Gateway.
pub const NOTICES: u8 = 15;

/// Field of a list of executions for their commissions.
const COMMISSION: u8 = 2;

/// Server version with cancels of contract details and historical ticks.
const CANCELS_OF_ONE_SHOTS: i32 = 215;

/// Small answers out of Gateway's memory.
const SHORT: Duration = Duration::from_secs(30);
/// Answers that Gateway collects from elsewhere; large chains of options take a minute.
const LONG: Duration = Duration::from_secs(120);

const fn call(
    tws: &'static str,
    request: u32,
    answers: &'static [(u32, u8)],
    end: End,
) -> CallKind {
    CallKind {
        tws,
        request,
        since: 0,
        cancel: None,
        cancel_since: 0,
        answers,
        end,
        unkeyed: false,
        answer_key: None,
        sharing: Sharing::Private,
        lane: Lane::Data,
        deadline: SHORT,
    }
}

macro_rules! calls {
    ($($(#[$doc:meta])* $name:ident = $call:expr, { $($field:ident: $value:expr),* $(,)? };)*) => {
        $($(#[$doc])* pub static $name: CallKind = CallKind { $($field: $value,)* ..$call };)*

        /// All of them.
        pub static ALL: &[&CallKind] = &[$(&$name),*];
    };
}

calls! {
    /// Contracts that match.
    CONTRACT_DETAILS = call(
        "reqContractDetails",
        id::REQ_CONTRACT_DATA,
        &[(id::CONTRACT_DATA, 1), (id::BOND_CONTRACT_DATA, 2)],
        End::At(id::CONTRACT_DATA_END),
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_CONTRACT_DATA)),
        cancel_since: CANCELS_OF_ONE_SHOTS,
        sharing: Sharing::Recent,
        deadline: LONG,
    };
    /// Symbols that begin like this.
    MATCHING_SYMBOLS = call(
        "reqMatchingSymbols", id::REQ_MATCHING_SYMBOLS, &[(id::SYMBOL_SAMPLES, 1)], End::First,
    ), { sharing: Sharing::Recent };
    /// Expirations and strikes.
    OPTION_PARAMETERS = call(
        "reqSecDefOptParams",
        id::REQ_SEC_DEF_OPT_PARAMS,
        &[(id::SECURITY_DEFINITION_OPTION_PARAMETER, 1)],
        End::At(id::SECURITY_DEFINITION_OPTION_PARAMETER_END),
    ), { sharing: Sharing::Recent, deadline: LONG };
    /// Price increments.
    MARKET_RULE = call(
        "reqMarketRule", id::REQ_MARKET_RULE, &[(id::MARKET_RULE, 1)], End::First,
    ), {
        unkeyed: true, answer_key: Some(AnswerKey::MarketRule), sharing: Sharing::Session,
    };
    /// Exchanges behind letters.
    SMART_COMPONENTS = call(
        "reqSmartComponents", id::REQ_SMART_COMPONENTS, &[(id::SMART_COMPONENTS, 1)], End::First,
    ), { sharing: Sharing::Recent };
    /// Exchanges with books.
    MARKET_DEPTH_EXCHANGES = call(
        "reqMktDepthExchanges",
        id::REQ_MKT_DEPTH_EXCHANGES,
        &[(id::MKT_DEPTH_EXCHANGES, 1)],
        End::First,
    ), { unkeyed: true, sharing: Sharing::Session };
    /// Volatility at a price.
    IMPLIED_VOLATILITY = call(
        "calculateImpliedVolatility",
        id::REQ_CALC_IMPLIED_VOLAT,
        &[(id::TICK_OPTION_COMPUTATION, 1)],
        End::First,
    ), { cancel: Some(Cancel::ById(id::CANCEL_CALC_IMPLIED_VOLAT)) };
    /// Price at a volatility.
    OPTION_PRICE = call(
        "calculateOptionPrice",
        id::REQ_CALC_OPTION_PRICE,
        &[(id::TICK_OPTION_COMPUTATION, 1)],
        End::First,
    ), { cancel: Some(Cancel::ById(id::CANCEL_CALC_OPTION_PRICE)) };
    /// Bars.
    HISTORICAL_BARS = call(
        "reqHistoricalData",
        id::REQ_HISTORICAL_DATA,
        &[(id::HISTORICAL_DATA, 1), (id::HISTORICAL_DATA_END, 2)],
        End::At(id::HISTORICAL_DATA_END),
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_HISTORICAL_DATA)),
        sharing: Sharing::Recent,
        lane: Lane::History,
        deadline: LONG,
    };
    /// Trading sessions.
    HISTORICAL_SCHEDULE = call(
        "reqHistoricalSchedule",
        id::REQ_HISTORICAL_DATA,
        &[(id::HISTORICAL_SCHEDULE, 1)],
        End::First,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_HISTORICAL_DATA)),
        sharing: Sharing::Recent,
        lane: Lane::History,
        deadline: LONG,
    };
    /// Ticks.
    HISTORICAL_TICKS = call(
        "reqHistoricalTicks",
        id::REQ_HISTORICAL_TICKS,
        &[
            (id::HISTORICAL_TICKS, 1),
            (id::HISTORICAL_TICKS_BID_ASK, 2),
            (id::HISTORICAL_TICKS_LAST, 3),
        ],
        End::LastPage,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_HISTORICAL_TICKS)),
        cancel_since: CANCELS_OF_ONE_SHOTS,
        sharing: Sharing::Recent,
        lane: Lane::History,
        deadline: LONG,
    };
    /// When history begins.
    HEAD_TIMESTAMP = call(
        "reqHeadTimeStamp", id::REQ_HEAD_TIMESTAMP, &[(id::HEAD_TIMESTAMP, 1)], End::First,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_HEAD_TIMESTAMP)),
        sharing: Sharing::Recent,
        lane: Lane::History,
        deadline: LONG,
    };
    /// Volume by price.
    HISTOGRAM = call(
        "reqHistogramData", id::REQ_HISTOGRAM_DATA, &[(id::HISTOGRAM_DATA, 1)], End::First,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_HISTOGRAM_DATA)),
        sharing: Sharing::Recent,
        lane: Lane::History,
        deadline: LONG,
    };
    /// Family codes.
    FAMILY_CODES = call(
        "reqFamilyCodes", id::REQ_FAMILY_CODES, &[(id::FAMILY_CODES, 1)], End::First,
    ), { unkeyed: true, sharing: Sharing::Session };
    /// White-branding id.
    USER_INFO = call(
        "reqUserInfo", id::REQ_USER_INFO, &[(id::USER_INFO, 1)], End::First,
    ), { sharing: Sharing::Joined, deadline: Duration::from_secs(10) };
    /// Soft-dollar tiers.
    SOFT_DOLLAR_TIERS = call(
        "reqSoftDollarTiers", id::REQ_SOFT_DOLLAR_TIERS, &[(id::SOFT_DOLLAR_TIERS, 1)], End::First,
    ), { sharing: Sharing::Recent };
    /// Groups and aliases.
    ADVISOR_CONFIGURATION = call(
        "requestFA", id::REQ_FA, &[(id::RECEIVE_FA, 1)], End::First,
    ), {
        unkeyed: true, answer_key: Some(AnswerKey::AdvisorData), sharing: Sharing::Joined,
    };
    /// Open orders of our client id.
    OPEN_ORDERS = call(
        "reqOpenOrders",
        id::REQ_OPEN_ORDERS,
        &[(id::OPEN_ORDER, 1), (id::ORDER_STATUS, 2)],
        End::At(id::OPEN_ORDER_END),
    ), { unkeyed: true, sharing: Sharing::Joined };
    /// Open orders of all.
    ALL_OPEN_ORDERS = call(
        "reqAllOpenOrders",
        id::REQ_ALL_OPEN_ORDERS,
        &[(id::OPEN_ORDER, 1), (id::ORDER_STATUS, 2)],
        End::At(id::OPEN_ORDER_END),
    ), { unkeyed: true, sharing: Sharing::Joined };
    /// Filled and cancelled orders.
    COMPLETED_ORDERS = call(
        "reqCompletedOrders",
        id::REQ_COMPLETED_ORDERS,
        &[(id::COMPLETED_ORDER, 1)],
        End::At(id::COMPLETED_ORDERS_END),
    ), { unkeyed: true, sharing: Sharing::Joined };
    /// Executions and their commissions.
    EXECUTIONS = call(
        "reqExecutions",
        id::REQ_EXECUTIONS,
        &[(id::EXECUTION_DATA, 1), (id::COMMISSION_AND_FEES_REPORT, COMMISSION)],
        End::Commissions(id::EXECUTION_DATA_END),
    ), { sharing: Sharing::Joined };
    /// News providers.
    NEWS_PROVIDERS = call(
        "reqNewsProviders", id::REQ_NEWS_PROVIDERS, &[(id::NEWS_PROVIDERS, 1)], End::First,
    ), { unkeyed: true, sharing: Sharing::Session };
    /// One article.
    NEWS_ARTICLE = call(
        "reqNewsArticle", id::REQ_NEWS_ARTICLE, &[(id::NEWS_ARTICLE, 1)], End::First,
    ), { sharing: Sharing::Recent };
    /// Headlines.
    HISTORICAL_NEWS = call(
        "reqHistoricalNews",
        id::REQ_HISTORICAL_NEWS,
        &[(id::HISTORICAL_NEWS, 1), (id::HISTORICAL_NEWS_END, 2)],
        End::At(id::HISTORICAL_NEWS_END),
    ), { sharing: Sharing::Recent };
    /// Filters of the calendar.
    WSH_META_DATA = call(
        "reqWshMetaData", id::REQ_WSH_META_DATA, &[(id::WSH_META_DATA, 1)], End::First,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_WSH_META_DATA)),
        sharing: Sharing::Session,
        deadline: LONG,
    };
    /// Events of the calendar.
    WSH_EVENT_DATA = call(
        "reqWshEventData", id::REQ_WSH_EVENT_DATA, &[(id::WSH_EVENT_DATA, 1)], End::First,
    ), {
        cancel: Some(Cancel::ById(id::CANCEL_WSH_EVENT_DATA)),
        sharing: Sharing::Recent,
        deadline: LONG,
    };
    /// What can be scanned for.
    SCANNER_PARAMETERS = call(
        "reqScannerParameters",
        id::REQ_SCANNER_PARAMETERS,
        &[(id::SCANNER_PARAMETERS, 1)],
        End::First,
    ), { unkeyed: true, sharing: Sharing::Session, deadline: LONG };
    /// Gateway's clock.
    CURRENT_TIME = call(
        "reqCurrentTimeInMillis",
        id::REQ_CURRENT_TIME_IN_MILLIS,
        &[(id::CURRENT_TIME_IN_MILLIS, 1)],
        End::First,
    ), { unkeyed: true, sharing: Sharing::Joined };
    /// Gateway's settings, which one of server version 219 tells.
    CONFIGURATION = call(
        "reqConfig", id::REQ_CONFIG, &[(id::CONFIG_RESPONSE, 1)], End::First,
    ), { since: 219, sharing: Sharing::Joined };
}

impl CallKind {
    /// Its answer could not be told from one to another such request: one is open at a time.
    pub fn is_anonymous(&self) -> bool {
        self.unkeyed && self.answer_key.is_none()
    }

    /// The field that a message becomes, if it is part of the answer.
    pub fn field_of(&self, message_id: u32) -> Option<u8> {
        self.answers.iter().find(|(message, _)| *message == message_id).map(|(_, field)| *field)
    }

    /// What takes it back at a Gateway of this version.
    pub fn cancel_at(&self, server_version: i32) -> Option<Cancel> {
        self.cancel.filter(|_| server_version >= self.cancel_since)
    }

    /// Does this message end it, or belong to it?
    pub fn knows(&self, message_id: u32) -> bool {
        let ends = match self.end {
            End::At(end) | End::Commissions(end) => end == message_id,
            End::First | End::LastPage => false,
        };
        ends || self.field_of(message_id).is_some()
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::messages::{self, Key};

    use super::*;

    #[test]
    fn calls_agree_with_the_message_table() {
        for call in ALL {
            let row = messages::outgoing(call.request).unwrap();
            assert_eq!(call.unkeyed, row.key == Key::None, "{}", call.tws);
            let ends: Vec<u32> = row.ended_by.iter().map(|end| u32::from(*end) + 200).collect();
            let end = match call.end {
                End::At(end) | End::Commissions(end) => end,
                End::First => call.answers[0].0,
                End::LastPage => continue,
            };
            assert!(ends.contains(&end), "{} ends with {end}, not {ends:?}", call.tws);
            if let (Some(cancel), Some(by)) = (call.cancel, row.cancelled_by) {
                assert_eq!(cancel.code(), u32::from(by) + 200, "{}", call.tws);
            }
        }
    }

    #[test]
    fn only_unkeyed_requests_of_their_own_answer_share_no_message() {
        // Two kinds that are answered without an id by the same message must be one group.
        for (index, one) in ALL.iter().enumerate() {
            for other in &ALL[index + 1..] {
                if one.unkeyed && other.unkeyed && one.answers[0].0 == other.answers[0].0 {
                    assert_eq!(one.answers[0].0, id::OPEN_ORDER);
                }
            }
        }
    }
}
