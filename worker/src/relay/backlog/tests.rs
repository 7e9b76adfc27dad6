//! What is kept, what comes again, what goes, and what is told of it.

use ibouncer_proto::link::{LinkDeframer, LinkFrame, read_control};
use ibouncer_proto::tws::envelope::write_message;
use ibouncer_proto::tws::v1::{OrderStatus, TickPrice};
use proptest::prelude::*;

use super::*;

fn message(id: u32) -> Bytes {
    let mut out = BytesMut::new();
    match id {
        203 => write_message(id, &OrderStatus::default(), &mut out),
        _ => write_message(id, &TickPrice { price: Some(1.0), ..Default::default() }, &mut out),
    }
    out.freeze()
}

fn drain(backlog: &mut Backlog, step: usize) -> Vec<LinkFrame> {
    drain_from(backlog, step, 1)
}

fn drain_from(backlog: &mut Backlog, step: usize, first: u64) -> Vec<LinkFrame> {
    let mut deframer = LinkDeframer::new();
    deframer.expect_number(first);
    let mut seen = Vec::new();
    while !backlog.is_empty() {
        let mut piece = backlog.piece().to_vec();
        piece.truncate(step);
        let length = piece.len();
        deframer.extend(&piece);
        backlog.consume(length);
        while let Some(frame) = deframer.next_frame().unwrap() {
            seen.push(frame);
        }
    }
    seen
}

proptest! {
    #[test]
    fn everything_leaves_whole_numbered_and_in_order(
        items in prop::collection::vec(any::<bool>(), 0..40),
        step in 1_usize..60,
    ) {
        let mut backlog = Backlog::default();
        let mut data = 0;
        for (index, is_data) in items.iter().enumerate() {
            if *is_data {
                data += 1;
                backlog.push_data(message(201));
            } else {
                let gap = Gap { from: index as u64, to: 0, frames: 0 };
                backlog.push_control(&ToBroker { message: Some(to_broker::Message::Gap(gap)) });
            }
        }
        let seen = drain(&mut backlog, step);
        prop_assert_eq!(seen.len(), items.len());
        let numbers = seen.iter().filter(|frame| matches!(frame, LinkFrame::Data { .. })).count();
        prop_assert_eq!(numbers, data);
        prop_assert!(seen[..items.len() - data]
            .iter()
            .all(|frame| matches!(frame, LinkFrame::Control(_))), "control overtakes data");
    }
}

fn configured(limit: usize) -> Backlog {
    let mut backlog = Backlog::default();
    backlog.configure(&Configure {
        buffer_bytes: limit as u64,
        droppable_ids: vec![201],
        reserved_ids: vec![203],
        ..Configure::default()
    });
    backlog
}

fn numbers(frames: &[LinkFrame]) -> Vec<u64> {
    let number = |frame: &LinkFrame| match frame {
        LinkFrame::Data { number, .. } => Some(*number),
        LinkFrame::Control(_) => None,
    };
    frames.iter().filter_map(number).collect()
}

#[test]
fn what_was_not_acknowledged_comes_again_under_its_number() {
    let mut backlog = Backlog::default();
    for _ in 0..5 {
        backlog.push_data(message(201));
    }
    assert_eq!(numbers(&drain(&mut backlog, 7)), [1, 2, 3, 4, 5]);
    backlog.forget(3);
    backlog.push_data(message(203));
    backlog.unlink();
    backlog.push_control(&ToBroker::default());
    backlog.push_data(message(201));
    assert_eq!(backlog.relink(), 4);
    assert_eq!(numbers(&drain_from(&mut backlog, 9, 4)), [4, 5, 6, 7]);
    backlog.forget(7);
    backlog.unlink();
    assert_eq!((backlog.relink(), backlog.bytes), (8, 0));
}

#[test]
fn a_frame_that_was_cut_comes_again_whole() {
    let mut whole = Backlog::default();
    whole.push_data(message(201));
    let length = whole.piece().len();
    for cut in 0..=length {
        let mut backlog = Backlog::default();
        backlog.push_data(message(201));
        backlog.piece();
        let gone = backlog.consume(cut);
        assert_eq!(gone, u64::from(cut == length));
        backlog.unlink();
        assert_eq!(backlog.relink(), 1);
        assert_eq!(numbers(&drain(&mut backlog, 3)), [1]);
    }
}

#[test]
fn what_this_broker_has_is_no_gap_of_its_own() {
    let tick = message(201);
    let mut backlog = configured(tick.len() * 10);
    let mut told = 0;
    for _ in 0..50 {
        backlog.push_data(tick.clone());
        let next = backlog.number + 1;
        for frame in drain_from(&mut backlog, usize::MAX, next) {
            told += u64::from(matches!(frame, LinkFrame::Control(_)));
        }
    }
    assert_eq!(told, 0, "everything was sent");
    // Those that were acknowledged are nobody's gap any more.
    backlog.forget(20);
    backlog.unlink();
    assert_eq!(backlog.relink(), 21);
    backlog.tell_gap();
    let frames = drain_from(&mut backlog, usize::MAX, 21);
    let LinkFrame::Control(body) = &frames[0] else { panic!("the gap comes first") };
    let message: ToBroker = read_control(body).unwrap();
    let Some(to_broker::Message::Gap(gap)) = message.message else { panic!("a gap") };
    let kept: usize = frames
        .iter()
        .map(|frame| match frame {
            LinkFrame::Data { frames, .. } => frame::bodies(frames).count(),
            LinkFrame::Control(_) => 0,
        })
        .sum();
    assert_eq!(gap.frames + kept as u64, 30, "{gap:?}");
}

#[test]
fn without_a_broker_ticks_go_orders_stay_and_the_gap_is_told_later() {
    let tick = message(201);
    let mut backlog = configured(tick.len() * 10);
    backlog.push_data(tick.clone());
    drain(&mut backlog, usize::MAX);
    backlog.unlink();
    for _ in 0..50 {
        backlog.push_data(tick.clone());
        backlog.push_data(message(203));
    }
    let first = backlog.relink();
    backlog.tell_gap();
    let frames = drain_from(&mut backlog, usize::MAX, first);
    let LinkFrame::Control(body) = &frames[0] else { panic!("the gap comes first") };
    let told: ToBroker = read_control(body).unwrap();
    let Some(to_broker::Message::Gap(gap)) = told.message else { panic!("a gap") };
    let mut seen = (0, 0);
    for frame in &frames {
        if let LinkFrame::Data { frames, .. } = frame {
            for body in frame::bodies(frames) {
                match Envelope::parse(body).unwrap().message_id {
                    203 => seen.0 += 1,
                    _ => seen.1 += 1,
                }
            }
        }
    }
    assert_eq!(seen.0, 50, "no order is lost, although they fill the cap alone");
    assert_eq!(seen.1 + gap.frames, 51, "every tick is accounted for");
    assert!(gap.from <= first && gap.to >= first, "{gap:?}");
}

#[test]
fn a_gap_is_told_again_until_whoever_heard_it_has_acknowledged_what_came_behind() {
    let tick = message(201);
    let mut backlog = configured(tick.len() * 10);
    backlog.unlink();
    for _ in 0..20 {
        backlog.push_data(tick.clone());
    }
    let told = |backlog: &mut Backlog| {
        let first = backlog.relink();
        backlog.tell_gap();
        let frames = drain_from(backlog, usize::MAX, first);
        frames.iter().any(|frame| matches!(frame, LinkFrame::Control(_)))
    };
    assert!(told(&mut backlog));
    // Whoever listened was no broker for us, or died.
    backlog.unlink();
    assert!(told(&mut backlog));
    backlog.push_data(message(203));
    let next = backlog.number + 1;
    drain_from(&mut backlog, usize::MAX, next);
    backlog.forget(backlog.number);
    backlog.unlink();
    assert!(!told(&mut backlog), "it is known to have arrived");
}

#[test]
fn what_is_dropped_while_nothing_can_leave_is_one_gap() {
    let tick = message(201);
    let mut backlog = configured(tick.len() * 10);
    backlog.push_data(tick.clone());
    let half = backlog.piece().len() / 2;
    backlog.consume(half);
    for _ in 0..60 {
        backlog.push_data(tick.clone());
        assert!(!backlog.piece().is_empty(), "the first one has not left");
    }
    let rest = backlog.piece().len();
    backlog.consume(rest);
    let frames = drain_from(&mut backlog, usize::MAX, 2);
    let gaps: Vec<_> = frames
        .iter()
        .filter_map(|frame| match frame {
            LinkFrame::Control(body) => Some(read_control::<ToBroker>(body).unwrap()),
            LinkFrame::Data { .. } => None,
        })
        .collect();
    let [ToBroker { message: Some(to_broker::Message::Gap(gap)) }] = &gaps[..] else {
        panic!("one gap: {gaps:?}")
    };
    let left = frames.len() as u64 - 1;
    assert_eq!(gap.frames + left, 60, "the figures add up: {gap:?}");
    assert!(backlog.is_empty());
}

#[test]
fn a_full_backlog_drops_ticks_counts_them_and_keeps_orders() {
    let tick = message(201);
    let mut backlog = configured(tick.len() * 10);
    backlog.push_data(message(203));
    for _ in 0..25 {
        backlog.push_data(tick.clone());
    }
    let mut ticks = 0;
    let mut orders = 0;
    let mut dropped = 0;
    for frame in drain(&mut backlog, usize::MAX) {
        match frame {
            LinkFrame::Control(body) => {
                let message: ToBroker = read_control(&body).unwrap();
                let Some(to_broker::Message::Gap(gap)) = message.message else { panic!() };
                dropped += gap.frames;
            }
            LinkFrame::Data { frames, .. } => {
                for body in frame::bodies(&frames) {
                    match Envelope::parse(body).unwrap().message_id {
                        203 => orders += 1,
                        _ => ticks += 1,
                    }
                }
            }
        }
    }
    assert_eq!(orders, 1);
    assert_eq!(ticks + dropped, 25, "every tick is accounted for");
    assert!(dropped > 0);
}
