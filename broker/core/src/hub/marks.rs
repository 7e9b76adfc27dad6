//! What is told to one subscription: last values, books, marks, and why it ended.

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, MarkKind, Resume, StreamMark};
use prost::Message as _;

use super::{Hub, Output};
use crate::error::{self, Error};
use crate::fields::field;
use crate::ids::{Epoch, LineId};
use crate::lines::{Line, Subscriber};
use crate::memory::Remembered;
use crate::queue::{Chunk, Entry};

impl Hub {
    /// Tells one that comes late, or comes back, what it does not know.
    pub(super) fn bring_up_to_date(
        &mut self,
        slot: u32,
        stream: u32,
        subscription: u32,
        resume: Option<&Resume>,
    ) {
        let Some(line) = self.lines.get(slot) else {
            return;
        };
        let seen = resume
            .filter(|resume| {
                resume.line == self.line_name(line.id) && resume.sequence <= line.sequence
            })
            .map(|resume| resume.sequence);
        if line.memory.is_book() {
            let notes = notes_for(line, stream, subscription, seen);
            if let Some(resume) = resume {
                let missed = seen.map(|seen| line.sequence - seen);
                self.resumed_mark(slot, stream, subscription, resume, missed);
            }
            self.replay(stream, subscription, notes, Vec::new());
            return self.tell_book(slot, stream, subscription, "the whole book follows");
        }
        let mut news = notes_for(line, stream, subscription, seen);
        news.extend(remembered_for(line, stream, subscription, seen));
        if let Some(resume) = resume {
            // What is told again is not missed; a state's newest value stands for older ones.
            let told = news.iter().filter(|one| seen.is_some_and(|seen| one.sequence > seen));
            let missed =
                seen.map(|seen| (line.sequence - seen).saturating_sub(told.count() as u64));
            self.resumed_mark(slot, stream, subscription, resume, missed);
        }
        self.tell_gap(slot, stream, subscription);
        self.replay(stream, subscription, news, Vec::new());
    }

    /// RESUMED, and behind it the whole state of a line that has one: readers take it for the
    /// beginning of a state. A line that was asked for again is told by Gateway itself.
    pub(super) fn resume_as_it_was(
        &mut self,
        slot: u32,
        stream: u32,
        subscription: u32,
        because: String,
    ) {
        self.mark(slot, stream, subscription, MarkKind::Resumed, because);
        let Some(line) = self.lines.get(slot).filter(|line| line.memory.is_image()) else {
            return;
        };
        let state = remembered_for(line, stream, subscription, None);
        self.tell_gap(slot, stream, subscription);
        self.replay(stream, subscription, state, Vec::new());
    }

    /// A mark that all is forgotten, and the whole book, in one delivery.
    pub(super) fn tell_book(&mut self, slot: u32, stream: u32, subscription: u32, because: &str) {
        let Some(line) = self.lines.get(slot) else {
            return;
        };
        let rows = line.memory.replay(None, line.sequence);
        let mark = StreamMark {
            kind: MarkKind::Reset.into(),
            because: because.to_owned(),
            epoch: self.session.epoch().0,
            line: self.line_name(line.id),
            gaps: line.gaps,
            ..StreamMark::default()
        };
        let body = mark.encode_to_vec();
        let entry = Entry {
            subscription,
            start: 0,
            length: body.len() as u32,
            field: field::MARK,
            replayed: false,
            reset: true,
            sequence: line.sequence,
        };
        self.replay(stream, subscription, rows, vec![(entry, body)]);
    }

    fn replay(
        &mut self,
        stream: u32,
        subscription: u32,
        news: Vec<Remembered>,
        first: Vec<(Entry, Vec<u8>)>,
    ) {
        // A subscription can have a second line; the client knows one number.
        let subscription = shown(subscription);
        let Some(stream) = self.streams.id(stream) else {
            return;
        };
        let mut bytes = Vec::new();
        let mut entries = Vec::new();
        for (entry, body) in first {
            entries.push(Entry { subscription, start: bytes.len() as u32, ..entry });
            bytes.extend_from_slice(&body);
        }
        for one in news {
            entries.push(Entry {
                subscription,
                start: bytes.len() as u32,
                length: one.body.len() as u32,
                field: one.field,
                replayed: true,
                reset: false,
                sequence: one.sequence,
            });
            bytes.extend_from_slice(&one.body);
        }
        if !entries.is_empty() {
            let chunk = Chunk::new(bytes.into(), entries);
            self.outputs.push_back(Output::Deliver(stream, chunk));
        }
    }

    pub(super) fn mark(
        &mut self,
        slot: u32,
        stream: u32,
        subscription: u32,
        kind: MarkKind,
        because: String,
    ) {
        self.mark_of(self.session.epoch(), slot, stream, subscription, kind, because);
    }

    /// A mark about a worker that may not be the newest any more.
    pub(super) fn mark_of(
        &mut self,
        epoch: Epoch,
        slot: u32,
        stream: u32,
        subscription: u32,
        kind: MarkKind,
        because: String,
    ) {
        let mark =
            StreamMark { kind: kind.into(), because, epoch: epoch.0, ..StreamMark::default() };
        self.deliver_mark(slot, stream, subscription, mark);
    }

    /// `missed` is how many one who comes back is not told of the events since `resume`; none if that
    /// is not known.
    fn resumed_mark(
        &mut self,
        slot: u32,
        stream: u32,
        subscription: u32,
        resume: &Resume,
        missed: Option<u64>,
    ) {
        let seen = missed.map(|_| resume.sequence);
        let gap = self.lines.get(slot).and_then(|line| line.gap_at);
        let because = match missed {
            Some(missed) if gap.is_some_and(|at| seen.is_some_and(|seen| at >= seen)) => format!(
                "{missed} events between the two streams are not sent again; meanwhile data was lost \
                 on the way from Gateway, or there was no session, and what that had is not known"
            ),
            Some(0) => "nothing was missed".to_owned(),
            Some(missed) => format!("{missed} events between the two streams are not sent again"),
            None => self.why_not_resumed(slot, resume),
        };
        let mark = StreamMark {
            kind: MarkKind::Resumed.into(),
            because,
            epoch: self.session.epoch().0,
            missed,
            ..StreamMark::default()
        };
        self.deliver_mark(slot, stream, subscription, mark);
    }

    /// What one who comes back says is not of this line.
    fn why_not_resumed(&self, slot: u32, resume: &Resume) -> String {
        let is_named = |line: &Line| self.line_name(line.id) == resume.line;
        let newest = self.lines.get(slot).filter(|line| is_named(line)).map(|line| line.sequence);
        if let Some(newest) = newest {
            return format!(
                "sequence {} is beyond the newest event of this line, {newest}; what was missed is \
                 not known",
                resume.sequence
            );
        }
        if self.lines.iter().any(|(_, line)| is_named(line)) {
            return format!(
                "{} is another line than this one; what was missed is not known",
                resume.line
            );
        }
        "the line has ended meanwhile; what it had is not known".to_owned()
    }

    /// All lines are taken; this one waits.
    pub(super) fn queued_mark(
        &mut self,
        stream: u32,
        subscription: u32,
        place: u32,
        because: String,
    ) {
        let mark = StreamMark {
            kind: MarkKind::Queued.into(),
            because,
            epoch: self.session.epoch().0,
            place,
            ..StreamMark::default()
        };
        self.deliver_mark(u32::MAX, stream, subscription, mark);
    }

    /// The end of a subscription that had no line.
    pub(super) fn end_mark(&mut self, stream: u32, subscription: u32, because: &str) {
        let mark = StreamMark {
            kind: MarkKind::Ended.into(),
            because: because.to_owned(),
            epoch: self.session.epoch().0,
            ..StreamMark::default()
        };
        self.deliver_mark(u32::MAX, stream, subscription, mark);
    }

    /// The end of a subscription whose line goes on without it.
    pub(super) fn end_with(&mut self, slot: u32, stream: u32, subscription: u32, error: Error) {
        let mark = StreamMark {
            kind: MarkKind::Ended.into(),
            because: error.message.clone(),
            epoch: self.session.epoch().0,
            error: Some(error.clone()),
            ..StreamMark::default()
        };
        self.deliver_mark(slot, stream, subscription, mark);
        self.end_single(stream, error);
    }

    fn deliver_mark(&mut self, slot: u32, stream: u32, subscription: u32, mark: StreamMark) {
        let (line, gaps) = self
            .lines
            .get(slot)
            .map_or_else(Default::default, |line| (self.line_name(line.id), line.gaps));
        let body = Bytes::from(StreamMark { line, gaps, ..mark }.encode_to_vec());
        self.deliver_one(stream, subscription, field::MARK, body, slot);
    }

    /// Unique among the lines of all brokers.
    pub(super) fn line_name(&self, line: LineId) -> String {
        format!("{:016x}-{}", self.seed, line.0)
    }

    /// A subscription that never was.
    pub(super) fn refuse(&mut self, stream: u32, subscription: u32, error: Error) {
        self.deliver_error_mark(stream, shown(subscription), MarkKind::Ended, error);
    }

    /// A request with an id that cannot be meant; a live subscription of that id goes on. The mark
    /// has the id as the client wrote it, also one that is too large to be shown as another's.
    pub(super) fn refuse_id(&mut self, stream: u32, subscription: u32, what: String) {
        let error = error::subscription_id(what);
        self.deliver_error_mark(stream, subscription, MarkKind::Refused, error);
    }

    /// `subscription` is the client's number.
    fn deliver_error_mark(&mut self, stream: u32, subscription: u32, kind: MarkKind, error: Error) {
        let mark = StreamMark {
            kind: kind.into(),
            because: error.message.clone(),
            epoch: self.session.epoch().0,
            error: Some(error.clone()),
            ..StreamMark::default()
        };
        let body = Bytes::from(mark.encode_to_vec());
        self.deliver_shown(stream, subscription, field::MARK, body, 0);
        self.end_single(stream, error);
    }

    /// A stream for one subscription ends with it.
    fn end_single(&mut self, stream: u32, error: Error) {
        if let Some(stream) = self.streams.single(stream) {
            self.outputs.push_back(Output::EndStream(stream, error));
        }
    }

    pub(super) fn end_subscription(
        &mut self,
        line: &Line,
        subscriber: &Subscriber,
        error: v1::Error,
    ) {
        let mark = StreamMark {
            kind: MarkKind::Ended.into(),
            because: error.message.clone(),
            epoch: self.session.epoch().0,
            error: Some(error.clone()),
            line: self.line_name(line.id),
            gaps: line.gaps,
            ..StreamMark::default()
        };
        let (stream, subscription) = (subscriber.stream, subscriber.subscription);
        let body = Bytes::from(mark.encode_to_vec());
        self.deliver_numbered(stream, subscription, field::MARK, body, line.sequence);
        self.end_single(stream, error);
    }

    pub(super) fn deliver_one(
        &mut self,
        stream: u32,
        subscription: u32,
        field: u8,
        bytes: Bytes,
        line: u32,
    ) {
        let sequence = self.lines.get(line).map_or(0, |line| line.sequence);
        self.deliver_numbered(stream, subscription, field, bytes, sequence);
    }

    fn deliver_numbered(
        &mut self,
        stream: u32,
        subscription: u32,
        field: u8,
        bytes: Bytes,
        sequence: u64,
    ) {
        self.deliver_shown(stream, shown(subscription), field, bytes, sequence);
    }

    fn deliver_shown(
        &mut self,
        stream: u32,
        subscription: u32,
        field: u8,
        bytes: Bytes,
        sequence: u64,
    ) {
        let Some(stream) = self.streams.id(stream) else {
            return;
        };
        let entry = Entry {
            subscription,
            start: 0,
            length: bytes.len() as u32,
            field,
            replayed: false,
            reset: false,
            sequence,
        };
        let chunk = Chunk::new(bytes, vec![entry]);
        self.outputs.push_back(Output::Deliver(stream, chunk));
    }
}

/// What Gateway has said of a line beside its data. Whoever is limited to accounts was not told it as
/// it came either.
fn notes_for(line: &Line, stream: u32, subscription: u32, seen: Option<u64>) -> Vec<Remembered> {
    let mut subscribers = line.subscribers.iter();
    let one = subscribers.find(|one| one.stream == stream && one.subscription == subscription);
    match one.is_some_and(|one| one.filter.is_limited()) {
        true => Vec::new(),
        false => line.memory.notes(seen),
    }
}

/// What a line remembers, as far as it is for this subscription and it does not know it.
fn remembered_for(
    line: &Line,
    stream: u32,
    subscription: u32,
    seen: Option<u64>,
) -> Vec<Remembered> {
    let is_it = |one: &&Subscriber| one.stream == stream && one.subscription == subscription;
    let filter = line.subscribers.iter().find(is_it).map(|one| &one.filter);
    let passes = |one: &Remembered| filter.is_none_or(|filter| filter.passes(one.field, &one.body));
    line.memory.replay(seen, line.sequence).into_iter().filter(passes).collect()
}

/// A subscription that needs two lines has one number for its client.
pub(super) const fn shown(subscription: u32) -> u32 {
    subscription & (super::subscriptions::SECOND - 1)
}
