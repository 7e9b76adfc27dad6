//! What an order may come to pay or take: of all fields that name a price, those that count in its
//! type, and those of the type that it may be adjusted to.
//!
//! A price that Gateway computes of something that cannot be followed here is none: then the order
//! cannot be measured. Source of the types and their fields: protocol fact sheet, section 4.1, and
//! IB's list of order types.

use ibouncer_proto::tws::v1 as tws;

use crate::orders::body::figures::set;

/// What decides at which price it is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The market does, at once or after a trigger.
    Market,
    /// A limit that stays.
    Limit,
    /// The market, after a stop that follows it.
    Trail,
    /// A limit that follows such a stop.
    TrailLimit,
    /// An offset from the quote.
    Pegged,
    /// A model, another instrument, or what this build does not know.
    Other,
}

impl Kind {
    fn of(name: &str) -> Self {
        match &name.to_ascii_uppercase()[..] {
            "MKT" | "STP" | "MOC" | "MOO" | "MIT" | "MTL" | "MKT PRT" | "STP PRT" | "BOX TOP" => {
                Self::Market
            }
            "LMT" | "LOC" | "LIT" | "STP LMT" | "STPLMT" => Self::Limit,
            "TRAIL" | "TRAIL MIT" => Self::Trail,
            "REL" | "PASSV REL" | "PEG MKT" | "PEG MID" | "PEG PRIM" | "PEG BEST" | "MIDPRICE"
            | "SNAP MKT" | "SNAP MID" | "SNAP PRIM" | "RPI" => Self::Pegged,
            name if name.starts_with("TRAIL") => Self::TrailLimit,
            _ => Self::Other,
        }
    }

    fn trails(self) -> bool {
        matches!(self, Self::Trail | Self::TrailLimit)
    }
}

/// The prices of one order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prices<'a> {
    order: &'a tws::Order,
    kind: Kind,
    /// What it becomes after a trigger, if something.
    adjusted: Option<Kind>,
}

impl<'a> Prices<'a> {
    pub(super) fn of(order: &'a tws::Order) -> Self {
        let adjusted = Some(order.adjusted_order_type())
            .filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("None"));
        Self { order, kind: Kind::of(order.order_type()), adjusted: adjusted.map(Kind::of) }
    }

    /// Why Gateway alone knows its prices, if that is so.
    pub(super) fn hidden(&self, contract: &tws::Contract) -> Option<String> {
        let order = self.order;
        let given = |number: Option<f64>| set(number).is_some_and(|number| number != 0.0);
        let counts = |number: i32| !matches!(number, 0 | i32::MAX);
        if given(order.scale_price_increment)
            || given(order.scale_price_adjust_value)
            || given(order.scale_profit_offset)
            || counts(order.scale_init_level_size())
            || !order.scale_table().is_empty()
        {
            return Some("Gateway makes orders at several prices of it (scale)".into());
        }
        if contract.combo_legs.iter().any(|leg| given(leg.per_leg_price)) {
            return Some("its legs have prices of their own".into());
        }
        if !matches!(self.kind, Kind::Pegged | Kind::Other) {
            return None;
        }
        let offset = order.compete_against_best_offset.filter(|offset| offset.is_finite());
        let found = [
            ("percent_offset", order.percent_offset),
            ("volatility", order.volatility),
            ("starting_price", order.starting_price),
            ("stock_ref_price", order.stock_ref_price),
            ("delta", order.delta),
            ("stock_range_lower", order.stock_range_lower),
            ("stock_range_upper", order.stock_range_upper),
            ("pegged_change_amount", order.pegged_change_amount),
            ("reference_change_amount", order.reference_change_amount),
            // Up to the midpoint is no further than the quote.
            ("compete_against_best_offset", offset),
            ("mid_offset_at_whole", order.mid_offset_at_whole),
            ("mid_offset_at_half", order.mid_offset_at_half),
        ]
        .into_iter()
        .find(|(_, number)| given(*number));
        let computed = found.map(|(field, _)| format!("Gateway computes its price of {field}"));
        let alone = || format!("Gateway alone prices an order of type {:?}", order.order_type());
        computed.or_else(|| (self.kind == Kind::Other).then(alone))
    }

    /// The price that it pays at worst, whatever the market does.
    pub(super) fn bound(&self) -> Option<f64> {
        let bounded = self.buys() && self.kind == Kind::Limit && self.adjusted.is_none();
        let limit = set(self.order.lmt_price).filter(|_| bounded)?;
        Some(limit.abs() + self.discretion())
    }

    /// The highest price of it, at this quote.
    pub(super) fn highest(&self, quote: f64) -> f64 {
        let order = self.order;
        let named = [set(order.lmt_price), set(order.aux_price)];
        // Gateway tells one of orders that do not trail, too.
        let trailed = self.trails().then_some([set(order.trail_stop_price), None]);
        let adjusted = self
            .adjusted
            .map(|_| [set(order.adjusted_stop_price), set(order.adjusted_stop_limit_price)]);
        let most = [Some(named), trailed, adjusted]
            .into_iter()
            .flatten()
            .flatten()
            .flatten()
            .fold(quote, |most, price| most.max(price.abs()));
        // A sale goes no higher for what it gives way.
        if !self.buys() {
            return most;
        }
        let offset = if self.follows() { self.offset() } else { 0.0 };
        most + self.distance(self.kind, quote)
            + self.adjusted_distance(quote)
            + offset
            + self.discretion()
    }

    /// Every limit that it may have, at this quote; an error says which one cannot be told.
    pub(super) fn limits(&self, quote: f64) -> Result<Vec<f64>, &'static str> {
        let order = self.order;
        let limit = set(order.lmt_price);
        let mut found = Vec::new();
        match self.kind {
            // Gateway tells such an order with a limit of 0, and it may come back so.
            Kind::Market | Kind::Trail => {}
            Kind::Limit => found.push(limit.ok_or("it names no limit price")?),
            Kind::TrailLimit => {
                let followed = set(order.lmt_price_offset).map(|_| {
                    let stop = set(order.trail_stop_price);
                    let stop =
                        stop.unwrap_or_else(|| self.worse(quote, self.distance(self.kind, quote)));
                    self.worse(stop, self.offset())
                });
                if limit.is_none() && followed.is_none() {
                    return Err("it names neither a limit price nor its offset from the stop");
                }
                found.extend(limit.into_iter().chain(followed));
            }
            Kind::Pegged | Kind::Other => {
                found.extend(limit);
                let offset = self.distance(self.kind, quote);
                found.extend((offset != 0.0).then(|| self.worse(quote, offset)));
            }
        }
        for price in &mut found {
            *price = self.worse(*price, self.discretion());
        }
        match self.adjusted {
            None | Some(Kind::Market | Kind::Trail) => {}
            Some(Kind::Limit) => {
                let limit = set(order.adjusted_stop_limit_price);
                found.push(limit.ok_or("it names no limit price after its adjustment")?);
            }
            Some(Kind::TrailLimit) => {
                found.extend(set(order.adjusted_stop_limit_price));
                let stop = set(order.adjusted_stop_price);
                let stop = stop.ok_or("it names no stop price after its adjustment")?;
                found.push(self.worse(stop, self.offset()));
            }
            Some(Kind::Pegged | Kind::Other) => return Err("what it is adjusted to is not known"),
        }
        Ok(found)
    }

    fn buys(&self) -> bool {
        self.order.action() == "BUY"
    }

    fn trails(&self) -> bool {
        self.kind.trails() || self.adjusted.is_some_and(Kind::trails)
    }

    /// Does a limit follow a stop?
    fn follows(&self) -> bool {
        self.kind == Kind::TrailLimit || self.adjusted == Some(Kind::TrailLimit)
    }

    /// So much worse for whoever placed it.
    fn worse(&self, price: f64, by: f64) -> f64 {
        if self.buys() { price + by } else { price - by }
    }

    /// It may pay so much more, or take so much less, without showing it.
    fn discretion(&self) -> f64 {
        set(self.order.discretionary_amt).unwrap_or(0.0).abs()
    }

    fn offset(&self) -> f64 {
        set(self.order.lmt_price_offset).unwrap_or(0.0).abs()
    }

    /// How far from the market it may be.
    fn distance(&self, kind: Kind, quote: f64) -> f64 {
        let amount = set(self.order.aux_price).unwrap_or(0.0).abs();
        match kind {
            Kind::Market | Kind::Limit => 0.0,
            Kind::Pegged | Kind::Other => amount,
            Kind::Trail | Kind::TrailLimit => {
                let percent = set(self.order.trailing_percent).unwrap_or(0.0).abs();
                amount.max(quote * percent / 100.0)
            }
        }
    }

    fn adjusted_distance(&self, quote: f64) -> f64 {
        let amount = set(self.order.adjusted_trailing_amount).unwrap_or(0.0).abs();
        match self.adjusted {
            None => 0.0,
            Some(_) if self.order.adjustable_trailing_unit() == 0 => amount,
            Some(_) => quote * amount / 100.0,
        }
    }
}
