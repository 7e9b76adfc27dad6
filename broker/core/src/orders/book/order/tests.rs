//! The machines of an order and of its change.

use super::*;

const STATES: [State; 10] = [
    State::Intent,
    State::Sent,
    State::Acknowledged,
    State::Working,
    State::Inactive,
    State::Unknown,
    State::Filled,
    State::Cancelled,
    State::Rejected,
    State::NotSent,
];

/// Rows are `from`, columns `to`, both in the order of `STATES`.
const TABLE: [&str; 10] = [
    ".x...x...x", // INTENT
    "..xxxxxxxx", // SENT
    "...xxxxxx.", // ACKNOWLEDGED
    "..x.xxxxx.", // WORKING
    "..xx.xxxx.", // INACTIVE
    "..xxx.xxxx", // UNKNOWN
    ".....x....", // FILLED
    "..xxx.x...", // CANCELLED
    "..xxxxxx..", // REJECTED
    "..xxxxxx..", // NOT_SENT
];

#[test]
fn each_transition_is_as_in_the_table() {
    for (row, from) in TABLE.iter().zip(STATES) {
        for (cell, to) in row.bytes().zip(STATES) {
            let mut order = Order::new(OrderRecord::default());
            order.record.set_state(from);
            let moved = order.transition(to, "test");
            let expected = if from == to { Ok(false) } else { Ok(true) };
            if cell == b'x' || from == to {
                assert_eq!(moved, expected, "{from:?} to {to:?}");
                assert_eq!(order.state(), to);
            } else {
                assert_eq!(moved, Err(Illegal), "{from:?} to {to:?}");
                assert_eq!(order.state(), from);
            }
        }
    }
}

#[test]
fn each_transition_of_a_change_is_as_in_the_table() {
    use ChangeState::*;
    let states = [Waiting, Sent, Done, Failed, Unknown, NotSent];
    let table = [
        ".xxxxx", // WAITING
        "..xxxx", // SENT
        "......", // DONE
        "......", // FAILED
        "..xx.x", // UNKNOWN
        "......", // NOT_SENT
    ];
    for (row, from) in table.iter().zip(states) {
        for (cell, to) in row.bytes().zip(states) {
            assert_eq!(change_allowed(from, to), cell == b'x', "{from:?} to {to:?}");
        }
    }
}

#[test]
fn silence_ends_nothing_and_no_end_is_live() {
    for state in STATES {
        let ended =
            matches!(state, State::Filled | State::Cancelled | State::Rejected | State::NotSent);
        assert_eq!(is_live(state), !ended, "{state:?}");
    }
}

#[test]
fn gateways_words_are_known_and_a_new_word_moves_nothing() {
    assert_eq!(meaning("PreSubmitted"), Some(State::Working));
    assert_eq!(meaning("Inactive"), Some(State::Inactive));
    assert_eq!(meaning("SomethingNew"), None);
}

#[test]
fn a_done_modification_is_what_is_in_force() {
    let mut order = Order::new(OrderRecord { request: "old".into(), ..Default::default() });
    order.begin_change(ChangeKind::Modify, b"new", None);
    assert!(order.move_change(ChangeState::Sent, "", 0));
    assert!(order.move_change(ChangeState::Failed, "no", 201));
    assert_eq!(order.record.request, "old");
    order.begin_change(ChangeKind::Modify, b"new", None);
    assert!(order.move_change(ChangeState::Sent, "", 0));
    assert!(order.move_change(ChangeState::Done, "", 0));
    assert_eq!(order.record.request, "new");
}
