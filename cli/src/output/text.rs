//! Text that fits the width: wrapping, cutting, and blocks of labelled values.

use super::WIDTH;

/// Breaks text at spaces so that every line fits; all lines but the first are indented. A word
/// that is longer than a line is broken.
pub(crate) fn wrap(text: &str, indent: usize) -> String {
    wrap_behind(text, 0, indent)
}

/// As [`wrap`], for text that begins in column `start` of its first line.
pub(crate) fn wrap_behind(text: &str, start: usize, indent: usize) -> String {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = start;
    for word in text.split_whitespace() {
        let mut word = word;
        loop {
            let gap = usize::from(!line.trim_start().is_empty());
            let length = word.chars().count();
            if used + gap + length <= WIDTH {
                if gap == 1 {
                    line.push(' ');
                }
                line.push_str(word);
                used += gap + length;
                break;
            }
            if gap == 0 {
                let end = byte_of(word, WIDTH - used);
                line.push_str(&word[..end]);
                word = &word[end..];
            }
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            used = indent;
        }
    }
    if !line.trim().is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines.join("\n")
}

/// The text in at most `width` columns, with "…" where it was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = &text[..byte_of(text, width.saturating_sub(1))];
    format!("{kept}…")
}

fn byte_of(text: &str, position: usize) -> usize {
    text.char_indices().nth(position).map_or(text.len(), |(byte, _)| byte)
}

/// Values under labels, one a line, wrapped below themselves.
#[derive(Debug, Default)]
pub(crate) struct Block {
    lines: Vec<(String, String)>,
}

impl Block {
    /// Adds a line; an empty value leaves it out.
    pub(crate) fn line(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.lines.push((label.to_owned(), value.to_owned()));
        }
    }

    /// The lines. A label that is longer than most moves all values.
    pub(crate) fn finish(self) -> String {
        let longest = self.lines.iter().map(|(label, _)| label.chars().count() + 1).max();
        let column = longest.unwrap_or_default().max(LABEL);
        let mut text = String::new();
        for (label, value) in &self.lines {
            let value = wrap_behind(value, column, column);
            text.push_str(&format!("{label:<column$}{value}\n"));
        }
        text
    }
}

/// Columns of a label, with the gap behind it; at least.
const LABEL: usize = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_wrapped_at_spaces() {
        let text = "word ".repeat(40);
        let wrapped = wrap(&text, 4);
        let lines: Vec<_> = wrapped.lines().collect();
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{wrapped}");
        assert!(lines[1].starts_with("    word"));
        assert_eq!(wrapped.split_whitespace().count(), 40);
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken_and_nothing_is_lost() {
        let path = format!("/{}", "x".repeat(200));
        let wrapped = wrap(&format!("see {path} there"), 2);
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH), "{wrapped}");
        let joined: String = wrapped.split_whitespace().collect();
        assert_eq!(joined, format!("see{path}there"));
    }

    #[test]
    fn cutting_counts_letters_and_not_bytes() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
    }

    #[test]
    fn a_block_aligns_its_values() {
        let mut block = Block::default();
        block.line("Gateway", "127.0.0.1:4002");
        block.line("Farms", &"usfarm ok, ".repeat(20));
        block.line("Empty", "");
        let text = block.finish();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Gateway    127.0.0.1:4002");
        assert!(lines[1].starts_with("Farms      usfarm"));
        assert!(lines[2].starts_with("           "));
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(!text.contains("Empty"));
    }

    #[test]
    fn a_long_label_does_not_touch_its_value() {
        let mut block = Block::default();
        block.line("Initial margin", "57.86");
        block.line("Maintenance", "52.07");
        assert_eq!(block.finish(), "Initial margin 57.86\nMaintenance    52.07\n");
    }
}
