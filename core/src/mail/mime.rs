//! The message as RFC 5322, 2045 and 2047 have it, by lettre. What lettre would ask a clock or a random source for is
//! always given: Date, Message-ID, boundary.

use std::fmt::Write as _;

use email_encoding::headers::{quoted_string, rfc2047, writer::EmailWriter};
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};

use super::transfer::encode;
use crate::Error;

/// What a message is made of. All of it has been checked for line breaks, but for the two bodies.
pub(super) struct Parts<'a> {
    pub(super) from: &'a Address,
    pub(super) from_name: &'a str,
    pub(super) to: &'a Address,
    pub(super) reply_to: Option<&'a Address>,
    pub(super) subject: &'a str,
    pub(super) date: &'a str,
    pub(super) message_id: &'a str,
    pub(super) boundary: &'a str,
    pub(super) language: &'a str,
    pub(super) text: &'a str,
    pub(super) html: &'a str,
}

/// Formats the message: CRLF line ends, no line above 998 octets, 7-bit but for a recipient's local part.
pub(super) fn message(parts: &Parts<'_>) -> Result<Vec<u8>, Error> {
    let fault = |_| Error::internal("lettre refused to build a message");
    let envelope = Envelope::new(Some(parts.from.clone()), vec![parts.to.clone()]).map_err(fault)?;
    let mut message = Message::builder()
        .envelope(envelope)
        .raw_header(from(parts.from_name, parts.from))
        .to(Mailbox::new(None, parts.to.clone()))
        .raw_header(encoded("Subject", parts.subject))
        .raw_header(ready("Date", parts.date))
        .raw_header(ready("Message-ID", parts.message_id));
    if let Some(address) = parts.reply_to {
        message = message.reply_to(Mailbox::new(None, address.clone()));
    }
    let kind = format!("multipart/alternative; boundary=\"{}\"", parts.boundary);
    let kind = ContentType::parse(&kind).map_err(|_| Error::internal("a MIME boundary that is none"))?;
    let body = MultiPart::builder()
        .header(kind)
        .singlepart(SinglePart::plain(encode(parts.text)))
        .singlepart(SinglePart::html(encode(parts.html)));
    let message = message
        .raw_header(ready("Content-Language", parts.language))
        .raw_header(ready("Auto-Submitted", "auto-generated"))
        .raw_header(ready("X-Auto-Response-Suppress", "All"))
        .multipart(body)
        .map_err(fault)?;
    Ok(message.formatted())
}

/// A value that needs no encoding: made by us, ASCII, short.
fn ready(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str(name),
        value.to_owned(),
        value.to_owned(),
    )
}

/// Words for people: encoded and folded (RFC 2047). Words that only look encoded are encoded too, or a reader would
/// decode what nobody encoded.
fn encoded(name: &'static str, value: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    if !value.contains("=?") {
        return HeaderValue::new(name, value.to_owned());
    }
    let mut out = String::new();
    let mut writer = EmailWriter::new(&mut out, name.len() + 2, 0, false);
    // Writing to a String cannot fail.
    let _ = rfc2047::encode(value, &mut writer);
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), out)
}

/// lettre reads a From header's raw value back, only to see that it is there, and stumbles over names and address
/// literals that it wrote itself; so what there is to be read back is a stand-in. It goes nowhere.
fn from(name: &str, address: &Address) -> HeaderValue {
    let mut out = String::new();
    let mut writer = EmailWriter::new(&mut out, "From: ".len(), 0, false);
    // Writing to a String cannot fail.
    let _ = quoted_string::encode(name, &mut writer);
    writer.space();
    let _ = write!(writer, "<{address}>");
    drop(writer);
    HeaderValue::dangerous_new_pre_encoded(
        HeaderName::new_from_ascii_str("From"),
        "from@localhost".to_owned(),
        out,
    )
}
