//! The doctor against real servers that are no Gateway: web and TLS servers, which do not answer
//! our opening as one would invent it; and what it may cost to find out.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use ibouncer_tests::harness::wait::PATIENCE;
use ibouncer_tests::harness::{Home, Program, peers};
use serde_json::Value;

use super::{binary, sim};

/// A key and a certificate of it, for tests alone.
fn certificate() -> PathBuf {
    here("self_signed.pem")
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("end_to_end/doctor_peers").join(name)
}

/// One active test with folders of its own.
#[track_caller]
fn active(gateway: &str, more: &[&str]) -> Value {
    examined(&Home::new(binary()), gateway, &[&["--active"], more].concat())
}

#[track_caller]
fn examined(home: &Home, gateway: &str, more: &[&str]) -> Value {
    let mut arguments = vec!["doctor", "--gateway", gateway, "--json", "--timeout", "1s"];
    arguments.extend(more);
    home.cli(&arguments).json()
}

/// The port behind a word, in the first line that has it.
#[track_caller]
fn address_behind(program: &Program, word: &str) -> String {
    let port = program.stdout.find("a port", PATIENCE, |line| {
        let behind = line.split_once(word)?.1.trim_start();
        let digits = behind.split(|one: char| !one.is_ascii_digit()).next()?;
        digits.parse::<u16>().ok()
    });
    format!("127.0.0.1:{port}")
}

fn web_server(python: &Path, folder: &Path) -> (Program, String) {
    let mut command = Command::new(python);
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]).current_dir(folder);
    let program = Program::start("http.server", command);
    let address = address_behind(&program, " port ");
    (program, address)
}

fn tls_server(python: &Path) -> (Program, String) {
    let mut command = Command::new(python);
    command.arg(here("tls_server.py")).arg(certificate());
    let program = Program::start("tls_server.py", command);
    let address = address_behind(&program, "listening ");
    (program, address)
}

fn accepted(server: &Program) -> usize {
    server.stdout.all().iter().filter(|line| *line == "accepted").count()
}

#[test]
fn a_real_web_server_is_named_and_its_silence_counts_for_nothing() {
    let Some(python) = peers::python3() else {
        return peers::skip("python3");
    };
    let folder = tempfile::tempdir().unwrap();
    let (_server, gateway) = web_server(python, folder.path());
    for eyes in ["none", "auto"] {
        let value = active(&gateway, &["--eyes", eyes]);
        assert_eq!(value["verdict"], "SPEAKS_HTTP", "{value:#}");
        assert!(value["handshakes"][0]["blank_line_ms"].is_number(), "{value:#}");
        assert_eq!(value["budget"]["silent_in_row"], 0, "{value:#}");
        assert_eq!(value["budget"]["attempts"][0]["outcome"], "poisoned", "{value:#}");
        assert!(value["evidence"].to_string().contains("only after a blank line"), "{value:#}");
    }
}

#[test]
fn a_real_tls_server_is_named_with_one_connection_more_and_no_more() {
    let Some(python) = peers::python3() else {
        return peers::skip("python3");
    };
    let (server, gateway) = tls_server(python);
    for eyes in ["none", "auto"] {
        let before = accepted(&server);
        let value = active(&gateway, &["--eyes", eyes]);
        assert_eq!(value["verdict"], "SPEAKS_TLS", "{value:#}");
        assert_eq!(value["handshakes"].as_array().unwrap().len(), 1, "{value:#}");
        assert_eq!(value["handshakes"][0]["tls"], "tls", "{value:#}");
        assert_eq!(accepted(&server), before + 2);
        // Both are entered, and neither was silence.
        let attempts = value["budget"]["attempts"].as_array().unwrap();
        let entered: Vec<_> = attempts
            .iter()
            .map(|one| (one["by"].as_str().unwrap(), one["outcome"].as_str().unwrap()))
            .collect();
        assert_eq!(entered, [("doctor", "rejected"), ("doctor, in TLS", "poisoned")]);
        assert_eq!(value["budget"]["silent_in_row"], 0);
    }
}

#[test]
fn nobody_is_asked_in_tls_where_that_could_cost_a_gateway_something() {
    let Some(python) = peers::python3() else {
        return peers::skip("python3");
    };
    let (server, gateway) = tls_server(python);
    // Eyes see Gateway itself, by the operator's word: it is left alone, and the command is named.
    let value = active(&gateway, &["--eyes", "local"]);
    assert_eq!(value["verdict"], "CLOSED_AT_CONNECT", "{value:#}");
    assert_eq!(value["handshakes"][0]["tls"], Value::Null);
    let hypotheses = value["hypotheses"].to_string();
    assert!(hypotheses.contains(&format!("openssl s_client -connect {gateway}")), "{hypotheses}");
    assert_eq!(accepted(&server), 1);
    // What a person overrode was overridden for one handshake.
    let forced = ["--override", "--reason", "the window was closed", "--eyes", "none"];
    active(&gateway, &forced);
    assert_eq!(accepted(&server), 2);
    let home = Home::new(binary());
    let row = ["--client-ids", "1,2", "--run", "--eyes", "none"];
    let value = examined(&home, &gateway, &row);
    assert_eq!(value["handshakes"].as_array().unwrap().len(), 2, "{value:#}");
    assert_eq!(accepted(&server), 4);

    // After silence nobody is asked anything more.
    let mute = sim(&["--fault", "accept-and-mute"]);
    let value = active(mute.address(), &["--eyes", "none"]);
    assert_eq!(value["verdict"], "SILENT_AFTER_TCP", "{value:#}");
    assert_eq!(mute.named("accepted").len(), 1);
    // A Gateway that rejects, where eyes do not count, meets the question and is called the same.
    let rejecting = sim(&["--fault", "close-at-connect"]);
    let value = active(rejecting.address(), &["--eyes", "none"]);
    assert_eq!(value["verdict"], "CLOSED_AT_CONNECT", "{value:#}");
    assert!(rejecting.named("accepted").len() <= 2);
}

#[test]
fn the_tls_server_of_openssl_is_named() {
    let mut command = Command::new("openssl");
    command.arg("version");
    if !command.output().is_ok_and(|output| output.status.success()) {
        return peers::skip("openssl");
    }
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0"]);
    command.arg("-cert").arg(certificate()).arg("-key").arg(certificate());
    let server = Program::start("openssl s_server", command);
    let gateway = address_behind(&server, "ACCEPT 127.0.0.1:");
    let value = active(&gateway, &["--eyes", "none"]);
    assert_eq!(value["verdict"], "SPEAKS_TLS", "{value:#}");
}

/// A peer that reads our opening, and does this with what comes next.
fn peer(then: impl FnOnce(TcpStream, &[u8]) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = [0; 256];
        let opening = stream.read(&mut bytes).unwrap();
        assert!(bytes[..opening].starts_with(b"API\0"));
        let length = stream.read(&mut bytes).unwrap_or(0);
        then(stream, &bytes[..length]);
    });
    address
}

#[test]
fn a_blank_line_comes_after_the_deadline_and_its_effect_is_no_answer_of_gateway() {
    // Whoever closes because of it was silent before it, and that is what counts.
    let gateway = peer(|stream, line| {
        assert_eq!(line, b"\r\n\r\n");
        drop(stream);
    });
    let value = active(&gateway, &["--eyes", "none"]);
    assert_eq!(value["verdict"], "SILENT_AFTER_TCP", "{value:#}");
    assert_eq!(value["budget"]["silent_in_row"], 1, "{value:#}");
    assert!(value["handshakes"][0]["blank_line_ms"].as_f64().unwrap() >= 1_000.0, "{value:#}");

    // A Gateway that wakes up in this moment is slow, and not silent.
    let gateway = peer(|mut stream, _| {
        let version = ibouncer_proto::tws::handshake::version_reply(226, "20260301 14:02:07 UTC");
        stream.write_all(&version).unwrap();
        // Held until the other side has gone.
        let _ = stream.read(&mut [0; 16]);
    });
    let value = active(&gateway, &["--eyes", "none"]);
    assert_eq!(value["verdict"], "SLOW", "{value:#}");
    assert_eq!(value["budget"]["silent_in_row"], 0, "{value:#}");
}
