//! Tables: which stage and which end make which class.

use super::*;

fn attempt(stages: &[Stage]) -> Attempt {
    let mut attempt = Attempt::new(Epoch(1), Instant::now());
    for (index, stage) in stages.iter().enumerate() {
        attempt.reach(*stage, Duration::from_millis(index as u64));
    }
    attempt
}

const TO_TCP: [Stage; 4] = [Stage::Spawned, Stage::Linked, Stage::TcpConnected, Stage::HelloSent];

#[test]
fn silence_is_classed_by_the_stage_that_was_reached() {
    let cases: [(&[Stage], FailureClass); 6] = [
        (&[], FailureClass::WorkerFault),
        (&[Stage::Spawned], FailureClass::WorkerFault),
        (&[Stage::Spawned, Stage::Linked], FailureClass::Unreachable),
        (&TO_TCP[..3], FailureClass::Silent),
        (&TO_TCP, FailureClass::Silent),
        (
            &[Stage::Linked, Stage::TcpConnected, Stage::FirstByte, Stage::VersionReceived],
            FailureClass::StalledStart,
        ),
    ];
    for (stages, class) in cases {
        assert_eq!(attempt(stages).class_of_silence(), class, "{stages:?}");
    }
}

#[test]
fn an_end_is_classed_by_its_cause_and_stage() {
    let ready: Vec<_> = TO_TCP.into_iter().chain([Stage::Ready]).collect();
    let reported = |reason, gateway_code| EndCause::Reported { reason, gateway_code };
    let cases: [(&[Stage], EndCause, FailureClass); 12] = [
        (&TO_TCP[..2], reported(EndReason::ConnectFailed, 0), FailureClass::Refused),
        (&TO_TCP, reported(EndReason::ClosedByPeer, 0), FailureClass::Rejected),
        (&ready, reported(EndReason::ClosedByPeer, 0), FailureClass::SessionLost),
        (&TO_TCP, reported(EndReason::Refused, 326), FailureClass::ClientIdInUse),
        (&TO_TCP, reported(EndReason::Refused, 0), FailureClass::Unsupported),
        (&TO_TCP, reported(EndReason::HandshakeViolated, 0), FailureClass::Poisoned),
        (&ready, reported(EndReason::ProtocolViolation, 0), FailureClass::Poisoned),
        (&ready, EndCause::Signalled { signal: 9 }, FailureClass::WorkerFault),
        (&TO_TCP[..1], EndCause::Exited { code: 70 }, FailureClass::WorkerFault),
        (&TO_TCP[..2], EndCause::Exited { code: 16 }, FailureClass::Refused),
        (&ready, EndCause::Exited { code: 12 }, FailureClass::SessionLost),
        (&TO_TCP, EndCause::Exited { code: 13 }, FailureClass::Poisoned),
    ];
    for (stages, cause, class) in cases {
        let end = WorkerEnd { epoch: Epoch(1), cause, detail: String::new(), ordered: None };
        assert_eq!(attempt(stages).class_of_end(&end, true), class, "{stages:?} {end:?}");
    }
}

#[test]
fn the_next_deadline_belongs_to_the_next_step_and_never_passes_the_total() {
    let deadlines = Deadlines::default();
    let allowed = |stages: &[Stage]| {
        attempt(stages).deadline(&deadlines).map(|deadline| deadline.allowed.as_secs())
    };
    assert_eq!(allowed(&TO_TCP[..1]), Some(5));
    assert_eq!(allowed(&TO_TCP), Some(10));
    let capped = deadlines.clone().capped(Duration::from_secs(2));
    assert_eq!(
        attempt(&TO_TCP).deadline(&capped).map(|deadline| deadline.allowed.as_secs()),
        Some(2)
    );
    let ready: Vec<_> = TO_TCP.into_iter().chain([Stage::Ready]).collect();
    assert_eq!(allowed(&ready), None);
}

#[test]
fn history_keeps_the_newest_twenty() {
    let mut history = History::default();
    let now = Instant::now();
    for number in 1..=25 {
        history.begin(Epoch(number), now);
    }
    assert_eq!(history.iter().count(), KEPT);
    assert_eq!(history.iter().next().map(|attempt| attempt.epoch), Some(Epoch(6)));
    assert!(history.of(Epoch(24)).is_none());
}
