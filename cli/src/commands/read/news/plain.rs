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

/// Tags that end a line become ends of lines, all others go; so do comments, and what is meant for
/// browsers alone.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        // Line ends of the source mean nothing in HTML.
        text.push_str(&before.replace(['\n', '\r'], " "));
        if let Some(comment) = behind.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, behind)| behind);
            continue;
        }
        let Some((tag, behind)) = behind.split_once('>') else {
            // A sign, and not a tag.
            text.push('<');
            text.push_str(behind);
            return text;
        };
        let name = tag.trim_start_matches('/').split([' ', '/', '\t', '\n']).next().unwrap_or("");
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "p" | "div" | "table" | "h1" | "h2" | "h3" | "pre" | "ul" => text.push_str("\n\n"),
            "br" | "tr" | "li" => text.push('\n'),
            "td" | "th" => text.push(' '),
            _ => {}
        }
        let is_hidden = matches!(name.as_str(), "script" | "style");
        rest = if is_hidden && !tag.starts_with('/') && !tag.ends_with('/') {
            behind_end(behind, &name)
        } else {
            behind
        };
    }
    text.push_str(&rest.replace(['\n', '\r'], " "));
    text
}

/// What begins with the end tag of an element; nothing if it has none.
fn behind_end<'a>(html: &'a str, name: &str) -> &'a str {
    let mut ends = html.match_indices("</").map(|(place, _)| place);
    let is_wanted = |place: &usize| {
        let start = *place + 2;
        html.get(start..start + name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name))
    };
    ends.find(is_wanted).map_or("", |place| &html[place..])
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let end = behind.bytes().take(LONGEST_NAME).position(|byte| byte == b';');
        let found = end.and_then(|end| Some((sign(&behind[..end])?, end)));
        rest = match found {
            Some((sign, end)) => {
                out.push(sign);
                &behind[end + 1..]
            }
            None => {
                out.push('&');
                behind
            }
        };
    }
    out.push_str(rest);
    out
}

/// What `&name;` stands for: a number, or one of the names that news are written with.
fn sign(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let number = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return number.ok().and_then(char::from_u32);
    }
    SIGNS.iter().find(|(known, _)| *known == name).map(|(_, sign)| *sign)
}

/// With the `;` behind it.
const LONGEST_NAME: usize = 10;

const SIGNS: [(&str, char); 20] = [
    ("amp", '&'),
    ("apos", '\''),
    ("bull", '•'),
    ("cent", '¢'),
    ("copy", '©'),
    ("euro", '€'),
    ("gt", '>'),
    ("hellip", '…'),
    ("ldquo", '“'),
    ("lsquo", '‘'),
    ("lt", '<'),
    ("mdash", '—'),
    ("nbsp", ' '),
    ("ndash", '–'),
    ("pound", '£'),
    ("quot", '"'),
    ("rdquo", '”'),
    ("reg", '®'),
    ("rsquo", '’'),
    ("trade", '™'),
];

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
    fn what_is_meant_for_browsers_is_not_read() {
        let html = "<head><STYLE type='a'>p > b {}</Style><script>if (a<b) alert(1)</script></head>\
                    <!-- <p>no --><p>One<script src='x'/> two</p>";
        assert_eq!(text_of(html), "One two");
        assert_eq!(text_of("One <style>p{}"), "One", "without an end");
    }

    #[test]
    fn signs_are_read_by_number_and_by_name() {
        assert_eq!(
            headline("Apple&#8217;s &ldquo;one&#x201D; &mdash; &#39;5&#39;"),
            "Apple’s “one” — '5'"
        );
        assert_eq!(headline("&amp;lt; stays &lt;"), "&lt; stays <");
        for text in ["AT&T; S&P", "&#xD800;", "&#-5;", "&unknown;", "a & b"] {
            assert_eq!(headline(text), text);
        }
    }

    #[test]
    fn a_headline_has_no_list_of_properties() {
        assert_eq!(headline("{A:800015:L:en}Apple rises"), "Apple rises");
        assert_eq!(headline("AT&amp;T falls"), "AT&T falls");
        assert_eq!(headline("{ open"), "{ open");
    }
}
