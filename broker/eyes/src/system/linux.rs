//! Linux: tables of our own network namespace, and addresses of this host.

mod owners;
mod processes;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ibouncer_core::sight::{Owner, Process, Seen, Unknown};

use self::owners::Owners;
use self::processes::{Sampler, start_of};
use crate::table::{self, Row};

/// How long the list of addresses is believed.
const ADDRESSES: Duration = Duration::from_secs(5);

/// How long the table of the other family of addresses is believed to have nothing of the port.
/// A table is dear: for each read the kernel walks through a hash table of some hundred thousand
/// places, whatever is in it (5 ms were measured for an empty one).
const QUIET: Duration = Duration::from_secs(1);

const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Reads, and remembers what is dear to read.
#[derive(Debug, Default)]
pub(crate) struct System {
    /// When the table of the other family was read and had nothing of the port.
    quiet_since: Option<Instant>,
    addresses: Option<(Instant, Seen<BTreeSet<IpAddr>>)>,
    owners: Owners,
    sampler: Sampler,
}

impl System {
    /// The lines of both tables that have this port on either side.
    pub(crate) fn rows(&mut self, gateway: SocketAddr, now: Instant) -> Seen<Vec<Row>> {
        let (own, other) = if gateway.is_ipv4() { (0, 1) } else { (1, 0) };
        let mut rows = read(TABLES[own], gateway.port())?;
        let quiet = |seen: Instant| now.saturating_duration_since(seen) < QUIET;
        if !self.quiet_since.is_some_and(quiet) {
            let mut others = read(TABLES[other], gateway.port())?;
            self.quiet_since = others.is_empty().then_some(now);
            rows.append(&mut others);
        }
        Ok(rows)
    }

    /// The addresses of this host's interfaces.
    pub(crate) fn addresses(&mut self, now: Instant) -> Seen<BTreeSet<IpAddr>> {
        if let Some((read, addresses)) = &self.addresses
            && now.saturating_duration_since(*read) < ADDRESSES
        {
            return addresses.clone();
        }
        let addresses = read_addresses();
        self.addresses = Some((now, addresses.clone()));
        addresses
    }

    /// Looks for whoever holds these sockets (inode and user id), with a bound on the work.
    pub(crate) fn find_owners(&mut self, wanted: &[(u64, u32)], now: Instant) {
        self.owners.find(wanted, now);
    }

    /// Who holds this socket, as far as it was found.
    pub(crate) fn owner(&self, inode: u64, uid: u32) -> Seen<Owner> {
        self.owners.owner(inode, uid)
    }

    /// The process of an owner, with figures that are at most some seconds old.
    pub(crate) fn process(&mut self, owner: &Owner, now: Instant) -> Seen<Process> {
        self.sampler.process(owner, now)
    }

    /// Is this process known to be gone?
    pub(crate) fn has_ended(&self, pid: u32, started: u64) -> bool {
        match start_of(pid) {
            Ok(Some(now)) => now != started,
            Ok(None) => true,
            Err(_) => false,
        }
    }
}

fn read(path: &str, port: u16) -> Seen<Vec<Row>> {
    let unknown = |error: String| Unknown(format!("read {path}: {error}"));
    match fs::read_to_string(path) {
        Ok(text) => table::rows(&text, port).map_err(unknown),
        // A kernel without IPv6.
        Err(error) if path.ends_with('6') && error.kind() == io::ErrorKind::NotFound => {
            Ok(Vec::new())
        }
        Err(error) => Err(unknown(error.to_string())),
    }
}

fn read_addresses() -> Seen<BTreeSet<IpAddr>> {
    let interfaces = nix::ifaddrs::getifaddrs()
        .map_err(|error| Unknown(format!("list this host's addresses: {error}")))?;
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    Ok(addresses.collect())
}
