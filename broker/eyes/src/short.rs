//! Programs that connect to the port and close again soon: port checks.
//!
//! Each such connection is one more that Gateway has to care for, and in a bad moment the one
//! that blocks it. Counts are lower bounds: a connection is short only if it certainly existed
//! for less than [`SHORT`], so those of the first look, and those between two looks that lie far
//! apart, do not count. Pure: `now` is an argument.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ibouncer_core::sight::Owner;

/// A shorter connection is a short one.
pub const SHORT: Duration = Duration::from_secs(15);

/// So many in an hour are called a port check.
pub const PORT_CHECK: u32 = 5;

/// Programs that are counted by name; the rest together.
const PROGRAMS: usize = 64;

/// Width of a counter, and how many there are in an hour and in a day.
const BUCKET: Duration = Duration::from_secs(600);
const HOUR: u64 = 6;
const DAY: u64 = 144;

/// Short connections of one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortConnections {
    /// "python app.py (pid 4711)", or "a program that was gone before it could be seen".
    pub owner: String,
    /// The newest process, if any was seen.
    pub pid: Option<u32>,
    /// At least so many.
    pub last_hour: u32,
    /// At least so many.
    pub last_day: u32,
    /// In words, if they look like a port check.
    pub advice: Option<String>,
}

/// One connection of the port in one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// Has its client still got it?
    pub(crate) live: bool,
    /// Was the handshake of TCP completed?
    pub(crate) established: bool,
    pub(crate) who: Option<Who>,
    /// Of our worker or doctor.
    pub(crate) ours: bool,
}

/// Whose a connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    Program(Owner),
    /// Not of this host.
    Host(IpAddr),
}

/// By which connections are added up. Processes of one command are one program: a script that
/// runs each minute is a new process each time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Command(String),
    Host(IpAddr),
    Unseen,
    Rest,
}

#[derive(Debug)]
struct Open {
    /// It did not exist before; `None` if that is not known.
    born_after: Option<Instant>,
    established: bool,
    who: Option<Who>,
    ours: bool,
    ended: bool,
    /// Not in the newest look. Twice in a row is gone; once may have been missed, because the
    /// kernel hands out its tables in pieces.
    missing_since: Option<Instant>,
    look: u64,
}

#[derive(Debug, Default)]
struct Count {
    /// Number of a bucket, and what fell into it; the newest last.
    buckets: VecDeque<(u64, u32)>,
    pid: Option<u32>,
    several: bool,
}

/// The connections of the newest look, and the counters.
#[derive(Debug)]
pub(crate) struct ShortLedger {
    begin: Instant,
    looks: u64,
    last_look: Option<Instant>,
    open: BTreeMap<(SocketAddr, SocketAddr), Open>,
    counts: BTreeMap<Key, Count>,
    unseen: u64,
}

impl ShortLedger {
    pub(crate) fn new(begin: Instant) -> Self {
        Self {
            begin,
            looks: 0,
            last_look: None,
            open: BTreeMap::new(),
            counts: BTreeMap::new(),
            unseen: 0,
        }
    }

    /// Takes note of one look.
    pub(crate) fn take_note(&mut self, contacts: Vec<Contact>, now: Instant) {
        self.looks += 1;
        let look = self.looks;
        let born_after = self.last_look.replace(now);
        let mut ended = Vec::new();
        for contact in contacts {
            let key = (contact.client, contact.server);
            let fresh = || Open {
                born_after,
                established: false,
                who: None,
                ours: false,
                ended: false,
                missing_since: None,
                look,
            };
            let open = self.open.entry(key).or_insert_with(fresh);
            if open.ended && contact.live {
                // The same two addresses again.
                *open = fresh();
            }
            open.look = look;
            open.missing_since = None;
            open.established |= contact.established;
            open.ours |= contact.ours;
            open.who = contact.who.or(open.who.take());
            if !contact.live && !open.ended {
                open.ended = true;
                ended.push((key, now));
            }
        }
        for (key, open) in self.open.iter_mut().filter(|(_, open)| open.look != look) {
            match open.missing_since {
                None => open.missing_since = Some(now),
                Some(since) if !open.ended => ended.push((*key, since)),
                Some(_) => {}
            }
        }
        for (key, at) in ended {
            if let Some(open) = self.open.get(&key) {
                let life = open.born_after.map(|born| at.saturating_duration_since(born));
                let short = life.is_some_and(|life| life < SHORT);
                if short && open.established && !open.ours {
                    let who = open.who.clone();
                    self.count(who, now);
                }
            }
        }
        self.open.retain(|_, open| open.look + 1 >= look);
    }

    /// The programs, the busiest first.
    pub(crate) fn list(&self, now: Instant) -> Vec<ShortConnections> {
        let bucket = self.bucket(now);
        let mut list: Vec<_> = self
            .counts
            .iter()
            .map(|(key, count)| told(key, count, bucket))
            .filter(|one| one.last_day > 0)
            .collect();
        // Stable: of equals the order of names.
        list.sort_by_key(|one| std::cmp::Reverse((one.last_hour, one.last_day)));
        list
    }

    /// Short connections so far whose program was gone before it could be seen.
    pub(crate) fn unseen(&self) -> u64 {
        self.unseen
    }

    fn count(&mut self, who: Option<Who>, now: Instant) {
        self.unseen += u64::from(who.is_none());
        let bucket = self.bucket(now);
        self.counts.retain(|_, count| {
            count.buckets.retain(|(number, _)| number + DAY > bucket);
            !count.buckets.is_empty()
        });
        let (mut key, pid) = match who {
            Some(Who::Program(owner)) => (Key::Command(owner.command), Some(owner.pid)),
            Some(Who::Host(ip)) => (Key::Host(ip), None),
            None => (Key::Unseen, None),
        };
        if self.counts.len() >= PROGRAMS && !self.counts.contains_key(&key) {
            key = Key::Rest;
        }
        let count = self.counts.entry(key).or_default();
        count.several |= count.pid.is_some() && count.pid != pid;
        count.pid = pid.or(count.pid);
        match count.buckets.back_mut() {
            Some((number, several)) if *number == bucket => *several = several.saturating_add(1),
            _ => count.buckets.push_back((bucket, 1)),
        }
    }

    fn bucket(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begin).as_secs() / BUCKET.as_secs()
    }
}

fn told(key: &Key, count: &Count, bucket: u64) -> ShortConnections {
    let sum = |width: u64| {
        let young = count.buckets.iter().filter(|(number, _)| number + width > bucket);
        young.map(|(_, several)| *several).fold(0, u32::saturating_add)
    };
    let pid = match key {
        Key::Command(_) => count.pid,
        Key::Host(_) | Key::Unseen | Key::Rest => None,
    };
    let owner = match (key, pid) {
        (Key::Command(command), Some(pid)) if count.several => {
            format!("{command} (newest pid {pid})")
        }
        (Key::Command(command), Some(pid)) => format!("{command} (pid {pid})"),
        (Key::Command(command), None) => command.clone(),
        (Key::Host(ip), _) => format!("a program of host {ip}"),
        (Key::Unseen, _) => "a program that was gone before it could be seen".to_owned(),
        (Key::Rest, _) => "other programs".to_owned(),
    };
    let last_hour = sum(HOUR);
    let advice = (last_hour >= PORT_CHECK).then(|| {
        format!(
            "{owner}, at least {last_hour} short connections in the last hour: this is a port \
             check; use `ibouncer wait-ready`"
        )
    });
    ShortConnections { owner, pid, last_hour, last_day: sum(DAY), advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        ledger: ShortLedger,
        begin: Instant,
        now: Instant,
    }

    impl World {
        fn new() -> Self {
            let begin = Instant::now();
            let mut world = Self { ledger: ShortLedger::new(begin), begin, now: begin };
            world.look(0, vec![]);
            world
        }

        /// A look after this many milliseconds.
        fn look(&mut self, millis: u64, contacts: Vec<Contact>) {
            self.now += Duration::from_millis(millis);
            self.ledger.take_note(contacts, self.now);
        }

        fn list(&self) -> Vec<(String, u32, u32)> {
            let list = self.ledger.list(self.now);
            list.into_iter().map(|one| (one.owner, one.last_hour, one.last_day)).collect()
        }
    }

    fn contact(port: u16, live: bool, pid: Option<u32>) -> Contact {
        Contact {
            client: ([127, 0, 0, 1], port).into(),
            server: ([127, 0, 0, 1], 4002).into(),
            live,
            established: true,
            who: pid.map(|pid| {
                let command = "python app.py".to_owned();
                Who::Program(Owner { pid, started: 1, started_unix: 1, command })
            }),
            ours: false,
        }
    }

    #[test]
    fn a_connection_that_ends_soon_is_counted_once_and_for_its_program() {
        let mut world = World::new();
        world.look(250, vec![contact(1, true, Some(4711))]);
        world.look(250, vec![contact(1, false, None)]);
        world.look(250, vec![contact(1, false, None)]);
        world.look(250, vec![]);
        assert_eq!(world.list(), [("python app.py (pid 4711)".to_owned(), 1, 1)]);
        world.look(250, vec![]);
        world.look(250, vec![contact(1, true, Some(4711))]);
        // It was missed, no more.
        world.look(250, vec![]);
        world.look(250, vec![contact(1, true, Some(4711))]);
        assert_eq!(world.list()[0].1, 1);
        world.look(250, vec![]);
        world.look(250, vec![]);
        assert_eq!(world.list()[0].1, 2);
    }

    #[test]
    fn a_leftover_that_was_never_seen_alive_is_somebodys() {
        let mut world = World::new();
        world.look(250, vec![contact(1, false, None)]);
        world.look(20_000, vec![contact(2, false, None)]);
        let unseen = "a program that was gone before it could be seen";
        assert_eq!(world.list(), [(unseen.to_owned(), 1, 1)]);
        assert_eq!(world.ledger.unseen(), 1);
    }

    #[test]
    fn what_is_long_or_ours_or_was_there_before_or_never_came_up_is_not_counted() {
        let begin = Instant::now();
        let mut world = World { ledger: ShortLedger::new(begin), begin, now: begin };
        world.look(0, vec![contact(1, true, Some(1)), contact(2, false, None)]);
        world.look(250, vec![]);
        world.look(250, vec![]);
        let ours = Contact { ours: true, ..contact(3, true, Some(2)) };
        let dialling = Contact { established: false, ..contact(4, true, Some(3)) };
        world.look(250, vec![ours, dialling, contact(5, true, Some(4))]);
        world.look(250, vec![contact(5, true, Some(4))]);
        world.look(15_000, vec![]);
        world.look(250, vec![]);
        assert_eq!(world.list(), []);
    }

    #[test]
    fn hours_and_days_pass() {
        let mut world = World::new();
        for pid in 0..6 {
            world.look(250, vec![contact(1, true, Some(pid))]);
            world.look(250, vec![]);
            world.look(250, vec![]);
        }
        let name = "python app.py (newest pid 5)".to_owned();
        assert_eq!(world.list(), [(name.clone(), 6, 6)]);
        let advice = world.ledger.list(world.now)[0].advice.clone().unwrap();
        assert!(advice.contains("at least 6 short connections in the last hour"), "{advice}");
        assert!(advice.ends_with("use `ibouncer wait-ready`"));
        world.now = world.begin + Duration::from_secs(3_601);
        assert_eq!(world.list(), [(name, 0, 6)]);
        assert_eq!(world.ledger.list(world.now)[0].advice, None);
        world.now = world.begin + Duration::from_secs(86_401);
        assert_eq!(world.list(), []);
    }

    #[test]
    fn the_number_of_programs_is_bounded_and_the_busiest_is_first() {
        let mut world = World::new();
        let from = |port: u16, host: u8| Contact {
            who: Some(Who::Host([10, 0, 0, host].into())),
            ..contact(port, true, None)
        };
        for host in 0..200 {
            world.look(250, vec![from(1, host)]);
            world.look(250, vec![]);
            world.look(250, vec![]);
        }
        let list = world.list();
        assert_eq!(list.len(), PROGRAMS + 1);
        assert_eq!(list[0], ("other programs".to_owned(), 136, 136));
        assert_eq!(list[1].0, "a program of host 10.0.0.0");
    }
}
