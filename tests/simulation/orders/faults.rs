//! What breaks: processes, the link, the network, the disk, and whatever Gateway does to orders.

use std::time::Duration;

use fastrand::Rng;
use ibouncer_gateway_sim::{
    ClockBase, DropAtOrder, Gateway, GatewayConfig, Happening, OrderHappening, OrderName, SeedOwner,
};

use crate::events::Event;
use crate::world::World;

/// Groups of acts: owners, orders at Gateway, answers, processes, the way, Gateway, the disk.
pub(crate) const GROUPS: usize = 7;

/// How strong a group is in a world.
pub(crate) fn strength(group: usize, rng: &mut Rng) -> u32 {
    match (group, rng.u8(..4)) {
        (0, _) => 40,
        (1, _) => 8,
        (_, 0) => 0,
        (_, 1) => 8,
        _ => 3,
    }
}

/// Of the login that answers on the port now and then.
pub(crate) const OTHER_ACCOUNT: &str = "DU0000099";

const DROPS: [DropAtOrder; 3] = [DropAtOrder::Refused, DropAtOrder::Accepted, DropAtOrder::Later];

impl World {
    /// The next random act, and when the one after it comes.
    pub(crate) fn order_act(&mut self) {
        if self.orders.left == 0 {
            return;
        }
        let strengths = self.orders.strengths;
        let mut place = self.rng.u32(..strengths.iter().sum::<u32>());
        let group = strengths.iter().position(|strength| match place.checked_sub(*strength) {
            Some(rest) => {
                place = rest;
                false
            }
            None => true,
        });
        match group.unwrap_or_default() {
            0 => self.owner_acts(),
            1 => self.happen_to_orders(),
            2 => self.spoil_answers(),
            3 => self.end_processes(),
            4 => self.spoil_the_way(),
            5 => self.trouble_gateway(),
            _ => self.trouble_disk(),
        }
        self.orders.left -= 1;
        let gap = match self.rng.u8(..100) {
            0..=39 => self.rng.u64(..2000),
            40..=74 => self.rng.u64(..100_000),
            75..=92 => self.rng.u64(..2_000_000),
            _ => self.rng.u64(..20_000_000),
        };
        self.agenda.add(self.now + Duration::from_micros(gap), Event::OrderAct);
    }

    fn order_happens(&mut self, what: OrderHappening) {
        self.happen(&Happening::Order(what));
    }

    /// Something happens to an order that is there, or somebody else places one.
    fn happen_to_orders(&mut self) {
        use OrderHappening as To;
        let ledger = self.host.gateway.ledger();
        let orders: Vec<_> = ledger.orders.iter().map(|one| OrderName::Perm(one.perm_id)).collect();
        let Some(order) = self.rng.choice(orders) else {
            return;
        };
        let what = match self.rng.u8(..10) {
            0..=2 => {
                let quantity = self.rng.bool().then(|| self.rng.u32(1..60).to_string());
                To::Fill { order, quantity, price: Some(230.0) }
            }
            3 => To::Correct { order, price: 231.0, quantity: None },
            4 => To::Cancel(order),
            5 => To::Reject { order, code: 201 },
            6 => To::Inactive(order),
            7 => To::Active(order),
            8 => To::RepeatStatus(order),
            _ => {
                let manual = self.rng.bool();
                let owner = if manual { SeedOwner::Manual } else { SeedOwner::Client(55) };
                let order_id = if manual { 0 } else { self.rng.i32(10..40) };
                let limit = self.rng.bool().then_some(10.0);
                To::Place { owner, order_id, symbol: "AAPL".into(), quantity: 5, limit }
            }
        };
        self.order_happens(what);
    }

    /// What Gateway will do to the next orders, cancels and lists.
    fn spoil_answers(&mut self) {
        use OrderHappening as To;
        let count = self.rng.u32(1..4);
        let drop = DROPS[self.rng.usize(..3)];
        let what = match self.rng.u8(..16) {
            14..=15 => To::ShortList(count),
            13 => return self.orders.tear = true,
            0 => To::LoseAnswers(count),
            1 => To::LoseCancelAnswers(count),
            2 => To::AnswerLater(count),
            3 => To::DropAtOrder(drop),
            4 => To::DropAtCancel(drop),
            5 => To::EarlyEnd(count),
            6 => To::ForeignEnd(count),
            7 => To::RepeatNext(count),
            8 => To::SilentFill(count),
            9 => To::RejectNext { code: 201, count },
            10 => To::WarnNext { code: 399, count },
            11 => To::PartNext { quantity: "3".into(), count },
            _ => To::RefuseCancel { code: [161, 10147, 10148][self.rng.usize(..3)], count },
        };
        self.order_happens(what);
    }

    fn end_processes(&mut self) {
        match self.rng.u8(..8) {
            0..=1 => self.murder(),
            _ if !self.broker.lives => {}
            2 => self.kill_broker(),
            3..=5 => self.broker.doom = Some(self.rng.u32(..12)),
            6 => self.tell_broker_to_end(false),
            _ => self.tell_broker_to_end(true),
        }
    }

    fn spoil_the_way(&mut self) {
        match self.rng.u8(..5) {
            0..=1 => {
                if let Some(process) = &mut self.os.process {
                    process.disturbed = true;
                }
                self.cut_link();
            }
            2 => {
                let time = Duration::from_millis(self.rng.u64(1..6000));
                self.stall_link(time);
            }
            3 => {
                let time = Duration::from_millis(self.rng.u64(10..8000));
                self.trace(&format!("TCP is parted for {time:?}"));
                self.network.partitioned_until = self.now + time;
            }
            _ => self.happen(&Happening::Order(OrderHappening::EndMark)),
        }
    }

    fn trouble_gateway(&mut self) {
        match self.rng.u8(..8) {
            0..=1 => self.gateway_begins_anew(),
            2 => self.swap_gateway(),
            3..=4 => {
                self.orders.linked = false;
                self.orders.was_unlinked = true;
                self.happen(&Happening::LinkLost);
            }
            5 => {
                self.orders.linked = true;
                self.happen(&Happening::RestoredWithoutData);
            }
            _ => {
                self.orders.linked = true;
                self.happen(&Happening::RestoredWithData);
            }
        }
    }

    /// Gateway restarts, with a memory of ids that may be older.
    pub(crate) fn gateway_begins_anew(&mut self) {
        let away = Duration::from_millis(self.rng.u64(100..20_000));
        let roll_back = self.rng.i32(0..8) * i32::from(self.rng.bool());
        self.restart_gateway(away);
        self.happen(&Happening::Restart { roll_back });
        self.orders.linked = true;
    }

    /// A session under the reserved client id lasts until something ends it; here a Gateway that is
    /// away for longer than it holds an id.
    pub(super) fn give_main_id_back(&mut self) {
        self.restart_gateway(Duration::from_secs(60));
        self.happen(&Happening::Restart { roll_back: 0 });
        self.orders.linked = true;
    }

    /// Another login answers on the port, or the right one again.
    fn swap_gateway(&mut self) {
        self.gateway_begins_anew();
        if let Some(right) = self.orders.away.take() {
            let wrong = std::mem::replace(&mut self.host.gateway, right);
            self.check_other_login(&wrong);
        } else {
            let unix_millis = 1_795_457_715_000;
            let config = GatewayConfig {
                accounts: vec![OTHER_ACCOUNT.into()],
                orders: Vec::new(),
                executions: Vec::new(),
                positions: Vec::new(),
                ..GatewayConfig::default()
            };
            let clock = ClockBase { unix_millis, monotonic_nanos: 5_000_000_000 };
            let wrong = Gateway::new(config, clock);
            self.orders.away = Some(std::mem::replace(&mut self.host.gateway, wrong));
        }
        self.trace(&format!("another login: {}", self.orders.away.is_some()));
        self.wire.forget_connections();
    }

    fn trouble_disk(&mut self) {
        let journal = &mut self.orders.journal;
        match self.rng.u8(..7) {
            0..=1 => journal.full = !journal.full,
            2 => journal.full = false,
            3 => journal.slow = !journal.slow,
            4 => self.orders.ledger_lost = true,
            _ => journal.back_up(),
        }
    }

    /// Nothing is broken from now on.
    pub(crate) fn heal_orders(&mut self) {
        use OrderHappening as To;
        self.orders.journal.full = false;
        self.orders.journal.slow = false;
        self.orders.tear = false;
        if self.orders.away.is_some() {
            self.swap_gateway();
        }
        for what in [
            To::LoseAnswers(0),
            To::LoseCancelAnswers(0),
            To::AnswerLater(0),
            To::EarlyEnd(0),
            To::ForeignEnd(0),
            To::ShortList(0),
            To::SilentFill(0),
        ] {
            self.order_happens(what);
        }
        self.heal();
        if self.settings.alternate_client_id.is_some() {
            self.give_main_id_back();
        }
        if !self.orders.linked {
            self.happen(&Happening::RestoredWithData);
        }
    }
}
