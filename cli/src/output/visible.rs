//! What a terminal would obey in text from outside, made visible. Pure.
//!
//! Headlines, names and errors are Gateway's, and may hold anything. [`Output`](super::Output) and
//! the [`Screen`](super::screen::Screen) put all that they write through here, so nobody else need
//! think of it. Ends of lines and tabs stay, but where a line is to be one.

use std::borrow::Cow;

/// Text in which nothing is obeyed: `ESC` is `␛`. As long as before, in letters.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").chars().map(shown).collect())
}

/// As [`visible`], in one line: of a cell, a value, a row of the screen.
pub(crate) fn one_line(text: &str) -> String {
    visible(text).replace(['\n', '\t'], " ")
}

/// JSON in which nothing is obeyed, and that reads as before: it escapes some of it by itself, and
/// leaves the rest.
pub(crate) fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_obeyed(letter) {
            text.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            text.push(letter);
        }
    }
    Cow::Owned(text)
}

/// Control characters, and those that end lines or turn their direction.
fn is_obeyed(letter: char) -> bool {
    match letter {
        '\n' | '\t' => false,
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => letter.is_control(),
    }
}

fn shown(letter: char) -> char {
    if !is_obeyed(letter) {
        return letter;
    }
    let picture = match letter {
        '\u{7f}' => Some('\u{2421}'),
        // Unicode has their pictures in the same order.
        _ if letter < ' ' => char::from_u32(0x2400 + u32::from(letter)),
        _ => None,
    };
    picture.unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_seen_instead() {
        assert_eq!(visible("\u{1b}]0;title\u{7} \u{1b}[2J"), "␛]0;title␇ ␛[2J");
        assert_eq!(visible("a\u{7f}b\u{9b}2Jc\u{202e}d"), "a␡b\u{fffd}2Jc\u{fffd}d");
        assert_eq!(visible("over\rwritten\r\nnext"), "over␍written\nnext");
    }

    #[test]
    fn what_is_harmless_stays_as_it_is() {
        let text = "Société, │ █ …\n\tnext";
        assert!(matches!(visible(text), Cow::Borrowed(same) if same == text));
        assert_eq!(one_line("two\nlines\tand \u{1b}"), "two lines and ␛");
    }

    #[test]
    fn json_says_the_same_in_letters_that_are_not_obeyed() {
        let value = serde_json::json!({ "text": "\u{1b}[2J \u{9b}2J \u{7f} \u{202e} é" });
        let plain = value.to_string();
        assert!(plain.contains('\u{9b}'), "serde_json leaves it as it is");
        let text = escaped(&plain);
        assert!(!text.contains(is_obeyed) && text.contains("\\u009b2J"), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
