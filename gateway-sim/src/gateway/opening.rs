//! The handshake of one connection, and what follows START_API unasked.
//!
//! Most faults are here. Nothing is sent between version reply and START_API: the official client
//! would throw it away. The states are those of `connection.rs`.

use std::time::Duration;

use ibouncer_proto::tws::handshake::{ClientHello, ServerEvent, StartApi, version_reply};

use super::connection::{Connection, Ending, State};
use super::{Holder, Shared, calendar};
use crate::events::{CloseHow, Stage};
use crate::fault::Fault;

/// What a Gateway of the fault `old-server-version` speaks.
const OLD_SERVER_VERSION: i32 = 187;

/// The beginning of an error frame of 60 bytes.
const HALF_A_FRAME: &[u8] = &[0, 0, 0, 60, 0, 0, 0, 204, 8, 1, 16, 0x80, 0xd0, 0x95];

impl Connection {
    pub(super) fn shake_hands(
        &mut self,
        mut bytes: &[u8],
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        loop {
            let (State::Opening(handshake) | State::VersionSent(handshake)) = &mut self.state
            else {
                return Ok(());
            };
            match handshake.receive(bytes)? {
                None => return Ok(()),
                Some(ServerEvent::Hello(hello)) => self.on_hello(&hello, shared, now)?,
                Some(ServerEvent::Started(start)) => {
                    self.on_start_api(&start, shared, now)?;
                    return self.take_requests(shared, now);
                }
            }
            bytes = &[];
        }
    }

    fn on_hello(
        &mut self,
        hello: &ClientHello,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        let (low, high) = (*hello.offer.start(), *hello.offer.end());
        let opening =
            Stage::Opening { offer_low: low, offer_high: high, options: hello.options.clone() };
        self.stage(opening, shared, now);
        if self.fault == Some(Fault::Garbage) {
            let random: [u8; 64] = std::array::from_fn(|_| shared.rng.u8(..));
            self.outbox.buffer().extend_from_slice(&random);
            self.fall_silent(shared, now);
            return Ok(());
        }
        let old = self.fault == Some(Fault::OldServerVersion);
        let ours = if old { OLD_SERVER_VERSION } else { shared.config.server_version };
        let version = ours.min(high);
        if version < low && !old {
            let reason = format!("{version} is below the client's range, {low} to {high}");
            return Err(Ending::new(CloseHow::Refused, reason));
        }
        self.server_version = version;
        let time = calendar::connection_time(shared.unix_millis(now));
        let reply = version_reply(version, &time);
        self.outbox.buffer().extend_from_slice(&reply);
        let server_version = version;
        self.stage(Stage::VersionSent { server_version }, shared, now);
        match self.fault {
            Some(Fault::CloseAfterVersion) => Err(Ending::fault(Fault::CloseAfterVersion)),
            Some(Fault::MuteAfterVersion) => {
                self.fall_silent(shared, now);
                Ok(())
            }
            _ => {
                self.await_start_api();
                Ok(())
            }
        }
    }

    fn await_start_api(&mut self) {
        if let State::Opening(handshake) = &mut self.state {
            let mut handshake = std::mem::take(handshake);
            handshake.chose(self.server_version);
            self.transition(State::VersionSent(handshake), "the version is agreed");
        }
    }

    fn on_start_api(
        &mut self,
        start: &StartApi,
        shared: &mut Shared,
        now: Duration,
    ) -> Result<(), Ending> {
        let client_id = start.client_id;
        self.stage(Stage::ApiStarted { client_id }, shared, now);
        let free = shared.client_id_is_free(client_id, now);
        if !free || self.fault == Some(Fault::ClientIdInUse) {
            let text = "Another connection uses this client id";
            self.replies(shared, now).error(-1, 326, text);
            let reason = format!("client id {client_id} is in use");
            return Err(Ending::new(CloseHow::Refused, reason));
        }
        shared.client_ids.insert(client_id, Holder::Connection);
        self.client_id = Some(client_id);
        shared.book.adopt(client_id);
        if let State::VersionSent(handshake) = &mut self.state {
            let started = State::Started(std::mem::take(handshake).into_deframer());
            self.transition(started, "the client started the API");
        }
        self.send_ids(shared, now)
    }

    /// What follows START_API, or what the fault makes of it.
    fn send_ids(&mut self, shared: &mut Shared, now: Duration) -> Result<(), Ending> {
        let accounts = shared.config.accounts.join(",");
        let next_order_id = shared.book.next_order_id(self.client_id.unwrap_or_default());
        let fault = self.fault;
        let mut replies = self.replies(shared, now);
        match fault {
            Some(Fault::OversizeLength) => {
                replies.out.extend_from_slice(&0x7fff_ffff_u32.to_be_bytes());
                replies.out.extend_from_slice(&[0; 12]);
                self.fall_silent(shared, now);
                return Ok(());
            }
            Some(Fault::NoAccounts) => {}
            Some(Fault::EmptyAccounts) => replies.accounts(""),
            Some(Fault::ExtraFramesBeforeIds) => {
                let account = shared.config.accounts.first();
                replies.extras(account.map_or("", String::as_str));
                replies.accounts(&accounts);
            }
            _ => replies.accounts(&accounts),
        }
        if fault != Some(Fault::NoNextId) {
            replies.next_valid_id(next_order_id);
        }
        self.outbox.end_handshake();
        let incomplete = [Fault::NoNextId, Fault::NoAccounts, Fault::EmptyAccounts];
        if !fault.is_some_and(|fault| incomplete.contains(&fault)) {
            self.stage(Stage::Ready, shared, now);
            shared.sums.became_ready += 1;
        }
        if fault == Some(Fault::CutMidFrame) {
            self.outbox.buffer().extend_from_slice(HALF_A_FRAME);
            let reason = Fault::CutMidFrame.name().to_owned();
            return Err(Ending::new(CloseHow::Cut, reason));
        }
        let farms = shared.farms;
        self.replies(shared, now).farm_notices(&farms);
        self.hear_late_answers(shared, now);
        if fault == Some(Fault::MuteAfterReady) {
            self.fall_silent(shared, now);
        }
        Ok(())
    }
}
