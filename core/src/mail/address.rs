//! Addresses: what may stand in an envelope and a header, and how little of one a log shows.

use lettre::Address;

use crate::Error;

/// RFC 5321 section 4.5.3.1.3, less the angle brackets.
const MAX_OCTETS: usize = 254;

/// Reads an address for envelope and header: the domain in A-labels (RFC 5890), the local part as it is. A local
/// part beyond ASCII is kept: whether the next server takes SMTPUTF8 (RFC 6531) is the courier's to find out.
///
/// # Errors
/// `invalid_argument` on `field`, which is named and never quoted.
pub fn parse(field: &str, text: &str) -> Result<Address, Error> {
    refuse_controls(field, text)?;
    if text.len() > MAX_OCTETS {
        return Err(Error::argument(field, format!("an address has {MAX_OCTETS} octets at most")));
    }
    let bad = || Error::argument(field, "not an e-mail address, as name@example.com");
    let (local, domain) = text.rsplit_once('@').ok_or_else(bad)?;
    let domain =
        if domain.starts_with('[') { domain.to_owned() } else { ascii_domain(domain).ok_or_else(bad)? };
    if local.len() + 1 + domain.len() > MAX_OCTETS {
        return Err(Error::argument(field, format!("an address has {MAX_OCTETS} octets at most")));
    }
    Address::new(local, &domain).map_err(|_| bad())
}

/// Refuses CR, LF, NUL and every other control character, for they begin a header or end it (S27).
///
/// # Errors
/// `invalid_argument` on `field`.
pub fn refuse_controls(field: &str, text: &str) -> Result<(), Error> {
    // U+2028 and U+2029 are line ends to some readers, though no control characters.
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err(Error::argument(field, "has a line break or another control character in it; remove it"));
    }
    Ok(())
}

/// The address as logs and lists show it: its first character and its domain.
///
/// ```
/// assert_eq!(postroom_core::mail::mask("ada@example.com"), "a***@example.com");
/// assert_eq!(postroom_core::mail::mask("nobody"), "***");
/// ```
#[must_use]
pub fn mask(address: &str) -> String {
    let Some((local, domain)) = address.rsplit_once('@') else { return "***".to_owned() };
    let first = local.chars().find(|c| !c.is_control());
    let domain = domain.chars().filter(|c| !c.is_control());
    first.into_iter().chain("***@".chars()).chain(domain).collect()
}

/// A domain in lower-case A-labels (UTS 46, no transitional processing, the name's length checked), or an IPv4
/// address. `None` for anything a URL or an envelope should not hold.
pub(crate) fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_cow(domain.as_bytes(), idna::AsciiDenyList::STD3).ok()?;
    let labels_fit = ascii
        .split('.')
        .all(|label| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-'));
    (labels_fit && ascii.len() <= 253).then(|| ascii.into_owned())
}
