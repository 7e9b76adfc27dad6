//! The service unit of docs/operations.md: each of its directives means what the page says, shown
//! with the signals that a service manager sends and the socket on which it listens.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;

use ibouncer_tests::harness::Program;
use ibouncer_tests::harness::procfs::{is_alive, process};
use ibouncer_tests::harness::wait::{PATIENCE, until_true};
use ibouncer_tests::harness::{Home, Sim, peers};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{binary, sim};

/// The unit as it stands on the page.
fn unit() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(peers::workspace().join("docs/operations.md")).unwrap();
    let block = page.split("```ini\n").nth(1).expect("a unit").split("```").next().unwrap();
    block
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What a service manager is to the broker.
struct Service {
    home: Home,
    notices: UnixDatagram,
    main: Program,
}

impl Service {
    /// `Type=notify`: started is what has said so.
    fn start(home: Home, sim: &Sim) -> Self {
        let socket = home.path().join("notify");
        let _ = std::fs::remove_file(&socket);
        let notices = UnixDatagram::bind(&socket).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = home.command(&[
            "serve",
            "--json",
            "--gateway",
            sim.address(),
            "--set",
            "grpc.listen=off",
            "--set",
            "gateway.eyes=local",
            "--set",
            "worker.adoption_grace=40s",
        ]);
        command.env("NOTIFY_SOCKET", &socket);
        let main = Program::start("serve", command);
        let service = Self { home, notices, main };
        service.hears("READY=1");
        service
    }

    #[track_caller]
    fn hears(&self, line: &str) {
        let mut heard = [0; 64];
        let length = self.notices.recv(&mut heard).unwrap();
        assert_eq!(std::str::from_utf8(&heard[..length]), Ok(line));
    }

    #[track_caller]
    fn worker(&self) -> u32 {
        let ready = self.home.cli(&["wait-ready", "--timeout", "25s"]);
        assert_eq!(ready.code, 0, "{ready:?}");
        let status: Value = self.home.cli(&["status", "--json"]).json();
        status["worker"]["pid"].as_u64().unwrap() as u32
    }

    /// Exit code.
    fn signal(&mut self, signal: Signal) -> Option<i32> {
        self.main.signal(signal);
        self.main.exit(PATIENCE).code()
    }
}

fn lives(pid: u32) -> bool {
    process(pid).is_some_and(is_alive)
}

#[test]
fn the_units_directives_mean_what_the_page_says() {
    let unit = unit();
    for (key, value) in [
        ("Type", "notify"),
        ("KillMode", "process"),
        ("RestartKillSignal", "SIGUSR2"),
        ("Restart", "on-failure"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("OOMPolicy", "continue"),
    ] {
        assert_eq!(unit.get(key).map(String::as_str), Some(value), "{key}");
    }
    let sim = sim(&[]);
    let mut service = Service::start(Home::new(binary()), &sim);
    let worker = service.worker();

    // `systemctl restart`: RestartKillSignal, a good exit, and the next one has the session.
    assert_eq!(service.signal(Signal::SIGUSR2), Some(0));
    service.hears("STOPPING=1");
    assert!(lives(worker));
    let mut service = Service::start(service.home, &sim);
    assert_eq!(service.worker(), worker);

    // `systemctl reload`: the session is not touched.
    service.main.signal(Signal::SIGHUP);
    assert_eq!(service.worker(), worker);

    // A crash, or the machine's own killer: KillMode=process leaves the worker, Restart=on-failure
    // starts the next broker.
    assert_eq!(service.signal(Signal::SIGKILL), None);
    assert!(lives(worker));
    let mut service = Service::start(service.home, &sim);
    assert_eq!(service.worker(), worker);
    assert_eq!(sim.named("accepted").len(), 1, "all of that on one connection");

    // `systemctl stop`: an end that really ends the worker, and the session in order.
    assert_eq!(service.signal(Signal::SIGTERM), Some(0));
    service.hears("STOPPING=1");
    until_true("the worker is gone", PATIENCE, || !lives(worker));
    assert_eq!(sim.close_of(1), "fin");
    // Ctrl-C in a terminal is the same.
    let mut service = Service::start(service.home, &sim);
    let worker = service.worker();
    assert_eq!(service.signal(Signal::SIGINT), Some(0));
    until_true("the worker is gone", PATIENCE, || !lives(worker));
    assert_eq!(sim.close_of(2), "fin");
}
