//! What others ask of the driver, and the status that it publishes.

use std::sync::Arc;
use std::time::Instant;

use ibouncer_core::error::{self, Error};
use ibouncer_core::hub::Input;
use ibouncer_core::ids::StreamId;
use ibouncer_core::notes::{NoteKind, Severity};
use ibouncer_proto::api::v1;

use super::{Driver, PUBLISH_EVERY, Served, clock};
use crate::grpc::stream::StreamShared;
use crate::handle::{Command, Published};

impl Driver {
    pub(super) async fn on_command(&mut self, command: Command) {
        match command {
            Command::Input(input) => {
                if let Input::StreamClosed { stream } = &input {
                    self.forget(*stream);
                }
                if let Input::CallDropped { call } = &input {
                    self.calls.remove(call);
                }
                self.input(input).await;
            }
            Command::Call(call, input, answer) => {
                self.calls.insert(call, answer);
                self.input(input).await;
            }
            Command::OpenStream(client, stream, single, shared) => {
                let name = self.hub.client_name(client).to_owned();
                self.streams.insert(stream, Served { client: name, shared });
                self.input(Input::StreamOpened { client, stream, single }).await;
            }
            // Whoever asked and went away does not need the answer.
            Command::Status(answer) => drop(answer.send(Arc::new(self.status()))),
            Command::Accounts(answer) => drop(answer.send(self.accounts())),
            Command::Clients(answer) => drop(answer.send(self.clients())),
            Command::Lines(caller, answer) => {
                drop(answer.send(self.hub.list_lines_for(caller)));
            }
            Command::Queue(caller, client, answer) => {
                drop(answer.send(self.hub.queue(caller, &client, Instant::now())));
            }
            Command::Connections(answer) => self.watcher.look_for(answer),
            Command::Events(after, answer) => {
                let newest = self.files.events.newest();
                drop(answer.send((self.files.events.after(after), newest)));
            }
            Command::Reload(settings, windows) => {
                self.windows = windows;
                self.tell_window();
                self.input(Input::Settings(settings)).await;
                self.answers.set_limit(self.hub.unread_answers());
            }
            Command::HandOver(binary, answer) => {
                let epoch = self.worker.as_ref().map_or(0, |worker| worker.epoch().0);
                let text = format!("hands over to {}", binary.display());
                self.say(NoteKind::Broker, Severity::Info, text);
                self.successor = Some(binary);
                let _ = answer.send(epoch);
                let because = "the broker hands over to another build".to_owned();
                self.input(Input::LetGo { because }).await;
            }
        }
    }

    /// A change is published at once if the last one is old enough, else soon.
    pub(super) fn publish(&mut self) {
        let now = Instant::now();
        if self.stale_since.is_some() && now >= self.published_at + PUBLISH_EVERY {
            self.stale_since = None;
            self.published_at = now;
            let status = Arc::new(self.status());
            let transitions = Arc::new(self.transitions.clone());
            self.publisher.send_replace(Published { status, transitions });
        }
    }

    fn status(&self) -> v1::Status {
        let mut status = self.hub.status(&self.broker, &clock());
        let mut dropped = self.dropped.clone();
        for Served { client, shared } in self.streams.values() {
            *dropped.entry(client.clone()).or_default() += shared.totals().1;
        }
        // Names are the clients' own; a quoted label must hold them.
        let metric = |name: &str| format!("ibouncer_client_dropped_total{{client={name:?}}}");
        status.counters.extend(dropped.iter().map(|(name, count)| (metric(name), *count)));
        status
    }

    /// A stream has ended; what it left out goes on to count.
    pub(super) fn forget(&mut self, stream: StreamId) -> Option<Arc<StreamShared>> {
        let Served { client, shared } = self.streams.remove(&stream)?;
        let skipped = shared.totals().1;
        if skipped > 0 {
            *self.dropped.entry(client).or_default() += skipped;
        }
        Some(shared)
    }

    fn accounts(&self) -> Result<Vec<String>, Error> {
        match self.hub.accounts() {
            [] => {
                let status = self.status();
                let state = status.state().as_str_name().trim_start_matches("SESSION_STATE_");
                Err(error::not_ready(state, &status.reason))
            }
            accounts => Ok(accounts.to_vec()),
        }
    }

    fn clients(&self) -> Vec<v1::ClientInfo> {
        let mut clients = self.hub.list_clients(&clock());
        for (id, info) in &mut clients {
            info.unread_bytes += self.answers.unread(*id) as u64;
            for stream in self.hub.streams_of(*id) {
                if let Some(Served { shared, .. }) = self.streams.get(&stream) {
                    let (delivered, skipped) = shared.totals();
                    info.delivered += delivered;
                    info.skipped += skipped;
                    info.unread_bytes += shared.unread() as u64;
                }
            }
        }
        clients.into_iter().map(|(_, info)| info).collect()
    }
}
