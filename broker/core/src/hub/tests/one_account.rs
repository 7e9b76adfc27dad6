//! Who has the one place for account updates: those who wished for them before the accounts of the
//! login were known, and those who wait for a load that never ends.

use ibouncer_proto::tws::messages::id;

use super::accounts::{instead, whole};
use super::*;

const FIRST: &str = "DU0000001";
const SECOND: &str = "DU0000002";

#[test]
fn who_names_the_first_account_and_who_names_none_share_its_updates_whoever_came_first() {
    for wishes in [["", FIRST], [FIRST, ""]] {
        let mut world = World::new(Settings::default());
        let (one, other) = (world.open(1), world.open(2));
        world.updates(one, wishes[0]);
        world.updates(other, wishes[1]);
        world.come_up(215, &[FIRST, "DU0000002"]);
        world.pass(1);
        for stream in [one, other] {
            assert_eq!(world.heard(stream), whole(FIRST), "{wishes:?}");
        }
        assert_eq!(world.sent_of(id::REQ_ACCT_DATA).len(), 1);
        for asked in [id::REQ_ACCOUNT_UPDATES_MULTI, id::REQ_POSITIONS_MULTI] {
            assert!(world.sent_of(asked).is_empty(), "what stood for them is not asked for");
        }
        let marks = world.marks(other);
        assert!(marks.iter().any(|(kind, _)| *kind == MarkKind::Reset), "{marks:?}");
    }
}

#[test]
fn the_place_of_a_load_that_never_ends_is_handed_on_all_the_same() {
    let mut world = World::at(Settings::default(), 215, &[FIRST, SECOND]);
    let (first, second) = (world.open(1), world.open(2));
    world.updates(first, FIRST);
    world.updates(second, SECOND);
    world.pass(1);
    world.input(Input::StreamClosed { stream: first });
    world.pass(9);
    assert_eq!(world.heard(second), instead(SECOND));
    world.pass(2);
    assert_eq!(world.heard(second), whole(SECOND));
}
