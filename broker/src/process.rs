//! Worker processes: started from one thread or taken over, held by handles, waited for.
//!
//! The thread lives as long as the broker, because a worker asks to die with the thread that
//! started it, until its session is live. Signals go through the child's own handle while it has
//! not been waited for, or through the pidfd of a worker that was checked ([`crate::trust`]): a
//! pid that could be somebody else's is never signalled.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ibouncer_core::ids::Epoch;
use ibouncer_core::supervisor::ExitStatus;
use nix::fcntl::OFlag;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use crate::places::is_locked;

/// First argument of a worker.
const ARGUMENT: &str = "__worker";

/// Name of a worker in `ps`.
const NAME: &str = "ibouncer-worker";

/// What a worker may know of our environment.
const ALLOWED: [&str; 3] = ["RUST_BACKTRACE", "TZ", "LANG"];

/// Logs of workers that are kept.
const LOGS_KEPT: usize = 20;

/// The thread that starts workers.
#[derive(Debug)]
pub struct Nursery {
    orders: std::sync::mpsc::Sender<Birth>,
    link: PathBuf,
    logs: PathBuf,
}

struct Birth {
    epoch: Epoch,
    link: PathBuf,
    log: PathBuf,
    answer: oneshot::Sender<io::Result<Worker>>,
}

/// A worker process that has not been waited for.
#[derive(Debug)]
pub struct Worker {
    epoch: Epoch,
    pid: u32,
    handle: Handle,
    exit: AsyncFd<OwnedFd>,
    linked: bool,
    /// Its end is looked for before it is waited for.
    look: bool,
}

#[derive(Debug)]
enum Handle {
    /// We started it.
    Child(Child),
    /// The broker before did. It is gone only when its lock is free as well.
    Adopted { lock: PathBuf },
}

impl Nursery {
    /// Starts the thread.
    pub fn start(link: PathBuf, logs: PathBuf) -> io::Result<Self> {
        let (orders, inbox) = std::sync::mpsc::channel::<Birth>();
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("nursery".into()).spawn(move || {
            let _inside = runtime.enter();
            for birth in inbox {
                let born = spawn(birth.epoch, &birth.link, &birth.log);
                // Nobody waits only when the broker ends; the worker then dies with this thread.
                let _ = birth.answer.send(born);
            }
        })?;
        Ok(Self { orders, link, logs })
    }

    /// Orders a worker.
    pub fn spawn(&self, epoch: Epoch) -> oneshot::Receiver<io::Result<Worker>> {
        prune(&self.logs);
        let (answer, receiver) = oneshot::channel();
        let log = self.logs.join(format!("{epoch}.log"));
        // The thread ends only with this sender.
        let _ = self.orders.send(Birth { epoch, link: self.link.clone(), log, answer });
        receiver
    }
}

impl Worker {
    /// A worker of the broker before, checked, with its handle.
    pub fn adopt(epoch: Epoch, pid: u32, pidfd: OwnedFd, lock: PathBuf) -> io::Result<Self> {
        let exit = watch(pidfd)?;
        Ok(Self { epoch, pid, handle: Handle::Adopted { lock }, exit, linked: true, look: false })
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its pid, for display and for checking a link's peer; not for signals.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Notes a link of it. True for the first one.
    pub fn links(&mut self) -> bool {
        !std::mem::replace(&mut self.linked, true)
    }

    /// SIGKILL. A worker that has exited and was not waited for yet is not disturbed by it.
    pub fn kill(&mut self) -> io::Result<()> {
        self.look = true;
        match &mut self.handle {
            Handle::Child(child) => child.kill(),
            Handle::Adopted { .. } => {
                let signal = rustix::process::Signal::KILL;
                match rustix::process::pidfd_send_signal(self.exit.get_ref(), signal) {
                    // It is gone already.
                    Err(rustix::io::Errno::SRCH) => Ok(()),
                    other => other.map_err(io::Error::from),
                }
            }
        }
    }

    /// Waits for its end. Can be dropped and called again.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        if std::mem::take(&mut self.look)
            && let Handle::Child(child) = &mut self.handle
            && let Some(status) = child.try_wait()?
        {
            return Ok(describe(status));
        }
        loop {
            let mut ready = self.exit.readable().await?;
            match &mut self.handle {
                Handle::Child(child) => match child.try_wait()? {
                    Some(status) => return Ok(describe(status)),
                    None => ready.clear_ready(),
                },
                Handle::Adopted { lock } => {
                    while is_locked(lock)? {
                        tokio::time::sleep(LOCK_LOOK).await;
                    }
                    return Ok(reap(self.exit.get_ref()));
                }
            }
        }
    }
}

/// Between two looks at the lock of a process that is gone: the kernel frees it at once.
const LOCK_LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// After a handover the worker is still a child of this process, and must be waited for.
fn reap(pidfd: &OwnedFd) -> ExitStatus {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
        Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => ExitStatus::Unseen,
        },
        // Somebody else's child.
        Ok(None) | Err(_) => ExitStatus::Unseen,
    }
}

impl Drop for Worker {
    /// No zombie is left. A worker that lives is left alone: without a link it ends by itself,
    /// unless its session is live and waits for the next broker.
    fn drop(&mut self) {
        if let Handle::Child(child) = &mut self.handle {
            let _ = child.try_wait();
        }
    }
}

#[expect(unsafe_code, reason = "registering a descriptor with the runtime is unsafe by nature")]
fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the AsyncFd owns the pidfd, so the descriptor stays open and the same for as long
    // as it is registered, and is closed only after it was taken out.
    let watched = unsafe { AsyncFd::register(pidfd) };
    Ok(watched?)
}

fn describe(status: std::process::ExitStatus) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, signal) => ExitStatus::Signal(signal.unwrap_or_default()),
    }
}

fn spawn(epoch: Epoch, link: &Path, log: &Path) -> io::Result<Worker> {
    let mut command = Command::new(own_binary()?);
    command
        .arg0(NAME)
        .arg(ARGUMENT)
        .arg(link)
        .arg(epoch.0.to_string())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(open_log(log)?);
    for name in ALLOWED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let mut child = command.spawn()?;
    let watched = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(&child),
        rustix::process::PidfdFlags::NONBLOCK,
    )
    .map_err(io::Error::from)
    .and_then(watch);
    match watched {
        Ok(exit) => {
            let pid = child.id();
            Ok(Worker {
                epoch,
                pid,
                handle: Handle::Child(child),
                exit,
                linked: false,
                look: false,
            })
        }
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
    }
}

/// The file that we run, even if it was replaced on disk since.
fn own_binary() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
}

/// Keeps the newest logs.
fn prune(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut logs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .filter(|(_, path)| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort();
    let surplus = (logs.len() + 1).saturating_sub(LOGS_KEPT);
    for (_, path) in logs.into_iter().take(surplus) {
        let _ = std::fs::remove_file(path);
    }
}
