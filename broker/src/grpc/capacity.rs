//! How many connections are open, and what becomes of one too many.
//!
//! A few above the limit are taken in, so that their requests can be refused in words; more are
//! closed at once. So a program that leaks connections cannot take the descriptors that the
//! others, and the link to the worker, need.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ibouncer_core::error;
use tonic::Status;

use super::status::status;

/// So many above the limit are told why they are refused.
const TOLD: usize = 32;

/// Counts connections of all listeners.
#[derive(Debug)]
pub struct Capacity {
    limit: usize,
    open: AtomicUsize,
    /// It was said that there are too many; said again once there were fewer.
    said: AtomicBool,
}

/// One connection's place.
#[derive(Debug)]
pub struct Seat {
    capacity: Arc<Capacity>,
    /// It is one too many: nothing is done for it.
    surplus: bool,
}

impl Capacity {
    /// For so many connections.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: AtomicUsize::new(0), said: AtomicBool::new(false) })
    }

    /// A place for one more; none if it is to be closed at once.
    pub fn enter(self: &Arc<Self>) -> Option<Seat> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let seat = Seat { capacity: Arc::clone(self), surplus: before >= self.limit };
        if seat.surplus && !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                limit = self.limit,
                "too many connections: more are refused until some are closed, see grpc.connections"
            );
        }
        (before < self.limit + TOLD).then_some(seat)
    }
}

impl Seat {
    /// May requests of this connection be served?
    pub fn check(&self) -> Result<(), Status> {
        if self.surplus {
            return Err(status(&error::too_many_connections(self.capacity.limit)));
        }
        Ok(())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let before = self.capacity.open.fetch_sub(1, Ordering::Relaxed);
        if before <= self.capacity.limit {
            self.capacity.said.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_told_so_a_flood_is_closed_and_free_places_are_used() {
        let capacity = Capacity::new(2);
        let mut seats: Vec<_> = (0..2 + TOLD).map(|_| capacity.enter().unwrap()).collect();
        assert!(seats[1].check().is_ok());
        let refused = seats[2].check().unwrap_err();
        assert!(refused.message().contains("2 connections"), "{refused}");
        assert!(capacity.enter().is_none());
        seats.clear();
        assert!(capacity.enter().unwrap().check().is_ok());
    }
}
