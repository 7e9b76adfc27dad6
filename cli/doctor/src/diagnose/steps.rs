//! What a person can do, in this order.
//!
//! No step ever ends Gateway from outside, and none connects to its port to see whether it is
//! open. What the verdict asks for comes first, Gateway's own window above all; then what can be
//! done about a handshake that was asked for and not made.

use super::advice::commands;
use crate::facts::Facts;
use crate::gate::Refusal;
use crate::verdict::{Grade, Verdict};

pub(super) fn next_steps(verdict: Verdict, facts: &Facts) -> Vec<String> {
    let mut steps: Vec<&str> = Vec::new();
    steps.extend(match verdict {
        Verdict::SessionReady | Verdict::Healthy => &[][..],
        Verdict::SilentAfterTcp | Verdict::RelaySilent | Verdict::AcceptQueueStuck => SILENT,
        Verdict::Wedged => WEDGED,
        Verdict::CloseWaitLeft | Verdict::CloseNotAnswered => CLOSE_WAIT,
        Verdict::SilentAfterVersion
        | Verdict::VersionIncomplete
        | Verdict::NoAccounts
        | Verdict::EmptyAccounts
        | Verdict::NoNextId => STALLED,
        Verdict::NoListener => ABSENT,
        Verdict::Unreachable => &["Check address, route and firewall between here and Gateway."],
        Verdict::ClosedAtConnect | Verdict::ClosedAfterVersion => CLOSED,
        Verdict::RelayWithoutGateway => &[
            "Start Gateway behind the relay, or correct where the relay leads.",
            "Run this doctor where Gateway runs: only there eyes see Gateway itself.",
        ],
        Verdict::ClientIdInUse => &[
            "Look in Gateway's window which client holds the id, and end it there or give it \
             another id.",
            "If no program does, wait some minutes: Gateway has not noticed yet that it is gone.",
        ],
        Verdict::SpeaksHttp | Verdict::SpeaksTls | Verdict::NotTws | Verdict::BadVersion => {
            &["Find the right port: Configure, Settings, API, Settings: Socket port."]
        }
        Verdict::MuteAfterReady | Verdict::ClosedAfterReady | Verdict::Slow => {
            &["Look at Gateway's main window, then at its memory (Configure, Settings, Memory \
             Allocation)."]
        }
        Verdict::CutMidFrame | Verdict::OversizeFrame => {
            &["Run the same test without the relay, on Gateway's own host."]
        }
        Verdict::OldGateway if facts.broker.is_some() => &[INSTALL, "Then: ibouncer retry."],
        Verdict::OldGateway => &[INSTALL],
        Verdict::SessionDegraded => &["Wait: the broker resumes everything by itself."],
        Verdict::BrokerConnecting => &["Watch it: ibouncer status --watch."],
        // A retry is refused under a hold.
        Verdict::Held if facts.broker.is_some() => {
            &["Ask who holds it, and why; then end the hold: ibouncer session release."]
        }
        Verdict::Held => {
            &["Ask who holds it, and why; then start the broker, and end the hold: ibouncer \
               session release."]
        }
        Verdict::Listening | Verdict::Unknown => &[],
    });
    if let Some(step) = facts.refusal.as_ref().and_then(|refusal| after_refusal(refusal, verdict)) {
        steps.push(step);
    }
    if matches!(verdict, Verdict::Listening | Verdict::Unknown | Verdict::CloseWaitLeft)
        && facts.refusal.is_none()
    {
        steps.push("One full handshake tells more: ibouncer doctor --active.");
    }
    if !commands(facts).is_empty() && verdict.grade() != Grade::Good {
        steps.push("Where Gateway runs, run the two commands below; neither sends a packet.");
    }
    steps.into_iter().map(str::to_owned).collect()
}

const INSTALL: &str = "Install the newest Gateway (server version 213 or later) beside this one.";

const SILENT: &[&str] = &[
    "Look at Gateway's window first: click what waits for a click.",
    "End the programs that hold half-dead connections to it: yours, never Gateway.",
    "Do not test the port by connecting to it: each such test leaves one more dead connection.",
    "If nothing of this helps, restart Gateway from its own menu (File, Restart), once, at a \
     time when no session is worth keeping; a login with the second factor may be needed.",
];

const WEDGED: &[&str] = &[
    "Leave it alone: neither other client ids nor longer time-outs help, and each attempt leaves \
     one more dead connection.",
    "Look at Gateway's window: click what waits for a click.",
    "If sessions still work in it, keep them until they are not needed any more; then restart \
     Gateway from its own menu (File, Restart). A login with the second factor may be needed.",
    "A running broker resumes by itself as soon as another Gateway listens; `ibouncer retry` \
     makes it try at once.",
];

const CLOSE_WAIT: &[&str] = &[
    "Look whether the number grows: a few old ones cost nothing, each new one is a client that \
     Gateway lost track of.",
    "Never end the process that owns the CLOSE_WAIT side: that process is Gateway.",
    "Let programs share one session through the broker instead of connecting by themselves.",
];

const STALLED: &[&str] = &[
    "Look at Gateway's main window: is the login finished, are all connections green?",
    "Click what waits for a click, and look into Configure, Settings, API, Settings.",
    "Try once more in some minutes; the version came, so Gateway is not wedged.",
];

const ABSENT: &[&str] = &[
    "Start Gateway and log in; it listens only after the login.",
    "Compare the port with Configure, Settings, API, Settings: Socket port.",
];

const CLOSED: &[&str] = &[
    "Look into Configure, Settings, API, Settings: trusted addresses, localhost only, socket \
     clients.",
    "Look at Gateway's window for a dialog that asks about this connection.",
];

fn after_refusal(refusal: &Refusal, verdict: Verdict) -> Option<&'static str> {
    match refusal {
        Refusal::SessionReady => None,
        // Their own steps say when the broker may try again, and how.
        Refusal::BrokerServes { .. }
            if matches!(verdict, Verdict::Wedged | Verdict::Held | Verdict::OldGateway) =>
        {
            None
        }
        Refusal::BrokerServes { .. } => {
            Some("Let the broker try: ibouncer retry, and watch it: ibouncer status --watch.")
        }
        Refusal::WorkerLives => Some(
            "Start the broker: it takes over the session that the worker holds, or the worker \
             ends by itself some minutes after its broker.",
        ),
        Refusal::Wedged
        | Refusal::Held { .. }
        | Refusal::BudgetUsedUp { .. }
        | Refusal::TooEarly { .. }
        | Refusal::QueueStands { .. } => Some(
            "Only after you have looked at Gateway's window, one more attempt can be forced: \
             --active --override --reason \"why\".",
        ),
        Refusal::HandshakeUnderWay { .. } => {
            Some("Ask again in half a minute: whoever makes that handshake learns the same.")
        }
        Refusal::NoLock { .. } => Some("Make lock folder and ledger usable, then ask again."),
    }
}
