//! What the hub decides, carried out in its order.

use std::time::{Duration, Instant};

use ibouncer_core::error;
use ibouncer_core::hub::{Input, Output};
use ibouncer_core::ids::Epoch;
use ibouncer_core::ledger::Ledger;
use ibouncer_core::status::transition_view;

use super::{Driver, Served, clock};
use crate::grpc::status::status;
use crate::handle::TRANSITIONS_KEPT;
use crate::link::Link;

/// What a worker that is let go should still get is written in this time; what it has not taken
/// was never sent, and the next broker knows.
const LAST_FRAMES: Duration = Duration::from_secs(1);

impl Driver {
    pub(super) async fn carry_out(&mut self) {
        loop {
            self.carry_out_all().await;
            self.flush_link().await;
            if !self.desk.has_audits() {
                return;
            }
            // What they are about has left: a file takes longer than a socket. Answers leave when
            // this returns, so who has one finds its entry.
            let failed = self.desk.write_audits();
            self.tell_hub(failed);
        }
    }

    async fn carry_out_all(&mut self) {
        let (begun, patience) = (Instant::now(), self.hub.patience());
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Remember(ledger) => self.remember(&ledger),
                Output::Claim => {
                    let claim = self.files.turn.claim();
                    self.tell_hub(Some(Input::Claimed(claim)));
                }
                Output::Yield => self.files.turn.let_others(),
                Output::Look => self.look = Some(self.watcher.look_now()),
                Output::Spawn(epoch) => self.birth = Some((epoch, self.nursery.spawn(epoch))),
                Output::Kill(epoch) => self.kill(epoch),
                Output::Tell(epoch, message) => {
                    if let Some(link) = self.link_of(epoch) {
                        link.tell(&message);
                    }
                }
                Output::Send { epoch, number, frames } => {
                    if let Some(link) = self.link_of(epoch) {
                        link.send(number, &frames);
                    }
                }
                Output::NoteOpen(request, cancel) => self.files.requests.opened(request, cancel),
                Output::NoteClosed(request, by) => self.files.requests.closed(request, by),
                Output::NoteAnswer(group, asked) => self.files.requests.answer(group, asked),
                Output::NoteNone => self.files.requests.clear(),
                Output::Journal(number, rows) => {
                    let refused = self.desk.write(number, rows);
                    self.tell_hub(refused);
                }
                Output::Audit(audit) => self.desk.audit(&audit),
                Output::OrderEvent(event) => self.desk.show(*event),
                Output::Note(note) => self.files.events.add(note),
                Output::Deliver(stream, chunk) => {
                    if let Some(Served { shared, .. }) = self.streams.get(&stream)
                        && let Some(why) = shared.push(chunk, begun, patience)
                    {
                        self.hub.handle_input(Input::StreamHopeless { stream, why }, begun);
                    }
                }
                Output::EvictStream(stream, error) => {
                    if let Some(shared) = self.forget(stream) {
                        tracing::warn!(%stream, code = error.code, "{}", error.message);
                        shared.evict(status(&error));
                    }
                }
                Output::EndStream(stream, error) => {
                    if let Some(Served { shared, .. }) = self.streams.get(&stream) {
                        shared.end(status(&error));
                    }
                }
                Output::Reply(call, result) => {
                    if let Some(answer) = self.calls.remove(&call) {
                        // Whoever asked and went away does not need the answer.
                        let _ = answer.send(result);
                    }
                }
                Output::Transitioned(transition) => {
                    self.transition_count += 1;
                    if self.transitions.len() == TRANSITIONS_KEPT {
                        self.transitions.pop_front();
                    }
                    let view = transition_view(&transition, &clock());
                    self.transitions.push_back((self.transition_count, view));
                }
                Output::StatusChanged => {
                    self.stale_since.get_or_insert_with(Instant::now);
                }
                Output::LetGo(epoch) => self.let_go(epoch).await,
                Output::Stopped => {
                    self.stopped = true;
                    for Served { shared, .. } in self.streams.values() {
                        shared.end(status(&error::stopping()));
                    }
                }
            }
        }
    }

    /// While its outputs are carried out.
    fn tell_hub(&mut self, input: Option<Input>) {
        if let Some(input) = input {
            self.hub.handle_input(input, Instant::now());
        }
    }

    fn remember(&mut self, ledger: &Ledger) {
        let record = self.files.turn.enter(&ledger.record);
        for written in [record, self.files.ledger.write(ledger)] {
            if let Err(error) = written {
                tracing::error!(
                    error = %crate::chain(&error),
                    "attempts cannot be remembered over a restart of the broker"
                );
            }
        }
    }

    fn kill(&mut self, epoch: Epoch) {
        let Some(worker) = self.worker.as_mut().filter(|worker| worker.epoch() == epoch) else {
            return;
        };
        if let Err(error) = worker.kill() {
            tracing::error!(%epoch, %error, "the worker could not be killed");
        }
    }

    fn link_of(&mut self, epoch: Epoch) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| link.epoch() == Some(epoch))
    }

    /// The worker keeps its session; only the link goes.
    async fn let_go(&mut self, epoch: Epoch) {
        if let Some(link) = self.link_of(epoch) {
            let written = async {
                while !link.is_flushed() {
                    link.flush().await;
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            if tokio::time::timeout(LAST_FRAMES, written).await.is_err() {
                tracing::warn!(%epoch, "the worker did not take everything in time");
            }
        }
        self.link = None;
        self.worker = None;
        tracing::info!(%epoch, "the worker is left to the next broker, with its session");
    }
}
