//! Requests after START_API: which are answered, and how the others are refused.
//!
//! The simulator answers market data, times, ids, accounts and its API settings. Orders are refused as a Gateway in
//! read-only mode refuses them, everything else with error 321. Below server version 213 requests
//! are only reported. Error codes: protocol fact sheet, section 8.

use std::time::Duration;

use ibouncer_proto::tws::PROTOBUF_ID_OFFSET;
use ibouncer_proto::tws::envelope::{Direction, Envelope};
use ibouncer_proto::tws::messages::{self, Key, id};
use ibouncer_proto::tws::v1::{CancelMarketData, MarketDataRequest, MarketDataTypeRequest};
use prost::Message as _;

use super::connection::Connection;
use super::line::Subscription;
use super::market::Cancelled;
use super::symbols::{self, INSTRUMENTS};
use super::{Shared, millis};
use crate::events::{Event, Request};
use crate::fault::Fault;

const UNREADABLE: i32 = 320;
const REFUSED: i32 = 321;

/// Wire id of a setting that nothing answers.
const SET_SERVER_LOG_LEVEL: u32 = 214;

/// Wire ids that change something at IB, and are refused in read-only mode.
const REPLACE_FA: u32 = 219;
const GLOBAL_CANCEL: u32 = 258;

/// Generic tick that adds a real-time volume tick to every trade.
const RT_VOLUME: &str = "233";

/// An error for one request.
struct Refusal(i32, String);

impl Connection {
    pub(super) fn on_frame(&mut self, body: &[u8], shared: &mut Shared, now: Duration) {
        shared.sums.requests += 1;
        if self.replies(shared, now).is_text() {
            return self.on_text(body, shared, now);
        }
        let Ok(envelope) = Envelope::parse(body) else {
            return;
        };
        let row = messages::outgoing(envelope.message_id);
        let request_id = envelope.correlation_id(Direction::ToGateway).unwrap_or_default();
        let mut request = Request {
            message_id: envelope.message_id,
            name: row.map_or("UNKNOWN", |row| row.name),
            request_id,
            ..Default::default()
        };
        if self.ignores_requests() {
            match envelope.message_id {
                id::REQ_MKT_DATA => {
                    let body = MarketDataRequest::decode(envelope.body).unwrap_or_default();
                    describe(&mut request, &body);
                }
                id::REQ_MARKET_DATA_TYPE => {
                    let body = MarketDataTypeRequest::decode(envelope.body).unwrap_or_default();
                    request.market_data_type = body.market_data_type;
                }
                _ => {}
            }
            return self.tell(request, shared, now);
        }
        let answer = match envelope.message_id {
            id::REQ_MKT_DATA => match MarketDataRequest::decode(envelope.body) {
                Err(_) => Err(unreadable()),
                Ok(body) => {
                    describe(&mut request, &body);
                    self.tell(request.clone(), shared, now);
                    return self.on_market_data(&body, shared, now);
                }
            },
            id::REQ_MARKET_DATA_TYPE => match MarketDataTypeRequest::decode(envelope.body) {
                Ok(body) if (1..=4).contains(&body.market_data_type()) => {
                    self.data_type = body.market_data_type();
                    request.market_data_type = body.market_data_type;
                    Ok(())
                }
                _ => Err(unreadable()),
            },
            id::CANCEL_MKT_DATA => match CancelMarketData::decode(envelope.body) {
                Ok(body) => self.cancel(body.req_id(), shared, now),
                Err(_) => Err(unreadable()),
            },
            id::REQ_CURRENT_TIME => {
                self.replies(shared, now).current_time();
                Ok(())
            }
            id::REQ_CURRENT_TIME_IN_MILLIS => {
                self.replies(shared, now).current_time_in_millis();
                Ok(())
            }
            id::REQ_IDS => {
                let next = shared.config.next_order_id;
                self.replies(shared, now).next_valid_id(next);
                Ok(())
            }
            id::REQ_MANAGED_ACCTS => {
                let accounts = shared.config.accounts.join(",");
                self.replies(shared, now).accounts(&accounts);
                Ok(())
            }
            id::REQ_CONFIG => {
                self.replies(shared, now).configuration(request_id.unwrap_or_default());
                Ok(())
            }
            SET_SERVER_LOG_LEVEL => Ok(()),
            REPLACE_FA | GLOBAL_CANCEL => Err(read_only()),
            _ if row.is_some_and(|row| row.key == Key::Order) => Err(read_only()),
            other => Err(Refusal(REFUSED, format!("Message {other} is not simulated"))),
        };
        self.tell(request, shared, now);
        if let Err(Refusal(code, text)) = answer {
            let request_id = request_id.unwrap_or(-1);
            self.replies(shared, now).error(request_id, code, &text);
        }
    }

    /// By fault, once one line is served: its ticks flow on.
    fn ignores_requests(&self) -> bool {
        self.fault == Some(Fault::IgnoreRequests) && !self.feed.is_idle()
    }

    /// Below version 213: the id is a field of text, or four bytes before one.
    fn on_text(&mut self, body: &[u8], shared: &mut Shared, now: Duration) {
        let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text_id =
            std::str::from_utf8(&body[..digits]).ok().and_then(|digits| digits.parse::<u32>().ok());
        let binary_id = body.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes));
        let message_id = text_id.or(binary_id).unwrap_or_default();
        let wire_id = match message_id {
            text @ 0..=PROTOBUF_ID_OFFSET => text + PROTOBUF_ID_OFFSET,
            protobuf => protobuf,
        };
        let request = Request {
            message_id,
            name: messages::outgoing(wire_id).map_or("UNKNOWN", |row| row.name),
            ..Default::default()
        };
        self.tell(request, shared, now);
        if wire_id == id::REQ_CURRENT_TIME {
            self.replies(shared, now).current_time();
        }
    }

    fn on_market_data(&mut self, body: &MarketDataRequest, shared: &mut Shared, now: Duration) {
        let request_id = body.req_id();
        let refusal = match self.allow(body, shared) {
            Err(refusal) => refusal,
            Ok(subscription) => {
                if subscription.data_type >= 3 {
                    let text = "Live market data is not subscribed. Delayed market data is shown";
                    self.replies(shared, now).error(request_id, 10167, text);
                }
                let delay = shared.config.snapshot_delay;
                if is_snapshot(body) {
                    let (feed, outbox, context) = self.feed_parts(shared, now);
                    feed.snapshot(request_id, subscription, now + delay, context, outbox);
                    return;
                }
                if shared.reserve(subscription.instrument) {
                    let (feed, outbox, context) = self.feed_parts(shared, now);
                    feed.subscribe(request_id, subscription, context, outbox);
                    return;
                }
                Refusal(101, "The limit of market data lines is reached".to_owned())
            }
        };
        let Refusal(code, text) = refusal;
        self.replies(shared, now).error(request_id, code, &text);
    }

    fn allow(&self, body: &MarketDataRequest, shared: &Shared) -> Result<Subscription, Refusal> {
        if self.feed.contains(body.req_id()) {
            return Err(Refusal(102, "Duplicate ticker id".to_owned()));
        }
        let found = body.contract.as_ref().and_then(symbols::find);
        let Some(instrument) = found else {
            let text = "No security definition has been found for the request";
            return Err(Refusal(200, text.to_owned()));
        };
        let symbol = INSTRUMENTS[instrument].symbol;
        let forbidden = shared.config.no_permission.iter().any(|no| no == symbol);
        if forbidden && self.data_type < 3 {
            let text = "Requested market data is not subscribed";
            return Err(Refusal(354, text.to_owned()));
        }
        let mut generic = body.generic_tick_list().split(',');
        Ok(Subscription {
            instrument,
            // Who may have live data gets it, whatever type was asked for.
            data_type: if forbidden { self.data_type } else { 1 },
            rt_volume: generic.any(|tick| tick.trim() == RT_VOLUME),
        })
    }

    fn cancel(
        &mut self,
        request_id: i32,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Refusal> {
        let (feed, _, context) = self.feed_parts(shared, now);
        match feed.cancel(request_id, &context) {
            Cancelled::Line { instrument } => shared.release(instrument),
            Cancelled::Snapshot => {}
            Cancelled::Nothing => {
                let text = format!("There is no ticker with id {request_id}");
                return Err(Refusal(300, text));
            }
        }
        Ok(())
    }

    fn tell(&self, request: Request, shared: &mut Shared, now: Duration) {
        shared.event(Event::Request { connection: self.id, at_ms: millis(now), request });
    }
}

fn unreadable() -> Refusal {
    Refusal(UNREADABLE, "The request cannot be read".to_owned())
}

fn read_only() -> Refusal {
    let text = "The API is in read-only mode: orders are refused";
    Refusal(REFUSED, text.to_owned())
}

fn is_snapshot(body: &MarketDataRequest) -> bool {
    body.snapshot() || body.regulatory_snapshot()
}

fn describe(request: &mut Request, body: &MarketDataRequest) {
    let contract = body.contract.clone().unwrap_or_default();
    request.symbol = Some(contract.symbol.unwrap_or_default());
    request.sec_type = contract.sec_type;
    request.exchange = contract.exchange;
    request.con_id = contract.con_id.filter(|con_id| *con_id != 0);
    request.generic_ticks = Some(body.generic_tick_list().to_owned());
    request.snapshot = Some(is_snapshot(body));
}
