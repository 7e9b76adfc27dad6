//! Account updates, of which Gateway sends those of one account at a time, without an id.
//!
//! Owns who has that one place: an account that the login does not have never gets it, what
//! Gateway refuses leaves it, what another program takes is served from other requests, and when it
//! is free, those who were served so meanwhile are the next. Read on in `hub/subscriptions.rs` (how a
//! second account is served) and `lines/wanted/accounts.rs` (the requests).

use std::time::{Duration, Instant};

use ibouncer_proto::api::v1::MarkKind;
use ibouncer_proto::tws::v1::ErrorMessage;

use super::subscriptions::{Manner, SECOND};
use super::{Hub, Output};
use crate::accounts::mask_account;
use crate::error::{self, Error};
use crate::ids::ClientId;
use crate::lines::wanted::Wanted;
use crate::lines::{Line, Subscriber, kind};
use crate::pacing::gates::Group;

/// Another program has the updates, and is not fought for them: so long a wish that comes is served
/// without them, and those that are served so stay it for the whole session.
const LEFT_TO_ANOTHER: Duration = Duration::from_secs(60);

/// How an account is told of without its updates.
const INSTEAD: &str =
    "told by account_update_multi and position_multi, without market prices and profits";

/// Somebody who wants account updates, and is served from other requests.
struct Instead {
    stream: u32,
    subscription: u32,
    resumable: bool,
    wanted: Wanted,
}

impl Hub {
    /// A wish for account updates while Gateway's one place has another account, or another program:
    /// why, for this client, and what the wish is served from.
    pub(super) fn second_account(
        &self,
        client: ClientId,
        wanted: &Wanted,
        now: Instant,
    ) -> Option<(String, [Wanted; 2])> {
        if *wanted.kind != kind::ACCOUNT_UPDATES || self.lines.find(wanted).is_some() {
            return None;
        }
        let is_taken = || self.session.is_up() && self.updates_taken.is_some_and(|one| now < one);
        let whose = match self.lines.only(&kind::ACCOUNT_UPDATES) {
            Some((_, line)) => format!("of {}", self.shown_account(client, line)),
            None if is_taken() => "to another API program".to_owned(),
            None => return None,
        };
        let because = format!(
            "Gateway sends account updates of one account at a time, now {whose}; this one is {INSTEAD}"
        );
        Some((because, Wanted::instead_of_updates(wanted)))
    }

    /// The account of a line, as this client may see it.
    fn shown_account(&self, client: ClientId, line: &Line) -> String {
        match self.scope_of(client) {
            _ if line.wanted.unnamed => line.label().to_owned(),
            Some(scope) if !scope.has(line.label()) => "another account".to_owned(),
            _ => mask_account(line.label()),
        }
    }

    /// Gateway says nothing at all to a request for the updates of an account that it does not
    /// have, and would send no other's meanwhile.
    pub(super) fn check_account(&self, wanted: &Wanted) -> Result<(), Error> {
        if *wanted.kind != kind::ACCOUNT_UPDATES || wanted.unnamed || !self.session.is_up() {
            return Ok(());
        }
        match wanted.account() {
            Some(account) if !self.login_has(&account) => Err(error::no_such_account(&account)),
            _ => Ok(()),
        }
    }

    /// Who named no account meant the first of the login. Another login has another first one, and
    /// nobody is to take its figures for those of the one before. Who named one that the login does
    /// not have is told so.
    pub(super) fn end_those_of_another_login(&mut self, now: Instant) {
        let mut ended = Vec::new();
        for (slot, line) in self.lines.iter() {
            for one in &line.subscribers {
                if let Some(error) = self.not_of_this_login(line, one) {
                    ended.push((slot, one.stream, one.subscription, error));
                }
            }
        }
        for (slot, stream, subscription, error) in ended {
            // Of a subscription with two lines one end is told.
            if subscription < SECOND {
                self.end_with(slot, stream, subscription, error);
            }
            if let Some(stream) = self.streams.get_mut(stream) {
                stream.subscriptions.remove(&subscription);
            }
            self.leave_line(slot, stream, subscription, false, now);
        }
    }

    fn not_of_this_login(&self, line: &Line, one: &Subscriber) -> Option<Error> {
        if let Some(took) = &one.took {
            return (!self.login_has(took)).then(error::login_changed);
        }
        // Of what has an id Gateway says itself what is wrong.
        if *line.kind() != kind::ACCOUNT_UPDATES && !self.is_instead(one) {
            return None;
        }
        let account = line.wanted.account().filter(|account| !account.is_empty())?;
        (!self.login_has(&account)).then(|| error::no_such_account(&account))
    }

    /// Is it one of the two lines that stand for account updates?
    fn is_instead(&self, one: &Subscriber) -> bool {
        let pair = one.subscription | SECOND;
        one.subscription >= SECOND || self.streams.has(one.stream, pair)
    }

    /// An advisor may also ask for all of its accounts together, by a name that is none of the list.
    pub(super) fn login_has(&self, account: &str) -> bool {
        let accounts = self.session.accounts();
        let is_listed = |account: &str| accounts.iter().any(|one| one == account);
        let is_advisor = |name: &str| name.starts_with('F') || name.starts_with("DF");
        accounts.is_empty()
            || is_listed(account)
            || account == "All"
            || account.strip_suffix('A').is_some_and(|name| is_listed(name) || is_advisor(name))
    }

    /// Another API program has the one subscription to account updates that Gateway gives (2100, 2101).
    /// Who listened is served as a second account is.
    pub(super) fn on_account_updates_taken(&mut self, notice: &ErrorMessage, now: Instant) {
        let only = self.lines.only(&kind::ACCOUNT_UPDATES).map(|(slot, _)| slot);
        let Some(line) = only.and_then(|slot| self.lines.close(slot)) else {
            return;
        };
        if let Some(request) = line.upstream.request() {
            // A cancel would end what the other program has.
            self.cancel_request(request, None, line.opened_by);
            self.pacer.on_done(request);
        }
        self.updates_taken = Some(now + LEFT_TO_ANOTHER);
        let code = notice.error_code();
        let because = format!(
            "another API program has the account updates, which Gateway sends to one ({code}); from \
             now on this account is {INSTEAD}"
        );
        for one in &line.subscribers {
            self.serve_instead(&line, one, &because, now);
        }
        self.outputs.push_back(Output::StatusChanged);
    }

    fn serve_instead(&mut self, line: &Line, one: &Subscriber, because: &str, now: Instant) {
        let (slot, subscription) = (one.stream, one.subscription);
        let (Some(stream), Some(client)) = (self.streams.id(slot), self.streams.client(slot))
        else {
            return;
        };
        let updates = Wanted { took: one.took.clone(), ..line.wanted.clone() };
        let [values, positions] = Wanted::instead_of_updates(&updates);
        let manner = Manner { wait: one.waits, resumable: one.resumable, resume: None };
        if let Some(open) = self.streams.get_mut(slot) {
            open.subscriptions.remove(&subscription);
        }
        match self.line_for(client, &values, now) {
            Ok(line) => self.go_over(line, (slot, subscription), values, manner.clone(), because),
            Err(obstacle) => {
                let error = self.explain(&obstacle, false);
                return self.refuse(slot, subscription, error);
            }
        }
        self.attach_line(stream, subscription | SECOND, positions, manner, now);
    }

    /// A subscription goes on with another line: what it was told before is forgotten.
    fn go_over(
        &mut self,
        line: u32,
        (stream, subscription): (u32, u32),
        wanted: Wanted,
        manner: Manner,
        because: &str,
    ) {
        let Some(open) = self.streams.get_mut(stream) else {
            return;
        };
        open.subscriptions.insert(subscription, line);
        let client = open.client;
        self.mark(line, stream, subscription, MarkKind::Reset, because.to_owned());
        self.join_line(line, (client, stream), subscription, wanted, manner);
    }

    /// Another program may have gone with the session before.
    pub(super) fn ask_for_updates_again(&mut self) {
        self.updates_freed |= self.updates_taken.take().is_some();
    }

    /// A line is over. If it had the one place, others are next.
    pub(super) fn on_line_over(&mut self, line: &Line) {
        self.updates_freed |= *line.kind() == kind::ACCOUNT_UPDATES;
    }

    /// Gateway's one place is free: of those who are served from other requests, whoever has waited
    /// longest gets the updates themselves, and with it all who want the same account.
    pub(super) fn hand_on_updates(&mut self, now: Instant) {
        if self.lines.only(&kind::ACCOUNT_UPDATES).is_some() {
            self.updates_freed = false;
        }
        // As long as the rest of a load must be waited for, they are served better as they are.
        if !self.updates_freed || self.pacer.is_held(Group::AccountUpdates, now) {
            return;
        }
        self.updates_freed = false;
        for one in self.next_for_updates() {
            self.give_updates(one, now);
        }
    }

    /// When that place is free at the latest, if they wait for it.
    pub(super) fn updates_timeout(&self) -> Option<Instant> {
        self.pacer.held_until(Group::AccountUpdates).filter(|_| self.updates_freed)
    }

    /// The accounts have names now. Who is served from other requests, and means the account whose
    /// updates are asked for, shares these.
    pub(super) fn join_updates(&mut self, now: Instant) {
        let Some((_, line)) = self.lines.only(&kind::ACCOUNT_UPDATES) else {
            return;
        };
        let body = line.wanted.body.clone();
        for one in self.served_instead().into_iter().filter(|one| one.wanted.body == body) {
            self.give_updates(one, now);
        }
    }

    fn next_for_updates(&self) -> Vec<Instead> {
        let found = self.served_instead();
        let Some(body) = found.first().map(|first| first.wanted.body.clone()) else {
            return Vec::new();
        };
        found.into_iter().filter(|one| one.wanted.body == body).collect()
    }

    /// Those who want updates that the login has and are served from other requests, longest first.
    fn served_instead(&self) -> Vec<Instead> {
        let mut found = Vec::new();
        for (_, line) in self.lines.iter() {
            let values = *line.kind() == kind::ACCOUNT_UPDATES_MULTI;
            let firsts = line.subscribers.iter().filter(|one| one.subscription < SECOND);
            for one in firsts.filter(|one| values && self.is_instead(one)) {
                let Some(wanted) = line.wanted.updates_instead(one.took.clone()) else {
                    continue;
                };
                let account = wanted.account().unwrap_or_default();
                if wanted.unnamed || self.login_has(&account) {
                    let Subscriber { stream, subscription, resumable, .. } = *one;
                    found.push((line.id, Instead { stream, subscription, resumable, wanted }));
                }
            }
        }
        found.sort_by_key(|(line, _)| *line);
        found.into_iter().map(|(_, one)| one).collect()
    }

    fn give_updates(&mut self, one: Instead, now: Instant) {
        let Instead { stream, subscription, resumable, wanted } = one;
        let Some(client) = self.streams.client(stream) else {
            return;
        };
        let Ok(slot) = self.line_for(client, &wanted, now) else {
            return;
        };
        for number in [subscription, subscription | SECOND] {
            let open = self.streams.get_mut(stream);
            if let Some(line) = open.and_then(|open| open.subscriptions.remove(&number)) {
                self.leave_line(line, stream, number, false, now);
            }
        }
        let because = "Gateway sends the updates of this account itself from now on; the whole state \
                       follows by account_value and portfolio_value";
        let manner = Manner { resumable, ..Manner::default() };
        self.go_over(slot, (stream, subscription), wanted, manner, because);
    }
}
