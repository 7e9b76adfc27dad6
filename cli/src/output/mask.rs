//! Account ids as they may be shown to anyone.

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

/// Below this the mask would hide next to nothing.
const SHORTEST: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_account_is_hidden() {
        assert_eq!(masked("DU0000001"), "DU***001");
        assert_eq!(masked("DU0001"), "***");
        assert_eq!(masked("Köln-0000"), "Kö***000");
    }
}
