//! What is known of the cast now, and the story so far. Pure but for the clock it is told.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Instant;

use ibouncer_client::StatusUpdate;
use ibouncer_client::api::{HandshakeStage, SessionState, Status};
use serde_json::{Value, json};

use super::cast::{Cast, Event, STRATEGIES};
use crate::output::text::wrap_behind;

/// Lines of the story that the live picture can show.
const KEPT: usize = 100;

/// One line of the story.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) at: f64,
    pub(super) who: String,
    pub(super) what: String,
}

impl Line {
    pub(super) fn json(&self) -> Value {
        json!({ "at_s": (self.at * 1000.0).round() / 1000.0, "who": self.who, "what": self.what })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The picture's lines have nobody who says them and keep their shape.
        if self.who.is_empty() {
            return write!(formatter, "         {}", self.what);
        }
        let head = format!("{:5.1} s  {:<9}", self.at, self.who);
        write!(formatter, "{head} {}", wrap_behind(&self.what, head.len() + 1, head.len() + 1))
    }
}

/// One strategy.
#[derive(Debug, Default)]
pub(super) struct Strategy {
    pub(super) name: &'static str,
    pub(super) pid: Option<u32>,
    /// Symbol to bid and ask.
    pub(super) quotes: BTreeMap<String, (Option<f64>, Option<f64>)>,
    pub(super) ticks: u64,
    stale_at: Option<Instant>,
    pub(super) stale: bool,
    gone: bool,
}

/// The scene.
pub(super) struct Scene {
    begun: Instant,
    pub(super) gateway: String,
    pub(super) broker_pid: Option<u32>,
    pub(super) strategies: Vec<Strategy>,
    pub(super) status: Option<Status>,
    pub(super) story: VecDeque<Line>,
    unprinted: Vec<Line>,
    stages_told: (u64, usize),
    kills: u64,
    replacements: u64,
}

impl Scene {
    pub(super) fn new(cast: &Cast) -> Self {
        let strategies = STRATEGIES.iter().enumerate().map(|(index, (name, _))| Strategy {
            name,
            pid: cast.client_pid(index),
            ..Strategy::default()
        });
        let mut scene = Self {
            begun: Instant::now(),
            gateway: cast.gateway().address().to_string(),
            broker_pid: cast.broker_pid(),
            strategies: strategies.collect(),
            status: None,
            story: VecDeque::new(),
            unprinted: Vec::new(),
            stages_told: (0, 0),
            kills: 0,
            replacements: 0,
        };
        let gateway = scene.gateway.clone();
        scene.tell("gateway", format!("simulated, listens on {gateway}"));
        for line in scene.picture() {
            scene.tell("", line);
        }
        scene
    }

    /// The processes, as they are connected now.
    pub(super) fn picture(&self) -> Vec<String> {
        let pid = |pid: Option<u32>| pid.map_or("-".to_owned(), |pid| pid.to_string());
        let worker = self.status.as_ref().and_then(|status| status.worker.as_ref());
        let worker = match worker {
            Some(worker) => format!("worker {} (pid {})", worker.epoch, worker.pid),
            None => "worker".to_owned(),
        };
        let middle = format!("broker (pid {}) ═ {worker} ─► Gateway", pid(self.broker_pid));
        let last = self.strategies.len() - 1;
        self.strategies
            .iter()
            .enumerate()
            .map(|(index, strategy)| {
                let name = format!("{} (pid {})", strategy.name, pid(strategy.pid));
                let joint = match index {
                    0 => "─┐".to_owned(),
                    index if index == last => "─┘".to_owned(),
                    _ => format!("─┼─► {middle}"),
                };
                format!("{name:<20}{joint}")
            })
            .collect()
    }

    pub(super) fn tell(&mut self, who: &str, what: String) {
        let at = self.begun.elapsed().as_secs_f64();
        let line = Line { at, who: who.to_owned(), what };
        if self.story.len() == KEPT {
            self.story.pop_front();
        }
        self.story.push_back(line.clone());
        self.unprinted.push(line);
    }

    pub(super) fn unprinted(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.unprinted)
    }

    pub(super) fn take(&mut self, event: Event) {
        match event {
            Event::Status(update) => self.on_status(*update),
            Event::Client(index, value) => self.on_client(index, &value),
            Event::ClientGone(index) => {
                self.strategies[index].gone = true;
                let name = self.strategies[index].name;
                self.tell(name, "ended, which it should not".into());
            }
        }
    }

    /// Do all clients have prices?
    pub(super) fn all_quoting(&self) -> bool {
        self.strategies.iter().zip(STRATEGIES).all(|(strategy, (_, symbols))| {
            strategy.quotes.len() == symbols.len()
                && strategy.quotes.values().all(|(bid, ask)| bid.is_some() && ask.is_some())
        })
    }

    /// One line with the newest quotes.
    pub(super) fn summarize(&mut self) {
        let stale = self.strategies.iter().all(|strategy| strategy.stale);
        let mut quotes = BTreeMap::new();
        for strategy in &self.strategies {
            for (symbol, (bid, ask)) in &strategy.quotes {
                if let (Some(bid), Some(_)) = (bid, ask) {
                    quotes.insert(symbol.clone(), format!("{symbol} {bid:.2}"));
                }
            }
        }
        if stale || quotes.is_empty() {
            return;
        }
        let quotes: Vec<_> = quotes.into_values().collect();
        let lines =
            self.status.as_ref().and_then(|status| status.lines).map_or(0, |lines| lines.used);
        let ticks: u64 = self.strategies.iter().map(|strategy| strategy.ticks).sum();
        self.tell("quotes", format!("{} ({lines} lines, {ticks} ticks)", quotes.join("  ")));
    }

    pub(super) fn is_good(&self) -> bool {
        self.strategies.iter().all(|strategy| !strategy.gone)
    }

    pub(super) fn farewell(&self) -> String {
        let torn = self.strategies.iter().filter(|strategy| strategy.gone).count();
        let ticks: u64 = self.strategies.iter().map(|strategy| strategy.ticks).sum();
        format!(
            "\n{} clients shared one session: {ticks} ticks, hung handshakes killed: {},\n\
             replacements: {}, streams torn: {torn}.\n\
             Next: ibouncer serve --gateway 127.0.0.1:4002, see README.md.",
            self.strategies.len(),
            self.kills,
            self.replacements,
        )
    }

    /// The same for programs.
    pub(super) fn summary(&self) -> Value {
        json!({
            "event": "summary",
            "clients": self.strategies.len(),
            "ticks": self.strategies.iter().map(|strategy| strategy.ticks).sum::<u64>(),
            "killed": self.kills,
            "replaced": self.replacements,
            "torn": self.strategies.iter().filter(|strategy| strategy.gone).count(),
        })
    }

    fn on_status(&mut self, update: StatusUpdate) {
        self.status = Some(update.status);
        self.tell_stages();
        for transition in &update.transitions {
            let (from, to) = (transition.from(), transition.to());
            let epoch = transition.epoch;
            match (from, to) {
                (SessionState::Handshaking, SessionState::Backoff) => {
                    self.kills += 1;
                    let because = &transition.because;
                    self.tell("broker", format!("has killed worker {epoch}: {because}"));
                }
                (_, SessionState::Ready) => {
                    self.replacements += u64::from(epoch > 1);
                    self.tell("broker", format!("READY with worker {epoch}"));
                }
                _ => {}
            }
        }
    }

    /// The stages of the newest handshake that were not told yet.
    fn tell_stages(&mut self) {
        let Some(status) = &self.status else { return };
        let Some(handshake) = &status.handshake else {
            return;
        };
        let told = if self.stages_told.0 == status.epoch { self.stages_told.1 } else { 0 };
        if handshake.stages.len() <= told {
            return;
        }
        let stages: Vec<_> = handshake.stages[told..]
            .iter()
            .map(|stamp| format!("{} {:.1}", stage_name(stamp.stage()), stamp.at_ms))
            .collect();
        let who = format!("worker {}", status.epoch);
        self.stages_told = (status.epoch, handshake.stages.len());
        self.tell(&who, format!("{} ms", stages.join(", ")));
    }

    fn on_client(&mut self, index: usize, value: &Value) {
        let strategy = &mut self.strategies[index];
        let symbol = value["symbol"].as_str().unwrap_or_default().to_owned();
        if let Some(mark) = value["mark"].as_str() {
            return self.on_mark(index, mark);
        }
        let Some(field) = value["field"].as_str() else {
            return;
        };
        strategy.ticks += 1;
        let quote = strategy.quotes.entry(symbol).or_default();
        match field {
            "bid" => quote.0 = value["value"].as_f64(),
            "ask" => quote.1 = value["value"].as_f64(),
            _ => {}
        }
    }

    fn on_mark(&mut self, index: usize, mark: &str) {
        let strategy = &mut self.strategies[index];
        let name = strategy.name;
        match mark {
            "STALE" if !strategy.stale => {
                strategy.stale = true;
                strategy.stale_at = Some(Instant::now());
                self.tell(name, "STALE: its stream stays open and waits".into());
            }
            "RESUMED" if strategy.stale => {
                strategy.stale = false;
                let gap = strategy.stale_at.map_or(0.0, |at| at.elapsed().as_secs_f64());
                self.tell(name, format!("RESUMED after {gap:.1} s, without a call of its own"));
            }
            _ => {}
        }
    }
}

/// Name of a stage as users see it.
pub(super) fn stage_name(stage: HandshakeStage) -> &'static str {
    stage.as_str_name().trim_start_matches("HANDSHAKE_STAGE_")
}
