//! The languages that mails and pages are written in, and which one a person gets.

/// The languages there are; each has a folder under `core/locales/`.
pub const ALL: &[&str] = &["en", "de", "ja", "fa"];

/// The last resort.
const FALLBACK: &str = "en";

/// An Accept-Language header is read up to here, in languages.
const MAX_RANGES: usize = 32;

/// The language for one of Mattermost's locales (`de`, `pt-BR`, ``), else for the site's default, else English. A
/// region that we have no text for falls back to its language.
///
/// ```
/// use postroom_core::mail::locale::resolve;
/// assert_eq!(resolve("de-AT", "ja"), "de");
/// assert_eq!(resolve("xx", "ja"), "ja");
/// assert_eq!(resolve("", ""), "en");
/// ```
#[must_use]
pub fn resolve(wanted: &str, default: &str) -> &'static str {
    find(wanted).or_else(|| find(default)).unwrap_or(FALLBACK)
}

/// The language for an Accept-Language header (RFC 9110 section 12.5.4), else for the site's default, else English.
///
/// ```
/// use postroom_core::mail::locale::negotiate;
/// assert_eq!(negotiate("fr-CH, fr;q=0.9, ja;q=0.8, *;q=0.5", "de"), "ja");
/// assert_eq!(negotiate("fr", "de"), "de");
/// ```
#[must_use]
pub fn negotiate(accept_language: &str, default: &str) -> &'static str {
    let mut best: Option<(u16, &'static str)> = None;
    for range in accept_language.split(',').take(MAX_RANGES) {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let quality = parts.find_map(|p| p.trim().strip_prefix("q=")).map_or(Some(1000), thousandths);
        let Some(quality) = quality.filter(|q| *q > 0) else { continue };
        let found = if tag == "*" { Some(resolve("", default)) } else { find(tag) };
        if let Some(found) = found
            && best.is_none_or(|(q, _)| quality > q)
        {
            best = Some((quality, found));
        }
    }
    best.map_or_else(|| resolve("", default), |(_, tag)| tag)
}

/// `qvalue` of RFC 9110 section 12.4.2, in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// The language whose primary subtag (RFC 5646 section 2.2.1) is that of `tag`.
fn find(tag: &str) -> Option<&'static str> {
    let primary = tag.trim().split(['-', '_']).next().unwrap_or_default();
    ALL.iter().find(|known| known.eq_ignore_ascii_case(primary)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mattermosts_locales() {
        for (wanted, default, expected) in [
            ("de", "en", "de"),
            ("DE", "en", "de"),
            ("de_CH", "en", "de"),
            ("fa", "en", "fa"),
            ("ja-JP", "en", "ja"),
            ("pt-BR", "de", "de"),
            ("en-AU", "de", "en"),
            ("zh-CN", "zh-TW", "en"),
            ("\r\nX: y", "", "en"),
            ("deu", "fa", "fa"),
        ] {
            assert_eq!(resolve(wanted, default), expected, "{wanted:?}");
        }
    }

    #[test]
    fn accept_language() {
        for (header, expected) in [
            ("", "de"),
            ("*", "de"),
            ("en", "en"),
            ("en-GB,en;q=0.5", "en"),
            ("fa;q=0.1, ja;q=0.2", "ja"),
            ("ja;q=0, fa;q=0.001", "fa"),
            ("ja;q=2, fa;q=0.1", "fa"),
            ("ja;q=nonsense", "de"),
            ("nl, *;q=0.1", "de"),
            (";;;,,,=", "de"),
        ] {
            assert_eq!(negotiate(header, "de"), expected, "{header:?}");
        }
        assert_eq!(negotiate(&"x,".repeat(100_000), "ja"), "ja");
    }
}
