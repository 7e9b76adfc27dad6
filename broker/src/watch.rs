//! The thread that looks at Gateway's port: owns the [`Eyes`], and nothing else does.
//!
//! A look reads tables whose size is not ours to choose, so it never runs on a thread of the
//! runtime. The thread looks by itself each period, and at once when asked; whoever wants to
//! know gets the newest [`Observed`], or waits for one with other facts. It decides nothing. It
//! ends with its [`Watcher`].

mod haste;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ibouncer_core::sight::{PortSocket, Sight};
use ibouncer_eyes::{Eyes, Ours, Setting, ShortConnections};
use tokio::sync::{mpsc, oneshot, watch};

use haste::Haste;

/// Between two looks while a wait depends on them.
pub const PERIOD: Duration = Duration::from_millis(250);

/// Between two looks while the session is live: then they only tell operators what happens. While
/// short connections come and go unseen they are [`PERIOD`] apart, within the limits of [`haste`].
pub const CALM_PERIOD: Duration = Duration::from_secs(5);

/// The thread sleeps at least so many times as long as it looked: on a host where tables are
/// dear it looks less often, and never takes more than a tenth of a core.
const REST: u32 = 9;

/// Orders that may wait for the thread.
const ORDERS: usize = 64;

/// Changes that may wait for [`Watcher::changed`].
const CHANGES: usize = 256;

/// What one look saw, and what is remembered of those before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// When.
    pub at: Instant,
    /// What the tables said.
    pub sight: Sight,
    /// Programs that connect and close again soon, the busiest first.
    pub short: Vec<ShortConnections>,
    /// What happened to the listener, in words: from [`Watcher::changed`] all since its last
    /// answer, else empty.
    pub changes: Vec<String>,
}

impl Observed {
    /// Nothing is known, for this reason.
    pub fn blind(because: &str, at: Instant) -> Self {
        Self { at, sight: Sight::blind(because), short: Vec::new(), changes: Vec::new() }
    }
}

/// The way to the thread.
#[derive(Debug)]
pub struct Watcher {
    orders: SyncSender<Order>,
    observed: watch::Receiver<Arc<Observed>>,
    changes: mpsc::Receiver<String>,
}

#[derive(Debug)]
enum Order {
    Look(oneshot::Sender<Arc<Observed>>),
    Ours(Ours),
    Period(Duration),
}

impl Watcher {
    /// Starts the thread, which looks at once.
    pub fn start(gateway: SocketAddr, setting: Setting) -> io::Result<Self> {
        Self::start_with(gateway, setting, PERIOD)
    }

    /// The same with another period.
    pub fn start_with(gateway: SocketAddr, setting: Setting, period: Duration) -> io::Result<Self> {
        let (orders, inbox) = sync_channel(ORDERS);
        let (told, changes) = mpsc::channel(CHANGES);
        let blind = Observed::blind("nobody has looked yet", Instant::now());
        let (publish, observed) = watch::channel(Arc::new(blind));
        let eyes = Eyes::new(gateway, setting);
        let thread = Thread {
            eyes,
            ours: Ours::default(),
            inbox,
            publish,
            told,
            period,
            haste: Haste::default(),
        };
        std::thread::Builder::new().name("eyes".into()).spawn(move || thread.run())?;
        Ok(Self { orders, observed, changes })
    }

    /// Orders a look now. No answer comes if the thread has more to do than it can.
    pub fn look_now(&self) -> oneshot::Receiver<Arc<Observed>> {
        let (answer, receiver) = oneshot::channel();
        self.look_for(answer);
        receiver
    }

    /// The same for somebody who waits elsewhere.
    pub fn look_for(&self, answer: oneshot::Sender<Arc<Observed>>) {
        // An answer that is dropped says it.
        let _ = self.orders.try_send(Order::Look(answer));
    }

    /// Says which processes are ours, from the next look on, which follows at once.
    pub fn ours(&self, ours: Ours) {
        if self.orders.try_send(Order::Ours(ours)).is_err() {
            tracing::warn!(?ours, "the eyes were not told which processes are ours");
        }
    }

    /// Sets the time between two looks.
    pub fn pace(&self, period: Duration) {
        // One that is lost costs some looks too many, until the next change.
        let _ = self.orders.try_send(Order::Period(period));
    }

    /// The newest look.
    pub fn newest(&self) -> Arc<Observed> {
        Arc::clone(&self.observed.borrow())
    }

    /// Waits for a look with other facts than the one before: ages alone are none, new figures
    /// of a process are. Can be dropped and called again without missing one.
    pub async fn changed(&mut self) -> Observed {
        if self.observed.changed().await.is_err() {
            // The thread panicked, and the panic is in the log; what is newest stays so.
            std::future::pending::<()>().await;
        }
        let mut observed = Observed::clone(&self.observed.borrow_and_update());
        while let Ok(change) = self.changes.try_recv() {
            observed.changes.push(change);
        }
        observed
    }
}

struct Thread {
    eyes: Eyes,
    ours: Ours,
    inbox: Receiver<Order>,
    publish: watch::Sender<Arc<Observed>>,
    told: mpsc::Sender<String>,
    period: Duration,
    haste: Haste,
}

impl Thread {
    fn run(mut self) {
        let mut next = Instant::now();
        loop {
            let wait = next.saturating_duration_since(Instant::now());
            let mut answers = Vec::new();
            match self.inbox.recv_timeout(wait) {
                Ok(order) => self.take(order, &mut answers),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // One look answers all who ask by now.
            while let Ok(order) = self.inbox.try_recv() {
                self.take(order, &mut answers);
            }
            let begun = Instant::now();
            let observed = self.look(begun);
            for answer in answers {
                // Whoever asked may have gone.
                let _ = answer.send(Arc::clone(&observed));
            }
            let hasty = self.haste.is_on(self.eyes.unseen_short_connections(), begun);
            let period = if hasty { self.period.min(PERIOD) } else { self.period };
            next = begun + period.max(begun.elapsed() * REST);
        }
    }

    fn take(&mut self, order: Order, answers: &mut Vec<oneshot::Sender<Arc<Observed>>>) {
        match order {
            Order::Look(answer) => answers.push(answer),
            Order::Ours(ours) => self.ours = ours,
            Order::Period(period) => self.period = period,
        }
    }

    fn look(&mut self, now: Instant) -> Arc<Observed> {
        let sight = self.eyes.look(&self.ours, now);
        let short = self.eyes.short_connections(now);
        let mut changed = false;
        for change in self.eyes.changes() {
            changed = true;
            // Dropped only if nobody has asked for hundreds.
            let _ = self.told.try_send(change);
        }
        let observed = Arc::new(Observed { at: now, sight, short, changes: Vec::new() });
        self.publish.send_if_modified(|newest| {
            let news = changed || !same_facts(newest, &observed);
            *newest = Arc::clone(&observed);
            news
        });
        observed
    }
}

/// Equal but for time and ages?
fn same_facts(before: &Observed, after: &Observed) -> bool {
    let (one, two) = (&before.sight, &after.sight);
    let sockets = match (&one.sockets, &two.sockets) {
        (Ok(one), Ok(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same_socket(one, two))
        }
        (one, two) => one == two,
    };
    sockets
        && before.short == after.short
        && (one.vantage, &one.because) == (two.vantage, &two.because)
        && one.listener == two.listener
}

/// All but the age.
fn same_socket(one: &PortSocket, two: &PortSocket) -> bool {
    (one.local, one.remote, one.state, one.role, one.unread)
        == (two.local, two.remote, two.state, two.role, two.unread)
        && one.owner == two.owner
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Command, Stdio};

    use ibouncer_core::sight::Role;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    async fn until(watcher: &mut Watcher, shows: impl Fn(&Observed) -> bool) -> Observed {
        let mut changes = Vec::new();
        let wait = async {
            loop {
                let mut observed = watcher.changed().await;
                changes.append(&mut observed.changes);
                if shows(&Observed { changes: changes.clone(), ..observed.clone() }) {
                    return Observed { changes, ..observed };
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap()
    }

    #[tokio::test]
    async fn facts_are_published_and_ages_alone_are_none() {
        let (listener, address) = listener();
        let period = Duration::from_millis(5);
        let mut watcher = Watcher::start_with(address, Setting::Local, period).unwrap();
        let observed = until(&mut watcher, |seen| seen.sight.listening() == Some(true)).await;
        assert_eq!(observed.sight.accept_queue(), Some(0));
        let client = TcpStream::connect(address).unwrap();
        until(&mut watcher, |seen| seen.sight.accept_queue() == Some(1)).await;
        assert_eq!(watcher.newest().sight.accept_queue(), Some(1));
        drop(client);
        drop(listener);
        let gone = until(&mut watcher, |seen| !seen.changes.is_empty()).await;
        assert_eq!(gone.sight.listening(), Some(false));
        assert!(gone.changes[0].contains("nothing listens"), "{:?}", gone.changes);
    }

    #[tokio::test]
    async fn a_look_on_demand_is_newer_than_the_demand_and_knows_what_is_ours() {
        let (_listener, address) = listener();
        let never = Duration::from_secs(3_600);
        let watcher = Watcher::start_with(address, Setting::Local, never).unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let before = Instant::now();
        let observed = watcher.look_now().await.unwrap();
        assert!(observed.at >= before);
        assert_eq!(observed.sight.strangers().count(), 1);
        watcher.ours(Ours { worker: Some(std::process::id()), doctor: None });
        let sight = watcher.look_now().await.unwrap().sight.clone();
        assert_eq!(sight.strangers().count(), 0);
        assert!(sight.sockets.unwrap().iter().any(|socket| socket.role == Role::Worker));
    }

    #[tokio::test]
    async fn the_thread_ends_with_its_watcher() {
        let (_listener, address) = listener();
        let mut watcher = Watcher::start(address, Setting::None).unwrap();
        let mut observed = watcher.observed.clone();
        watcher.changed().await;
        drop(watcher);
        let ended = async { while observed.changed().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, ended).await.unwrap();
    }

    /// A child that is ended and waited for, whatever the test did.
    struct Checker(Child);

    impl Drop for Checker {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn a_port_checker_is_named() {
        let (listener, address) = listener();
        std::thread::spawn(move || {
            // As Gateway does: reads until the other side has gone.
            for connection in listener.incoming() {
                std::thread::spawn(move || {
                    let mut nothing = Vec::new();
                    let _ = std::io::Read::read_to_end(&mut connection.unwrap(), &mut nothing);
                });
            }
        });
        let mut watcher = Watcher::start(address, Setting::Local).unwrap();
        until(&mut watcher, |seen| seen.sight.listening() == Some(true)).await;
        let port = address.port();
        let one = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; sleep 0.6; exec 3>&-");
        let script = format!("while true; do {one}; done");
        let Ok(child) = Command::new("bash").args(["-c", &script]).stdin(Stdio::null()).spawn()
        else {
            // No bash on this host.
            return;
        };
        let checker = Checker(child);
        let pid = checker.0.id();
        let seen = until(&mut watcher, |seen| {
            seen.short.iter().any(|one| one.pid == Some(pid) && one.advice.is_some())
        })
        .await;
        let found = seen.short.iter().find(|one| one.pid == Some(pid)).unwrap();
        assert!(found.owner.starts_with("bash -c while true"), "{found:?}");
        assert!(found.last_hour >= 5, "{found:?}");
        assert!(found.advice.as_ref().unwrap().contains("ibouncer wait-ready"), "{found:?}");
    }
}
