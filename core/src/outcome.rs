//! Reading the facts of an SMTP conversation: whose words they are, and what they say.

use std::borrow::Cow;

use crate::{Failure, Outcome, Reply, Step, mail};

/// Octets of a peer's words that are kept.
const TEXT_MAX_OCTETS: usize = 500;

/// What the end of a conversation comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A 2xx to the final dot, and nothing else.
    Accepted,
    /// 4yz: not now.
    Transient,
    /// 5yz: not ever.
    Permanent,
    /// No reply, or one that is no answer to the step.
    Broken(Failure),
}

/// Sums the facts up (RFC 5321 section 4.2.1).
pub(crate) fn verdict(outcome: &Outcome) -> Verdict {
    match (outcome.reply.as_ref().map(|reply| reply.code), outcome.failure) {
        // A peer that refuses and closes has refused.
        (Some(400..=499), _) => Verdict::Transient,
        (Some(500..=599), _) => Verdict::Permanent,
        (Some(200..=299), None) if outcome.step == Step::FinalDot => Verdict::Accepted,
        (_, Some(failure)) => Verdict::Broken(failure),
        (Some(_), None) => Verdict::Broken(Failure::Protocol),
        (None, None) => Verdict::Broken(Failure::Other),
    }
}

/// The enhanced status code at the start of a reply's text (RFC 2034 section 4, RFC 3463 section 2), as
/// `4.2.1`; `None` where there is none or its class is not that of the reply's code.
///
/// ```
/// # use postroom_core::{Reply, outcome::enhanced_code};
/// let reply = Reply { code: 450, text: "4.2.1 mailbox busy".into() };
/// assert_eq!(enhanced_code(&reply), Some("4.2.1"));
/// let reply = Reply { code: 550, text: "4.2.1 mailbox busy".into() };
/// assert_eq!(enhanced_code(&reply), None);
/// ```
#[must_use]
pub fn enhanced_code(reply: &Reply) -> Option<&str> {
    let word = reply.text.split([' ', '\t', '\r', '\n']).next()?;
    let mut parts = word.split('.');
    let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
    let number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|octet| octet.is_ascii_digit());
    let class_fits = matches!(class, "2" | "4" | "5") && class.parse() == Ok(reply.code / 100);
    (class_fits && number(subject) && number(detail) && parts.next().is_none()).then_some(word)
}

/// The peer's words, or where it said nothing those of the library that failed: one line of at most 500
/// octets, without control characters and with addresses masked (S26).
///
/// ```
/// # use postroom_core::{Failure, Outcome, Reply, Step, outcome::peer_words};
/// let reply = Reply { code: 550, text: "5.1.1 <anna@example.com>\r\nunknown".into() };
/// let outcome = Outcome { step: Step::RcptTo, reply: Some(reply), failure: None, detail: String::new() };
/// assert_eq!(peer_words(&outcome), "5.1.1 <a***@example.com> unknown");
/// ```
#[must_use]
pub fn peer_words(outcome: &Outcome) -> String {
    let words = outcome.reply.as_ref().map_or("", |reply| reply.text.as_str());
    let words = one_line(words);
    if words.is_empty() { one_line(&outcome.detail) } else { words }
}

/// A peer's words as one line without controls, their addresses masked, at most 500 octets.
pub(crate) fn one_line(text: &str) -> String {
    let visible: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let mut line = String::new();
    for word in visible.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&mask_addresses(word));
        if line.len() > TEXT_MAX_OCTETS {
            break;
        }
    }
    line.truncate(line.floor_char_boundary(TEXT_MAX_OCTETS));
    line
}

/// Controls, and the marks that turn text around or hide it in a log.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn mask_addresses(word: &str) -> Cow<'_, str> {
    if !word.contains('@') {
        return Cow::Borrowed(word);
    }
    let apart = |c: char| "<>()[]\"',;:=".contains(c);
    let mut out = String::with_capacity(word.len());
    for piece in word.split_inclusive(apart) {
        let (address, end) = piece
            .char_indices()
            .next_back()
            .filter(|(_, c)| apart(*c))
            .map_or((piece, ""), |(at, _)| piece.split_at(at));
        if address.contains('@') {
            out.push_str(&mail::mask(address));
        } else {
            out.push_str(address);
        }
        out.push_str(end);
    }
    Cow::Owned(out)
}

/// The step in plain words, to follow "at".
pub(crate) fn step_words(step: Step) -> &'static str {
    match step {
        Step::Dns => "looking the mail server's name up",
        Step::Connect => "connecting to the mail server",
        Step::Tls => "the TLS handshake",
        Step::Greeting => "the mail server's greeting",
        Step::Ehlo => "the hello (EHLO)",
        Step::Starttls => "starting TLS (STARTTLS)",
        Step::Auth => "logging in to the mail server (AUTH)",
        Step::MailFrom => "naming the sender (MAIL FROM)",
        Step::RcptTo => "naming the recipient (RCPT TO)",
        Step::Data => "offering the message (DATA)",
        Step::Body => "sending the message",
        Step::FinalDot => "the end of the message (final dot)",
    }
}

/// A failure in plain words, with the mend where the admin has one.
pub(crate) fn failure_words(step: Step, failure: Failure) -> &'static str {
    match (failure, step) {
        (Failure::Timeout, _) => "the mail server did not answer in time",
        (Failure::Refused, _) => {
            "the mail server refuses connections; check its name and port, and whether it runs"
        }
        (Failure::Unreachable, _) => "the mail server cannot be reached; check the network and the firewall",
        (Failure::Reset, _) => "the connection was reset",
        (Failure::Closed, _) => "the mail server closed the connection",
        (Failure::Dns, _) => "the mail server's name was not resolved; check the name and the DNS",
        (Failure::Certificate, _) => {
            "the mail server's certificate is not good for its name; check the name, the certificate's dates and its \
             issuer"
        }
        (Failure::Tls, _) => "TLS could not be agreed on; check the connection security and the port",
        (Failure::NotOffered, Step::Starttls) => {
            "the mail server does not offer STARTTLS, which the settings require; nothing was sent in clear text"
        }
        (Failure::NotOffered, Step::Auth) => {
            "the mail server does not offer a way to log in that the settings allow; check the connection security"
        }
        (Failure::NotOffered, _) => {
            "the mail server does not offer what this mail needs, as non-ASCII addresses (SMTPUTF8)"
        }
        (Failure::Protocol, _) => {
            "what answered does not speak SMTP as it should; check the port and the connection security"
        }
        (Failure::OauthRefused, _) => {
            "the identity provider refused an access token; check the client's id, its secret and its permissions there"
        }
        (Failure::OauthUnreachable, _) => {
            "the identity provider gave no access token; check the token URL and the network"
        }
        (Failure::Other, _) => "it failed on this side",
    }
}

/// One sentence: the step, what happened, the peer's words.
pub(crate) fn describe(outcome: &Outcome) -> String {
    describe_with(outcome, None)
}

/// The same, with what to change where that is known: in place of the failure's own words, or after the peer's.
pub(crate) fn describe_with(outcome: &Outcome, advice: Option<&str>) -> String {
    let (step, words) = (step_words(outcome.step), peer_words(outcome));
    let what = match (&outcome.reply, verdict(outcome)) {
        (Some(reply), Verdict::Transient | Verdict::Permanent) => {
            let said = format!("at {step}, the mail server answered {} {words}", reply.code);
            let said = said.trim_end();
            return match advice {
                Some(advice) => format!("{}. {advice}", said.trim_end_matches('.')),
                None => said.to_owned(),
            };
        }
        (_, Verdict::Broken(failure)) => advice.unwrap_or_else(|| failure_words(outcome.step, failure)),
        _ => "accepted",
    };
    let tail = if words.is_empty() { String::new() } else { format!(" ({words})") };
    format!("at {step}: {what}{tail}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(code: u16, text: &str) -> Reply {
        Reply { code, text: text.into() }
    }

    #[test]
    fn enhanced_codes() {
        let check = |code: u16, text: &str, expected: Option<&str>| {
            assert_eq!(enhanced_code(&reply(code, text)), expected, "{code} {text:?}");
        };
        check(250, "2.0.0 Ok: queued as 1", Some("2.0.0"));
        check(450, "4.2.1 busy", Some("4.2.1"));
        check(450, "4.2.1", Some("4.2.1"));
        check(450, "4.2.1\nmore", Some("4.2.1"));
        check(550, "5.7.509 DMARC", Some("5.7.509"));
        check(550, "", None);
        check(550, "no such user", None);
        check(550, "5.1 x", None);
        check(550, "5.1.1.1 x", None);
        check(550, "5.1.1, x", None);
        check(550, "5.1.1000 x", None);
        check(550, "5..1 x", None);
        check(550, "4.1.1 x", None);
        check(550, "2.1.1 x", None);
        check(354, "3.1.1 x", None);
        check(550, "５.1.1 x", None);
        check(550, " 5.1.1 x", None);
        check(0, "0.1.1 x", None);
    }

    #[test]
    fn words() {
        let check = |text: &str, detail: &str, expected: &str| {
            let outcome = Outcome {
                step: Step::RcptTo,
                reply: Some(reply(550, text)),
                failure: None,
                detail: detail.into(),
            };
            assert_eq!(peer_words(&outcome), expected, "{text:?}");
        };
        check("plain", "other", "plain");
        check("", "EOF", "EOF");
        check(" \r\n ", "EOF", "EOF");
        check("a\r\nb\tc\0d\u{1b}[31m", "", "a b c d [31m");
        check("a\u{202e}b\u{2066}c\u{200b}d", "", "a b c d");
        check("<anna@example.com>: unknown", "", "<a***@example.com>: unknown");
        check("rcpt=anna@example.com;x", "", "rcpt=a***@example.com;x");
        check("ünï", "", "ünï");
        assert_eq!(one_line(&"é".repeat(400)).len(), 500);
        assert_eq!(one_line(&"a ".repeat(4_000)).len(), 500);
        assert!(one_line(&format!("x{}", "é".repeat(400))).len() == 499);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_line(text in "\\PC{0,900}|[\\x00-\\xff]{0,900}") {
            let line = one_line(&text);
            prop_assert!(line.len() <= TEXT_MAX_OCTETS && !line.chars().any(char::is_control));
        }

        #[test]
        fn any_reply_is_read(code in any::<u16>(), text in "[0-9. a]{0,20}") {
            let reply = reply(code, &text);
            if let Some(code) = enhanced_code(&reply) {
                prop_assert!(text.starts_with(code));
            }
        }
    }
}
