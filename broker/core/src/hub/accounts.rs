//! Account updates, of which Gateway sends those of one account at a time, without an id.
//!
//! Owns who has that one place: an account that the login does not have never gets it, what
//! Gateway refuses leaves it, and when it is free, those who were served from other requests
//! meanwhile are the next. Read on in `hub/subscriptions.rs` (how a second account is served) and
//! `lines/wanted/accounts.rs` (the requests).

use std::time::Instant;

use ibouncer_proto::api::v1::MarkKind;
use ibouncer_proto::tws::v1::ErrorMessage;

use super::Hub;
use super::subscriptions::{Manner, SECOND};
use crate::accounts::mask_account;
use crate::error::{self, Error};
use crate::lines::wanted::Wanted;
use crate::lines::{Line, Subscriber, Upstream, kind};

/// Another API client took the one subscription to account updates, or has it already. Source:
/// protocol fact sheet, section 8.
const TAKEN_OVER: i32 = 2100;
const TAKEN: i32 = 2101;

/// Somebody who wants account updates, and is served from other requests.
struct Instead {
    stream: u32,
    subscription: u32,
    resumable: bool,
    wanted: Wanted,
}

impl Hub {
    /// A wish for the updates of another account than the one that Gateway sends now: that one, for
    /// people, and what the wish is served from.
    pub(super) fn second_account(&self, wanted: &Wanted) -> Option<(String, [Wanted; 2])> {
        if *wanted.kind != kind::ACCOUNT_UPDATES || self.lines.find(wanted).is_some() {
            return None;
        }
        let (_, line) = self.lines.only(&kind::ACCOUNT_UPDATES)?;
        let now_of = match line.wanted.unnamed {
            true => line.label().to_owned(),
            false => mask_account(line.label()),
        };
        Some((now_of, Wanted::instead_of_updates(wanted)))
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
    fn login_has(&self, account: &str) -> bool {
        let accounts = self.session.accounts();
        let is_listed = |account: &str| accounts.iter().any(|one| one == account);
        let is_advisor = |name: &str| name.starts_with('F') || name.starts_with("DF");
        accounts.is_empty()
            || is_listed(account)
            || account == "All"
            || account.strip_suffix('A').is_some_and(|name| is_listed(name) || is_advisor(name))
    }

    /// Another API client has the one subscription to account updates that Gateway gives.
    pub(super) fn on_account_updates_taken(&mut self, notice: &ErrorMessage, now: Instant) {
        if let Some((slot, _)) = self.lines.only(&kind::ACCOUNT_UPDATES) {
            self.end_line_by_error(slot, notice, now);
        }
    }

    /// The account updates that Gateway was asked for and has not answered.
    pub(super) fn unanswered_updates(&self) -> Option<(u32, &Line)> {
        let (slot, line) = self.lines.only(&kind::ACCOUNT_UPDATES)?;
        matches!(line.upstream, Upstream::Requested(_)).then_some((slot, line))
    }

    /// A line is over. If it had the one place, others are next; unless another program took it: they
    /// have what serves them, and it would refuse them, too.
    pub(super) fn on_line_over(&mut self, line: &Line, code: Option<i32>) {
        if *line.kind() == kind::ACCOUNT_UPDATES {
            self.updates_freed = !matches!(code, Some(TAKEN_OVER | TAKEN));
        }
    }

    /// Gateway's one place is free: of those who are served from other requests, whoever has waited
    /// longest gets the updates themselves, and with it all who want the same account.
    pub(super) fn hand_on_updates(&mut self, now: Instant) {
        if !std::mem::take(&mut self.updates_freed)
            || self.lines.only(&kind::ACCOUNT_UPDATES).is_some()
        {
            return;
        }
        for one in self.next_for_updates() {
            self.give_updates(one, now);
        }
    }

    fn next_for_updates(&self) -> Vec<Instead> {
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
        let Some(body) = found.first().map(|(_, first)| first.wanted.body.clone()) else {
            return Vec::new();
        };
        let found = found.into_iter().map(|(_, one)| one);
        found.filter(|one| one.wanted.body == body).collect()
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
        if let Some(open) = self.streams.get_mut(stream) {
            open.subscriptions.insert(subscription, slot);
        }
        let because = "Gateway sends the updates of this account itself from now on; the whole state \
                       follows by account_value and portfolio_value";
        self.mark(slot, stream, subscription, MarkKind::Reset, because.to_owned());
        let manner = Manner { resumable, ..Manner::default() };
        self.join_line(slot, (client, stream), subscription, wanted, manner);
    }
}
