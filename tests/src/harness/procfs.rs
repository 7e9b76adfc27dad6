//! Processes and TCP sockets as the kernel shows them, read only.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A process, told from a later one of the same pid by its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start, in clock ticks since boot.
    pub started: u64,
}

#[derive(Debug)]
struct Stat {
    process: Process,
    state: char,
    parent: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, even parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        process: Process { pid, started: fields.get(19)?.parse().ok()? },
    })
}

/// The process that has this pid now.
pub fn process(pid: u32) -> Option<Process> {
    stat(pid).map(|stat| stat.process)
}

/// Does it run? A process that only waits to be waited for does not.
pub fn is_alive(process: Process) -> bool {
    stat(process.pid).is_some_and(|stat| stat.process == process && !"ZX".contains(stat.state))
}

/// Living children.
pub fn children(parent: u32) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?))
        .filter(|stat| stat.parent == parent && !"ZX".contains(stat.state))
        .map(|stat| stat.process)
        .collect()
}

/// Resident set in KiB.
pub fn resident_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Watches a process's children and notes whenever there are two.
#[derive(Debug)]
pub struct ChildWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(Vec<Process>, usize)>>,
}

impl ChildWatch {
    /// Begins.
    pub fn start(parent: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        // The first look comes before anything that the caller does next.
        let mut seen = children(parent);
        let mut most = seen.len();
        let thread = std::thread::spawn(move || {
            loop {
                // The last look comes after the end was ordered, so that nothing is missed.
                let last = ended.load(Ordering::Relaxed);
                let now = children(parent);
                most = most.max(now.len());
                for child in now {
                    if !seen.contains(&child) {
                        seen.push(child);
                    }
                }
                if last {
                    return (seen, most);
                }
                std::thread::sleep(Duration::from_millis(8));
            }
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends; answers with all children that were seen and the most at one time.
    pub fn finish(mut self) -> (Vec<Process>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for ChildWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// States of TCP sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TcpState {
    /// Data can flow.
    Established,
    /// The other side has closed, this one has not.
    CloseWait,
    /// Waits for connections.
    Listen,
    /// Waits out the time in which late segments may come.
    TimeWait,
    /// Any other.
    Other(u8),
}

/// One socket of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its state.
    pub state: TcpState,
    /// Port of the other end.
    pub remote_port: u16,
    /// Bytes that nobody read yet.
    pub unread: u64,
}

/// Sockets whose own port this is.
pub fn sockets_of(port: u16) -> Vec<TcpSocket> {
    let text = fs::read_to_string("/proc/net/tcp").unwrap();
    text.lines().skip(1).filter_map(|line| socket(line, port)).collect()
}

/// How many sockets of this port are in each state.
pub fn states_of(port: u16) -> BTreeMap<TcpState, usize> {
    let mut states = BTreeMap::new();
    for socket in sockets_of(port) {
        *states.entry(socket.state).or_default() += 1;
    }
    states
}

fn socket(line: &str, port: u16) -> Option<TcpSocket> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (_, own_port) = address(fields.get(1)?)?;
    if own_port != port {
        return None;
    }
    let (_, remote_port) = address(fields.get(2)?)?;
    let state = match u8::from_str_radix(fields.get(3)?, 16).ok()? {
        1 => TcpState::Established,
        6 => TcpState::TimeWait,
        8 => TcpState::CloseWait,
        10 => TcpState::Listen,
        other => TcpState::Other(other),
    };
    let (_, unread) = fields.get(4)?.split_once(':')?;
    Some(TcpSocket { state, remote_port, unread: u64::from_str_radix(unread, 16).ok()? })
}

fn address(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (host, port) = text.split_once(':')?;
    let host = u32::from_str_radix(host, 16).ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((Ipv4Addr::from(host.swap_bytes()), port))
}
