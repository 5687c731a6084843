//! A mail taken apart.

use mail_parser::{Message, MessageParser, PartType};

use super::header::{Field, fields};
use super::html;

/// A mail that could be read.
pub(super) struct Mail<'x> {
    pub(super) parsed: Message<'x>,
    /// The header, field by field.
    pub(super) fields: Vec<Field<'x>>,
    /// Where the body begins.
    pub(super) body_at: usize,
    pub(super) subject: String,
}

impl<'x> Mail<'x> {
    /// Reads a message; `None` where its header is none, or leaves open how its body is to be read.
    pub(super) fn read(message: &'x [u8]) -> Option<Self> {
        let (fields, body_at) = fields(message)?;
        let twice = |name: &str| fields.iter().filter(|field| field.is(name)).count() > 1;
        if fields.is_empty() || twice("Content-Type") || twice("Content-Transfer-Encoding") {
            return None;
        }
        let parsed = MessageParser::default().parse(message)?;
        let subject = parsed.subject().unwrap_or_default().trim().to_owned();
        Some(Self { parsed, fields, body_at, subject })
    }

    /// Its texts for people, HTML's character references resolved.
    pub(super) fn texts(&self) -> Vec<String> {
        let bodies = self.parsed.html_bodies().chain(self.parsed.text_bodies());
        let texts = bodies.filter_map(|part| match &part.body {
            PartType::Html(text) => Some(html::unescape(text)),
            PartType::Text(text) if !text.trim().is_empty() => Some(text.to_string()),
            _ => None,
        });
        // A mail of one part is both its HTML body and its text body.
        let mut out: Vec<String> = Vec::new();
        for text in texts {
            if out.last() != Some(&text) {
                out.push(text);
            }
        }
        out
    }
}

/// Every bare CR and bare LF made CRLF (S31): what ends a line for one server and not for the next can hide a
/// second mail. Gives whether there was one.
pub(super) fn with_crlf(message: Vec<u8>) -> (Vec<u8>, bool) {
    let mut before = 0;
    let bare = |octet: &u8| {
        let stray = (*octet == b'\n') != (before == b'\r');
        before = *octet;
        stray
    };
    if !message.iter().any(bare) && message.last() != Some(&b'\r') {
        return (message, false);
    }
    let mut out = Vec::with_capacity(message.len() + message.len() / 32);
    let mut octets = message.iter().peekable();
    while let Some(octet) = octets.next() {
        match octet {
            b'\r' => {
                octets.next_if_eq(&&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(*other),
        }
    }
    (out, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        let check = |given: &str, expected: &str| {
            let (out, changed) = with_crlf(given.as_bytes().to_vec());
            assert_eq!(
                (String::from_utf8(out).unwrap().as_str(), changed),
                (expected, given != expected),
                "{given:?}"
            );
        };
        check("", "");
        check("a\r\nb\r\n", "a\r\nb\r\n");
        check("a\nb", "a\r\nb");
        check("a\rb", "a\r\nb");
        check("a\r", "a\r\n");
        check("a\n\rb", "a\r\n\r\nb");
        check("a\r\r\nb", "a\r\n\r\nb");
        check("a\r\n\n.\r\n", "a\r\n\r\n.\r\n");
    }
}
