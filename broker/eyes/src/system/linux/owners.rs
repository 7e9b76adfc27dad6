//! Which process holds a socket: found in the descriptors of all processes, and remembered.
//!
//! Such a search reads a link for each descriptor of this host, so it runs only for sockets that
//! are new, looks first where it was right before and then at the newest processes, and stops
//! for this look after [`LINKS`] links. What was not found is looked for again after
//! [`AGAIN`]: a socket can be handed on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use ibouncer_core::sight::{Owner, Seen, Unknown};

use super::processes::{identify, start_of};

/// Links that one look reads.
const LINKS: usize = 20_000;

/// Before a socket is looked for again, and before it is checked that its owner still has it.
const AGAIN: Duration = Duration::from_secs(5);

/// Parents that may hold the same socket.
const PARENTS: usize = 8;

/// What is known of sockets.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// By inode.
    held: BTreeMap<u64, Held>,
    /// Not found, and when.
    missed: BTreeMap<u64, Instant>,
    /// By pid.
    processes: BTreeMap<u32, Owner>,
    /// When their command lines were read last.
    refreshed: Option<Instant>,
    /// Processes that a search has still to look at, the next one last.
    rest: Vec<u32>,
    /// What that search is for.
    targets: BTreeSet<u64>,
}

#[derive(Debug)]
struct Held {
    pid: u32,
    descriptor: u32,
    checked: Instant,
}

/// Inode to descriptor, of one process.
type Sockets = BTreeMap<u64, u32>;

impl Owners {
    /// Who holds this socket, as far as it was found.
    pub(super) fn owner(&self, inode: u64, uid: u32) -> Seen<Owner> {
        let held = self.held.get(&inode).and_then(|held| self.processes.get(&held.pid));
        if let Some(owner) = held {
            return Ok(owner.clone());
        }
        Err(Unknown(if self.missed.contains_key(&inode) {
            if uid == nix::unistd::Uid::effective().as_raw() {
                "no process that can be seen from here holds it".to_owned()
            } else {
                format!("it belongs to user {uid}, whose processes may not be looked into")
            }
        } else {
            "its owner is still being looked for".to_owned()
        }))
    }

    /// Looks for whoever holds these sockets: inode and user id.
    pub(super) fn find(&mut self, wanted: &[(u64, u32)], now: Instant) {
        self.forget(wanted, now);
        if self.rest.is_empty() {
            self.targets = wanted
                .iter()
                .map(|(inode, _)| *inode)
                .filter(|inode| !self.held.contains_key(inode) && !self.missed.contains_key(inode))
                .collect();
            if self.targets.is_empty() {
                return;
            }
            self.rest = self.order();
        }
        let mut work = Search::default();
        while let Some(pid) = self.rest.pop() {
            let sockets = work.sockets(pid);
            let found = sockets.iter().filter(|(inode, _)| self.targets.contains(inode));
            let found: Vec<_> = found.map(|(inode, descriptor)| (*inode, *descriptor)).collect();
            for (inode, descriptor) in found {
                self.take(&mut work, inode, pid, descriptor, now);
            }
            if self.targets.is_empty() {
                self.rest.clear();
            } else if work.links >= LINKS {
                return;
            }
        }
        for inode in std::mem::take(&mut self.targets) {
            self.missed.insert(inode, now);
        }
    }

    /// A process, or the eldest of its parents that holds the socket too: a shell's child is not
    /// whose connection it is.
    fn take(&mut self, work: &mut Search, inode: u64, pid: u32, descriptor: u32, now: Instant) {
        let Some((mut owner, mut parent)) = work.identity(pid) else {
            return;
        };
        let mut descriptor = descriptor;
        for _ in 0..PARENTS {
            // The first process of a host holds sockets for others, and so it is not theirs.
            if parent <= 1 {
                break;
            }
            let Some(elder) = work.sockets(parent).get(&inode).copied() else {
                break;
            };
            let Some(identity) = work.identity(parent) else {
                break;
            };
            (owner, parent) = identity;
            descriptor = elder;
        }
        self.targets.remove(&inode);
        self.held.insert(inode, Held { pid: owner.pid, descriptor, checked: now });
        self.processes.insert(owner.pid, owner);
    }

    /// Forgets what is not asked for any more, or is not true any more.
    fn forget(&mut self, wanted: &[(u64, u32)], now: Instant) {
        let wanted: BTreeSet<_> = wanted.iter().map(|(inode, _)| inode).collect();
        let old = |then: Instant| now.saturating_duration_since(then) >= AGAIN;
        self.missed.retain(|inode, missed| wanted.contains(inode) && !old(*missed));
        self.targets.retain(|inode| wanted.contains(inode));
        if self.targets.is_empty() {
            self.rest.clear();
        }
        self.processes.retain(|pid, owner| start_of(*pid) == Ok(Some(owner.started)));
        if self.refreshed.is_none_or(old) {
            self.refreshed = Some(now);
            for (pid, owner) in &mut self.processes {
                // A process can become another program.
                if let Ok((newer, _)) = identify(*pid)
                    && newer.started == owner.started
                {
                    *owner = newer;
                }
            }
        }
        let processes = &self.processes;
        self.held.retain(|inode, held| {
            if !wanted.contains(inode) || !processes.contains_key(&held.pid) {
                return false;
            }
            if !old(held.checked) {
                return true;
            }
            held.checked = now;
            let link = format!("/proc/{}/fd/{}", held.pid, held.descriptor);
            if fs::read_link(link).is_ok_and(|target| inode_of(&target) == Some(*inode)) {
                return true;
            }
            false
        });
    }

    /// All processes; those that are known to hold sockets of the port come last, which is next,
    /// and before them the newest.
    fn order(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut pids: Vec<u32> = pids.collect();
        pids.sort_by_key(|pid| (self.processes.contains_key(pid), *pid));
        pids
    }
}

/// One look's search: what it has read, and how much.
#[derive(Debug, Default)]
struct Search {
    seen: BTreeMap<u32, Sockets>,
    identities: BTreeMap<u32, Option<(Owner, u32)>>,
    links: usize,
}

impl Search {
    /// The process that has this pid, and its parent's pid; `None` if it is gone.
    fn identity(&mut self, pid: u32) -> Option<(Owner, u32)> {
        self.identities.entry(pid).or_insert_with(|| identify(pid).ok()).clone()
    }

    /// The sockets of a process; none if they may not be read.
    fn sockets(&mut self, pid: u32) -> &Sockets {
        let links = &mut self.links;
        self.seen.entry(pid).or_insert_with(|| {
            let (sockets, read) = sockets(pid).unwrap_or_default();
            *links += read + 1;
            sockets
        })
    }
}

fn sockets(pid: u32) -> io::Result<(Sockets, usize)> {
    let mut sockets = Sockets::new();
    let mut read = 0;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        read += 1;
        let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have been closed since.
        if let Some(inode) = fs::read_link(entry.path()).ok().as_deref().and_then(inode_of) {
            sockets.insert(inode, descriptor);
        }
    }
    Ok((sockets, read))
}

/// "socket:[4711]".
fn inode_of(link: &std::path::Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;
    use std::path::Path;

    use super::*;

    fn inode(socket: &TcpListener) -> u64 {
        let link = fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        inode_of(&link).unwrap()
    }

    #[test]
    fn sockets_are_told_from_other_descriptors() {
        assert_eq!(inode_of(Path::new("socket:[4711]")), Some(4711));
        for other in ["/dev/null", "pipe:[4711]", "socket:[]", "anon_inode:[eventpoll]"] {
            assert_eq!(inode_of(Path::new(other)), None);
        }
    }

    #[test]
    fn a_socket_of_this_process_is_found_and_forgotten_when_it_is_closed() {
        let now = Instant::now();
        let uid = nix::unistd::Uid::effective().as_raw();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = [(inode(&socket), uid)];
        let mut owners = Owners::default();
        let unknown = owners.owner(wanted[0].0, uid).unwrap_err();
        assert!(unknown.0.contains("still being looked for"));
        owners.find(&wanted, now);
        assert_eq!(owners.owner(wanted[0].0, uid).unwrap().pid, std::process::id());
        drop(socket);
        owners.find(&wanted, now + AGAIN);
        let unknown = owners.owner(wanted[0].0, uid).unwrap_err();
        assert!(unknown.0.contains("no process that can be seen"), "{unknown}");
    }

    #[test]
    fn what_cannot_be_found_is_unknown_with_its_cause_and_looked_for_again_later() {
        let now = Instant::now();
        let uid = nix::unistd::Uid::effective().as_raw();
        let mut owners = Owners::default();
        owners.find(&[(u64::MAX, uid + 1)], now);
        let unknown = owners.owner(u64::MAX, uid + 1).unwrap_err();
        assert_eq!(
            unknown.0,
            format!("it belongs to user {}, whose processes may not be looked into", uid + 1)
        );
        assert!(owners.missed.contains_key(&u64::MAX));
        owners.find(&[(u64::MAX, uid + 1)], now + AGAIN / 2);
        assert_eq!(owners.missed[&u64::MAX], now);
        owners.find(&[(u64::MAX, uid + 1)], now + AGAIN);
        assert_eq!(owners.missed[&u64::MAX], now + AGAIN);
        owners.find(&[], now + AGAIN);
        assert!(owners.missed.is_empty());
    }
}
