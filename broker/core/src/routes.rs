//! Which request an answer from Gateway belongs to: a dense table from request id to owner.
//!
//! Owns the request ids: they come from a block that orders never reach, are never used twice
//! while the broker lives, and mean nothing after the worker that sent them is gone.

use std::collections::{BTreeSet, VecDeque};

use crate::ids::{CallId, RequestId};

/// First request id. Order ids are counted up from Gateway's next valid id and stay far below;
/// error frames carry one id for both, so the ranges must never meet.
pub const FIRST_REQUEST_ID: i32 = 1_500_000_000;

/// Where the ids end; the largest of all mean "none" to Gateway.
const LAST_REQUEST_ID: i32 = 2_147_000_000;

/// Ids of one broker's life. A broker that takes a session over begins a fresh block, so that
/// answers to requests of the one before are told from answers to its own.
const BLOCK: i32 = 1_000_000;

const BLOCKS: u32 = ((LAST_REQUEST_ID - FIRST_REQUEST_ID) / BLOCK) as u32;

/// Who gets the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// The shared line in this slot.
    Line(u32),
    /// A snapshot.
    Snapshot(CallId),
    /// The one-shot request of this id.
    Call,
    /// Nobody any more: cancelled or ended; stragglers are dropped.
    Ended,
}

/// The table.
#[derive(Debug)]
pub struct Routes {
    first: i32,
    table: VecDeque<Route>,
}

impl Default for Routes {
    fn default() -> Self {
        Self { first: FIRST_REQUEST_ID, table: VecDeque::new() }
    }
}

impl Routes {
    /// The table at the begin of the block behind `newest`, the newest that was ever used.
    pub fn behind_block(newest: u32) -> Self {
        let block = (newest + 1) % BLOCKS;
        Self { first: FIRST_REQUEST_ID + block as i32 * BLOCK, table: VecDeque::new() }
    }

    /// The table of a broker that takes a session over whose requests it did not make: behind
    /// `newest`, and in no block that an `open` request is of. A ledger that was lost knows of no
    /// block; then one is drawn by `seed`, because the one before most likely used the first.
    pub fn beside(newest: u32, open: impl IntoIterator<Item = RequestId>, seed: u64) -> Self {
        let used: BTreeSet<u32> = open.into_iter().filter_map(block_of).collect();
        let newest = match newest {
            0 => (seed % u64::from(BLOCKS)) as u32,
            known => known,
        };
        let free = (newest..newest + BLOCKS).find(|block| !used.contains(&((block + 1) % BLOCKS)));
        Self::behind_block(free.unwrap_or(newest))
    }

    /// The block that is in use; a long life goes on into the next one.
    pub fn block(&self) -> u32 {
        ((self.first + self.table.len() as i32 - FIRST_REQUEST_ID) / BLOCK) as u32 % BLOCKS
    }

    /// A new request id that leads to `route`.
    pub fn open(&mut self, route: Route) -> RequestId {
        let id = self.first + self.table.len() as i32;
        self.table.push_back(route);
        RequestId(id)
    }

    /// Ids from the oldest that is open to the newest.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Is none open?
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Who gets the answers to this id, if it is one of this session.
    #[inline]
    pub fn get(&self, id: i32) -> Option<Route> {
        let index = id.checked_sub(self.first)?;
        self.table.get(usize::try_from(index).ok()?).copied()
    }

    /// Nobody gets them any more.
    pub fn end(&mut self, id: RequestId) {
        let index = usize::try_from(id.0 - self.first).ok();
        if let Some(route) = index.and_then(|index| self.table.get_mut(index)) {
            *route = Route::Ended;
        }
        while let Some(Route::Ended) = self.table.front() {
            // Stragglers of ids before the table are dropped as well: they are unknown.
            self.table.pop_front();
            self.first += 1;
        }
    }

    /// The worker is gone: its ids mean nothing any more and are not used again.
    pub fn clear(&mut self) {
        self.first += self.table.len() as i32;
        self.table.clear();
        if self.first > LAST_REQUEST_ID {
            self.first = FIRST_REQUEST_ID;
        }
    }

    /// True for ids that this table may once have given out.
    pub fn is_ours(id: i32) -> bool {
        (FIRST_REQUEST_ID..=LAST_REQUEST_ID).contains(&id)
    }
}

fn block_of(id: RequestId) -> Option<u32> {
    let place = id.0.checked_sub(FIRST_REQUEST_ID).filter(|place| *place >= 0)?;
    Some((place / BLOCK) as u32 % BLOCKS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn routes_equal_a_naive_map(steps in prop::collection::vec((0_u8..10, any::<prop::sample::Index>()), 1..200)) {
            let mut routes = Routes::default();
            let mut naive = BTreeMap::new();
            let mut ever = Vec::new();
            for (step, pick) in steps {
                match step {
                    0..5 => {
                        let route = Route::Line(ever.len() as u32);
                        let id = routes.open(route);
                        prop_assert!(!ever.contains(&id), "an id is used once");
                        ever.push(id);
                        naive.insert(id, route);
                    }
                    5..9 if !ever.is_empty() => {
                        let id = *pick.get(&ever);
                        routes.end(id);
                        naive.remove(&id);
                    }
                    _ => {
                        routes.clear();
                        naive.clear();
                    }
                }
                for id in &ever {
                    let live = routes.get(id.0).filter(|route| *route != Route::Ended);
                    prop_assert_eq!(live, naive.get(id).copied());
                }
            }
        }
    }

    #[test]
    fn who_takes_a_session_over_uses_no_block_of_the_one_before() {
        let in_block = |block: i32| RequestId(FIRST_REQUEST_ID + block * BLOCK + 7);
        // The ledger knows; it is older than what is open; it is lost, for any seed.
        assert_eq!(Routes::beside(4, [in_block(4)], 0).block(), 5);
        assert_eq!(Routes::beside(4, [in_block(5), in_block(6), RequestId(3)], 0).block(), 7);
        let drawn: BTreeSet<u32> =
            (0..2000).map(|seed| Routes::beside(0, [in_block(1)], seed).block()).collect();
        assert!(!drawn.contains(&1));
        assert_eq!(drawn.len(), BLOCKS as usize - 1);
    }

    #[test]
    fn foreign_ids_have_no_route() {
        let mut routes = Routes::default();
        routes.open(Route::Line(0));
        for id in [-1, 0, 1, i32::MIN, i32::MAX, FIRST_REQUEST_ID + 1] {
            assert_eq!(routes.get(id), None, "{id}");
        }
        assert!(!Routes::is_ours(7));
    }
}
