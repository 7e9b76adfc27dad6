//! What is known of contracts: which words and which number name the same one.
//!
//! Gateway's rules for history and tick-by-tick data are about contracts, and one client says a
//! symbol where another says a number. Contract details tell both. What is not known has a name
//! made of what was said, and then Gateway may still see one contract where we see two. Limits of
//! orders ask for what Gateway said of a number, whatever words stand beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ibouncer_proto::tws::v1::Contract;

/// Contracts that are kept; the oldest go first. A large chain of options has some thousands.
const MOST: usize = 10_000;

/// A contract as a rule of Gateway sees it: one name, in whichever words it was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Instrument {
    asked: Box<Contract>,
    name: String,
}

impl Instrument {
    /// By nothing but what was said.
    pub fn new(asked: &Contract) -> Self {
        let name = Contracts::default().name(asked);
        Self { asked: Box::new(asked.clone()), name }
    }

    /// Its name in the rules.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same, by what is known now.
    #[must_use]
    pub fn known_by(self, contracts: &Contracts) -> Self {
        Self { name: contracts.name(&self.asked), ..self }
    }
}

/// Contracts that were seen.
#[derive(Debug, Default)]
pub struct Contracts {
    known: BTreeMap<i32, Contract>,
    /// By symbol, and by the exchange's own.
    by_word: BTreeMap<String, BTreeSet<i32>>,
    order: VecDeque<i32>,
    /// Of orders only: they say what a number means, and too little to name it by words.
    of_orders: BTreeMap<i32, Contract>,
}

impl Contracts {
    /// Contract details name one in full.
    pub fn learn(&mut self, contract: &Contract) {
        if contract.con_id() == 0 || self.known.contains_key(&contract.con_id()) {
            return;
        }
        let number = contract.con_id();
        for word in words(contract) {
            self.by_word.entry(word).or_default().insert(number);
        }
        self.known.insert(number, contract.clone());
        self.order.push_back(number);
        while self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// Gateway tells of an order, and with it what its contract is.
    pub(crate) fn learn_of_order(&mut self, contract: &Contract) {
        let number = contract.con_id();
        if number == 0 || self.known.contains_key(&number) {
            return;
        }
        // Numbers grow with time, so the lowest is likely the oldest.
        if self.of_orders.len() >= MOST && !self.of_orders.contains_key(&number) {
            self.of_orders.pop_first();
        }
        self.of_orders.insert(number, contract.clone());
    }

    /// What this contract is, as far as that can be told: Gateway's own words for a conId, and the
    /// given ones where the words decide. None if Gateway would go by something that we cannot
    /// read. A client's words beside a conId prove nothing.
    pub fn meant<'a>(&'a self, given: &'a Contract) -> Option<&'a Contract> {
        if given.con_id() != 0 {
            let number = given.con_id();
            return self.known.get(&number).or_else(|| self.of_orders.get(&number));
        }
        let by_words = given.local_symbol().is_empty()
            && given.sec_id().is_empty()
            && given.issuer_id().is_empty();
        by_words.then_some(given)
    }

    /// One name for all ways to say it, as far as they are known. The exchange is not part of it.
    pub fn name(&self, asked: &Contract) -> String {
        let by_number = |number: i32| format!("conId {number}");
        if asked.con_id() != 0 {
            return by_number(asked.con_id());
        }
        let word = words(asked).find_map(|word| self.by_word.get(&word));
        let fits = |number: &&i32| self.known.get(number).is_some_and(|one| fits(asked, one));
        let mut found = word.into_iter().flatten().filter(fits);
        match (found.next(), found.next()) {
            // A combination has its legs, and no number; an id of another kind may be anything's.
            (Some(one), None) if asked.combo_legs.is_empty() && asked.sec_id().is_empty() => {
                by_number(*one)
            }
            _ => format!("{:?}", Contract { exchange: None, ..asked.clone() }),
        }
    }

    fn forget(&mut self, number: i32) {
        let Some(contract) = self.known.remove(&number) else {
            return;
        };
        for word in words(&contract) {
            if let Some(numbers) = self.by_word.get_mut(&word) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.by_word.remove(&word);
                }
            }
        }
    }
}

fn words(contract: &Contract) -> impl Iterator<Item = String> + use<> {
    let words = [contract.symbol().to_owned(), contract.local_symbol().to_owned()];
    words.into_iter().filter(|word| !word.is_empty())
}

/// Can these words mean this contract? What is left out fits all.
fn fits(asked: &Contract, known: &Contract) -> bool {
    let said = |asked: &str, known: &str| asked.is_empty() || asked == known;
    let number = |asked: f64, known: f64| asked == 0.0 || asked == known;
    let day = asked.last_trade_date_or_contract_month();
    said(asked.symbol(), known.symbol())
        && said(asked.sec_type(), known.sec_type())
        && said(asked.currency(), known.currency())
        && said(asked.right(), known.right())
        && said(asked.primary_exch(), known.primary_exch())
        && said(asked.local_symbol(), known.local_symbol())
        && said(asked.trading_class(), known.trading_class())
        // A month means its day.
        && known.last_trade_date_or_contract_month().starts_with(day)
        && number(asked.strike(), known.strike())
        && number(asked.multiplier(), known.multiplier())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(symbol: &str, currency: &str) -> Contract {
        Contract {
            symbol: Some(symbol.into()),
            sec_type: Some("STK".into()),
            currency: Some(currency.into()),
            exchange: Some("SMART".into()),
            ..Contract::default()
        }
    }

    fn numbered(con_id: i32) -> Contract {
        Contract { con_id: Some(con_id), ..Contract::default() }
    }

    #[test]
    fn once_details_were_seen_number_and_words_have_one_name() {
        let mut contracts = Contracts::default();
        let apple = stock("AAPL", "USD");
        assert_ne!(contracts.name(&apple), contracts.name(&numbered(7)));
        contracts.learn(&Contract {
            con_id: Some(7),
            primary_exch: Some("NASDAQ".into()),
            local_symbol: Some("AAPL".into()),
            ..apple.clone()
        });
        contracts.learn(&Contract { con_id: Some(8), ..stock("AAPL", "MXN") });
        assert_eq!(contracts.name(&apple), contracts.name(&numbered(7)));
        let here = Contract { exchange: Some("ARCA".into()), ..apple.clone() };
        assert_eq!(contracts.name(&here), contracts.name(&apple));
        let local = Contract { symbol: None, local_symbol: Some("AAPL".into()), ..apple.clone() };
        assert_eq!(contracts.name(&local), contracts.name(&apple));
        // Words that could mean both mean neither.
        let any = Contract { currency: None, ..apple.clone() };
        assert!(!contracts.name(&any).starts_with("conId"));
        assert_eq!(Instrument::new(&apple).known_by(&contracts).name(), "conId 7");
    }

    #[test]
    fn a_month_is_its_day_and_an_option_is_not_its_neighbour() {
        let mut contracts = Contracts::default();
        let option = |con_id, day: &str, strike| Contract {
            con_id,
            sec_type: Some("OPT".into()),
            last_trade_date_or_contract_month: Some(day.into()),
            strike: Some(strike),
            right: Some("C".into()),
            ..stock("AAPL", "USD")
        };
        contracts.learn(&option(Some(1), "20251219", 200.0));
        contracts.learn(&option(Some(2), "20251219", 210.0));
        assert_eq!(contracts.name(&option(None, "202512", 200.0)), "conId 1");
        assert_eq!(contracts.name(&option(None, "20251219", 210.0)), "conId 2");
        assert!(!contracts.name(&option(None, "202512", 220.0)).starts_with("conId"));
    }

    #[test]
    fn a_number_is_what_gateway_says_and_words_are_words() {
        let mut contracts = Contracts::default();
        contracts.learn(&Contract { con_id: Some(7), ..stock("MSFT", "USD") });
        let lie = Contract { con_id: Some(7), ..stock("AAPL", "USD") };
        assert_eq!(contracts.meant(&lie).unwrap().symbol(), "MSFT");
        assert_eq!(contracts.meant(&numbered(8)), None);
        assert_eq!(contracts.meant(&stock("AAPL", "USD")).unwrap().symbol(), "AAPL");
        let local = Contract { local_symbol: Some("MSFT".into()), ..stock("AAPL", "USD") };
        assert_eq!(contracts.meant(&local), None);
    }

    #[test]
    fn an_order_says_what_its_number_means_and_names_nothing() {
        let mut contracts = Contracts::default();
        contracts.learn_of_order(&Contract { con_id: Some(7), ..stock("MSFT", "USD") });
        assert_eq!(contracts.meant(&numbered(7)).unwrap().symbol(), "MSFT");
        assert!(!contracts.name(&stock("MSFT", "USD")).starts_with("conId"));
        contracts.learn(&Contract { con_id: Some(7), ..stock("MSFT", "MXN") });
        contracts.learn_of_order(&Contract { con_id: Some(7), ..stock("MSFT", "USD") });
        assert_eq!(contracts.meant(&numbered(7)).unwrap().currency(), "MXN", "details say more");
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut contracts = Contracts::default();
        for number in 1..=MOST as i32 + 1 {
            contracts.learn(&Contract { con_id: Some(number), ..stock("A", &number.to_string()) });
        }
        assert_eq!((contracts.known.len(), contracts.by_word["A"].len()), (MOST, MOST));
        assert!(!contracts.name(&stock("A", "1")).starts_with("conId"));
    }
}
