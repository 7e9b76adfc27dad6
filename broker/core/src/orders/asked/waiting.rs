//! Requests that are not taken in yet: because trading is closed for now, or because their client
//! has its share of the queue already.
//!
//! Ids must rise at Gateway, so orders leave in the order in which they got theirs, whoever placed
//! them. What keeps that fair is that a client gets ids for a few orders at a time
//! (`TradingSettings::share`): a flood waits here, without ids, and a client that places one order
//! waits behind a few of each other's. Nothing of what waits here was written down or counted.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::request::OrderRequest;
use crate::ids::CallId;
use crate::orders::Caller;

/// A request that waits.
#[derive(Debug)]
pub(in crate::orders) struct Waiting {
    pub(in crate::orders) call: CallId,
    pub(in crate::orders) caller: Caller,
    pub(in crate::orders) request: OrderRequest,
    /// Whose orders it would place, and their names.
    pub(in crate::orders) owner: String,
    pub(in crate::orders) names: Vec<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::orders) struct WaitingRoom {
    /// For trading to open.
    closed: VecDeque<Waiting>,
    /// Those of them that may try again.
    ready: usize,
    /// For their client's share, by client.
    crowd: BTreeMap<String, VecDeque<Waiting>>,
    /// Who had the last turn.
    last: String,
}

impl WaitingRoom {
    /// Waits for trading to open.
    pub(in crate::orders) fn wait_for_opening(&mut self, waiting: Waiting) {
        self.closed.push_back(waiting);
    }

    /// Waits for others of its client to leave.
    pub(in crate::orders) fn wait_for_share(&mut self, waiting: Waiting) {
        self.crowd.entry(waiting.owner.clone()).or_default().push_back(waiting);
    }

    /// Something has changed: whoever waits for trading to open may try again.
    pub(in crate::orders) fn try_all(&mut self) {
        self.ready = self.closed.len();
    }

    /// Who may try now. `has_room` says whose share is not used up; clients take turns.
    pub(in crate::orders) fn poll(&mut self, has_room: impl Fn(&str) -> bool) -> Option<Waiting> {
        if self.ready > 0 {
            self.ready -= 1;
            return self.closed.pop_front();
        }
        let behind = (Bound::Excluded(self.last.as_str()), Bound::Unbounded);
        let mut owners = self.crowd.range::<str, _>(behind).chain(&self.crowd);
        let (owner, _) = owners.find(|(owner, _)| has_room(owner))?;
        let owner = owner.clone();
        let line = self.crowd.get_mut(&owner)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.crowd.remove(&owner);
        }
        self.last = owner;
        next
    }

    /// Requests of this client that wait, for whatever reason.
    pub(in crate::orders) fn count_of(&self, owner: &str) -> usize {
        let closed = self.closed.iter().filter(|one| one.owner == owner).count();
        closed + self.crowd.get(owner).map_or(0, VecDeque::len)
    }

    /// Takes out those that are so, in their order.
    pub(in crate::orders) fn take_out(&mut self, is: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let mut out = Vec::new();
        let mut sort = |line: &mut VecDeque<Waiting>| {
            for one in std::mem::take(line) {
                if is(&one) { out.push(one) } else { line.push_back(one) }
            }
        };
        sort(&mut self.closed);
        self.crowd.values_mut().for_each(sort);
        self.crowd.retain(|_, line| !line.is_empty());
        self.ready = self.ready.min(self.closed.len());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(owner: &str, call: u64) -> Waiting {
        let request = OrderRequest::Place(bytes::Bytes::new());
        let names = vec![call.to_string()];
        let caller = Caller::default();
        Waiting { call: CallId(call), caller, request, owner: owner.into(), names }
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut room = WaitingRoom::default();
        for call in 1..=4 {
            room.wait_for_share(waiting("flood", call));
        }
        room.wait_for_share(waiting("calm", 10));
        room.wait_for_share(waiting("quiet", 20));
        let order: Vec<_> =
            std::iter::from_fn(|| room.poll(|_| true).map(|one| one.call.0)).collect();
        assert_eq!(order, [10, 1, 20, 2, 3, 4]);
    }

    #[test]
    fn who_has_no_room_waits_and_who_is_taken_out_is_gone() {
        let mut room = WaitingRoom::default();
        room.wait_for_share(waiting("flood", 1));
        room.wait_for_share(waiting("flood", 2));
        room.wait_for_opening(waiting("calm", 3));
        assert!(room.poll(|_| false).is_none());
        assert_eq!((room.count_of("flood"), room.count_of("calm")), (2, 1));
        let out = room.take_out(|one| one.names[0] == "1" || one.owner == "calm");
        assert_eq!(out.iter().map(|one| one.call.0).collect::<Vec<_>>(), [3, 1]);
        room.try_all();
        assert_eq!(room.poll(|_| true).unwrap().call.0, 2);
        assert!(room.poll(|_| true).is_none());
    }
}
