//! What must not leave this machine: account ids and secrets, wherever they stand in a text.

use crate::output::mask::masked;

/// Letters with which Interactive Brokers begins an account id.
const ACCOUNT_PREFIXES: [&str; 8] = ["DUM", "DFM", "DU", "DF", "DI", "U", "F", "I"];

/// Hexadecimal digits in a row from which on they are taken for a secret.
const SECRET: usize = 32;

/// The text with accounts masked and secrets left out.
pub(super) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length);
        if is_account(word) {
            out.push_str(&masked(word));
        } else if word.len() >= SECRET && word.chars().all(|one| one.is_ascii_hexdigit()) {
            out.push_str("(left out)");
        } else {
            out.push_str(word);
        }
        let next = tail.find(|one: char| one.is_ascii_alphanumeric()).unwrap_or(tail.len());
        let (between, behind) = tail.split_at(next);
        out.push_str(between);
        rest = behind;
    }
    out
}

fn is_account(word: &str) -> bool {
    let digits = ACCOUNT_PREFIXES.iter().find_map(|prefix| word.strip_prefix(prefix));
    digits.is_some_and(|digits| {
        digits.len() >= 5 && digits.chars().all(|digit| digit.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let harmless = "epoch 12345678, 10.41 at 127.0.0.1:4002, Übergröße, FIX4";
        assert_eq!(redact(harmless), harmless);
    }
}
