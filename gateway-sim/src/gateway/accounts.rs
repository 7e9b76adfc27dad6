//! Accounts: updates of one account, summaries of a group, and updates of many.
//!
//! Account updates carry no id, and only one account at a time has them, whoever asks: that is a
//! limit of the Gateway as a whole. Values are those of `holdings.rs`.

use std::time::Duration;

use ibouncer_proto::tws::v1::{
    AccountDataEnd, AccountDataRequest, AccountSummary, AccountSummaryEnd, AccountSummaryRequest,
    AccountUpdateMulti, AccountUpdateMultiEnd, AccountUpdateTime, AccountUpdatesMultiRequest,
    AccountValue, PortfolioValue,
};

use super::Shared;
use super::answer::{Answer, Refusal};
use super::connection::Connection;
use super::holdings::{AccountFact, Holding, TAGS};
use super::ids::tell;
use super::streams::{Family, Key};
use super::subscriptions::Stream;
use crate::events::ConnectionId;
use crate::limits::Limit;

/// Name of account updates: they have no id.
pub(super) const ACCOUNT_DATA: Key = (Family::AccountData, 0);

/// Keys of the updates of many accounts if only ledger and net liquidation are wanted.
const LEDGER_ONLY: &[&str] = &["NetLiquidation"];

/// A summary of some accounts.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    accounts: Vec<String>,
    tags: Vec<String>,
    ledger: bool,
}

/// Updates of some accounts.
#[derive(Debug, Clone)]
pub(super) struct Updates {
    accounts: Vec<String>,
    model_code: String,
    ledger_only: bool,
}

impl Connection {
    pub(super) fn on_account_data(
        &mut self,
        body: AccountDataRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        if !body.subscribe() {
            if self.streams.close(ACCOUNT_DATA).is_some() {
                shared.account_updates.remove(&self.id);
            }
            return Ok(());
        }
        let account = match body.acct_code() {
            "" => shared.config.accounts.first().cloned().unwrap_or_default(),
            code => code.to_owned(),
        };
        if !shared.knows_account(&account) {
            return Err(Refusal::invalid("Invalid account code"));
        }
        shared.take_account_updates(self.id, &account)?;
        self.begin(ACCOUNT_DATA, Stream::AccountData(account), shared, now);
        Ok(())
    }

    pub(super) fn on_account_summary(
        &mut self,
        body: AccountSummaryRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::AccountSummary, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::failed("Duplicate ticker id"));
        }
        let most = shared.config.limits.of(Limit::AccountSummaries) as usize;
        let summary = shared.read_summary(&body)?;
        if shared.summaries >= most {
            let text = "Error processing request: Maximum number of account summary requests \
                        exceeded";
            return Err(Refusal::limit(Limit::AccountSummaries, 322, text));
        }
        shared.summaries += 1;
        self.begin(key, Stream::AccountSummary(summary), shared, now);
        Ok(())
    }

    pub(super) fn on_account_updates_multi(
        &mut self,
        body: AccountUpdatesMultiRequest,
        shared: &mut Shared,
        now: Duration,
    ) -> Answer {
        let key = (Family::AccountMulti, body.req_id());
        if self.streams.contains(key) {
            return Err(Refusal::failed("Duplicate ticker id"));
        }
        let updates = Updates {
            accounts: shared.accounts_of(body.account())?,
            model_code: body.model_code().to_owned(),
            ledger_only: body.ledger_and_nlv(),
        };
        self.begin(key, Stream::AccountMulti(updates), shared, now);
        Ok(())
    }

    /// The first load is complete.
    pub(super) fn say_account_end(&mut self, account: &str) {
        let message = AccountDataEnd { account_name: Some(account.to_owned()) };
        self.say(tell::ACCT_DOWNLOAD_END, &message);
    }

    pub(super) fn say_summary_end(&mut self, (_, request_id): Key) {
        let message = AccountSummaryEnd { req_id: Some(request_id) };
        self.say(tell::ACCOUNT_SUMMARY_END, &message);
    }

    pub(super) fn say_account_multi_end(&mut self, (_, request_id): Key) {
        let message = AccountUpdateMultiEnd { req_id: Some(request_id) };
        self.say(tell::ACCOUNT_UPDATE_MULTI_END, &message);
    }

    /// Values, positions and the time of an account.
    pub(super) fn say_account(&mut self, account: &str, shared: &Shared, now: Duration) {
        let mut facts = shared.account_facts(account, now);
        facts.extend(shared.ledger(account, "BASE", now));
        facts.extend(shared.ledger(account, "USD", now));
        for (key, value, currency) in facts {
            let message = AccountValue {
                key: Some(key.to_owned()),
                value: Some(value),
                currency: Some(currency.to_owned()),
                account_name: Some(account.to_owned()),
            };
            self.say(tell::ACCT_VALUE, &message);
        }
        for holding in shared.holdings(account).chain(shared.portfolio.closed(account)) {
            self.say_portfolio(holding, shared, now);
        }
        let minutes = shared.unix_seconds(now) / 60;
        let time = format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60);
        self.say(tell::ACCT_UPDATE_TIME, &AccountUpdateTime { time_stamp: Some(time) });
    }

    /// One position of account updates.
    pub(super) fn say_portfolio(&mut self, holding: &Holding, shared: &Shared, now: Duration) {
        let worth = shared.worth(holding, now);
        let exchange = holding.listing.primary_exchange();
        let message = PortfolioValue {
            contract: Some(shared.directory.contract(holding.listing, exchange)),
            position: Some(holding.quantity.to_string()),
            market_price: Some(worth.price),
            market_value: Some(worth.value),
            average_cost: Some(holding.average_cost),
            unrealized_pnl: Some(worth.unrealized),
            realized_pnl: Some(holding.realized),
            account_name: Some(holding.account.clone()),
        };
        self.say(tell::PORTFOLIO_VALUE, &message);
    }

    pub(super) fn step_summary(
        &mut self,
        (_, request_id): Key,
        summary: &Summary,
        shared: &Shared,
        now: Duration,
    ) {
        for account in &summary.accounts {
            let mut facts = shared.account_facts(account, now);
            facts.retain(|(key, _, _)| summary.tags.iter().any(|tag| alike(tag, key)));
            if summary.ledger {
                facts.extend(shared.ledger(account, "USD", now));
            }
            for (key, value, currency) in facts {
                let message = AccountSummary {
                    req_id: Some(request_id),
                    account: Some(account.clone()),
                    tag: Some(key.to_owned()),
                    value: Some(value),
                    currency: Some(currency.to_owned()),
                };
                self.say(tell::ACCOUNT_SUMMARY, &message);
            }
        }
    }

    pub(super) fn step_account_multi(
        &mut self,
        (_, request_id): Key,
        updates: &Updates,
        shared: &Shared,
        now: Duration,
    ) {
        for account in &updates.accounts {
            let mut facts: Vec<AccountFact> = shared.account_facts(account, now);
            if updates.ledger_only {
                facts.retain(|(key, _, _)| LEDGER_ONLY.contains(key));
            }
            facts.extend(shared.ledger(account, "USD", now));
            for (key, value, currency) in facts {
                let message = AccountUpdateMulti {
                    req_id: Some(request_id),
                    account: Some(account.clone()),
                    model_code: Some(updates.model_code.clone()),
                    key: Some(key.to_owned()),
                    value: Some(value),
                    currency: Some(currency.to_owned()),
                };
                self.say(tell::ACCOUNT_UPDATE_MULTI, &message);
            }
        }
    }

    /// Another client has taken account updates over for another account.
    pub(super) fn lose_account_updates(&mut self, shared: &mut Shared, now: Duration) {
        if self.streams.close(ACCOUNT_DATA).is_some() {
            let text = "New account data requested from TWS. API client has been unsubscribed \
                        from account data.";
            let refusal = Refusal::limit(Limit::AccountUpdates, 2100, text);
            self.refuse(None, refusal, shared, now);
            self.flush(shared, now);
        }
    }
}

/// Whether a tag asks for a key; two of the tags are misspelt in the API itself.
fn alike(tag: &str, key: &str) -> bool {
    match tag {
        "ReqTEquity" => key == "RegTEquity",
        "ReqTMargin" => key == "RegTMargin",
        "PreviousEquityWithLoanValue" => key == "PreviousDayEquityWithLoanValue",
        tag => tag == key,
    }
}

impl Shared {
    /// The accounts that a request of many means.
    pub(super) fn accounts_of(&self, account: &str) -> Result<Vec<String>, Refusal> {
        match account {
            "" | "All" => Ok(self.config.accounts.clone()),
            account if self.knows_account(account) => Ok(vec![account.to_owned()]),
            _ => Err(Refusal::invalid("Invalid account code")),
        }
    }

    fn read_summary(&self, body: &AccountSummaryRequest) -> Result<Summary, Refusal> {
        let accounts = match body.group() {
            "" => return Err(Refusal::invalid("Group name cannot be null")),
            "All" => self.config.accounts.clone(),
            group if group == super::advisor::GROUP && self.config.accounts.len() > 1 => {
                self.config.accounts.clone()
            }
            group if self.knows_account(group) => vec![group.to_owned()],
            _ => return Err(Refusal::invalid("Group name is not known")),
        };
        let tags = body.tags().split(',').map(str::trim).filter(|tag| !tag.is_empty());
        let (ledger, tags): (Vec<_>, Vec<_>) =
            tags.map(str::to_owned).partition(|tag| tag.starts_with("$LEDGER"));
        let unknown = tags.iter().any(|tag| !TAGS.contains(&tag.as_str()));
        if unknown || (tags.is_empty() && ledger.is_empty()) {
            return Err(Refusal::invalid("a tag of the account summary is not known"));
        }
        Ok(Summary { accounts, tags, ledger: !ledger.is_empty() })
    }

    /// Notes who has account updates. Those of another account are taken away from whoever has
    /// them, or the newcomer is refused, by a setting of Gateway.
    fn take_account_updates(&mut self, connection: ConnectionId, account: &str) -> Answer {
        let mut held: Vec<&String> = self
            .account_updates
            .iter()
            .filter(|(other, held)| **other != connection && *held != account)
            .map(|(_, held)| held)
            .collect();
        held.sort();
        held.dedup();
        let most = self.config.limits.of(Limit::AccountUpdates) as usize;
        if held.len() >= most {
            if !self.config.account_updates_switch {
                let text = "Unable to subscribe to account as the following clients are \
                            subscribed to a different account";
                return Err(Refusal::limit(Limit::AccountUpdates, 2101, text));
            }
            self.account_updates.retain(|_, held| held == account);
            self.account_updates_taken = true;
        }
        self.account_updates.insert(connection, account.to_owned());
        Ok(())
    }
}
