//! What may happen next, with weights that each seed draws anew: some worlds are all about
//! clients, some about a Gateway that fails, some about processes that die. What each action does
//! is in `actions.rs`.

use std::time::Duration;

use fastrand::Rng;

use crate::events::Event;
use crate::world::World;

/// One thing that may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Join,
    Leave,
    OpenStream,
    CloseStream,
    Subscribe,
    Unsubscribe,
    UnsubscribeNothing,
    Snapshot,
    Ask,
    DropCall,
    Storm,
    ChangePace,
    Retry,
    RestartWorker,
    SetFault,
    ClearFault,
    Announce,
    CloseAll,
    RestartGateway,
    Unreachable,
    Murder,
    Stop,
    Continue,
    ForeignLock,
    Births,
    Partition,
    CutLink,
    StallLink,
    KillBroker,
    LetGo,
    StopBroker,
    Hold,
    Release,
    Reload,
    StepClock,
    RestartWindow,
}

/// Actions with their ordinary weights, in groups that a seed makes strong, weak or silent.
const GROUPS: [&[(Action, u32)]; 8] = [
    &[
        (Action::Join, 6),
        (Action::Leave, 3),
        (Action::OpenStream, 10),
        (Action::CloseStream, 4),
        (Action::Subscribe, 40),
        (Action::Unsubscribe, 14),
        (Action::UnsubscribeNothing, 1),
        (Action::ChangePace, 3),
    ],
    &[(Action::Snapshot, 16), (Action::Ask, 24), (Action::DropCall, 6), (Action::Storm, 3)],
    &[
        (Action::SetFault, 8),
        (Action::ClearFault, 8),
        (Action::CloseAll, 2),
        (Action::RestartGateway, 2),
        (Action::Unreachable, 1),
    ],
    &[(Action::Announce, 16)],
    &[
        (Action::Murder, 2),
        (Action::Stop, 2),
        (Action::Continue, 2),
        (Action::ForeignLock, 1),
        (Action::Births, 2),
        (Action::RestartWorker, 1),
        (Action::Retry, 2),
    ],
    &[(Action::Partition, 2), (Action::CutLink, 2), (Action::StallLink, 2)],
    &[(Action::KillBroker, 4), (Action::LetGo, 2), (Action::StopBroker, 1)],
    &[
        (Action::Hold, 1),
        (Action::Release, 3),
        (Action::Reload, 1),
        (Action::StepClock, 2),
        (Action::RestartWindow, 1),
    ],
];

/// The weights of one seed.
#[derive(Debug)]
pub(crate) struct Plan {
    actions: Vec<(Action, u32)>,
    total: u32,
    pub(crate) left: u32,
    /// A slow world gives every failure time to unfold.
    pub(crate) slowness: u32,
    /// Gateway answers no new connection, until the world is healed.
    pub(crate) siege: bool,
}

/// Strengths of the groups in a world whose Gateway answers nobody: brokers come and go.
const SIEGE: [u32; 8] = [1, 0, 0, 0, 0, 0, 6, 1];

/// In one whose Gateway is well, and whose brokers and links are not.
const HANDOVERS: [u32; 8] = [2, 2, 0, 2, 1, 4, 8, 1];

impl Plan {
    /// Draws weights.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let (siege, handovers) = (rng.u8(..8) == 0, rng.u8(..6) == 0);
        let mut actions = Vec::new();
        for (index, group) in GROUPS.iter().enumerate() {
            let strength = match (index, rng.u8(..4)) {
                _ if siege => SIEGE[index],
                _ if handovers => HANDOVERS[index],
                (0, _) => 2,
                (_, 0) => 0,
                (_, 1) => 6,
                _ => 2,
            };
            actions.extend(group.iter().map(|(action, weight)| (*action, weight * strength)));
        }
        let total = actions.iter().map(|(_, weight)| weight).sum();
        let left = rng.u32(80..240);
        let slowness = match (siege, handovers) {
            (true, _) => [2, 8][rng.usize(..2)],
            (_, true) => 1,
            _ => [1, 1, 8][rng.usize(..3)],
        };
        Self { actions, total, left, slowness, siege }
    }

    fn draw(&self, rng: &mut Rng) -> Action {
        let mut place = rng.u32(..self.total);
        for (action, weight) in &self.actions {
            match place.checked_sub(*weight) {
                Some(rest) => place = rest,
                None => return *action,
            }
        }
        Action::Join
    }
}

impl World {
    /// The next random action, and when the one after it comes.
    pub(crate) fn act(&mut self) {
        if !self.chaos {
            return;
        }
        let action = self.plan.draw(&mut self.rng);
        self.carry_out_action(action);
        self.plan.left -= 1;
        if self.plan.left == 0 {
            self.chaos = false;
            return;
        }
        let gap = match self.rng.u8(..100) {
            0..=54 => self.rng.u64(..50_000),
            55..=84 => self.rng.u64(..2_000_000),
            85..=97 => self.rng.u64(..20_000_000),
            _ => self.rng.u64(..200_000_000),
        };
        let gap = Duration::from_micros(gap) * self.plan.slowness;
        self.agenda.add(self.now + gap, Event::Act);
    }
}
