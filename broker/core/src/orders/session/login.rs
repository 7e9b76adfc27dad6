//! Whose the journal is: of which login, and whether it is that login's only one.

use crate::accounts::mask_accounts;
use crate::orders::Desk;
use crate::orders::brakes::Doubt;
use crate::orders::journal::Beside;

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
}
