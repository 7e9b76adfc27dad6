//! Figures as Gateway sends them: decimal text, and doubles whose largest value means "not set".

use serde_json::{Value, json};

/// IB's decimal text as a number; the text itself if it is none, `null` if it is not set.
pub(crate) fn decimal(text: &str) -> Value {
    let text = known(text);
    if let Ok(whole) = text.parse::<i64>() {
        return json!(whole);
    }
    match text.parse::<f64>() {
        Ok(decimal) if decimal.is_finite() => json!(decimal),
        _ if text.is_empty() => Value::Null,
        _ => json!(text),
    }
}

/// Decimal text that Gateway may not have set: empty then.
pub(crate) fn known(text: &str) -> &str {
    let is_huge = |figure: f64| figure.is_finite() && set(Some(figure)).is_none();
    let unset = NO_DECIMAL.contains(&text) || text.parse::<f64>().is_ok_and(is_huge);
    if unset { "" } else { text }
}

/// Decimal text in a table; "-" if it is not set.
pub(crate) fn quantity(text: &str) -> String {
    match known(text) {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// A figure that Gateway may not have set.
pub(crate) fn set(figure: Option<f64>) -> Option<f64> {
    figure.filter(|figure| figure.is_finite() && figure.abs() < NOT_SET)
}

/// A price: as few digits as say it, at most 8 behind the point; "-" if it is not set.
pub(crate) fn price(figure: Option<f64>) -> String {
    set(figure).map_or_else(|| "-".to_owned(), |figure| short(figure, 8))
}

/// As [`price`], with as many digits for all of a column as the longest of them needs, and two at
/// least, so that points stand below each other.
pub(crate) fn aligned(
    figures: impl IntoIterator<Item = Option<f64>>,
) -> impl Fn(Option<f64>) -> String {
    let digits =
        |figure: f64| short(figure, 8).split_once('.').map_or(0, |(_, digits)| digits.len());
    let most = figures.into_iter().filter_map(set).map(digits).fold(2, usize::max);
    move |figure| set(figure).map_or_else(|| "-".to_owned(), |figure| format!("{figure:.most$}"))
}

/// An amount of money: two digits behind the point, thousands apart; "-" if it is not set.
pub(crate) fn money(figure: Option<f64>) -> String {
    let Some(figure) = set(figure) else {
        return "-".to_owned();
    };
    let text = format!("{figure:.2}");
    let text = if text == "-0.00" { "0.00" } else { &text };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    let mut apart = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}.{fraction}")
}

/// Text that may hold an amount of money: so shown where it does.
pub(crate) fn money_text(text: &str) -> String {
    match text.parse::<f64>() {
        Ok(figure) if text.contains('.') => money(Some(figure)),
        _ => text.to_owned(),
    }
}

/// A number with at most so many digits behind the point, and no zeros at the end.
pub(crate) fn short(figure: f64, digits: usize) -> String {
    let text = format!("{figure:.digits$}");
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A count in a narrow column: exact below a million.
pub(crate) fn count(count: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", count / unit, count % unit * 10 / unit);
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{}M", tenths(1_000_000)),
        _ => format!("{}G", tenths(1_000_000_000)),
    }
}

/// The largest double stands for "not set".
const NOT_SET: f64 = 1e300;

/// So do the ends of whole numbers, in decimal text (protocol fact sheet, 1.1).
const NO_DECIMAL: [&str; 3] = ["2147483647", "9223372036854775807", "-9223372036854775808"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_exact_where_json_can() {
        assert_eq!(decimal("300"), json!(300));
        assert_eq!(decimal("0.00012345"), json!(0.00012345));
        assert_eq!(decimal(""), Value::Null);
        assert_eq!(decimal("many"), json!("many"));
    }

    #[test]
    fn decimal_text_that_is_not_set_is_null_and_a_dash() {
        for text in ["1.7976931348623157E308", "2147483647", "-9223372036854775808", ""] {
            assert_eq!(decimal(text), Value::Null, "{text}");
            assert_eq!(quantity(text), "-", "{text}");
        }
        assert_eq!(decimal("9223372036854775806"), json!(9_223_372_036_854_775_806_i64));
        assert_eq!((known("-5"), known("Infinity")), ("-5", "Infinity"));
        assert_eq!(quantity("0.5"), "0.5");
    }

    #[test]
    fn money_has_two_digits_and_thousands_apart() {
        for (figure, text) in [
            (0.0, "0.00"),
            (-0.001, "0.00"),
            (999.999, "1,000.00"),
            (-1_234_567.891, "-1,234,567.89"),
            (123_456.0, "123,456.00"),
        ] {
            assert_eq!(money(Some(figure)), text);
        }
        assert_eq!(money(Some(f64::MAX)), "-");
        assert_eq!(money(None), "-");
        assert_eq!(money_text("1234.5"), "1,234.50");
        assert_eq!(money_text("INDIVIDUAL"), "INDIVIDUAL");
        assert_eq!(money_text("3"), "3");
    }

    #[test]
    fn prices_of_a_column_have_equally_many_digits() {
        let text = |figures: [Option<f64>; 3]| figures.map(aligned(figures));
        assert_eq!(text([Some(189.1), Some(189.0), None]), ["189.10", "189.00", "-"]);
        assert_eq!(text([Some(1.08345), Some(1.1), None]), ["1.08345", "1.10000", "-"]);
    }

    #[test]
    fn counts_stay_narrow() {
        for (number, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_250_000, "1.2M"),
            (999_999_999, "999.9M"),
            (123_456_789_012, "123.4G"),
        ] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn prices_have_no_zeros_at_the_end() {
        assert_eq!(price(Some(189.10)), "189.1");
        assert_eq!(price(Some(1.08345)), "1.08345");
        assert_eq!(price(Some(100.0)), "100");
        assert_eq!(price(Some(f64::MAX)), "-");
        assert_eq!(short(-0.000_000_001, 2), "0");
    }
}
