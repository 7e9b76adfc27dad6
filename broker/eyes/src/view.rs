//! What was seen, as the public API tells it: one mapping for the broker and for the command
//! line.
//!
//! Also what may be done about a socket, in words. That can only ever be to replace our own
//! worker: nothing here names a way to end another program's connection for it.

use std::collections::BTreeMap;

use ibouncer_core::sight::{Listener, PortSocket, Role, Seen, Sight, TcpState, Unknown, Vantage};
pub use ibouncer_core::status::process_view;
use ibouncer_proto::api::v1;

use crate::short::ShortConnections;

/// Name of a cause in `unknown`.
const LISTENER: &str = "listener";

/// The answer of `ListConnections`.
pub fn response(sight: &Sight, short: &[ShortConnections]) -> v1::ListConnectionsResponse {
    let mut unknown = BTreeMap::new();
    let listener = noted(&sight.listener, LISTENER, &mut unknown).and_then(Option::as_ref);
    let process =
        listener.and_then(|listener| noted(&listener.process, "listener.process", &mut unknown));
    let backlog = match &sight.listener {
        Ok(Some(listener)) => noted(&listener.backlog, "backlog", &mut unknown).copied(),
        Ok(None) => None,
        Err(Unknown(because)) => {
            for name in ["accept_queue", "backlog"] {
                unknown.insert(name.to_owned(), because.clone());
            }
            None
        }
    };
    if let Some(process) = process {
        noted(&process.executable, "listener.executable", &mut unknown);
        noted(&process.figures, "listener.figures", &mut unknown);
    }
    let sockets = noted(&sight.sockets, "connections", &mut unknown);
    let first = listener.map(row_of_listener);
    let rest = sockets.into_iter().flatten().map(|socket| row(socket, sight.vantage));
    v1::ListConnectionsResponse {
        path: sight.vantage.name().to_owned(),
        because: sight.because.clone(),
        listener: process.map(process_view),
        accept_queue: listener.map(|listener| listener.accept_queue),
        backlog,
        connections: first.into_iter().chain(rest).collect(),
        short_connections: short.iter().map(short_view).collect(),
        unknown,
    }
}

fn noted<'a, T>(
    seen: &'a Seen<T>,
    name: &str,
    unknown: &mut BTreeMap<String, String>,
) -> Option<&'a T> {
    match seen {
        Ok(value) => Some(value),
        Err(Unknown(because)) => {
            unknown.insert(name.to_owned(), because.clone());
            None
        }
    }
}

fn row_of_listener(listener: &Listener) -> v1::Connection {
    v1::Connection {
        local: listener.address.to_string(),
        remote: String::new(),
        state: TcpState::Listen.name().to_owned(),
        role: LISTENER.to_owned(),
        owner: listener.process.as_ref().ok().map(process_view),
        unknown_owner: listener.process.as_ref().err().map(Unknown::to_string),
        age_ms: None,
        unread: 0,
        advice: String::new(),
    }
}

fn row(socket: &PortSocket, vantage: Vantage) -> v1::Connection {
    let owner = socket.owner.as_ref().ok().and_then(Option::as_ref);
    v1::Connection {
        local: socket.local.to_string(),
        remote: socket.remote.to_string(),
        state: socket.state.name().to_owned(),
        role: socket.role.name().to_owned(),
        owner: owner.map(|owner| v1::Process {
            pid: owner.pid,
            started: timestamp(owner.started_unix),
            command: owner.command.clone(),
            ..v1::Process::default()
        }),
        unknown_owner: socket.owner.as_ref().err().map(Unknown::to_string),
        age_ms: Some(socket.age.as_secs_f64() * 1000.0),
        unread: u64::from(socket.unread),
        advice: advice(socket, vantage).to_owned(),
    }
}

/// What may be done about a socket.
fn advice(socket: &PortSocket, vantage: Vantage) -> &'static str {
    match (socket.role, socket.state) {
        // Whose it was knows how to end it; the kernel does the rest.
        (
            Role::Worker | Role::Doctor | Role::Stranger | Role::Relay | Role::Gateway,
            TcpState::TimeWait,
        ) => "closed in order; the kernel forgets it within a minute",
        (Role::Waiting, TcpState::CloseWait) => {
            "not accepted yet, and its client has gone: only Gateway can take it out of its queue; \
             never kill the owner of the port: that is Gateway itself"
        }
        (Role::Waiting, _) if vantage == Vantage::Local => "Gateway has not accepted this one",
        (Role::Waiting, _) => "what listens here has not accepted this one",
        (Role::Gateway, TcpState::CloseWait) => {
            "Gateway's side of a connection whose client has gone: only Gateway can close it; \
             never kill its owner: that is Gateway itself"
        }
        (Role::Gateway, _) => "Gateway's side of a connection: leave it alone",
        (Role::Worker, _) => "ours; `ibouncer worker restart --reason …` replaces it",
        (Role::Doctor, _) => "ours; it ends with `ibouncer doctor`",
        (Role::Relay, _) => "a relay's; what is behind it is not shown by these tables",
        (Role::Stranger, _) if matches!(socket.owner, Ok(None)) => {
            "another program's, which has closed it; the kernel waits for the other side"
        }
        (Role::Stranger, _) => "another program; end it yourself if it is yours",
    }
}

fn short_view(short: &ShortConnections) -> v1::ShortConnections {
    v1::ShortConnections {
        owner: short.owner.clone(),
        pid: short.pid.unwrap_or_default(),
        last_hour: short.last_hour,
        last_day: short.last_day,
        advice: short.advice.clone().unwrap_or_default(),
    }
}

fn timestamp(seconds: u64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: i64::try_from(seconds).ok()?, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ibouncer_core::sight::{Figures, Owner, Process};

    use super::*;

    fn unknown<T>(because: &str) -> Seen<T> {
        Err(Unknown(because.to_owned()))
    }

    fn socket(role: Role, state: TcpState, owner: Seen<Option<Owner>>) -> PortSocket {
        PortSocket {
            local: "127.0.0.1:50000".parse().unwrap(),
            remote: "127.0.0.1:4002".parse().unwrap(),
            state,
            role,
            owner,
            age: Duration::from_millis(1500),
            unread: 3,
        }
    }

    #[test]
    fn what_is_unknown_is_absent_and_has_its_cause() {
        let blind = response(&Sight::blind("no /proc"), &[]);
        assert_eq!(blind.path, "none");
        assert_eq!((&blind.listener, blind.accept_queue, blind.backlog), (&None, None, None));
        let names: Vec<_> = blind.unknown.keys().map(String::as_str).collect();
        assert_eq!(names, ["accept_queue", "backlog", "connections", "listener"]);

        let absent = Sight {
            vantage: Vantage::Local,
            because: "nothing listens".into(),
            listener: Ok(None),
            sockets: Ok(vec![]),
        };
        assert_eq!(response(&absent, &[]).unknown, BTreeMap::new());
    }

    #[test]
    fn a_listener_is_a_row_and_a_process() {
        let figures = Figures {
            cpu: Duration::from_secs(1),
            cpu_permille: Some(125),
            resident: 1 << 20,
            threads: 9,
            descriptors: None,
        };
        let process = Process {
            pid: 7,
            started: 1,
            started_unix: 1_772_373_727,
            command: "java".into(),
            executable: unknown("process 7 belongs to another user"),
            figures: Ok(figures),
        };
        let listener = Listener {
            address: "0.0.0.0:4002".parse().unwrap(),
            inode: 1,
            accept_queue: 3,
            backlog: unknown("not told"),
            process: Ok(process),
        };
        let hidden = unknown("it belongs to user 5, whose processes may not be looked into");
        let sight = Sight {
            vantage: Vantage::Local,
            because: "java".into(),
            listener: Ok(Some(listener)),
            sockets: Ok(vec![
                socket(Role::Stranger, TcpState::Established, hidden),
                socket(Role::Gateway, TcpState::CloseWait, Ok(None)),
            ]),
        };
        let view = response(&sight, &[]);
        let process = view.listener.unwrap();
        assert_eq!((process.cpu_percent, process.descriptors), (Some(12.5), None));
        assert_eq!(view.accept_queue, Some(3));
        let names: Vec<_> = view.unknown.keys().map(String::as_str).collect();
        assert_eq!(names, ["backlog", "listener.executable"]);
        let roles: Vec<_> = view.connections.iter().map(|row| row.role.as_str()).collect();
        assert_eq!(roles, ["listener", "stranger", "gateway"]);
        assert_eq!(view.connections[1].owner, None);
        assert!(view.connections[1].unknown_owner.as_ref().unwrap().contains("user 5"));
        assert_eq!((view.connections[1].age_ms, view.connections[1].unread), (Some(1500.0), 3));
        assert!(view.connections[2].advice.contains("never kill its owner"));
    }

    #[test]
    fn only_our_own_worker_can_be_replaced() {
        use Role::{Doctor, Gateway, Relay, Stranger, Waiting, Worker};
        for role in [Waiting, Gateway, Worker, Doctor, Relay, Stranger] {
            for state in [TcpState::Established, TcpState::CloseWait, TcpState::TimeWait] {
                let advice = advice(&socket(role, state, Ok(None)), Vantage::Local);
                assert!(!advice.is_empty());
                let replaces = role == Worker && state != TcpState::TimeWait;
                assert_eq!(advice.contains("replaces"), replaces, "{role:?} {state:?}: {advice}");
                assert!(!advice.contains("kill") || advice.contains("never kill"), "{advice}");
            }
        }
    }
}
