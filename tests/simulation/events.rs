//! What can be due in the simulated world, and the agenda that orders it by time and by turn.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use ibouncer_core::ids::{Epoch, StreamId};
use ibouncer_core::supervisor::ExitStatus;

use crate::network::{LinkId, SocketId};

/// Something that becomes due.
#[derive(Debug)]
pub(crate) enum Event {
    /// The next random action.
    Act,
    /// A broker starts, unless it is not the one that was to be next.
    BrokerUp(u64),
    /// This broker looks whether the worker's lock is free.
    LockLook(u64),
    /// A program that lost its broker comes back.
    Rejoin,
    /// The broker learns that the process exists, or does not.
    Born(Epoch, Result<u32, &'static str>),
    /// The worker opens the link.
    LinkUp(Epoch),
    /// A piece of the link arrives at the broker.
    ToBroker(LinkId, LinkPiece),
    /// A piece of the link arrives at the worker.
    ToWorker(LinkId, LinkPiece),
    /// A SIGKILL takes effect.
    Killed(Epoch),
    /// The broker has waited for the process.
    Exited(Epoch, ExitStatus),
    /// The worker may have something to do: a timer, or the end of a stall.
    WakeWorker(Epoch),
    /// A SYN arrives at Gateway's host.
    Syn(SocketId),
    /// The answer to it arrives at the worker.
    SynAnswered(SocketId, bool),
    /// A piece of TCP arrives at Gateway's host.
    ToGateway(SocketId, TcpPiece),
    /// A piece of TCP arrives at the worker.
    FromGateway(SocketId, TcpPiece),
    /// A reader takes what waits for it.
    Pull(StreamId),
    /// A reader has caught up, and needs its whole book again.
    BookLost(StreamId, u32),
    /// The kernel's tables are read, unasked.
    Look,
    /// The answer to this look of the broker arrives.
    Looked(u64),
    /// Gateway listens again.
    Listen,
    /// A position changes at Gateway, and will again.
    Trade,
    /// The disk has an answer for this broker.
    Disk(u64),
    /// The next random act about orders.
    OrderAct,
    /// Gateway dies between two pieces of a group of orders.
    Torn,
    /// A program that owns orders comes back.
    OwnerBack(usize),
}

/// A piece of the link's byte stream.
#[derive(Debug)]
pub(crate) enum LinkPiece {
    Bytes(Bytes),
    Close,
}

/// A piece of a TCP connection.
#[derive(Debug)]
pub(crate) enum TcpPiece {
    Bytes(Bytes),
    Fin,
    Reset,
}

/// Everything that is due, by time; at the same time, first come first served.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    events: BTreeMap<(Duration, u64), Event>,
    turn: u64,
}

impl Agenda {
    /// Adds an event.
    pub(crate) fn add(&mut self, at: Duration, event: Event) {
        self.turn += 1;
        self.events.insert((at, self.turn), event);
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// The next one, if it is due.
    pub(crate) fn take(&mut self, now: Duration) -> Option<Event> {
        let entry = self.events.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// How much is due, ever.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// What the broker said and the worker did not hear yet, in order.
    pub(crate) fn under_way(&mut self) -> Vec<&mut LinkPiece> {
        let piece = |event| match event {
            &mut Event::ToWorker(_, ref mut piece) => Some(piece),
            _ => None,
        };
        self.events.values_mut().filter_map(piece).collect()
    }

    /// Nobody hears what was said to the broker.
    pub(crate) fn drop_for_broker(&mut self) {
        self.events.retain(|_, event| !matches!(event, Event::ToBroker(..)));
    }
}
