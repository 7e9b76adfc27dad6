//! A combination is allowed as its legs are, and counts as the largest of them.

use super::*;

#[test]
fn a_combination_is_its_legs() {
    let legs = |con_ids: &[i32]| tws::Contract {
        sec_type: Some("BAG".into()),
        combo_legs: con_ids
            .iter()
            .map(|con_id| tws::ComboLeg { con_id: Some(*con_id), ..Default::default() })
            .collect(),
        ..stock()
    };
    let listed = list(&["BAG", "STK"], &["AAPL"]);
    assert_eq!(refusal_of(&listed, &legs(&[1, 1]), |_| {}), None);
    for (con_ids, why) in
        [([1, 2], "MSFT"), ([1, 3], "OPT"), ([1, 9], "con_id 9"), ([0, 1], "no con_id")]
    {
        let refused = refusal_of(&listed, &legs(&con_ids), |_| {}).unwrap();
        assert!(refused.contains(why), "{refused}");
    }
    for (con_id, why) in [(2, "no combination"), (9, "con_id 9")] {
        let numbered = tws::Contract { con_id: Some(con_id), ..legs(&[1, 1]) };
        let refused = refusal_of(&listed, &numbered, |_| {}).unwrap();
        assert!(refused.contains(why), "{refused}");
    }
    // The order is of 5, and its largest leg of 500.
    let limits = OrderLimits { quantity: Some(499.0), ..Default::default() };
    let counted = Principal { role: Role::Trade, limits, ..Default::default() };
    let mut large = legs(&[1, 1]);
    large.combo_legs[1].ratio = Some(100);
    let five = |order: &mut tws::Order| order.total_quantity = Some("5".into());
    assert!(refusal_of(&counted, &large, five).unwrap().contains("quantity 500"));
    assert_eq!(refusal_of(&counted, &legs(&[1, 1]), five), None);
    let limits = OrderLimits { notional: Some(1e9), ..Default::default() };
    let valued = Principal { role: Role::Trade, limits, ..Default::default() };
    assert!(refusal_of(&valued, &legs(&[1, 1]), |_| {}).unwrap().contains("legs"));
}
