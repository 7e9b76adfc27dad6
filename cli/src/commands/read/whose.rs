//! Which accounts a command shows, and how: masked, unless the user asks otherwise.

use ibouncer_client::Client;

use crate::args::Whose;
use crate::exit::{Complaint, Failure};
use crate::output::Output;
use crate::output::mask::masked;

impl Whose {
    /// The account as it is shown; "-" where Gateway named none.
    pub(crate) fn name(&self, account: &str) -> String {
        match account {
            "" => "-".to_owned(),
            _ if self.show_accounts => account.to_owned(),
            _ => masked(account),
        }
    }

    /// True for an account that is to be shown. It may be named in full, or as it is shown.
    pub(crate) fn shows(&self, account: &str) -> bool {
        match &self.account {
            None => true,
            Some(wanted) => wanted == account || *wanted == masked(account),
        }
    }

    /// The one account of a list that was asked for, if one was.
    pub(crate) fn pick<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<String>, Complaint> {
        let mut all: Vec<&str> = accounts.into_iter().collect();
        // Several values may be of one account.
        all.sort_unstable();
        all.dedup();
        let chosen: Vec<String> =
            all.iter().filter(|account| self.shows(account)).map(|&one| one.to_owned()).collect();
        if chosen.is_empty() && self.account.is_some() {
            let names: Vec<String> = all.iter().map(|account| self.name(account)).collect();
            let next = format!("the login has {}", names.join(", "));
            return Err(Complaint::usage("the login has no such account").next(next));
        }
        // Masked, several may look alike, and nobody could tell their rows apart.
        if let (Some(named), true) = (&self.account, chosen.len() > 1) {
            let complaint = Complaint::usage(format!("several accounts look like {named}"));
            return Err(
                complaint.next("name it in full: `ibouncer accounts --show-accounts` lists them")
            );
        }
        Ok(chosen)
    }

    /// An account that the login does not have is a mistake, and not one that holds nothing.
    pub(super) async fn check(&self, client: &Client) -> Result<(), Failure> {
        if self.account.is_some() {
            let listed = client.accounts().list().await?;
            self.pick(listed.iter().map(|account| account.account.as_str()))?;
        }
        Ok(())
    }

    /// Says how to see them in full.
    pub(super) fn remark(&self, output: &mut Output) {
        if !self.show_accounts && !output.json() {
            output.remark("Accounts are masked; --show-accounts shows them in full.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_can_be_named_in_full_or_as_it_is_shown() {
        for wanted in ["DU0000001", "DU***001"] {
            let whose = Whose { account: Some(wanted.to_owned()), show_accounts: false };
            assert!(whose.shows("DU0000001") && !whose.shows("DU0000002"), "{wanted}");
            assert_eq!(whose.pick(["DU0000001", "DU0000002"]).unwrap(), ["DU0000001"]);
            let complaint = whose.pick(["DU0000002", "DU0000002"]).unwrap_err();
            assert_eq!(complaint.next.as_deref(), Some("the login has DU***002"));
        }
        assert_eq!(Whose::default().name("DU0000001"), "DU***001");
        assert_eq!(Whose::default().pick(["DU0000001", "DU1000001"]).unwrap().len(), 2);
        let shown = Whose { account: None, show_accounts: true };
        assert_eq!(shown.name("DU0000001"), "DU0000001");
        assert_eq!(shown.name(""), "-");
    }

    #[test]
    fn a_mask_of_several_accounts_is_refused() {
        let named = |name: &str| Whose { account: Some(name.to_owned()), show_accounts: false };
        let both = ["DU0000001", "DU1000001"];
        let complaint = named("DU***001").pick(both).unwrap_err();
        assert!(complaint.message.contains("several accounts look like DU***001"), "{complaint:?}");
        assert_eq!(named("DU1000001").pick(both).unwrap(), ["DU1000001"]);
    }
}
