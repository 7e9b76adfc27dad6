//! Command lines as they may be shown: one line of limited length, without secrets.
//!
//! Programs that log in for a person are started with a password as an argument, and command
//! lines end up in lists, events and logs.

/// Longest command line that is shown, in characters.
const LONGEST: usize = 200;

/// What a secret's flag or key has in its name.
const SECRETS: [&str; 5] = ["passw", "pwd", "secret", "token", "apikey"];

/// Flags of a secret that are short words themselves.
const SHORT_SECRETS: [&str; 2] = ["pw", "pass"];

/// Behind the main class of IBC come the files, the user and the password.
const LOGIN_CLASS: &str = "ibcalpha.ibc.";

/// The arguments as one line; `name` stands for a process that shows none.
pub(crate) fn shown<'a>(arguments: impl IntoIterator<Item = &'a str>, name: &str) -> String {
    let mut line = String::new();
    let mut hide_next = false;
    let arguments = arguments.into_iter().filter(|argument| !argument.is_empty());
    for argument in arguments {
        if !line.is_empty() {
            line.push(' ');
        }
        if std::mem::take(&mut hide_next) {
            line.push_str("***");
            continue;
        }
        if argument.starts_with(LOGIN_CLASS) {
            line.push_str(argument);
            line.push_str(" ***");
            break;
        }
        match argument.split_once('=') {
            Some((key, _)) if is_secret(key) => {
                line.push_str(key);
                line.push_str("=***");
            }
            _ => {
                hide_next = argument.starts_with('-') && is_secret(argument);
                line.push_str(argument);
            }
        }
    }
    if line.is_empty() {
        line = format!("[{name}]");
    }
    let plain = line.chars().map(|letter| if letter.is_control() { '?' } else { letter });
    let plain: String = plain.take(LONGEST + 1).collect();
    if plain.chars().count() <= LONGEST {
        return plain;
    }
    plain.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn is_secret(key: &str) -> bool {
    let name = key.trim_start_matches('-').to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret)) || SHORT_SECRETS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_one_line_of_limited_length() {
        assert_eq!(shown(["python", "app.py"], "python"), "python app.py");
        assert_eq!(shown(["", ""], "kworker/0:1"), "[kworker/0:1]");
        assert_eq!(shown(["a\nb", "\u{1b}[31m"], ""), "a?b ?[31m");
        let long = "ä".repeat(500);
        let cut = shown(["x", long.as_str()], "");
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with('…'));
        let exact = "y".repeat(LONGEST);
        assert_eq!(shown([exact.as_str()], ""), exact);
    }

    #[test]
    fn secrets_are_not_shown() {
        for (arguments, line) in [
            (vec!["app", "--password=x", "-v"], "app --password=*** -v"),
            (vec!["app", "--api-token", "x", "-v"], "app --api-token *** -v"),
            (vec!["app", "--pw", "x"], "app --pw ***"),
            (vec!["app", "TWSPASSWORD=x"], "app TWSPASSWORD=***"),
            (vec!["cat", "passwords.txt"], "cat passwords.txt"),
            (
                vec!["java", "-cp", "/jts/x.jar", "ibcalpha.ibc.IbcGateway", "c.ini", "me", "x"],
                "java -cp /jts/x.jar ibcalpha.ibc.IbcGateway ***",
            ),
        ] {
            assert_eq!(shown(arguments, ""), line);
        }
    }
}
