//! Names and addresses: which of them the DNS can be asked about at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::mail::address::ascii_domain;

/// The domain of a mail's sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Domain {
    /// In lower-case A-labels, with at least one dot.
    Public(String),
    /// Nothing that receivers could look up, and why, as a sentence.
    Private(String),
}

/// Names that no public DNS has: RFC 6761, 6762, 7686, 8375, 9476, and ICANN's `internal`; then what is used like them.
const SPECIAL: [(&str, &str); 15] = [
    ("localhost", "is this machine's own name"),
    ("local", "is a name of the local network"),
    ("internal", "is a name of a private network"),
    ("home.arpa", "is a name of the local network"),
    ("example", "is a name for examples"),
    ("example.com", "is a name for examples"),
    ("example.net", "is a name for examples"),
    ("example.org", "is a name for examples"),
    ("test", "is a name for tests"),
    ("invalid", "is a name that never exists"),
    ("onion", "is not in the DNS"),
    ("alt", "is not in the DNS"),
    ("lan", "is a name of the local network"),
    ("home", "is a name of the local network"),
    ("corp", "is a name of a private network"),
];

impl Domain {
    pub(super) fn read(text: &str) -> Self {
        let text = text.trim().trim_end_matches('.');
        let shown = super::step::quoted(text);
        let private = |why: &str| Self::Private(format!("{shown} {why}: receivers can't look it up."));
        if text.is_empty() {
            return Self::Private("The sender's address has no domain.".to_owned());
        }
        if text.starts_with('[') || text.parse::<IpAddr>().is_ok() {
            return private("is an address and not a domain");
        }
        let Some(name) = ascii_domain(text) else {
            return Self::Private(format!("{shown} is not a domain name."));
        };
        if name.parse::<IpAddr>().is_ok() {
            return private("is an address and not a domain");
        }
        if let Some((_, why)) = SPECIAL.iter().find(|(special, _)| is_within(&name, special)) {
            return private(why);
        }
        if !name.contains('.') {
            return private("is a name without a domain");
        }
        Self::Public(name)
    }
}

/// The name itself, or one below it.
pub(super) fn is_within(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A name as names are compared: lower case, no dot at its end.
pub(super) fn folded(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// A name out of somebody's record that may be looked up: folded, and of the letters that names in use have. The
/// DNS has names with any octet in them; none of them leads to mail.
pub(super) fn name(text: &str) -> Option<String> {
    let name = folded(text);
    let fits = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_+=~".contains(&octet))
    };
    (name.len() <= 253 && name.split('.').all(fits)).then_some(name)
}

/// The name one label up, while it has a label left.
pub(super) fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, rest)| rest)
}

/// An address in any spelling that facts have: bracketed, with a zone, v4-mapped.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split_once('%').map_or(bare, |(address, _)| address);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The name under which an address's PTR records are (RFC 1035, section 3.5; RFC 3596, section 2.5).
pub(super) fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            format!("{labels}ip6.arpa")
        }
    }
}

/// Whether the Internet can see it: none of IANA's special-purpose registries' (RFC 6890), as far as hosts have them.
pub(super) fn is_public(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(*v4),
        IpAddr::V6(v6) => is_public_v6(*v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // RFC 6598
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, ..] = address.segments();
    (0x2000..0x4000).contains(&first) // global unicast (RFC 4291, section 2.4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn domains() {
        let public = |text: &str, expected: &str| {
            assert_eq!(Domain::read(text), Domain::Public(expected.into()), "{text}");
        };
        public("Acme.Net.", "acme.net");
        public("bücher.de", "xn--bcher-kva.de");
        public("chat.localhost.acme.net", "chat.localhost.acme.net");
        public("notexample.com", "notexample.com");
        let private = |text: &str, words: &str| match Domain::read(text) {
            Domain::Private(why) => assert!(why.contains(words), "{text}: {why}"),
            Domain::Public(name) => panic!("{text} is {name}"),
        };
        private("", "no domain");
        private("localhost", "own name");
        private("chat.local", "local network");
        private("mail.corp.internal", "private network");
        private("example.com", "examples");
        private("mail.example.com", "examples");
        private("[192.0.2.1]", "address");
        private("192.0.2.1", "address");
        private("[IPv6:2001:db8::1]", "address");
        private("mailhost", "without a domain");
        private("a b.net", "not a domain name");
        private("a..net", "not a domain name");
        private("a\u{0}b.net", "not a domain name");
    }

    #[test]
    fn reverse_names() {
        let check = |address: &str, expected: &str| {
            assert_eq!(reverse_name(address.parse().unwrap()), expected);
        };
        check("192.0.2.1", "1.2.0.192.in-addr.arpa");
        check("2001:db8::1", &format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23)));
    }

    #[test]
    fn public_addresses() {
        let check = |text: &str, expected: bool| {
            assert_eq!(is_public(&address(text).unwrap()), expected, "{text}");
        };
        for text in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1"] {
            check(text, false);
        }
        for text in
            ["::1", "[::1]", "fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "255.255.255.255"]
        {
            check(text, false);
        }
        for text in ["192.0.2.1", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "172.32.0.1"] {
            check(text, true);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}") {
            if let Domain::Public(domain) = Domain::read(&text) {
                prop_assert_eq!(name(&domain), Some(domain));
            }
            let _ = address(&text);
        }
    }
}
