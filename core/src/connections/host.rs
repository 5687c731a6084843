//! A mail server's name as an admin types it.

use std::net::IpAddr;

use crate::mail::address::ascii_domain;

/// A host name in A-labels without a dot at its end, or an address as `std` writes it, without brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    address: Option<IpAddr>,
}

/// What was typed in place of a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Url,
    Port,
    Address,
    Other,
}

impl Wrong {
    pub(super) fn mend(&self, field: &str) -> String {
        match self {
            Self::Url => {
                format!("{field} is a host name alone, without smtp:// before it and without a path")
            }
            Self::Port => format!(
                "{field} is a host name alone; put the number after the colon into the port's setting"
            ),
            Self::Address => format!("{field} is a host, not an e-mail address; leave out all up to the @"),
            Self::Other => format!("{field} is neither a host name, as smtp.example.com, nor an address"),
        }
    }
}

impl Host {
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let text = text.trim();
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(|inner| {
            // RFC 5321 section 4.1.3.
            inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).map_or(inner, |_| &inner[5..])
        });
        if let Ok(address) = inner.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self { name: address.to_string(), address: Some(address) });
        }
        if text.contains("://") || text.contains('/') {
            return Err(Wrong::Url);
        }
        if text.contains('@') {
            return Err(Wrong::Address);
        }
        if let Some((_, port)) = text.rsplit_once(':')
            && !port.is_empty()
            && port.bytes().all(|octet| octet.is_ascii_digit())
        {
            return Err(Wrong::Port);
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // Names with an underscore resolve, in containers above all, though they are no host names.
        let plain = |name: &str| ascii_domain(&name.replace('_', "x")).map(|_| name.to_ascii_lowercase());
        let name = if name.is_ascii() { plain(name) } else { ascii_domain(name) }.ok_or(Wrong::Other)?;
        // What ends in a number would be taken for an address.
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|octet| octet.is_ascii_digit()) {
            return Err(Wrong::Other);
        }
        Ok(Self { name, address: None })
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self.address {
            Some(address) => address.to_canonical().is_loopback(),
            None => self.name == "localhost" || self.name.ends_with(".localhost"),
        }
    }

    /// As EHLO says it.
    pub(super) fn literal(&self) -> String {
        match self.address {
            Some(IpAddr::V4(address)) => format!("[{address}]"),
            Some(IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts() {
        let check = |text: &str, name: &str, loopback: bool, literal: &str| {
            let host = Host::parse(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            assert_eq!(
                (host.name.as_str(), host.is_loopback(), host.literal().as_str()),
                (name, loopback, literal),
                "{text}"
            );
        };
        check(" SMTP.Example.com ", "smtp.example.com", false, "smtp.example.com");
        check("smtp.example.com.", "smtp.example.com", false, "smtp.example.com");
        check("bücher.example", "xn--bcher-kva.example", false, "xn--bcher-kva.example");
        check("mail_server", "mail_server", false, "mail_server");
        check("localhost", "localhost", true, "localhost");
        check("127.0.0.53", "127.0.0.53", true, "[127.0.0.53]");
        check("[127.0.0.1]", "127.0.0.1", true, "[127.0.0.1]");
        check("[::1]", "::1", true, "[IPv6:::1]");
        check("::ffff:127.0.0.1", "::ffff:127.0.0.1", true, "[IPv6:::ffff:127.0.0.1]");
        check("[IPv6:2001:DB8::1]", "2001:db8::1", false, "[IPv6:2001:db8::1]");
        check("192.0.2.1", "192.0.2.1", false, "[192.0.2.1]");
    }

    #[test]
    fn what_is_none() {
        let check = |text: &str, wrong: Wrong| assert_eq!(Host::parse(text), Err(wrong), "{text}");
        check("smtp://smtp.example.com", Wrong::Url);
        check("smtp.example.com/", Wrong::Url);
        check("smtp.example.com:587", Wrong::Port);
        check("[::1]:25", Wrong::Port);
        check("me@example.com", Wrong::Address);
        for text in [
            "",
            "a b",
            "a\r\nb",
            "-a.example",
            "a..b",
            "127.0.0.256",
            "1.2.3",
            "[smtp.example.com",
            &"a".repeat(64),
            "é\u{0}",
        ] {
            check(text, Wrong::Other);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_or_not(text in "\\PC{0,80}") {
            if let Ok(host) = Host::parse(&text) {
                prop_assert!(host.name.is_ascii() && !host.name.contains(char::is_whitespace));
                prop_assert_eq!(Host::parse(&host.name), Ok(host));
            }
        }
    }
}
