//! What contracts exist: the instruments of `symbols.rs`, and the futures and options that are
//! derived from them.
//!
//! A [`Listing`] names one contract; the [`Directory`] finds it from what a request says, and
//! writes it out in full. Contract ids are of our own and stay the same while the simulator
//! runs. Expirations count from the day on which it started.

use ibouncer_proto::tws::v1::Contract;

use super::answer::Refusal;
use super::calendar::{self, DAY};
use super::symbols::{INSTRUMENTS, Instrument, Sizes};

/// Contract id of the first instrument; the others follow.
const FIRST: i32 = 900_000_001;
/// Of the first later future, and of the first option.
const FIRST_FUTURE: i32 = 901_000_000;
const FIRST_OPTION: i32 = 1_000_000_000;

/// Months of each future, and expirations and strikes of each option chain.
const MONTHS: usize = 4;
const EXPIRATIONS: usize = 8;
const STRIKES: usize = 21;

/// Room that each has among the contract ids.
const MONTH_ROOM: i32 = 16;
const EXPIRATION_ROOM: i32 = 16;
const STRIKE_ROOM: i32 = 64;

/// One contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listing {
    /// Place of the instrument in [`INSTRUMENTS`].
    pub(crate) place: usize,
    pub(crate) term: Term,
}

/// What of the instrument it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Term {
    /// The instrument itself; of a future, its front month.
    Itself,
    /// A later month of a future, from 1.
    Month(u8),
    /// An option, by expiration and strike.
    Option { expiration: u8, strike: u8, call: bool },
}

/// All contracts, as of one day.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Days on which futures and options end.
    months: Vec<i64>,
    expirations: Vec<i64>,
}

impl Directory {
    /// As of the day of a Unix time in seconds.
    pub(crate) fn new(unix: i64) -> Self {
        let today = unix / DAY;
        let (year, month, _) = calendar::civil(today);
        let later =
            (0..24).map(|ahead| (year + (month - 1 + ahead) / 12, (month - 1 + ahead) % 12 + 1));
        let third = later.map(|(year, month)| (month, calendar::third_friday(year, month)));
        let third: Vec<_> = third.filter(|(_, day)| *day > today).collect();
        let quarters = third.iter().filter(|(month, _)| month % 3 == 0).map(|(_, day)| *day);
        let weekly = (today + 1..).filter(|day| calendar::weekday(*day) == 5).take(4);
        let mut expirations: Vec<_> = weekly.collect();
        for (_, day) in &third {
            if expirations.len() < EXPIRATIONS && !expirations.contains(day) {
                expirations.push(*day);
            }
        }
        expirations.sort_unstable();
        Self { months: quarters.take(MONTHS).collect(), expirations }
    }

    /// Every contract that fits. What the request leaves empty fits everything, except that
    /// derived contracts must be asked for by their security type.
    pub(crate) fn matching(&self, wanted: &Contract) -> Vec<Listing> {
        if wanted.con_id() != 0 {
            return self.by_con_id(wanted.con_id()).into_iter().collect();
        }
        let name = match wanted.symbol() {
            "" => wanted.local_symbol(),
            symbol => symbol,
        };
        let mut found = Vec::new();
        for (place, instrument) in INSTRUMENTS.iter().enumerate() {
            let fits = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
            if instrument.symbol != name || !fits(wanted.currency(), instrument.currency) {
                continue;
            }
            if Some(wanted.sec_type()) == option_type(instrument) {
                found.extend(self.options(place).filter(|option| self.fits(*option, wanted)));
            } else if instrument.sec_type == "CFD" && wanted.sec_type() != "CFD" {
                continue;
            } else if fits(wanted.sec_type(), instrument.sec_type) {
                found.extend(self.months(place).filter(|month| self.fits(*month, wanted)));
            }
        }
        found
    }

    /// The one contract that a request for data must name. A future without a month is its front
    /// month.
    pub(crate) fn one(&self, wanted: Option<&Contract>) -> Result<Listing, Refusal> {
        let wanted = wanted.ok_or_else(Refusal::unknown_contract)?;
        let found = self.matching(wanted);
        match found.as_slice() {
            [] => Err(Refusal::unknown_contract()),
            [one] => Ok(*one),
            [front, ..] if wanted.sec_type() == "FUT" && front.term == Term::Itself => Ok(*front),
            [front, .., last] if front.place == last.place && front.term == Term::Itself => {
                Ok(*front)
            }
            _ => Err(Refusal::ambiguous_contract(wanted.symbol())),
        }
    }

    /// The contract of an id.
    pub(crate) fn by_con_id(&self, con_id: i32) -> Option<Listing> {
        let listing = if con_id >= FIRST_OPTION {
            let rest = con_id - FIRST_OPTION;
            let (rest, call) = (rest / 2, rest % 2 == 1);
            let (rest, strike) = (rest / STRIKE_ROOM, (rest % STRIKE_ROOM) as u8);
            let (place, expiration) = (rest / EXPIRATION_ROOM, (rest % EXPIRATION_ROOM) as u8);
            let term = Term::Option { expiration, strike, call };
            Listing { place: place as usize, term }
        } else if con_id >= FIRST_FUTURE {
            let rest = con_id - FIRST_FUTURE;
            let term = Term::Month((rest % MONTH_ROOM) as u8);
            Listing { place: (rest / MONTH_ROOM) as usize, term }
        } else {
            Listing { place: usize::try_from(con_id.checked_sub(FIRST)?).ok()?, term: Term::Itself }
        };
        let instrument = INSTRUMENTS.get(listing.place)?;
        let known = match listing.term {
            Term::Itself => true,
            Term::Month(month) => {
                instrument.sec_type == "FUT" && (1..MONTHS).contains(&usize::from(month))
            }
            Term::Option { expiration, strike, .. } => {
                option_type(instrument).is_some()
                    && usize::from(expiration) < self.expirations.len()
                    && usize::from(strike) < STRIKES
            }
        };
        known.then_some(listing)
    }

    /// The front month and the later ones; of what is no future, itself.
    pub(crate) fn months(&self, place: usize) -> impl Iterator<Item = Listing> {
        let later = if INSTRUMENTS[place].sec_type == "FUT" { self.months.len() } else { 1 };
        let later = (1..later).map(move |month| Listing { place, term: Term::Month(month as u8) });
        std::iter::once(Listing { place, term: Term::Itself }).chain(later)
    }

    /// The whole chain of an instrument: by expiration, strike, then call and put.
    pub(crate) fn options(&self, place: usize) -> impl Iterator<Item = Listing> {
        let some = usize::from(option_type(&INSTRUMENTS[place]).is_some());
        (0..self.expirations.len() * some).flat_map(move |expiration| {
            (0..STRIKES * 2).map(move |rest| {
                let (strike, call) = ((rest / 2) as u8, rest % 2 == 0);
                let term = Term::Option { expiration: expiration as u8, strike, call };
                Listing { place, term }
            })
        })
    }

    /// Days on which the options end.
    pub(crate) fn expirations(&self) -> &[i64] {
        &self.expirations
    }

    /// The day on which a contract ends, if it does.
    pub(crate) fn last_day(&self, listing: Listing) -> Option<i64> {
        match listing.term {
            Term::Itself if listing.instrument().sec_type == "FUT" => self.months.first().copied(),
            Term::Itself => None,
            Term::Month(month) => self.months.get(usize::from(month)).copied(),
            Term::Option { expiration, .. } => {
                self.expirations.get(usize::from(expiration)).copied()
            }
        }
    }

    /// The contract in full, as Gateway writes it.
    pub(crate) fn contract(&self, listing: Listing, exchange: &str) -> Contract {
        let instrument = listing.instrument();
        let last_day = self.last_day(listing);
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Contract {
            con_id: Some(listing.con_id()),
            symbol: text(instrument.symbol),
            sec_type: text(listing.sec_type()),
            last_trade_date_or_contract_month: last_day.map(calendar::date),
            strike: listing.strike(),
            right: listing.is_call().map(|call| if call { "C" } else { "P" }.to_owned()),
            multiplier: listing.multiplier(),
            exchange: text(exchange),
            primary_exch: text(listing.primary_exchange()),
            currency: text(instrument.currency),
            local_symbol: Some(self.local_symbol(listing)),
            trading_class: text(listing.trading_class()),
            ..Default::default()
        }
    }

    fn fits(&self, listing: Listing, wanted: &Contract) -> bool {
        let month = wanted.last_trade_date_or_contract_month();
        let ends = self.last_day(listing).map(calendar::date).unwrap_or_default();
        let right = match listing.is_call() {
            Some(call) => wanted.right.as_deref().is_none_or(|right| match right {
                "C" | "CALL" => call,
                "P" | "PUT" => !call,
                other => other.is_empty() || other == "?" || other == "0",
            }),
            None => true,
        };
        let strike = match (listing.strike(), wanted.strike()) {
            (_, 0.0) | (None, _) => true,
            (Some(ours), theirs) => (ours - theirs).abs() < 1e-9 || theirs > 1e300,
        };
        ends.starts_with(month) && right && strike
    }

    fn local_symbol(&self, listing: Listing) -> String {
        let instrument = listing.instrument();
        let symbol = instrument.symbol;
        match listing.term {
            Term::Itself | Term::Month(_) if instrument.sec_type == "FUT" => {
                let (year, month, _) = calendar::civil(self.last_day(listing).unwrap_or_default());
                let letter = b"FGHJKMNQUVXZ"[(month - 1) as usize] as char;
                format!("{symbol}{letter}{}", year % 10)
            }
            Term::Option { call, .. } => {
                let ends = self.last_day(listing).map(calendar::date).unwrap_or_default();
                let right = if call { 'C' } else { 'P' };
                let strike = (listing.strike().unwrap_or_default() * 1000.0).round() as i64;
                format!("{symbol:<6}{}{right}{strike:08}", &ends[2..])
            }
            _ if instrument.sec_type == "CASH" => format!("{symbol}.{}", instrument.currency),
            _ => symbol.to_owned(),
        }
    }
}

impl Listing {
    pub(crate) fn instrument(self) -> &'static Instrument {
        &INSTRUMENTS[self.place]
    }

    pub(crate) fn con_id(self) -> i32 {
        let place = self.place as i32;
        match self.term {
            Term::Itself => FIRST + place,
            Term::Month(month) => FIRST_FUTURE + place * MONTH_ROOM + i32::from(month),
            Term::Option { expiration, strike, call } => {
                let expiration = place * EXPIRATION_ROOM + i32::from(expiration);
                let strike = expiration * STRIKE_ROOM + i32::from(strike);
                FIRST_OPTION + strike * 2 + i32::from(call)
            }
        }
    }

    /// What an option is on.
    pub(crate) fn underlying(self) -> Listing {
        Listing { place: self.place, term: Term::Itself }
    }

    pub(crate) fn is_option(self) -> bool {
        matches!(self.term, Term::Option { .. })
    }

    pub(crate) fn is_call(self) -> Option<bool> {
        match self.term {
            Term::Option { call, .. } => Some(call),
            _ => None,
        }
    }

    pub(crate) fn sec_type(self) -> &'static str {
        match self.term {
            Term::Option { .. } => option_type(self.instrument()).unwrap_or("OPT"),
            _ => self.instrument().sec_type,
        }
    }

    pub(crate) fn strike(self) -> Option<f64> {
        match self.term {
            Term::Option { strike, .. } => Some(strikes(self.place)[usize::from(strike)]),
            _ => None,
        }
    }

    pub(crate) fn multiplier(self) -> Option<f64> {
        let future = match self.instrument().symbol {
            "ES" => 50.0,
            "NQ" => 20.0,
            "YM" => 5.0,
            "GC" => 100.0,
            _ => 1000.0,
        };
        match (self.term, self.instrument().sec_type) {
            (_, "FUT") => Some(future),
            (Term::Option { .. }, _) => Some(100.0),
            _ => None,
        }
    }

    /// What one unit of it is worth at a price of 1.
    pub(crate) fn value_factor(self) -> f64 {
        match self.sec_type() {
            "BOND" => 10.0,
            _ => self.multiplier().unwrap_or(1.0),
        }
    }

    pub(crate) fn trading_class(self) -> &'static str {
        match (self.instrument().symbol, self.sec_type()) {
            (_, "STK") => "NMS",
            ("SPX", "OPT") => "SPXW",
            (symbol, _) => symbol,
        }
    }

    /// Where it is routed to when nothing else is said.
    pub(crate) fn exchange(self) -> &'static str {
        match self.sec_type() {
            "CASH" => "IDEALPRO",
            "IND" => "CBOE",
            "CRYPTO" => "PAXOS",
            "FUT" | "FOP" => self.primary_exchange(),
            _ => "SMART",
        }
    }

    /// Where it is listed; empty for what is listed nowhere.
    pub(crate) fn primary_exchange(self) -> &'static str {
        match (self.instrument().sec_type, self.instrument().symbol) {
            ("STK", "SPY" | "IWM" | "DIA" | "VTI" | "GLD" | "XLF" | "XLE" | "EEM" | "HYG") => {
                "ARCA"
            }
            ("STK", _) if self.place % 3 == 1 => "NYSE",
            ("STK", _) => "NASDAQ",
            ("FUT", "ES" | "NQ") => "CME",
            ("FUT", "CL") => "NYMEX",
            ("FUT", "GC") => "COMEX",
            ("FUT", _) => "CBOT",
            _ => "",
        }
    }

    /// As an instrument of its own, whose price starts at `price`.
    pub(crate) fn as_instrument(self, price: f64) -> Instrument {
        let base = self.instrument();
        match self.term {
            Term::Option { .. } => Instrument {
                sec_type: self.sec_type(),
                price,
                steps: 100,
                sizes: Sizes { unit: 1, most: 200 },
                bbo_exchange: "a70001",
                ..*base
            },
            _ => Instrument { price, ..*base },
        }
    }
}

/// The strikes of an instrument's options, upwards: about half a quarter of its price each way.
pub(crate) fn strikes(place: usize) -> Vec<f64> {
    const STEPS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0];
    let price = INSTRUMENTS[place].price;
    let wanted = price * 0.015;
    let step = STEPS.iter().copied().find(|step| *step >= wanted).unwrap_or(500.0);
    let middle = (price / step).round();
    let half = STRIKES as i64 / 2;
    (-half..=half).map(|away| (middle + away as f64) * step).collect()
}

/// The type of the options on an instrument, if there are any.
fn option_type(instrument: &Instrument) -> Option<&'static str> {
    match (instrument.sec_type, instrument.symbol) {
        (_, "NOPERM" | "AMBIG" | "VIX" | "YM") => None,
        ("STK" | "IND", _) => Some("OPT"),
        ("FUT", _) => Some("FOP"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
