//! Which lines are of Gateway's port, and on which side.
//!
//! The listener is the most specific one that serves the address, as the kernel chooses it; of
//! several that share one address (SO_REUSEPORT) the queues are added up. Where Gateway is not
//! on this host only our side is looked at: a listener of the same port here is another program.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use ibouncer_core::sight::TcpState;

use crate::table::Row;

/// Which end of a connection a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Of who listens.
    Server,
    /// Of who connected.
    Client,
}

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
    /// Of several the lowest.
    pub(crate) inode: u64,
    pub(crate) uid: u32,
    /// Of all of them.
    pub(crate) accept_queue: u32,
}

/// The sockets of the port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Port {
    pub(crate) listener: Option<Bound>,
    pub(crate) sockets: Vec<(Side, Row)>,
}

impl Port {
    /// Sorts lines that have the port on either side. `here` says that the address is one of
    /// this host's, and `addresses` are all of those that are known.
    pub(crate) fn of(
        rows: &[Row],
        gateway: SocketAddr,
        here: bool,
        addresses: &BTreeSet<IpAddr>,
    ) -> Self {
        let listener = if here { listener(rows, gateway) } else { None };
        let everywhere = listener.is_some_and(|bound| bound.address.ip().is_unspecified());
        let is_gateway = |address: SocketAddr| {
            let ip = address.ip();
            let own = ip.is_loopback() || addresses.contains(&ip);
            address.port() == gateway.port() && (ip == gateway.ip() || everywhere && own)
        };
        let sockets = rows.iter().filter(|row| row.state != TcpState::Listen);
        let sockets = sockets.filter_map(|row| {
            // Our side first: a connection of the port with itself has one line.
            if is_gateway(row.remote) {
                return Some((Side::Client, *row));
            }
            (here && is_gateway(row.local)).then_some((Side::Server, *row))
        });
        Self { listener, sockets: sockets.collect() }
    }

    /// Is a connection established whose other side should be in these tables and is not?
    /// Something between translates addresses.
    pub(crate) fn has_one_sided(&self, mut old_enough: impl FnMut(&Row) -> bool) -> bool {
        let servers: BTreeSet<_> = self
            .sockets
            .iter()
            .filter(|(side, _)| *side == Side::Server)
            .map(|(_, row)| (row.remote, row.local))
            .collect();
        self.sockets.iter().any(|(side, row)| {
            *side == Side::Client
                && row.state == TcpState::Established
                && row.local != row.remote
                && !servers.contains(&(row.local, row.remote))
                && old_enough(row)
        })
    }
}

fn listener(rows: &[Row], gateway: SocketAddr) -> Option<Bound> {
    let serving = |row: &&Row| {
        row.state == TcpState::Listen
            && row.local.port() == gateway.port()
            && serves(row.local.ip(), gateway.ip())
    };
    let best = rows.iter().filter(serving).map(|row| rank(row.local.ip())).min()?;
    let bests: Vec<_> =
        rows.iter().filter(serving).filter(|row| rank(row.local.ip()) == best).collect();
    let first = bests.iter().min_by_key(|row| row.inode)?;
    let accept_queue = bests.iter().map(|row| row.receive_queue).fold(0, u32::saturating_add);
    Some(Bound { address: first.local, inode: first.inode, uid: first.uid, accept_queue })
}

/// A listener on [::] serves IPv4 too unless it was told not to, which the tables do not say.
fn serves(bound: IpAddr, wanted: IpAddr) -> bool {
    match bound {
        IpAddr::V4(ip) if ip.is_unspecified() => wanted.is_ipv4(),
        IpAddr::V6(ip) if ip.is_unspecified() => true,
        ip => ip == wanted,
    }
}

/// The lowest wins.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        ip if !ip.is_unspecified() => 0,
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(local: &str, remote: &str, state: TcpState, queue: u32, inode: u64) -> Row {
        let address = |text: &str| text.parse().unwrap();
        let (local, remote) = (address(local), address(remote));
        Row { local, remote, state, receive_queue: queue, uid: 0, inode }
    }

    fn listening(local: &str, queue: u32, inode: u64) -> Row {
        row(local, "0.0.0.0:0", TcpState::Listen, queue, inode)
    }

    fn of(rows: &[Row], gateway: &str, here: bool) -> Port {
        let addresses = ["192.168.1.5".parse().unwrap()].into();
        Port::of(rows, gateway.parse().unwrap(), here, &addresses)
    }

    #[test]
    fn the_most_specific_listener_is_the_one() {
        let rows = [
            listening("[::]:4002", 1, 1),
            listening("0.0.0.0:4002", 2, 2),
            listening("127.0.0.1:4002", 3, 3),
            listening("127.0.0.2:4002", 4, 4),
            listening("[::1]:4002", 5, 5),
        ];
        let found = |rows: &[Row], gateway| of(rows, gateway, true).listener.map(|one| one.inode);
        assert_eq!(found(&rows, "127.0.0.1:4002"), Some(3));
        assert_eq!(found(&rows, "[::1]:4002"), Some(5));
        assert_eq!(found(&rows, "192.168.1.5:4002"), Some(2));
        assert_eq!(found(&rows[..1], "127.0.0.1:4002"), Some(1));
        assert_eq!(found(&rows[1..2], "[::1]:4002"), None);
        assert_eq!(found(&rows[3..4], "127.0.0.1:4002"), None);
        assert_eq!(of(&rows, "127.0.0.1:4002", false).listener, None);
    }

    #[test]
    fn queues_of_listeners_that_share_an_address_are_added_up() {
        let rows = [listening("127.0.0.1:4002", 3, 9), listening("127.0.0.1:4002", 4, 8)];
        let bound = of(&rows, "127.0.0.1:4002", true).listener.unwrap();
        assert_eq!((bound.accept_queue, bound.inode), (7, 8));
    }

    #[test]
    fn sides_are_told_by_addresses() {
        let here = [
            row("127.0.0.1:4002", "127.0.0.1:50000", TcpState::Established, 0, 1),
            row("127.0.0.1:50000", "127.0.0.1:4002", TcpState::Established, 0, 2),
            row("192.168.1.5:4002", "10.0.0.9:1234", TcpState::CloseWait, 0, 3),
            row("10.0.0.9:50001", "10.0.0.8:4002", TcpState::Established, 0, 4),
        ];
        let sides = |port: Port| -> Vec<_> {
            port.sockets.iter().map(|(side, row)| (*side, row.inode)).collect()
        };
        let specific = [&here[..], &[listening("127.0.0.1:4002", 0, 9)]].concat();
        let expected = vec![(Side::Server, 1), (Side::Client, 2)];
        assert_eq!(sides(of(&specific, "127.0.0.1:4002", true)), expected);
        let everywhere = [&here[..], &[listening("0.0.0.0:4002", 0, 9)]].concat();
        let expected = vec![(Side::Server, 1), (Side::Client, 2), (Side::Server, 3)];
        assert_eq!(sides(of(&everywhere, "127.0.0.1:4002", true)), expected);
        assert_eq!(sides(of(&everywhere, "10.0.0.8:4002", false)), [(Side::Client, 4)]);
    }

    #[test]
    fn a_connection_without_its_other_side_is_seen() {
        let client = row("127.0.0.1:50000", "127.0.0.1:4002", TcpState::Established, 0, 2);
        let server = row("127.0.0.1:4002", "127.0.0.1:50000", TcpState::Established, 0, 1);
        let one = of(&[client], "127.0.0.1:4002", true);
        assert!(one.has_one_sided(|_| true));
        assert!(!one.has_one_sided(|_| false));
        assert!(!of(&[client, server], "127.0.0.1:4002", true).has_one_sided(|_| true));
        let dialling = row("127.0.0.1:50000", "127.0.0.1:4002", TcpState::SynSent, 0, 2);
        assert!(!of(&[dialling], "127.0.0.1:4002", true).has_one_sided(|_| true));
    }
}
