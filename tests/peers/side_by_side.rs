//! The same mute listener, met by ib_async as its users run it and by IBouncer: how many attempts
//! each makes, what each leaves behind, and when somebody knows at which stage it stopped.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ibouncer_eyes::{Eyes, Ours, Setting};
use ibouncer_tests::harness::procfs::{TcpState, states_of};
use ibouncer_tests::harness::wait::{PATIENCE, until};
use ibouncer_tests::harness::{Broker, Program, peers};
use serde_json::Value;

use super::{binary, python, scripts, temporary};

/// How long each is watched.
const TIME: Duration = Duration::from_secs(20);

/// A listener that completes TCP in the kernel and never accepts: a wedged Gateway.
struct Mute {
    listener: TcpListener,
}

/// What one client did to it.
#[derive(Debug)]
struct Outcome {
    attempts: usize,
    states: BTreeMap<TcpState, usize>,
    queue: Option<u32>,
    stage_known: Option<Duration>,
    stage: String,
}

impl Mute {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Gateway's side only: the listener's own port.
    fn look(&self) -> (BTreeMap<TcpState, usize>, Option<u32>) {
        let mut states = states_of(self.port());
        states.remove(&TcpState::Listen);
        let address = self.listener.local_addr().unwrap();
        let sight = Eyes::new(address, Setting::Local).look(&Ours::default(), Instant::now());
        (states, sight.accept_queue())
    }
}

fn ib_async() -> Option<Outcome> {
    let interpreter = peers::official_python(temporary())?;
    let mute = Mute::new();
    let mut command = python(&interpreter);
    command.arg(scripts().join("side_by_side/ib_async_attempts.py"));
    command.args(["127.0.0.1", &mute.port().to_string(), &TIME.as_secs().to_string()]);
    let mut program = Program::start("ib_async_attempts.py", command);
    let status = program.exit(TIME + Duration::from_secs(40));
    let text = program.stdout.all().join("\n");
    assert!(status.success(), "{text}\n{}", program.stderr.all().join("\n"));
    let report: Value = serde_json::from_str(&text).unwrap();
    let attempts = report["attempts"].as_array().unwrap();
    let said: Vec<_> = attempts
        .iter()
        .map(|attempt| format!("{} {}", attempt["exception"], attempt["text"]))
        .collect();
    let (states, queue) = mute.look();
    Some(Outcome {
        attempts: attempts.len(),
        states,
        queue,
        stage_known: None,
        stage: format!("\"Connected\", then {}", said.first().cloned().unwrap_or_default()),
    })
}

fn ibouncer() -> Outcome {
    let mute = Mute::new();
    let begun = Instant::now();
    // Deadlines, budget and waits as they come.
    let broker = Broker::plan(binary(), &format!("127.0.0.1:{}", mute.port()))
        .set(r#"attempts.backoff=["250ms","1s","2s","5s","15s","30s","1m","2m","5m"]"#)
        .start();
    let status = until("the stage in its status", PATIENCE, || {
        let status = broker.status();
        let says = status["reason"].as_str()?.contains("silence after HELLO_SENT");
        says.then_some(status)
    });
    let stage_known = begun.elapsed();
    // Watched for as long as the other one.
    let status = until("its time is over", TIME + PATIENCE, || {
        let attempts = broker.status()["attempts"].as_array()?.len();
        (begun.elapsed() >= TIME && attempts >= 1)
            .then(|| broker.status())
            .or_else(|| (begun.elapsed() > TIME + Duration::from_secs(10)).then(|| status.clone()))
    });
    let attempts = status["attempts"].as_array().unwrap().len();
    let stage = status["attempts"][0]["last_stage"].as_str().unwrap().to_owned();
    // What the attempt under way holds is not left behind.
    drop(broker);
    let (states, queue) = mute.look();
    Outcome { attempts, states, queue, stage_known: Some(stage_known), stage }
}

/// As `ss` and `netstat` print it.
fn name(state: TcpState) -> String {
    match state {
        TcpState::Established => "ESTABLISHED".to_owned(),
        TcpState::CloseWait => "CLOSE_WAIT".to_owned(),
        TcpState::Listen => "LISTEN".to_owned(),
        TcpState::TimeWait => "TIME_WAIT".to_owned(),
        TcpState::Other(number) => format!("state {number}"),
    }
}

fn row(who: &str, outcome: &Outcome) -> String {
    let states: Vec<_> =
        outcome.states.iter().map(|(state, count)| format!("{count} {}", name(*state))).collect();
    let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
    let queue = outcome.queue.map_or_else(|| "unknown".to_owned(), |queue| queue.to_string());
    let known = outcome
        .stage_known
        .map_or_else(|| "never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    format!("| {who} | {} | {states} | {queue} | {known} | {} |", outcome.attempts, outcome.stage)
}

#[test]
fn a_mute_listener_learns_the_difference_between_ib_async_and_ibouncer() {
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(ib_async);
        let ours = scope.spawn(ibouncer);
        (theirs.join().unwrap(), ours.join().unwrap())
    });
    let Some(theirs) = theirs else {
        return peers::skip("python3");
    };
    let table = [
        format!("| {} s against a mute listener | attempts | sockets left on its side | accept queue | stage known after | what it says |", TIME.as_secs()),
        "|---|---|---|---|---|---|".to_owned(),
        row("ib_async 2.1.0, retried as its users do", &theirs),
        row("IBouncer, as it comes", &ours),
    ]
    .join("\n");
    println!("{table}");
    std::fs::write(temporary().join("side_by_side.md"), format!("{table}\n")).unwrap();

    assert!(theirs.attempts >= 3, "{theirs:?}");
    let left = |outcome: &Outcome| outcome.states.values().sum::<usize>();
    assert!(theirs.states.get(&TcpState::CloseWait).is_some_and(|left| *left >= 3), "{theirs:?}");
    assert_eq!(left(&ours), 0, "every kill of ours is a reset: {ours:?}");
    assert!(ours.attempts < theirs.attempts && ours.attempts <= 3, "{ours:?}");
    assert!(ours.stage_known.is_some_and(|time| time < Duration::from_secs(10)), "{ours:?}");
    assert_eq!(ours.stage, "HELLO_SENT");
    // Nobody frees a place in the kernel's queue: that is why attempts have a budget.
    assert_eq!(ours.queue, Some(ours.attempts as u32), "{ours:?}");
}
