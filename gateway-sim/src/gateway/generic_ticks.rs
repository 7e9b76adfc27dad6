//! What a market data line gets beyond quotes and trades: the ticks of its generic tick list, and
//! the computations of an option.
//!
//! They come with the image and then every `generic_interval`. Real-time volume (233) is not
//! here: it belongs to trades, so `line.rs` makes it.

use std::time::Duration;

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{TickGeneric, TickPrice, TickSize, TickString};

use super::answer::Refusal;
use super::connection::Connection;
use super::listings::Listing;
use super::streams::Key;
use super::{Shared, calendar, volatility};

/// News is a message of its own.
const NEWS: u32 = 292;

/// Bid, ask, last and model computation; delayed ones have other numbers.
const COMPUTATIONS: [i32; 4] = [10, 11, 12, 13];
const DELAYED: i32 = 70;

/// What a line gets.
#[derive(Debug, Clone)]
pub(super) struct Generics {
    listing: Listing,
    /// Its walk.
    instrument: usize,
    wanted: Vec<u32>,
    delayed: bool,
}

/// One tick.
#[derive(Debug, PartialEq)]
enum Tick {
    Price(i32, f64),
    Size(i32, u64),
    Generic(i32, f64),
    Text(i32, String),
}

impl Generics {
    /// Reads a generic tick list; `None` if there is nothing in it, and nothing to compute.
    pub(super) fn read(
        list: &str,
        listing: Listing,
        instrument: usize,
        delayed: bool,
    ) -> Result<Option<Self>, Refusal> {
        let mut wanted = Vec::new();
        for item in list.split(',').map(str::trim) {
            // A provider of news may stand behind a colon. Numbers that mean nothing do nothing.
            let number = item.split(':').next().unwrap_or_default();
            match number.parse::<u32>() {
                Ok(number) => wanted.push(number),
                _ if item.is_empty() || item == "mdoff" => {}
                _ => return Err(Refusal::invalid("the generic tick list is not valid")),
            }
        }
        let any = !wanted.is_empty() || listing.is_option();
        Ok(any.then_some(Self { listing, instrument, wanted, delayed }))
    }
}

impl Connection {
    /// All ticks of a line's list, as of now.
    pub(super) fn step_generics(
        &mut self,
        (_, request_id): Key,
        generics: &Generics,
        shared: &Shared,
        now: Duration,
    ) {
        let req_id = Some(request_id);
        for number in &generics.wanted {
            if *number == NEWS {
                self.say_news_tick(request_id, generics.listing, shared.unix_millis(now));
            }
            for tick in shared.generic(*number, generics, now) {
                match tick {
                    Tick::Price(kind, price) => {
                        let (size, attr_mask) = (Some("0".to_owned()), Some(0));
                        let (tick_type, price) = (Some(kind), Some(price));
                        let message = TickPrice { req_id, tick_type, price, size, attr_mask };
                        self.say(id::TICK_PRICE, &message);
                    }
                    Tick::Size(kind, size) => {
                        let (tick_type, size) = (Some(kind), Some(size.to_string()));
                        self.say(id::TICK_SIZE, &TickSize { req_id, tick_type, size });
                    }
                    Tick::Generic(kind, value) => {
                        let (tick_type, value) = (Some(kind), Some(value));
                        self.say(id::TICK_GENERIC, &TickGeneric { req_id, tick_type, value });
                    }
                    Tick::Text(kind, value) => {
                        let (tick_type, value) = (Some(kind), Some(value));
                        self.say(id::TICK_STRING, &TickString { req_id, tick_type, value });
                    }
                }
            }
        }
        if generics.listing.is_option() {
            self.say_computations(request_id, generics, shared, now);
        }
    }

    fn say_computations(
        &mut self,
        request_id: i32,
        generics: &Generics,
        shared: &Shared,
        now: Duration,
    ) {
        let walk = &shared.market.walks[generics.listing.place];
        let option = shared.option(generics.listing, walk.price(walk.last), now);
        let middle = volatility(generics.listing);
        let prices = &shared.market.walks[generics.instrument];
        let of_price = |steps| option.implied_volatility(prices.price(steps)).unwrap_or(middle);
        let volatilities =
            [of_price(prices.bid), of_price(prices.ask), of_price(prices.last), middle];
        for (kind, volatility) in COMPUTATIONS.into_iter().zip(volatilities) {
            let kind = if generics.delayed { kind + DELAYED } else { kind };
            self.say_option(request_id, kind, &option, volatility);
        }
    }
}

impl Shared {
    /// The ticks that one number of the list stands for.
    fn generic(&self, number: u32, generics: &Generics, now: Duration) -> Vec<Tick> {
        use Tick::{Generic, Price, Size, Text};
        let walk = &self.market.walks[generics.instrument];
        let unix = self.unix_seconds(now);
        let series = self.series(generics.listing);
        let random = |most: u64| series.random(unix, u64::from(number)) % most;
        let step = |price: f64| series.on_step(price);
        let last = walk.price(walk.last);
        let volume = walk.volume;
        match number {
            100 => vec![Size(29, 40_000 + random(900)), Size(30, 30_000 + random(900))],
            101 => vec![Size(27, 1_250_300), Size(28, 1_070_150)],
            104 => vec![Generic(23, volatility(generics.listing) * 0.93)],
            105 => vec![Size(87, 510_000)],
            106 => vec![Generic(24, volatility(generics.listing))],
            162 => vec![Generic(31, 1.25)],
            165 => vec![
                Price(15, step(last * 0.91)),
                Price(16, step(last * 1.07)),
                Price(17, step(last * 0.86)),
                Price(18, step(last * 1.13)),
                Price(19, step(last * 0.78)),
                Price(20, step(last * 1.21)),
                Size(21, 540_000),
            ],
            221 => vec![Price(37, last)],
            225 => vec![
                Size(34, 1000 + random(500)),
                Price(35, last),
                Size(36, random(300)),
                Size(61, random(200)),
            ],
            232 | 619 => vec![Price(79, last)],
            236 => vec![Generic(46, 3.0), Size(89, 12_000_000 + random(1000))],
            258 => {
                let ratios = "TTMNPMGN=24.3;NLOW=164.08;TTMPRCFPS=21.1;CURRENCY=USD";
                vec![Text(47, ratios.to_owned())]
            }
            293 => vec![Generic(54, 1000.0 + unix.rem_euclid(50_000) as f64)],
            294 => vec![Generic(55, 60.0 + random(40) as f64)],
            295 => vec![Generic(56, 9000.0 + random(900) as f64)],
            318 => vec![Price(57, walk.price(walk.close))],
            375 => {
                let value = format!(
                    "{last};{};{};{volume};{last};true",
                    walk.last_size,
                    self.unix_millis(now)
                );
                vec![Text(77, value)]
            }
            411 => vec![Generic(58, volatility(generics.listing) * 1.04)],
            456 => {
                let next = calendar::date(unix / calendar::DAY + 30);
                vec![Text(59, format!("0.96,1.00,{next},0.25"))]
            }
            460 => vec![Generic(60, 1.0)],
            576 => vec![Price(94, step(last * 0.999)), Price(95, step(last * 1.001))],
            577 => vec![Price(96, last)],
            578 => vec![Price(92, walk.price(walk.close)), Price(93, walk.price(walk.close))],
            586 => vec![Price(101, last), Price(102, last)],
            588 => vec![Size(86, 2_100_000 + random(1000))],
            595 => vec![
                Size(63, 1000 + random(100)),
                Size(64, 2000 + random(100)),
                Size(65, 3000 + random(100)),
            ],
            614 => vec![Price(98, step(last * 1.01)), Price(99, step(last * 0.99))],
            623 => vec![Price(97, last)],
            _ => Vec::new(),
        }
    }
}
