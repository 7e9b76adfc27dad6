//! What Gateway itself has said of contracts, by conId: what an order by conId would trade.
//!
//! A client's words beside a conId prove nothing: Gateway goes by the conId. So where it matters
//! what is traded, only the details of Gateway count that have passed by in this process.

use std::collections::{BTreeMap, VecDeque};

use ibouncer_proto::tws::v1 as tws;

/// Contracts that are kept; the oldest go. An option chain of a large index has some thousands.
const MOST: usize = 50_000;

/// The contracts.
#[derive(Debug, Default)]
pub struct Instruments {
    by_con_id: BTreeMap<i32, tws::Contract>,
    arrivals: VecDeque<i32>,
}

impl Instruments {
    /// Gateway has sent these details.
    pub fn on_details(&mut self, details: tws::ContractData) {
        let Some(contract) = details.contract.filter(|contract| contract.con_id() != 0) else {
            return;
        };
        let con_id = contract.con_id();
        if self.by_con_id.insert(con_id, contract).is_none() {
            self.arrivals.push_back(con_id);
        }
        if self.arrivals.len() > MOST
            && let Some(oldest) = self.arrivals.pop_front()
        {
            self.by_con_id.remove(&oldest);
        }
    }

    /// What this contract is, as far as that can be told: Gateway's own words for a conId, and the
    /// given ones where the words decide. None if Gateway would go by something that we cannot
    /// read.
    pub fn meant<'a>(&'a self, given: &'a tws::Contract) -> Option<&'a tws::Contract> {
        if given.con_id() != 0 {
            return self.by_con_id.get(&given.con_id());
        }
        let by_words = given.local_symbol().is_empty()
            && given.sec_id().is_empty()
            && given.issuer_id().is_empty();
        by_words.then_some(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(con_id: i32, symbol: &str) -> tws::Contract {
        tws::Contract {
            con_id: Some(con_id),
            symbol: Some(symbol.into()),
            ..tws::Contract::default()
        }
    }

    #[test]
    fn a_con_id_is_what_gateway_says_and_words_are_words() {
        let mut instruments = Instruments::default();
        let details =
            |contract| tws::ContractData { contract: Some(contract), ..Default::default() };
        instruments.on_details(details(contract(7, "MSFT")));
        let lie = contract(7, "AAPL");
        assert_eq!(instruments.meant(&lie).unwrap().symbol(), "MSFT");
        assert_eq!(instruments.meant(&contract(8, "AAPL")), None);
        assert_eq!(instruments.meant(&contract(0, "AAPL")).unwrap().symbol(), "AAPL");
        let local = tws::Contract { local_symbol: Some("ESZ6".into()), ..contract(0, "AAPL") };
        assert_eq!(instruments.meant(&local), None);
    }

    #[test]
    fn the_oldest_go() {
        let mut instruments = Instruments::default();
        for con_id in 1..=MOST as i32 + 1 {
            let contract = Some(contract(con_id, "X"));
            instruments.on_details(tws::ContractData { contract, ..Default::default() });
        }
        assert!(instruments.meant(&contract(1, "X")).is_none());
        assert!(instruments.meant(&contract(2, "X")).is_some());
    }
}
