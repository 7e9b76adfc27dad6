//! What an exercise counts for.

use super::*;

#[test]
fn an_exercise_is_worth_its_strike() {
    let limits = OrderLimits { notional: Some(1000.0), ..Default::default() };
    let limited = Principal { role: Role::Trade, exercise: true, limits, ..Default::default() };
    let mut contracts = contracts();
    contracts.learn(&tws::Contract {
        con_id: Some(5),
        strike: Some(5.0),
        multiplier: Some(100.0),
        ..stock()
    });
    let accounts = ["DU0000001".to_owned()];
    let known = Known {
        name: "m",
        accounts: &accounts,
        open_orders: 0,
        last_minute: 0,
        quote: None,
        contracts: &contracts,
    };
    let settings = TradingSettings { enabled: true, ..Default::default() };
    let refusal = |con_id: i32, quantity: i32| {
        let request = tws::ExerciseOptionsRequest {
            contract: Some(with_con_id(con_id)),
            exercise_quantity: Some(quantity),
            ..Default::default()
        };
        refused(check_exercise(&settings, &limited, known, &request))
    };
    assert_eq!(refusal(5, 2), None);
    assert!(refusal(5, 3).unwrap().contains("a value of 1500 is over clients.m.max_notional"));
    assert!(refusal(3, 1).unwrap().contains("strike"), "Gateway has told of none");
    assert!(refusal(0, 1).unwrap().contains("con_id"));
}

#[test]
fn an_exercise_names_no_account_that_its_client_does_not_see() {
    let accounts = ["DU0000001".to_owned(), "DU0000002".to_owned()];
    let own = vec![accounts[0].clone()];
    let limited =
        Principal { role: Role::Trade, exercise: true, accounts: own, ..Default::default() };
    let contracts = contracts();
    let known = Known {
        name: "m",
        accounts: &accounts,
        open_orders: 0,
        last_minute: 0,
        quote: None,
        contracts: &contracts,
    };
    let settings = TradingSettings { enabled: true, ..Default::default() };
    let refusal = |customer: &str| {
        let request = tws::ExerciseOptionsRequest {
            contract: Some(with_con_id(5)),
            exercise_quantity: Some(1),
            account: Some("DU0000001".into()),
            customer_account: Some(customer.into()),
            ..Default::default()
        };
        refused(check_exercise(&settings, &limited, known, &request))
    };
    assert_eq!(refusal("DU0000001"), None);
    assert!(refusal("DU0000002").unwrap().contains("customer_account"));
}
