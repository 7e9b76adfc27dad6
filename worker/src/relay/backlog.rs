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
use ibouncer_proto::link::{HEADER, write_control, write_data_header};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;

/// The queue.
#[derive(Debug)]
pub struct Backlog {
    control: BytesMut,
    /// What has begun to leave.
    leaving: Bytes,
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
            leaving: Bytes::new(),
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
        let has_gap = self.linked && self.gap.is_some();
        !has_gap && self.control.is_empty() && self.leaving.is_empty() && self.data.is_empty()
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
            // Not before something can leave: what is dropped during one stall is one gap.
            self.tell_gap();
            if !self.control.is_empty() {
                self.leaving = self.control.split().freeze();
            } else if let Some(Piece { number, frames, .. }) = self.data.pop_front() {
                let number = number.unwrap_or_else(|| {
                    self.number += 1;
                    self.number
                });
                // Copied behind its header: the link's socket takes one slice a call, and two
                // calls would wake the broker twice. The copy is what is kept, so that the large
                // buffer of the read is free for the next one.
                let mut whole = BytesMut::with_capacity(HEADER + frames.len());
                write_data_header(number, frames.len(), &mut whole);
                whole.extend_from_slice(&frames);
                self.leaving = whole.freeze();
                let frames = self.leaving.slice(HEADER..);
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
mod tests;
