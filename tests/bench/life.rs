//! Starting, replacing a worker, and doing nothing.

use std::time::{Duration, Instant};

use ibouncer_client::api::SessionState;
use ibouncer_tests::harness::{Broker, Sim, procfs};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::machine::cpu;
use crate::{Lengths, binary, chain};

pub(crate) async fn start(lengths: Lengths) {
    let sim = Sim::start(binary(), &[]);
    let mut starts = Vec::new();
    for _ in 0..lengths.starts {
        let begin = Instant::now();
        let broker = Broker::plan(binary(), sim.address()).start();
        let client = chain::client(&broker).await;
        assert!(client.wait_ready(Duration::from_secs(10)).await.unwrap().ready);
        starts.push(begin.elapsed());
    }
    println!("\nStart of `serve` to READY, {} times", lengths.starts);
    print("start to READY", &mut starts);

    let mut replacements = Vec::new();
    let broker = Broker::plan(binary(), sim.address())
        // The ladder that users have, and a run that counts as stable without waiting a minute.
        .set(r#"attempts.backoff=["250ms", "1s", "2s"]"#)
        .set("attempts.stable_after=100ms")
        .start();
    let client = chain::client(&broker).await;
    assert!(client.wait_ready(Duration::from_secs(10)).await.unwrap().ready);
    for _ in 0..lengths.starts {
        // Until the run counts as stable.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let worker = broker.worker();
        let mut watch = client.watch_status().await.unwrap();
        let epoch = watch.next().await.unwrap().unwrap().status.epoch;
        let begin = Instant::now();
        kill(Pid::from_raw(worker.pid as i32), Signal::SIGKILL).unwrap();
        loop {
            let status = watch.next().await.unwrap().unwrap().status;
            if status.epoch > epoch && status.state() == SessionState::Ready {
                break;
            }
        }
        replacements.push(begin.elapsed());
    }
    println!("Worker's end to READY, backoff of 250 ms ± 25 % included, {} times", lengths.starts);
    print("end to READY", &mut replacements);
    println!(
        "resident: worker {:.1} MiB, broker {:.1} MiB",
        procfs::resident_kib(broker.worker().pid) as f64 / 1024.0,
        procfs::resident_kib(broker.pid()) as f64 / 1024.0
    );
}

pub(crate) async fn idle(lengths: Lengths) {
    let sim = Sim::start(binary(), &[]);
    let broker = chain::broker(&sim);
    let worker = broker.worker();
    let before = (cpu(broker.pid()), cpu(worker.pid));
    tokio::time::sleep(lengths.idle).await;
    let after = (cpu(broker.pid()), cpu(worker.pid));
    let share = |before: u64, after: u64| {
        (after - before) as f64 / 1e9 / lengths.idle.as_secs_f64() * 100.0
    };
    println!("\nIdle for {:?} with a session that is READY", lengths.idle);
    println!(
        "broker {:.3} % of a core, worker {:.3} %",
        share(before.0, after.0),
        share(before.1, after.1)
    );
}

fn print(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!(
        "{what}: median {:.1} ms, p90 {:.1} ms, least {:.1} ms, most {:.1} ms",
        at(50),
        at(90),
        at(0),
        at(100)
    );
}
