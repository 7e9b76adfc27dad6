//! Letters that Gateway writes as `\u00e9`: in the text of its errors and in long names (protocol
//! fact sheet, 1.1). They are read here, for people; the broker passes them on as they came. Pure.

/// The text with such letters read. What only looks like one stays.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(SIGN) {
        out.push_str(before);
        rest = match letter(behind) {
            Some((letter, length)) => {
                out.push(letter);
                &behind[length..]
            }
            None => {
                out.push_str(SIGN);
                behind
            }
        };
    }
    out.push_str(rest);
    out
}

/// The letter whose number the text begins with, and the bytes that it takes. Beyond U+FFFF two
/// halves are one letter.
fn letter(text: &str) -> Option<(char, usize)> {
    let first = number(text)?;
    if let Some(letter) = char::from_u32(u32::from(first)) {
        return Some((letter, DIGITS));
    }
    let second = number(text[DIGITS..].strip_prefix(SIGN)?)?;
    let letter = char::decode_utf16([first, second]).next()?.ok()?;
    Some((letter, DIGITS + SIGN.len() + DIGITS))
}

fn number(text: &str) -> Option<u16> {
    let digits = text.get(..DIGITS)?;
    // Parsing alone would take a sign for a digit.
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

const SIGN: &str = "\\u";
const DIGITS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_beyond_ascii_are_read() {
        assert_eq!(decoded(r"Soci\u00e9t\u00E9 G\u00e9n\u00e9rale"), "Société Générale");
        assert_eq!(decoded(r"\ud83d\ude00!"), "😀!");
        assert_eq!(decoded("APPLE INC"), "APPLE INC");
    }

    #[test]
    fn what_only_looks_like_a_letter_stays() {
        for text in
            [r"C:\users", r"\u00e", r"\u+0e9", r"\ud83d", r"\ud83dé", r"\ude00\ud83d", r"\u"]
        {
            assert_eq!(decoded(text), text);
        }
    }
}
