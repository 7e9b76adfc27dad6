//! Executions of the day: those of the configuration, and those that happen while it runs.
//!
//! A request gets the whole account, as far as its filter lets it through, whoever asks; a live
//! execution reaches the client whose order it was, with request id -1. Its commission follows.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    CommissionAndFeesReport, Execution, ExecutionDetails, ExecutionDetailsEnd, ExecutionFilter,
    ExecutionRequest,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::calendar::{self, DAY};
use super::connection::Connection;
use super::ids::tell;
use crate::seeds::{SeedExecution, SeedOwner};

/// Request id of an execution that nobody asked for.
const LIVE: i32 = -1;

/// An execution, and when it was in Unix seconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Done {
    pub(super) seed: SeedExecution,
    pub(super) unix: i64,
    /// Its number, from 1.
    pub(super) number: usize,
    /// What had been filled of its order, itself included.
    pub(super) filled: u32,
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
        for done in &shared.executions {
            if done.unix >= since && done.passes(&filter, shared, today) {
                self.say_execution(body.req_id.unwrap_or_default(), done, shared);
            }
        }
        self.say(tell::EXECUTION_DATA_END, &ExecutionDetailsEnd { req_id: body.req_id });
        Ok(())
    }

    /// Tells of an execution that has just happened, if it is this client's.
    pub(super) fn on_execution(&mut self, done: &Done, shared: &Shared) {
        if self.client_id == Some(shared.client_of(done.seed.owner)) {
            self.say_execution(LIVE, done, shared);
        }
    }

    fn say_execution(&mut self, request_id: i32, done: &Done, shared: &Shared) {
        let message = ExecutionDetails {
            req_id: Some(request_id),
            contract: Some(shared.stock(&done.seed.symbol)),
            execution: Some(done.execution(shared)),
        };
        self.say(tell::EXECUTION_DATA, &message);
        let sold = !done.seed.bought;
        let message = CommissionAndFeesReport {
            exec_id: Some(done.exec_id()),
            commission_and_fees: Some(1.0 + f64::from(done.seed.quantity) * 0.005),
            currency: Some("USD".to_owned()),
            realized_pnl: sold.then(|| f64::from(done.seed.quantity) * 1.25),
            bond_yield: None,
            yield_redemption_date: None,
        };
        self.say(tell::COMMISSION_AND_FEES_REPORT, &message);
    }
}

impl Done {
    fn exec_id(&self) -> String {
        format!("0000e0d5.{:08x}.01.01", 0x6700_0000 + self.number)
    }

    fn side(&self) -> &'static str {
        if self.seed.bought { "BOT" } else { "SLD" }
    }

    fn execution(&self, shared: &Shared) -> Execution {
        let seed = &self.seed;
        let text = |text: &str| Some(text.to_owned());
        Execution {
            order_id: Some(seed.order_id),
            exec_id: Some(self.exec_id()),
            time: Some(calendar::date_time(self.unix)),
            acct_number: shared.config.accounts.get(seed.account).cloned(),
            exchange: text("IEX"),
            side: text(self.side()),
            shares: Some(seed.quantity.to_string()),
            price: Some(seed.price),
            perm_id: Some(seed.perm_id),
            client_id: Some(shared.client_of(seed.owner)),
            is_liquidation: Some(false),
            cum_qty: Some(self.filled.to_string()),
            avg_price: Some(seed.price),
            order_ref: (seed.owner != SeedOwner::Manual).then(|| "sim".to_owned()),
            last_liquidity: Some(2),
            is_price_revision_pending: Some(false),
            ..Default::default()
        }
    }

    fn passes(&self, filter: &ExecutionFilter, shared: &Shared, today: i64) -> bool {
        let execution = self.execution(shared);
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
            && (client == 0 || client == execution.client_id())
            && fits(filter.acct_code(), execution.acct_number())
            && fits(filter.symbol(), &self.seed.symbol)
            && fits(filter.sec_type(), "STK")
            && fits(filter.exchange(), execution.exchange())
            && fits(side, self.side())
    }
}

impl Shared {
    /// Notes an execution at a time.
    pub(super) fn execute(&mut self, seed: SeedExecution, unix: i64) -> Done {
        let before = self.executions.iter().filter(|done| done.seed.perm_id == seed.perm_id);
        let filled = before.map(|done| done.seed.quantity).sum::<u32>() + seed.quantity;
        let done = Done { seed, unix, number: self.executions.len() + 1, filled };
        self.executions.push(done.clone());
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
