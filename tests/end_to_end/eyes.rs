//! What `ibouncer connections` says of a port, and that it makes no connection itself.
//!
//! Gateway is a bare listener of this test that never accepts: whatever connects to it stays in
//! its queue, where everybody can see it.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use ibouncer_tests::harness::{Answer, Home, Program, peers};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{binary, ready};

/// A listener whose queue is full with one connection more than this.
const BACKLOG: i32 = 2;

fn mute_listener() -> (TcpListener, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(BACKLOG).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn look(home: &Home, gateway: &str, more: &[&str]) -> Answer {
    let arguments = [&["connections", "--json", "--gateway", gateway], more].concat();
    let answer = home.cli(&arguments);
    assert_eq!(answer.code, 0, "{answer:?}");
    answer
}

/// State and pid of the owner of every socket in this role.
fn sockets(seen: &Value, role: &str) -> Vec<(String, Option<u64>)> {
    let all = seen["connections"].as_array().unwrap();
    all.iter()
        .filter(|socket| socket["role"] == role)
        .map(|socket| {
            (socket["state"].as_str().unwrap().to_owned(), socket["owner"]["pid"].as_u64())
        })
        .collect()
}

#[test]
fn connections_names_listener_queue_and_strangers_and_makes_none_itself() {
    let home = Home::new(binary());
    let (_listener, gateway) = mute_listener();
    let gone = TcpStream::connect(&gateway).unwrap();
    let _held = TcpStream::connect(&gateway).unwrap();
    gone.shutdown(Shutdown::Write).unwrap();
    drop(gone);
    let me = u64::from(std::process::id());

    let seen = until("one waits whose client has gone", PATIENCE, || {
        let seen = look(&home, &gateway, &["--eyes", "local"]).json();
        sockets(&seen, "waiting").contains(&("CLOSE_WAIT".into(), None)).then_some(seen)
    });
    assert_eq!(seen["source"], "self");
    assert_eq!(seen["path"], "local");
    assert_eq!(seen["because"], "gateway.eyes = local");
    assert_eq!(seen["gateway"], gateway.as_str());
    assert_eq!(seen["listener"]["pid"], me);
    assert!(seen["listener"]["executable"].as_str().unwrap().contains("end_to_end"), "{seen:#}");
    assert_eq!(seen["accept_queue"], 2);
    assert_eq!(seen["backlog"], BACKLOG);
    // What one look cannot tell is unknown with its cause.
    assert_eq!(seen["short_connections"], Value::Null);
    assert!(seen["unknown"]["short_connections"].is_string(), "{seen:#}");
    let listening = [("LISTEN".to_owned(), Some(me))];
    assert_eq!(sockets(&seen, "listener"), listening);
    assert!(sockets(&seen, "waiting").contains(&("ESTABLISHED".into(), None)), "{seen:#}");
    assert!(sockets(&seen, "stranger").contains(&("ESTABLISHED".into(), Some(me))), "{seen:#}");

    // Each of many looks would be one connection more in the queue, which has room for one.
    for _ in 0..3 {
        let again = look(&home, &gateway, &["--eyes", "local"]).json();
        assert_eq!(again["accept_queue"], 2, "{again:#}");
        assert_eq!(sockets(&again, "waiting").len(), 2, "{again:#}");
    }
}

#[test]
fn a_program_that_is_not_gateway_does_not_count_as_it() {
    let home = Home::new(binary());
    let (_listener, gateway) = mute_listener();
    let seen = look(&home, &gateway, &[]).json();
    assert_eq!(seen["path"], "relayed");
    assert!(seen["because"].as_str().unwrap().contains("gateway.eyes"), "{seen:#}");

    let seen = look(&home, "192.0.2.1:4002", &[]).json();
    assert_eq!(seen["path"], "remote");
    assert_eq!((&seen["listener"], &seen["accept_queue"]), (&Value::Null, &Value::Null));
    assert!(seen["unknown"]["accept_queue"].is_string(), "{seen:#}");
}

#[test]
fn text_names_owners_and_what_may_be_done() {
    let home = Home::new(binary());
    let (_listener, gateway) = mute_listener();
    let _held = TcpStream::connect(&gateway).unwrap();
    let answer = home.cli(&["connections", "--gateway", &gateway, "--eyes", "local"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let pid = format!("(pid {})", std::process::id());
    // Lines may be broken anywhere.
    let words = answer.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["Listener", &pid, "1 connection waits", "waiting", "stranger", "if it is yours"] {
        assert!(words.contains(part), "{part:?} is missing:\n{}", answer.stdout);
    }
    let wide = answer.stdout.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);
}

#[test]
fn a_child_that_inherits_a_connection_is_not_its_owner() {
    let home = Home::new(binary());
    let (_listener, gateway) = mute_listener();
    let port = gateway.rsplit(':').next().unwrap();
    // The child ends when its input does.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat; :");
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    let checker = Program::start("bash", command);
    until_true("the checker is named", PATIENCE, || {
        let seen = look(&home, &gateway, &["--eyes", "local"]).json();
        let expected = ("ESTABLISHED".to_owned(), Some(u64::from(checker.pid())));
        sockets(&seen, "stranger").contains(&expected)
    });
}

/// From the issue: "python app.py (pid …), at least 41 short connections in the last hour".
const MANY: u64 = 41;

#[test]
fn a_real_port_check_beside_a_live_session_is_named_with_its_count_and_what_to_use_instead() {
    let Some(python) = peers::python3() else {
        return peers::skip("python3");
    };
    let (sim, broker) = ready();
    // Calm looks are seconds apart, and the check has come and gone between two of them.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/port_check.py");
    let mut command = Command::new(python);
    command.arg(&script).arg(sim.address());
    let checker = Program::start("port_check.py", command);
    let pid = u64::from(checker.pid());
    let found = until("the port check is named", PATIENCE, || {
        let seen = broker.cli(&["connections", "--json"]).json();
        let list = seen["short_connections"].as_array()?.clone();
        list.into_iter().find(|one| one["pid"] == pid && one["last_hour"].as_u64() >= Some(MANY))
    });
    let count = found["last_hour"].as_u64().unwrap();
    let owner = found["owner"].as_str().unwrap();
    assert!(owner.contains("port_check.py"), "{found:#}");
    assert!(owner.ends_with(&format!("(pid {pid})")), "{found:#}");
    let expected = format!(
        "{owner}, at least {count} short connections in the last hour: this is a port check; use \
         `ibouncer wait-ready`"
    );
    assert_eq!(found["advice"], expected.as_str());
    let text = broker.cli(&["connections"]).stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["port_check.py", "this is a port check", "ibouncer wait-ready"] {
        assert!(words.contains(part), "{part:?} is missing:\n{text}");
    }
    let events = broker.cli(&["events", "--json"]).stdout;
    assert!(events.contains("port-check") && events.contains("port_check.py"), "{events}");
    assert_eq!(broker.status()["state"], "READY", "the session has not noticed");
}

#[test]
fn without_a_broker_and_without_flags_it_looks_itself() {
    let home = Home::new(binary());
    let answer = home.cli(&["connections", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    let seen = answer.json();
    assert_eq!((&seen["source"], &seen["gateway"]), (&"self".into(), &"127.0.0.1:4002".into()));
    let refused = home.cli(&["connections", "--json", "--gateway", "nonsense"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert_eq!(refused.error()["code"], "USAGE");
}

#[test]
fn a_running_broker_is_asked() {
    let (_sim, broker) = ready();
    let answer = broker.cli(&["connections", "--json"]);
    assert_eq!(answer.code, 0, "{answer:?}");
    assert_eq!(answer.json()["source"], "broker");
}
