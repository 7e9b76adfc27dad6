//! What Gateway's errors mean, and what to do about them. One table for all commands, so a flag of
//! one of them is named with its command.

/// A sentence to stand behind Gateway's own; `None` for an error that says enough itself.
pub(crate) fn next_step(code: i32, message: &str) -> Option<&'static str> {
    if code == HISTORY {
        return Some(about_history(message));
    }
    TABLE.iter().find(|(known, _)| *known == code).map(|(_, text)| *text)
}

/// By Gateway's code, in its order.
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

/// 162 is said of everything about history, and of scanners.
fn about_history(message: &str) -> &'static str {
    let message = message.to_ascii_lowercase();
    if message.contains("pacing") {
        return "Gateway's limit for history: the broker keeps it, so is another program connected \
                to Gateway beside it? Wait 10 min, or ask for larger bars.";
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
            assert!(next_step(code, "").is_some(), "{code}");
        }
        assert_eq!(next_step(2104, "Market data farm connection is OK"), None);
    }

    #[test]
    fn the_message_tells_the_kinds_of_162_apart() {
        let pacing = "Historical Market Data Service error message:API pacing violation";
        assert!(next_step(162, pacing).unwrap().contains("limit"));
        let none = "HMDS query returned no data: AAPL@SMART Trades";
        assert!(next_step(162, none).unwrap().contains("--duration"));
        let forbidden = "error message:No market data permissions for ISLAND STK";
        assert!(next_step(162, forbidden).unwrap().contains("Client Portal"));
        let scanner = "error message:invalid scan code";
        assert!(next_step(162, scanner).unwrap().contains("scan --parameters"));
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by_key(|(code, _)| *code));
    }
}
