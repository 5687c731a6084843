//! Reads an SPF record (RFC 7208, sections 4.5 to 6 and 12).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::spf_macro::DomainSpec;
use super::step::quoted;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qualifier {
    Pass,
    Fail,
    SoftFail,
    Neutral,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(DomainSpec),
    A(Option<DomainSpec>, Prefixes),
    Mx(Option<DomainSpec>, Prefixes),
    Ptr(Option<DomainSpec>),
    Ip(Network),
    Exists(DomainSpec),
}

/// Lengths of the networks around the addresses of an `a` or `mx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefixes {
    v4: u8,
    v6: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u8,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// In their order; those after `all` are never looked at, but are here.
    pub(super) mechanisms: Vec<(Qualifier, Mechanism)>,
    pub(super) redirect: Option<DomainSpec>,
}

/// Whether a TXT record is an SPF record at all: `v=spf1`, alone or before a space (section 4.5).
pub(super) fn is_spf(text: &str) -> bool {
    let Some((version, rest)) = text.split_at_checked(6) else { return false };
    version.eq_ignore_ascii_case("v=spf1") && (rest.is_empty() || rest.starts_with(' '))
}

/// Terms that a record may have; one of 64 kB of them is an attack.
const MAX_TERMS: usize = 200;

/// # Errors
/// The term that is wrong, and why, as words that follow "the record". One wrong term spoils the whole record
/// (section 4.6).
pub(super) fn read(text: &str) -> Result<Record, String> {
    let mut record = Record { mechanisms: Vec::new(), redirect: None };
    let mut exp_seen = false;
    for (count, term) in text.split(' ').filter(|term| !term.is_empty()).skip(1).enumerate() {
        if count == MAX_TERMS {
            return Err(format!("has more than {MAX_TERMS} terms"));
        }
        let wrong = |why: &str| format!("has “{}”, {why}", quoted(term));
        if let Some((name, value)) = modifier(term) {
            let domain = || DomainSpec::read(value).map_err(&wrong);
            if name.eq_ignore_ascii_case("redirect") {
                if record.redirect.replace(domain()?).is_some() {
                    return Err("has redirect= twice".to_owned());
                }
            } else if name.eq_ignore_ascii_case("exp") {
                domain()?;
                if std::mem::replace(&mut exp_seen, true) {
                    return Err("has exp= twice".to_owned());
                }
            }
            continue; // an unknown modifier is ignored (section 6)
        }
        let (qualifier, rest) = match term.split_at_checked(1) {
            Some(("+", rest)) => (Qualifier::Pass, rest),
            Some(("-", rest)) => (Qualifier::Fail, rest),
            Some(("~", rest)) => (Qualifier::SoftFail, rest),
            Some(("?", rest)) => (Qualifier::Neutral, rest),
            _ => (Qualifier::Pass, term),
        };
        record.mechanisms.push((qualifier, mechanism(rest).map_err(&wrong)?));
    }
    Ok(record)
}

/// `name=value`, where the name is one (section 12): `a=b` in a mechanism's domain comes after a colon or slash.
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let good = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    good.then_some((name, value))
}

fn mechanism(text: &str) -> Result<Mechanism, &'static str> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let argument = rest.strip_prefix(':');
    let domain = || DomainSpec::read(argument.ok_or("which lacks its domain")?);
    match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Ok(Mechanism::All),
        "all" => Err("and all takes nothing after it"),
        "include" => Ok(Mechanism::Include(domain()?)),
        "exists" => Ok(Mechanism::Exists(domain()?)),
        "ptr" if rest.is_empty() => Ok(Mechanism::Ptr(None)),
        "ptr" => Ok(Mechanism::Ptr(Some(domain()?))),
        "a" => with_prefixes(rest).map(|(domain, prefixes)| Mechanism::A(domain, prefixes)),
        "mx" => with_prefixes(rest).map(|(domain, prefixes)| Mechanism::Mx(domain, prefixes)),
        "ip4" => network::<Ipv4Addr>(argument, 32).map(Mechanism::Ip).ok_or("which is no IPv4 network"),
        "ip6" => network::<Ipv6Addr>(argument, 128).map(Mechanism::Ip).ok_or("which is no IPv6 network"),
        "ipv4" | "ip" => Err("which is spelled ip4:"),
        "ipv6" => Err("which is spelled ip6:"),
        "includes" => Err("which is spelled include:"),
        _ if text.parse::<Ipv4Addr>().is_ok() => Err("which lacks ip4: before it"),
        _ => Err("which is no mechanism of SPF"),
    }
}

/// `[":" domain-spec] [dual-cidr-length]` (section 5.3).
fn with_prefixes(rest: &str) -> Result<(Option<DomainSpec>, Prefixes), &'static str> {
    const WRONG: &str = "whose network length is wrong";
    // A slash may stand inside a macro's braces, as a delimiter.
    let from = rest.rfind('}').map_or(0, |at| at + 1);
    let slash = rest.get(from..).and_then(|tail| tail.find('/')).map_or(rest.len(), |at| from + at);
    let (domain, lengths) = rest.split_at_checked(slash).unwrap_or((rest, ""));
    let domain = match domain.strip_prefix(':') {
        Some(domain) => Some(DomainSpec::read(domain)?),
        None if domain.is_empty() => None,
        None => return Err("which is no mechanism of SPF"),
    };
    let (v4, v6) = match lengths.split_once("//") {
        Some((v4, v6)) => (v4, Some(v6)),
        None => (lengths, None),
    };
    let v4 = match v4.strip_prefix('/') {
        Some(digits) => prefix(digits, 32).ok_or(WRONG)?,
        None if v4.is_empty() => 32,
        None => return Err(WRONG),
    };
    let v6 = match v6 {
        Some(digits) => prefix(digits, 128).ok_or(WRONG)?,
        None => 128,
    };
    Ok((domain, Prefixes { v4, v6 }))
}

fn network<A: std::str::FromStr>(argument: Option<&str>, max: u8) -> Option<Network>
where
    IpAddr: From<A>,
{
    let text = argument?;
    let (address, digits) =
        text.split_once('/').map_or((text, None), |(address, digits)| (address, Some(digits)));
    let address = address.parse::<A>().ok().map(IpAddr::from)?;
    let prefix = digits.map_or(Some(max), |digits| prefix(digits, max))?;
    Some(Network { address, prefix })
}

/// Without leading zeros (section 12).
fn prefix(digits: &str, max: u8) -> Option<u8> {
    let plain =
        digits.bytes().all(|octet| octet.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    digits.parse::<u8>().ok().filter(|length| plain && *length <= max)
}

impl Prefixes {
    pub(super) fn around(self, address: IpAddr) -> Network {
        let prefix = if address.is_ipv4() { self.v4 } else { self.v6 };
        Network { address, prefix }
    }
}

impl Network {
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let kept = width.saturating_sub(u32::from(self.prefix));
            a.checked_shr(kept).unwrap_or(0) == b.checked_shr(kept).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(u128::from(a), u128::from(b), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn which_records_are_spf() {
        for text in ["v=spf1", "v=spf1 -all", "V=SPF1 a", "v=spf1  mx"] {
            assert!(is_spf(text), "{text}");
        }
        for text in [
            "",
            "v=spf10",
            "v=spf1include:a.net",
            "v=spf2.0/pra -all",
            " v=spf1 -all",
            "v=spf1\t-all",
            "\u{fffd}=spf1",
        ] {
            assert!(!is_spf(text), "{text}");
        }
    }

    #[test]
    fn good_records() {
        for text in [
            "v=spf1",
            "v=spf1 +all",
            "v=spf1 a mx ptr -all",
            "v=spf1 a:acme.net/24//64 mx/30 mx//96 a/0 ?all",
            "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ip6:::1 ip4:192.0.2.1 ~all",
            "v=spf1 include:_spf.acme.net redirect=_spf.acme.net exp=why.acme.net",
            "v=spf1 exists:%{ir}.%{l1r-}._spf.%{d} a:%{d2/}.acme.net/28 unknown=what/ever -all",
            "V=SPF1 Include:ACME.net. ALL",
            "v=spf1 moo.cow-far_out=man:dog/cat",
        ] {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn bad_records() {
        for (text, words) in [
            ("v=spf1 ipv4:192.0.2.1 -all", "spelled ip4:"),
            ("v=spf1 192.0.2.1 -all", "lacks ip4:"),
            ("v=spf1 ip4:192.0.2.1/33 -all", "no IPv4 network"),
            ("v=spf1 ip4:192.0.2/24 -all", "no IPv4 network"),
            ("v=spf1 ip4:192.0.2.0/024 -all", "no IPv4 network"),
            ("v=spf1 ip6:192.0.2.1 -all", "no IPv6 network"),
            ("v=spf1 include: acme.net -all", "“include:”"),
            ("v=spf1 include -all", "lacks its domain"),
            ("v=spf1 include:acme.net/24 -all", "“include:acme.net/24”"),
            ("v=spf1 include:192.0.2.1 -all", "an address"),
            ("v=spf1 a:192.0.2.1 -all", "an address"),
            ("v=spf1 a/33", "network length"),
            ("v=spf1 a//129", "network length"),
            ("v=spf1 all:acme.net", "nothing after it"),
            ("v=spf1 -all.", "no mechanism"),
            ("v=spf1 v=spf1 include:acme.net redirect=a.net redirect=b.net", "twice"),
            ("v=spf1 exists:%{x}.acme.net", "macro"),
            ("v=spf1 exists:%.acme.net", "macro"),
            ("v=spf1 - all", "no mechanism"),
            ("v=spf1 \u{2013}all", "no mechanism"),
            ("v=spf1 include:b\u{fc}cher.de -all", "not of ASCII"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(read(&format!("v=spf1{}", " a".repeat(201))).unwrap_err().contains("more than 200"));
    }

    #[test]
    fn networks() {
        let check = |term: &str, address: &str, expected: bool| {
            let Mechanism::Ip(network) = mechanism(term).unwrap() else { panic!("{term}") };
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{term} {address}");
        };
        check("ip4:192.0.2.0/24", "192.0.2.255", true);
        check("ip4:192.0.2.0/24", "192.0.3.0", false);
        check("ip4:192.0.2.7/24", "192.0.2.1", true);
        check("ip4:0.0.0.0/0", "203.0.113.9", true);
        check("ip4:192.0.2.1", "192.0.2.2", false);
        check("ip6:2001:db8::/32", "2001:db8:ffff::1", true);
        check("ip6:2001:db8::/32", "2001:db9::1", false);
        check("ip6:::/0", "2001:db9::1", true);
        check("ip6:::/0", "192.0.2.1", false);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "v=spf1( [-+?~]?(a|mx|all|ip4|ip6|include|exists|ptr|redirect=)?[ -~]{0,12}){0,8}|\\PC{0,80}") {
            let _ = (is_spf(&text), read(&text));
        }
    }
}
