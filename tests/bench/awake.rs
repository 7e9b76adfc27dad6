//! Keeps the cores from falling asleep.
//!
//! A core that has nothing to do is halted; in a virtual machine it is then given to somebody else,
//! and comes back late and with cold caches. At rates where everybody sleeps between two batches
//! that is most of what is measured. So it is measured both ways: as the machine is, and beside one
//! process for each core that does nothing, in the class of the idle (`chrt -i`): whoever wants the
//! core gets it at once.

use std::process::{Child, Command, Stdio};

/// They end by themselves, whatever becomes of the benchmark.
const SECONDS: &str = "600";

/// One process for each core; they end with this.
pub(crate) struct Awake {
    idlers: Vec<Child>,
}

impl Awake {
    /// Nothing if this system has no `chrt`, or does not let us.
    pub(crate) fn keep() -> Option<Self> {
        let may = Command::new("chrt").args(["-i", "0", "true"]).stderr(Stdio::null()).status();
        if !may.is_ok_and(|status| status.success()) {
            println!("cores are not kept awake: chrt (util-linux) is missing, or may not");
            return None;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let idlers = (0..cores).map(|_| {
            let idle = ["-i", "0", "timeout", SECONDS, "sh", "-c", "while :; do :; done"];
            Command::new("chrt").args(idle).spawn().unwrap()
        });
        Some(Self { idlers: idlers.collect() })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for idler in &mut self.idlers {
            // timeout hands the signal on to the loop.
            let pid = nix::unistd::Pid::from_raw(idler.id() as i32);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            let _ = idler.wait();
        }
    }
}
