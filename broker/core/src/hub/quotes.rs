//! The newest price of a contract, from a line that is open anyhow: for limits of orders.

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::checks;
use crate::contracts::Contracts;
use crate::fields::field;
use crate::lines::{Line, Lines, Upstream, kind};

/// Ticks of a quote: bid, ask, last; and the same, delayed.
const QUOTES: [(i32, i32, i32); 2] = [(1, 2, 4), (66, 67, 68)];

/// Middle of bid and ask, or else the last price, of a line that has data in this session: what is
/// stale says nothing of where the market is.
pub(super) fn quote(lines: &Lines, contracts: &Contracts, contract: &tws::Contract) -> Option<f64> {
    let wanted = checks::plain(contract);
    let is_quote = |line: &Line| {
        *line.kind() == kind::MARKET_DATA
            && matches!(line.upstream, Upstream::Live(_))
            && !line.stale
    };
    lines.iter().filter(|(_, line)| is_quote(line)).find_map(|(_, line)| {
        let asked = tws::MarketDataRequest::decode(&line.wanted.body[..]).ok()?;
        is_same(&asked.contract?, &wanted, contracts).then_some(())?;
        let ticks: Vec<_> = line
            .memory
            .replay(None, line.sequence)
            .iter()
            .filter(|one| one.field == field::TICK_PRICE && Some(one.sequence) > line.gap_at)
            .filter_map(|one| tws::TickPrice::decode(&one.body[..]).ok())
            .collect();
        let price = |tick| {
            let found = ticks.iter().find(|one| one.tick_type() == tick && one.price() > 0.0);
            found.map(tws::TickPrice::price)
        };
        QUOTES.iter().find_map(|(bid, ask, last)| match (price(*bid), price(*ask)) {
            (Some(bid), Some(ask)) => Some((bid + ask) / 2.0),
            _ => price(*last),
        })
    })
}

/// Would Gateway take both for the same? The words beside a conId may be anything.
fn is_same(one: &tws::Contract, other: &tws::Contract, contracts: &Contracts) -> bool {
    if one.con_id() != 0 && other.con_id() != 0 {
        // All combinations in a currency have the same number.
        return one.con_id() == other.con_id() && one.combo_legs == other.combo_legs;
    }
    let (Some(one), Some(other)) = (contracts.meant(one), contracts.meant(other)) else {
        return false;
    };
    one.symbol() == other.symbol()
        && one.sec_type() == other.sec_type()
        && one.currency() == other.currency()
        && one.last_trade_date_or_contract_month() == other.last_trade_date_or_contract_month()
        && one.strike() == other.strike()
        && one.right() == other.right()
        // The words of a combination are free.
        && one.combo_legs == other.combo_legs
}
