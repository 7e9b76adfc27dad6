//! One line of `ibouncer quotes`, as text and as JSON.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::explain::{Wish, next_step};
use crate::output::time;
use crate::output::visible::one_line;

/// What an event shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// A value.
    Update(Update),
    /// What happened to the subscription.
    Mark { symbol: String, mark: String, because: String },
    /// An error or notice; goes to stderr.
    Trouble { symbol: String, code: String, message: String, gateway_code: Option<i32>, wish: Wish },
}

/// One value of one symbol.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Update {
    pub(super) symbol: String,
    pub(super) field: String,
    /// `null` for a price that does not exist.
    pub(super) value: Value,
    pub(super) size: Option<Value>,
    pub(super) sequence: u64,
    pub(super) replayed: bool,
    pub(super) skipped: u32,
}

impl Entry {
    /// True for what goes to stderr.
    pub(super) fn is_trouble(&self) -> bool {
        matches!(self, Self::Trouble { .. })
    }

    pub(super) fn text(&self, now: SystemTime) -> String {
        let clock = time::clock_millis(now);
        match self {
            Self::Update(update) => format!("{clock}  {}", update.text()),
            Self::Mark { symbol, mark, because } => {
                format!("{clock}  {symbol}  {mark}  {because}").trim_end().to_owned()
            }
            Self::Trouble { symbol, code, message, gateway_code, wish } => match gateway_code {
                None => format!("{symbol}: {message} ({code})"),
                Some(number) => {
                    let hint = next_step(*number, message, *wish).map(|hint| format!(" {hint}"));
                    let message = message.trim_end_matches('.');
                    format!("{symbol}: Gateway: {message} ({number}).{}", hint.unwrap_or_default())
                }
            },
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Update(update) => json!({
                "symbol": update.symbol,
                "field": update.field,
                "value": update.value,
                "size": update.size,
                "sequence": update.sequence,
                "replayed": update.replayed,
                "skipped": update.skipped,
            }),
            Self::Mark { symbol, mark, because } => {
                json!({ "symbol": symbol, "mark": mark, "because": because })
            }
            Self::Trouble { symbol, code, message, gateway_code, wish } => {
                json!({ "symbol": symbol, "error": {
                    "code": code,
                    "message": message,
                    "gateway_code": gateway_code,
                    "next": gateway_code.and_then(|number| next_step(number, message, *wish)),
                }})
            }
        }
    }
}

impl Update {
    fn text(&self) -> String {
        let mut text = format!("{}  {} {}", self.symbol, self.field, plain(&self.value));
        if let Some(size) = &self.size {
            text.push_str(&format!(" x {}", plain(size)));
        }
        if self.replayed {
            text.push_str("  (last value)");
        }
        if self.skipped > 0 {
            text.push_str(&format!("  ({} skipped)", self.skipped));
        }
        text
    }
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => one_line(text),
        // 188.0 reads as 188.
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_without_the_signs_of_json() {
        assert_eq!(plain(&json!(188.0)), "188");
        assert_eq!(plain(&json!(300)), "300");
        assert_eq!(plain(&json!("1\n2")), "1 2", "a text makes no line of its own");
    }

    #[test]
    fn a_replayed_value_says_so() {
        let update = Update {
            symbol: "AAPL".into(),
            field: "last".into(),
            value: json!(189.0),
            size: None,
            sequence: 1,
            replayed: true,
            skipped: 0,
        };
        assert_eq!(update.text(), "AAPL  last 189  (last value)");
    }
}
