//! Frames of orders that wait for their turn or for the disk, by the key that the queue knows them
//! by; and how many of them each client has, which is asked at every order.

use std::collections::BTreeMap;

use crate::ids::CallId;
use crate::orders::Caller;
use crate::orders::journal::Audit;

/// What leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Place,
    Exercise,
    Modify,
    Cancel,
    Preview,
    CancelEvery,
}

impl What {
    pub(in crate::orders) const fn name(self) -> &'static str {
        match self {
            Self::Place => "PlaceOrder",
            Self::Exercise => "ExerciseOptions",
            Self::Modify => "ModifyOrder",
            Self::Cancel => "CancelOrder",
            Self::Preview => "PreviewOrder",
            Self::CancelEvery => "CancelEveryOrder",
        }
    }
}

/// The answer that a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Place { again: bool },
    Group { again: bool },
    Exercise { again: bool },
    Modify,
    Cancel,
}

/// One frame on its way.
#[derive(Debug)]
pub(crate) struct Departure {
    pub(in crate::orders) what: What,
    /// In the order in which they lie in the frame.
    pub(in crate::orders) orders: Vec<i32>,
    pub(in crate::orders) waiters: Vec<(CallId, Ask)>,
    /// It has its number, and waits for the disk.
    pub(in crate::orders) numbered: bool,
    /// TWS messages in it.
    pub(in crate::orders) messages: usize,
    /// Gateway keeps it back (`transmit` is false) and does not say that it has it.
    pub(in crate::orders) held: bool,
    /// A cancel of whatever its owner has open, and not by the owner: it is owed until it has left.
    pub(in crate::orders) ordered: bool,
    /// Who asked for it.
    pub(in crate::orders) caller: Caller,
    /// Who is named in the audit log.
    pub(in crate::orders) audit: Audit,
}

impl Departure {
    pub(in crate::orders) fn new(what: What, orders: Vec<i32>, audit: Audit) -> Self {
        Self {
            what,
            orders,
            waiters: Vec::new(),
            numbered: false,
            messages: 1,
            held: false,
            ordered: false,
            caller: Caller::default(),
            audit,
        }
    }

    pub(in crate::orders) fn waiter(mut self, waiter: Option<(CallId, Ask)>) -> Self {
        self.waiters.extend(waiter);
        self
    }

    pub(in crate::orders) fn holds(&self, id: i32) -> bool {
        self.orders.contains(&id)
    }

    /// Cancels pass whatever their client has in the queue.
    fn counts(&self) -> bool {
        !matches!(self.what, What::Cancel | What::CancelEvery)
    }
}

/// All of them. What one is, and whose, does not change while it is in here.
#[derive(Debug, Default)]
pub(in crate::orders) struct Departures {
    all: BTreeMap<i32, Departure>,
    counted: BTreeMap<String, usize>,
}

impl Departures {
    /// Orders and changes of this client.
    pub(in crate::orders) fn count_of(&self, owner: &str) -> usize {
        self.counted.get(owner).copied().unwrap_or(0)
    }

    pub(in crate::orders) fn insert(&mut self, key: i32, departure: Departure) {
        if departure.counts() {
            *self.counted.entry(departure.audit.owner.clone()).or_default() += 1;
        }
        self.all.insert(key, departure);
    }

    pub(in crate::orders) fn remove(&mut self, key: i32) -> Option<Departure> {
        let departure = self.all.remove(&key)?;
        self.uncount(&departure);
        Some(departure)
    }

    /// Removes the first.
    pub(in crate::orders) fn pop_first(&mut self) -> Option<Departure> {
        let (_, departure) = self.all.pop_first()?;
        self.uncount(&departure);
        Some(departure)
    }

    fn uncount(&mut self, departure: &Departure) {
        let owner = &departure.audit.owner;
        if departure.counts()
            && let Some(count) = self.counted.get_mut(owner)
        {
            *count -= 1;
            if *count == 0 {
                self.counted.remove(owner);
            }
        }
    }

    pub(in crate::orders) fn get(&self, key: i32) -> Option<&Departure> {
        self.all.get(&key)
    }

    pub(in crate::orders) fn get_mut(&mut self, key: i32) -> Option<&mut Departure> {
        self.all.get_mut(&key)
    }

    pub(in crate::orders) fn iter(&self) -> impl Iterator<Item = (i32, &Departure)> {
        self.all.iter().map(|(key, one)| (*key, one))
    }

    pub(in crate::orders) fn iter_mut(&mut self) -> impl Iterator<Item = (i32, &mut Departure)> {
        self.all.iter_mut().map(|(key, one)| (*key, one))
    }
}
