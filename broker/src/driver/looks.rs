//! What is seen of Gateway's port, and what comes with time alone.

use std::time::{Duration, Instant, SystemTime};

use ibouncer_core::hub::Input;
use ibouncer_core::notes::{NoteKind, Severity};

use super::{Driver, Served, clock};
use crate::watch::{CALM_PERIOD, Observed, PERIOD};

/// Who tests the port by connecting is named again after this time.
const PORT_CHECK_AGAIN: Duration = Duration::from_secs(3600);

impl Driver {
    /// The tables show something new.
    pub(super) async fn on_seen(&mut self, observed: &Observed) {
        for change in &observed.changes {
            self.say(NoteKind::Gateway, Severity::Info, change.clone());
        }
        self.note_port_checks(observed);
        self.on_observed(observed).await;
    }

    pub(super) async fn on_observed(&mut self, observed: &Observed) {
        let sight = Box::new(observed.sight.clone());
        self.input(Input::Sight { sight, clock: clock() }).await;
    }

    /// Whoever tests the port by connecting is named, once an hour.
    fn note_port_checks(&mut self, observed: &Observed) {
        for short in &observed.short {
            let Some(advice) = &short.advice else {
                continue;
            };
            let now = observed.at;
            let told = self.port_checks.get(&short.owner).copied();
            if told.is_none_or(|told| now.duration_since(told) >= PORT_CHECK_AGAIN) {
                self.port_checks.insert(short.owner.clone(), now);
                self.say(NoteKind::PortCheck, Severity::Warning, advice.clone());
            }
        }
        self.port_checks.retain(|_, told| observed.at.duration_since(*told) < PORT_CHECK_AGAIN);
    }

    pub(super) async fn on_tick(&mut self) {
        self.ticked = Instant::now();
        let calm = self.hub.is_up();
        if std::mem::replace(&mut self.calm, calm) != calm {
            self.watcher.pace(if calm { CALM_PERIOD } else { PERIOD });
        }
        self.tick_window();
        if !calm && let Some(record) = self.files.turn.news() {
            self.input(Input::Record(Box::new(record))).await;
        }
        if let Some(input) = self.desk.write_audits() {
            self.input(input).await;
        }
        self.look_for_the_unread().await;
        self.look_for_orphan().await;
    }

    /// A stream or an answer that nobody reads is let go of, also if nothing more comes for it.
    async fn look_for_the_unread(&mut self) {
        let (now, patience) = (Instant::now(), self.hub.patience());
        let hopeless: Vec<_> = self
            .streams
            .iter()
            .filter_map(|(id, Served { shared, .. })| Some((*id, shared.hopeless(now, patience)?)))
            .collect();
        for (stream, why) in hopeless {
            self.input(Input::StreamHopeless { stream, why }).await;
        }
        for (client, count, left) in self.answers.evict(now, patience) {
            self.input(Input::AnswersEvicted { client, count, left }).await;
        }
    }

    /// The window is told when it opens and when it closes.
    pub(super) fn tick_window(&mut self) {
        if self.windows.left(SystemTime::now()).is_some() != self.window_open {
            self.tell_window();
        }
    }

    /// Where it is now: until when, if it is open.
    pub(super) fn tell_window(&mut self) {
        let left = self.windows.left(SystemTime::now());
        self.window_open = left.is_some();
        let until = left.map(|left| Instant::now() + left);
        self.hub.handle_input(Input::RestartWindow { until }, Instant::now());
    }
}
