//! What may be behind a verdict, the likeliest first, and the commands that show more.
//!
//! Each hypothesis has a weight that the facts raise or lower; that is the whole ranking. What to
//! do is in `steps.rs`.

use ibouncer_core::sight::Vantage;

use super::{CommandHint, Hypothesis, deciding};
use crate::facts::Facts;
use crate::verdict::Verdict;

/// Gateway's listener is younger than this: it may still be starting.
const STARTING_SECONDS: u64 = 180;

struct Ranked(Vec<(i32, Hypothesis)>);

impl Ranked {
    fn add(&mut self, weight: i32, what: &str, confirm: &str) {
        let one = Hypothesis { what: what.to_owned(), confirm: confirm.to_owned() };
        self.0.push((weight, one));
    }

    fn finish(mut self) -> Vec<Hypothesis> {
        // Stable: equals stay in the order in which they are written here.
        self.0.sort_by_key(|(weight, _)| -weight);
        self.0.into_iter().map(|(_, one)| one).collect()
    }
}

pub(super) fn hypotheses(verdict: Verdict, facts: &Facts) -> Vec<Hypothesis> {
    let mut ranked = Ranked(Vec::new());
    match verdict {
        Verdict::SilentAfterTcp
        | Verdict::Wedged
        | Verdict::AcceptQueueStuck
        | Verdict::CloseWaitLeft
        | Verdict::RelaySilent => silence(facts, &mut ranked),
        Verdict::SilentAfterVersion
        | Verdict::NoAccounts
        | Verdict::EmptyAccounts
        | Verdict::NoNextId
        | Verdict::VersionIncomplete => stalled(verdict, facts, &mut ranked),
        Verdict::ClosedAtConnect | Verdict::RelayWithoutGateway | Verdict::ClosedAfterVersion => {
            closed(facts, &mut ranked);
        }
        Verdict::NoListener | Verdict::Unreachable => absent(verdict, facts, &mut ranked),
        Verdict::SpeaksHttp | Verdict::SpeaksTls | Verdict::NotTws => {
            elsewhere(verdict, &mut ranked);
        }
        other => others(other, &mut ranked),
    }
    ranked.finish()
}

fn silence(facts: &Facts, ranked: &mut Ranked) {
    let sight = &facts.sight;
    let relayed = sight.vantage == Vantage::Relayed;
    let stuck = sight.close_wait().unwrap_or_default() > 0;
    let queue = sight.accept_queue().unwrap_or_default() > 0 && sight.counts();
    let strangers = sight.strangers().count() > 0;
    let young = age_of_listener(facts).is_some_and(|age| age < STARTING_SECONDS);
    let busy = 50 + 45 * i32::from(stuck) + 15 * i32::from(strangers) + 5 * i32::from(queue);
    ranked.add(
        busy,
        "Gateway is busy with one half-dead client: it shakes hands with one at a time, and each \
         further connection waits in the kernel's queue",
        "sockets of its side in CLOSE_WAIT, or another program's connection that never got ready; \
         end that program, and the queue drains by itself",
    );
    ranked.add(
        45,
        "a dialog of Gateway waits for a click (\"Accept incoming connection attempt?\", a notice, \
         a new login)",
        "look at Gateway's window; on a server without a screen, at its VNC",
    );
    ranked.add(
        if young { 90 } else { 20 },
        "Gateway is still starting, or restarts itself",
        "its process is younger than three minutes; silence then ends by itself",
    );
    ranked.add(
        35 + 20 * i32::from(queue),
        "Gateway's API threads are stuck: it is wedged",
        "the accept queue stays above zero, every client id is silent alike, and its window still \
         reacts; established sessions may go on working",
    );
    if relayed {
        ranked.add(
            100,
            "the relay accepts by itself, and no Gateway is behind it, or a silent one",
            "run the two commands below where Gateway itself runs",
        );
    }
    if !sight.counts() {
        ranked.add(
            10,
            "another program that never answers owns the port",
            "the first command below names its process",
        );
    }
}

fn stalled(verdict: Verdict, facts: &Facts, ranked: &mut Ranked) {
    let young = age_of_listener(facts).is_some_and(|age| age < STARTING_SECONDS);
    let accounts = matches!(verdict, Verdict::NoAccounts | Verdict::EmptyAccounts);
    ranked.add(
        60 + 20 * i32::from(accounts),
        "the login is not finished, or Gateway cannot reach Interactive Brokers' servers",
        "Gateway's main window shows no account, or a red connection to a server",
    );
    ranked.add(
        55 - 20 * i32::from(accounts),
        "a dialog of Gateway waits for a click, or this address is not trusted",
        "look at Gateway's window; Configure, Settings, API, Settings: Trusted IPs",
    );
    ranked.add(
        if young { 70 } else { 30 },
        "accounts are still being downloaded",
        "the same test is READY some minutes later",
    );
    ranked.add(
        25,
        "the thread that serves this client is stuck",
        "another client id stops at the same stage while other sessions go on",
    );
}

fn closed(facts: &Facts, ranked: &mut Ranked) {
    let relayed = facts.sight.vantage == Vantage::Relayed;
    let remote = !facts.gateway.ip().is_loopback();
    ranked.add(
        50 + 20 * i32::from(remote),
        "this address is not among Gateway's trusted ones, or only its own host may connect",
        "Configure, Settings, API, Settings: Allow connections from localhost only, Trusted IPs",
    );
    ranked.add(
        if relayed { 100 } else { 30 },
        "a relay listens here (socat, docker-proxy, ssh), and no Gateway is behind it",
        "the process that owns the listener; and whether Gateway listens where the relay leads",
    );
    ranked.add(
        40,
        "socket clients are switched off",
        "Configure, Settings, API, Settings: Enable ActiveX and Socket Clients (TWS)",
    );
    ranked.add(
        20,
        "Gateway serves 32 clients already",
        "its window lists them; end the ones that nobody needs",
    );
    if deciding(facts).is_none_or(|timeline| timeline.tls.is_none()) {
        let gateway = facts.gateway;
        ranked.add(
            if is_client_portal(facts) { 90 } else { 10 },
            "the other side expects TLS, as the Client Portal Gateway does, and closed at the first \
             bytes that are none",
            &format!(
                "which program owns the port; if that is no Gateway and no TWS, a certificate comes \
                 from: openssl s_client -connect {gateway}"
            ),
        );
    }
}

/// Java as well, so eyes take it for Gateway.
fn is_client_portal(facts: &Facts) -> bool {
    let listener = facts.sight.listener();
    let process = listener.and_then(|listener| listener.process.as_ref().ok());
    process.is_some_and(|process| process.command.contains("clientportal"))
}

fn absent(verdict: Verdict, facts: &Facts, ranked: &mut Ranked) {
    if verdict == Verdict::Unreachable {
        ranked.add(
            60,
            "a firewall or a route drops the packets",
            "another port of that host answers, this one does not",
        );
        ranked.add(50, "the host is down, or the address is wrong", "the host answers nothing");
        ranked.add(
            40,
            "the accept queue is full: Gateway accepts nothing any more",
            "the first command below, on Gateway's host: Recv-Q above Send-Q",
        );
        return;
    }
    ranked.add(
        60,
        "Gateway is not running, or not logged in: it listens only after the login",
        "Gateway's window; a login can wait for the second factor",
    );
    ranked.add(
        50,
        "it listens on another port: 4001 live Gateway, 4002 paper Gateway, 7496 live TWS, 7497 \
         paper TWS",
        "Configure, Settings, API, Settings: Socket port",
    );
    if !facts.gateway.ip().is_loopback() || facts.sight.vantage == Vantage::None {
        ranked.add(
            30,
            "it listens inside a container or another host, and nothing leads there",
            "the first command below, where Gateway runs",
        );
    }
}

fn elsewhere(verdict: Verdict, ranked: &mut Ranked) {
    let (what, confirm) = match verdict {
        Verdict::SpeaksHttp => (
            "the port is that of a web server, such as the Client Portal Gateway, which speaks \
             another protocol",
            "a browser shows its page; the TWS API is another port, of Gateway or TWS",
        ),
        Verdict::SpeaksTls => (
            "the port is that of a TLS server, or a TLS tunnel stands in front of Gateway",
            "which program owns the port; where the tunnel's plain end is",
        ),
        _ => (
            "another program owns the port",
            "the first bytes above, and the process that owns the listener",
        ),
    };
    ranked.add(60, what, confirm);
    if verdict == Verdict::NotTws {
        ranked.add(20, "a relay mixes two streams", "the same bytes come without the relay");
    }
}

fn others(verdict: Verdict, ranked: &mut Ranked) {
    match verdict {
        Verdict::ClientIdInUse => {
            ranked.add(
                60,
                "another program uses this client id",
                "Gateway's window lists its clients with their ids",
            );
            ranked.add(
                50,
                "the last connection with it died, and Gateway has not noticed yet",
                "the same id is free again some minutes later",
            );
        }
        Verdict::MuteAfterReady => ranked.add(
            60,
            "Gateway's request thread is stuck behind a burst of requests or a dead socket",
            "other sessions stay silent too; see their pacing",
        ),
        Verdict::CloseNotAnswered => ranked.add(
            60,
            "the thread that reads this client is stuck: each client that leaves leaves a socket \
             in CLOSE_WAIT",
            "the second command below, or CLOSE_WAIT above, grows with each client that leaves",
        ),
        Verdict::CutMidFrame => ranked.add(
            60,
            "Gateway died or was restarted in the middle of a frame, or a relay was",
            "the start time of its process",
        ),
        Verdict::OversizeFrame => ranked.add(
            60,
            "a relay or another program writes into the stream",
            "the same test without the relay",
        ),
        Verdict::ClosedAfterReady => ranked.add(
            60,
            "Gateway was shut down, or its daily restart began",
            "its process and start time; Configure, Settings, Lock and Exit",
        ),
        Verdict::Slow => {
            ranked.add(
                60,
                "Gateway is short of memory or cores",
                "its process: share of a core, resident memory",
            );
            ranked.add(40, "the network on the way is slow", "TCP itself took long above");
            ranked.add(
                30,
                "many open orders are sent at connect",
                "Configure, Settings, API, Settings: Download open orders on connection",
            );
        }
        Verdict::OldGateway => ranked.add(
            60,
            "this Gateway, or the \"stable\" release, is older than the API that IBouncer speaks",
            "Help, About; the newest release is on Interactive Brokers' page",
        ),
        Verdict::BadVersion => ranked.add(
            60,
            "a very old TWS redirects its clients, or another program imitates Gateway",
            "Help, About",
        ),
        Verdict::SessionDegraded => ranked.add(
            60,
            "Gateway has lost Interactive Brokers' servers (error 1100)",
            "Gateway's main window; it comes back by itself, mostly within minutes",
        ),
        _ => {}
    }
}

/// The two commands for a place where eyes do not count.
pub(super) fn commands(facts: &Facts) -> Vec<CommandHint> {
    if facts.sight.counts() {
        return Vec::new();
    }
    let port = facts.gateway.port();
    vec![
        CommandHint {
            command: format!("ss -ltn 'sport = :{port}'"),
            read: "no line: nothing listens. Recv-Q is the number of connections that Gateway has \
                   not accepted, Send-Q how many may wait; 0 is good, a number that stays is a \
                   Gateway that accepts nothing."
                .to_owned(),
        },
        CommandHint {
            command: format!("ss -tnp state close-wait '( sport = :{port} )'"),
            read: "no line is good. Each line is a client that closed and that Gateway has not \
                   let go; the process named there is Gateway itself: never end it for that."
                .to_owned(),
        },
    ]
}

fn age_of_listener(facts: &Facts) -> Option<u64> {
    let process = facts.sight.listener()?.process.as_ref().ok()?;
    facts.sight.counts().then(|| (facts.now_unix_ms / 1000).saturating_sub(process.started_unix))
}
