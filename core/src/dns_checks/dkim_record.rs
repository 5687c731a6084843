//! Reads a DKIM key record (RFC 6376, section 3.6.1; RFC 8301; RFC 8463).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::tags::Tags;

/// What a record is worth to a receiver.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `bits` of an RSA key's modulus.
    Rsa {
        bits: usize,
        testing: bool,
    },
    Ed25519 {
        testing: bool,
    },
    /// `p=` is empty: the key was withdrawn.
    Revoked,
    /// A receiver takes it for no key; why, as words that follow "the record".
    Wrong(String),
    /// The key itself is cut or garbled.
    Damaged,
    /// It is only for other services than mail (`s=`), or only for hashes that nobody takes (`h=sha1`).
    Useless(&'static str),
    /// No DKIM record at all: what a wildcard answers, say.
    Other,
}

pub(super) fn read(text: &str) -> Key {
    let tags = match Tags::read(text) {
        Ok(tags) => tags,
        Err(why) if text.trim_start().starts_with("v=DKIM") || text.contains("p=") && text.contains("k=") => {
            return Key::Wrong(why);
        }
        Err(_) => return Key::Other,
    };
    let (version, key) = (tags.get("v"), tags.get("p"));
    match (version, key) {
        (None, None) => return Key::Other,
        (Some(version), _) if !version.starts_with("DKIM") => return Key::Other, // SPF, DMARC: a wildcard's
        (Some("DKIM1"), _) if tags.first().is_some_and(|(name, _)| name != "v") => {
            return Key::Wrong("has v=DKIM1, but not at its beginning".to_owned());
        }
        (Some("DKIM1") | None, Some(_)) => {}
        (Some("DKIM1"), None) => return Key::Wrong("has no p=, the key".to_owned()),
        (Some(_), _) => return Key::Wrong("begins with another version than v=DKIM1".to_owned()),
    }
    let list = |name: &str| tags.get(name).map(|value| value.split(':').map(str::trim).collect::<Vec<_>>());
    let key = key.unwrap_or_default();
    if key.is_empty() {
        return Key::Revoked;
    }
    if list("s").is_some_and(|services| !services.iter().any(|service| ["*", "email"].contains(service))) {
        return Key::Useless("is for other services than mail (s=)");
    }
    if list("h").is_some_and(|hashes| !hashes.contains(&"sha256")) {
        return Key::Useless("allows only hashes that receivers no longer take (h=)");
    }
    let testing = list("t").is_some_and(|flags| flags.contains(&"y"));
    let packed: String = key.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let Ok(octets) = LENIENT.decode(packed) else { return Key::Damaged };
    match tags.get("k").unwrap_or("rsa") {
        "rsa" => modulus_bits(&octets).map_or(Key::Damaged, |bits| Key::Rsa { bits, testing }),
        "ed25519" if octets.len() == 32 => Key::Ed25519 { testing },
        "ed25519" => Key::Damaged,
        _ => Key::Wrong("has a kind of key (k=) that receivers don't know".to_owned()),
    }
}

/// Padding is often lost when a record is typed, and no receiver minds.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bits of the modulus of an RSA key in DER: a SubjectPublicKeyInfo (RFC 5280, section 4.1), as everybody publishes it, or
/// the bare RSAPublicKey (RFC 8017, appendix A.1.1), as RFC 6376 has it by its letter. `None` where it is cut.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (outer, rest) = element(der, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let key = match element(outer, SEQUENCE) {
        Some((_, rest)) => {
            let (bits, _) = element(rest, BIT_STRING)?;
            let (unused, key) = bits.split_first()?;
            element(key, SEQUENCE).filter(|_| *unused == 0)?.0
        }
        None => outer,
    };
    let (modulus, rest) = element(key, INTEGER)?;
    element(rest, INTEGER)?;
    let first = modulus.iter().position(|octet| *octet != 0)?;
    let significant = modulus.get(first..)?;
    let leading = usize::try_from(significant.first()?.leading_zeros()).ok()?;
    Some(significant.len() * 8 - leading)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// The contents of the first element, if it is of this kind and whole, and what comes after it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        length @ 0..=0x7f => (length, rest),
        long @ 0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(long - 0x80)?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    (*tag == kind).then_some(())?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn der(kind: u8, contents: &[u8]) -> Vec<u8> {
        let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
        let mut out = vec![kind];
        match contents.len() {
            short @ 0..0x80 => out.push(u8::try_from(short).unwrap()),
            0x80..0x100 => out.extend([0x81, length[1]]),
            _ => out.extend([0x82, length[0], length[1]]),
        }
        out.extend(contents);
        out
    }

    fn rsa(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        der(SEQUENCE, &[der(INTEGER, &modulus), der(INTEGER, &[1, 0, 1])].concat())
    }

    fn spki(bits: usize) -> String {
        let algorithm = der(SEQUENCE, &der(0x06, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]));
        let key = der(BIT_STRING, &[vec![0], rsa(bits)].concat());
        STANDARD.encode(der(SEQUENCE, &[algorithm, key].concat()))
    }

    #[test]
    fn keys() {
        let check = |text: &str, expected: Key| assert_eq!(read(text), expected, "{text}");
        let good = |bits| Key::Rsa { bits, testing: false };
        check(&format!("v=DKIM1; k=rsa; p={}", spki(2048)), good(2048));
        check(&format!("p={}", spki(1024)), good(1024));
        check(&format!("v=DKIM1;p={};", spki(512)), good(512));
        check(&format!("v=DKIM1; p={}", STANDARD.encode(rsa(2048))), good(2048));
        check(&format!("v=DKIM1; p={}", spki(4096).trim_end_matches('=')), good(4096));
        let spaced: String = spki(2048).chars().flat_map(|c| [c, ' ']).collect();
        check(&format!("v=DKIM1; p={spaced}"), good(2048));
        check(&format!("v=DKIM1; t=s:y; p={}", spki(2048)), Key::Rsa { bits: 2048, testing: true });
        check(
            &format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode([7; 32])),
            Key::Ed25519 { testing: false },
        );
        check("v=DKIM1; p=", Key::Revoked);
        check("v=DKIM1; k=rsa; p= ;", Key::Revoked);
        check(
            &format!("v=DKIM1; s=tlsrpt; p={}", spki(2048)),
            Key::Useless("is for other services than mail (s=)"),
        );
        check(
            &format!("v=DKIM1; h=sha1; p={}", spki(2048)),
            Key::Useless("allows only hashes that receivers no longer take (h=)"),
        );
        check("v=DKIM1; p=MIIBIjANBg", Key::Damaged);
        check(&format!("v=DKIM1; p={}", &spki(2048)[..220]), Key::Damaged);
        check("v=DKIM1; p=!!!", Key::Damaged);
        check("v=DKIM1; k=ed25519; p=AAAA", Key::Damaged);
        check("v=spf1 -all", Key::Other);
        check("v=DMARC1; p=none", Key::Other);
        check("hello", Key::Other);
        check("", Key::Other);
        let wrong = |text: &str, words: &str| match read(text) {
            Key::Wrong(why) => assert!(why.contains(words), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        };
        wrong("v=DKIM1; k=rsa", "no p=");
        wrong("v=DKIM2; p=AAAA", "another version");
        wrong("k=rsa; v=DKIM1; p=AAAA", "not at its beginning");
        wrong("v=DKIM1; k=dsa; p=AAAA", "kind of key");
        wrong("v=DKIM1; k=rsa; p=AA; p=BB", "twice");
        wrong("v=DKIM1 k=rsa; \u{201c}p\u{201d}", "no tag=value");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(v=DKIM1|k=rsa|k=ed25519|p=[A-Za-z0-9+/]{0,40}|t=y|[ -~]{0,20}|;){0,8}|\\PC{0,60}") {
            let _ = read(&text);
        }

        #[test]
        fn any_octets_are_a_key_or_not(octets in prop::collection::vec(any::<u8>(), 0..80), cut in 0_usize..300) {
            let _ = modulus_bits(&octets);
            let whole = rsa(2048);
            prop_assert!(cut >= whole.len() || modulus_bits(&whole[..cut]).is_none());
        }
    }
}
