//! Wall Street Horizon: what there is, and events of companies. Each one at a time, and the first
//! before the second.

use std::time::Duration;

use ibouncer_proto::tws::v1::{WshEventData, WshEventDataRequest, WshMetaData, WshMetaDataRequest};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use crate::limits::Limit;

const META: &str = r#"{"meta_data":{"event_types":[{"tag":"wshe_ed","name":"Earnings Dates"},{"tag":"wshe_div","name":"Dividends"},{"tag":"wshe_bod","name":"Board of Directors Meetings"}],"filters":["watchlist","portfolio","country"]}}"#;

/// Events in one answer.
const MOST: i32 = 100;

impl Connection {
    pub(super) fn on_wsh_meta(
        &mut self,
        body: WshMetaDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        self.open_wsh(Family::WshMeta, 10283, shared)?;
        let due = Some(now + shared.config.history_delay);
        self.streams.open((Family::WshMeta, body.req_id()), due, Stream::WshMeta);
        Ok(())
    }

    pub(super) fn on_wsh_events(
        &mut self,
        body: WshEventDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        if !self.knows_wsh {
            let text = "Failed to request WSH event data: meta data must be requested first";
            return Err(Refusal::new(10279, text));
        }
        self.open_wsh(Family::WshEvents, 10281, shared)?;
        let due = Some(now + shared.config.history_delay);
        let key = (Family::WshEvents, body.req_id());
        self.streams.open(key, due, Stream::WshEvents(Box::new(body)));
        Ok(())
    }

    pub(super) fn step_wsh_meta(&mut self, (_, request_id): Key) {
        self.knows_wsh = true;
        let message = WshMetaData { req_id: Some(request_id), data_json: Some(META.to_owned()) };
        self.say(tell::WSH_META_DATA, &message);
    }

    pub(super) fn step_wsh_events(
        &mut self,
        (_, request_id): Key,
        body: &WshEventDataRequest,
        shared: &Shared,
        now: Duration,
    ) {
        let listing = shared.directory.by_con_id(body.con_id());
        let symbol = listing.map_or("AAPL", |listing| listing.instrument().symbol);
        let today = shared.unix_seconds(now) / DAY;
        let events = (0..body.total_limit().clamp(1, MOST).min(4)).map(|number| {
            let day = calendar::date(today + 7 + 91 * i64::from(number));
            format!(
                "{{\"event_type\":\"wshe_ed\",\"conid\":{},\"symbol\":\"{symbol}\",\"data\":\
                 {{\"earnings_date\":\"{day}\",\"time_of_day\":\"AFTER MARKET\"}}}}",
                body.con_id()
            )
        });
        let json = format!("[{}]", events.collect::<Vec<_>>().join(","));
        let message = WshEventData { req_id: Some(request_id), data_json: Some(json) };
        self.say(tell::WSH_EVENT_DATA, &message);
    }

    fn open_wsh(&self, family: Family, code: i32, shared: &Shared) -> Answer {
        if self.streams.count(family) >= shared.config.limits.of(Limit::Wsh) as usize {
            let text = "Duplicate WSH request: only one at a time is allowed";
            return Err(Refusal::limit(Limit::Wsh, code, text));
        }
        Ok(())
    }
}
