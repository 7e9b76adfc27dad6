//! The examination from start to end: look, ask the budget, perhaps make handshakes, diagnose.
//!
//! This is the shell. The passive stage reads the kernel's tables, what is remembered of Gateway
//! and who holds which lock, and changes nothing. Handshakes are made only under the locks of the
//! client id, so that its broker does not start meanwhile, and under Gateway's handshake lock, so
//! that no broker dials; each is entered into Gateway's record before it is made. Whether one may
//! be made is decided by [`crate::gate`], what it all means by [`crate::diagnose`]; when a question in
//! TLS follows, by `in_tls`.

mod in_tls;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ibouncer_broker::ledger::LedgerFile;
use ibouncer_broker::places::{Lock, Locks, PlaceError};
use ibouncer_broker::turn::Turn;
use ibouncer_core::attempts::FailureClass;
use ibouncer_core::record::{Claim, Record, Wedged};
use ibouncer_core::settings::AttemptSettings;
use ibouncer_core::sight::Sight;
use ibouncer_eyes::Setting;
use thiserror::Error;

use crate::diagnose::{Diagnosis, class_of, diagnose};
use crate::eyes::Looker;
use crate::facts::{BrokerFacts, Facts, LedgerFacts};
use crate::gate::{self, Circumstances, Refusal};
use crate::locks::{Holder, holder, neighbour, occupant};
use crate::plan::Plan;
use crate::probe;
use crate::timeline::{End, Timeline};

/// Between the two looks that show whether a queue drains.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A wait after a silence that is not longer is waited out; a person does not notice it.
const SHORT_WAIT_MS: u64 = 5_000;

/// Longest part of a reason that is kept in the record.
const LONGEST_REASON: usize = 120;

/// Why there is no examination.
#[derive(Debug, Error)]
pub enum DoctorError {
    /// The address cannot be resolved.
    #[error("resolve Gateway's address {address:?}")]
    Resolve {
        /// As it was given.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It has no address at all.
    #[error("Gateway's address {address:?} resolves to nothing")]
    Nothing {
        /// As it was given.
        address: String,
    },
}

/// What is examined, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// Gateway.
    pub gateway: SocketAddr,
    /// Client id of the broker whose locks are taken.
    pub broker_client_id: i32,
    /// Handshakes to be made; `None` is the passive stage alone.
    pub plan: Option<Plan>,
    /// A row of handshakes is carried out; otherwise it is only shown.
    pub run: bool,
    /// Why a person overrides what can be overridden.
    pub override_reason: Option<String>,
    /// How Gateway is reached, by the operator's word.
    pub eyes: Setting,
    /// Folder of the locks of this user.
    pub locks: PathBuf,
    /// Silent handshakes in a row that may be made; 0 means any number.
    pub silent_budget: u32,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Report {
    /// Everything that is known.
    pub facts: Facts,
    /// What it means.
    pub diagnosis: Diagnosis,
    /// A row that was shown and not made, and what would stand in its way now.
    pub dry_run: Option<(Plan, Option<Refusal>)>,
}

/// The first address that a name has, as the broker resolves it.
pub fn resolve(address: &str) -> Result<SocketAddr, DoctorError> {
    let found = address
        .to_socket_addrs()
        .map_err(|source| DoctorError::Resolve { address: address.to_owned(), source })?
        .min_by_key(|address| !address.is_ipv4());
    found.ok_or_else(|| DoctorError::Nothing { address: address.to_owned() })
}

/// Examines. `broker` is what a running broker says about this very Gateway, `broker_note` why
/// one is of no help.
pub fn examine(order: &Order, broker: Option<BrokerFacts>, broker_note: Option<String>) -> Report {
    let mut examination = Examination::begin(order, broker, broker_note);
    let mut dry_run = None;
    match &order.plan {
        Some(plan) if plan.is_row() && !order.run => {
            let obstacle = examination.obstacle();
            dry_run = Some((plan.clone(), obstacle));
        }
        Some(plan) => examination.carry_out(plan),
        None => {}
    }
    let facts = examination.facts;
    Report { diagnosis: diagnose(&facts), facts, dry_run }
}

struct Examination<'a> {
    order: &'a Order,
    eyes: Looker,
    locks: Result<Locks, String>,
    /// Who serves this Gateway under another client id.
    neighbour: Option<Refusal>,
    facts: Facts,
}

impl<'a> Examination<'a> {
    /// The passive stage.
    fn begin(order: &'a Order, broker: Option<BrokerFacts>, note: Option<String>) -> Self {
        let worker = broker.as_ref().and_then(|broker| broker.worker);
        let mut eyes = Looker::new(order.gateway, order.eyes, worker);
        let (sight, queue_stands) = look_twice(&mut eyes);
        let locks = Locks::new(order.locks.clone(), order.gateway, order.broker_client_id)
            .map_err(|error| chain(&error));
        let usable = locks.as_ref().map_err(Clone::clone);
        let neighbour = usable.as_ref().ok().and_then(|own| neighbour(own, order.broker_client_id));
        let ledger = usable.and_then(|locks| {
            let hold = LedgerFile::at(locks.ledger()).peek(order.gateway)?.hold;
            let mut record = Turn::new(locks, order.gateway, "").peek()?;
            gate::forget_if_restarted(&mut record, &sight);
            let hold = hold.map(|hold| hold.reason);
            let mut facts = LedgerFacts::of(&record, hold, order.silent_budget);
            // What the broker knows is newer than what it has written.
            if let Some((used, _)) = broker.as_ref().and_then(|broker| broker.silence) {
                facts.silent_in_row = used;
            }
            Ok(facts)
        });
        let mut facts = Facts {
            gateway: order.gateway,
            now_unix_ms: unix_millis(),
            sight,
            queue_stands,
            ledger,
            broker,
            broker_note: note,
            timelines: Vec::new(),
            refusal: None,
        };
        let own = locks.as_ref().ok().and_then(occupant);
        facts.broker_note = match own.or_else(|| neighbour.clone()) {
            _ if facts.broker.is_some() => facts.broker_note,
            Some(Refusal::BrokerServes { who }) => {
                Some(format!("the lock is held, and its holder cannot be asked: {who}"))
            }
            Some(_) => Some(
                "a worker lives on without its broker, and may hold a live session: start the \
                 broker, and it takes that over"
                    .to_owned(),
            ),
            None => facts.broker_note,
        };
        Self { order, eyes, locks, neighbour, facts }
    }

    /// What would stand in the way of a handshake now, without taking anything.
    fn obstacle(&self) -> Option<Refusal> {
        let locks = match &self.locks {
            Ok(locks) => locks,
            Err(because) => return Some(Refusal::NoLock { because: because.clone() }),
        };
        if let Err(refusal) = self.allowed() {
            return Some(refusal);
        }
        occupant(locks).or_else(|| match holder(&locks.handshake()) {
            Holder::Held(who) => Some(Refusal::HandshakeUnderWay { who }),
            Holder::Nobody | Holder::Unknown => None,
        })
    }

    fn allowed(&self) -> Result<(), Refusal> {
        if let Some(obstacle) = self.neighbour.clone().filter(|_| self.facts.broker.is_none()) {
            return Err(obstacle);
        }
        let ledger = match &self.facts.ledger {
            Ok(ledger) => ledger,
            Err(because) => return Err(Refusal::NoLock { because: because.clone() }),
        };
        gate::allow(&Circumstances {
            broker: self.facts.broker.as_ref(),
            ledger,
            sight: &self.facts.sight,
            queue_stands: self.facts.queue_stands,
            starting: is_starting(&self.facts.sight),
            now_ms: unix_millis(),
            overridden: self.order.override_reason.is_some(),
        })
    }

    fn carry_out(&mut self, plan: &Plan) {
        if let Err(refusal) = self.carry_out_under_lock(plan) {
            self.facts.refusal = Some(refusal);
        }
    }

    /// All locks are held until the last handshake is over.
    fn carry_out_under_lock(&mut self, plan: &Plan) -> Result<(), Refusal> {
        // A live session is asked about first: it needs no lock to be left alone.
        if self.facts.broker.is_some() {
            self.allowed()?;
        }
        let (mut turn, mut record, hold, _held) = self.take_locks()?;
        record.settle_in_flight();
        gate::forget_if_restarted(&mut record, &self.facts.sight);
        for (index, step) in plan.steps.iter().enumerate() {
            if index > 0 {
                std::thread::sleep(plan.pause);
                self.facts.sight = self.eyes.look();
            }
            self.facts.ledger = Ok(self.ledger_facts(&record, &hold));
            self.allowed_soon()?;
            let period = probe_period(&self.facts.sight);
            record.begin(&self.name(), unix_millis(), period);
            turn.enter(&record).map_err(|error| no_lock(&error))?;

            let mut at_deadline = None;
            let timeline = probe::run(step, &mut || at_deadline = Some(self.eyes.look()));
            if let Some(sight) = at_deadline {
                self.facts.sight = sight;
            }
            self.enter(&mut record, &timeline);
            let written = turn.enter(&record);
            self.facts.ledger = Ok(self.ledger_facts(&record, &hold));
            let over = ends_a_row(&timeline);
            self.facts.timelines.push(timeline);
            written.map_err(|error| no_lock(&error))?;
            if over {
                break;
            }
        }
        self.ask_in_tls(plan, &mut record, &hold, &mut turn)?;
        self.facts.now_unix_ms = unix_millis();
        Ok(())
    }

    /// The same once a short wait is over.
    fn allowed_soon(&mut self) -> Result<(), Refusal> {
        match self.allowed() {
            Err(Refusal::TooEarly { wait_ms }) if wait_ms <= SHORT_WAIT_MS => {
                std::thread::sleep(Duration::from_millis(wait_ms));
                self.facts.sight = self.eyes.look();
                self.allowed()
            }
            answer => answer,
        }
    }

    fn ledger_facts(&self, record: &Record, hold: &Option<String>) -> LedgerFacts {
        LedgerFacts::of(record, hold.clone(), self.order.silent_budget)
    }

    /// Nobody dials once these are ours; so it is looked once more who serves this Gateway.
    fn take_locks(&mut self) -> Result<(Turn, Record, Option<String>, [Lock; 2]), Refusal> {
        let locks = match &self.locks {
            Ok(locks) => locks,
            Err(because) => return Err(Refusal::NoLock { because: because.clone() }),
        };
        let who = format!("ibouncer doctor, pid {}", std::process::id());
        let Order { gateway, broker_client_id, .. } = self.order;
        let broker = match locks.take(*gateway, *broker_client_id, &who) {
            Ok(lock) => lock,
            Err(PlaceError::Taken { holder, .. }) => {
                return Err(Refusal::BrokerServes { who: holder });
            }
            Err(error) => return Err(no_lock(&error)),
        };
        // A worker can outlive its broker, with a live session.
        let worker = match locks.take_worker(&who) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(Refusal::WorkerLives),
            Err(error) => return Err(no_lock(&error)),
        };
        let mut turn = Turn::new(locks, *gateway, &who);
        let record = match turn.claim() {
            Claim::Ours(record) => *record,
            Claim::Taken { holder } => return Err(Refusal::HandshakeUnderWay { who: holder }),
            Claim::Unusable { because } => return Err(Refusal::NoLock { because }),
        };
        let (ledger, _) = LedgerFile::at(locks.ledger()).read(*gateway);
        self.neighbour = neighbour(locks, *broker_client_id);
        Ok((turn, record, ledger.hold.map(|hold| hold.reason), [broker, worker]))
    }

    /// What stands as "by" in the record.
    fn name(&self) -> String {
        match &self.order.override_reason {
            None => "doctor".to_owned(),
            Some(reason) => {
                let reason: String = reason.chars().take(LONGEST_REASON).collect();
                format!("doctor, override: {reason}")
            }
        }
    }

    /// Enters how it went; after the last silence that may be, Gateway counts as wedged.
    fn enter(&self, record: &mut Record, timeline: &Timeline) {
        let (sight, settings) = (&self.facts.sight, AttemptSettings::default());
        let (starting, known) = (is_starting(sight), sight.known_listener());
        let Some(class) = class_of(timeline, sight) else {
            record.failures = 0;
            return record.on_ready();
        };
        record.end(class, starting, known);
        let now = unix_millis();
        if class == FailureClass::Silent {
            record.back_off(&settings.backoff, now);
        }
        let budget = self.order.silent_budget;
        if budget == 0 || record.silent_in_row < budget || starting {
            return;
        }
        let period = probe_period(sight);
        let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let since_ms = record.wedged.as_ref().map_or(now, |wedged| wedged.since_ms);
        let probe_at_ms = now.saturating_add(period);
        record.wedged = Some(Wedged { since_ms, probe_at_ms, listener: known });
        record.queued = sight.counts() && sight.accept_queue().is_some_and(|waiting| waiting > 0);
    }
}

/// Nothing is learnt by going on: silence, and what is sure to repeat itself.
fn ends_a_row(timeline: &Timeline) -> bool {
    let dead = matches!(timeline.end, End::Refused | End::TcpTimeout | End::TcpFailed(_));
    timeline.was_silent() || dead
}

/// A second look only if connections wait: is the queue being worked on?
fn look_twice(eyes: &mut Looker) -> (Sight, bool) {
    let first = eyes.look();
    let Some(before @ 1..) = first.accept_queue().filter(|_| first.counts()) else {
        return (first, false);
    };
    std::thread::sleep(SECOND_LOOK);
    let second = eyes.look();
    let stands = second.accept_queue().is_some_and(|now| now >= before);
    (second, stands)
}

/// Within this time of its listener's start Gateway may be silent without being wedged.
fn is_starting(sight: &Sight) -> bool {
    let Some(Ok(process)) = sight.listener().map(|listener| &listener.process) else {
        return false;
    };
    let age = (unix_millis() / 1000).saturating_sub(process.started_unix);
    sight.counts() && age < AttemptSettings::default().startup_grace.as_secs()
}

/// Between two probes of a wedged Gateway.
fn probe_period(sight: &Sight) -> Duration {
    let settings = AttemptSettings::default();
    if sight.counts() { settings.slow_probe_local } else { settings.slow_probe_remote }
}

fn no_lock(error: &PlaceError) -> Refusal {
    Refusal::NoLock { because: chain(error) }
}

fn chain(error: &PlaceError) -> String {
    match std::error::Error::source(error) {
        None => error.to_string(),
        Some(cause) => format!("{error}: {cause}"),
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
