//! Executions of the day: those of the configuration, and those that happen while it runs.
//!
//! A request gets the whole account, as far as its filter lets it through, whoever asks; a live
//! execution reaches the client whose order it was, with request id -1. Its commission follows.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CommissionAndFeesReport, Contract, Execution, ExecutionDetails, ExecutionDetailsEnd,
    ExecutionFilter, ExecutionRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::book::{Entry, Quantity};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use crate::seeds::{SeedExecution, SeedOwner};

/// Request id of an execution that nobody asked for.
pub(super) const LIVE: i32 = -1;

/// Order id in executions of orders that were given by hand.
const MANUAL_ORDER_ID: i32 = i32::MAX;

/// An execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Done {
    pub(super) owner: SeedOwner,
    pub(super) order_id: i32,
    pub(super) perm_id: i64,
    pub(super) account: String,
    pub(super) contract: Contract,
    pub(super) order_ref: Option<String>,
    pub(super) bought: bool,
    pub(super) quantity: Quantity,
    pub(super) price: f64,
    /// What had been filled of its order, itself included, and at which average price.
    pub(super) filled: Quantity,
    pub(super) average: f64,
    pub(super) commission: f64,
    pub(super) realized: Option<f64>,
    /// When, in Unix seconds.
    pub(super) unix: i64,
    /// Its number, from 1.
    pub(super) number: usize,
    /// Which leg of a combination it is of, from 1; 0 if it is of none.
    pub(super) leg: u32,
    /// What stands behind the last dot of its id: more than 1 if it was corrected.
    pub(super) revision: u32,
}

impl Connection {
    pub(super) fn on_executions(
        &mut self,
        body: ExecutionRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let filter = body.execution_filter.unwrap_or_default();
        let since = match filter.time() {
            "" => i64::MIN,
            time => calendar::parse(time)
                .ok_or_else(|| Refusal::new(10314, "the time of the filter is not valid"))?,
        };
        let today = shared.unix_seconds(now) / DAY;
        for done in &shared.book.executions {
            if done.unix >= since && done.passes(&filter, shared, today) {
                self.say_execution(body.req_id.unwrap_or_default(), done, shared);
                self.say_commission(done);
            }
        }
        self.say(tell::EXECUTION_DATA_END, &ExecutionDetailsEnd { req_id: body.req_id });
        Ok(())
    }

    /// Tells of an execution, unasked with request id -1.
    pub(super) fn say_execution(&mut self, request_id: i32, done: &Done, shared: &Shared) {
        let message = ExecutionDetails {
            req_id: Some(request_id),
            contract: Some(done.contract.clone()),
            execution: Some(done.execution(shared.book.client_of(done.owner))),
        };
        self.say(tell::EXECUTION_DATA, &message);
    }

    pub(super) fn say_commission(&mut self, done: &Done) {
        let message = CommissionAndFeesReport {
            exec_id: Some(done.exec_id()),
            commission_and_fees: Some(done.commission),
            currency: Some("USD".to_owned()),
            realized_pnl: done.realized,
            bond_yield: None,
            yield_redemption_date: None,
        };
        self.say(tell::COMMISSION_AND_FEES_REPORT, &message);
    }
}

/// What an execution of so much costs.
pub(super) fn commission(quantity: Quantity) -> f64 {
    ((1.0 + quantity.as_f64() * 0.005) * 1e4).round() / 1e4
}

impl Done {
    /// A part of an order that has just been filled; the order counts it already.
    pub(super) fn of(
        entry: &Entry,
        quantity: Quantity,
        price: f64,
        number: usize,
        unix: i64,
    ) -> Self {
        Self {
            owner: entry.owner,
            order_id: entry.order_id,
            perm_id: entry.perm_id,
            account: entry.account.clone(),
            contract: entry.contract.clone(),
            order_ref: entry.order.order_ref.clone(),
            bought: entry.buy,
            quantity,
            price,
            filled: entry.filled,
            average: entry.average(),
            commission: commission(quantity),
            realized: None,
            unix,
            number,
            leg: 0,
            revision: 1,
        }
    }

    /// Those of legs have a segment more: protocol fact sheet, section 7.
    fn exec_id(&self) -> String {
        let (number, revision) = (0x6700_0000 + self.number, self.revision);
        match self.leg {
            0 => format!("0000e0d5.{number:08x}.01.{revision:02}"),
            leg => format!("0000e0d5.{number:08x}.01.{leg:02}.{revision:02}"),
        }
    }

    fn side(&self) -> &'static str {
        if self.bought { "BOT" } else { "SLD" }
    }

    fn execution(&self, client_id: i32) -> Execution {
        let text = |text: &str| Some(text.to_owned());
        let manual = self.owner == SeedOwner::Manual;
        Execution {
            order_id: Some(if manual { MANUAL_ORDER_ID } else { self.order_id }),
            exec_id: Some(self.exec_id()),
            time: Some(calendar::date_time(self.unix)),
            acct_number: Some(self.account.clone()),
            exchange: text("IEX"),
            side: text(self.side()),
            shares: Some(self.quantity.to_string()),
            price: Some(self.price),
            perm_id: Some(self.perm_id),
            client_id: Some(client_id),
            is_liquidation: Some(false),
            cum_qty: Some(self.filled.to_string()),
            avg_price: Some(self.average),
            order_ref: self.order_ref.clone().filter(|_| !manual),
            last_liquidity: Some(2),
            is_price_revision_pending: Some(false),
            ..Default::default()
        }
    }

    fn passes(&self, filter: &ExecutionFilter, shared: &Shared, today: i64) -> bool {
        let client_id = shared.book.client_of(self.owner);
        let execution = self.execution(client_id);
        let fits = |wanted: &str, value: &str| wanted.is_empty() || wanted == value;
        let client = filter.client_id();
        let day = self.unix / DAY;
        let date: i32 = calendar::date(day).parse().unwrap_or_default();
        let by_days = match (filter.last_n_days, filter.specific_dates.as_slice()) {
            (_, dates @ [_, ..]) => dates.contains(&date),
            (Some(days @ 1..=7), _) => day > today - i64::from(days),
            _ => true,
        };
        let side = match filter.side() {
            "BUY" => "BOT",
            "SELL" => "SLD",
            side => side,
        };
        by_days
            && (client == 0 || client == client_id)
            && fits(filter.acct_code(), execution.acct_number())
            && fits(filter.symbol(), self.contract.symbol())
            && fits(filter.sec_type(), self.contract.sec_type())
            && fits(filter.exchange(), execution.exchange())
            && fits(side, self.side())
    }
}

impl Shared {
    /// Notes an execution whose order is not in the book.
    pub(super) fn execute(&mut self, seed: SeedExecution, unix: i64) -> Done {
        let executions = &self.book.executions;
        let before = executions.iter().filter(|done| done.perm_id == seed.perm_id);
        let quantity = Quantity::whole(seed.quantity);
        let done = Done {
            owner: seed.owner,
            order_id: seed.order_id,
            perm_id: seed.perm_id,
            account: self.config.accounts.get(seed.account).cloned().unwrap_or_default(),
            contract: self.stock(&seed.symbol),
            order_ref: Some("sim".to_owned()),
            bought: seed.bought,
            quantity,
            price: seed.price,
            filled: before.fold(quantity, |sum, done| sum + done.quantity),
            average: seed.price,
            commission: commission(quantity),
            realized: (!seed.bought).then(|| quantity.as_f64() * 1.25),
            unix,
            number: executions.len() + 1,
            leg: 0,
            revision: 1,
        };
        self.book.executions.push(done.clone());
        done
    }

    /// Notes those of the configuration, as far as their accounts exist.
    pub(super) fn seed_executions(&mut self) {
        let start = self.unix_seconds(Duration::ZERO);
        for seed in self.config.executions.clone() {
            if seed.account < self.config.accounts.len() {
                let unix = start - i64::from(seed.seconds_ago);
                self.execute(seed, unix);
            }
        }
    }
}
