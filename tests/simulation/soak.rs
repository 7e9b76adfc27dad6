//! One world for long, in virtual time: thousands of kills, stalls, restarts and adoptions, and
//! nothing may grow: processes, sockets, what is due, and the tables of hub and disk.

use std::time::Duration;

use ibouncer_gateway_sim::{End, Fault};

use crate::wishes::Key;
use crate::world::World;

/// Ends of something, each followed by READY.
const CYCLES: u64 = 2400;

/// Cycles between two looks at what exists.
const INTERVAL: u64 = 100;

/// A stalled handshake, a rung of backoff and an absent broker together take less.
const BACK_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Programs, and what each subscribes to.
const CLIENTS: usize = 3;
const SYMBOLS: [&str; 3] = ["AAPL", "MSFT", "NVDA"];

/// What exists in the world.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    sockets: usize,
    due: usize,
    routes: usize,
    waiting: usize,
    open_requests: usize,
    ledger: usize,
}

impl World {
    fn sizes(&self) -> Sizes {
        let (routes, waiting) = self.hub.backlog();
        Sizes {
            sockets: self.host.sockets(),
            due: self.agenda.len(),
            routes,
            waiting,
            open_requests: self.disk.open.len(),
            ledger: self.disk.record.attempts.len(),
        }
    }

    /// Something ends.
    fn end_something(&mut self, cycle: u64) {
        match cycle % 8 {
            0 | 4 => self.kill_broker(),
            1 => self.murder(),
            2 => self.stop_process(),
            3 => self.tell_broker_to_end(false),
            5 => self.cut_link(),
            6 => {
                // The next handshake stalls, and the one behind it does not.
                self.set_fault(Some(Fault::AcceptAndMute), Some(1));
                self.close_all(End::Reset);
            }
            _ if (cycle / 8).is_multiple_of(2) => self.restart_gateway(Duration::from_secs(5)),
            _ => self.tell_broker_to_end(true),
        }
    }

    fn settle(&mut self) {
        self.run_until(BACK_WITHIN, "READY", World::is_ready);
        // What was ordered before the end has time to be over.
        let end = self.now + Duration::from_secs(30);
        while self.now < end && self.step() {}
        self.run_until(BACK_WITHIN, "READY lasts", World::is_ready);
    }
}

#[test]
fn thousands_of_kills_stalls_restarts_and_adoptions_leak_nothing() {
    let mut world = World::quiet(1);
    world.start_broker();
    world.settle();
    for _ in 0..CLIENTS {
        let client = world.join();
        let stream = world.open_stream(client);
        for (number, symbol) in (1..).zip(SYMBOLS) {
            world.subscribe_as(stream, number, Key::quotes(symbol, Vec::new(), 1));
        }
    }
    let mut most = None;
    for cycle in 1..=CYCLES {
        world.end_something(cycle);
        world.settle();
        if !cycle.is_multiple_of(INTERVAL) {
            continue;
        }
        world.run_until(BACK_WITHIN, "everybody is served", World::is_served);
        let sizes = world.sizes();
        assert!(world.os.process.is_some());
        assert_eq!(world.clients.table.len(), CLIENTS);
        assert_eq!(world.hub.list_lines().len(), SYMBOLS.len());
        assert!(sizes.sockets <= 2 && sizes.waiting == 0, "{sizes:?} after {cycle} cycles");
        assert!(sizes.open_requests == SYMBOLS.len(), "{sizes:?} after {cycle} cycles");
        assert!(sizes.routes <= 2 * SYMBOLS.len(), "{sizes:?} after {cycle} cycles");
        assert!(sizes.ledger <= 20 && sizes.due < 100, "{sizes:?} after {cycle} cycles");
        most = Some(sizes);
    }
    println!(
        "{CYCLES} cycles: {} workers, {} brokers killed, {} adoptions, {} relinks, {} h, {most:?}",
        world.os.spawned,
        world.broker.deaths,
        world.adoptions,
        world.relinks,
        world.now.as_secs() / 3600
    );
    assert!(world.adoptions > CYCLES / 8 && world.relinks > CYCLES / 16);
}
