//! The types of orders: which the simulator executes by itself, and which Gateway takes and the
//! simulator only tells of.
//!
//! Names are those of TWS. What has none of them is refused before there is an order.

/// What makes an order executable, and at which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Market,
    Limit,
    Stop,
    StopLimit,
    Trail,
    TrailLimit,
    /// Market if touched.
    Touched,
    LimitTouched,
    /// One of [`TOLD`]: it rests until it is told to be filled.
    Told,
    /// The exercise of an option: executed only when told.
    Exercise,
}

/// Types whose prices follow something that is not simulated: auctions, pegs, models, protection,
/// combinations of two orders.
const TOLD: &[&str] = &[
    "BOX TOP",
    "FIX PEGGED",
    "LMT + MKT",
    "LOC",
    "LOO",
    "MIDPRICE",
    "MKT PRT",
    "MOC",
    "MOO",
    "MTL",
    "PASSV REL",
    "PDV",
    "PEG BENCH",
    "PEG BEST",
    "PEG MID",
    "PEG MKT",
    "PEG PRIM",
    "PEG STK",
    "PMV",
    "PPV",
    "PSV",
    "QUOTE",
    "REL",
    "REL + LMT",
    "REL + MKT",
    "SNAP MID",
    "SNAP MKT",
    "SNAP PRIM",
    "STP PRT",
    "TRAIL LIT",
    "TRAIL LMT + MKT",
    "TRAIL MIT",
    "TRAIL REL + MKT",
    "VOL",
    "VWAP",
];

impl Kind {
    /// Of the name that TWS has for it; none if TWS has no such name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_uppercase().as_str() {
            "MKT" => Some(Self::Market),
            "LMT" => Some(Self::Limit),
            "STP" => Some(Self::Stop),
            "STP LMT" | "STPLMT" => Some(Self::StopLimit),
            "TRAIL" => Some(Self::Trail),
            "TRAIL LIMIT" | "TRAILLMT" => Some(Self::TrailLimit),
            "MIT" => Some(Self::Touched),
            "LIT" => Some(Self::LimitTouched),
            name => TOLD.contains(&name).then_some(Self::Told),
        }
    }

    pub(crate) fn has_limit(self) -> bool {
        matches!(self, Self::Limit | Self::StopLimit | Self::LimitTouched)
    }

    /// Whether it waits for a price, the `auxPrice` of the order.
    pub(crate) fn has_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopLimit | Self::Touched | Self::LimitTouched)
    }

    pub(crate) fn trails(self) -> bool {
        matches!(self, Self::Trail | Self::TrailLimit)
    }

    pub(crate) fn waits_for_trigger(self) -> bool {
        self.has_stop() || self.trails()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_the_names_of_tws() {
        for (name, kind) in [
            ("mkt", Some(Kind::Market)),
            ("STP LMT", Some(Kind::StopLimit)),
            ("TRAIL", Some(Kind::Trail)),
            ("VOL", Some(Kind::Told)),
            ("rel + lmt", Some(Kind::Told)),
            ("REL+LMT", None),
            ("", None),
        ] {
            assert_eq!(Kind::named(name), kind, "{name}");
        }
    }
}
