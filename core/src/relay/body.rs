//! A body that leaves as it came, but for two things: a text part that is empty beside an HTML part gets a text (D11),
//! and a part with octets or lines that SMTP has no room for is encoded (D1).

use mail_parser::{Encoding, MessagePart, PartType};

use super::header::{MAX_LINE, fields};
use super::html;
use super::read::Mail;
use crate::mail::encode_text;

/// What is done to a body.
#[derive(Default)]
pub(super) struct Repaired {
    pub(super) body: Vec<u8>,
    /// A body that is a single part was encoded: what its header has to say.
    pub(super) encoding: Option<&'static str>,
    pub(super) text_made: bool,
    pub(super) encoded: bool,
}

/// One place of the message that changes.
struct Edit {
    begin: usize,
    end: usize,
    octets: Vec<u8>,
}

/// Repairs the body of `message`, from [`Mail::body_at`] on.
pub(super) fn repaired(message: &[u8], mail: &Mail<'_>) -> Repaired {
    let mut out = Repaired::default();
    let mut edits = Vec::new();
    let text = empty_text(mail);
    for (at, part) in mail.parsed.parts.iter().enumerate() {
        let (begin, end) = (offset(part.offset_body), offset(part.offset_end));
        let raw = message.get(begin..end).unwrap_or_default();
        if let Some((_, html)) = text.as_ref().filter(|(empty, _)| *empty == at) {
            let (body, encoding) = encode_text(&html::to_text(html));
            let edit = part_edit(message, part, Some("text/plain; charset=utf-8"), encoding, &body);
            out.text_made = edit.is_some();
            edits.extend(edit);
        } else if let Some((body, encoding)) = encoded(part, raw) {
            out.encoded = true;
            if at == 0 {
                out.encoding = Some(encoding);
                out.body = body;
                return out;
            }
            edits.extend(part_edit(message, part, None, encoding, &body));
        }
    }
    let mut from = mail.body_at;
    for edit in edits {
        // Parts are in the message's order and don't overlap; one that does is left as it is.
        let Some(kept) = message.get(from..edit.begin) else { continue };
        out.body.extend_from_slice(kept);
        out.body.extend_from_slice(&edit.octets);
        from = edit.end;
    }
    out.body.extend_from_slice(message.get(from..).unwrap_or_default());
    out
}

fn offset(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// A text part without a word, and the HTML that says what should stand there.
fn empty_text<'a>(mail: &'a Mail<'_>) -> Option<(usize, &'a str)> {
    let html = mail.parsed.html_bodies().find_map(|part| match &part.body {
        PartType::Html(html) if !html.trim().is_empty() => Some(html.as_ref()),
        _ => None,
    })?;
    let empty = mail.parsed.text_body.iter().copied().find(|id| {
        let part = mail.parsed.part(*id);
        part.is_some_and(|part| matches!(&part.body, PartType::Text(text) if text.trim().is_empty()))
    })?;
    Some((offset(empty), html)).filter(|(at, _)| *at > 0)
}

/// The change of a part's header and body; `None` where its header can't be taken apart, or nothing would tell where
/// it ends.
fn part_edit(
    message: &[u8],
    part: &MessagePart<'_>,
    content_type: Option<&str>,
    encoding: &str,
    body: &[u8],
) -> Option<Edit> {
    let (begin, body_at) = (offset(part.offset_header), offset(part.offset_body));
    let end = offset(part.offset_end).max(body_at);
    let header = message.get(begin..body_at)?;
    let (fields, header_end) = fields(header)?;
    if header_end != header.len() {
        return None;
    }
    let mut octets = Vec::with_capacity(header.len() + body.len() + 64);
    for field in &fields {
        if !(field.is("Content-Transfer-Encoding") || content_type.is_some() && field.is("Content-Type")) {
            octets.extend_from_slice(field.raw());
        }
    }
    if let Some(content_type) = content_type {
        octets.extend_from_slice(format!("Content-Type: {content_type}\r\n").as_bytes());
    }
    octets.extend_from_slice(format!("Content-Transfer-Encoding: {encoding}\r\n\r\n").as_bytes());
    octets.extend_from_slice(body);
    let follows = message.get(end..)?;
    if follows.starts_with(b"--") {
        octets.extend_from_slice(b"\r\n");
    } else if !follows.starts_with(b"\r\n") {
        return None;
    }
    Some(Edit { begin, end, octets })
}

/// A leaf in an encoding that SMTP has room for, where it was in none; `None` where it may stay.
fn encoded(part: &MessagePart<'_>, raw: &[u8]) -> Option<(Vec<u8>, &'static str)> {
    if matches!(part.body, PartType::Multipart(_) | PartType::Message(_)) {
        return None; // its parts have their turn
    }
    let long = || {
        raw.split(|octet| *octet == b'\n')
            .any(|line| line.strip_suffix(b"\r").unwrap_or(line).len() > MAX_LINE)
    };
    if raw.is_ascii() && !raw.contains(&0) && !long() {
        return None;
    }
    let is_text = matches!(part.body, PartType::Text(_) | PartType::Html(_));
    match part.encoding {
        Encoding::Base64 => {
            let stream: Vec<u8> = raw.iter().copied().filter(u8::is_ascii_graphic).collect();
            Some((stream.chunks(76).collect::<Vec<_>>().join(b"\r\n".as_slice()), "base64"))
        }
        Encoding::QuotedPrintable => Some((broken(raw), "quoted-printable")),
        Encoding::None => match std::str::from_utf8(raw) {
            Ok(text) if is_text && !raw.contains(&0) => Some(encode_text(&text.replace("\r\n", "\n"))),
            _ => {
                let mut out = String::with_capacity(email_encoding::body::base64::encoded_len(raw.len()));
                // Writing to a String cannot fail.
                let _ = email_encoding::body::base64::encode(raw, &mut out);
                Some((out.into_bytes(), "base64"))
            }
        },
    }
}

/// Quoted-printable with soft line breaks where a line was too long for SMTP, never within an escape.
fn broken(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + raw.len() / 64);
    let mut column = 0;
    for (at, octet) in raw.iter().enumerate() {
        let in_escape = |back: usize| at >= back && raw.get(at - back) == Some(&b'=');
        if matches!(octet, b'\r' | b'\n') {
            column = 0;
        } else if column >= 72 && !in_escape(1) && !in_escape(2) {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if octet.is_ascii() && *octet != 0 {
            out.push(*octet);
            column += 1;
        } else {
            out.extend_from_slice(format!("={octet:02X}").as_bytes());
            column += 3;
        }
    }
    out
}
