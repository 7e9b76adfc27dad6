//! Every verdict once at least, from the facts that lead to it.

use ibouncer_core::sight::{Role, TcpState};
use ibouncer_proto::api::v1::SessionState;
use ibouncer_proto::tws::v1::{ApiConfig, ApiSettingsConfig, ConfigResponse};

use super::samples::{attempted, broker, facts, ledger, lost, relayed, sight, socket, timeline};
use super::*;
use crate::facts::LedgerFacts;
use crate::gate::Refusal;
use crate::verdict::Grade;

use Stage::{
    AccountsReceived, ApiStarted, CloseAnswered, FirstByte, HelloSent, NextIdReceived, Ready,
    TcpConnected, TimeReceived, VersionReceived,
};

const TCP: &[Stage] = &[TcpConnected, HelloSent];
const BYTE: &[Stage] = &[TcpConnected, HelloSent, FirstByte];
const STARTED: &[Stage] = &[TcpConnected, HelloSent, FirstByte, VersionReceived, ApiStarted];
const GOOD: &[Stage] = &[
    TcpConnected,
    HelloSent,
    FirstByte,
    VersionReceived,
    ApiStarted,
    AccountsReceived,
    NextIdReceived,
    Ready,
    TimeReceived,
    CloseAnswered,
];
const FIN: End = End::Closed { reset: false };

fn more(stages: &[Stage], stage: Stage) -> Vec<Stage> {
    [stages, &[stage]].concat()
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = facts();
    change(&mut facts);
    facts
}

fn tried(stages: &[Stage], end: End) -> Facts {
    with(|facts| facts.timelines = vec![timeline(stages, end)])
}

fn changed(stages: &[Stage], end: End, change: impl FnOnce(&mut Timeline)) -> Facts {
    let mut facts = tried(stages, end);
    change(&mut facts.timelines[0]);
    facts
}

fn seen(facts: Facts, sight: Sight) -> Facts {
    Facts { sight, ..facts }
}

fn said(bytes: &[u8], end: End) -> Facts {
    changed(BYTE, end, |timeline| timeline.first_bytes = bytes.to_vec())
}

fn asked(broker: BrokerFacts) -> Facts {
    with(|facts| facts.broker = Some(broker))
}

fn in_state(state: SessionState, broker: BrokerFacts) -> BrokerFacts {
    BrokerFacts { state, ..broker }
}

fn absent(outcome: &str) -> BrokerFacts {
    in_state(SessionState::GatewayAbsent, attempted(outcome, &["LINKED"]))
}

fn asked_in_tls(answer: TlsAnswer) -> Facts {
    changed(TCP, FIN, |timeline| timeline.tls = Some(answer))
}

fn all() -> Vec<(Verdict, Facts)> {
    let close_wait =
        Sight { sockets: Ok(vec![socket(TcpState::CloseWait, Role::Gateway)]), ..sight(0) };
    let nobody = Sight { listener: Ok(None), ..sight(0) };
    let remote = "192.0.2.1:4002".parse().unwrap();
    vec![
        (Verdict::SessionReady, asked(broker(SessionState::Ready))),
        (Verdict::SessionDegraded, asked(broker(SessionState::Degraded))),
        (Verdict::Wedged, asked(broker(SessionState::Wedged))),
        (Verdict::Held, asked(broker(SessionState::Held))),
        (Verdict::OldGateway, asked(in_state(SessionState::Held, attempted("unsupported", &[])))),
        // Whoever holds it does so on top.
        (
            Verdict::Held,
            asked(BrokerFacts {
                hold: Some("payday".into()),
                ..in_state(SessionState::Held, attempted("unsupported", &[]))
            }),
        ),
        (Verdict::NoListener, asked(broker(SessionState::GatewayAbsent))),
        (Verdict::AcceptQueueStuck, asked(absent("unreachable"))),
        (Verdict::Unreachable, Facts { gateway: remote, ..asked(absent("unreachable")) }),
        (Verdict::NoListener, seen(asked(absent("unreachable")), nobody.clone())),
        (Verdict::NoListener, asked(absent("ready"))),
        (Verdict::ClosedAfterReady, asked(lost("closed"))),
        (Verdict::MuteAfterReady, asked(lost("mute"))),
        (Verdict::OversizeFrame, asked(lost("poisoned"))),
        (Verdict::BrokerConnecting, asked(lost("cancelled"))),
        (Verdict::ClosedAtConnect, asked(attempted("absent_or_rejected", &["HELLO_SENT"]))),
        (
            Verdict::RelayWithoutGateway,
            seen(asked(attempted("absent_or_rejected", &["HELLO_SENT"])), relayed()),
        ),
        (Verdict::ClientIdInUse, asked(broker(SessionState::ClientIdInUse))),
        (Verdict::BrokerConnecting, asked(broker(SessionState::Handshaking))),
        (Verdict::SilentAfterTcp, asked(attempted("silent", &["HELLO_SENT"]))),
        (Verdict::AcceptQueueStuck, seen(asked(attempted("silent", &[])), sight(1))),
        (Verdict::VersionIncomplete, asked(attempted("stalled_start", &["FIRST_BYTE"]))),
        (Verdict::SilentAfterVersion, asked(attempted("stalled_start", &["VERSION_RECEIVED"]))),
        (
            Verdict::NoNextId,
            asked(attempted("stalled_start", &["VERSION_RECEIVED", "ACCOUNTS_RECEIVED"])),
        ),
        (
            Verdict::NoAccounts,
            asked(attempted("stalled_start", &["VERSION_RECEIVED", "NEXT_ID_RECEIVED"])),
        ),
        (Verdict::ClosedAtConnect, asked(attempted("rejected", &["HELLO_SENT"]))),
        (Verdict::ClosedAfterVersion, asked(attempted("rejected", &["VERSION_RECEIVED"]))),
        (Verdict::OldGateway, asked(attempted("unsupported", &["VERSION_RECEIVED"]))),
        (Verdict::NotTws, asked(attempted("poisoned", &["FIRST_BYTE"]))),
        (Verdict::BrokerConnecting, asked(attempted("worker_fault", &[]))),
        (Verdict::Healthy, tried(GOOD, End::Good)),
        (Verdict::Slow, changed(GOOD, End::Good, |timeline| timeline.stages[7].1 = 2_500.0)),
        (
            Verdict::OldGateway,
            changed(GOOD, End::Good, |timeline| {
                timeline.server.as_mut().unwrap().server_version = 187;
            }),
        ),
        // Whoever offers only old versions gets one, and learns nothing from it.
        (
            Verdict::Healthy,
            changed(GOOD, End::Good, |timeline| {
                timeline.server.as_mut().unwrap().server_version = 178;
                timeline.attempt.offer = 157..=178;
            }),
        ),
        (Verdict::CloseNotAnswered, tried(&GOOD[..9], End::Good)),
        (Verdict::NoListener, tried(&[], End::Refused)),
        (Verdict::AcceptQueueStuck, tried(&[], End::TcpTimeout)),
        (
            Verdict::Unreachable,
            changed(&[], End::TcpTimeout, |timeline| timeline.attempt.gateway = remote),
        ),
        (Verdict::Unreachable, tried(&[], End::TcpFailed("no route".into()))),
        (Verdict::SilentAfterTcp, tried(TCP, End::Silence)),
        (Verdict::SilentAfterTcp, seen(tried(TCP, End::Silence), sight(0))),
        (Verdict::AcceptQueueStuck, seen(tried(TCP, End::Silence), sight(1))),
        (Verdict::RelaySilent, seen(tried(TCP, End::Silence), relayed())),
        (
            Verdict::Wedged,
            with(|facts| {
                facts.timelines = vec![timeline(TCP, End::Silence)];
                facts.ledger = Ok(ledger(3));
            }),
        ),
        (Verdict::VersionIncomplete, tried(BYTE, End::Silence)),
        (Verdict::NotTws, said(b"SSH-2.0-x\r\n", End::Silence)),
        (Verdict::SilentAfterVersion, tried(STARTED, End::Silence)),
        (Verdict::NoNextId, tried(&more(STARTED, AccountsReceived), End::Silence)),
        (Verdict::NoAccounts, tried(&more(STARTED, NextIdReceived), End::Silence)),
        (
            Verdict::EmptyAccounts,
            changed(&more(STARTED, NextIdReceived), End::Silence, |timeline| {
                timeline.accounts = Some(vec![]);
            }),
        ),
        (Verdict::ClosedAtConnect, tried(TCP, FIN)),
        (Verdict::ClosedAtConnect, seen(tried(TCP, End::Closed { reset: true }), sight(0))),
        (Verdict::RelayWithoutGateway, seen(tried(TCP, FIN), relayed())),
        (Verdict::ClosedAfterVersion, tried(STARTED, FIN)),
        (Verdict::ClosedAfterReady, tried(&GOOD[..8], FIN)),
        (Verdict::CutMidFrame, changed(&GOOD[..8], FIN, |timeline| timeline.unfinished = 14)),
        (Verdict::CutMidFrame, tried(BYTE, FIN)),
        (Verdict::SpeaksHttp, said(b"HTTP/1.1 400 Bad Request\r\n", End::TooLong(1))),
        (Verdict::SpeaksTls, said(&[0x15, 3, 3, 0, 2, 2, 0x46], End::TooLong(1))),
        (Verdict::SpeaksTls, said(&[0x16, 3], FIN)),
        (Verdict::SpeaksTls, seen(asked_in_tls(TlsAnswer::Record(vec![0x15, 3])), relayed())),
        (Verdict::SpeaksHttp, asked_in_tls(TlsAnswer::Other(b"HTTP/1.1 400".to_vec()))),
        (Verdict::ClosedAtConnect, asked_in_tls(TlsAnswer::Closed)),
        (Verdict::RelayWithoutGateway, seen(asked_in_tls(TlsAnswer::Silence), relayed())),
        (
            Verdict::Slow,
            changed(&STARTED[..4], End::Silence, |timeline| {
                timeline.blank_line_ms = Some(10_000.0)
            }),
        ),
        (Verdict::NotTws, said(b"RFB 003.008\n", End::TooLong(1))),
        (Verdict::NotTws, said(b"\0\0\0\x02hi", End::NotProtocol("what".into()))),
        (Verdict::OversizeFrame, tried(STARTED, End::TooLong(0x7fff_ffff))),
        (Verdict::BadVersion, tried(BYTE, End::BadVersion("redirects".into()))),
        (Verdict::ClientIdInUse, tried(STARTED, End::ClientIdInUse)),
        (Verdict::MuteAfterReady, tried(&GOOD[..8], End::MuteAfterReady)),
        (Verdict::Unknown, facts()),
        (Verdict::Listening, seen(facts(), sight(0))),
        (Verdict::Listening, seen(facts(), sight(1))),
        (Verdict::Listening, seen(facts(), relayed())),
        (Verdict::NoListener, seen(facts(), nobody.clone())),
        (
            Verdict::AcceptQueueStuck,
            with(|facts| {
                facts.sight = sight(2);
                facts.queue_stands = true;
            }),
        ),
        (Verdict::CloseWaitLeft, seen(facts(), close_wait)),
        (Verdict::Wedged, with(|facts| facts.ledger = Ok(ledger(3)))),
        (
            Verdict::Wedged,
            with(|facts| {
                facts.ledger = Ok(LedgerFacts { wedged_since_ms: Some(1), ..ledger(0) });
                facts.refusal = Some(Refusal::Wedged);
            }),
        ),
        (Verdict::NoListener, seen(with(|facts| facts.ledger = Ok(ledger(3))), nobody)),
        (
            Verdict::Held,
            with(|facts| {
                facts.ledger = Ok(LedgerFacts { hold: Some("payday".into()), ..ledger(0) });
            }),
        ),
    ]
}

#[test]
fn facts_lead_to_their_verdict() {
    for (verdict, facts) in all() {
        assert_eq!(diagnose(&facts).verdict, verdict, "{facts:#?}");
    }
}

#[test]
fn every_verdict_has_facts_a_name_and_a_page() {
    let all = all();
    for verdict in Verdict::ALL {
        let facts = all.iter().find(|(led, _)| led == verdict);
        let (_, facts) = facts.unwrap_or_else(|| panic!("nothing leads to {verdict}"));
        let diagnosis = diagnose(facts);
        assert!(!diagnosis.evidence.is_empty(), "{verdict}");
        assert!(diagnosis.sentence.starts_with(verdict.name()), "{}", diagnosis.sentence);
        assert!(diagnosis.sentence.ends_with(").") && !diagnosis.sentence.contains('\n'));
        let quiet = [Verdict::SessionReady, Verdict::Healthy];
        assert_eq!(diagnosis.next_steps.is_empty(), quiet.contains(verdict), "{verdict}");
        let name = verdict.name();
        assert!(name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_'));
        assert!(verdict.meaning().ends_with('.'));
    }
}

#[test]
fn no_step_ends_gateway_and_no_page_names_an_account() {
    for (verdict, facts) in all() {
        let page = format!("{:?}", diagnose(&facts));
        let lower = page.to_lowercase();
        for word in ["kill gateway", "kill -", "pkill", "xargs", "du0000001"] {
            assert!(!lower.contains(word), "{word} in {verdict}: {page}");
        }
    }
}

#[test]
fn only_good_verdicts_are_good() {
    let good = Verdict::ALL.iter().filter(|verdict| verdict.grade() == Grade::Good);
    assert_eq!(good.collect::<Vec<_>>(), [&Verdict::SessionReady, &Verdict::Healthy]);
}

#[test]
fn facts_change_the_order_of_hypotheses() {
    let first = |facts: &Facts| diagnose(facts).hypotheses[0].what.clone();
    let silent = tried(TCP, End::Silence);
    assert!(first(&silent).contains("half-dead client"), "{}", first(&silent));
    let behind = seen(silent.clone(), relayed());
    assert!(first(&behind).contains("relay"), "{}", first(&behind));
    let mut young = sight(0);
    if let Ok(Some(listener)) = &mut young.listener
        && let Ok(process) = &mut listener.process
    {
        process.started_unix = super::samples::NOW / 1000 - 20;
    }
    let starting = seen(silent, young);
    assert!(first(&starting).contains("still starting"), "{}", first(&starting));
}

#[test]
fn a_row_is_judged_by_its_first_failure() {
    let facts = with(|facts| {
        facts.timelines = vec![
            timeline(GOOD, End::Good),
            timeline(STARTED, End::ClientIdInUse),
            timeline(GOOD, End::Good),
        ];
    });
    let diagnosis = diagnose(&facts);
    assert_eq!(diagnosis.verdict, Verdict::ClientIdInUse);
    let rows = diagnosis.evidence.iter().filter(|line| line.starts_with("client id 411"));
    assert_eq!(rows.count(), 3, "{:#?}", diagnosis.evidence);
}

#[test]
fn commands_are_given_where_eyes_do_not_count() {
    let blind = diagnose(&facts()).commands;
    assert_eq!(blind[0].command, "ss -ltn 'sport = :4002'");
    assert_eq!(blind[1].command, "ss -tnp state close-wait '( sport = :4002 )'");
    assert_eq!(diagnose(&seen(facts(), relayed())).commands.len(), 2);
    assert!(diagnose(&seen(facts(), sight(0))).commands.is_empty());
    // Also where nothing is wrong: that nobody looked is not known to be good.
    let healthy = diagnose(&tried(GOOD, End::Good));
    assert_eq!((healthy.commands.len(), healthy.next_steps.len()), (2, 0));
    assert_eq!(diagnose(&asked(broker(SessionState::Ready))).commands.len(), 2);
}

#[test]
fn steps_end_what_was_begun_and_look_at_gateways_window_before_anything_is_tried() {
    let serves = |state, change: &dyn Fn(&mut BrokerFacts)| {
        let mut broker = broker(state);
        change(&mut broker);
        let refusal = Some(Refusal::BrokerServes { who: "instance default".into() });
        diagnose(&Facts { refusal, ..asked(broker) }).next_steps
    };
    let wedged = serves(SessionState::Wedged, &|_| {});
    assert!(wedged[0].starts_with("Leave it alone"), "{wedged:#?}");
    let place = |what: &str| wedged.iter().position(|step| step.contains(what)).unwrap();
    assert!(place("Gateway's window") < place("ibouncer retry"), "{wedged:#?}");

    let held = serves(SessionState::Held, &|broker| broker.hold = Some("payday".into()));
    assert!(held[0].contains("ibouncer session release"), "{held:#?}");
    assert!(held.iter().all(|step| !step.contains("retry")), "a hold refuses it: {held:#?}");
    let remembered = LedgerFacts { hold: Some("payday".into()), ..ledger(0) };
    let held = diagnose(&with(|facts| facts.ledger = Ok(remembered))).next_steps;
    assert!(held[0].contains("start the broker"), "{held:#?}");

    let old = serves(SessionState::Held, &|broker| {
        *broker = in_state(SessionState::Held, attempted("unsupported", &["VERSION_RECEIVED"]));
    });
    assert!(old[0].starts_with("Install the newest Gateway"), "{old:#?}");
    assert!(old[1].contains("ibouncer retry"), "{old:#?}");
}

#[test]
fn tls_is_named_with_its_command_unless_it_was_asked_for() {
    let tls = |facts: &Facts| {
        let hypotheses = diagnose(facts).hypotheses;
        hypotheses.iter().position(|one| one.confirm.contains("openssl s_client -connect"))
    };
    assert!(tls(&tried(TCP, FIN)).is_some());
    assert_eq!(tls(&asked_in_tls(TlsAnswer::Closed)), None);
    let mut portal = sight(0);
    if let Ok(Some(listener)) = &mut portal.listener
        && let Ok(process) = &mut listener.process
    {
        process.command = "java ibgroup.web.core.clientportal.gw.GatewayStart".into();
    }
    assert_eq!(tls(&seen(tried(TCP, FIN), portal)), Some(0));
}

#[test]
fn settings_that_hurt_are_pointed_at() {
    let facts = changed(GOOD, End::Good, |timeline| {
        let settings = ApiSettingsConfig { read_only_api: Some(true), ..Default::default() };
        let api = ApiConfig { settings: Some(settings), precautions: None };
        let config = ConfigResponse { api: Some(api), ..Default::default() };
        timeline.settings = SettingsAnswer::Read(Box::new(config));
    });
    let diagnosis = diagnose(&facts);
    assert_eq!(diagnosis.verdict, Verdict::Healthy);
    assert_eq!(diagnosis.findings[0].setting, "readOnlyApi");
}

#[test]
fn classes_for_the_ledger_count_silence_and_nothing_else_as_silence() {
    let blind = Sight::blind("no eyes");
    for (stages, end, class) in [
        (TCP, End::Silence, Some(FailureClass::Silent)),
        (&[][..], End::TcpTimeout, Some(FailureClass::Silent)),
        (&[][..], End::Refused, Some(FailureClass::Refused)),
        (TCP, FIN, Some(FailureClass::Rejected)),
        (BYTE, End::Silence, Some(FailureClass::StalledStart)),
        (STARTED, End::Silence, Some(FailureClass::StalledStart)),
        (STARTED, End::ClientIdInUse, Some(FailureClass::ClientIdInUse)),
        (STARTED, End::TooLong(1 << 31), Some(FailureClass::Poisoned)),
        (&GOOD[..8], FIN, None),
        (&GOOD[..8], End::MuteAfterReady, None),
        (GOOD, End::Good, None),
    ] {
        assert_eq!(class_of(&timeline(stages, end.clone()), &blind), class, "{end:?}");
    }
}
