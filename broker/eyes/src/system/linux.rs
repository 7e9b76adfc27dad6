//! Linux: tables of our own network namespace, and addresses of this host.

mod owners;
mod processes;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ibouncer_core::sight::{Owner, Process, Seen, Unknown};

use self::owners::Owners;
use self::processes::{Sampler, start_of};
use crate::table::{self, Row};

/// How long the list of addresses is believed.
const ADDRESSES: Duration = Duration::from_secs(5);

/// The tables of IPv4 and of IPv6.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Reads, and remembers what is dear to read.
#[derive(Debug, Default)]
pub(crate) struct System {
    addresses: Option<(Instant, Seen<BTreeSet<IpAddr>>)>,
    owners: Owners,
    sampler: Sampler,
}

impl System {
    /// The lines of both tables that have this port on either side.
    pub(crate) fn rows(&mut self, port: u16) -> Seen<Vec<Row>> {
        let mut rows = Vec::new();
        for (index, path) in TABLES.into_iter().enumerate() {
            let unknown = |error: String| Unknown(format!("read {path}: {error}"));
            let text = match fs::read_to_string(path) {
                Ok(text) => text,
                // A kernel without IPv6.
                Err(error) if index > 0 && error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unknown(error.to_string())),
            };
            rows.append(&mut table::rows(&text, port).map_err(unknown)?);
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
