//! What proves that a line has data again, and what Gateway says at once to every request.

use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;

use super::*;
use crate::lines::Upstream;

const BROKEN: &str = "Market data farm connection is broken:usfarm";

impl World {
    /// What comes at once for quotes, whether there are any or not.
    pub(super) fn parameters(&mut self) {
        let req_id = Some(self.line());
        self.frame(
            id::MARKET_DATA_TYPE,
            &tws::MarketDataType { req_id, market_data_type: Some(1) },
        );
        self.frame(id::TICK_REQ_PARAMS, &tws::TickReqParams { req_id, ..Default::default() });
    }

    /// Marks and prices; without what `parameters` brings.
    fn short(&mut self, stream: StreamId) -> Vec<String> {
        let mut story = self.story(stream);
        story.retain(|one| !one.contains("MarketDataType") && !one.contains("TickReqParams"));
        story
    }

    fn upstream(&self) -> Upstream {
        self.hub.lines.iter().next().expect("a line").1.upstream
    }
}

#[test]
fn the_type_and_the_parameters_of_quotes_are_no_data_of_a_line_that_was_asked_for_again() {
    for lost_by in ["1101", "a new worker"] {
        let mut world = World::ready();
        let (first, late) = (world.open(1), world.open(2));
        world.subscribe(first, 1, AAPL);
        world.parameters();
        world.tick(world.line(), 1.0);
        world.about(-1, 2103, BROKEN);
        if lost_by == "1101" {
            world.about(-1, 1100, "lost");
            world.about(-1, 1101, "restored");
        } else {
            world.worker(WorkerEvent::Exited(ExitStatus::Signal(9)));
            world.look();
            world.pass(1);
            world.handshake();
        }
        assert_eq!(world.asked(), 2, "{lost_by}");
        world.parameters();
        assert_eq!(world.short(first), ["Subscribed 1", "new 1", "Stale 1"], "{lost_by}");
        assert_eq!(world.upstream().name(), "requested", "{lost_by}");
        world.subscribe(late, 1, AAPL);
        let epoch = world.hub.session.epoch().0;
        let told = [format!("Subscribed {epoch}"), "old 1".into(), format!("Stale {epoch}")];
        assert_eq!(world.short(late), told, "{lost_by}");
        world.tick(world.line(), 2.0);
        for stream in [first, late] {
            let told = [format!("Resumed {epoch}"), "new 2".into()];
            assert_eq!(world.short(stream), told, "{lost_by}");
        }
        assert_eq!(world.upstream().name(), "live");
    }
}

#[test]
fn the_type_of_quotes_does_not_prove_that_a_doubted_line_lives() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.tick(world.line(), 1.0);
    world.about(-1, 2103, BROKEN);
    world.parameters();
    assert_eq!(world.short(stream), ["Subscribed 1", "new 1", "Stale 1"]);
    world.about(-1, 2104, "Market data farm connection is OK:usfarm");
    assert_eq!(world.short(stream), ["Resumed 1"]);
}

#[test]
fn a_line_that_never_had_anything_is_not_called_old_once_gateway_serves_it() {
    let mut world = World::new(Settings::default());
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.input(Input::Start);
    world.handshake();
    world.parameters();
    assert_eq!(world.short(stream), ["Subscribed 0", "Stale 0", "Resumed 1"]);
    assert_eq!(world.upstream().name(), "requested", "there is no data, and that is said too");
    world.tick(world.line(), 1.0);
    assert_eq!(world.short(stream), ["new 1"]);
}

#[test]
fn a_request_that_was_answered_without_data_is_overdue_no_more_and_not_made_again() {
    let mut world = World::ready();
    let stream = world.open(1);
    world.subscribe(stream, 1, AAPL);
    world.parameters();
    let (_, next) = world.hub.heartbeat.poll_timeout().unwrap();
    assert_ne!(next, "overdue answer");
    world.about(-1, 100, "Max rate of messages per second has been exceeded");
    world.pass(2);
    assert_eq!(world.asked(), 1);
}
