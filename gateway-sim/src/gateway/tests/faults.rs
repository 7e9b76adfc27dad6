//! Every fault, as a client sees it.

use super::*;

/// What a client that shakes hands to the end finds.
#[derive(Debug, PartialEq)]
struct Seen {
    version: Option<i32>,
    accounts: bool,
    next_id: bool,
    ready: bool,
    mute: bool,
    closed: Option<CloseHow>,
}

fn seen(fault: Fault) -> Seen {
    let mut world = World::with_fault(fault);
    let id = world.connect(7);
    let stages = world.stages(id);
    let version = world.version(id);
    let protobuf = version.is_some_and(|version| version >= 213);
    let ids = if protobuf { world.message_ids(id) } else { Vec::new() };
    Seen {
        version,
        accounts: ids.contains(&id::MANAGED_ACCTS),
        next_id: ids.contains(&id::NEXT_VALID_ID),
        ready: stages.contains(&Stage::Ready),
        mute: stages.contains(&Stage::Mute),
        closed: world.closed_how(id),
    }
}

#[test]
fn every_fault_shows_as_described() {
    let nothing = Seen {
        version: None,
        accounts: false,
        next_id: false,
        ready: false,
        mute: false,
        closed: None,
    };
    let works =
        || Seen { version: Some(226), accounts: true, next_id: true, ready: true, ..nothing };
    let version_only = || Seen { version: Some(226), ..nothing };
    for fault in Fault::ALL {
        let expected = match fault {
            Fault::NeverAccept | Fault::AcceptAndMute => Seen { ..nothing },
            Fault::SerialAccept
            | Fault::LeakCloseWait
            | Fault::IgnoreRequests
            | Fault::SplitFrames
            | Fault::SlowDrip
            | Fault::ExtraFramesBeforeIds => works(),
            Fault::MuteAfterVersion | Fault::OversizeLength => {
                Seen { mute: true, ..version_only() }
            }
            Fault::NoNextId => Seen { accounts: true, ..version_only() },
            Fault::NoAccounts => Seen { next_id: true, ..version_only() },
            Fault::EmptyAccounts => Seen { accounts: true, next_id: true, ..version_only() },
            Fault::CloseAtConnect => Seen { closed: Some(CloseHow::Fault), ..nothing },
            Fault::CloseAfterVersion => Seen { closed: Some(CloseHow::Fault), ..version_only() },
            Fault::ClientIdInUse => Seen { closed: Some(CloseHow::Refused), ..version_only() },
            Fault::MuteAfterReady => Seen { mute: true, ..works() },
            Fault::CutMidFrame => Seen { closed: Some(CloseHow::Cut), ..works() },
            Fault::Garbage => Seen { mute: true, ..nothing },
            Fault::OldServerVersion => Seen { version: Some(187), ready: true, ..nothing },
        };
        assert_eq!(seen(*fault), expected, "{fault}");
    }
}

#[test]
fn a_deaf_connection_is_not_read_and_its_end_goes_unnoticed() {
    let mut world = World::with_fault(Fault::AcceptAndMute);
    let id = world.accept();
    assert!(!world.gateway.reads(id));
    world.hang_up(id, End::Fin);
    assert_eq!(world.closed_how(id), None);
    assert_eq!(world.gateway.report().open, 1);
}

#[test]
fn never_accept_lasts_until_it_is_lifted_or_counted_off() {
    let mut world = World::with_fault(Fault::NeverAccept);
    assert!(!world.gateway.accepts());
    world.gateway.set_fault(None, None, world.now);
    assert!(world.gateway.accepts());
    let fault = Some(Fault::NeverAccept);
    world.gateway.set_fault(fault, Some(1), world.now);
    let first = world.connect(1);
    assert!(world.bytes(first).is_empty());
    let second = world.connect(2);
    assert!(world.stages(second).contains(&Stage::Ready));
}

#[test]
fn a_serial_listener_waits_for_whoever_says_nothing() {
    let mut world = World::with_fault(Fault::SerialAccept);
    let silent = world.accept();
    assert!(!world.gateway.accepts());
    world.pass(Duration::from_secs(3600));
    assert!(!world.gateway.accepts());
    world.hang_up(silent, End::Reset);
    assert!(world.gateway.accepts());
    world.connect(7);
    assert!(world.gateway.accepts());
}

#[test]
fn a_leaked_connection_stays_open_and_keeps_its_client_id() {
    let mut world = World::with_fault(Fault::LeakCloseWait);
    let leaked = world.connect(7);
    world.hang_up(leaked, End::Fin);
    assert_eq!(world.closed_how(leaked), None);
    assert_eq!(world.stages(leaked).last(), Some(&Stage::CloseWait));
    assert!(!world.gateway.reads(leaked));
    let second = world.connect(7);
    assert_eq!(world.errors(second, -1), [326]);
}

#[test]
fn a_fault_for_one_connection_spares_the_next() {
    let mut world = World::new(GatewayConfig {
        faults: vec!["close-after-version:1".parse().unwrap()],
        ..GatewayConfig::default()
    });
    let first = world.connect(7);
    assert_eq!(world.closed.get(&first), Some(&End::Fin));
    let second = world.connect(7);
    assert!(world.stages(second).contains(&Stage::Ready));
}

#[test]
fn a_dripping_handshake_takes_its_time_byte_by_byte() {
    let mut world = World::with_fault(Fault::SlowDrip);
    let id = world.accept();
    world.send(id, &ClientHandshake::new(213..=226).opening());
    world.pass(Duration::from_millis(120));
    assert_eq!(world.bytes(id).len(), 2);
    world.pass(Duration::from_secs(10));
    world.send(id, &start_api(226, 7));
    world.pass(Duration::from_secs(10));
    assert_eq!(world.errors(id, -1), [2104, 2106, 2158]);
}

#[test]
fn an_oversized_length_is_the_documented_one() {
    let mut world = World::with_fault(Fault::OversizeLength);
    let id = world.connect(7);
    let tail = world.sent[&id].last().unwrap();
    assert_eq!(tail[..4], [0x7f, 0xff, 0xff, 0xff]);
}

#[test]
fn a_cut_frame_is_really_cut() {
    let mut world = World::with_fault(Fault::CutMidFrame);
    let id = world.connect(7);
    let mut deframer = Deframer::new();
    deframer.extend(&world.bytes(id));
    let whole = deframer.take_whole().unwrap();
    assert!(!whole.is_empty() && deframer.buffered() > 4);
    assert_eq!(world.closed.get(&id), Some(&End::Fin));
}

#[test]
fn split_frames_are_small_pieces() {
    let mut world = World::with_fault(Fault::SplitFrames);
    let id = world.connect(7);
    let pieces = &world.sent[&id];
    assert!(pieces.iter().all(|piece| piece.len() <= 7));
}

#[test]
fn extra_frames_come_before_the_ids_and_one_of_them_is_unknown() {
    let mut world = World::with_fault(Fault::ExtraFramesBeforeIds);
    let id = world.connect(7);
    let ids = world.message_ids(id);
    let accounts = ids.iter().position(|id| *id == id::MANAGED_ACCTS).unwrap();
    let unknown = ids.iter().position(|id| *id == 399).unwrap();
    assert!(unknown < accounts && accounts >= 6, "{ids:?}");
}
