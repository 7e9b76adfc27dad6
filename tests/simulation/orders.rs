//! Orders in the same world: owners that place, change and cancel, a journal, a Gateway that does
//! to orders whatever it can, and a reference model of what each owner was told.
//!
//! `owners.rs` has the owners and their model, `journal.rs` the disk, `acts.rs` what owners and
//! people do, `faults.rs` what breaks, `oracle.rs` what must hold at the end of each seed: the
//! exposure in Gateway's ledger is what the owners were told, or UNKNOWN there; nothing left
//! twice; what was refused or withdrawn never left; each fill reached its owner once.
//!
//! ```text
//!   SIM_SEED=17 cargo test -p ibouncer-tests --test simulation orders -- --nocapture
//! ```

mod acts;
mod faults;
mod journal;
mod oracle;
mod owners;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use ibouncer_core::ids::CallId;
use ibouncer_core::orders::journal::EventRecord;
use ibouncer_core::settings::Settings;
use ibouncer_gateway_sim::{Gateway, GatewayConfig, SeedOrder, SeedOwner, SeedState};
use ibouncer_proto::api::v1;
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1 as tws;
use prost::Message as _;

use crate::events::Event;
use crate::host::Host;
use crate::runner::{self, Run, from_environment};
use crate::world::World;
use journal::Journal;
use owners::{Asked, Owner};

/// Seeds of an ordinary test run.
const SEEDS: u64 = 2000;

/// The reserved client id.
const ALTERNATE: i32 = 499;

/// Everything about orders in one world.
#[derive(Default)]
pub(crate) struct Orders {
    /// There is trading in this world.
    on: bool,
    journal: Journal,
    owners: Vec<Owner>,
    calls: BTreeMap<CallId, Asked>,
    /// Events that this broker has shown.
    shown: BTreeMap<u64, EventRecord>,
    /// Placements that the hub let go, by order id.
    placed: BTreeMap<i32, u32>,
    /// Executions that Gateway has told.
    pub(crate) executions: Vec<tws::Execution>,
    /// The answer to the newest list.
    listed: Vec<v1::Order>,
    /// The right Gateway, while another one answers on its port.
    away: Option<Gateway>,
    /// Ids that went to that one: it was the first to answer, and so the journal was its login's.
    elsewhere: BTreeSet<i32>,
    linked: bool,
    /// Gateway has lost IB at least once. What it keeps back then comes into force later.
    was_unlinked: bool,
    /// The next broker finds no ledger, which knows how far session numbers are used up.
    ledger_lost: bool,
    /// The next group of orders is torn apart.
    tear: bool,
    strengths: [u32; faults::GROUPS],
    left: u32,
    asked: u64,
    refused: u64,
    events: u64,
    at_gateway: u64,
    unknown_at_end: u64,
    /// Frames that left under the reserved client id.
    alternate: u64,
    /// Groups of which Gateway has a part.
    torn: u64,
    corrected: u64,
}

impl Orders {
    /// Is this a world of orders?
    pub(crate) fn is_on(&self) -> bool {
        self.on
    }

    /// Are these the frames of the group that is to be torn apart?
    pub(crate) fn tears(&mut self, frames: &[u8]) -> bool {
        let places =
            |body: &&[u8]| Envelope::parse(body).is_ok_and(|one| one.message_id == id::PLACE_ORDER);
        let group = self.tear && frame::bodies(frames).filter(places).count() > 1;
        self.tear &= !group;
        group
    }

    /// The hub lets frames go, to a session of this client id.
    pub(crate) fn on_left(&mut self, frames: &[u8], client_id: i32) {
        if !self.on {
            return;
        }
        self.alternate += u64::from(client_id == ALTERNATE);
        for body in frame::bodies(frames) {
            let envelope = Envelope::parse(body).expect("the hub's frames are legal");
            let touches = matches!(envelope.message_id, id::PLACE_ORDER | id::CANCEL_ORDER);
            assert!(
                !touches || client_id != ALTERNATE,
                "under the reserved client id Gateway knows none of these orders"
            );
            if envelope.message_id == id::PLACE_ORDER {
                let request = tws::PlaceOrderRequest::decode(envelope.body).expect("it is one");
                let what_if = request.order.as_ref().is_some_and(tws::Order::what_if);
                if !what_if {
                    *self.placed.entry(request.order_id()).or_default() += 1;
                }
            }
        }
    }
}

/// Somebody else's orders that are there before.
fn foreign() -> Vec<SeedOrder> {
    let order = |owner, order_id, perm_id, buy| SeedOrder {
        owner,
        order_id,
        perm_id,
        account: 0,
        symbol: "NVDA".into(),
        buy,
        quantity: 20,
        limit_price: if buy { 10.0 } else { 900.0 },
        state: SeedState::Submitted,
        order_ref: "sim".into(),
    };
    vec![
        order(SeedOwner::Client(55), 3, 700_000_103, true),
        order(SeedOwner::Manual, 0, 700_000_104, false),
    ]
}

fn settings(rng: &mut Rng) -> Settings {
    let mut settings = crate::world::settings(rng);
    settings.attempts.startup_grace = Duration::ZERO;
    settings.alternate_client_id = rng.bool().then_some(ALTERNATE);
    settings.trading.enabled = true;
    settings.trading.reconcile_every = Duration::from_secs(60);
    settings.principals = owners::principals();
    settings
}

impl World {
    /// A world of orders, from its seed.
    fn trading(seed: u64, traced: bool) -> Self {
        let mut world = Self::new(seed.wrapping_add(1 << 32), traced);
        world.settings = settings(&mut world.rng);
        world.host = Host::new(GatewayConfig {
            seed: world.rng.u64(..),
            orders: foreign(),
            executions: Vec::new(),
            fill_part: 40,
            fill_interval: Duration::from_millis(world.rng.u64(1..2000)),
            manual_fills: world.rng.bool(),
            hold_client_id: Duration::from_secs(20) * u32::from(world.rng.u8(..4) == 0),
            ..GatewayConfig::default()
        });
        world.eyes.fail = false;
        // Paces are another test's.
        world.wire.disturbed = true;
        world.chaos = false;
        let strengths = std::array::from_fn(|group| faults::strength(group, &mut world.rng));
        let left = world.rng.u32(50..160);
        world.orders = Orders { on: true, linked: true, strengths, left, ..Orders::default() };
        world.orders.owners = owners::OWNERS.iter().map(|_| Owner::default()).collect();
        world
    }

    /// A broker opens its journal.
    pub(crate) fn open_journal(&mut self) {
        if self.orders.on {
            let loaded = self.orders.journal.load();
            let clock = self.clock();
            self.hub.open_trading(loaded, clock);
            self.owners_forget_unwritten();
            self.owners_return();
        }
    }

    /// From the first order to the oracle.
    fn run_orders(&mut self) {
        self.agenda.add(self.now, Event::Look);
        self.start_broker();
        self.run_until(Duration::from_secs(60), "READY", Self::is_ready);
        self.adopt_at_first();
        self.agenda.add(self.now, Event::OrderAct);
        while self.orders.left > 0 {
            self.step();
        }
        self.heal_orders();
        self.check_orders();
        self.stop();
    }
}

fn run(seed: u64, traced: bool) -> Run {
    runner::run_world(World::trading(seed, traced), "orders", seed, traced, World::run_orders)
}

#[test]
fn whatever_happens_owners_know_of_their_orders_or_know_that_they_do_not() {
    if let Some(seed) = from_environment("SIM_SEED") {
        let run = runner::quietly(|| run(seed, true));
        println!("{}\n{}", run.trace, run.summary);
        assert!(run.failure.is_none(), "seed {seed} failed, see above");
        return;
    }
    let begun = std::time::Instant::now();
    let seeds = from_environment("SIM_SEEDS").unwrap_or(SEEDS);
    let total = runner::quietly(|| runner::run_seeds(seeds, run));
    let took = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds of orders in {took:.1} s: {}; {total}", total.orders);
    assert!(total.failures.is_empty(), "{}", total.failures.join("\n\n"));
    // A suite in which nothing happens proves nothing.
    let orders = total.orders;
    assert!(orders.asked > 20 * seeds && orders.refused > seeds && orders.at_gateway > 5 * seeds);
    assert!(orders.executions > seeds && orders.unknown > 0);
    assert!(orders.disk_failures > 0 && orders.restored > 0 && orders.alternate > 0);
    assert!(orders.torn > 0 && orders.corrected > 0);
}

/// Sums over seeds.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    asked: u64,
    refused: u64,
    events: u64,
    at_gateway: u64,
    executions: u64,
    unknown: u64,
    disk_failures: u64,
    restored: u64,
    alternate: u64,
    torn: u64,
    corrected: u64,
}

impl Orders {
    /// What happened here.
    pub(crate) fn tally(&self) -> Tally {
        Tally {
            asked: self.asked,
            refused: self.refused,
            events: self.events,
            at_gateway: self.at_gateway,
            executions: self.executions.len() as u64,
            unknown: self.unknown_at_end,
            disk_failures: self.journal.failures,
            restored: self.journal.restored,
            alternate: self.alternate,
            torn: self.torn,
            corrected: self.corrected,
        }
    }
}

impl Tally {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.refused += other.refused;
        self.events += other.events;
        self.at_gateway += other.at_gateway;
        self.executions += other.executions;
        self.unknown += other.unknown;
        self.disk_failures += other.disk_failures;
        self.restored += other.restored;
        self.alternate += other.alternate;
        self.torn += other.torn;
        self.corrected += other.corrected;
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} calls, {} refused, {} events, {} orders at Gateway, {} executions told, {} \
             UNKNOWN for good, {} failures of the disk, {} backups restored, {} frames under the \
             reserved client id, {} groups torn apart, {} corrections",
            self.asked,
            self.refused,
            self.events,
            self.at_gateway,
            self.executions,
            self.unknown,
            self.disk_failures,
            self.restored,
            self.alternate,
            self.torn,
            self.corrected
        )
    }
}
