//! What is known about each symbol of `ibouncer quotes`: pure, events in and entries out.

use std::collections::BTreeMap;

use ibouncer_client::api::MarkKind;
use ibouncer_client::{
    Error, EventKind, EventRef, Malformed, Retry, SubscriptionId, Tick, ticks, tws,
};
use serde_json::{Value, json};

use super::entry::{Entry, Update};
use crate::exit::Exit;
use crate::explain::Wish;
use crate::output::escapes::decoded;
use crate::output::number::{decimal, set};

/// The subscriptions of one run.
#[derive(Debug, Default)]
pub(super) struct Board {
    wish: Wish,
    symbols: BTreeMap<SubscriptionId, Symbol>,
}

#[derive(Debug, Default)]
struct Symbol {
    name: String,
    subscribed: bool,
    stale: bool,
    ticks: u64,
    ended: bool,
    /// It ended by an error that comes again, however often it is asked for.
    for_good: bool,
    wish: Wish,
    /// The newest error of Gateway that was shown; an end because of it is not shown again.
    told: Option<i32>,
}

impl Board {
    /// One without symbols, of quotes such as these.
    pub(super) fn of(wish: Wish) -> Self {
        Self { wish, ..Self::default() }
    }

    /// Adds a subscription that was sent.
    pub(super) fn add(&mut self, id: SubscriptionId, name: String) {
        let symbol = Symbol { name, wish: self.wish, ..Symbol::default() };
        self.symbols.insert(id, symbol);
    }

    /// True as long as anything can still come.
    pub(super) fn is_live(&self) -> bool {
        self.symbols.values().any(|symbol| !symbol.ended)
    }

    /// Good if any symbol gave a tick. What every symbol was refused for good will be so again.
    pub(super) fn exit(&self) -> Exit {
        if self.symbols.values().any(|symbol| symbol.ticks > 0) {
            return Exit::Good;
        }
        let refused = self.symbols.values().all(|symbol| symbol.for_good);
        if refused { Exit::Usage } else { Exit::NotReady }
    }

    /// The symbols that gave no tick yet and have not ended.
    pub(super) fn silent(&self) -> impl Iterator<Item = Silence<'_>> {
        self.symbols.values().filter(|symbol| symbol.ticks == 0 && !symbol.ended).map(|symbol| {
            Silence { symbol: &symbol.name, subscribed: symbol.subscribed, stale: symbol.stale }
        })
    }

    /// Takes one event; answers with what is to be shown.
    pub(super) fn take(&mut self, event: &EventRef<'_>) -> Result<Vec<Entry>, Malformed> {
        let Some(symbol) = self.symbols.get_mut(&event.subscription_id) else {
            return Ok(Vec::new());
        };
        if let Some(tick) = event.tick()? {
            symbol.ticks += 1;
            return Ok(vec![Entry::Update(symbol.update(event, &tick))]);
        }
        if let Some(error) = event.gateway_error()? {
            symbol.told = Some(error.error_code());
            return Ok(vec![Entry::Trouble {
                symbol: symbol.name.clone(),
                code: "GATEWAY_ERROR".to_owned(),
                message: decoded(error.error_msg()),
                gateway_code: Some(error.error_code()),
                wish: symbol.wish,
            }]);
        }
        if let Some(mark) = event.mark()? {
            return Ok(symbol.mark(mark.kind(), mark.because, mark.error.map(Error::from)));
        }
        if event.kind() == EventKind::MarketDataType {
            let feed: tws::MarketDataType = event.decode()?;
            let value = json!(name_of_feed(feed.market_data_type()));
            let update = symbol.value(event, "feed".to_owned(), value, None);
            return Ok(vec![Entry::Update(update)]);
        }
        Ok(Vec::new())
    }
}

impl Symbol {
    fn update(&self, event: &EventRef<'_>, tick: &Tick<'_>) -> Update {
        let (value, size) = match *tick {
            Tick::Price { price, size, tick_type, .. } => {
                let sized = ticks::size_of_price(tick_type).is_some() && !size.is_empty();
                // IB writes "no such price" as -1, with size 0.
                let none = price == -1.0 && sized && decimal(size) == json!(0);
                let value = if none { Value::Null } else { json!(set(Some(price))) };
                (value, sized.then(|| decimal(size)))
            }
            Tick::Size { size, .. } => (decimal(size), None),
            Tick::Generic { value, .. } => (json!(set(Some(value))), None),
            Tick::Text { value, .. } => (json!(value), None),
        };
        self.value(event, tick.name().into_owned(), value, size)
    }

    fn value(
        &self,
        event: &EventRef<'_>,
        field: String,
        value: Value,
        size: Option<Value>,
    ) -> Update {
        Update {
            symbol: self.name.clone(),
            field,
            value,
            size,
            sequence: event.sequence,
            replayed: event.replayed,
            skipped: event.skipped,
        }
    }

    fn mark(&mut self, kind: MarkKind, because: String, error: Option<Error>) -> Vec<Entry> {
        match kind {
            MarkKind::Subscribed => self.subscribed = true,
            MarkKind::Ended => {
                self.ended = true;
                self.for_good = error.as_ref().is_some_and(|error| error.retry() == Retry::Never);
            }
            MarkKind::Stale => self.stale = true,
            MarkKind::Resumed => self.stale = false,
            MarkKind::Refused
            | MarkKind::Queued
            | MarkKind::Reset
            | MarkKind::Gap
            | MarkKind::Unspecified => {}
        }
        let mut entries = Vec::new();
        if let Some(error) = error {
            let told = error.gateway_code().is_some() && error.gateway_code() == self.told;
            if !told {
                entries.push(Entry::Trouble {
                    symbol: self.name.clone(),
                    code: error.code().to_owned(),
                    message: decoded(error.message()),
                    gateway_code: error.gateway_code(),
                    wish: self.wish,
                });
            }
        }
        let name = kind.as_str_name();
        entries.push(Entry::Mark {
            symbol: self.name.clone(),
            mark: name.strip_prefix("MARK_KIND_").unwrap_or(name).to_owned(),
            because,
        });
        entries
    }
}

/// A symbol that gave no tick.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Silence<'a> {
    symbol: &'a str,
    subscribed: bool,
    stale: bool,
}

impl Silence<'_> {
    pub(super) fn text(&self) -> String {
        format!("{}: {}", self.symbol, self.words())
    }

    pub(super) fn json(&self) -> Value {
        json!({ "symbol": self.symbol, "remark": self.words() })
    }

    fn words(&self) -> &'static str {
        match (self.subscribed, self.stale) {
            (false, _) => "Not subscribed yet. `ibouncer status` says what it waits for.",
            (true, true) => "STALE, no tick yet. `ibouncer status` says what it waits for.",
            (true, false) => "Subscribed; no tick yet. Market closed or no data?",
        }
    }
}

fn name_of_feed(number: i32) -> String {
    match number {
        1 => "live".to_owned(),
        2 => "frozen".to_owned(),
        3 => "delayed".to_owned(),
        4 => "delayed-frozen".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use ibouncer_client::EventBatch;
    use ibouncer_client::api::{self, MarketDataEvent, market_data_event::Body};
    use ibouncer_client::prost::Message as _;

    use super::*;

    fn board() -> Board {
        let mut board = Board::default();
        board.add(SubscriptionId(1), "AAPL".into());
        board
    }

    fn take(board: &mut Board, body: Body) -> Vec<Entry> {
        let event = MarketDataEvent {
            subscription_id: 1,
            sequence: 7,
            skipped: 2,
            replayed: false,
            body: Some(body),
        };
        let answer = api::StreamMarketDataResponse { events: vec![event] };
        let batch = EventBatch::new(answer.encode_to_vec().into());
        let event = batch.events().next().unwrap().unwrap();
        board.take(&event).unwrap()
    }

    fn price(tick_type: i32, price: f64, size: &str) -> Body {
        Body::TickPrice(tws::TickPrice {
            tick_type: Some(tick_type),
            price: Some(price),
            size: Some(size.into()),
            ..Default::default()
        })
    }

    fn mark(kind: MarkKind, error: Option<api::Error>) -> Body {
        Body::Mark(api::StreamMark {
            kind: kind.into(),
            because: "why".into(),
            epoch: 1,
            error,
            ..Default::default()
        })
    }

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_373_727_123)
    }

    #[test]
    fn a_price_is_one_line_with_its_size() {
        let mut board = board();
        let entries = take(&mut board, price(1, 189.12, "300"));
        assert_eq!(entries[0].text(noon()), "14:02:07.123Z  AAPL  bid 189.12 x 300  (2 skipped)");
        let json = entries[0].json();
        assert_eq!(
            json,
            json!({
                "symbol": "AAPL", "field": "bid", "value": 189.12, "size": 300,
                "sequence": 7, "replayed": false, "skipped": 2,
            })
        );
        assert_eq!(board.exit(), Exit::Good);
    }

    #[test]
    fn a_price_that_does_not_exist_is_not_minus_one() {
        let mut board = board();
        let entries = take(&mut board, price(2, -1.0, "0"));
        assert_eq!(entries[0].json()["value"], Value::Null);
        assert!(entries[0].text(noon()).contains("ask none"));
        let spread = take(&mut board, price(4, -1.0, "5"));
        assert_eq!(spread[0].json()["value"], -1.0, "a spread may trade below zero");
        let unset = take(&mut board, price(4, f64::MAX, "2147483647"));
        assert_eq!(
            (&unset[0].json()["value"], &unset[0].json()["size"]),
            (&Value::Null, &Value::Null)
        );
        let close = take(&mut board, price(9, 188.0, "0"));
        assert_eq!(close[0].text(noon()), "14:02:07.123Z  AAPL  close 188  (2 skipped)");
    }

    #[test]
    fn an_error_of_gateway_is_told_once() {
        let mut board = board();
        let message = Body::Error(tws::ErrorMessage {
            error_code: Some(200),
            error_msg: Some("No security definition".into()),
            ..Default::default()
        });
        let entries = take(&mut board, message);
        assert!(entries[0].is_trouble());
        let text = entries[0].text(noon());
        assert!(text.starts_with("AAPL: Gateway: No security definition (200)"), "{text}");
        let error = api::Error {
            code: "GATEWAY_ERROR".into(),
            message: "No security definition".into(),
            gateway_code: 200,
            ..Default::default()
        };
        let entries = take(&mut board, mark(MarkKind::Ended, Some(error)));
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].json(), json!({"symbol": "AAPL", "mark": "ENDED", "because": "why"}));
        assert!(!board.is_live());
    }

    #[test]
    fn what_every_symbol_is_refused_for_good_is_told_apart_from_what_may_work_later() {
        let refused = |retry: api::ErrorRetry| {
            let error = api::Error { retry: retry.into(), ..Default::default() };
            mark(MarkKind::Ended, Some(error))
        };
        let mut board = board();
        assert_eq!(board.exit(), Exit::NotReady, "no answer yet");
        take(&mut board, refused(api::ErrorRetry::Never));
        assert_eq!(board.exit(), Exit::Usage);
        board.add(SubscriptionId(2), "MSFT".into());
        assert_eq!(board.exit(), Exit::NotReady, "the other one may still come");
        let mut board = self::board();
        take(&mut board, refused(api::ErrorRetry::After));
        assert_eq!(board.exit(), Exit::NotReady);
        let mut board = self::board();
        take(&mut board, price(1, 189.12, "300"));
        take(&mut board, refused(api::ErrorRetry::Never));
        assert_eq!(board.exit(), Exit::Good, "something came");
    }

    #[test]
    fn delayed_quotes_that_are_refused_are_not_answered_with_the_flag_that_was_given() {
        let mut board = Board::of(Wish::DelayedQuotes);
        board.add(SubscriptionId(1), "MSFT".into());
        let error = tws::ErrorMessage { error_code: Some(10168), ..Default::default() };
        let entries = take(&mut board, Body::Error(error));
        for shown in [entries[0].text(noon()), entries[0].json().to_string()] {
            assert!(shown.contains("Client Portal") && !shown.contains("--feed"), "{shown}");
        }
    }

    #[test]
    fn an_end_by_an_error_of_the_broker_is_told() {
        let mut board = board();
        let error = api::Error {
            code: "LINES_EXHAUSTED".into(),
            message: "all lines are taken".into(),
            ..Default::default()
        };
        let entries = take(&mut board, mark(MarkKind::Ended, Some(error)));
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].text(noon()), "AAPL: all lines are taken (LINES_EXHAUSTED)");
        assert_eq!(entries[1].text(noon()), "14:02:07.123Z  AAPL  ENDED  why");
    }

    #[test]
    fn silence_is_told_apart_from_not_being_subscribed() {
        let mut board = board();
        let words = |board: &Board| board.silent().map(|one| one.text()).collect::<Vec<_>>();
        assert!(words(&board)[0].contains("Not subscribed yet"));
        take(&mut board, mark(MarkKind::Subscribed, None));
        let closed = ["AAPL: Subscribed; no tick yet. Market closed or no data?"];
        assert_eq!(words(&board), closed);
        take(&mut board, mark(MarkKind::Stale, None));
        assert!(words(&board)[0].contains("ibouncer status"), "no session, or IB is lost");
        take(&mut board, mark(MarkKind::Resumed, None));
        assert_eq!(words(&board), closed);
        take(&mut board, price(1, 1.0, "1"));
        assert!(words(&board).is_empty());
    }
}
