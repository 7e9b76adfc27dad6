//! That the doctor never harms what it examines: no packet in the passive stage, no handshake
//! beside a live session or against a wedged Gateway, no row without being asked twice, none
//! beyond the budget.

use std::cell::RefCell;
use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use bytes::BytesMut;
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::handshake::{ServerEvent, ServerHandshake, version_reply};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{
    ApiConfig, ApiSettingsConfig, ConfigResponse, CurrentTime, ManagedAccounts, NextValidId,
};
use ibouncer_tests::harness::wait::{PATIENCE, until};
use ibouncer_tests::harness::{Answer, Home};
use serde_json::Value;

use super::{binary, plan, ready, sim};

/// A listener that only counts, and keeps what it counted.
struct Bare {
    listener: TcpListener,
    kept: RefCell<Vec<TcpStream>>,
}

impl Bare {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener, kept: RefCell::default() }
    }

    fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// How many connections have come since the last call. What was reset stays in the queue
    /// until it is accepted, so nothing is missed.
    #[track_caller]
    fn came(&self) -> usize {
        let mut count = 0;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    self.kept.borrow_mut().push(stream);
                    count += 1;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return count,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[track_caller]
fn doctor(home: &Home, gateway: &str, more: &[&str]) -> (Answer, Value) {
    let mut arguments = vec!["doctor", "--gateway", gateway, "--json"];
    if !more.contains(&"--timeout") {
        arguments.extend(["--timeout", "300ms"]);
    }
    arguments.extend(more);
    let answer = home.cli(&arguments);
    let value = answer.json();
    (answer, value)
}

const BLIND: &[&str] = &["--eyes", "none"];

#[test]
fn the_passive_stage_sends_nothing_and_leaves_no_file() {
    let bare = Bare::new();
    let home = Home::new(binary());
    for eyes in ["auto", "local", "none"] {
        let (answer, value) = doctor(&home, &bare.address(), &["--eyes", eyes]);
        let verdict = if eyes == "none" { "UNKNOWN" } else { "LISTENING" };
        assert_eq!((answer.code, value["verdict"].as_str()), (3, Some(verdict)), "{value:#}");
    }
    assert_eq!(bare.came(), 0);
    let files = std::fs::read_dir(home.locks()).map(Iterator::count).unwrap_or(0);
    assert_eq!(files, 0, "a look takes no lock and writes no ledger");
}

#[test]
fn a_live_session_is_never_disturbed_whoever_asks() {
    let (sim, broker) = ready();
    for more in [
        &[][..],
        &["--active"],
        &["--active", "--override", "--reason", "I know better"],
        &["--client-ids", "1,2", "--run"],
        &["--matrix", "--run"],
    ] {
        let (answer, value) = doctor(broker.home(), sim.address(), more);
        assert_eq!(value["verdict"], "SESSION_READY", "{value:#}");
        assert_eq!(answer.code, 0);
        let refused = if more.is_empty() { None } else { Some("session_ready") };
        assert_eq!(value["refusal"]["code"].as_str(), refused, "{value:#}");
    }
    // Another user's folders, the same lock: nobody can be asked, and still nothing is tried.
    let other = Home::new(binary());
    let mut command = other.command(&[
        "doctor",
        "--gateway",
        sim.address(),
        "--active",
        "--override",
        "--reason",
        "why not",
        "--json",
    ]);
    command.env("IBOUNCER_LOCK_DIR", broker.home().locks());
    let output = command.output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["refusal"]["code"], "broker_serves", "{value:#}");
    assert!(value["unknown"]["broker"].as_str().unwrap().contains("cannot be asked"));
    assert_eq!(sim.named("accepted").len(), 1, "only the worker");
    assert_eq!(broker.cli(&["status"]).code, 0);
}

#[test]
fn a_broker_under_another_client_id_is_found_by_its_lock() {
    let sim = sim(&[]);
    let broker = plan(&sim).flag("--client-id").flag("420").start();
    broker.wait_ready();
    let other = Home::new(binary());
    let gateway = sim.address();
    let mut command = other.command(&["doctor", "--gateway", gateway, "--active", "--json"]);
    command.env("IBOUNCER_LOCK_DIR", broker.home().locks());
    let output = command.output().unwrap();
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["refusal"]["code"], "broker_serves", "{value:#}");
    // Whoever can ask it is told.
    let (_, value) = doctor(broker.home(), gateway, &["--active", "--eyes", "local"]);
    assert_eq!(value["verdict"], "SESSION_READY", "{value:#}");
    let sockets = value["eyes"]["sockets"].as_array().unwrap();
    assert!(sockets.iter().any(|socket| socket["role"] == "worker"), "{value:#}");
    assert_eq!(sim.named("accepted").len(), 1);
}

#[test]
fn a_session_that_outlives_its_broker_is_never_disturbed() {
    let sim = sim(&[]);
    let mut broker = plan(&sim).set("worker.adoption_grace=5s").start();
    broker.wait_ready();
    broker.kill();
    let forced = ["--active", "--override", "--reason", "the broker is gone"];
    let (answer, value) = doctor(broker.home(), sim.address(), &forced);
    assert_eq!(value["refusal"]["code"], "worker_lives", "{value:#}");
    assert_eq!(answer.code, 3);
    let note = value["unknown"]["broker"].as_str().unwrap();
    assert!(note.contains("lives on without its broker"), "{note}");
    assert_eq!(sim.named("accepted").len(), 1);
}

#[test]
fn a_broker_that_is_wedged_is_believed() {
    let sim = sim(&["--fault", "accept-and-mute"]);
    let broker = plan(&sim).handshake_timeout("500ms").start();
    broker.wait_status("WEDGED", |status| status["state"] == "WEDGED");
    let before = sim.named("accepted").len();
    let forced = ["--active", "--override", "--reason", "looked after it"];
    for more in [&[][..], &["--active"], &forced] {
        let (answer, value) = doctor(broker.home(), sim.address(), more);
        assert_eq!((answer.code, value["verdict"].as_str()), (4, Some("WEDGED")), "{value:#}");
        assert_eq!(value["broker"]["state"], "WEDGED");
        assert_eq!(value["broker"]["attempt"]["outcome"], "silent");
    }
    assert_eq!(sim.named("accepted").len(), before);
}

#[test]
fn the_budget_holds_over_invocations_and_only_a_person_with_a_reason_goes_on() {
    let bare = Bare::new();
    let home = Home::new(binary());
    let address = bare.address();
    for silent in 1..=3 {
        let (_, value) = doctor(&home, &address, &["--active", "--eyes", "none"]);
        let verdict = if silent < 3 { "SILENT_AFTER_TCP" } else { "WEDGED" };
        assert_eq!(value["verdict"], verdict, "{value:#}");
        assert_eq!(value["budget"]["silent_in_row"], silent);
    }
    assert_eq!(bare.came(), 3);
    for more in [&["--active"][..], &["--client-ids", "1,2", "--run"], &["--matrix", "--run"]] {
        let (answer, value) = doctor(&home, &address, &[more, BLIND].concat());
        assert_eq!((answer.code, value["verdict"].as_str()), (4, Some("WEDGED")), "{value:#}");
        assert_eq!(value["refusal"]["code"], "wedged");
        assert_eq!(value["refusal"]["can_be_overridden"], true);
    }
    let (answer, _) = doctor(&home, &address, BLIND);
    assert_eq!(answer.code, 4, "what is remembered counts for a look too");
    assert_eq!(bare.came(), 0);

    let forced = ["--active", "--override", "--reason", "the dialog is gone", "--eyes", "none"];
    let (_, value) = doctor(&home, &address, &forced);
    assert_eq!(bare.came(), 1);
    let attempts = value["budget"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.last().unwrap()["by"], "doctor, override: the dialog is gone");
}

#[test]
fn an_answer_gives_the_budget_back() {
    let sim = sim(&["--fault", "accept-and-mute:2"]);
    let home = Home::new(binary());
    for silent in [1, 2, 0] {
        let patient = if silent == 0 { "20s" } else { "300ms" };
        let arguments = ["--active", "--eyes", "none", "--timeout", patient];
        let (_, value) = doctor(&home, sim.address(), &arguments);
        assert_eq!(value["budget"]["silent_in_row"], silent, "{value:#}");
    }
}

#[test]
fn a_doctor_that_is_killed_in_the_middle_has_used_its_attempt() {
    let bare = Bare::new();
    let home = Home::new(binary());
    let address = bare.address();
    let arguments =
        ["doctor", "--gateway", &address, "--active", "--timeout", "60s", "--eyes", "none"];
    let mut killed = home.spawn(&arguments);
    until("its connection", PATIENCE, || (bare.came() > 0).then_some(()));
    killed.signal(nix::sys::signal::Signal::SIGKILL);
    killed.exit(PATIENCE);
    // Gateway gets a reset, and so keeps nothing in CLOSE_WAIT.
    let mut kept = bare.kept.borrow_mut().remove(0);
    kept.set_read_timeout(Some(PATIENCE)).unwrap();
    let end = kept.read_to_end(&mut Vec::new());
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (_, value) = doctor(&home, &address, &["--active", "--eyes", "none"]);
    assert_eq!(value["budget"]["silent_in_row"], 2, "{value:#}");
    assert_eq!(value["budget"]["attempts"][0]["outcome"], "unfinished");
}

#[test]
fn a_row_is_only_shown_until_it_is_asked_for_twice() {
    let bare = Bare::new();
    let home = Home::new(binary());
    let ids = "1,100,500,999,1234,9999";
    let shown = ["--client-ids", ids, "--eyes", "local"];
    let (_, value) = doctor(&home, &bare.address(), &shown);
    assert_eq!(value["dry_run"]["steps"].as_array().unwrap().len(), 6, "{value:#}");
    assert_eq!(value["dry_run"]["obstacle"], Value::Null);
    let (_, value) = doctor(&home, &bare.address(), &["--matrix", "--eyes", "local"]);
    assert!(value["dry_run"]["steps"].as_array().unwrap().len() > 3, "{value:#}");
    assert_eq!(bare.came(), 0);

    let run = ["--client-ids", ids, "--run", "--eyes", "none"];
    let (_, value) = doctor(&home, &bare.address(), &run);
    assert_eq!(value["handshakes"].as_array().unwrap().len(), 1, "the first silence ends it");
    assert_eq!(value["verdict"], "SILENT_AFTER_TCP", "{value:#}");
    assert_eq!(bare.came(), 1);
}

#[test]
fn a_row_goes_through_while_gateway_answers() {
    let sim = sim(&["--fault", "client-id-in-use:1"]);
    let home = Home::new(binary());
    let arguments = ["--client-ids", "1,100,500", "--run", "--eyes", "local", "--timeout", "20s"];
    let (answer, value) = doctor(&home, sim.address(), &arguments);
    let handshakes = value["handshakes"].as_array().unwrap();
    let ids: Vec<_> = handshakes.iter().map(|one| one["client_id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [1, 100, 500]);
    assert_eq!(value["verdict"], "CLIENT_ID_IN_USE", "the first failure decides: {value:#}");
    assert_eq!(answer.code, 3);
    assert_eq!(sim.named("accepted").len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let home = Home::new(binary());
    for arguments in [
        &["doctor", "--run"][..],
        &["doctor", "--override", "--reason", "so"],
        &["doctor", "--gateway", "nonsense"],
        &["doctor", "--client-ids", "-1"],
        &["doctor", "--eyes", "wide"],
    ] {
        assert_eq!(home.cli(arguments).code, 2, "{arguments:?}");
    }
}

/// One connection to a Gateway that tells its settings.
fn gateway_with_settings() -> String {
    use std::io::Write as _;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut handshake = ServerHandshake::new();
        let mut piece = [0; 1024];
        let mut answers = BytesMut::new();
        while let Ok(length @ 1..) = stream.read(&mut piece) {
            match handshake.receive(&piece[..length]).unwrap() {
                Some(ServerEvent::Hello(_)) => {
                    handshake.chose(226);
                    stream.write_all(&version_reply(226, "20260301 14:02:07 UTC")).unwrap();
                }
                Some(ServerEvent::Started(_)) => {
                    let accounts = Some("DU0000001".to_owned());
                    let accounts = ManagedAccounts { accounts_list: accounts };
                    write_message(id::MANAGED_ACCTS, &accounts, &mut answers);
                    let next = NextValidId { order_id: Some(7) };
                    write_message(id::NEXT_VALID_ID, &next, &mut answers);
                    let time = CurrentTime { current_time: Some(1_772_373_727) };
                    write_message(id::CURRENT_TIME, &time, &mut answers);
                    let settings = ApiSettingsConfig {
                        read_only_api: Some(true),
                        socket_port: Some(4001),
                        ..Default::default()
                    };
                    let api = ApiConfig { settings: Some(settings), precautions: None };
                    let config =
                        ConfigResponse { req_id: Some(1), api: Some(api), ..Default::default() };
                    write_message(id::CONFIG_RESPONSE, &config, &mut answers);
                    stream.write_all(&answers).unwrap();
                }
                None => {}
            }
        }
    });
    address
}

#[test]
fn settings_of_gateway_that_hurt_are_pointed_at() {
    let home = Home::new(binary());
    let (answer, value) = doctor(&home, &gateway_with_settings(), &["--active", "--eyes", "local"]);
    assert_eq!((answer.code, value["verdict"].as_str()), (0, Some("HEALTHY")), "{value:#}");
    let settings = value["settings"].as_array().unwrap();
    let names: Vec<_> = settings.iter().map(|one| one["setting"].as_str().unwrap()).collect();
    assert_eq!(names, ["socketPort", "readOnlyApi"]);
    assert_eq!(value["handshakes"][0]["settings_read"], true);
}
