//! Facts to test with.

use ibouncer_core::sight::{
    Listener, Owner, PortSocket, Process, Role, Sight, TcpState, Unknown, Vantage,
};
use ibouncer_proto::api::v1::SessionState;
use ibouncer_proto::tws::handshake::ServerHello;

use crate::facts::{BrokerAttempt, BrokerFacts, Facts, LedgerFacts};
use crate::plan::{Ground, Plan};
use crate::timeline::{End, Limits, Stage, Timeline};

pub(crate) const NOW: u64 = 1_772_373_727_123;

pub(crate) fn ledger(silent_in_row: u32) -> LedgerFacts {
    LedgerFacts {
        silent_in_row,
        excused: 0,
        budget: 3,
        not_before_ms: 0,
        wedged_since_ms: None,
        hold: None,
        attempts: Vec::new(),
    }
}

pub(crate) fn broker(state: SessionState) -> BrokerFacts {
    BrokerFacts {
        instance: "default".into(),
        state,
        reason: "because".into(),
        worker: None,
        client_id: 410,
        server_version: None,
        attempt: None,
        hold: None,
        silence: Some((0, 3)),
    }
}

pub(crate) fn attempted(outcome: &str, stages: &[&str]) -> BrokerFacts {
    let stages = stages.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
    let attempt = BrokerAttempt {
        outcome: outcome.to_owned(),
        session_end: None,
        end: "killed".into(),
        stages,
    };
    BrokerFacts { attempt: Some(attempt), ..broker(SessionState::Backoff) }
}

/// A session that was READY and has ended so.
pub(crate) fn lost(session_end: &str) -> BrokerFacts {
    let mut broker = attempted("ready", &["READY"]);
    if let Some(attempt) = &mut broker.attempt {
        attempt.session_end = Some(session_end.to_owned());
    }
    broker
}

pub(crate) fn listener(accept_queue: u32) -> Listener {
    Listener {
        address: "127.0.0.1:4002".parse().unwrap(),
        inode: 77,
        accept_queue,
        backlog: Ok(50),
        process: Ok(Process {
            pid: 4711,
            started: 1_000,
            started_unix: NOW / 1000 - 86_400,
            command: "java -cp jts".into(),
            executable: Err(Unknown("another user's".into())),
            figures: Err(Unknown("one look".into())),
        }),
    }
}

/// Eyes that see Gateway itself.
pub(crate) fn sight(accept_queue: u32) -> Sight {
    Sight {
        vantage: Vantage::Local,
        because: "java listens".into(),
        listener: Ok(Some(listener(accept_queue))),
        sockets: Ok(Vec::new()),
    }
}

pub(crate) fn relayed() -> Sight {
    Sight { vantage: Vantage::Relayed, because: "socat listens".into(), ..sight(0) }
}

pub(crate) fn socket(state: TcpState, role: Role) -> PortSocket {
    let owner = Owner { pid: 99, started: 5, started_unix: 5, command: "python old.py".into() };
    PortSocket {
        local: "127.0.0.1:4002".parse().unwrap(),
        remote: "127.0.0.1:50000".parse().unwrap(),
        state,
        role,
        owner: Ok(Some(owner)),
        age: std::time::Duration::from_secs(60),
        unread: 0,
    }
}

pub(crate) fn facts() -> Facts {
    Facts {
        gateway: "127.0.0.1:4002".parse().unwrap(),
        now_unix_ms: NOW,
        sight: Sight::blind("no eyes"),
        queue_stands: false,
        ledger: Ok(ledger(0)),
        broker: None,
        broker_note: None,
        timelines: Vec::new(),
        refusal: None,
    }
}

/// A handshake to 127.0.0.1:4002 that reached these stages, one a millisecond.
pub(crate) fn timeline(stages: &[Stage], end: End) -> Timeline {
    let ground = Ground {
        gateway: "127.0.0.1:4002".parse().unwrap(),
        client_id: 411,
        limits: Limits::default(),
    };
    let attempt = Plan::one(&ground).steps.remove(0);
    let mut timeline = Timeline::new(attempt, NOW);
    timeline.stages = stages.iter().zip(1..).map(|(stage, at)| (*stage, f64::from(at))).collect();
    timeline.ended_ms = 10_000.0;
    timeline.end = end;
    if timeline.has(Stage::FirstByte) {
        timeline.first_bytes = b"\0\0\0\x1a226\0".to_vec();
        timeline.received = 30;
    }
    if timeline.has(Stage::VersionReceived) {
        timeline.server =
            Some(ServerHello { server_version: 226, time: "20260301 14:02:07 UTC".into() });
    }
    if timeline.has(Stage::AccountsReceived) {
        timeline.accounts = Some(vec!["DU0000001".into()]);
    }
    if timeline.has(Stage::NextIdReceived) {
        timeline.next_id = Some(1);
    }
    timeline
}
