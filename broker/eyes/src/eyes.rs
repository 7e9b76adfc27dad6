//! [`Eyes`]: one look after the other at one port, and what is remembered between them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use ibouncer_core::sight::{
    Listener, Owner, PortSocket, Process, Seen, Sight, TcpState, Unknown, Vantage,
};

use crate::ages::Ages;
use crate::changes::Changes;
use crate::port::{Port, Side};
use crate::roles::{Ours, is_waiting, role};
use crate::setting::Setting;
use crate::short::{Contact, ShortConnections, ShortLedger, Who};
use crate::system::System;
use crate::table::Row;
use crate::vantage::{Facts, judge};

/// A connection whose other side is missing for so long is no accident of reading two sides at
/// two moments.
const ONE_SIDED: Duration = Duration::from_secs(1);

/// Looks at one port of Gateway.
#[derive(Debug)]
pub struct Eyes {
    gateway: SocketAddr,
    setting: Setting,
    system: System,
    ages: Ages,
    short: Option<ShortLedger>,
    changes: Changes,
    /// Judged when something listened last.
    before: Option<Vantage>,
}

impl Eyes {
    /// Eyes for this address, which is that of Gateway as it is dialled.
    pub fn new(gateway: SocketAddr, setting: Setting) -> Self {
        Self {
            gateway: dialled(gateway),
            setting,
            system: System::default(),
            ages: Ages::default(),
            short: None,
            changes: Changes::default(),
            before: None,
        }
    }

    /// The address that is looked at.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    /// Reads the tables once. Takes some milliseconds, more on a host with many processes:
    /// not for a thread that others wait for.
    pub fn look(&mut self, ours: &Ours, now: Instant) -> Sight {
        if self.setting == Setting::None {
            return Sight::blind("gateway.eyes = none");
        }
        let rows = match self.system.rows(self.gateway, false, now) {
            Ok(rows) => rows,
            Err(unknown) => return Sight::blind(&unknown.0),
        };
        let addresses = self.system.addresses(now);
        let here = self.is_here(&addresses);
        let looked_at_here = match self.setting {
            Setting::Auto => here == Ok(true),
            Setting::Local | Setting::Relayed => true,
            Setting::Remote | Setting::None => false,
        };
        let known = addresses.unwrap_or_default();
        let mut port = Port::of(&rows, self.gateway, looked_at_here, &known);
        if port.listener.is_none() && self.changes.newest().is_some() {
            // A listener that was there is not believed to be gone before a second read: the
            // kernel hands out its tables in pieces, and a row can be missed.
            match self.system.rows(self.gateway, true, now) {
                Ok(rows) => port = Port::of(&rows, self.gateway, looked_at_here, &known),
                Err(unknown) => return Sight::blind(&unknown.0),
            }
        }
        self.ages.take_note(port.sockets.iter().map(|(_, row)| row), now);
        self.find_owners(&port, now);

        let process = self.listening_process(&port, now);
        let one_sided = port.has_one_sided(|row| self.ages.age(row, now) >= ONE_SIDED);
        let (vantage, because) = judge(Facts {
            setting: self.setting,
            gateway: self.gateway,
            here: &here,
            listener: process.as_ref(),
            before: self.before,
            one_sided,
        });
        let listener = match (port.listener.zip(process), vantage) {
            (None, Vantage::Remote | Vantage::None) => Err(Unknown(because.clone())),
            (None, Vantage::Local | Vantage::Relayed) => Ok(None),
            (Some((bound, process)), _) => {
                self.before = Some(vantage);
                Ok(Some(Listener {
                    address: bound.address,
                    inode: bound.inode,
                    accept_queue: bound.accept_queue,
                    backlog: self.system.backlog(bound.address),
                    process,
                }))
            }
        };
        if let Ok(listener) = &listener {
            self.note_changes(listener.as_ref(), vantage);
        }
        let sockets = self.sockets(&port, ours, vantage, now);
        let contacts = self.contacts(&port, ours, &known);
        self.short.get_or_insert_with(|| ShortLedger::new(now)).take_note(contacts, now);
        Sight { vantage, because, listener, sockets: Ok(sockets) }
    }

    /// Programs that connect and close again soon, the busiest first.
    pub fn short_connections(&self, now: Instant) -> Vec<ShortConnections> {
        self.short.as_ref().map(|short| short.list(now)).unwrap_or_default()
    }

    /// Short connections so far whose program was gone before it could be seen: looks that
    /// follow each other faster may see the next one.
    pub fn unseen_short_connections(&self) -> u64 {
        self.short.as_ref().map_or(0, ShortLedger::unseen)
    }

    /// What happened to the listener since the last call, in words.
    pub fn changes(&mut self) -> Vec<String> {
        self.changes.take()
    }

    fn is_here(&self, addresses: &Seen<BTreeSet<IpAddr>>) -> Seen<bool> {
        let ip = self.gateway.ip();
        if ip.is_loopback() {
            return Ok(true);
        }
        addresses.as_ref().map(|known| known.contains(&ip)).map_err(Clone::clone)
    }

    fn find_owners(&mut self, port: &Port, now: Instant) {
        let listener = port.listener.iter().map(|bound| (bound.inode, bound.uid));
        let others = port.sockets.iter().map(|(_, row)| (row.inode, row.uid));
        let wanted: Vec<_> = listener.chain(others).filter(|(inode, _)| *inode != 0).collect();
        self.system.find_owners(&wanted, now);
        for (_, row) in &port.sockets {
            if row.inode != 0
                && let Ok(owner) = self.system.owner(row.inode, row.uid)
            {
                self.ages.remember_owner(row, &owner);
            }
        }
    }

    fn listening_process(&mut self, port: &Port, now: Instant) -> Option<Seen<Process>> {
        let bound = port.listener?;
        let owner = self.system.owner(bound.inode, bound.uid);
        Some(owner.and_then(|owner| self.system.process(&owner, now)))
    }

    fn note_changes(&mut self, listener: Option<&Listener>, vantage: Vantage) {
        let process = self.changes.newest().and_then(|before| before.process.as_ref().ok());
        let ended =
            process.is_some_and(|process| self.system.has_ended(process.pid, process.started));
        self.changes.take_note(listener, vantage, ended);
    }

    fn sockets(&self, port: &Port, ours: &Ours, vantage: Vantage, now: Instant) -> Vec<PortSocket> {
        let mut sockets: Vec<_> = port
            .sockets
            .iter()
            .map(|(side, row)| PortSocket {
                local: row.local,
                remote: row.remote,
                state: row.state,
                role: role(*side, row, self.ages.owner(row), ours, vantage),
                owner: match row.inode {
                    0 => Ok(None),
                    inode => self.system.owner(inode, row.uid).map(Some),
                },
                age: self.ages.age(row, now),
                unread: row.receive_queue,
            })
            .collect();
        sockets.sort_by_key(|socket| (socket.role, socket.local, socket.remote));
        sockets
    }

    /// Each connection once, from whichever sides are in the tables.
    fn contacts(&self, port: &Port, ours: &Ours, known: &BTreeSet<IpAddr>) -> Vec<Contact> {
        let mut contacts = BTreeMap::new();
        let sides = |wanted| port.sockets.iter().filter(move |(side, _)| *side == wanted);
        for (_, row) in sides(Side::Client) {
            let owner = self.ages.owner(row);
            contacts.insert(
                (row.local, row.remote),
                Contact {
                    client: row.local,
                    server: row.remote,
                    live: is_open(row),
                    established: is_established(row),
                    ours: owner.is_some_and(|owner: &Owner| ours.has(owner.pid)),
                    who: owner.cloned().map(Who::Program),
                },
            );
        }
        for (_, row) in sides(Side::Server) {
            let (client, ip) = (row.remote, row.remote.ip());
            let here = ip.is_loopback() || known.contains(&ip);
            contacts.entry((client, row.local)).or_insert_with(|| Contact {
                client,
                server: row.local,
                live: is_open_behind(row),
                established: is_established(row),
                ours: false,
                who: (!here).then_some(Who::Host(ip)),
            });
        }
        contacts.into_values().collect()
    }
}

/// Has the program that connected still got it?
fn is_open(row: &Row) -> bool {
    let state = matches!(
        row.state,
        TcpState::Established | TcpState::SynSent | TcpState::SynRecv | TcpState::CloseWait
    );
    state && row.inode != 0
}

/// The same, where only the other side is in the tables.
fn is_open_behind(row: &Row) -> bool {
    let open = matches!(row.state, TcpState::Established | TcpState::FinWait1 | TcpState::FinWait2);
    open || is_waiting(row) && row.state != TcpState::CloseWait
}

fn is_established(row: &Row) -> bool {
    !matches!(row.state, TcpState::SynSent | TcpState::SynRecv | TcpState::NewSynRecv)
}

/// What a dial of this address reaches, as the tables show it.
fn dialled(gateway: SocketAddr) -> SocketAddr {
    let ip = match gateway.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, gateway.port())
}

#[cfg(test)]
mod tests;
