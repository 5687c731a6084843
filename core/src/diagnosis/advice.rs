//! Advice in plain words: a cause's template with its parts filled in.

use super::facts::Certificate;
use super::view::View;
use crate::mail::moment::{Calendar, Moment};
use crate::{Failure, Security, outcome};

/// Octets of one part: a peer may call itself anything.
const PART_MAX: usize = 80;

/// The names that a template may have in braces, each with what stands there where nothing is known.
pub(crate) const PARTS: [(&str, &str); 19] = [
    ("server", "the mail server"),
    ("host", "the mail server"),
    ("port", "the port"),
    ("security", "this connection security"),
    ("user", "the user name"),
    ("from", "the sender address"),
    ("from_domain", "the sender's domain"),
    ("issuer", "its issuer"),
    ("subject", "the server"),
    ("names", "another name"),
    ("since", "a later date"),
    ("until", "an earlier date"),
    ("pin", "the new key's SHA-256"),
    ("version", "an old version of TLS"),
    ("mechanism", "this mechanism"),
    ("mechanisms", "other ones"),
    ("blocklist", "a blocklist"),
    ("size", "its limit"),
    ("dead", "An address"),
];

/// Fills a template in. A part that is not known is told in words.
pub(crate) fn fill(template: &str, view: &View<'_>) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        out.push_str(before);
        let unknown = PARTS.iter().find(|(part, _)| *part == name).map_or("", |(_, unknown)| unknown);
        // The sender is a setting, and shown as it is; what others say is masked.
        let shown = |text: String| match name {
            "from" => text.replace(char::is_control, " "),
            _ => outcome::one_line(&text),
        };
        let known = part(name, view).map(shown).filter(|text| !text.is_empty());
        match known {
            Some(text) => out.push_str(text.get(..text.floor_char_boundary(PART_MAX)).unwrap_or_default()),
            None => out.push_str(unknown),
        }
        rest = after;
    }
    out + rest
}

fn part(name: &str, view: &View<'_>) -> Option<String> {
    let connection = view.connection;
    let certificate = view.certificate();
    match name {
        "server" => connection.map(|c| match c.server.contains(':') {
            true => format!("[{}]:{}", c.server, c.port),
            false => format!("{}:{}", c.server, c.port),
        }),
        "host" => connection.map(|c| c.server.clone()),
        "port" => connection.map(|c| format!("port {}", c.port)),
        "security" => connection.map(|c| {
            match c.security {
                Security::None => "no encryption",
                Security::Starttls => "STARTTLS",
                Security::Tls => "TLS",
            }
            .to_owned()
        }),
        "user" => connection.map(|c| c.username.clone()),
        "from" => Some(view.from.to_owned()),
        "from_domain" => view.from.rsplit_once('@').map(|(_, domain)| domain.to_owned()),
        // Whose certificate is missing: the authority above the last one that was shown.
        "issuer" => view.tls()?.chain.last().map(|last| Certificate::common_name(&last.issuer).to_owned()),
        "subject" => certificate.map(|c| Certificate::common_name(&c.subject).to_owned()),
        "names" => certificate.map(names),
        "since" => certificate.and_then(|c| day(c.not_before)),
        "until" => certificate.and_then(|c| day(c.not_after)),
        "pin" => certificate.map(|c| c.spki_sha256.clone()),
        "version" => {
            view.tls().filter(|tls| !tls.version.is_empty()).map(|tls| format!("TLS {}", tls.version))
        }
        "mechanism" => Some(view.facts.mechanism.clone()),
        "blocklist" => view.blocklist(),
        "mechanisms" => view.extension("AUTH").map(str::to_owned),
        "size" => view
            .extension("SIZE")
            .filter(|size| !matches!(*size, "" | "0"))
            .map(|size| format!("{size} octets")),
        "dead" => view.dead().next().map(|(address, _)| address.to_owned()),
        _ => None,
    }
}

fn names(certificate: &Certificate) -> String {
    let names = &certificate.names;
    match names.len() {
        0 => Certificate::common_name(&certificate.subject).to_owned(),
        1..=3 => names.join(", "),
        more => {
            format!("{} and {} more", names.iter().take(2).cloned().collect::<Vec<_>>().join(", "), more - 2)
        }
    }
}

/// `2026-12-01`, UTC.
fn day(ms: i64) -> Option<String> {
    let date = Moment::new("", ms).ok()?.date(Calendar::Gregorian);
    Some(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day))
}

/// What an address did not do, after its name.
pub(crate) fn dead_words(failure: Failure) -> &'static str {
    match failure {
        Failure::Timeout => "no answer in time",
        Failure::Refused => "connection refused",
        Failure::Unreachable => "no route",
        Failure::Reset => "connection reset",
        _ => "no connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::causes;

    #[test]
    fn every_part_of_every_advice_is_known() {
        for cause in causes() {
            let mut rest = cause.advice;
            while let Some((_, after)) = rest.split_once('{') {
                let (name, after) = after.split_once('}').unwrap();
                assert!(PARTS.iter().any(|(part, _)| *part == name), "{}: {{{name}}}", cause.name);
                rest = after;
            }
        }
    }
}
