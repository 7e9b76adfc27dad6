//! What waits for the broker, and what it has not acknowledged: control first, then data, with a
//! cap on the data.
//!
//! A data frame gets its number when its turn comes, and is kept until the broker has dealt with
//! it: a broker that dies takes nothing with it, the next one gets it again. When the cap is
//! reached the oldest ticks go, counted and told as a `Gap` between two numbers; frames of the
//! reserved ids (orders, executions, accounts, errors) never go, because their number is bounded
//! by what people and programs trade, and each may be money.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Buf as _, Bytes, BytesMut};
use ibouncer_proto::link::v1::{Configure, Gap, ToBroker, to_broker};
use ibouncer_proto::link::{write_control, write_data_header};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;

/// The queue.
#[derive(Debug)]
pub struct Backlog {
    control: BytesMut,
    /// What has begun to leave.
    leaving: BytesMut,
    /// Is that a data frame?
    data_leaves: bool,
    /// Not sent on this link, oldest first; those before `fresh` have had their number before.
    data: VecDeque<Piece>,
    /// Sent on this link and not acknowledged, oldest first.
    sent: VecDeque<Piece>,
    /// Bytes of both.
    bytes: usize,
    limit: usize,
    droppable: BTreeSet<u32>,
    reserved: BTreeSet<u32>,
    /// The newest number that was given.
    number: u64,
    /// A gap that no broker was told of yet.
    gap: Option<Gap>,
    /// What was told on this link and may not have arrived, and the newest number at the time:
    /// whoever acknowledges a later one has heard it.
    told: Option<(Gap, u64)>,
    /// Is there a broker to tell?
    linked: bool,
}

/// Frames with the number that they have, once they have one.
#[derive(Debug)]
struct Piece {
    number: Option<u64>,
    frames: Bytes,
    /// Frames that were dropped from it since it was sent: missing only for a broker that gets it
    /// again.
    gone: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            control: BytesMut::new(),
            leaving: BytesMut::new(),
            data_leaves: false,
            data: VecDeque::new(),
            sent: VecDeque::new(),
            bytes: 0,
            limit: usize::MAX,
            droppable: BTreeSet::new(),
            reserved: BTreeSet::new(),
            number: 0,
            gap: None,
            told: None,
            linked: true,
        }
    }
}

impl Backlog {
    /// What the broker says of the cap and of the classes of frames.
    pub fn configure(&mut self, configure: &Configure) {
        self.limit = usize::try_from(configure.buffer_bytes).unwrap_or(usize::MAX);
        self.droppable = configure.droppable_ids.iter().copied().collect();
        self.reserved = configure.reserved_ids.iter().copied().collect();
    }

    /// Adds a control message; it overtakes data.
    pub fn push_control(&mut self, message: &ToBroker) {
        // Nobody hears it; what the next broker must know is said at Hello.
        if self.linked {
            write_control(message, &mut self.control);
        }
    }

    /// Adds whole frames from Gateway, as one data frame.
    pub fn push_data(&mut self, frames: Bytes) {
        self.bytes += frames.len();
        self.data.push_back(Piece { number: None, frames, gone: 0 });
        if self.bytes > self.limit {
            self.make_room();
        }
    }

    /// Does nothing wait to leave?
    pub fn is_empty(&self) -> bool {
        self.control.is_empty() && self.leaving.is_empty() && self.data.is_empty()
    }

    /// The broker has dealt with every frame up to this number.
    pub fn forget(&mut self, through: u64) {
        while let Some(piece) = self.sent.front()
            && piece.number.is_some_and(|number| number <= through)
        {
            self.bytes -= piece.frames.len();
            self.sent.pop_front();
        }
        if self.told.is_some_and(|(_, newest)| through > newest) {
            self.told = None;
        }
    }

    /// The link is gone: what was not acknowledged will be sent again.
    pub fn unlink(&mut self) {
        self.linked = false;
        self.control.clear();
        self.leaving.clear();
        self.data_leaves = false;
        if let Some((told, _)) = self.told.take() {
            widen(&mut self.gap, told.from, told.to, told.frames);
        }
        while let Some(piece) = self.sent.pop_back() {
            self.data.push_front(piece);
        }
    }

    /// There is a link again. Answers with the number of its first data frame.
    pub fn relink(&mut self) -> u64 {
        self.linked = true;
        for piece in &mut self.data {
            if let (Some(number), gone @ 1..) = (piece.number, std::mem::take(&mut piece.gone)) {
                widen(&mut self.gap, number, number, gone);
            }
        }
        self.data.front().and_then(|piece| piece.number).unwrap_or(self.number + 1)
    }

    /// To be told behind Hello.
    pub fn tell_gap(&mut self) {
        if self.linked
            && let Some(gap) = self.gap.take()
        {
            self.push_control(&ToBroker { message: Some(to_broker::Message::Gap(gap)) });
            let mut told = self.told.take().map(|(told, _)| told);
            widen(&mut told, gap.from, gap.to, gap.frames);
            self.told = told.map(|told| (told, self.number));
        }
    }

    /// What is to be written now, in one call: control, or the next data frame with its header.
    /// Something begun is finished first.
    pub fn piece(&mut self) -> &[u8] {
        if self.leaving.is_empty() {
            if !self.control.is_empty() {
                std::mem::swap(&mut self.leaving, &mut self.control);
            } else if let Some(Piece { number, frames, .. }) = self.data.pop_front() {
                let number = number.unwrap_or_else(|| {
                    self.number += 1;
                    self.number
                });
                write_data_header(number, frames.len(), &mut self.leaving);
                // Copied behind its header: the link's socket takes one slice a call, and two
                // calls would wake the broker twice.
                self.leaving.extend_from_slice(&frames);
                self.sent.push_back(Piece { number: Some(number), frames, gone: 0 });
                self.data_leaves = true;
            }
        }
        &self.leaving
    }

    /// So many bytes have left. Returns the number of the newest data frame that is gone whole.
    pub fn consume(&mut self, count: usize) -> u64 {
        self.leaving.advance(count);
        if self.leaving.is_empty() {
            self.leaving.clear();
            self.data_leaves = false;
        }
        let newest = self.sent.back().and_then(|piece| piece.number).unwrap_or(self.number);
        newest - u64::from(self.data_leaves)
    }

    /// Thins out the oldest data, to half of the cap: first ticks, then all but what is reserved.
    fn make_room(&mut self) {
        let target = self.limit / 2;
        let droppable = std::mem::take(&mut self.droppable);
        self.thin_out(target, |id| droppable.contains(&id));
        self.droppable = droppable;
        if self.bytes > self.limit {
            let reserved = std::mem::take(&mut self.reserved);
            self.thin_out(target, |id| !reserved.contains(&id));
            self.reserved = reserved;
        }
        self.tell_gap();
    }

    fn thin_out(&mut self, target: usize, goes: impl Fn(u32) -> bool) {
        for piece in &mut self.sent {
            if self.bytes <= target {
                return;
            }
            let gone = piece.thin_out(&goes, &mut self.bytes);
            // This broker has it; another one will miss it.
            piece.gone += gone;
        }
        let mut index = 0;
        while self.bytes > target
            && let Some(piece) = self.data.get_mut(index)
        {
            let gone = piece.thin_out(&goes, &mut self.bytes);
            match piece.number {
                Some(_) if !self.linked => piece.gone += gone,
                Some(number) if gone > 0 => widen(&mut self.gap, number, number, gone),
                None if gone > 0 => widen(&mut self.gap, self.number, self.number + 1, gone),
                _ => {}
            }
            // A frame that has its number keeps it, also when nothing is left in it.
            if piece.frames.is_empty() && piece.number.is_none() {
                self.data.remove(index);
            } else {
                index += 1;
            }
        }
    }
}

impl Piece {
    /// Answers with the frames that went.
    fn thin_out(&mut self, goes: impl Fn(u32) -> bool, bytes: &mut usize) -> u64 {
        let (rest, gone) = thin_out(&self.frames, goes);
        if gone > 0 {
            *bytes -= self.frames.len() - rest.len();
            self.frames = rest;
        }
        gone
    }
}

fn widen(gap: &mut Option<Gap>, from: u64, to: u64, frames: u64) {
    let gap = gap.get_or_insert(Gap { from, to, frames: 0 });
    gap.from = gap.from.min(from);
    gap.to = gap.to.max(to);
    gap.frames += frames;
}

fn thin_out(frames: &Bytes, goes: impl Fn(u32) -> bool) -> (Bytes, u64) {
    let mut rest = BytesMut::new();
    let mut gone = 0;
    for body in frame::bodies(frames) {
        match Envelope::parse(body) {
            Ok(envelope) if goes(envelope.message_id) => gone += 1,
            _ => frame::write(body, &mut rest),
        }
    }
    (rest.freeze(), gone)
}

#[cfg(test)]
mod tests {
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
}
