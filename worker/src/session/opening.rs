//! From Gateway's version to READY: the two messages that make it, and what prevents it.

use std::time::Instant;

use ibouncer_proto::link::v1::{EndReason, Stage, StageReached};
use ibouncer_proto::tws::envelope::Envelope;
use ibouncer_proto::tws::frame;
use ibouncer_proto::tws::handshake::{ServerHello, start_api};
use ibouncer_proto::tws::messages::id;
use ibouncer_proto::tws::v1::{ErrorMessage, ManagedAccounts, NextValidId};
use prost::Message as _;

use super::{Output, State, WorkerSession};

impl WorkerSession {
    pub(super) fn on_version(&mut self, hello: ServerHello, now: Instant) {
        let State::Opening { configure, handshake } =
            std::mem::replace(&mut self.state, State::Open { ready: false })
        else {
            return;
        };
        let version = hello.server_version;
        self.facts.server_version = version;
        self.facts.client_id = configure.client_id;
        self.facts.server_time.clone_from(&hello.time);
        let reached = StageReached {
            server_version: version,
            server_time: hello.time,
            ..StageReached::default()
        };
        self.reach(Stage::VersionReceived, reached, now);
        if version < configure.accept_min {
            let detail = format!(
                "the handshake itself worked, but Gateway speaks server version {version} and \
                 IBouncer needs {} to {}: update Gateway",
                configure.accept_min, configure.offer_max
            );
            return self.end(EndReason::Refused, detail, 0);
        }
        self.deframer = handshake.into_deframer();
        self.outputs.push_back(Output::Write(start_api(version, configure.client_id)));
        self.leaving = Some(Stage::ApiStarted);
    }

    /// Until READY: the two messages that make it, and the error that prevents it.
    pub(super) fn watch_for_ready(&mut self, frames: &[u8], now: Instant) {
        for frame_body in frame::bodies(frames) {
            let Ok(Envelope { message_id, body }) = Envelope::parse(frame_body) else {
                continue;
            };
            match message_id {
                id::MANAGED_ACCTS => self.on_accounts(body, now),
                id::NEXT_VALID_ID => self.on_next_id(body, now),
                id::ERR_MSG => self.on_error(body),
                _ => {}
            }
        }
    }

    fn on_accounts(&mut self, body: &[u8], now: Instant) {
        let Ok(message) = ManagedAccounts::decode(body) else {
            return;
        };
        let accounts = message.accounts_list().to_owned();
        // An empty list is what a Gateway sends that is not logged in yet.
        if accounts.split(',').all(|account| account.trim().is_empty()) {
            return;
        }
        self.facts.accounts.clone_from(&accounts);
        let reached = StageReached { accounts, ..StageReached::default() };
        self.reach(Stage::AccountsReceived, reached, now);
        self.accounts_seen = true;
        self.check_ready(now);
    }

    fn on_next_id(&mut self, body: &[u8], now: Instant) {
        let Ok(message) = NextValidId::decode(body) else {
            return;
        };
        self.facts.next_order_id = message.order_id();
        let reached = StageReached { next_order_id: message.order_id(), ..StageReached::default() };
        self.reach(Stage::NextIdReceived, reached, now);
        self.next_id_seen = true;
        self.check_ready(now);
    }

    fn check_ready(&mut self, now: Instant) {
        if self.accounts_seen
            && self.next_id_seen
            && matches!(self.state, State::Open { ready: false })
        {
            self.state = State::Open { ready: true };
            // Before it is said: a broker that hears READY may die the next moment.
            if self.may_outlive() {
                self.outputs.push_back(Output::Outlive);
            }
            self.reach(Stage::Ready, StageReached::default(), now);
        }
    }

    fn on_error(&mut self, body: &[u8]) {
        let Ok(error) = ErrorMessage::decode(body) else {
            return;
        };
        if error.error_code() == 326 {
            let detail = format!("Gateway error 326: {}", error.error_msg());
            self.end(EndReason::Refused, detail, 326);
        }
    }
}
