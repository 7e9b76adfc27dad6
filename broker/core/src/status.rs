//! Status, clients and lines as the public API shows them.
//!
//! Only reads. The one place where machines' times become wall-clock times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ibouncer_proto::api::v1;

use crate::accounts::{mask_account, mode};
use crate::attempts::{Attempt, stage_name};
pub use crate::clock::Clock;
use crate::hub::Hub;
use crate::ids::{ClientId, Epoch};
use crate::lines::kind::Allowance;
use crate::session::{StateKind, Transition};
use crate::sight::{Process, Sight, Vantage};

/// What the shell knows of its own process.
#[derive(Debug, Clone)]
pub struct BrokerProcess {
    /// Version of the build.
    pub version: String,
    /// Its pid.
    pub pid: u32,
    /// When it started.
    pub since: Instant,
}

impl Hub {
    /// The status now.
    pub fn status(&self, broker: &BrokerProcess, clock: &Clock) -> v1::Status {
        let now = clock.now;
        let session = &self.session;
        let next = session.next(now);
        let newest = session.history().newest();
        let (trading, trading_status) = self.desk.status(clock);
        let mut status = v1::Status {
            instance: self.settings.instance.clone(),
            state: session.kind().wire().into(),
            since: Some(clock.at(session.since())),
            reason: session.reason(now),
            next: Some(v1::NextAction {
                action: next.action,
                at: next.at.map(|at| clock.at(at)),
                because: next.because,
            }),
            advice: session.advice(now),
            epoch: session.epoch().0,
            gateway: Some(self.gateway_status()),
            worker: self.supervisor.process().map(|(pid, since)| v1::WorkerStatus {
                pid,
                epoch: self.supervisor.epoch().unwrap_or(Epoch(0)).0,
                since: Some(clock.at(since)),
                adopted: self.supervisor.is_adopted(),
            }),
            broker: Some(v1::BrokerStatus {
                version: broker.version.clone(),
                pid: broker.pid,
                since: Some(clock.at(broker.since)),
            }),
            handshake: newest.map(|attempt| self.handshake(attempt, clock)),
            attempts: session.history().iter().map(|one| attempt_view(one, clock)).collect(),
            accounts: session.accounts().iter().map(|account| mask_account(account)).collect(),
            mode: mode(session.accounts()).map(str::to_owned),
            trading: trading.into(),
            trading_status,
            clients: self.clients.len() as u32,
            lines: Some(v1::LineUsage {
                used: self.lines.used(Allowance::MarketData),
                limit: self.lines.limit(Allowance::MarketData),
            }),
            heartbeat: Some(v1::Heartbeat {
                last_frame_age_ms: self.heartbeat.age(now).map(milliseconds),
                last_round_trip_ms: self.heartbeat.round_trip().map(milliseconds),
                missed: self.heartbeat.missed(),
            }),
            farms: self
                .farms
                .iter()
                .map(|(kind, name, farm)| v1::Farm {
                    name: name.into(),
                    kind: kind.into(),
                    state: farm.state.into(),
                    since: Some(clock.at(farm.since)),
                })
                .collect(),
            counters: self.counter_map(),
            measures: newest.map(stage_seconds).unwrap_or_default(),
            unknown: BTreeMap::new(),
            last_end: session.last_end().map(str::to_owned),
            restarts: session.dials().saturating_sub(1),
            hold: session.ledger().hold.as_ref().map(|hold| hold.reason.clone()),
            silence: Some(v1::SilenceBudget {
                used: session.ledger().record.silent_in_row,
                limit: self.settings.attempts.silent_budget,
                grace_until: session.grace_until(now).map(|until| clock.at(until)),
            }),
        };
        status.unknown = unknown(&status, session.lookout().sight());
        status
    }

    /// Every connected client, without what its queues have counted.
    pub fn list_clients(&self, clock: &Clock) -> Vec<(ClientId, v1::ClientInfo)> {
        let limits = &self.settings.limits;
        self.clients
            .iter()
            .map(|(id, client)| {
                let (streams, subscriptions) = self.load_of(id);
                let info = v1::ClientInfo {
                    id: id.to_string(),
                    name: client.name.clone(),
                    peer: client.peer.clone(),
                    since: Some(clock.at(client.since)),
                    streams: streams as u32,
                    subscriptions: subscriptions as u32,
                    delivered: 0,
                    skipped: 0,
                    streams_limit: limits.streams,
                    subscriptions_limit: limits.subscriptions,
                    calls: self.calls_of(id) as u32,
                    calls_limit: limits.calls,
                    lines: self.lines.opened_by(id) as u32,
                    waiting: self.pacer.waiting_of(id) as u32,
                    unread_bytes: 0,
                    requests: client.requests,
                    lines_limit: limits.lines.unwrap_or(self.settings.pacing.lines),
                    evicted: client.evicted,
                };
                (id, info)
            })
            .collect()
    }

    /// Every line, as this caller sees it: accounts are masked for who is limited to some.
    pub fn list_lines_for(&self, caller: ClientId) -> Vec<v1::LineInfo> {
        let mut lines = self.list_lines();
        if self.scope_of(caller).is_some() {
            lines.iter_mut().for_each(|line| line.symbol = self.mask_accounts(&line.symbol));
        }
        lines
    }

    /// Every line.
    pub fn list_lines(&self) -> Vec<v1::LineInfo> {
        self.lines
            .iter()
            .map(|(_, line)| {
                let about = line.wanted.about.clone();
                v1::LineInfo {
                    id: line.id.to_string(),
                    symbol: about.label,
                    sec_type: about.sec_type,
                    exchange: about.exchange,
                    currency: about.currency,
                    generic_ticks: about.generic_ticks,
                    kind: line.kind().name.into(),
                    clients: self.listeners(line),
                    state: line.upstream.name().into(),
                    sequence: line.sequence,
                    upstream_id: line.upstream.request().map_or(0, |request| request.0),
                }
            })
            .collect()
    }

    /// What waits to leave for Gateway, in the order in which it will; and behind it, what waits
    /// for a line. Who is limited to accounts is shown of others only that they wait.
    pub fn queue(&self, caller: ClientId, client: &str, now: Instant) -> v1::GetQueueResponse {
        let limited = self.scope_of(caller).is_some();
        let principal = self.clients.principal(caller);
        let is_shown = |of: ClientId| !limited || self.clients.principal(of) == principal;
        let places = self.pacer.queue(now).into_iter();
        let leaving = places.map(|place| {
            let request = v1::QueuedRequest {
                client: self.clients.name(place.client).to_owned(),
                lane: place.lane.name().into(),
                request: place.what.0.into(),
                label: self.mask_accounts(&place.what.1),
                place: place.place,
                expected_wait: place.expected_wait.and_then(|wait| wait.try_into().ok()),
                because: place.because.into(),
            };
            (place.client, request)
        });
        let behind = self.pacer.len() as u32..;
        let waiting = self.waiters().into_iter().zip(behind).map(|(one, place)| {
            let request = v1::QueuedRequest {
                client: self.clients.name(one.client).to_owned(),
                lane: one.kind.lane.name().into(),
                request: one.kind.tws.into(),
                label: self.mask_accounts(one.label),
                place,
                expected_wait: None,
                because: one.because,
            };
            (one.client, request)
        });
        let requests = leaving
            .chain(waiting)
            .map(|(of, request)| if is_shown(of) { request } else { undescribed(request) })
            .filter(|request| client.is_empty() || request.client == client)
            .collect();
        v1::GetQueueResponse { requests, messages_per_second: self.pacer.rate() }
    }

    fn gateway_status(&self) -> v1::GatewayStatus {
        let session = &self.session;
        let sight = session.lookout().sight();
        let process = sight.listener().and_then(|listener| listener.process.as_ref().ok());
        v1::GatewayStatus {
            address: self.settings.gateway.clone(),
            server_version: session.server_version(),
            client_id: session.client_id(),
            path: (sight.vantage != Vantage::None).then(|| sight.vantage.name().to_owned()),
            path_because: sight.because.clone(),
            listener: process.map(|process| format!("{} (pid {})", process.command, process.pid)),
            accept_queue: sight.accept_queue(),
            close_wait: sight.close_wait(),
            process: process.map(process_view),
        }
    }

    fn handshake(&self, attempt: &Attempt, clock: &Clock) -> v1::Handshake {
        v1::Handshake {
            outcome: attempt.outcome.name().into(),
            stages: stamps(attempt),
            deadline: attempt.deadline(&self.settings.deadlines).map(|one| clock.at(one.at)),
        }
    }

    fn counter_map(&self) -> BTreeMap<String, u64> {
        let counters = &self.counters;
        let mut map: BTreeMap<String, u64> = [
            ("ibouncer_upstream_frames_total", counters.frames_received),
            ("ibouncer_upstream_bytes_total", counters.bytes_received),
            ("ibouncer_upstream_messages_sent_total", counters.messages_sent),
            ("ibouncer_events_delivered_total", counters.events_delivered),
            ("ibouncer_unrouted_frames_total", counters.unrouted_frames),
            ("ibouncer_unknown_messages_total", counters.unknown_messages),
            ("ibouncer_malformed_frames_total", counters.malformed_frames),
            ("ibouncer_stale_worker_news_total", counters.stale_news),
            ("ibouncer_link_gap_frames_total", counters.link_gap_frames),
            ("ibouncer_worker_kills_total", counters.kills),
            ("ibouncer_lines_opened_total", counters.lines_opened),
            ("ibouncer_adoptions_total", counters.adoptions),
            ("ibouncer_relinks_total", counters.relinks),
            ("ibouncer_lines_used", u64::from(self.lines.used(Allowance::MarketData))),
            ("ibouncer_pacing_queue", self.pacer.len() as u64),
            ("ibouncer_answers_kept_bytes", self.kept_bytes()),
            ("ibouncer_session_transitions_total", counters.transitions),
            ("ibouncer_illegal_transitions_total", self.session.illegal_transitions()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        for state in StateKind::ALL {
            let is = u64::from(state == self.session.kind());
            map.insert(format!("ibouncer_session_state{{state=\"{state}\"}}"), is);
        }
        for (class, count) in &counters.attempts {
            map.insert(format!("ibouncer_attempts_total{{class=\"{class}\"}}"), *count);
        }
        map
    }
}

/// Seconds from the begin of the newest attempt to each stage that it has reached.
fn stage_seconds(attempt: &Attempt) -> BTreeMap<String, f64> {
    let name = |stage| {
        let stage = stage_name(stage);
        format!("ibouncer_handshake_stage_seconds{{stage=\"{stage}\"}}")
    };
    attempt.stages.iter().map(|(stage, at)| (name(*stage), at.as_secs_f64())).collect()
}

/// A process as the public API shows it.
pub fn process_view(process: &Process) -> v1::Process {
    let figures = process.figures.as_ref().ok();
    v1::Process {
        pid: process.pid,
        started: Some(seconds(process.started_unix)),
        command: process.command.clone(),
        executable: process.executable.as_ref().ok().cloned(),
        cpu_percent: figures.and_then(|one| one.cpu_permille).map(|one| f64::from(one) / 10.0),
        resident_bytes: figures.map(|one| one.resident),
        threads: figures.map(|one| one.threads),
        descriptors: figures.and_then(|one| one.descriptors),
    }
}

/// Of another client's request, to one who is limited to accounts.
fn undescribed(request: v1::QueuedRequest) -> v1::QueuedRequest {
    let v1::QueuedRequest { lane, place, expected_wait, .. } = request;
    v1::QueuedRequest { lane, place, expected_wait, ..v1::QueuedRequest::default() }
}

fn seconds(unix: u64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: i64::try_from(unix).unwrap_or(i64::MAX), nanos: 0 }
}

/// A transition as the public API shows it.
pub fn transition_view(transition: &Transition, clock: &Clock) -> v1::Transition {
    v1::Transition {
        from: transition.from.wire().into(),
        to: transition.to.wire().into(),
        because: transition.because.clone(),
        epoch: transition.epoch.0,
        at: Some(clock.at(transition.at)),
    }
}

fn attempt_view(attempt: &Attempt, clock: &Clock) -> v1::Attempt {
    v1::Attempt {
        epoch: attempt.epoch.0,
        at: Some(clock.at(attempt.begun)),
        outcome: attempt.outcome.name().into(),
        last_stage: attempt.last_stage().into(),
        end: attempt.end.clone().unwrap_or_default(),
        stages: stamps(attempt),
        session_end: attempt.session_end.map(|end| end.name().into()),
    }
}

fn stamps(attempt: &Attempt) -> Vec<v1::StageStamp> {
    attempt
        .stages
        .iter()
        .map(|(stage, at)| v1::StageStamp { stage: (*stage).into(), at_ms: milliseconds(*at) })
        .collect()
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// Why each absent field is absent.
fn unknown(status: &v1::Status, sight: &Sight) -> BTreeMap<String, String> {
    let mut causes = BTreeMap::new();
    let mut note = |absent: bool, path: &str, cause: &str| {
        if absent {
            causes.insert(path.to_owned(), cause.to_owned());
        }
    };
    let no_listener = match &sight.listener {
        Ok(Some(listener)) => listener.process.as_ref().err().map(|cause| cause.0.as_str()),
        Ok(None) => Some("nothing listens"),
        Err(cause) => Some(cause.0.as_str()),
    };
    let no_listener = no_listener.unwrap_or("the listener is not known");
    let no_sockets = match &sight.sockets {
        Ok(_) => "the sockets are not known",
        Err(cause) => &cause.0,
    };
    if let Some(gateway) = &status.gateway {
        note(
            gateway.server_version.is_none(),
            "gateway.server_version",
            "no handshake got that far",
        );
        note(gateway.path.is_none(), "gateway.path", &sight.because);
        note(gateway.listener.is_none(), "gateway.listener", no_listener);
        note(gateway.accept_queue.is_none(), "gateway.accept_queue", no_listener);
        note(gateway.close_wait.is_none(), "gateway.close_wait", no_sockets);
    }
    note(status.worker.is_none(), "worker.pid", "no worker process exists");
    note(status.last_end.is_none(), "worker.last_end", "no worker has ended yet");
    note(status.mode.is_none(), "mode", "no account list has arrived");
    if let Some(heartbeat) = &status.heartbeat {
        let no_session = "there is no session";
        note(heartbeat.last_frame_age_ms.is_none(), "heartbeat.last_frame_age_ms", no_session);
        note(
            heartbeat.last_round_trip_ms.is_none(),
            "heartbeat.last_round_trip_ms",
            "Gateway was not asked yet; it is asked after 15 s of silence",
        );
    }
    note(status.handshake.is_none(), "handshake", "no attempt was made yet");
    let waits = matches!(status.next, Some(v1::NextAction { at: None, .. }));
    note(waits, "next.at", "it waits for an event, not for a time");
    causes
}
