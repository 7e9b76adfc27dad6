//! What the name of an account says: whether it is paper or live, and how it is shown to people.

/// How the names of paper-trading accounts begin: of one person, of an advisor, of an introducing
/// broker. Source: Interactive Brokers, "Paper Trading Account Numbers".
const PAPER: [&str; 3] = ["DU", "DF", "DI"];

/// Of more accounts only the number is shown.
const MOST_SHOWN: usize = 5;

/// Is this a paper-trading account? Whatever is not known to be one may be somebody's money.
pub fn is_paper(account: &str) -> bool {
    PAPER.iter().any(|begin| account.starts_with(begin))
}

/// "paper" if all of them are, else "live"; none before there are any.
pub fn mode(accounts: &[String]) -> Option<&'static str> {
    let paper = accounts.iter().all(|account| is_paper(account));
    (!accounts.is_empty()).then_some(if paper { "paper" } else { "live" })
}

/// `DU0000001` as `DU***001`.
pub fn mask_account(account: &str) -> String {
    let characters: Vec<char> = account.chars().collect();
    if characters.len() < 6 {
        return "***".into();
    }
    let head: String = characters[..2].iter().collect();
    let tail: String = characters[characters.len() - 3..].iter().collect();
    format!("{head}***{tail}")
}

/// A list of them as a refusal shows it: `[DU***001, DU***002]`.
pub fn mask_accounts<'a>(accounts: impl IntoIterator<Item = &'a String>) -> String {
    let mut shown: Vec<String> = accounts.into_iter().map(|one| mask_account(one)).collect();
    if shown.len() > MOST_SHOWN {
        let more = shown.len() - MOST_SHOWN;
        shown.truncate(MOST_SHOWN);
        shown.push(format!("and {more} more"));
    }
    format!("[{}]", shown.join(", "))
}

/// A text for one who sees only these accounts: of the others that it shows as
/// [`mask_account`] does, only that they are there is left.
pub fn hide_others(text: &str, seen: &[String]) -> String {
    let seen: Vec<String> = seen.iter().map(|one| mask_account(one)).collect();
    let is_of_name = |letter: char| letter.is_alphanumeric() || letter == '*';
    let pieces = text.split_inclusive(|letter| !is_of_name(letter));
    let shown = pieces.map(|piece| {
        let (name, behind) = piece.split_at(piece.trim_end_matches(|one| !is_of_name(one)).len());
        let is_hidden = name.contains("***") && !seen.iter().any(|one| one == name);
        [if is_hidden { "***" } else { name }, behind].concat()
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_accounts_that_one_does_not_see_only_their_number_is_left() {
        let text = "belongs to [DU***001, DU***002], and Gateway shows [DF***003]: adopt-state";
        let told = "belongs to [DU***001, ***], and Gateway shows [***]: adopt-state";
        assert_eq!(hide_others(text, &["DU0000001".to_owned()]), told);
    }

    #[test]
    fn what_is_not_known_to_be_paper_is_live() {
        for paper in ["DU0000001", "DF0000001", "DI0000001", "DUH123456", "DFL123456"] {
            assert!(is_paper(paper), "{paper}");
        }
        for live in [
            "U0000001",
            "F0000001",
            "I0000001",
            "D0000001",
            "DX000001",
            "DEMO1",
            "D",
            "DA1",
            "DC123",
            "dU0000001",
            "du0000001",
            "",
            " DU0000001",
        ] {
            assert!(!is_paper(live), "{live}");
        }
        let mode = |all: &[&str]| mode(&all.iter().map(|one| (*one).into()).collect::<Vec<_>>());
        assert_eq!(mode(&["DU0000001", "DF0000001"]), Some("paper"));
        assert_eq!(mode(&["DU0000001", "U0000001"]), Some("live"));
        assert_eq!(mode(&["DX000001"]), Some("live"));
        assert_eq!(mode(&[]), None);
    }

    #[test]
    fn accounts_are_masked_and_many_are_counted() {
        assert_eq!(mask_account("DU0000001"), "DU***001");
        assert_eq!(mask_account("U1"), "***");
        let all: Vec<String> = (1..=7).map(|number| format!("DU000000{number}")).collect();
        assert_eq!(mask_accounts(&all[..2]), "[DU***001, DU***002]");
        assert!(mask_accounts(&all).ends_with("DU***005, and 2 more]"));
        assert_eq!(mask_accounts(&[]), "[]");
    }
}
