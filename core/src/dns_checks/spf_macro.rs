//! Domain specifications with macros (RFC 7208, section 7).

use std::net::IpAddr;

use super::domain;

/// A domain as an SPF record writes it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DomainSpec(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Macro { letter: char, keep: usize, reversed: bool, delimiters: String },
}

/// What macros stand for. The sender's local part is not known: each mail may have another.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) domain: &'a str,
    pub(super) sender_domain: &'a str,
    pub(super) helo: &'a str,
    pub(super) address: Option<IpAddr>,
}

impl DomainSpec {
    /// # Errors
    /// What is wrong with it, as words that follow the term.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        const MACRO: &str = "whose macro is wrong";
        if text.is_empty() {
            return Err("which lacks its domain");
        }
        if !text.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err("which is not of ASCII characters only");
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            match after.split_at_checked(1).ok_or(MACRO)? {
                ("%", after) => {
                    literal.push('%');
                    rest = after;
                }
                ("_", after) => {
                    literal.push(' ');
                    rest = after;
                }
                ("-", after) => {
                    literal.push_str("%20");
                    rest = after;
                }
                ("{", after) => {
                    let (inside, after) = after.split_once('}').ok_or(MACRO)?;
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal)));
                    }
                    parts.push(Part::read(inside).ok_or(MACRO)?);
                    rest = after;
                }
                _ => return Err(MACRO),
            }
        }
        literal.push_str(rest);
        ends_well(&literal, parts.is_empty())?;
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Self(parts))
    }

    /// The name it stands for; `None` where that depends on what is not known before a mail is sent, or where no
    /// name comes of it.
    pub(super) fn expand(&self, context: &Context<'_>) -> Option<String> {
        let mut name = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Macro { .. } => name.push_str(&part.expand(context)?),
            }
        }
        // Section 7.3: labels are dropped from the left until it fits.
        let mut fitting = domain::folded(&name);
        while fitting.len() > 253 {
            fitting = domain::parent(&fitting)?.to_owned();
        }
        domain::name(&fitting)
    }
}

/// `domain-end`: after a macro anything goes, else the name ends in a label that is no number.
fn ends_well(end: &str, alone: bool) -> Result<(), &'static str> {
    if end.is_empty() {
        return Ok(());
    }
    let end = end.strip_suffix('.').unwrap_or(end);
    if alone && end.parse::<IpAddr>().is_ok() {
        return Err("which names an address where a domain belongs");
    }
    let Some((_, top)) = end.rsplit_once('.') else {
        return Err("which names no domain with a dot in it");
    };
    let good = top.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && !top.starts_with('-')
        && !top.ends_with('-')
        && !top.bytes().all(|octet| octet.is_ascii_digit());
    if good { Ok(()) } else { Err("which does not end like a domain") }
}

impl Part {
    /// Inside the braces: letter, digits, `r`, delimiters.
    fn read(inside: &str) -> Option<Self> {
        let mut rest = inside.chars();
        // c, r and t are for explanations only.
        let letter = rest.next().filter(|letter| "slodiphv".contains(letter.to_ascii_lowercase()))?;
        let rest = rest.as_str();
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at_checked(digits_end)?;
        let keep = match digits {
            "" => usize::MAX,
            digits => digits.parse().ok().filter(|count| (1..=128).contains(count))?,
        };
        let (reversed, delimiters) = match rest.strip_prefix(['r', 'R']) {
            Some(delimiters) => (true, delimiters),
            None => (false, rest),
        };
        if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
            return None;
        }
        let delimiters = if delimiters.is_empty() { "." } else { delimiters };
        Some(Self::Macro { letter, keep, reversed, delimiters: delimiters.to_owned() })
    }

    fn expand(&self, context: &Context<'_>) -> Option<String> {
        let Self::Macro { letter, keep, reversed, delimiters } = self else { return None };
        let value = match letter.to_ascii_lowercase() {
            'd' => context.domain.to_owned(),
            'o' => context.sender_domain.to_owned(),
            'h' => context.helo.to_owned(),
            'i' => dotted(context.address?),
            'v' => if context.address?.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            'p' => "unknown".to_owned(), // section 7.2 allows it, and 5.5 wishes nobody looked it up
            _ => return None,            // s and l: the sender's local part
        };
        let mut parts: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if *reversed {
            parts.reverse();
        }
        let from = parts.len().saturating_sub(*keep);
        Some(parts.get(from..)?.join("."))
    }
}

/// `%{i}`: an IPv6 address is 32 digits with dots between them.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => {
            let digits: Vec<String> = v6
                .octets()
                .into_iter()
                .flat_map(|octet| [octet >> 4, octet & 0xf])
                .map(|nibble| format!("{nibble:x}"))
                .collect();
            digits.join(".")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn context(address: &str) -> Context<'_> {
        Context {
            domain: "email.example.com",
            sender_domain: "strong-bad.example.com",
            helo: "mx.example.org",
            address: address.parse().ok(),
        }
    }

    /// RFC 7208, section 7.4, less the local part.
    #[test]
    fn the_standards_examples() {
        let check = |spec: &str, address: &str, expected: Option<&str>| {
            let got = DomainSpec::read(spec).unwrap().expand(&context(address));
            assert_eq!(got.as_deref(), expected, "{spec} {address}");
        };
        check("%{d}", "", Some("email.example.com"));
        check("%{d4}", "", Some("email.example.com"));
        check("%{d2}", "", Some("example.com"));
        check("%{d1}", "", Some("com"));
        check("%{dr}", "", Some("com.example.email"));
        check("%{d2r}", "", Some("example.email"));
        check("%{o-}", "", Some("strong.bad.example.com"));
        check("%{ir}.%{v}._spf.%{d2}", "192.0.2.3", Some("3.2.0.192.in-addr._spf.example.com"));
        check("%{i}._spf.%{d}", "192.0.2.3", Some("192.0.2.3._spf.email.example.com"));
        check(
            "%{ir}.%{v}._spf.%{d2}",
            "2001:db8::cb01",
            Some("1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"),
        );
        check("%{H}.acme.net", "", Some("mx.example.org.acme.net"));
        check("%{p}.acme.net", "", Some("unknown.acme.net"));
        check("%{i}._spf.%{d}", "", None);
        check("%{lr-}.lp._spf.%{d2}", "192.0.2.3", None);
        check("a%%b.%_x.acme.net", "", None);
        check("ACME.net.", "", Some("acme.net"));
        check(&format!("{}.acme.net", "%{i}.".repeat(20)), "192.0.2.3", None);
    }

    #[test]
    fn a_long_name_loses_its_left() {
        let spec = format!("{}.%{{d}}", "abcdefgh.".repeat(30).trim_end_matches('.'));
        let name = DomainSpec::read(&spec).unwrap().expand(&context("")).unwrap();
        assert!(name.len() <= 253 && name.len() > 240 && name.ends_with("h.email.example.com"), "{name}");
    }

    proptest! {
        #[test]
        fn any_text_expands(text in "(%\\{[a-z][0-9]{0,3}r?[-./]?\\}|[ -~]){0,30}") {
            if let Ok(spec) = DomainSpec::read(&text) {
                let name = spec.expand(&context("192.0.2.3"));
                prop_assert!(name.is_none_or(|name| name.len() <= 253 && !name.is_empty()));
            }
        }
    }
}
