//! What must not leave this machine: account ids and secrets, wherever they stand in a text.
//!
//! Accounts are known by their form, generated tokens by theirs. Tokens that a person chose have
//! none: they are known by their value, which is read from the files that the configuration names.

use crate::output::mask::{is_account, masked, replaced};

/// Hexadecimal digits in a row from which on they are taken for a secret.
const SECRET: usize = 32;

/// In place of a secret.
const LEFT_OUT: &str = "(left out)";

/// Hides what must be hidden.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    /// Secrets by their value, the longest first: one may begin as another does.
    secrets: Vec<String>,
}

impl Redactor {
    /// One that knows these secrets.
    pub(super) fn new(mut secrets: Vec<String>) -> Self {
        secrets.retain(|secret| !secret.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// The text with accounts masked and secrets left out.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut known = text.to_owned();
        for secret in &self.secrets {
            known = known.replace(secret, LEFT_OUT);
        }
        replaced(&known, |word| {
            if is_account(word) {
                return Some(masked(word));
            }
            let secret = word.len() >= SECRET && word.chars().all(|one| one.is_ascii_hexdigit());
            secret.then(|| LEFT_OUT.to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn accounts_and_secrets_go_and_everything_else_stays() {
        let secret = "0123456789abcdef".repeat(4);
        let text =
            format!("{{\"accounts\":\"DU0000001,U0000001\",\"token\":\"{secret}\"}} F000001?");
        let redacted = redact(&text);
        assert_eq!(
            redacted,
            "{\"accounts\":\"DU***001,U0***001\",\"token\":\"(left out)\"} F0***001?"
        );
        let harmless = "epoch 12345678, 10.41 at 127.0.0.1:4002, Übergröße, FIX4, epoch-12345";
        assert_eq!(redact(harmless), harmless);
    }

    #[test]
    fn every_kind_of_account_is_masked() {
        for account in [
            "DUH123456",
            "DUE123456",
            "DUM123456",
            "DUQ12345",
            "U1234567",
            "F1234567",
            "DF1234567",
            "DFL123456",
            "I1234567",
            "F1234567A",
            "du1234567",
        ] {
            for text in [account.to_owned(), format!("acct_{account}.json"), format!("[{account}]")]
            {
                let redacted = redact(&text);
                assert!(!redacted.contains(account), "{redacted}");
                assert!(redacted.contains("***"), "{redacted}");
            }
        }
    }

    #[test]
    fn a_token_that_somebody_chose_is_known_by_its_value() {
        let redactor = Redactor::new(vec!["correct-horse".into(), "correct-horse-battery".into()]);
        let text = "token correct-horse-battery, then (correct-horse)";
        assert_eq!(redactor.redact(text), "token (left out), then ((left out))");
    }
}
