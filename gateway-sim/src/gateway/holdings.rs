//! What the accounts hold: positions, and what they and the accounts are worth.
//!
//! Shared by all connections. Positions change only by executions and events; their values follow
//! the market. Cash is that of the start and what trading made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use ibouncer_proto::tws::v1::Contract;

use super::Shared;
use super::listings::{Directory, Listing};
use crate::config::GatewayConfig;

/// Exchange rate that ledgers show for the base currency.
const BASE_RATE: &str = "1.00";

/// A position of an account.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Holding {
    pub(super) account: String,
    pub(super) listing: Listing,
    pub(super) quantity: f64,
    pub(super) average_cost: f64,
    /// Of today.
    pub(super) realized: f64,
}

/// What the accounts hold, and what trading has done to their money.
#[derive(Debug)]
pub(super) struct Portfolio {
    pub(super) positions: Vec<Holding>,
    /// Those that were closed by trading: account updates tell of them, with what was realized.
    closed: Vec<Holding>,
    /// By account.
    purses: BTreeMap<String, Purse>,
}

/// Money that has come or gone since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Purse {
    pub(super) cash: f64,
    pub(super) realized: f64,
}

/// An execution as an account sees it; the quantity is negative if it was sold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trade<'a> {
    pub(super) account: &'a str,
    pub(super) listing: Listing,
    pub(super) quantity: f64,
    pub(super) price: f64,
    pub(super) commission: f64,
}

impl Portfolio {
    pub(super) fn new(positions: Vec<Holding>) -> Self {
        Self { positions, closed: Vec::new(), purses: BTreeMap::new() }
    }

    /// What trading has done to an account's money.
    pub(super) fn purse(&self, account: &str) -> Purse {
        self.purses.get(account).copied().unwrap_or_default()
    }

    /// Positions of an account that were closed.
    pub(super) fn closed(&self, account: &str) -> impl Iterator<Item = &Holding> {
        self.closed.iter().filter(move |one| one.account == account)
    }

    /// Changes position and money; what the position is now, and what was realized if it became
    /// smaller.
    pub(super) fn trade(&mut self, trade: &Trade<'_>) -> (Holding, Option<f64>) {
        let Trade { account, quantity, .. } = *trade;
        let cost = trade.cost();
        let place = self.place(trade);
        let holding = &mut self.positions[place];
        let (before, after) = (holding.quantity, tidy(holding.quantity + quantity));
        let smaller = before * quantity < 0.0;
        let closed = if smaller { before.abs().min(quantity.abs()) } else { 0.0 };
        let gain = closed * (cost - holding.average_cost) * before.signum();
        let realized = smaller.then(|| tidy(gain - trade.commission));
        if !smaller {
            let paid = holding.average_cost * before.abs() + cost * quantity.abs();
            holding.average_cost = tidy(paid / (before.abs() + quantity.abs()));
        } else if before * after < 0.0 {
            holding.average_cost = cost;
        }
        holding.quantity = after;
        holding.realized += realized.unwrap_or_default();
        let purse = self.purses.entry(account.to_owned()).or_default();
        purse.cash -= cost * quantity + trade.commission;
        purse.realized += realized.unwrap_or_default();
        (self.settle(place), realized)
    }

    /// Takes a trade back that had realized so much; what the position is now. What was traded
    /// since keeps what it has realized.
    pub(super) fn take_back(&mut self, trade: &Trade<'_>, realized: Option<f64>) -> Holding {
        let Trade { account, quantity, commission, .. } = *trade;
        let cost = trade.cost();
        let place = self.place(trade);
        let holding = &mut self.positions[place];
        let (after, before) = (holding.quantity, tidy(holding.quantity - quantity));
        // Whatever was paid is in the position or was realized, before as after.
        let gain = realized.map_or(0.0, |realized| realized + commission);
        let paid = holding.average_cost * after - cost * quantity - gain;
        let less = match before == 0.0 {
            true => realized.unwrap_or_default() + paid,
            false => realized.unwrap_or_default(),
        };
        if before != 0.0 {
            holding.average_cost = tidy(paid / before);
        }
        holding.quantity = before;
        holding.realized = tidy(holding.realized - less);
        let purse = self.purses.entry(account.to_owned()).or_default();
        purse.cash += cost * quantity + commission;
        purse.realized = tidy(purse.realized - less);
        self.settle(place)
    }

    /// Where the position of a trade is; an empty one if there was none.
    fn place(&mut self, trade: &Trade<'_>) -> usize {
        let Trade { account, listing, .. } = *trade;
        let held = |one: &Holding| one.account == account && one.listing == listing;
        self.positions.iter().position(held).unwrap_or_else(|| {
            let before = self.closed.iter().position(held).map(|place| self.closed.remove(place));
            let account = account.to_owned();
            let realized = before.map_or(0.0, |before| before.realized);
            let (quantity, average_cost) = (0.0, trade.cost());
            self.positions.push(Holding { account, listing, quantity, average_cost, realized });
            self.positions.len() - 1
        })
    }

    /// The position as it is told. An empty one is closed.
    fn settle(&mut self, place: usize) -> Holding {
        let mut now = self.positions[place].clone();
        if now.quantity == 0.0 {
            now.average_cost = 0.0;
            self.positions.remove(place);
            self.closed.push(now.clone());
        }
        now
    }
}

impl Trade<'_> {
    /// Of one unit.
    fn cost(&self) -> f64 {
        self.price * self.listing.value_factor()
    }
}

/// Without the dust of fractions.
fn tidy(value: f64) -> f64 {
    (value * 1e8).round() / 1e8
}

/// What a position is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Worth {
    pub(super) price: f64,
    pub(super) value: f64,
    pub(super) unrealized: f64,
    /// Of today: half of it, so that it differs.
    pub(super) daily: f64,
}

/// One value of an account: key, value, currency.
pub(super) type AccountFact = (&'static str, String, &'static str);

/// Keys that an account summary can ask for besides the ledger.
pub(super) const TAGS: &[&str] = &[
    "AccountType",
    "NetLiquidation",
    "TotalCashValue",
    "SettledCash",
    "AccruedCash",
    "BuyingPower",
    "EquityWithLoanValue",
    "PreviousDayEquityWithLoanValue",
    "PreviousEquityWithLoanValue",
    "GrossPositionValue",
    "ReqTEquity",
    "RegTEquity",
    "ReqTMargin",
    "RegTMargin",
    "SMA",
    "InitMarginReq",
    "MaintMarginReq",
    "AvailableFunds",
    "ExcessLiquidity",
    "Cushion",
    "FullInitMarginReq",
    "FullMaintMarginReq",
    "FullAvailableFunds",
    "FullExcessLiquidity",
    "LookAheadNextChange",
    "LookAheadInitMarginReq",
    "LookAheadMaintMarginReq",
    "LookAheadAvailableFunds",
    "LookAheadExcessLiquidity",
    "HighestSeverity",
    "DayTradesRemaining",
    "Leverage",
];

/// The positions of the configuration, as far as their accounts exist.
pub(super) fn seeded(config: &GatewayConfig, directory: &Directory) -> Vec<Holding> {
    let seeds = config.positions.iter().filter_map(|seed| {
        let account = config.accounts.get(seed.account)?.clone();
        let wanted = Contract {
            symbol: Some(seed.symbol.clone()),
            sec_type: Some(seed.sec_type.clone()),
            ..Default::default()
        };
        let listing = match directory.one(Some(&wanted)) {
            Ok(listing) => listing,
            // The call at the money that lasts longest: of the last expiration the middle strike.
            Err(_) => {
                let chain = directory.matching(&wanted);
                let last = chain.len() / directory.expirations().len().max(1);
                let middle = chain.len().checked_sub(last)? + last / 2;
                *chain.get(middle - middle % 2)?
            }
        };
        let (quantity, average_cost) = (seed.quantity, seed.average_cost);
        Some(Holding { account, listing, quantity, average_cost, realized: 0.0 })
    });
    seeds.collect()
}

/// Two decimals, as accounts are written.
pub(super) fn money(value: f64) -> String {
    format!("{value:.2}")
}

impl Shared {
    pub(super) fn worth(&self, holding: &Holding, now: Duration) -> Worth {
        let price = self.fair_price(holding.listing, now);
        let price = (price * 1e4).round() / 1e4;
        let value = price * holding.quantity * holding.listing.value_factor();
        let unrealized = value - holding.average_cost * holding.quantity;
        let cents = |value: f64| (value * 100.0).round() / 100.0;
        let (value, unrealized) = (cents(value), cents(unrealized));
        Worth { price, value, unrealized, daily: cents(unrealized / 2.0) }
    }

    /// Positions of an account; of all accounts if none is named.
    pub(super) fn holdings(&self, account: &str) -> impl Iterator<Item = &Holding> {
        let account = account.to_owned();
        self.portfolio
            .positions
            .iter()
            .filter(move |one| account.is_empty() || account == "All" || one.account == account)
    }

    pub(super) fn knows_account(&self, account: &str) -> bool {
        self.config.accounts.iter().any(|known| known == account)
    }

    /// Unrealized, realized and daily profit of an account.
    pub(super) fn profit(&self, account: &str, now: Duration) -> (f64, f64, f64) {
        let all = account.is_empty() || account == "All";
        let accounts = self.config.accounts.iter().filter(|known| all || *known == account);
        let realized: f64 = accounts.map(|known| self.portfolio.purse(known).realized).sum();
        self.holdings(account).fold((0.0, realized, realized), |sums, holding| {
            let worth = self.worth(holding, now);
            (sums.0 + worth.unrealized, sums.1, sums.2 + worth.daily)
        })
    }

    /// Everything that is said of an account, in the order in which it is said.
    pub(super) fn account_facts(&self, account: &str, now: Duration) -> Vec<AccountFact> {
        let place = self.config.accounts.iter().position(|known| known == account);
        let start = 1_000_000.0 + 25_000.0 * place.unwrap_or_default() as f64;
        let cash = start + self.portfolio.purse(account).cash;
        let gross: f64 = self.holdings(account).map(|one| self.worth(one, now).value.abs()).sum();
        let held: f64 = self.holdings(account).map(|one| self.worth(one, now).value).sum();
        let (net, margin) = (cash + held, gross * 0.25);
        let funds = net - margin;
        let usd = |key, value| (key, money(value), "USD");
        let bare = |key, value: &str| (key, value.to_owned(), "");
        let mut facts = vec![
            bare("AccountCode", account),
            bare("AccountReady", "true"),
            bare("AccountType", "INDIVIDUAL"),
            ("Cushion", format!("{:.6}", funds / net), ""),
            bare("DayTradesRemaining", "-1"),
            bare("LookAheadNextChange", "0"),
            bare("HighestSeverity", "0"),
            ("Leverage", money(gross / net), ""),
        ];
        for (key, value) in [
            ("AccruedCash", 612.37),
            ("AvailableFunds", funds),
            ("BuyingPower", funds * 4.0),
            ("EquityWithLoanValue", net),
            ("ExcessLiquidity", funds),
            ("FullAvailableFunds", funds),
            ("FullExcessLiquidity", funds),
            ("FullInitMarginReq", margin),
            ("FullMaintMarginReq", margin * 0.9),
            ("GrossPositionValue", gross),
            ("InitMarginReq", margin),
            ("LookAheadAvailableFunds", funds),
            ("LookAheadExcessLiquidity", funds),
            ("LookAheadInitMarginReq", margin),
            ("LookAheadMaintMarginReq", margin * 0.9),
            ("MaintMarginReq", margin * 0.9),
            ("NetLiquidation", net),
            ("PreviousDayEquityWithLoanValue", net - 1250.5),
            ("RegTEquity", net),
            ("RegTMargin", margin * 2.0),
            ("SMA", funds * 1.1),
            ("SettledCash", cash),
            ("TotalCashValue", cash),
        ] {
            facts.push(usd(key, value));
        }
        facts
    }

    /// The ledger of an account, in one currency: `BASE`, or that of the account.
    pub(super) fn ledger(
        &self,
        account: &str,
        currency: &'static str,
        now: Duration,
    ) -> Vec<AccountFact> {
        let (unrealized, realized, _) = self.profit(account, now);
        let of_type = |sec_type: &str| -> f64 {
            let holdings = self.holdings(account).filter(|one| one.listing.sec_type() == sec_type);
            holdings.map(|one| self.worth(one, now).value).sum()
        };
        let facts = self.account_facts(account, now);
        let fact = |wanted: &str| {
            let found = facts.iter().find(|(key, _, _)| *key == wanted);
            found.map(|(_, value, _)| value.clone()).unwrap_or_default()
        };
        let money = |key, value| (key, money(value), currency);
        vec![
            ("AccountOrGroup", account.to_owned(), currency),
            ("CashBalance", fact("TotalCashValue"), currency),
            ("Currency", currency.to_owned(), currency),
            ("ExchangeRate", BASE_RATE.to_owned(), currency),
            ("NetLiquidationByCurrency", fact("NetLiquidation"), currency),
            ("RealCurrency", currency.to_owned(), currency),
            ("TotalCashBalance", fact("TotalCashValue"), currency),
            money("FutureOptionValue", of_type("FOP")),
            money("FuturesPNL", 0.0),
            money("OptionMarketValue", of_type("OPT")),
            money("RealizedPnL", realized),
            money("StockMarketValue", of_type("STK")),
            money("UnrealizedPnL", unrealized),
        ]
    }
}
