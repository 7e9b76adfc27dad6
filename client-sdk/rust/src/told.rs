//! What a program was told of one subscription, so that it is told the right things when
//! another broker takes over: STALE once, RESUMED with the first data, nothing twice.
//!
//! Pure. Used by streams of many subscriptions and of one alike.

use crate::api::{MarkKind, Resume, StreamMark};

/// An event of any stream of subscriptions.
pub trait Event: Sized + Send + 'static {
    /// The mark, if the event is one.
    fn mark(&self) -> Option<&StreamMark>;
    /// Number of the event in its line.
    fn sequence(&self) -> u64;
    /// True for a value from before this subscription.
    fn is_replayed(&self) -> bool;
    /// A mark as an event.
    fn of_mark(subscription_id: u32, sequence: u64, mark: StreamMark) -> Self;
}

macro_rules! event {
    ($event:ident, $body:ident) => {
        impl Event for crate::api::$event {
            fn mark(&self) -> Option<&StreamMark> {
                match &self.body {
                    Some(crate::api::$body::Body::Mark(mark)) => Some(mark),
                    _ => None,
                }
            }

            fn sequence(&self) -> u64 {
                self.sequence
            }

            fn is_replayed(&self) -> bool {
                self.replayed
            }

            fn of_mark(subscription_id: u32, sequence: u64, mark: StreamMark) -> Self {
                let body = Some(crate::api::$body::Body::Mark(mark));
                Self { subscription_id, sequence, body, ..Self::default() }
            }
        }
    };
}

event!(MarketDataEvent, market_data_event);
event!(AccountEvent, account_event);
event!(HistoryEvent, history_event);
event!(NewsEvent, news_event);
event!(ScannerEvent, scanner_event);

/// The account of one subscription. `E` is what its stream hands out.
#[derive(Debug, Clone)]
pub(crate) struct Told<E> {
    id: u32,
    stale: bool,
    /// Asked of a new broker, and no data came yet.
    waits: bool,
    /// It was asked to go on where the stream broke, and has not answered.
    resume_asked: bool,
    /// The newest number that was seen.
    sequence: u64,
    /// Name of the shared line, of the newest mark that had one.
    line: String,
    /// The line before, until it is clear whether the new broker's is the same.
    line_before: String,
    /// Last values from a new broker, until it is clear that no STALE follows them.
    held: Vec<E>,
}

impl<E: Event> Told<E> {
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            stale: false,
            waits: false,
            resume_asked: false,
            sequence: 0,
            line: String::new(),
            line_before: String::new(),
            held: Vec::new(),
        }
    }

    /// True while a new broker's data is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Where the subscription broke, to be asked for; `None` as long as its line has no name.
    pub(crate) fn resume_point(&mut self) -> Option<Resume> {
        self.resume_asked = !self.line.is_empty();
        self.resume_asked.then(|| Resume { line: self.line.clone(), sequence: self.sequence })
    }

    /// A number of an event that is handed on unseen. Last values have older numbers.
    pub(crate) fn saw(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    /// The stream broke: STALE, unless that was told.
    pub(crate) fn lose(&mut self, because: &str) -> Option<E> {
        if self.waits {
            // The number is still that of the line before.
            self.line.clone_from(&self.line_before);
        }
        self.waits = false;
        self.resume_asked = false;
        self.held.clear();
        if std::mem::replace(&mut self.stale, true) {
            return None;
        }
        Some(self.mark(MarkKind::Stale, because.to_owned()))
    }

    /// Another broker is being asked.
    pub(crate) fn ask(&mut self) {
        self.waits = true;
        self.line_before.clone_from(&self.line);
    }

    /// Takes an event of a broker that is not waited for: it is handed on as it is.
    pub(crate) fn note(&mut self, event: &E) {
        let Some(mark) = event.mark() else {
            return self.saw(event.sequence());
        };
        self.sequence = event.sequence();
        self.name(mark);
        match mark.kind() {
            MarkKind::Stale => self.stale = true,
            MarkKind::Resumed => self.stale = false,
            _ => {}
        }
    }

    /// Takes an event of whichever broker; what the program is to see of it goes to `out`.
    pub(crate) fn sift(&mut self, event: E, out: &mut Vec<E>) {
        if !self.waits {
            self.note(&event);
            return out.push(event);
        }
        match event.mark().map(StreamMark::kind) {
            Some(MarkKind::Subscribed) => {
                if let Some(mark) = event.mark() {
                    self.name(mark);
                }
            }
            Some(MarkKind::Stale) => {
                self.resume_asked = false;
                self.held.clear();
            }
            Some(MarkKind::Resumed) => {
                // That the line before is unknown says nothing about data of the new one.
                let is_answer = std::mem::take(&mut self.resume_asked);
                if let Some(mark) = event.mark()
                    && is_answer
                    && mark.missed.is_none()
                    && mark.line != self.line_before
                {
                    return self.name(mark);
                }
                self.note(&event);
                self.waits = false;
                out.push(event);
                out.append(&mut self.held);
            }
            Some(MarkKind::Reset) => self.held.push(event),
            // Its number is of the new line, and the one before is still to be told.
            Some(_) => {
                if let Some(mark) = event.mark() {
                    self.name(mark);
                }
                out.push(event);
            }
            None if event.is_replayed() => self.held.push(event),
            None => {
                self.resume(out);
                self.note(&event);
                out.push(event);
            }
        }
    }

    /// A batch is through. What is held then belongs to a line that is live with the new
    /// broker, which only has nothing newer yet.
    pub(crate) fn settle(&mut self, out: &mut Vec<E>) {
        if self.waits && !self.held.is_empty() {
            self.resume(out);
        }
    }

    fn resume(&mut self, out: &mut Vec<E>) {
        self.waits = false;
        self.stale = false;
        let because = if self.line == self.line_before && !self.line.is_empty() {
            "data flows again".to_owned()
        } else {
            format!(
                "data flows again, from another broker; its numbers start anew, the last of the \
                 one before was at least {}",
                std::mem::take(&mut self.sequence)
            )
        };
        out.push(self.mark(MarkKind::Resumed, because));
        let newest = self.held.iter().map(Event::sequence).max();
        self.sequence = self.sequence.max(newest.unwrap_or_default());
        out.append(&mut self.held);
    }

    fn name(&mut self, mark: &StreamMark) {
        if !mark.line.is_empty() {
            self.line.clone_from(&mark.line);
        }
    }

    fn mark(&self, kind: MarkKind, because: String) -> E {
        let line = self.line.clone();
        let mark = StreamMark { kind: kind.into(), because, line, ..StreamMark::default() };
        E::of_mark(self.id, self.sequence, mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AccountEvent;
    use crate::api::account_event::Body;
    use crate::tws;

    fn mark(kind: MarkKind) -> AccountEvent {
        AccountEvent::of_mark(0, 0, StreamMark { kind: kind.into(), ..Default::default() })
    }

    fn named(kind: MarkKind, line: &str) -> AccountEvent {
        let mark = StreamMark { kind: kind.into(), line: line.into(), ..Default::default() };
        AccountEvent::of_mark(0, 0, mark)
    }

    fn position(sequence: u64, replayed: bool) -> AccountEvent {
        let body = Some(Body::Position(tws::Position::default()));
        AccountEvent { sequence, replayed, body, ..Default::default() }
    }

    fn words(events: &[AccountEvent]) -> Vec<String> {
        let word = |event: &AccountEvent| match event.mark() {
            Some(mark) => mark.kind().as_str_name().trim_start_matches("MARK_KIND_").to_owned(),
            None => event.sequence.to_string(),
        };
        events.iter().map(word).collect()
    }

    fn sift(told: &mut Told<AccountEvent>, events: Vec<AccountEvent>) -> Vec<String> {
        let mut out = Vec::new();
        for event in events {
            told.sift(event, &mut out);
        }
        told.settle(&mut out);
        words(&out)
    }

    #[test]
    fn another_brokers_state_comes_behind_resumed() {
        let mut told = Told::new(0);
        sift(&mut told, vec![mark(MarkKind::Subscribed), position(1, false)]);
        assert_eq!(words(&[told.lose("killed").unwrap()]), ["STALE"]);
        told.ask();
        assert!(told.lose("again").is_none(), "it was told");
        told.ask();
        let first = vec![mark(MarkKind::Subscribed), mark(MarkKind::Stale)];
        assert_eq!(sift(&mut told, first), [""; 0], "that is known");
        let state = vec![mark(MarkKind::Reset), position(5, true), position(6, true)];
        assert_eq!(sift(&mut told, state), ["RESUMED", "RESET", "5", "6"]);
        assert_eq!(sift(&mut told, vec![position(7, false)]), ["7"]);
    }

    #[test]
    fn the_number_of_the_broker_before_outlives_marks_of_the_next_one() {
        let mut told = Told::new(0);
        sift(&mut told, vec![named(MarkKind::Subscribed, "b1-line-1"), position(41, false)]);
        told.lose("killed");
        told.ask();
        sift(&mut told, vec![named(MarkKind::Subscribed, "b2-line-1"), mark(MarkKind::Gap)]);
        told.lose("again");
        let point = told.resume_point().unwrap();
        assert_eq!((point.line.as_str(), point.sequence), ("b1-line-1", 41));
        told.ask();
        let mut out = Vec::new();
        told.sift(mark(MarkKind::Queued), &mut out);
        told.sift(named(MarkKind::Subscribed, "b2-line-1"), &mut out);
        told.sift(position(1, false), &mut out);
        assert_eq!(words(&out), ["QUEUED", "RESUMED", "1"]);
        assert!(out[1].mark().unwrap().because.ends_with("at least 41"), "{:?}", out[1]);
    }

    #[test]
    fn a_line_that_the_next_broker_does_not_know_is_resumed_once_data_flows() {
        for is_up in [true, false] {
            let mut told = Told::new(0);
            sift(&mut told, vec![named(MarkKind::Subscribed, "b1-line-1"), position(41, false)]);
            told.lose("killed");
            told.ask();
            told.resume_point().unwrap();
            let new = |kind| named(kind, "b2-line-1");
            let answer = vec![new(MarkKind::Subscribed), new(MarkKind::Resumed)];
            assert_eq!(sift(&mut told, answer), [""; 0]);
            if !is_up {
                assert_eq!(sift(&mut told, vec![new(MarkKind::Stale)]), [""; 0]);
                assert_eq!(sift(&mut told, vec![new(MarkKind::Resumed)]), ["RESUMED"]);
                continue;
            }
            assert_eq!(sift(&mut told, vec![position(1, false)]), ["RESUMED", "1"]);
        }
    }

    #[test]
    fn waiting_for_a_line_is_told_at_once() {
        let mut told = Told::new(0);
        told.lose("killed");
        told.ask();
        assert_eq!(sift(&mut told, vec![mark(MarkKind::Queued)]), ["QUEUED"]);
        assert!(told.waits());
        assert_eq!(sift(&mut told, vec![position(1, false)]), ["RESUMED", "1"]);
    }
}
