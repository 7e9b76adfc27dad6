//! The end of each seed: everything that was broken is healed, and then the system must come
//! back by itself, within a bound, and serve everybody who is still there. At last it is told
//! to stop, and must.

use std::time::Duration;

use ibouncer_core::hub::Input;
use ibouncer_core::session::StateKind;
use ibouncer_gateway_sim::{End, Happening, Limit, SeedOwner};

use crate::events::Event;
use crate::follower::Life;
use crate::os::{Births, Process};
use crate::world::World;

/// What was broken before may show only later: a heartbeat that is missed three times, a link
/// that was cut, a handshake under way.
const SETTLED: Duration = Duration::from_secs(60);

/// The longest wait of a broker that found nothing to fix: a slow probe, and a rung of backoff.
const READY_WITHIN: Duration = Duration::from_secs(15 * 60 + 8 * 60);

/// All lines are asked for, and the slowest Gateway ticks once for each.
const SERVED_WITHIN: Duration = Duration::from_secs(900);

/// Between two trades by hand, once the world is healed.
const TRADES: Duration = Duration::from_secs(20);

/// An ordered end takes the drain, a kill and a wait.
const STOPPED_WITHIN: Duration = Duration::from_secs(12);

impl World {
    /// Nothing is broken from now on.
    pub(crate) fn heal(&mut self) {
        self.trace("the world is healed");
        self.os.births = Births::Ordinary;
        self.eyes.fail = false;
        self.broker.doom = None;
        if self.broker.lives && self.rng.u8(..4) == 0 {
            self.kill_broker();
        }
        // A broker that is told to end is followed by another one soon.
        let pause = Duration::from_micros(self.rng.u64(..20_000_000));
        self.agenda.add(self.now + pause, Event::BrokerUp(self.broker.number + 1));
        self.os.foreign_lock = false;
        self.host.unreachable = false;
        self.network.partitioned_until = self.now;
        self.set_fault(None, None);
        // Of 32 connections so many are held by clients that are gone, without a reset to tell.
        let crowded = self.host.gateway.report().open > 16;
        if self.host.stuck || crowded || self.rng.bool() {
            // A person restarts Gateway: nothing else frees what hangs in it.
            let away = Duration::from_millis(self.rng.u64(100..5000));
            self.restart_gateway(away);
        }
        self.announce(1102, "Connectivity has been restored - data maintained.");
        // Without a broker of its own, nobody else frees what a stopped worker holds.
        let orphaned = |process: &Process| process.owner.is_none();
        if self.os.process.as_ref().is_some_and(orphaned) || self.rng.bool() {
            self.continue_process();
        }
        for stream in self.clients.streams.values_mut() {
            stream.slow = false;
        }
    }

    /// Until READY, all served, and all stopped.
    pub(crate) fn recover(&mut self) {
        let settled = self.now + SETTLED;
        while self.now < settled && self.step() {}
        if self.state == StateKind::Held && self.disk.ledger.hold.is_some() {
            self.release();
        } else if self.state == StateKind::Held
            || (self.state == StateKind::Wedged && self.rng.bool())
        {
            self.retry();
        }
        self.run_until(READY_WITHIN, "READY", World::is_ready);
        // Whoever listens now must hear something that is new.
        for stream in self.clients.streams.values_mut() {
            stream.pushed.forget_fresh();
        }
        self.agenda.add(self.now, Event::Trade);
        self.run_until(SERVED_WITHIN, "everybody is served", World::is_served);
        let clients = &self.clients;
        assert_eq!(clients.asked, clients.answered + clients.dropped, "calls and answers");
        assert_eq!(self.state, StateKind::Ready, "READY lasts");
        self.check_limits();
        self.stop();
    }

    /// A broker that knows all that was asked for breaks no rule of Gateway.
    fn check_limits(&self) {
        if self.broker.number > 1 || self.wire.disturbed || self.network.jitter {
            return;
        }
        let by_others = [Limit::Connections, Limit::MessageRate];
        for (limit, count) in self.host.gateway.report().limits {
            assert!(count == 0 || by_others.contains(&limit), "{limit:?} was broken");
        }
    }

    /// Somebody trades by hand, so that there is something new to say of positions.
    pub(crate) fn trade(&mut self) {
        let (symbol, quantity, owner) = ("AAPL".to_owned(), 1, SeedOwner::Manual);
        self.happen(&Happening::Execution { symbol, quantity, owner });
        if !self.ends {
            self.agenda.add(self.now + TRADES, Event::Trade);
        }
    }

    pub(crate) fn is_ready(&mut self) -> bool {
        self.broker.lives && self.state == StateKind::Ready
    }

    pub(crate) fn is_served(&mut self) -> bool {
        let all_back = self.broker.lives && self.clients.returning.is_empty();
        let heard = self.clients.streams.values().all(|stream| {
            let lives = stream.pushed.lives();
            let heard = |life: &Life| !life.stale && life.fresh > 0;
            stream.is_read() && lives.values().all(heard)
        });
        all_back && heard && self.clients.next_answer().is_none()
    }

    pub(crate) fn stop(&mut self) {
        self.trace("the broker is told to stop");
        if self.rng.u8(..4) == 0 {
            self.stop_process();
        }
        if self.rng.u8(..8) == 0 {
            self.close_all(End::Reset);
        }
        self.ends = true;
        let because = "the simulation ends".to_owned();
        self.input(Input::Stop { because });
        self.run_until(STOPPED_WITHIN, "the broker has stopped", |world| world.stopped);
        assert!(self.os.process.is_none(), "a worker is left behind");
        assert!(self.clients.next_answer().is_none(), "a call is left behind");
        let all = self.clients.streams.values().flat_map(|stream| stream.pushed.lives().values());
        assert!(all.clone().all(|life| life.stale), "somebody was not told");
    }

    pub(crate) fn run_until(
        &mut self,
        within: Duration,
        what: &str,
        mut done: impl FnMut(&mut Self) -> bool,
    ) {
        let end = self.now + within;
        while !done(self) {
            assert!(self.step(), "{what}: nothing is due any more, state {}", self.state);
            assert!(
                self.now <= end,
                "{what}: not within {within:?}, {} of broker {}, next {:?}, lines {:?}",
                self.state,
                self.broker.number,
                self.hub.poll_timeout().map(|(_, why)| why),
                self.hub.list_lines().iter().map(|line| line.state.clone()).collect::<Vec<_>>(),
            );
        }
    }
}
