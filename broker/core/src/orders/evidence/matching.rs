//! Is an order that Gateway tells of the one that was placed under that number?
//!
//! A number alone proves nothing: ids are set back when Gateway restarts, and another program can
//! use our client id. Once its permId is known, that decides, and contract and side must still be
//! those that were placed. Before, an order is ours if it carries our tag in `orderRef` (or what
//! its owner wrote there), and has the contract, the side and the account that were asked for.
//!
//! Compared is only what was asked for and what Gateway does not rewrite. It fills in conId,
//! exchange, local symbol, trading class and account, tells a bond by another symbol and a contract
//! month as a day, says SELL of a short sale, and of a combination's fills tells the legs as well.
//! Source: protocol fact sheet, sections 5.3 and 7.

use std::collections::BTreeSet;

use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::orders::journal::OrderRecord;

/// What a message says of the order that it is about; empty is what it does not say.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::orders) struct Description<'a> {
    pub(in crate::orders) perm_id: i64,
    pub(in crate::orders) order_ref: &'a str,
    pub(in crate::orders) contract: Option<&'a tws::Contract>,
    /// BUY, SELL, SSHORT; BOT, SLD of a fill.
    pub(in crate::orders) side: &'a str,
    pub(in crate::orders) account: &'a str,
    /// An orderStatus: it says nothing but the permId.
    pub(in crate::orders) is_bare: bool,
    /// An execution.
    pub(in crate::orders) is_fill: bool,
}

impl<'a> Description<'a> {
    pub(in crate::orders) fn bare(perm_id: i64) -> Self {
        Self { perm_id, is_bare: true, ..Self::default() }
    }

    pub(in crate::orders) fn of_order(
        order: &'a tws::Order,
        contract: Option<&'a tws::Contract>,
    ) -> Self {
        Self {
            perm_id: order.perm_id(),
            order_ref: order.order_ref(),
            contract,
            side: order.action(),
            account: order.account(),
            ..Self::default()
        }
    }

    pub(in crate::orders) fn of_fill(
        fill: &'a tws::Execution,
        contract: Option<&'a tws::Contract>,
    ) -> Self {
        Self {
            perm_id: fill.perm_id(),
            order_ref: fill.order_ref(),
            contract,
            side: fill.side(),
            account: fill.acct_number(),
            is_fill: true,
            ..Self::default()
        }
    }
}

/// In what an order differs from the one that was placed under its number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::orders) struct Unlike {
    pub(in crate::orders) perm_id: bool,
    pub(in crate::orders) order_ref: bool,
    pub(in crate::orders) contract: bool,
    pub(in crate::orders) side: bool,
    pub(in crate::orders) account: bool,
}

impl Unlike {
    pub(in crate::orders) fn is_any(self) -> bool {
        self != Self::default()
    }

    /// It is ours by all but its permId.
    pub(in crate::orders) fn is_double(self) -> bool {
        self == Self { perm_id: true, ..Self::default() }
    }

    /// "orderRef, contract and side".
    pub(in crate::orders) fn words(self) -> String {
        let all = [
            (self.order_ref, "orderRef"),
            (self.contract, "contract"),
            (self.side, "side"),
            (self.account, "account"),
        ];
        let mut words: Vec<&str> =
            all.iter().filter(|(differs, _)| *differs).map(|(_, word)| *word).collect();
        match words.pop() {
            Some(last) if !words.is_empty() => format!("{} and {last}", words.join(", ")),
            last => last.unwrap_or_default().to_owned(),
        }
    }
}

/// What was placed.
#[derive(Debug, Default)]
pub(in crate::orders) struct Placed<'a> {
    pub(in crate::orders) asked: tws::PlaceOrderRequest,
    /// As Gateway has told it before.
    pub(in crate::orders) told_contract: tws::Contract,
    /// What may stand in `orderRef`: our tag, and what its owner wrote.
    pub(in crate::orders) refs: Vec<String>,
    /// Gateway makes the order itself, and may leave `orderRef` empty.
    pub(in crate::orders) is_made_by_gateway: bool,
    /// Accounts of the journal's login.
    pub(in crate::orders) accounts: &'a [String],
}

impl<'a> Placed<'a> {
    pub(in crate::orders) fn of(record: &OrderRecord, tag: String, accounts: &'a [String]) -> Self {
        let asked = tws::PlaceOrderRequest::decode(&record.request[..]).unwrap_or_default();
        let told = tws::Order::decode(&record.told_order[..]).unwrap_or_default();
        let mut refs = vec![tag];
        for own in [asked.order.as_ref().map_or("", |order| order.order_ref()), told.order_ref()] {
            if !own.is_empty() {
                refs.push(own.to_owned());
            }
        }
        Self {
            asked,
            told_contract: tws::Contract::decode(&record.told_contract[..]).unwrap_or_default(),
            refs,
            is_made_by_gateway: record.exercise || record.attached_to != 0,
            accounts,
        }
    }

    /// In what the order that is told of differs from this one, but for its permId.
    pub(in crate::orders) fn unlike(&self, told: &Description<'_>) -> Unlike {
        let contract = self.asked.contract.clone().unwrap_or_default();
        let order = self.asked.order.clone().unwrap_or_default();
        // A fill of a combination can be one of a leg, and one of an exercise is of the stock.
        let is_part = told.is_fill && (is_combination(&contract) || order.action().is_empty());
        let same_contract = is_part
            || told
                .contract
                .is_none_or(|told| same_contract(&contract, self.told_contract.con_id(), told));
        let nameless = self.is_made_by_gateway && told.order_ref.is_empty();
        Unlike {
            perm_id: false,
            order_ref: !nameless && !self.refs.iter().any(|one| one == told.order_ref),
            contract: !same_contract,
            side: !is_part && !same_side(order.action(), told.side),
            account: !self.same_account(&order, told.account),
        }
    }

    fn same_account(&self, order: &tws::Order, told: &str) -> bool {
        // What is allocated fills in accounts of its own.
        let allocated = !order.fa_group().is_empty() || !order.model_code().is_empty();
        let asked = order.account();
        if told.is_empty() || allocated {
            true
        } else if asked.is_empty() {
            self.accounts.is_empty() || self.accounts.iter().any(|one| one == told)
        } else {
            asked == told
        }
    }
}

fn same_side(asked: &str, told: &str) -> bool {
    let buys = |side: &str| matches!(side, "BUY" | "BOT");
    asked.is_empty() || told.is_empty() || buys(asked) == buys(told)
}

fn is_combination(contract: &tws::Contract) -> bool {
    contract.sec_type() == "BAG" || !contract.combo_legs.is_empty()
}

/// Is this the contract that was asked for, whose conId Gateway has told before, if it has?
fn same_contract(asked: &tws::Contract, told_before: i32, told: &tws::Contract) -> bool {
    if is_combination(asked) || is_combination(told) {
        let legs = |one: &tws::Contract| -> BTreeSet<i32> {
            one.combo_legs.iter().map(tws::ComboLeg::con_id).collect()
        };
        let unsaid = asked.combo_legs.is_empty() || told.combo_legs.is_empty();
        return is_combination(asked)
            && is_combination(told)
            && (unsaid || legs(asked) == legs(told));
    }
    let known = [asked.con_id(), told_before];
    if told.con_id() != 0 && known.iter().any(|id| *id != 0) {
        return known.contains(&told.con_id());
    }
    let sec_type = |one: &str| match one {
        "BOND" | "BILL" | "FIXED" => "BOND".to_owned(),
        other => plain(other),
    };
    let right = |one: &str| one.chars().next().filter(|right| matches!(right, 'C' | 'P'));
    let same = |asked: &str, told: &str| {
        asked.is_empty() || told.is_empty() || plain(asked) == plain(told)
    };
    // What names a bond (a CUSIP) is not what Gateway calls it.
    let is_bond = sec_type(told.sec_type()) == "BOND" || sec_type(asked.sec_type()) == "BOND";
    let has_strike = |one: &tws::Contract| one.strike() != 0.0 && one.strike() < 1e300;
    let same_strike = !has_strike(asked) || !has_strike(told) || asked.strike() == told.strike();
    let rights = [asked, told].map(|one| right(one.right()));
    same(&sec_type(asked.sec_type()), &sec_type(told.sec_type()))
        && same(asked.currency(), told.currency())
        && (is_bond || same(asked.symbol(), told.symbol()))
        && (!asked.symbol().is_empty() || same(asked.local_symbol(), told.local_symbol()))
        && (rights.contains(&None) || rights[0] == rights[1])
        && same_strike
}

/// As it compares: local symbols of options have blanks inside.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<String>().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(con_id: i32, symbol: &str, sec_type: &str) -> tws::Contract {
        tws::Contract {
            con_id: Some(con_id),
            symbol: Some(symbol.into()),
            sec_type: Some(sec_type.into()),
            currency: Some("USD".into()),
            ..Default::default()
        }
    }

    fn option(strike: f64, right: &str) -> tws::Contract {
        let (strike, right) = (Some(strike), Some(right.to_owned()));
        tws::Contract { strike, right, ..contract(0, "SPY", "OPT") }
    }

    #[test]
    fn what_gateway_fills_in_is_the_same_contract_and_another_one_is_not() {
        let told = |con_id, symbol, sec_type| tws::Contract {
            exchange: Some("NASDAQ".into()),
            local_symbol: Some(str::to_owned(symbol)),
            right: Some("?".into()),
            ..contract(con_id, symbol, sec_type)
        };
        let stock = contract(0, "AAPL", "STK");
        assert!(same_contract(&stock, 0, &told(265_598, "AAPL", "STK")));
        assert!(!same_contract(&stock, 0, &told(272_093, "MSFT", "STK")));
        assert!(!same_contract(&stock, 0, &told(1, "AAPL", "CFD")));
        assert!(!same_contract(&stock, 265_598, &told(1, "AAPL", "STK")), "conIds decide");
        let by_id = tws::Contract { con_id: Some(265_598), ..Default::default() };
        assert!(same_contract(&by_id, 0, &told(265_598, "APPLE", "STK")));
        assert!(same_contract(&contract(0, "912828C57", "BOND"), 0, &told(9, "US-T", "BILL")));
        assert!(same_contract(&option(500.0, "CALL"), 0, &option(500.0, "C")));
        assert!(!same_contract(&option(500.0, "C"), 0, &option(500.0, "P")));
        assert!(!same_contract(&option(500.0, "C"), 0, &option(505.0, "C")));
    }

    #[test]
    fn of_combinations_the_legs_are_compared() {
        let combination = |legs: [i32; 2]| tws::Contract {
            combo_legs: legs
                .map(|id| tws::ComboLeg { con_id: Some(id), ..Default::default() })
                .to_vec(),
            ..contract(0, "SPY", "BAG")
        };
        let told = tws::Contract { con_id: Some(28_812_380), ..combination([2, 1]) };
        assert!(same_contract(&combination([1, 2]), 0, &told));
        assert!(!same_contract(&combination([1, 3]), 0, &told));
        assert!(!same_contract(&combination([1, 2]), 0, &contract(1, "SPY", "OPT")));
    }

    #[test]
    fn reference_side_and_account_are_those_that_were_placed() {
        let order = |action: &str, account: &str| tws::Order {
            action: Some(action.into()),
            account: Some(account.into()),
            order_ref: Some("tag".into()),
            ..Default::default()
        };
        let accounts = ["DU1".to_owned()];
        let placed = |action: &str, account: &str| Placed {
            asked: tws::PlaceOrderRequest {
                order: Some(order(action, account)),
                ..Default::default()
            },
            refs: vec!["tag".into(), "mine".into()],
            accounts: &accounts,
            ..Placed::default()
        };
        let unlike = |placed: Placed<'_>, told: &tws::Order| {
            placed.unlike(&Description::of_order(told, None)).words()
        };
        assert_eq!(unlike(placed("SSHORT", ""), &order("SELL", "DU1")), "");
        assert_eq!(unlike(placed("BUY", ""), &order("SELL", "DU2")), "side and account");
        assert_eq!(unlike(placed("BUY", "DU2"), &order("BUY", "DU1")), "account");
        let mut foreign = order("BUY", "DU1");
        foreign.order_ref = None;
        assert_eq!(unlike(placed("BUY", ""), &foreign), "orderRef");
        let exercise = Placed { is_made_by_gateway: true, ..placed("", "") };
        assert_eq!(unlike(exercise, &foreign), "");
        let fill = tws::Execution {
            side: Some("SLD".into()),
            order_ref: Some("mine".into()),
            ..Default::default()
        };
        assert!(placed("SELL", "").unlike(&Description::of_fill(&fill, None)) == Unlike::default());
        assert!(placed("BUY", "").unlike(&Description::of_fill(&fill, None)).side);
    }
}
