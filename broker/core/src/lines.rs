//! Market-data lines: identical requests of any number of clients share one at Gateway.
//!
//! Owns, per line: the request, where it stands upstream, its last values for late joiners, and
//! who listens. Does not send: the hub does, through [`crate::pacing`]. Lines outlive workers;
//! their upstream ids do not.

use std::collections::BTreeMap;

use ibouncer_proto::tws::v1::MarketDataRequest;
use prost::Message as _;

use crate::error::{self, Error};
use crate::ids::{ClientId, LineId, RequestId};
use crate::queue::{is_replaceable, tick_type};

/// What makes two requests the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineKey {
    contract: Vec<u8>,
    generic_ticks: Vec<String>,
    options: BTreeMap<String, String>,
    feed: i32,
}

/// Where a line stands at Gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {
    /// No session, or not asked for in this one yet.
    Stale,
    /// The request waits for its turn to leave.
    Queued(RequestId),
    /// It left; nothing came yet.
    Requested(RequestId),
    /// Data came.
    Live(RequestId),
}

impl Upstream {
    /// The request id, if there is one.
    pub const fn request(self) -> Option<RequestId> {
        match self {
            Self::Stale => None,
            Self::Queued(id) | Self::Requested(id) | Self::Live(id) => Some(id),
        }
    }

    /// Name in ListLines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Queued(_) => "queued",
            Self::Requested(_) => "requested",
            Self::Live(_) => "live",
        }
    }
}

/// One subscription that listens to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber {
    /// Slot of its stream.
    pub stream: u32,
    /// The client's number for it.
    pub subscription: u32,
    /// It was told STALE and not yet RESUMED.
    pub told_stale: bool,
}

/// A last value.
#[derive(Debug, Clone)]
pub struct Cached {
    /// Field of `MarketDataEvent.body`.
    pub field: u8,
    kind: u32,
    /// Its number on the line.
    pub sequence: u64,
    /// Gateway's bytes.
    pub body: Vec<u8>,
}

/// One line.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub id: LineId,
    /// The request, without a request id.
    pub request: MarketDataRequest,
    /// Market data type, 1 to 4.
    pub feed: i32,
    /// The client whose turn it takes in the queue to Gateway.
    pub opened_by: ClientId,
    /// Where it stands.
    pub upstream: Upstream,
    /// Events so far.
    pub sequence: u64,
    /// Who listens.
    pub subscribers: Vec<Subscriber>,
    cache: Vec<Cached>,
    key: LineKey,
}

impl Line {
    /// Keeps a value for late joiners.
    #[inline]
    pub fn remember(&mut self, field: u8, body: &[u8]) {
        if !is_replaceable(field) {
            return;
        }
        let kind = tick_type(body);
        let found =
            self.cache.iter_mut().find(|cached| cached.kind == kind && cached.field == field);
        match found {
            Some(cached) => {
                cached.sequence = self.sequence;
                cached.body.clear();
                cached.body.extend_from_slice(body);
            }
            None => self.cache.push(Cached {
                field,
                kind,
                sequence: self.sequence,
                body: body.to_vec(),
            }),
        }
    }

    /// Last values in order of arrival.
    pub fn last_values(&self) -> Vec<&Cached> {
        let mut values: Vec<_> = self.cache.iter().collect();
        values.sort_by_key(|cached| cached.sequence);
        values
    }

    /// Symbol, or what stands for it.
    pub fn label(&self) -> String {
        label(&self.request)
    }
}

/// All lines.
#[derive(Debug)]
pub struct Lines {
    slots: Vec<Option<Line>>,
    by_key: BTreeMap<LineKey, u32>,
    opened: u64,
    limit: u32,
}

impl Lines {
    /// None, and room for `limit`.
    pub fn new(limit: u32) -> Self {
        Self { slots: Vec::new(), by_key: BTreeMap::new(), opened: 0, limit }
    }

    /// The slot of the line for this request: an old one, or a new one.
    pub fn open(
        &mut self,
        client: ClientId,
        request: MarketDataRequest,
        feed: i32,
    ) -> Result<u32, LinesFull> {
        let key = key_of(&request, feed);
        if let Some(slot) = self.by_key.get(&key) {
            return Ok(*slot);
        }
        if self.used() >= self.limit {
            return Err(LinesFull);
        }
        self.opened += 1;
        let line = Line {
            id: LineId(self.opened),
            request,
            feed,
            opened_by: client,
            upstream: Upstream::Stale,
            sequence: 0,
            subscribers: Vec::new(),
            cache: Vec::new(),
            key: key.clone(),
        };
        let slot = match self.slots.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        self.slots[slot] = Some(line);
        self.by_key.insert(key, slot as u32);
        Ok(slot as u32)
    }

    /// The line in a slot.
    #[inline]
    pub fn get(&self, slot: u32) -> Option<&Line> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The line in a slot.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Line> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Frees a slot.
    pub fn close(&mut self, slot: u32) -> Option<Line> {
        let line = self.slots.get_mut(slot as usize)?.take()?;
        self.by_key.remove(&line.key);
        Some(line)
    }

    /// All lines with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Line)> {
        self.slots.iter().enumerate().filter_map(|(slot, line)| Some((slot as u32, line.as_ref()?)))
    }

    /// Slots of all lines.
    pub fn slots(&self) -> Vec<u32> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    /// Lines that are open.
    pub fn used(&self) -> u32 {
        self.by_key.len() as u32
    }

    /// Another limit from now on; lines above it stay.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Lines that may be open.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Every line is found by its key, and nothing else is.
    pub fn check_invariants(&self) {
        assert_eq!(self.by_key.len(), self.iter().count());
        for (key, slot) in &self.by_key {
            let line = self.get(*slot).expect("a key leads to a line");
            assert_eq!(&line.key, key);
            assert!(!line.subscribers.is_empty(), "{} has no listener", line.id);
        }
    }
}

/// Every line is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinesFull;

/// What a request must be before it is sent to Gateway.
pub fn validate(request: &MarketDataRequest) -> Result<(), Error> {
    let Some(contract) = &request.contract else {
        return Err(error::invalid("request.contract is missing: name what to subscribe to"));
    };
    let named = contract.con_id() != 0
        || !contract.symbol().is_empty()
        || !contract.local_symbol().is_empty()
        || !contract.sec_id().is_empty();
    if !named {
        return Err(error::invalid(
            "request.contract names nothing: set symbol, local_symbol, con_id or sec_id",
        ));
    }
    if request.regulatory_snapshot() {
        return Err(error::invalid(
            "request.regulatory_snapshot costs money at each call and is not offered",
        ));
    }
    let text = [contract.symbol(), contract.exchange(), contract.currency(), contract.sec_type()];
    if let Some(bad) = text.into_iter().find(|text| !is_wire_text(text)) {
        return Err(error::invalid(format!("request.contract holds {bad:?}: use printable ASCII")));
    }
    if !is_wire_text(request.generic_tick_list()) {
        return Err(error::invalid("request.generic_tick_list: use numbers and commas"));
    }
    Ok(())
}

/// Symbol, or what stands for it.
pub fn label(request: &MarketDataRequest) -> String {
    let Some(contract) = &request.contract else {
        return String::new();
    };
    if !contract.local_symbol().is_empty() {
        contract.local_symbol().to_owned()
    } else if contract.sec_type() == "CASH" {
        format!("{}.{}", contract.symbol(), contract.currency())
    } else if !contract.symbol().is_empty() {
        contract.symbol().to_owned()
    } else {
        format!("conId {}", contract.con_id())
    }
}

fn is_wire_text(text: &str) -> bool {
    text.len() <= 200 && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn key_of(request: &MarketDataRequest, feed: i32) -> LineKey {
    let mut contract = request.contract.clone().unwrap_or_default();
    // Absent and empty mean the same to Gateway.
    for text in [
        &mut contract.symbol,
        &mut contract.sec_type,
        &mut contract.last_trade_date_or_contract_month,
        &mut contract.right,
        &mut contract.exchange,
        &mut contract.primary_exch,
        &mut contract.currency,
        &mut contract.local_symbol,
        &mut contract.trading_class,
        &mut contract.sec_id_type,
        &mut contract.sec_id,
    ] {
        text.take_if(|text| text.is_empty());
    }
    contract.con_id.take_if(|id| *id == 0);
    contract.strike.take_if(|strike| *strike == 0.0);
    contract.multiplier.take_if(|multiplier| *multiplier == 0.0);
    contract.include_expired.take_if(|include| !*include);
    let mut generic_ticks: Vec<_> = request
        .generic_tick_list()
        .split(',')
        .map(str::trim)
        .filter(|tick| !tick.is_empty())
        .map(str::to_owned)
        .collect();
    generic_ticks.sort();
    generic_ticks.dedup();
    LineKey {
        contract: contract.encode_to_vec(),
        generic_ticks,
        options: request.market_data_options.clone(),
        feed,
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1::Contract;

    use super::*;

    fn request(symbol: &str, generic: &str) -> MarketDataRequest {
        MarketDataRequest {
            contract: Some(Contract { symbol: Some(symbol.into()), ..Default::default() }),
            generic_tick_list: Some(generic.into()),
            ..Default::default()
        }
    }

    #[test]
    fn requests_that_mean_the_same_share_a_line() {
        let mut lines = Lines::new(10);
        let first = lines.open(ClientId(1), request("AAPL", "233,106"), 1).unwrap();
        let mut same = request("AAPL", "106, 233,233");
        same.contract.as_mut().unwrap().exchange = Some(String::new());
        same.contract.as_mut().unwrap().con_id = Some(0);
        assert_eq!(lines.open(ClientId(2), same, 1), Ok(first));
        assert_ne!(lines.open(ClientId(2), request("AAPL", "233"), 1), Ok(first));
        assert_ne!(lines.open(ClientId(2), request("AAPL", "233,106"), 3), Ok(first));
        assert_ne!(lines.open(ClientId(2), request("MSFT", "233,106"), 1), Ok(first));
        assert_eq!(lines.used(), 4);
    }

    #[test]
    fn the_limit_holds_and_a_closed_slot_is_free() {
        let mut lines = Lines::new(1);
        let slot = lines.open(ClientId(1), request("AAPL", ""), 1).unwrap();
        assert_eq!(lines.open(ClientId(1), request("MSFT", ""), 1), Err(LinesFull));
        lines.close(slot);
        assert_eq!(lines.open(ClientId(1), request("MSFT", ""), 1), Ok(slot));
    }

    #[test]
    fn requests_that_name_nothing_or_cost_money_are_refused() {
        assert!(validate(&request("AAPL", "")).is_ok());
        assert!(validate(&MarketDataRequest::default()).is_err());
        assert!(validate(&request("", "")).is_err());
        assert!(validate(&request("AA\0PL", "")).is_err());
        let costly = MarketDataRequest { regulatory_snapshot: Some(true), ..request("AAPL", "") };
        assert!(validate(&costly).unwrap_err().message.contains("money"));
    }
}
