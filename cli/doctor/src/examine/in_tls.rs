//! The one case of a second connection: a handshake was closed without a byte, and what closed it
//! may be a server of TLS.
//!
//! It is no handshake of the API, and never made where it could cost a Gateway something: not
//! where eyes see Gateway itself, not after silence, not in a row, not against an obstacle that a
//! person overrode once. It is entered into the record before it is made, as every connection is,
//! so silence that meets it counts.

use ibouncer_broker::turn::Turn;
use ibouncer_core::record::Record;

use super::{Examination, no_lock, probe_period, unix_millis};
use crate::gate::Refusal;
use crate::plan::Plan;
use crate::timeline::{End, Stage, Timeline, TlsAnswer};
use crate::tls;

impl Examination<'_> {
    /// Asks, if that may be done and can say something.
    pub(super) fn ask_in_tls(
        &mut self,
        plan: &Plan,
        record: &mut Record,
        hold: &Option<String>,
        turn: &mut Turn,
    ) -> Result<(), Refusal> {
        let Some(timeline) = self.facts.timelines.last() else {
            return Ok(());
        };
        // What closed before it had heard us was not waiting for another language.
        let heard_us = timeline.was_closed_at_once() && timeline.has(Stage::HelloSent);
        if plan.is_row() || !heard_us || self.order.override_reason.is_some() {
            return Ok(());
        }
        let attempt = timeline.attempt.clone();
        self.facts.sight = self.eyes.look();
        if self.facts.sight.counts() || self.allowed().is_err() {
            return Ok(());
        }
        let began = unix_millis();
        let period = probe_period(&self.facts.sight);
        record.begin(&format!("{}, in TLS", self.name()), began, period);
        turn.enter(record).map_err(|error| no_lock(&error))?;
        let answer = tls::ask(attempt.gateway, attempt.limits.tcp);
        let mut asked = Timeline::new(attempt, began);
        asked.end = match &answer {
            TlsAnswer::Record(bytes) | TlsAnswer::Other(bytes) => {
                asked.first_bytes.clone_from(bytes);
                End::NotProtocol("an answer to a question in TLS".into())
            }
            TlsAnswer::Closed => End::Closed { reset: false },
            TlsAnswer::Silence => End::Silence,
            TlsAnswer::NoTcp => End::TcpFailed("it was open a moment ago".into()),
        };
        self.enter(record, &asked);
        if let Some(timeline) = self.facts.timelines.last_mut() {
            timeline.tls = Some(answer);
        }
        self.facts.ledger = Ok(self.ledger_facts(record, hold));
        turn.enter(record).map_err(|error| no_lock(&error))
    }
}
