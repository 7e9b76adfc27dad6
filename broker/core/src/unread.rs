//! Answers of calls that one client has not taken yet: how much there may be, what is handed out
//! next, and which were left for too long.
//!
//! An answer is shared with whoever else got it, and with what is kept for later; it is handed out
//! in pieces, as the client takes them. So an answer that is not taken holds one piece in the
//! transport, and the rest can be let go of here. A piece counts until it is on the client's
//! socket. The shell's half is `broker/src/grpc/answers.rs`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::error::{self, Error};
use crate::message::{HEADER, header};

/// Bytes of one piece: what HTTP/2 sends as one frame, if nothing else was agreed.
const PIECE: usize = 16 << 10;

/// Answers of one client.
#[derive(Debug, Default)]
pub struct Unread {
    answers: BTreeMap<u64, Answer>,
    /// Of all of them.
    bytes: usize,
    numbers: u64,
}

#[derive(Debug)]
struct Answer {
    body: Body,
    /// Bytes that have not left yet, with those that were handed out.
    bytes: usize,
    /// When something of it left.
    moved: Instant,
}

#[derive(Debug)]
enum Body {
    /// The rest of it, and whether its header was handed out.
    Rest { rest: Bytes, begun: bool },
    /// Everything was handed out, or nobody asks for the rest.
    Closed,
    /// It was left for so long.
    Evicted(Duration),
}

/// What comes next of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Some more of it. Told back once it left, with [`Unread::left`].
    Piece(Vec<u8>),
    /// That was all.
    Over,
    /// The rest was let go of.
    Evicted(Box<Error>),
}

impl Unread {
    /// May this client have one more? `limit` is in bytes.
    pub fn admit(&self, limit: usize) -> Result<(), Error> {
        if self.bytes >= limit {
            return Err(error::unread_answers(limit));
        }
        Ok(())
    }

    /// One more; answers with its number.
    pub fn hold(&mut self, answer: Bytes, now: Instant) -> u64 {
        self.numbers += 1;
        let bytes = HEADER + answer.len();
        let body = Body::Rest { rest: answer, begun: false };
        self.answers.insert(self.numbers, Answer { body, bytes, moved: now });
        self.bytes += bytes;
        self.numbers
    }

    /// What comes next of this one.
    pub fn next(&mut self, number: u64) -> Next {
        let Some(answer) = self.answers.get_mut(&number) else {
            return Next::Over;
        };
        match &mut answer.body {
            Body::Rest { rest, begun } => {
                if *begun && rest.is_empty() {
                    return Next::Over;
                }
                let taken = rest.split_to(rest.len().min(PIECE));
                let mut piece = Vec::with_capacity(HEADER + taken.len());
                if !*begun {
                    *begun = true;
                    let length = taken.len() + rest.len();
                    piece.extend_from_slice(&header(length));
                }
                piece.extend_from_slice(&taken);
                Next::Piece(piece)
            }
            Body::Closed => Next::Over,
            Body::Evicted(left) => Next::Evicted(Box::new(error::answer_not_taken(*left))),
        }
    }

    /// So many bytes of it are on their way to the client.
    pub fn left(&mut self, number: u64, bytes: usize, now: Instant) {
        if let Some(answer) = self.answers.get_mut(&number) {
            answer.moved = now;
            self.count_out(number, bytes);
        }
    }

    /// Nothing more is asked of it.
    pub fn close(&mut self, number: u64) {
        let Some(answer) = self.answers.get_mut(&number) else {
            return;
        };
        let rest = match std::mem::replace(&mut answer.body, Body::Closed) {
            Body::Rest { rest, begun } => rest.len() + if begun { 0 } else { HEADER },
            Body::Closed | Body::Evicted(_) => 0,
        };
        self.count_out(number, rest);
    }

    /// Lets go of those of which nothing was taken for longer than `patience`. Answers with how
    /// many, and for how long the oldest was left.
    pub fn evict(&mut self, now: Instant, patience: Duration) -> Option<(usize, Duration)> {
        let mut evicted = None;
        let mut closed = Vec::new();
        for (number, answer) in &mut self.answers {
            let left = now.saturating_duration_since(answer.moved);
            if answer.bytes == 0 || left <= patience {
                continue;
            }
            self.bytes -= std::mem::take(&mut answer.bytes);
            match answer.body {
                Body::Closed => closed.push(*number),
                Body::Rest { .. } | Body::Evicted(_) => answer.body = Body::Evicted(left),
            }
            let (count, longest) = evicted.unwrap_or((0, left));
            evicted = Some((count + 1, left.max(longest)));
        }
        for number in closed {
            self.answers.remove(&number);
        }
        evicted
    }

    /// Bytes that have not left yet.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn count_out(&mut self, number: u64, bytes: usize) {
        let Some(answer) = self.answers.get_mut(&number) else {
            return;
        };
        // What was evicted does not count any more, wherever its last piece is.
        let bytes = bytes.min(answer.bytes);
        answer.bytes -= bytes;
        self.bytes -= bytes;
        if answer.bytes == 0 && matches!(answer.body, Body::Closed) {
            self.answers.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn answer(bytes: usize) -> Bytes {
        (0..bytes).map(|at| at as u8).collect::<Vec<_>>().into()
    }

    /// Takes all that there is, each piece at once.
    fn take(unread: &mut Unread, number: u64, now: Instant) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Next::Piece(piece) = unread.next(number) {
            assert!(piece.len() <= HEADER + PIECE);
            unread.left(number, piece.len(), now);
            taken.extend(piece);
        }
        taken
    }

    #[test]
    fn an_answer_leaves_whole_behind_its_length_and_counts_until_it_has() {
        let now = Instant::now();
        for size in [0, 1, PIECE, PIECE + 1, 5 * PIECE] {
            let mut unread = Unread::default();
            let number = unread.hold(answer(size), now);
            assert_eq!(unread.bytes(), HEADER + size);
            let taken = take(&mut unread, number, now);
            assert_eq!(taken[0], 0, "not compressed");
            assert_eq!(taken[1..HEADER], (size as u32).to_be_bytes());
            assert_eq!(taken[HEADER..], answer(size));
            assert_eq!((unread.next(number), unread.bytes()), (Next::Over, 0));
            unread.close(number);
            assert!(unread.answers.is_empty(), "nothing is kept of it");
        }
    }

    #[test]
    fn what_was_handed_out_counts_until_it_left() {
        let now = Instant::now();
        let mut unread = Unread::default();
        let number = unread.hold(answer(100), now);
        assert!(matches!(unread.next(number), Next::Piece(_)));
        unread.close(number);
        assert_eq!(unread.bytes(), HEADER + 100, "the transport still has it");
        unread.left(number, HEADER + 100, now);
        assert_eq!((unread.bytes(), unread.answers.len()), (0, 0));
    }

    #[test]
    fn whoever_takes_nothing_gets_no_more_and_loses_what_was_left_for_too_long() {
        let begun = Instant::now();
        let mut unread = Unread::default();
        let old = unread.hold(answer(3 * PIECE), begun);
        assert!(matches!(unread.next(old), Next::Piece(_)), "the transport asks for the first");
        unread.admit(3 * PIECE + HEADER + 1).unwrap();
        let error = unread.admit(3 * PIECE + HEADER).unwrap_err();
        assert_eq!(error.code, "TOO_MANY");
        assert!(error.message.contains("limits.unread_answers"), "{}", error.message);
        let later = begun + Duration::from_secs(200);
        let young = unread.hold(answer(10), later);
        assert_eq!(unread.evict(begun + PATIENCE, PATIENCE), None);
        let late = begun + PATIENCE + Duration::from_secs(1);
        assert_eq!(unread.evict(late, PATIENCE), Some((1, Duration::from_secs(301))));
        assert_eq!(unread.evict(late, PATIENCE), None, "once");
        assert_eq!(unread.bytes(), HEADER + 10, "the other stays");
        // Its client reads at last, and is told why there is no more.
        unread.left(old, HEADER + PIECE, late);
        let Next::Evicted(error) = unread.next(old) else { panic!("it was evicted") };
        assert_eq!(error.code, "SLOW_CLIENT");
        unread.close(old);
        assert_eq!(take(&mut unread, young, late).len(), HEADER + 10);
    }

    #[test]
    fn whoever_takes_it_slowly_is_not_evicted() {
        let mut now = Instant::now();
        let mut unread = Unread::default();
        let number = unread.hold(answer(5 * PIECE), now);
        while let Next::Piece(piece) = unread.next(number) {
            now += Duration::from_secs(200);
            assert_eq!(unread.evict(now, PATIENCE), None);
            unread.left(number, piece.len(), now);
        }
        assert_eq!(unread.bytes(), 0);
        assert_eq!(unread.evict(now + 2 * PATIENCE, PATIENCE), None, "it has left");
    }

    #[test]
    fn who_goes_away_leaves_nothing() {
        let now = Instant::now();
        let mut unread = Unread::default();
        let (one, other) = (unread.hold(answer(PIECE), now), unread.hold(answer(9), now));
        unread.close(one);
        let late = now + 2 * PATIENCE;
        assert_eq!(unread.evict(late, PATIENCE).map(|(count, _)| count), Some(1));
        unread.close(other);
        assert_eq!((unread.bytes(), unread.answers.len()), (0, 0));
    }
}
