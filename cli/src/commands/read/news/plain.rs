//! Articles and headlines as plain text. Pure.

use crate::output::text::wrap;

/// An article without its HTML, wrapped; paragraphs stay apart.
pub(super) fn text_of(article: &str) -> String {
    let article = if article.contains('<') { without_tags(article) } else { article.to_owned() };
    let mut text = String::new();
    for line in unescaped(&article).lines() {
        let line = line.trim();
        if line.is_empty() && (text.is_empty() || text.ends_with("\n\n")) {
            continue;
        }
        text.push_str(&wrap(line, 0));
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// A headline without the list of its properties: `{A:800015:L:en}Apple …`.
pub(super) fn headline(text: &str) -> String {
    let behind = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    unescaped(behind.map_or(text, |(_, headline)| headline)).trim().to_owned()
}

/// Tags that end a line become ends of lines, all others go.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        // Line ends of the source mean nothing in HTML.
        text.push_str(&before.replace(['\n', '\r'], " "));
        let Some((tag, behind)) = behind.split_once('>') else {
            // A sign, and not a tag.
            text.push('<');
            text.push_str(behind);
            return text;
        };
        let name = tag.trim_start_matches('/').split([' ', '/', '\t', '\n']).next().unwrap_or("");
        match name.to_ascii_lowercase().as_str() {
            "p" | "div" | "table" | "h1" | "h2" | "h3" | "pre" | "ul" => text.push_str("\n\n"),
            "br" | "tr" | "li" => text.push('\n'),
            "td" | "th" => text.push(' '),
            _ => {}
        }
        rest = behind;
    }
    text.push_str(&rest.replace(['\n', '\r'], " "));
    text
}

fn unescaped(text: &str) -> String {
    // The ampersand last, so that "&amp;lt;" is "&lt;".
    const ENTITIES: [(&str, &str); 7] = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_article_is_read_without_its_tags() {
        let html =
            "<html><p>Apple &amp; Co.\nrose <b>5 %</b>.</p><p>More<br/>to come &lt;soon&gt;</p>";
        assert_eq!(text_of(html), "Apple & Co. rose 5 %.\n\nMore\nto come <soon>");
        assert_eq!(text_of("plain\n\n\n\ntext"), "plain\n\ntext");
        assert_eq!(text_of("if a < b"), "if a < b");
    }

    #[test]
    fn a_headline_has_no_list_of_properties() {
        assert_eq!(headline("{A:800015:L:en}Apple rises"), "Apple rises");
        assert_eq!(headline("AT&amp;T falls"), "AT&T falls");
        assert_eq!(headline("{ open"), "{ open");
    }
}
