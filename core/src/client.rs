//! What a client is counted under: its address, IPv6 by /64 (S12).

use std::net::{IpAddr, Ipv6Addr};

/// The key of a client's address as Mattermost gave it.
///
/// IPv4 as it is, v4-mapped IPv6 as IPv4, other IPv6 by its /64 (whoever has one address has all of them).
/// A port, brackets and a zone are dropped. What is no address shares the key `unknown`.
///
/// ```
/// use postroom_core::client::key;
/// assert_eq!(key("203.0.113.7"), "203.0.113.7");
/// assert_eq!(key("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
/// assert_eq!(key("nobody"), "unknown");
/// ```
#[must_use]
pub fn key(address: &str) -> String {
    match parse(address.trim()).map(|address| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.to_string(),
        Some(IpAddr::V6(v6)) => {
            let [a, b, c, d, ..] = v6.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        None => "unknown".to_owned(),
    }
}

fn parse(address: &str) -> Option<IpAddr> {
    let without_zone = |text: &str| text.split_once('%').map_or(text.to_owned(), |(host, _)| host.to_owned());
    if let Some(rest) = address.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port_is_good =
            port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.parse::<u16>().is_ok());
        return if port_is_good { without_zone(host).parse::<Ipv6Addr>().ok().map(IpAddr::V6) } else { None };
    }
    if let Ok(address) = without_zone(address).parse() {
        return Some(address);
    }
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    host.parse().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(address: &str, expected: &str) {
        assert_eq!(key(address), expected, "{address:?}");
    }

    #[test]
    fn table() {
        check("203.0.113.7", "203.0.113.7");
        check(" 203.0.113.7 ", "203.0.113.7");
        check("203.0.113.7:4711", "203.0.113.7");
        check("::ffff:203.0.113.7", "203.0.113.7");
        check("[::ffff:203.0.113.7]:80", "203.0.113.7");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
        check("2001:db8:1:2::", "2001:db8:1:2::/64");
        check("2001:DB8:1:2::9", "2001:db8:1:2::/64");
        check("[2001:db8:1:2::9]", "2001:db8:1:2::/64");
        check("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64");
        check("fe80::1%eth0", "fe80::/64");
        check("::1", "::/64");
        check("127.0.0.1", "127.0.0.1");
        check("", "unknown");
        check("localhost", "unknown");
        check("203.0.113.7, 198.51.100.1", "unknown");
        check("203.0.113", "unknown");
        check("[::1]x", "unknown");
        check("[::1", "unknown");
        check("203.0.113.7:99999", "unknown");
    }

    proptest! {
        #[test]
        fn never_panics_and_stays_short(address in ".{0,80}") {
            prop_assert!(key(&address).len() <= 43);
        }
    }
}
