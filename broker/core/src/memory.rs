//! What a line remembers, so that whoever comes late knows as much as whoever was there from the
//! start.
//!
//! Kinds: the last value of each tick type; a whole book; an image of things that each have an
//! identity (values, positions, bulletins) with the end mark of its first load; the end of a tape, for
//! those who were there before and come back. All with the warnings that explain them. Bodies are
//! kept as Gateway wrote them.

mod book;
pub mod identity;
mod image;

use std::collections::VecDeque;

use bytes::Bytes;
use ibouncer_proto::tws::v1::ErrorMessage;
use prost::Message as _;

use crate::fields::{Loss, field, loss_of, tick_type};
use book::Book;
pub use identity::{Identity, identity_of};
use image::Image;

/// Events of a tape that are kept for those who come back.
const TAPE: usize = 2_048;

/// A body that is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its field.
    pub field: u8,
    /// Its number on the line.
    pub sequence: u64,
    /// Gateway's bytes, or ours for a row of a book.
    pub body: Bytes,
}

/// What is remembered.
#[derive(Debug)]
pub struct Memory {
    what: What,
    /// What explains it, the newest of each: that it is delayed (10167), that another contract has to
    /// be asked for. Among last values it stands with them, in order of arrival.
    notes: Vec<LastValue>,
}

#[derive(Debug)]
enum What {
    Nothing,
    /// The newest events, told only to those who come back.
    Tape(VecDeque<Remembered>),
    /// The last value of each tick type, and the notes.
    LastValues(Vec<LastValue>),
    /// The whole book.
    Book(Book),
    /// Each thing once, and the end of the first load.
    Image(Image),
}

/// The last value of a tick type.
#[derive(Debug)]
struct LastValue {
    field: u8,
    kind: u32,
    sequence: u64,
    body: Vec<u8>,
}

impl Memory {
    const fn of(what: What) -> Self {
        Self { what, notes: Vec::new() }
    }

    /// An empty one of the kind "last values".
    pub const fn last_values() -> Self {
        Self::of(What::LastValues(Vec::new()))
    }

    /// Of nothing but what explains it.
    pub const fn nothing() -> Self {
        Self::of(What::Nothing)
    }

    /// An empty tape.
    pub const fn tape() -> Self {
        Self::of(What::Tape(VecDeque::new()))
    }

    /// An empty book.
    pub fn book() -> Self {
        Self::of(What::Book(Book::default()))
    }

    /// An empty image.
    pub fn image() -> Self {
        Self::of(What::Image(Image::default()))
    }

    /// Takes notice of a body.
    #[inline]
    pub fn remember(&mut self, field: u8, sequence: u64, body: &[u8]) {
        if let What::LastValues(values) = &mut self.what {
            return remember_last(values, field, sequence, body);
        }
        if is_note(field) {
            remember_last(&mut self.notes, field, sequence, body);
        }
        match &mut self.what {
            What::Nothing | What::LastValues(_) => {}
            What::Tape(tape) => {
                if tape.len() == TAPE {
                    tape.pop_front();
                }
                tape.push_back(Remembered { field, sequence, body: Bytes::copy_from_slice(body) });
            }
            What::Book(book) => book.apply(field, body),
            What::Image(image) => image.remember(field, sequence, body),
        }
    }

    /// What one who comes now is told, in order. `after`: the newest event that one who comes
    /// back has seen; what is older is known to it.
    pub fn replay(&self, after: Option<u64>, sequence: u64) -> Vec<Remembered> {
        match &self.what {
            What::Nothing => Vec::new(),
            What::Tape(tape) => {
                let seen = after.unwrap_or(u64::MAX);
                tape.iter().filter(|event| event.sequence > seen).cloned().collect()
            }
            What::LastValues(values) => last_values(values, after),
            What::Book(book) => book.rows(sequence),
            What::Image(image) => image.replay(),
        }
    }

    /// What Gateway said of it beside; told before the rest, if it is no part of that.
    pub fn notes(&self, after: Option<u64>) -> Vec<Remembered> {
        match (&self.what, after) {
            (What::LastValues(_), _) | (What::Tape(_), Some(_)) => Vec::new(),
            _ => last_values(&self.notes, after),
        }
    }

    /// What is kept, as the table of messages in docs/api.md says it; of nothing a dash.
    pub const fn words(&self) -> &'static str {
        match self.what {
            What::Nothing => "–",
            What::Tape(_) => "newest 2048, for Resume",
            What::LastValues(_) => "last values",
            What::Book(_) => "whole book",
            What::Image(_) => "whole state",
        }
    }

    /// Is it an image, with an end of its first load?
    pub const fn is_image(&self) -> bool {
        matches!(self.what, What::Image(_))
    }

    /// Is it a book, which cannot be told but from the start?
    pub const fn is_book(&self) -> bool {
        matches!(self.what, What::Book(_))
    }

    /// The line is asked for anew: what does not come again is gone. A book begins empty.
    pub fn on_asked(&mut self) {
        self.notes.clear();
        match &mut self.what {
            What::Nothing | What::Tape(_) => {}
            What::LastValues(values) => values.retain(|value| !is_note(value.field)),
            What::Book(book) => *book = Book::default(),
            What::Image(image) => image.on_asked(),
        }
    }

    /// Something came that could not be read. Whatever does not come again may be that.
    pub fn on_left_out(&mut self) {
        if let What::Image(image) = &mut self.what {
            image.on_left_out();
        }
    }

    /// Is it a state of which something is missing, until it is asked for anew?
    pub const fn has_gap(&self) -> bool {
        matches!(&self.what, What::Image(image) if !image.is_whole())
    }

    /// The load is complete: things that did not come again, which are forgotten. Of a position that
    /// was closed before there is nothing to tell, and of a load with a gap neither.
    pub fn vanished(&mut self) -> Vec<Remembered> {
        match &mut self.what {
            What::Image(image) => image.vanished(),
            _ => Vec::new(),
        }
    }

    /// Gateway reset the book.
    pub fn on_reset(&mut self) {
        if let What::Book(book) = &mut self.what {
            *book = Book::default();
        }
    }
}

/// In order of arrival.
fn last_values(values: &[LastValue], after: Option<u64>) -> Vec<Remembered> {
    let mut all: Vec<_> = values
        .iter()
        .filter(|value| after.is_none_or(|after| value.sequence > after))
        .map(|value| Remembered {
            field: value.field,
            sequence: value.sequence,
            body: Bytes::copy_from_slice(&value.body),
        })
        .collect();
    all.sort_by_key(|value| value.sequence);
    all
}

/// Is it no value, but something that must be known to understand them: that they are delayed
/// (10167), or that another contract has to be asked for (a CFD)?
const fn is_note(field: u8) -> bool {
    matches!(field, field::ERROR | field::REROUTE | field::REROUTE_MARKET_DEPTH)
}

fn remember_last(values: &mut Vec<LastValue>, field: u8, sequence: u64, body: &[u8]) {
    if loss_of(field) != Loss::OldTicks && field != field::TICK_STRING && !is_note(field) {
        return;
    }
    // Of errors the newest of each code.
    let kind = match field {
        field::ERROR => ErrorMessage::decode(body).unwrap_or_default().error_code() as u32,
        field if is_note(field) => 0,
        _ => tick_type(body),
    };
    let found = values.iter_mut().find(|value| value.kind == kind && value.field == field);
    match found {
        Some(value) => {
            value.sequence = sequence;
            value.body.clear();
            value.body.extend_from_slice(body);
        }
        None => values.push(LastValue { field, kind, sequence, body: body.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use ibouncer_proto::tws::v1::{self as tws, Contract, Position, TickPrice};

    use super::*;

    fn position(symbol: &str, size: &str) -> Vec<u8> {
        let contract = Contract { symbol: Some(symbol.into()), ..Contract::default() };
        Position {
            account: Some("DU0000001".into()),
            contract: Some(contract),
            position: Some(size.into()),
            avg_cost: Some(1.0),
        }
        .encode_to_vec()
    }

    #[test]
    fn last_values_are_told_in_order_of_arrival_and_only_those_that_are_new() {
        let mut memory = Memory::last_values();
        for (sequence, kind) in [(1, 1), (2, 2), (3, 1)] {
            let tick = TickPrice { req_id: Some(9), tick_type: Some(kind), ..Default::default() };
            memory.remember(field::TICK_PRICE, sequence, &tick.encode_to_vec());
        }
        let numbers = |after| -> Vec<_> {
            memory.replay(after, 3).into_iter().map(|value| value.sequence).collect()
        };
        assert_eq!(numbers(None), [2, 3]);
        assert_eq!(numbers(Some(2)), [3]);
    }

    #[test]
    fn warnings_are_told_late_by_their_newest_and_are_gone_once_the_line_is_asked_for_anew() {
        let warning = |code| {
            ErrorMessage { error_code: Some(code), ..ErrorMessage::default() }.encode_to_vec()
        };
        for (mut memory, reroute) in [
            (Memory::last_values(), field::REROUTE),
            (Memory::book(), field::REROUTE_MARKET_DEPTH),
            (Memory::nothing(), field::REROUTE),
            (Memory::image(), field::REROUTE),
            (Memory::tape(), field::REROUTE),
        ] {
            memory.remember(field::ERROR, 1, &warning(10_167));
            memory.remember(field::ERROR, 2, &warning(2_152));
            memory.remember(reroute, 3, &[]);
            memory.remember(field::ERROR, 4, &warning(10_167));
            memory.on_reset();
            let told = |memory: &Memory, after| {
                let mut all = memory.notes(after);
                all.extend(memory.replay(after, 4));
                all.into_iter().map(|one| (one.field, one.sequence)).collect::<Vec<_>>()
            };
            assert_eq!(told(&memory, None), [(field::ERROR, 2), (reroute, 3), (field::ERROR, 4)]);
            assert_eq!(told(&memory, Some(3)), [(field::ERROR, 4)]);
            memory.on_asked();
            assert!(told(&memory, None).is_empty());
        }
    }

    #[test]
    fn an_image_ends_with_its_end_and_forgets_what_does_not_come_again() {
        let mut memory = Memory::image();
        for (sequence, symbol) in ["AAPL", "MSFT"].iter().enumerate() {
            memory.remember(field::POSITION, sequence as u64, &position(symbol, "5"));
        }
        memory.remember(field::POSITION_END, 3, &[]);
        memory.remember(field::POSITION, 4, &position("AAPL", "7"));
        let fields: Vec<_> = memory.replay(None, 4).iter().map(|value| value.field).collect();
        assert_eq!(fields, [field::POSITION, field::POSITION, field::POSITION_END]);

        memory.on_asked();
        assert_eq!(memory.replay(None, 4).len(), 2, "no end before the new load is complete");
        memory.remember(field::POSITION, 5, &position("MSFT", "5"));
        let gone = memory.vanished();
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].body, position("AAPL", "7"));
        memory.remember(field::POSITION, 6, &position("MSFT", "0"));
        assert!(memory.replay(None, 6).is_empty(), "a position of 0 is none");
    }

    #[test]
    fn a_closed_position_of_account_updates_stays_with_its_profit_until_a_load_without_it() {
        let item = |size: &str, profit| {
            let value = tws::PortfolioValue {
                contract: Some(Contract { con_id: Some(7), ..Contract::default() }),
                position: Some(size.into()),
                realized_pnl: Some(profit),
                account_name: Some("DU0000001".into()),
                ..Default::default()
            };
            value.encode_to_vec()
        };
        let mut memory = Memory::image();
        memory.remember(field::PORTFOLIO_VALUE, 1, &item("5", 0.0));
        memory.remember(field::PORTFOLIO_VALUE, 2, &item("0", 12.5));
        let told = memory.replay(None, 2);
        assert_eq!(told.iter().map(|one| &one.body[..]).collect::<Vec<_>>(), [item("0", 12.5)]);
        memory.on_asked();
        assert!(memory.vanished().is_empty(), "that it is closed was told already");
        assert!(memory.replay(None, 2).is_empty());
    }
}
