//! What a kill leaves behind on Gateway's side: a reset, and nothing else.
//!
//! The mute listener here is the test's own bare socket, so that nothing of ours answers.

use std::io::{ErrorKind, Read as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ibouncer_tests::harness::Broker;
use ibouncer_tests::harness::procfs::{TcpState, is_alive, process, sockets_of, states_of};
use ibouncer_tests::harness::wait::{PATIENCE, until, until_true};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{binary, plan, sim};

const KILLS: u64 = 50;

/// A broker that never gives up on a mute Gateway.
fn stubborn(address: &str) -> Broker {
    Broker::plan(binary(), address)
        .set("attempts.silent_budget=0")
        .set(r#"attempts.backoff=["10ms"]"#)
        .handshake_timeout("120ms")
        .start()
}

#[track_caller]
fn wait_for_kills(broker: &Broker, count: u64) {
    let gone = |broker: &Broker| {
        let log = broker.log();
        let ends = log.iter().filter(|line| line["message"] == "worker is gone");
        ends.filter(|line| line.to_string().contains("signal 9, ours")).count() as u64
    };
    until_true("the kills", PATIENCE * 2, || gone(broker) >= count);
}

#[test]
fn fifty_kills_before_a_mute_listener_accepts_leave_no_close_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut broker = stubborn(&address.to_string());
    wait_for_kills(&broker, KILLS);
    let class = broker.status()["counters"].clone();
    assert_eq!(broker.terminate(), Some(0));
    let states = states_of(address.port());
    assert_eq!(states.get(&TcpState::CloseWait), None, "{states:?}");
    assert_eq!(states.get(&TcpState::Established), None, "{states:?}");
    assert_eq!(states.get(&TcpState::Listen), Some(&1), "{states:?}");
    let silent = class.as_object().unwrap().iter().find(|(key, _)| key.contains("silent"));
    let silent = silent.and_then(|(_, count)| count.as_u64()).unwrap_or(0);
    assert!(silent >= KILLS * 9 / 10, "{class:#}");
}

#[test]
fn fifty_kills_after_a_mute_listener_accepted_leave_only_resets() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let held: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    let over = Arc::new(AtomicBool::new(false));
    let acceptor = {
        let (held, over) = (Arc::clone(&held), Arc::clone(&over));
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                held.lock().unwrap().push(stream);
            }
        })
    };
    let mut broker = stubborn(&address.to_string());
    wait_for_kills(&broker, KILLS);
    assert_eq!(broker.terminate(), Some(0));
    until_true("no socket is established", PATIENCE, || {
        sockets_of(address.port()).iter().all(|socket| socket.state == TcpState::Listen)
    });
    over.store(true, Ordering::Relaxed);
    drop(TcpStream::connect(address).unwrap());
    acceptor.join().unwrap();
    // Nobody has read a byte until here; what the kernel kept of the openings may be read now,
    // but behind it must stand a reset and never an orderly end.
    let held = std::mem::take(&mut *held.lock().unwrap());
    assert!(held.len() as u64 >= KILLS * 9 / 10, "{} came", held.len());
    for mut stream in held {
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut rest = Vec::new();
        let end = stream.read_to_end(&mut rest);
        let error = end.expect_err("a reset, not an orderly end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
}

#[test]
fn fifty_kills_of_ready_workers_are_fifty_resets_and_no_close_wait() {
    let sim = sim(&[]);
    let broker = plan(&sim).set(r#"attempts.backoff=["10ms"]"#).start();
    let mut watch = broker.watch();
    let mut pids = Vec::new();
    for epoch in 1..=KILLS {
        let status = watch.next(&format!("READY in epoch {epoch}"), |update| {
            update["state"] == "READY"
                && update["epoch"] == epoch
                && update["worker"]["pid"].is_u64()
        });
        let pid = status["worker"]["pid"].as_u64().unwrap() as u32;
        let worker = until("the worker", PATIENCE, || process(pid));
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
        until_true("the worker is gone", PATIENCE, || !is_alive(worker));
        assert_eq!(sim.close_of(epoch), "reset", "of epoch {epoch}");
        pids.push(pid);
    }
    watch.state("READY", KILLS + 1);
    let states = states_of(sim.port());
    assert_eq!(states.get(&TcpState::CloseWait), None, "{states:?}");
    assert_eq!(states.get(&TcpState::Established), Some(&1), "{states:?}");
    pids.dedup();
    assert_eq!(pids.len() as u64, KILLS, "each was another process");
}

#[test]
fn a_client_id_that_gateway_holds_for_a_while_is_waited_for() {
    let sim = sim(&["--hold-client-id", "2s"]);
    let broker = plan(&sim).start();
    broker.wait_ready();
    let worker = broker.worker();
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
    broker.wait_step("CLIENT_ID_IN_USE", 2);
    let status = broker.status();
    if status["state"] == "CLIENT_ID_IN_USE" {
        assert!(status["reason"].as_str().unwrap().contains("326"), "{status:#}");
    }
    assert_eq!(broker.attempt(2)["outcome"], "client_id_in_use");
    let ready = until("READY again", PATIENCE, || {
        let steps = broker.steps();
        steps.into_iter().find(|step| step.to == "READY" && step.epoch > 2)
    });
    assert!(ready.epoch <= 6, "each attempt costs Gateway something: {ready:?}");
    let ids: Vec<_> = sim
        .named("stage")
        .into_iter()
        .filter(|event| event["stage"] == "api_started")
        .map(|event| event["client_id"].as_i64().unwrap())
        .collect();
    assert!(ids.iter().all(|id| *id == 410), "always the same id: {ids:?}");
}

#[test]
fn even_a_gateway_that_never_closes_keeps_no_socket_of_a_killed_worker() {
    let sim = sim(&["--fault", "leak-close-wait"]);
    let mut broker = plan(&sim).set("worker.drain=400ms").start();
    broker.wait_ready();
    let worker = broker.worker();
    kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
    broker.wait_step("READY", 2);
    assert_eq!(sim.close_of(1), "reset");
    let states = states_of(sim.port());
    assert_eq!(states.get(&TcpState::CloseWait), None, "{states:?}");
    // An end in order begins with a FIN, which this Gateway does not answer: that is bounded.
    let begun = std::time::Instant::now();
    assert_eq!(broker.terminate(), Some(0));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
