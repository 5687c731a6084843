//! A text for people from an HTML part (D11): words, breaks, lists, and where each link leads.
//!
//! No parser of HTML, which would weigh more than the rest of the relay: it has to be good at what Mattermost's
//! templates and Markdown make, and harmless with the rest. One pass, linear in its input.

/// Elements whose content is not to be read.
const SILENT: [&str; 6] = ["head", "style", "script", "template", "title", "noscript"];
/// Elements that begin a line, and end one.
const BLOCKS: [&str; 18] = [
    "address",
    "article",
    "blockquote",
    "dd",
    "div",
    "dl",
    "dt",
    "footer",
    "header",
    "li",
    "ol",
    "pre",
    "section",
    "table",
    "tr",
    "ul",
    "hr",
    "center",
];
/// Elements with an empty line before and after.
const PARAGRAPHS: [&str; 7] = ["p", "h1", "h2", "h3", "h4", "h5", "h6"];
const VOID: [&str; 8] = ["area", "br", "col", "hr", "img", "input", "link", "meta"];
/// The longest name below, and the longest number (`&#x10FFFF;`).
const MAX_REFERENCE: usize = 8;
/// The references that Go's templates, Markdown and mail editors write; letters they write as they are. mail-parser
/// knows them all, but not on a 32-bit target: the perfect hash it looks them up by is cut short there (hashify 0.2.9).
const ENTITIES: [(&str, char); 32] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", '\u{a0}'),
    ("ensp", '\u{2002}'),
    ("emsp", '\u{2003}'),
    ("thinsp", '\u{2009}'),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("shy", '\u{ad}'),
    ("copy", '\u{a9}'),
    ("reg", '\u{ae}'),
    ("trade", '\u{2122}'),
    ("hellip", '\u{2026}'),
    ("ndash", '\u{2013}'),
    ("mdash", '\u{2014}'),
    ("lsquo", '\u{2018}'),
    ("rsquo", '\u{2019}'),
    ("sbquo", '\u{201a}'),
    ("ldquo", '\u{201c}'),
    ("rdquo", '\u{201d}'),
    ("bdquo", '\u{201e}'),
    ("laquo", '\u{ab}'),
    ("raquo", '\u{bb}'),
    ("bull", '\u{2022}'),
    ("middot", '\u{b7}'),
    ("times", '\u{d7}'),
    ("larr", '\u{2190}'),
    ("rarr", '\u{2192}'),
    ("euro", '\u{20ac}'),
];

/// Character references resolved; those that are none of ours, and all else, as they were.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (c, len) = reference(from).unwrap_or(('&', 1));
        out.push(c);
        rest = from.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character that a reference at the beginning of `from` stands for, and the reference's length.
fn reference(from: &str) -> Option<(char, usize)> {
    let end = from.bytes().take(MAX_REFERENCE + 2).position(|octet| octet == b';')?;
    let name = from.get(1..end)?;
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let (digits, radix) = number.strip_prefix(['x', 'X']).map_or((number, 10), |digits| (digits, 16));
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            let code = u32::from_str_radix(digits, radix).ok()?;
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        None => ENTITIES.iter().find(|(known, _)| *known == name)?.1,
    };
    Some((c, end + 1))
}

/// The text of a document; lines end with LF, no line begins or ends with a space, no two in a row are empty.
pub(super) fn to_text(html: &str) -> String {
    let mut writer = Writer::default();
    let mut hidden: Option<(String, usize)> = None;
    let mut rest = html;
    while !rest.is_empty() {
        let Some(at) = rest.find('<') else {
            if hidden.is_none() {
                writer.text(rest);
            }
            break;
        };
        let (before, from) = rest.split_at(at);
        if hidden.is_none() {
            writer.text(before);
        }
        let Some((tag, after)) = Tag::read(from) else {
            if hidden.is_none() {
                writer.text("<");
            }
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        rest = after;
        if let Some((name, depth)) = &mut hidden {
            if tag.name == *name {
                *depth = if tag.closes { depth.saturating_sub(1) } else { *depth + 1 };
            }
            if *depth == 0 {
                hidden = None;
            }
        } else if !tag.closes && SILENT.contains(&tag.name.as_str()) {
            rest = after_end_of(&tag.name, rest);
        } else if !tag.closes && tag.is_hidden() && !VOID.contains(&tag.name.as_str()) {
            hidden = Some((tag.name, 1));
        } else {
            writer.tag(&tag);
        }
    }
    writer.finish()
}

/// What follows the end tag of a silent element, or nothing.
fn after_end_of<'a>(name: &str, rest: &'a str) -> &'a str {
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|rest| rest.find("</")) {
        let at = from + at + 2;
        let end = rest.get(at..).unwrap_or_default();
        if end.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return end.split_once('>').map_or("", |(_, after)| after);
        }
        from = at;
    }
    ""
}

struct Tag {
    /// Lower case; empty for comments, declarations and instructions.
    name: String,
    closes: bool,
    attributes: Vec<(String, String)>,
}

impl Tag {
    /// Reads the tag that `from` begins with, and gives what follows it; `None` where a `<` is just a `<`.
    fn read(from: &str) -> Option<(Self, &str)> {
        let nothing =
            |after| Some((Self { name: String::new(), closes: false, attributes: Vec::new() }, after));
        if let Some(comment) = from.strip_prefix("<!--") {
            return nothing(comment.split_once("-->").map_or("", |(_, after)| after));
        }
        if from.starts_with("<!") || from.starts_with("<?") {
            return nothing(from.split_once('>').map_or("", |(_, after)| after));
        }
        let inner = from.strip_prefix('<')?;
        let (closes, inner) = inner.strip_prefix('/').map_or((false, inner), |inner| (true, inner));
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let end =
            inner.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(inner.len());
        let (name, rest) = inner.split_at(end);
        let (attributes, rest) = attributes(rest);
        Some((Self { name: name.to_ascii_lowercase(), closes, attributes }, rest))
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    fn is_hidden(&self) -> bool {
        let style: String = self.attribute("style").chars().filter(|c| !c.is_whitespace()).collect();
        style.to_ascii_lowercase().contains("display:none")
    }
}

/// Reads attributes up to the tag's end; a quote that is never closed runs to the end of the document.
fn attributes(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut out = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if let Some(after) = rest.strip_prefix('>') {
            return (out, after);
        }
        if rest.is_empty() {
            return (out, "");
        }
        let end = rest
            .find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>' | '='))
            .unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            // A stray sign is stepped over, so that each turn goes on.
            rest = if end == 0 { after.get(1..).unwrap_or_default() } else { after };
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => {
                let value = value.get(1..).unwrap_or_default();
                value.split_once(quote).unwrap_or((value, ""))
            }
            None => value
                .split_at(value.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(value.len())),
        };
        out.push((name.to_ascii_lowercase(), unescape(value)));
        rest = after;
    }
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Line ends due before the next word.
    breaks: usize,
    space: bool,
    /// Where the open link leads, and where its words begin.
    link: Option<(String, usize)>,
}

impl Writer {
    fn text(&mut self, escaped: &str) {
        let text = unescape(escaped);
        for c in text.chars() {
            if c.is_whitespace() || c == '\u{a0}' {
                self.space = true;
            } else if !c.is_control() && !is_invisible(c) {
                self.separate();
                self.out.push(c);
            }
        }
    }

    /// Writes the break or the space that is due.
    fn separate(&mut self) {
        if self.out.is_empty() {
            self.breaks = 0;
        } else if self.breaks > 0 {
            self.out.extend(std::iter::repeat_n('\n', self.breaks.min(2)));
        } else if self.space {
            self.out.push(' ');
        }
        (self.breaks, self.space) = (0, false);
    }

    fn word(&mut self, word: &str) {
        self.space = true;
        self.separate();
        self.out.push_str(word);
        self.space = true;
    }

    fn tag(&mut self, tag: &Tag) {
        match tag.name.as_str() {
            "br" => self.breaks += 1,
            "td" | "th" => self.space = true,
            "li" if !tag.closes => {
                self.breaks = self.breaks.max(1);
                self.word("-");
            }
            "img" => {
                let alt = tag.attribute("alt").trim().to_owned();
                if !alt.is_empty() {
                    self.text(&format!(" {} ", alt.replace('&', "&amp;")));
                }
            }
            "a" if tag.closes => self.end_link(),
            "a" => {
                self.end_link();
                let href = tag.attribute("href").trim();
                if is_readable_link(href) {
                    self.link = Some((href.to_owned(), self.out.len()));
                }
            }
            name if PARAGRAPHS.contains(&name) => self.breaks = self.breaks.max(2),
            name if BLOCKS.contains(&name) => self.breaks = self.breaks.max(1),
            _ => {}
        }
    }

    fn end_link(&mut self) {
        let Some((href, begin)) = self.link.take() else { return };
        let words = self.out.get(begin..).unwrap_or_default();
        let shown = href.strip_prefix("mailto:").unwrap_or(&href);
        if words.contains(shown) {
            return;
        }
        // A link around a picture and one around its caption often lead to the same place.
        if words.trim().is_empty() && self.out.trim_end().ends_with(&format!("<{href}>")) {
            return;
        }
        let breaks = std::mem::take(&mut self.breaks);
        self.word(&format!("<{href}>"));
        self.breaks = breaks;
    }

    fn finish(mut self) -> String {
        self.end_link();
        let mut out = String::with_capacity(self.out.len() + 1);
        for line in self.out.lines() {
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// An address that a person can follow from a text.
fn is_readable_link(href: &str) -> bool {
    let leads_out = ["http://", "https://", "mailto:"].iter().any(|scheme| href.starts_with(scheme));
    leads_out && !href.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>'))
}

/// Fillers of preheaders, and joiners without a word to join.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(html: &str, expected: &str) {
        assert_eq!(to_text(html), expected, "{html}");
    }

    #[test]
    fn words_and_breaks() {
        check("", "");
        check(" \n ", "");
        check("a  b\n c", "a b c\n");
        check("<p>a</p><p>b</p>", "a\n\nb\n");
        check("a<br>b<br/><br />c<br><br><br><br>d", "a\nb\n\nc\n\nd\n");
        check("<div><div>a</div></div><div>b</div>", "a\nb\n");
        check("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n");
        check("<ul><li>a</li><li>b <b>c</b></li></ul>d", "- a\n- b c\nd\n");
        check("a&amp;b &lt;i&gt; &#228;&#xe4; &nbsp; &nope; & &;", "a&b <i> ää &nope; & &;\n");
        check(
            "&#x10FFFF; &#xD800; &#+1; &#; &#x; &#9999999; &amp",
            "\u{10ffff} \u{fffd} &#+1; &#; &#x; \u{fffd} &amp\n",
        );
        check("&copy; 2026&nbsp;A &rarr; &hellip; &Auml;", "\u{a9} 2026 A \u{2192} \u{2026} &Auml;\n");
        check("a < b <3 <", "a < b <3 <\n");
        check("a&zwnj;b\u{ad}c&#0;d", "a\u{200c}bcd\n");
    }

    #[test]
    fn what_is_not_to_be_read() {
        check("<head><title>x</title></head><STYLE>p{}</style>a<script>'<p>'</script >b", "ab\n");
        check("a<!-- <p>x</p> -->b<!--[if mso]><p>x</p><![endif]-->c<!doctype html><?xml ?>d", "abcd\n");
        check("a<div style='Display: None'>x<div>y</div>z</div>b", "ab\n");
        check("a<style>never closed", "a\n");
        check("a<!-- never closed", "a\n");
        check("a<p title=\"never closed>b", "a\n");
    }

    #[test]
    fn links() {
        check("<a href='https://a.example/?b=1&amp;c=2'>Go</a> on", "Go <https://a.example/?b=1&c=2> on\n");
        check("<a href=\"https://a.example\">https://a.example</a>", "https://a.example\n");
        check("<a href=\"mailto:a@b.example\">a@b.example</a>", "a@b.example\n");
        check("<a href=https://a.example><img alt='A&amp;B'></a>", "A&B <https://a.example>\n");
        check("<a href=https://a.example><img></a><a href=https://a.example></a>", "<https://a.example>\n");
        check("<p><a href='https://a.example'>Go</a></p><p>b</p>", "Go <https://a.example>\n\nb\n");
        check("<a href='javascript:alert(1)'>a</a> <a href='#x'>b</a> <a>c</a>", "a b c\n");
        check("<a href='https://a.example'>a", "a <https://a.example>\n");
    }

    proptest! {
        #[test]
        fn never_panics_and_keeps_its_promise(html in "(<|>|a|/|p|=|\"|'|&|;|#|!|-|br|style|div| |\n|あ|https://x|href|display:none){0,60}") {
            let text = to_text(&html);
            prop_assert!(!text.contains("\n\n\n"));
            for line in text.lines() {
                prop_assert_eq!(line.trim_end(), line);
            }
            unescape(&html);
        }

        #[test]
        fn anything(html in any::<String>()) {
            to_text(&html);
        }
    }
}
