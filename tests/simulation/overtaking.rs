//! What is cancelled and what is asked for at one moment: at Gateway the cancels come first, so
//! that a subscription without an id is not ended by the cancel of the one before.

use std::time::Duration;

use crate::events::Event;
use crate::wishes::{Key, What};
use crate::world::World;

/// More cancels than most lanes let pass before their turn.
const QUOTES: u32 = 60;

/// The handshake, and all lines.
const SOON: Duration = Duration::from_secs(300);

/// Subscriptions of which a connection has one, and whose cancels have no id.
fn without_an_id() -> [Key; 2] {
    let key = |what, symbol| Key { what, symbol, generic: Vec::new(), feed: 1 };
    [key(What::Positions, "all accounts"), key(What::Updates, "DU0000001")]
}

#[test]
fn what_one_client_leaves_and_another_takes_up_at_once_goes_on() {
    let mut world = World::quiet(1);
    world.start_broker();
    world.run_until(SOON, "READY", World::is_ready);
    let (first, second) = (world.join(), world.join());
    let left = world.open_stream(first);
    for number in 1..=QUOTES {
        world.subscribe_as(left, number, Key::quotes("AAPL", vec![1_000 + number], 1));
    }
    for (number, key) in (QUOTES + 1..).zip(without_an_id()) {
        world.subscribe_as(left, number, key);
    }
    world.agenda.add(world.now, Event::Trade);
    world.run_until(SOON, "the first is served", World::is_served);

    let taken = world.open_stream(second);
    world.close_stream(left);
    for (number, key) in (1..).zip(without_an_id()) {
        world.subscribe_as(taken, number, key);
    }
    // Their first load, and then what is new.
    world.run_until(SOON, "the second has its load", World::is_served);
    let end = world.now + Duration::from_secs(10);
    while world.now < end && world.step() {}
    for stream in world.clients.streams.values_mut() {
        stream.pushed.forget_fresh();
    }
    world.run_until(SOON, "the second is served", World::is_served);
}
