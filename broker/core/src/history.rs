//! Requests for the past: what they must be, and which of Gateway's pacing rules they fall under.
//!
//! Source: protocol fact sheet, section 9.

use ibouncer_proto::tws::v1 as tws;

use crate::checks;
use crate::contracts::Instrument;
use crate::error::{self, Error};
use crate::pacing::gates::{Gate, History};

/// Bar sizes, as Gateway spells them, with their length in seconds.
const BAR_SIZES: &[(&str, u32)] = &[
    ("1 secs", 1),
    ("5 secs", 5),
    ("10 secs", 10),
    ("15 secs", 15),
    ("30 secs", 30),
    ("1 min", 60),
    ("2 mins", 120),
    ("3 mins", 180),
    ("5 mins", 300),
    ("10 mins", 600),
    ("15 mins", 900),
    ("20 mins", 1_200),
    ("30 mins", 1_800),
    ("1 hour", 3_600),
    ("2 hours", 7_200),
    ("3 hours", 10_800),
    ("4 hours", 14_400),
    ("8 hours", 28_800),
    ("1 day", 86_400),
    ("1 week", 604_800),
    ("1 month", 2_592_000),
];

/// Bars up to this length are paced strictly.
const SMALL: u32 = 30;

/// What bars can show.
const WHAT: &[&str] = &[
    "TRADES",
    "MIDPOINT",
    "BID",
    "ASK",
    "BID_ASK",
    "ADJUSTED_LAST",
    "HISTORICAL_VOLATILITY",
    "OPTION_IMPLIED_VOLATILITY",
    "FEE_RATE",
    "YIELD_BID",
    "YIELD_ASK",
    "YIELD_BID_ASK",
    "YIELD_LAST",
    "SCHEDULE",
    "AGGTRADES",
];

/// Bars: the request in one form, its contract, and its rule.
pub fn bars(
    request: tws::HistoricalDataRequest,
) -> Result<(tws::HistoricalDataRequest, tws::Contract, Gate), Error> {
    let contract = checks::plain(checks::contract(request.contract.as_ref())?);
    let what = request.what_to_show.clone().unwrap_or_else(|| "TRADES".into());
    checks::one_of("what_to_show", &what, WHAT)?;
    let size = request.bar_size_setting();
    let Some((_, seconds)) = BAR_SIZES.iter().find(|(name, _)| *name == size) else {
        let names: Vec<_> = BAR_SIZES.iter().map(|(name, _)| *name).collect();
        return Err(error::invalid(format!(
            "request.bar_size_setting is {size:?}: use one of {}",
            names.join(", ")
        )));
    };
    check_duration(request.duration())?;
    checks::text("end_date_time", request.end_date_time())?;
    let format = request.format_date.unwrap_or(1);
    if !(1..=2).contains(&format) {
        return Err(error::invalid(format!("request.format_date is {format}: use 1 or 2")));
    }
    let body = tws::HistoricalDataRequest {
        req_id: None,
        contract: Some(contract.clone()),
        what_to_show: Some(what.clone()),
        use_rth: Some(request.use_rth()),
        format_date: Some(format),
        end_date_time: Some(request.end_date_time().to_owned()),
        ..request
    };
    let rest = tws::HistoricalDataRequest { contract: None, ..body.clone() };
    let gate = gate(&contract, &what, *seconds <= SMALL, &rest);
    Ok((body, contract, gate))
}

/// Ticks.
pub fn ticks(
    request: tws::HistoricalTicksRequest,
) -> Result<(tws::HistoricalTicksRequest, tws::Contract, Gate), Error> {
    let contract = checks::plain(checks::contract(request.contract.as_ref())?);
    let what = request.what_to_show().to_owned();
    checks::one_of("what_to_show", &what, &["TRADES", "BID_ASK", "MIDPOINT"])?;
    let number = request.number_of_ticks();
    if !(1..=1_000).contains(&number) {
        return Err(error::invalid(format!("request.number_of_ticks is {number}: use 1 to 1000")));
    }
    let (start, end) = (request.start_date_time().to_owned(), request.end_date_time().to_owned());
    checks::text("start_date_time", &start)?;
    checks::text("end_date_time", &end)?;
    if start.is_empty() == end.is_empty() {
        return Err(error::invalid(
            "set one of request.start_date_time and request.end_date_time, not both",
        ));
    }
    let body = tws::HistoricalTicksRequest {
        req_id: None,
        contract: Some(contract.clone()),
        start_date_time: (!start.is_empty()).then_some(start),
        end_date_time: (!end.is_empty()).then_some(end),
        use_rth: Some(request.use_rth()),
        ignore_size: Some(request.ignore_size()),
        ..request
    };
    let rest = tws::HistoricalTicksRequest { contract: None, ..body.clone() };
    let gate = gate(&contract, &what, true, &rest);
    Ok((body, contract, gate))
}

/// When history begins.
pub fn head_timestamp(
    request: tws::HeadTimestampRequest,
) -> Result<(tws::HeadTimestampRequest, tws::Contract, Gate), Error> {
    let contract = checks::plain(checks::contract(request.contract.as_ref())?);
    let what = request.what_to_show.clone().unwrap_or_else(|| "TRADES".into());
    checks::one_of("what_to_show", &what, WHAT)?;
    let body = tws::HeadTimestampRequest {
        req_id: None,
        contract: Some(contract.clone()),
        what_to_show: Some(what.clone()),
        use_rth: Some(request.use_rth()),
        format_date: Some(request.format_date.unwrap_or(1)),
    };
    let rest = tws::HeadTimestampRequest { contract: None, ..body.clone() };
    let gate = gate(&contract, &what, true, &rest);
    Ok((body, contract, gate))
}

/// Volume by price.
pub fn histogram(
    request: tws::HistogramDataRequest,
) -> Result<(tws::HistogramDataRequest, tws::Contract, Gate), Error> {
    let contract = checks::plain(checks::contract(request.contract.as_ref())?);
    checks::needed("time_period", request.time_period(), "3 days")?;
    let body = tws::HistogramDataRequest {
        req_id: None,
        contract: Some(contract.clone()),
        use_rth: Some(request.use_rth()),
        ..request
    };
    let rest = tws::HistogramDataRequest { contract: None, ..body.clone() };
    let gate = gate(&contract, "HISTOGRAM", false, &rest);
    Ok((body, contract, gate))
}

/// `rest` is the request without its contract.
fn gate(contract: &tws::Contract, what: &str, small: bool, rest: &impl prost::Message) -> Gate {
    // Without an exchange Gateway takes SMART.
    let exchange = contract.exchange.as_deref().unwrap_or("SMART");
    let mut identity = rest.encode_to_vec();
    identity.extend_from_slice(exchange.as_bytes());
    Gate::History(History {
        small,
        instrument: Instrument::new(contract),
        identity,
        kind: format!("{exchange} {what}"),
        weight: if what == "BID_ASK" { 2 } else { 1 },
    })
}

/// "10 D": a number, a space, and one of S, D, W, M, Y.
fn check_duration(duration: &str) -> Result<(), Error> {
    let good = duration.split_once(' ').is_some_and(|(number, unit)| {
        number.parse::<u32>().is_ok_and(|number| number > 0)
            && ["S", "D", "W", "M", "Y"].contains(&unit)
    });
    if good {
        return Ok(());
    }
    Err(error::invalid(format!(
        "request.duration is {duration:?}: a number, a space and S, D, W, M or Y, for example \"1 D\""
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: &str, duration: &str, what: &str) -> tws::HistoricalDataRequest {
        tws::HistoricalDataRequest {
            contract: Some(tws::Contract { symbol: Some("AAPL".into()), ..Default::default() }),
            bar_size_setting: Some(size.into()),
            duration: Some(duration.into()),
            what_to_show: Some(what.into()),
            ..Default::default()
        }
    }

    #[test]
    fn bars_fall_under_the_rules_of_their_size_and_kind() {
        let rule = |size, what| match bars(request(size, "1 D", what)).unwrap().2 {
            Gate::History(history) => (history.small, history.weight),
            other => panic!("{other:?}"),
        };
        assert_eq!(rule("30 secs", "TRADES"), (true, 1));
        assert_eq!(rule("1 min", "TRADES"), (false, 1));
        assert_eq!(rule("5 secs", "BID_ASK"), (true, 2));
    }

    #[test]
    fn bars_that_gateway_would_refuse_are_refused_here() {
        for (size, duration, what, word) in [
            ("1 minute", "1 D", "TRADES", "bar_size_setting"),
            ("1 min", "1D", "TRADES", "duration"),
            ("1 min", "0 D", "TRADES", "duration"),
            ("1 min", "1 D", "TRADE", "what_to_show"),
        ] {
            let error = bars(request(size, duration, what)).unwrap_err();
            assert!(error.message.contains(word), "{}", error.message);
        }
    }
}
