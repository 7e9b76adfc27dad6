//! What is told to one subscription: last values, marks, and why it ended.

use bytes::Bytes;
use ibouncer_proto::api::v1::{self, MarkKind, StreamMark};
use prost::Message as _;

use super::{Hub, Output};
use crate::error::{self, Error};
use crate::ids::Epoch;
use crate::lines::{Line, Subscriber};
use crate::queue::{Chunk, Entry, field};

impl Hub {
    /// Last values for one that came late, in order of arrival.
    pub(super) fn replay(&mut self, slot: u32, subscriber: Subscriber) {
        let Some(line) = self.lines.get(slot) else {
            return;
        };
        let Some(stream) = self.streams.id(subscriber.stream) else {
            return;
        };
        let mut bytes = Vec::new();
        let mut entries = Vec::new();
        for cached in line.last_values() {
            entries.push(Entry {
                subscription: subscriber.subscription,
                start: bytes.len() as u32,
                length: cached.body.len() as u32,
                field: cached.field,
                replayed: true,
                sequence: cached.sequence,
            });
            bytes.extend_from_slice(&cached.body);
        }
        if !entries.is_empty() {
            let chunk = Chunk { bytes: bytes.into(), entries };
            self.outputs.push_back(Output::Deliver(stream, chunk));
        }
    }

    pub(super) fn mark(
        &mut self,
        slot: u32,
        subscriber: Subscriber,
        kind: MarkKind,
        because: String,
    ) {
        self.mark_of(self.session.epoch(), slot, subscriber, kind, because);
    }

    /// A mark about a worker that may not be the newest any more.
    pub(super) fn mark_of(
        &mut self,
        epoch: Epoch,
        slot: u32,
        subscriber: Subscriber,
        kind: MarkKind,
        because: String,
    ) {
        let mark = StreamMark { kind: kind.into(), because, epoch: epoch.0, error: None };
        let body = Bytes::from(mark.encode_to_vec());
        self.deliver_one(subscriber, field::MARK, body, false, slot);
    }

    /// A subscription that never was.
    pub(super) fn refuse(&mut self, stream: u32, subscription: u32, error: Error) {
        self.deliver_error_mark(stream, subscription, MarkKind::Ended, error);
    }

    /// A request with an id that cannot be meant; a live subscription of that id goes on.
    pub(super) fn refuse_id(&mut self, stream: u32, subscription: u32, what: String) {
        let error = error::subscription_id(what);
        self.deliver_error_mark(stream, subscription, MarkKind::Refused, error);
    }

    pub(super) fn deliver_error_mark(
        &mut self,
        stream: u32,
        subscription: u32,
        kind: MarkKind,
        error: Error,
    ) {
        let mark = StreamMark {
            kind: kind.into(),
            because: error.message.clone(),
            epoch: self.session.epoch().0,
            error: Some(error),
        };
        let subscriber = Subscriber { stream, subscription, told_stale: false };
        let body = Bytes::from(mark.encode_to_vec());
        self.deliver_one(subscriber, field::MARK, body, false, u32::MAX);
    }

    pub(super) fn end_subscription(
        &mut self,
        line: &Line,
        subscriber: Subscriber,
        error: v1::Error,
    ) {
        let Some(stream) = self.streams.id(subscriber.stream) else {
            return;
        };
        let mark = StreamMark {
            kind: MarkKind::Ended.into(),
            because: error.message.clone(),
            epoch: self.session.epoch().0,
            error: Some(error),
        };
        let bytes = Bytes::from(mark.encode_to_vec());
        let entry = Entry {
            subscription: subscriber.subscription,
            start: 0,
            length: bytes.len() as u32,
            field: field::MARK,
            replayed: false,
            sequence: line.sequence,
        };
        let chunk = Chunk { bytes, entries: vec![entry] };
        self.outputs.push_back(Output::Deliver(stream, chunk));
    }

    pub(super) fn deliver_one(
        &mut self,
        subscriber: Subscriber,
        field: u8,
        bytes: Bytes,
        replayed: bool,
        line: u32,
    ) {
        let Some(stream) = self.streams.id(subscriber.stream) else {
            return;
        };
        let entry = Entry {
            subscription: subscriber.subscription,
            start: 0,
            length: bytes.len() as u32,
            field,
            replayed,
            sequence: self.lines.get(line).map_or(0, |line| line.sequence),
        };
        let chunk = Chunk { bytes, entries: vec![entry] };
        self.outputs.push_back(Output::Deliver(stream, chunk));
    }
}
