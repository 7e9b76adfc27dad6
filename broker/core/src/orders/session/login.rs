//! Whose the journal is: of which login, and whether it is that login's only one; and which orders in
//! it are of another one, so that nothing leaves for them here.

use crate::accounts::mask_accounts;
use crate::error::{self, Error};
use crate::orders::Desk;
use crate::orders::brakes::Doubt;
use crate::orders::journal::{Beside, OrderRecord};

impl Desk {
    /// The journal belongs to these accounts.
    pub(super) fn check_login(&mut self) {
        let mut accounts = self.accounts.clone();
        accounts.sort();
        if self.facts.accounts == accounts {
            return;
        }
        if self.facts.accounts.is_empty() {
            self.check_beside(&accounts);
            self.facts.accounts = accounts;
            self.facts.client_id = self.client_id;
            self.save_facts();
            return;
        }
        let what = format!(
            "the journal of orders belongs to {}, and Gateway shows {}: another login answers on \
             this port, or the login has changed. If that is meant, `ibouncer trading adopt-state \
             --reason …`",
            mask_accounts(&self.facts.accounts),
            mask_accounts(&accounts)
        );
        self.doubt(Doubt::Accounts, what);
    }

    /// The same login's orders of before are in another file, if Gateway's address has changed: a call
    /// that is made again would place its order twice.
    fn check_beside(&mut self, accounts: &[String]) {
        for beside in std::mem::take(&mut self.beside) {
            let Beside { path, new, accounts: theirs } = beside;
            let whose = match &theirs[..] {
                [] => "cannot be read".to_owned(),
                some if !some.iter().any(|one| accounts.contains(one)) => continue,
                some => format!("belongs to {}", mask_accounts(some)),
            };
            let what = format!(
                "the journal of orders is new, and {path} beside it is of the same client id and \
                 {whose}: Gateway may have another address than before, and the orders be in that \
                 file. Then stop the broker, move {new} away, rename that file to it (its -wal file \
                 too, if there is one), and start the broker. If they are different Gateways, \
                 `ibouncer trading adopt-state --reason …`"
            );
            self.doubt(Doubt::Beside, what);
        }
    }

    /// Is the session of the login that the journal belongs to?
    pub(in crate::orders) fn is_journals_login(&self) -> bool {
        let mut accounts = self.accounts.clone();
        accounts.sort();
        self.facts.accounts == accounts
    }

    /// The journal has been compared with Gateway's lists: it is this login's, unless there is a
    /// doubt about just that.
    pub(super) fn settle_journal(&mut self) {
        if !self.facts.settled && !self.brakes.doubts.contains_key(&Doubt::Empty) {
            self.facts.settled = true;
            self.save_facts();
        }
    }

    /// Why nothing leaves for an order of another login.
    pub(in crate::orders) fn away(&self, id: i32) -> Option<Error> {
        let order = self.book.get(id).filter(|_| self.is_elsewhere(id))?;
        let what = format!(
            "order {:?} is of another login than the one that answers now (`ibouncer trading \
             status`), so nothing leaves for it: under its id there can be another program's \
             order. Try again once its login is back; it lives on at IB meanwhile",
            order.record.client_order_id
        );
        Some(error::order_later("NOT_READY", what))
    }

    /// Another login answers, and this order is in an account that it does not have, also once the
    /// journal was adopted for that login.
    pub(in crate::orders) fn is_elsewhere(&self, id: i32) -> bool {
        let Some(order) = self.book.get(id) else {
            return false;
        };
        let of = match &order.record.of_login[..] {
            [] => self.accounts_of(&order.record),
            adopted => adopted,
        };
        let shown = self.epoch.is_some_and(|epoch| order.is_seen_in(epoch));
        !self.accounts.is_empty() && !shown && !of.iter().all(|one| self.accounts.contains(one))
    }

    /// In which of the journal's accounts an order is: in any of them, if it names none or a group.
    fn accounts_of<'a>(&'a self, record: &'a OrderRecord) -> &'a [String] {
        let named = std::slice::from_ref(&record.account);
        if self.facts.accounts.contains(&record.account) { named } else { &self.facts.accounts }
    }

    /// The journal is adopted for these accounts: where the live orders are is kept beside them.
    pub(in crate::orders) fn keep_logins(&mut self, adopted: &[String]) {
        for id in self.book.live() {
            let Some(order) = self.book.get(id).filter(|one| one.record.of_login.is_empty()) else {
                continue;
            };
            let of = self.accounts_of(&order.record).to_vec();
            if of.iter().all(|one| adopted.contains(one)) {
                continue;
            }
            if let Some(order) = self.book.get_mut(id) {
                order.record.of_login = of;
            }
            self.save_order(id);
        }
    }
}
