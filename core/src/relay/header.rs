//! A header taken apart into its fields, and repaired: what must be there once is there once (D2), nobody's machine
//! answers (D4), nothing tells of the inside (D19), and who is named in a CC gets the mail (D20).

use std::net::Ipv4Addr;

use email_encoding::headers::{rfc2047, writer::EmailWriter};
use ring::digest::{SHA256, digest};

use crate::mail::address;

/// RFC 5322 section 2.1.1, less CRLF.
pub(super) const MAX_LINE: usize = 998;
const FOLD_AT: usize = 78;

/// One field of a header, its octets as they came.
pub(super) struct Field<'x> {
    name: &'x str,
    /// From the name to the last CRLF.
    raw: &'x [u8],
}

impl Field<'_> {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    pub(super) fn raw(&self) -> &[u8] {
        self.raw
    }

    /// The value on one line.
    pub(super) fn value(&self) -> String {
        let value = self.raw.get(self.name.len() + 1..).unwrap_or_default();
        String::from_utf8_lossy(value).replace("\r\n", "").trim().to_owned()
    }

    fn is_too_long(&self) -> bool {
        self.raw.split(|octet| *octet == b'\n').any(|line| line.len() > MAX_LINE + 1)
    }
}

/// Splits what `message` begins with into fields, up to an empty line or the end; the second is where the body begins.
/// `None` where a line is neither a field nor goes on with one. Lines end with CRLF.
pub(super) fn fields(message: &[u8]) -> Option<(Vec<Field<'_>>, usize)> {
    let mut fields: Vec<Field<'_>> = Vec::new();
    let mut at = 0;
    loop {
        let rest = message.get(at..)?;
        if rest.is_empty() {
            return Some((fields, at));
        }
        let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let line = rest.get(..end)?;
        if line == b"\r\n" {
            return Some((fields, at + 2));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            let last = fields.last_mut()?;
            let begin = at - last.raw.len();
            last.raw = message.get(begin..at + end)?;
        } else {
            let colon = line.iter().position(|octet| *octet == b':')?;
            let name = std::str::from_utf8(line.get(..colon)?).ok()?.trim_end_matches([' ', '\t']);
            // White space before the colon is obsolete; the name's end is then not the colon's place.
            if name.is_empty() || name.len() != colon || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
                return None;
            }
            fields.push(Field { name, raw: line });
        }
        at += end;
    }
}

/// What a header is repaired with.
pub(super) struct Repair<'a> {
    /// For a From that names nobody.
    pub(super) from: &'a str,
    /// Whether From, To and CC could be read, and whether all in CC get the mail.
    pub(super) has_from: bool,
    pub(super) has_to: bool,
    pub(super) cc_is_served: bool,
    pub(super) has_date: bool,
    pub(super) recipients: &'a [String],
    /// As RFC 5322 has it.
    pub(super) date: &'a str,
    pub(super) message_id: &'a MessageId,
    /// Whether it may say `Precedence: bulk`.
    pub(super) bulk: bool,
    /// The body was encoded anew: its Content-Transfer-Encoding.
    pub(super) encoding: Option<&'static str>,
}

/// Fields that leave no more (D19): a provider's categories, and traces of where the mail has been.
const DROPPED: [&str; 9] = [
    "X-SMTPAPI",
    "Received",
    "Return-Path",
    "Bcc",
    "Resent-Bcc",
    "X-Originating-IP",
    "X-Original-To",
    "Delivered-To",
    "X-Mailer",
];
/// Fields that stand in a header once (RFC 5322 section 3.6, RFC 2045, RFC 3834); the first counts.
const ONCE: [&str; 16] = [
    "From",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "Reply-To",
    "Sender",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "Precedence",
];

/// The repaired header, the empty line after it included.
pub(super) fn repaired(fields: &[Field<'_>], repair: &Repair<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut written: Vec<&str> = Vec::new();
    for field in fields {
        let once = ONCE.iter().find(|name| field.is(name)).copied();
        if is_dropped(field, repair) || once.is_some_and(|name| written.contains(&name)) {
            continue;
        }
        written.extend(once);
        match once {
            Some("Message-ID") => write(&mut out, "Message-ID", &repair.message_id.new),
            Some(name @ ("In-Reply-To" | "References")) => match repair.message_id.moved(&field.value()) {
                Some(value) => write(&mut out, name, &value),
                None => keep(&mut out, field),
            },
            Some("Auto-Submitted") => write(&mut out, "Auto-Submitted", "auto-generated"),
            Some("X-Auto-Response-Suppress") => write(&mut out, "X-Auto-Response-Suppress", "All"),
            Some("Content-Transfer-Encoding") if repair.encoding.is_some() => {
                write(&mut out, "Content-Transfer-Encoding", repair.encoding.unwrap_or_default());
            }
            _ => keep(&mut out, field),
        }
    }
    let missing = |name: &&str| !written.contains(name);
    for name in ONCE.iter().filter(|name| missing(name)) {
        match *name {
            "From" => write(&mut out, name, &format!("<{}>", repair.from)),
            "To" => match repair.recipients {
                [one] => write(&mut out, name, &format!("<{one}>")),
                _ => write(&mut out, name, "undisclosed-recipients:;"),
            },
            "Subject" => write(&mut out, name, "(no subject)"),
            "Date" => write(&mut out, name, repair.date),
            "Message-ID" => write(&mut out, name, &repair.message_id.new),
            "MIME-Version" => write(&mut out, name, "1.0"),
            "Auto-Submitted" => write(&mut out, name, "auto-generated"),
            "X-Auto-Response-Suppress" => write(&mut out, name, "All"),
            "Content-Transfer-Encoding" => {
                if let Some(encoding) = repair.encoding {
                    write(&mut out, name, encoding);
                }
            }
            _ => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn is_dropped(field: &Field<'_>, repair: &Repair<'_>) -> bool {
    DROPPED.iter().any(|name| field.is(name))
        || field.is("From") && !repair.has_from
        || field.is("To") && !repair.has_to
        || field.is("Date") && !repair.has_date
        || field.is("Cc") && !repair.cc_is_served
        || field.is("Subject") && field.value().is_empty()
        || field.is("Precedence") && !repair.bulk
        || field.name.to_ascii_lowercase().starts_with("x-") && names_the_inside(&field.value())
}

/// Whether a value names a host that only the inside knows: a private address, or a name of no public zone (RFC 1918,
/// 6761, 6762, 8375, and what ICANN set aside for private use).
fn names_the_inside(value: &str) -> bool {
    let words = value.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
    words.map(|word| word.trim_matches('.').to_ascii_lowercase()).any(|word| {
        let private = |v4: Ipv4Addr| v4.is_private() || v4.is_loopback() || v4.is_link_local();
        let zones =
            [".localhost", ".local", ".internal", ".localdomain", ".lan", ".intranet", ".corp", ".home.arpa"];
        word == "localhost"
            || word.parse().is_ok_and(private)
            || zones.iter().any(|zone| word.ends_with(zone))
    })
}

/// A mail's name and, where it had another domain before, how to find that in References.
pub(super) struct MessageId {
    /// With angle brackets, under From's domain.
    pub(super) new: String,
    domain: String,
    old_domain: Option<String>,
}

impl MessageId {
    /// Under `domain` (D2). The left-hand side stays, as replies and threads refer to it; where there is no good one
    /// it is made from `seed`, the same at every attempt.
    pub(super) fn under(domain: &str, fields: &[Field<'_>], seed: &[u8; 32]) -> Self {
        let old = fields.iter().find(|field| field.is("Message-ID")).map(Field::value);
        let old = old.as_deref().and_then(|id| id.strip_prefix('<')?.strip_suffix('>')?.rsplit_once('@'));
        let good = |left: &str| {
            let atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&octet);
            (1..=200).contains(&left.len()) && left.bytes().all(atext) && !left.split('.').any(str::is_empty)
        };
        match old.filter(|(left, _)| good(left)) {
            Some((left, old_domain)) => Self {
                new: format!("<{left}@{domain}>"),
                domain: domain.to_owned(),
                old_domain: (!old_domain.eq_ignore_ascii_case(domain)).then(|| old_domain.to_owned()),
            },
            None => {
                let hash = digest(&SHA256, &[b"postroom: a passed mail's name\0".as_slice(), seed].concat());
                let left: String =
                    hash.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
                Self { new: format!("<{left}@{domain}>"), domain: domain.to_owned(), old_domain: None }
            }
        }
    }

    /// References whose names moved with ours; `None` where none did.
    fn moved(&self, references: &str) -> Option<String> {
        let old = format!("@{}>", self.old_domain.as_deref()?);
        references.contains(&old).then(|| references.replace(&old, &format!("@{}>", self.domain)))
    }
}

/// The domain of an address in A-labels; `None` where it has none that can stand in a Message-ID.
pub(super) fn domain_of(address: &str) -> Option<String> {
    let (_, domain) = address.rsplit_once('@')?;
    address::ascii_domain(domain)
}

fn keep(out: &mut Vec<u8>, field: &Field<'_>) {
    if field.is_too_long() {
        write(out, field.name, &field.value());
    } else {
        out.extend_from_slice(field.raw);
    }
}

/// Writes a field, folded where there is white space (RFC 5322 section 2.2.3). Words for people without any are
/// encoded (RFC 2047), which makes some.
fn write(out: &mut Vec<u8>, name: &str, value: &str) {
    let structured =
        ["From", "To", "Cc", "Reply-To", "Sender", "In-Reply-To", "References", "Message-ID", "Date"];
    let is_structured = structured.iter().any(|known| known.eq_ignore_ascii_case(name))
        || name.to_ascii_lowercase().starts_with("content-");
    if !is_structured && value.split(' ').any(|word| word.len() > MAX_LINE / 2) {
        let mut encoded = String::new();
        let mut writer = EmailWriter::new(&mut encoded, name.len() + 2, 0, false);
        // Writing to a String cannot fail.
        let _ = rfc2047::encode(value, &mut writer);
        drop(writer);
        out.extend_from_slice(format!("{name}: {encoded}\r\n").as_bytes());
        return;
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = name.len() + 1;
    // Lists of addresses may be written without a space.
    let spaced =
        if is_structured && value.len() > MAX_LINE / 2 { value.replace(',', ", ") } else { value.to_owned() };
    for (at, word) in spaced.split_ascii_whitespace().enumerate() {
        if at > 0 && column + 1 + word.len() > FOLD_AT {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
