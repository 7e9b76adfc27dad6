//! Account ids as they may be shown to anyone, alone ([`masked`]) and wherever they stand in a
//! text ([`masked_in`]). In a text they are known by their form: nobody says where they are.

/// Most letters before the digits of an account id, and behind them: `DUM1234567`, `F1234567A`.
const LETTERS: std::ops::RangeInclusive<usize> = 1..=3;
const LAST_LETTERS: usize = 1;

/// Fewest digits of an account id.
const DIGITS: usize = 5;

/// Below this the mask would hide next to nothing.
const SHORTEST: usize = 7;

/// "DU***001": the first two letters and the last three digits. Too short an id shows nothing.
pub(crate) fn masked(account: &str) -> String {
    let letters: Vec<char> = account.chars().collect();
    if letters.len() < SHORTEST {
        return "***".to_owned();
    }
    let first: String = letters[..2].iter().collect();
    let last: String = letters[letters.len() - 3..].iter().collect();
    format!("{first}***{last}")
}

/// The text with all accounts in it masked.
pub(crate) fn masked_in(text: &str) -> String {
    replaced(text, |word| is_account(word).then(|| masked(word)))
}

/// The text with some of its words, letters and digits in a row, replaced.
pub(crate) fn replaced(text: &str, instead: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let length = rest.find(|one: char| !one.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(length);
        match instead(word) {
            Some(other) => out.push_str(&other),
            None => out.push_str(word),
        }
        let next = tail.find(|one: char| one.is_ascii_alphanumeric()).unwrap_or(tail.len());
        let (between, behind) = tail.split_at(next);
        out.push_str(between);
        rest = behind;
    }
    out
}

/// Which letters Interactive Brokers uses is not ours to know: any few of them before digits.
pub(crate) fn is_account(word: &str) -> bool {
    let behind = word.trim_start_matches(|one: char| one.is_ascii_alphabetic());
    let digits = behind.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    LETTERS.contains(&(word.len() - behind.len()))
        && behind.len() - digits.len() <= LAST_LETTERS
        && digits.len() >= DIGITS
        && digits.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_account_is_hidden() {
        assert_eq!(masked("DU0000001"), "DU***001");
        assert_eq!(masked("DU0001"), "***");
        assert_eq!(masked("Köln-0000"), "Kö***000");
    }

    #[test]
    fn accounts_inside_a_text_are_masked_and_contracts_are_not() {
        assert_eq!(masked_in("DU0000001 conId 265598"), "DU***001 conId 265598");
        for label in ["AAPL", "conId 265598", "AAPL  260618C00190000", "ESZ6", "all accounts"] {
            assert_eq!(masked_in(label), label);
        }
    }
}
