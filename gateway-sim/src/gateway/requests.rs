//! Requests after START_API: one row of a table each, and how those that are refused are answered.
//!
//! Every request is answered, in the file of its family; display groups are refused as by a Gateway
//! that has no windows, and changes of the advisor's groups as by one in read-only mode. Below
//! server version 213 requests are only reported.

use std::time::Duration;

use ibouncer_proto::tws::PROTOBUF_ID_OFFSET;
use ibouncer_proto::tws::envelope::{Direction, Envelope};
use ibouncer_proto::tws::messages::{self, id};
use prost::Message;

use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::ids::ask;
use super::streams::Family;
use super::{Shared, describe, millis};
use crate::events::{Event, Request};
use crate::fault::Fault;

impl Connection {
    pub(super) fn on_frame(&mut self, body: &[u8], shared: &mut Shared, now: Duration) {
        let Some((envelope, request_id)) = self.report_frame(body, shared, now) else {
            return;
        };
        if self.ignores_requests() {
            return;
        }
        if let Err(refusal) = self.answer(&envelope, request_id, shared, now) {
            self.refuse(request_id, refusal, shared, now);
        }
    }

    /// Tells of a request, and what there is to be answered: nothing if it is text.
    pub(super) fn report_frame<'a>(
        &mut self,
        body: &'a [u8],
        shared: &mut Shared,
        now: Duration,
    ) -> Option<(Envelope<'a>, Option<i32>)> {
        shared.sums.requests += 1;
        if self.replies(shared, now).is_text() {
            self.on_text(body, shared, now);
            return None;
        }
        let envelope = Envelope::parse(body).ok()?;
        let request_id = envelope.correlation_id(Direction::ToGateway).unwrap_or_default();
        let mut request = Request {
            message_id: envelope.message_id,
            name: messages::outgoing(envelope.message_id).map_or("UNKNOWN", |row| row.name),
            request_id,
            ..Default::default()
        };
        describe::describe(&mut request, &envelope);
        self.tell(request, shared, now);
        Some((envelope, request_id))
    }

    #[rustfmt::skip]
    fn answer(
        &mut self,
        envelope: &Envelope<'_>,
        request_id: Option<i32>,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let body = envelope.body;
        match envelope.message_id {
            id::REQ_MKT_DATA => self.serve(Self::on_market_data, body, shared, now),
            id::CANCEL_MKT_DATA => self.serve(Self::on_cancel_market_data, body, shared, now),
            id::REQ_MARKET_DATA_TYPE => self.serve(Self::on_market_data_type, body, shared, now),

            ask::REQ_CONTRACT_DATA => self.serve(Self::on_contract_data, body, shared, now),
            ask::REQ_MATCHING_SYMBOLS => self.serve(Self::on_matching_symbols, body, shared, now),
            ask::REQ_SEC_DEF_OPT_PARAMS => self.serve(Self::on_option_parameters, body, shared, now),
            ask::REQ_MARKET_RULE => self.serve(Self::on_market_rule, body, shared, now),
            ask::REQ_SMART_COMPONENTS => self.serve(Self::on_smart_components, body, shared, now),
            ask::REQ_MKT_DEPTH_EXCHANGES => self.serve(Self::on_depth_exchanges, body, shared, now),

            ask::REQ_MKT_DEPTH => self.serve(Self::on_depth, body, shared, now),
            ask::CANCEL_MKT_DEPTH => self.serve(Self::on_cancel_depth, body, shared, now),
            ask::REQ_TICK_BY_TICK_DATA => self.serve(Self::on_tick_by_tick, body, shared, now),
            ask::CANCEL_TICK_BY_TICK_DATA => self.cancel(Family::TickByTick, request_id, 300, shared),
            ask::REQ_REAL_TIME_BARS => self.serve(Self::on_real_time_bars, body, shared, now),
            ask::CANCEL_REAL_TIME_BARS => self.cancel(Family::RealTimeBars, request_id, 300, shared),

            ask::REQ_HISTORICAL_DATA => self.serve(Self::on_historical_data, body, shared, now),
            ask::CANCEL_HISTORICAL_DATA => self.serve(Self::on_cancel_historical_data, body, shared, now),
            ask::REQ_HEAD_TIMESTAMP => self.serve(Self::on_head_timestamp, body, shared, now),
            ask::CANCEL_HEAD_TIMESTAMP => self.cancel(Family::HeadTimestamp, request_id, 366, shared),
            ask::REQ_HISTOGRAM_DATA => self.serve(Self::on_histogram, body, shared, now),
            ask::CANCEL_HISTOGRAM_DATA => self.cancel(Family::Histogram, request_id, 366, shared),
            ask::REQ_HISTORICAL_TICKS => self.serve(Self::on_historical_ticks, body, shared, now),
            ask::CANCEL_HISTORICAL_TICKS => self.cancel(Family::HistoricalTicks, request_id, 366, shared),

            ask::REQ_ACCT_DATA => self.serve(Self::on_account_data, body, shared, now),
            ask::REQ_ACCOUNT_SUMMARY => self.serve(Self::on_account_summary, body, shared, now),
            ask::CANCEL_ACCOUNT_SUMMARY => self.cancel(Family::AccountSummary, request_id, 300, shared),
            ask::REQ_ACCOUNT_UPDATES_MULTI => self.serve(Self::on_account_updates_multi, body, shared, now),
            ask::CANCEL_ACCOUNT_UPDATES_MULTI => self.cancel(Family::AccountMulti, request_id, 300, shared),
            ask::REQ_POSITIONS => self.serve(Self::on_positions, body, shared, now),
            ask::CANCEL_POSITIONS => self.serve(Self::on_cancel_positions, body, shared, now),
            ask::REQ_POSITIONS_MULTI => self.serve(Self::on_positions_multi, body, shared, now),
            ask::CANCEL_POSITIONS_MULTI => self.cancel(Family::PositionsMulti, request_id, 300, shared),
            ask::REQ_PNL => self.serve(Self::on_pnl, body, shared, now),
            ask::CANCEL_PNL => self.cancel(Family::Pnl, request_id, 10185, shared),
            ask::REQ_PNL_SINGLE => self.serve(Self::on_pnl_single, body, shared, now),
            ask::CANCEL_PNL_SINGLE => self.cancel(Family::PnlSingle, request_id, 10185, shared),

            ask::PLACE_ORDER => self.serve(Self::on_place_order, body, shared, now),
            ask::CANCEL_ORDER => self.serve(Self::on_cancel_order, body, shared, now),
            ask::REQ_GLOBAL_CANCEL => self.serve(Self::on_global_cancel, body, shared, now),
            ask::EXERCISE_OPTIONS => self.serve(Self::on_exercise_options, body, shared, now),
            ask::REQ_OPEN_ORDERS => self.serve(Self::on_open_orders, body, shared, now),
            ask::REQ_ALL_OPEN_ORDERS => self.serve(Self::on_all_open_orders, body, shared, now),
            ask::REQ_AUTO_OPEN_ORDERS => self.serve(Self::on_auto_open_orders, body, shared, now),
            ask::REQ_COMPLETED_ORDERS => self.serve(Self::on_completed_orders, body, shared, now),
            ask::REQ_EXECUTIONS => self.serve(Self::on_executions, body, shared, now),

            ask::REQ_NEWS_PROVIDERS => self.serve(Self::on_news_providers, body, shared, now),
            ask::REQ_NEWS_ARTICLE => self.serve(Self::on_news_article, body, shared, now),
            ask::REQ_HISTORICAL_NEWS => self.serve(Self::on_historical_news, body, shared, now),
            ask::REQ_NEWS_BULLETINS => self.serve(Self::on_bulletins, body, shared, now),
            ask::CANCEL_NEWS_BULLETINS => self.serve(Self::on_cancel_bulletins, body, shared, now),

            ask::REQ_SCANNER_PARAMETERS => self.serve(Self::on_scanner_parameters, body, shared, now),
            ask::REQ_SCANNER_SUBSCRIPTION => self.serve(Self::on_scanner, body, shared, now),
            ask::CANCEL_SCANNER_SUBSCRIPTION => self.cancel(Family::Scanner, request_id, 365, shared),

            ask::REQ_WSH_META_DATA => self.serve(Self::on_wsh_meta, body, shared, now),
            ask::CANCEL_WSH_META_DATA => self.cancel(Family::WshMeta, request_id, 300, shared),
            ask::REQ_WSH_EVENT_DATA => self.serve(Self::on_wsh_events, body, shared, now),
            ask::CANCEL_WSH_EVENT_DATA => self.cancel(Family::WshEvents, request_id, 300, shared),

            ask::REQ_CALC_IMPLIED_VOLAT => self.serve(Self::on_implied_volatility, body, shared, now),
            ask::REQ_CALC_OPTION_PRICE => self.serve(Self::on_option_price, body, shared, now),
            // They were answered at once, so there is nothing left to cancel.
            ask::CANCEL_CALC_IMPLIED_VOLAT | ask::CANCEL_CALC_OPTION_PRICE => Ok(()),

            ask::REQ_FA => self.serve(Self::on_fa, body, shared, now),
            ask::REQ_SOFT_DOLLAR_TIERS => self.serve(Self::on_soft_dollar_tiers, body, shared, now),
            ask::REQ_FAMILY_CODES => self.serve(Self::on_family_codes, body, shared, now),
            ask::REQ_USER_INFO => self.serve(Self::on_user_info, body, shared, now),

            id::REQ_CURRENT_TIME => self.say_with(shared, now, |replies| replies.current_time()),
            id::REQ_CURRENT_TIME_IN_MILLIS => {
                self.say_with(shared, now, |replies| replies.current_time_in_millis())
            }
            id::REQ_IDS => {
                let next = shared.book.next_order_id(self.client_id.unwrap_or_default());
                self.say_with(shared, now, |replies| replies.next_valid_id(next))
            }
            id::REQ_MANAGED_ACCTS => {
                let accounts = shared.config.accounts.join(",");
                self.say_with(shared, now, |replies| replies.accounts(&accounts))
            }
            id::REQ_CONFIG => {
                let request_id = request_id.unwrap_or_default();
                let read_only = shared.config.read_only;
                self.say_with(shared, now, |replies| replies.configuration(request_id, read_only))
            }
            ask::SET_SERVER_LOGLEVEL | ask::CANCEL_CONTRACT_DATA => Ok(()),
            ask::REPLACE_FA => Err(Refusal::read_only()),
            other => Err(Refusal::invalid(&format!("message {other} is not simulated"))),
        }
    }

    fn serve<M: Message + Default>(
        &mut self,
        on: fn(&mut Self, M, &mut Shared, Duration) -> Answer,
        body: &[u8],
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        on(self, M::decode(body).map_err(|_| Refusal::unreadable())?, shared, now)
    }

    /// Says an error for a request, and counts it.
    pub(super) fn refuse(
        &mut self,
        request_id: Option<i32>,
        refusal: Refusal,
        shared: &mut Shared,
        now: Duration,
    ) {
        let Refusal { code, text, limit } = refusal;
        *shared.sums.errors.entry(code).or_default() += 1;
        if let Some(limit) = limit {
            *shared.sums.limits.entry(limit).or_default() += 1;
            let (connection, at_ms, code) = (self.id, millis(now), Some(code));
            shared.event(Event::Limit { connection, at_ms, limit, code, request_id });
        }
        self.replies(shared, now).error(request_id.unwrap_or(-1), code, &text);
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

    fn tell(&self, request: Request, shared: &mut Shared, now: Duration) {
        shared.event(Event::Request { connection: self.id, at_ms: millis(now), request });
    }
}
