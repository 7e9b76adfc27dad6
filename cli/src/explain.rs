//! What Gateway's errors mean, and what to do about them. One table for all commands, so a flag of
//! one of them is named with its command; and a small one for each [`Wish`] that has another way
//! out.

use ibouncer_client::Feed;

/// What was asked for, as far as the way out depends on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Anything else.
    #[default]
    Any,
    /// An order book: quotes are none.
    Book,
    /// Delayed quotes: to ask for those is no way out any more.
    DelayedQuotes,
}

impl Wish {
    /// Quotes of this feed.
    pub(crate) fn quotes(feed: Feed) -> Self {
        match feed {
            Feed::Delayed | Feed::DelayedFrozen => Self::DelayedQuotes,
            Feed::Unspecified | Feed::Live | Feed::Frozen => Self::Any,
        }
    }

    /// What differs from [`TABLE`].
    fn table(self) -> &'static [(i32, &'static str)] {
        match self {
            Self::Any => &[],
            Self::Book => BOOK,
            Self::DelayedQuotes => DELAYED_QUOTES,
        }
    }
}

/// A sentence to stand behind Gateway's own; `None` for an error that says enough itself.
pub(crate) fn next_step(code: i32, message: &str, wish: Wish) -> Option<&'static str> {
    if code == HISTORY {
        return Some(about_history(message));
    }
    let mut known = wish.table().iter().chain(TABLE);
    known.find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// True for an error that comes again however often the same is asked, though its code alone does
/// not say so: 162 of a scanner that there is not.
pub(crate) fn comes_again(code: i32, message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    code == HISTORY
        && message.contains("scan")
        && NO_SUCH_SCANNER.iter().any(|words| message.contains(*words))
}

/// Nobody has a list of what Gateway says of scanners: these are the words that mean "never".
const NO_SUCH_SCANNER: [&str; 8] = [
    "disabled",
    "incorrect",
    "invalid",
    "not configured",
    "not found",
    "not supported",
    "unknown",
    "unrecognized",
];

/// By Gateway's code, in its order; so are the others.
const TABLE: &[(i32, &str)] = &[
    (
        100,
        "More than 50 messages a second reached Gateway: is another program connected to it \
         beside the broker? `ibouncer connections` shows it.",
    ),
    (
        101,
        "All market-data lines of the login are in use; `ibouncer lines` shows by whom, \
         --set pacing.lines=N is the broker's own limit.",
    ),
    (200, "Is the symbol right? `ibouncer search TEXT` looks for it."),
    (309, "Gateway gives few books at a time; `ibouncer lines` shows who has them."),
    (
        354,
        "The login has no subscription for live data of this: `ibouncer quotes` has --feed delayed, \
         or subscribe to it in IB's Client Portal.",
    ),
    (
        10089,
        "Live data of this needs a further subscription: `ibouncer quotes` has --feed delayed, or \
         subscribe to it in IB's Client Portal.",
    ),
    (
        10090,
        "A part of this data is not subscribed to; the rest comes. Subscribe to it in IB's Client \
         Portal.",
    ),
    (10092, "This exchange offers no book: try --exchange, or --smart."),
    (
        10167,
        "Delayed data comes instead, since the login has no subscription for live data. For live \
         data subscribe to it in IB's Client Portal.",
    ),
    (
        10168,
        "There is no subscription for live data, and delayed data was not asked for: `ibouncer \
         quotes` has --feed delayed.",
    ),
    (10172, "The article is not there any more, or its id is not right."),
    (
        10186,
        "The login has no subscription for this, and delayed data is not there either: subscribe \
         to it in IB's Client Portal.",
    ),
    (
        10197,
        "Another session of the same user takes the live data, a TWS or the mobile app: log out \
         there, or use a user of its own for Gateway.",
    ),
    (10276, "The login may not read news of this provider: `ibouncer news --providers`."),
    (10339, "The article is not there any more, or its id is not right."),
];

const BOOK: &[(i32, &str)] = &[
    (354, NO_BOOK),
    (10089, NO_BOOK),
    (10090, "A part of this book is not subscribed to; the rest comes."),
    (10168, NO_BOOK),
    (10186, NO_BOOK),
];

const NO_BOOK: &str = "The login has no subscription for this book: subscribe to the depth of its \
     exchange in IB's Client Portal, or name an exchange that it has with --exchange. The best \
     prices alone are in `ibouncer quotes`.";

const DELAYED_QUOTES: &[(i32, &str)] =
    &[(354, NOT_DELAYED), (10089, NOT_DELAYED), (10168, NOT_DELAYED)];

const NOT_DELAYED: &str = "Gateway gives no delayed data of this either: not every exchange has it, \
     and the login must be allowed to. Subscribe to live data in IB's Client Portal, under Market \
     Data Subscriptions; it holds from the next login of Gateway on.";

/// 162 is said of everything about history, and of scanners.
fn about_history(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("pacing") {
        return "Gateway's limit for history: the broker keeps it, so is another program connected \
                to Gateway beside it? Wait 10 min, or ask for larger bars.";
    }
    if message.contains("connect") {
        return "Gateway has lost IB's servers of history, and comes back to them by itself: try again \
                in a minute. `ibouncer status` says how the session is.";
    }
    if message.contains("permission") || message.contains("subscri") {
        return "History needs the subscription that live data needs: see IB's Client Portal.";
    }
    if message.contains("scan") {
        return "`ibouncer scan --parameters` lists the codes, instruments and locations that \
                there are.";
    }
    if message.contains("no data") || message.contains("no market data") {
        return "There is none for this span: try a longer --duration, other bars, or --what \
                MIDPOINT; at night and on holidays without --rth.";
    }
    "Is the span right for the size of the bars? Small bars reach back some days only."
}

const HISTORY: i32 = 162;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_meet_most_has_a_next_step() {
        for code in [100, 101, 162, 200, 354, 10089, 10090, 10167, 10168, 10186, 10197] {
            assert!(next_step(code, "", Wish::Any).is_some(), "{code}");
        }
        assert_eq!(next_step(2104, "Market data farm connection is OK", Wish::Any), None);
    }

    #[test]
    fn nobody_is_told_to_do_what_was_done_or_what_gives_something_else() {
        for code in [354, 10089, 10168] {
            for feed in [Feed::Delayed, Feed::DelayedFrozen] {
                let text = next_step(code, "", Wish::quotes(feed)).unwrap();
                assert!(!text.contains("--feed") && text.contains("Client Portal"), "{text}");
            }
            let text = next_step(code, "", Wish::quotes(Feed::Live)).unwrap();
            assert!(text.contains("--feed delayed"), "{text}");
            let text = next_step(code, "", Wish::Book).unwrap();
            assert!(!text.contains("--feed") && text.contains("depth"), "{text}");
        }
        let text = next_step(200, "", Wish::Book);
        assert_eq!(text, next_step(200, "", Wish::Any), "the rest is the same for all");
    }

    #[test]
    fn the_message_tells_the_kinds_of_162_apart() {
        let pacing = "Historical Market Data Service error message:API pacing violation";
        assert!(next_step(162, pacing, Wish::Any).unwrap().contains("limit"));
        let cut_off =
            "Historical Market Data Service error message:HMDS server disconnect occurred";
        assert!(next_step(162, cut_off, Wish::Any).unwrap().contains("ibouncer status"));
        let none = "HMDS query returned no data: AAPL@SMART Trades";
        assert!(next_step(162, none, Wish::Any).unwrap().contains("--duration"));
        let forbidden = "error message:No market data permissions for ISLAND STK";
        assert!(next_step(162, forbidden, Wish::Any).unwrap().contains("Client Portal"));
        let scanner = "error message:invalid scan code";
        assert!(next_step(162, scanner, Wish::Any).unwrap().contains("scan --parameters"));
    }

    #[test]
    fn only_a_scanner_that_there_is_not_comes_again() {
        let unknown = "Historical Market Data Service error message:Invalid scan code";
        let location = "Market Scanner is not configured for one of the chosen locations";
        assert!(comes_again(162, unknown) && comes_again(162, location));
        for (code, message) in [
            (165, unknown),
            (162, "Scanner subscription cancelled"),
            (162, "Historical data request pacing violation"),
            (162, "invalid step"),
        ] {
            assert!(!comes_again(code, message), "{code} {message}");
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        for table in [TABLE, BOOK, DELAYED_QUOTES] {
            assert!(table.is_sorted_by_key(|(code, _)| *code));
        }
    }
}
