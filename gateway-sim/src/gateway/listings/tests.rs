//! The directory finds what it names.

use super::*;

fn directory() -> Directory {
    Directory::new(1_795_457_715)
}

fn contract(symbol: &str, sec_type: &str) -> Contract {
    Contract {
        symbol: Some(symbol.to_owned()),
        sec_type: Some(sec_type.to_owned()),
        ..Default::default()
    }
}

#[test]
fn every_instrument_is_found_by_its_name_and_by_its_contract_id() {
    let directory = directory();
    assert!(INSTRUMENTS.len() >= 100);
    for (place, instrument) in INSTRUMENTS.iter().enumerate() {
        let listing = Listing { place, term: Term::Itself };
        let wanted = Contract {
            currency: Some(instrument.currency.to_owned()),
            ..contract(instrument.symbol, instrument.sec_type)
        };
        assert_eq!(directory.one(Some(&wanted)), Ok(listing), "{}", instrument.symbol);
        assert_eq!(directory.by_con_id(listing.con_id()), Some(listing));
    }
}

#[test]
fn derived_contracts_are_found_by_their_contract_ids() {
    let directory = directory();
    for place in 0..INSTRUMENTS.len() {
        for listing in directory.options(place).chain(directory.months(place)) {
            assert_eq!(directory.by_con_id(listing.con_id()), Some(listing));
        }
    }
    for con_id in [i32::MIN, -1, 1, 900_000_999, 901_000_003, 1_500_000_000, i32::MAX] {
        assert_eq!(directory.by_con_id(con_id), None, "{con_id}");
    }
}

#[test]
fn a_chain_narrows_down_to_one_option() {
    let directory = directory();
    let mut wanted = contract("AAPL", "OPT");
    assert_eq!(directory.matching(&wanted).len(), EXPIRATIONS * STRIKES * 2);
    assert_eq!(directory.one(Some(&wanted)).unwrap_err().code, 200);
    wanted.last_trade_date_or_contract_month = Some("20270115".to_owned());
    assert_eq!(directory.matching(&wanted).len(), STRIKES * 2);
    wanted.strike = Some(230.0);
    wanted.right = Some("C".to_owned());
    let option = directory.one(Some(&wanted)).unwrap();
    let full = directory.contract(option, "SMART");
    assert_eq!(full.local_symbol(), "AAPL  270115C00230000");
    assert_eq!((full.multiplier(), full.right()), (100.0, "C"));
}

#[test]
fn futures_have_months_and_the_front_is_the_default() {
    let directory = directory();
    assert_eq!(directory.matching(&contract("ES", "FUT")).len(), MONTHS);
    let front = directory.one(Some(&contract("ES", "FUT"))).unwrap();
    assert_eq!(directory.contract(front, "CME").local_symbol(), "ESZ6");
}

#[test]
fn what_fits_nothing_and_what_fits_two_is_refused() {
    let directory = directory();
    for wanted in [contract("AAPL", "WAR"), contract("NOSUCH", ""), Contract::default()] {
        assert_eq!(directory.one(Some(&wanted)).unwrap_err().code, 200);
    }
    let refusal = directory.one(Some(&contract("AMBIG", "STK"))).unwrap_err();
    assert!(refusal.text.contains("ambiguous"));
    assert_eq!(directory.matching(&contract("AMBIG", "STK")).len(), 2);
}
