//! Answers without an id that say what they answer, and lists that do not.

use ibouncer_proto::api::v1 as api;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::calls::Asked;

impl World {
    fn ask_rule(&mut self, call: u64, number: i32) {
        self.call(
            call,
            Asked::market_rule(tws::MarketRuleRequest { market_rule_id: Some(number) }),
        );
    }

    fn rule(&mut self, number: i32) {
        let rule = tws::MarketRule { market_rule_id: Some(number), ..Default::default() };
        self.frame(id::MARKET_RULE, &rule);
    }

    fn told_rule(&mut self, call: u64) -> i32 {
        let told: api::GetMarketRuleResponse = self.answer(call);
        told.market_rule.unwrap().market_rule_id()
    }
}

#[test]
fn a_market_rule_is_told_to_whoever_asked_for_that_one() {
    let mut world = World::ready();
    world.ask_rule(1, 26);
    world.ask_rule(2, 32);
    assert_eq!(world.sent_of(id::REQ_MARKET_RULE).len(), 2, "neither holds the other back");
    for number in [99, 32, 26] {
        world.rule(number);
    }
    assert_eq!((world.told_rule(1), world.told_rule(2)), (26, 32));
    world.ask_rule(3, 26);
    assert_eq!(world.told_rule(3), 26, "what is kept for the session is what was asked for");
    assert_eq!(world.hub.counters.unrouted_frames, 1, "nobody asked for 99");
}

#[test]
fn a_rule_that_was_not_answered_holds_nobody_and_can_be_asked_for_again() {
    let mut world = World::ready();
    world.ask_rule(1, 26);
    world.ask_rule(2, 27);
    world.input(Input::CallDropped { call: CallId(2) });
    world.ask_rule(3, 27);
    assert_eq!(world.sent_of(id::REQ_MARKET_RULE).len(), 3, "its caller had gone");
    world.rule(27);
    assert_eq!(world.told_rule(3), 27);
    world.pass(31);
    assert_eq!(world.error(1).code, "GATEWAY_DEADLINE");
    world.ask_rule(4, 26);
    assert_eq!(world.sent_of(id::REQ_MARKET_RULE).len(), 4);
    world.rule(26);
    assert_eq!(world.told_rule(4), 26);
}

#[test]
fn an_advisors_groups_are_not_taken_for_its_aliases() {
    let mut world = World::ready();
    for (call, kind) in [(1, 1), (2, 3)] {
        let request = tws::FaRequest { fa_data_type: Some(kind) };
        world.call(call, Asked::advisor_configuration(request));
    }
    for kind in [3, 1] {
        let told = tws::ReceiveFa { fa_data_type: Some(kind), xml: Some(format!("<{kind}/>")) };
        world.frame(id::RECEIVE_FA, &told);
    }
    for (call, xml) in [(1, "<1/>"), (2, "<3/>")] {
        let told: api::GetAdvisorConfigurationResponse = world.answer(call);
        assert_eq!(told.configuration.unwrap().xml(), xml);
    }
}

#[test]
fn a_list_that_waits_for_a_late_answer_shows_how_long_at_most() {
    let mut world = World::ready();
    world.call(1, Ok(Asked::family_codes()));
    world.call(2, Ok(Asked::news_providers()));
    world.pass(31);
    world.call(3, Ok(Asked::family_codes()));
    let queue = world.hub.queue(ClientId(1), "", world.now);
    let [waits] = &queue.requests[..] else { panic!("{queue:?}") };
    let at_most = waits.expected_wait.as_ref().expect("it is known").seconds;
    assert!((290..=300).contains(&at_most) && waits.because.contains("late"), "{waits:?}");
    world.pass(300);
    assert_eq!(world.sent_of(id::REQ_FAMILY_CODES).len(), 2);
}
