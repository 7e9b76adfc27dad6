//! What waits for the broker: control first, then data, with a cap on the data.
//!
//! Numbers are given when a frame's turn comes, so that dropping something leaves no gap in
//! them; what was dropped is told as a `Gap` between two numbers.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Buf as _, Bytes, BytesMut};
use ibouncer_proto::link::v1::{Gap, ToBroker, to_broker};
use ibouncer_proto::link::{write_control, write_data_header};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;

/// The queue.
#[derive(Debug)]
pub(super) struct Backlog {
    control: BytesMut,
    /// What has begun to leave.
    leaving: BytesMut,
    /// Is that a data frame?
    data_leaves: bool,
    data: VecDeque<Bytes>,
    data_bytes: usize,
    limit: usize,
    droppable: BTreeSet<u32>,
    number: u64,
}

impl Default for Backlog {
    fn default() -> Self {
        Self {
            control: BytesMut::new(),
            leaving: BytesMut::new(),
            data_leaves: false,
            data: VecDeque::new(),
            data_bytes: 0,
            limit: usize::MAX,
            droppable: BTreeSet::new(),
            number: 0,
        }
    }
}

impl Backlog {
    pub(super) fn configure(&mut self, limit: u64, droppable: &[u32]) {
        self.limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.droppable = droppable.iter().copied().collect();
    }

    pub(super) fn push_control(&mut self, message: &ToBroker) {
        write_control(message, &mut self.control);
    }

    pub(super) fn push_data(&mut self, frames: Bytes) {
        self.data_bytes += frames.len();
        self.data.push_back(frames);
        if self.data_bytes > self.limit {
            self.make_room();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.control.is_empty() && self.leaving.is_empty() && self.data.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.control.clear();
        self.leaving.clear();
        self.data_leaves = false;
        self.data.clear();
        self.data_bytes = 0;
    }

    /// What is to be written now, in one call: control, or the next data frame with its header.
    /// Something begun is finished first.
    pub(super) fn piece(&mut self) -> &[u8] {
        if self.leaving.is_empty() {
            if !self.control.is_empty() {
                std::mem::swap(&mut self.leaving, &mut self.control);
            } else if let Some(frames) = self.data.pop_front() {
                self.data_bytes -= frames.len();
                self.number += 1;
                write_data_header(self.number, frames.len(), &mut self.leaving);
                // Copied behind its header: the link's socket takes one slice a call, and two
                // calls would wake the broker twice.
                self.leaving.extend_from_slice(&frames);
                self.data_leaves = true;
            }
        }
        &self.leaving
    }

    /// So many bytes have left. Returns the number of the newest data frame that is gone whole.
    pub(super) fn consume(&mut self, count: usize) -> u64 {
        self.leaving.advance(count);
        if self.leaving.is_empty() {
            self.leaving.clear();
            self.data_leaves = false;
        }
        self.number - u64::from(self.data_leaves)
    }

    /// Thins out the oldest data: ticks go, everything else stays. If that is not enough, the
    /// oldest goes whole: Gateway is read whatever happens.
    fn make_room(&mut self) {
        let mut dropped = 0;
        let mut kept = VecDeque::new();
        while self.data_bytes > self.limit / 2 {
            let Some(frames) = self.data.pop_front() else {
                break;
            };
            self.data_bytes -= frames.len();
            let (rest, gone) = thin_out(&frames, &self.droppable);
            dropped += gone;
            if !rest.is_empty() {
                kept.push_back(rest);
            }
        }
        let mut kept_bytes: usize = kept.iter().map(Bytes::len).sum();
        while kept_bytes > self.limit {
            let Some(frames) = kept.pop_front() else {
                break;
            };
            kept_bytes -= frames.len();
            dropped += frame::bodies(&frames).count() as u64;
        }
        self.data_bytes += kept_bytes;
        kept.append(&mut self.data);
        self.data = kept;
        let gap = Gap { from: self.number, to: self.number + 1, frames: dropped };
        self.push_control(&ToBroker { message: Some(to_broker::Message::Gap(gap)) });
    }
}

fn thin_out(frames: &Bytes, droppable: &BTreeSet<u32>) -> (Bytes, u64) {
    let mut rest = BytesMut::new();
    let mut gone = 0;
    for body in frame::bodies(frames) {
        match Envelope::parse(body) {
            Ok(envelope) if droppable.contains(&envelope.message_id) => gone += 1,
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
        let mut deframer = LinkDeframer::new();
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

    #[test]
    fn a_full_backlog_drops_ticks_counts_them_and_keeps_orders() {
        let mut backlog = Backlog::default();
        let tick = message(201);
        backlog.configure(tick.len() as u64 * 10, &[201]);
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
