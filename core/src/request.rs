//! What the two public endpoints were sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::Base64;
use crate::{AppError, Purpose, app_error, client};

/// RFC 5321 section 4.5.3.1.3 gives a path 256 octets, angle brackets included.
const ADDRESS_MAX_OCTETS: usize = 254;

const REDIRECT_MAX_OCTETS: usize = 2_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    endpoint: Purpose,
    body: Base64,
    too_large: bool,
    redirect: Option<String>,
    client_address: String,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    request: Option<Request>,
    app_error: Option<AppError>,
    client_key: String,
}

#[derive(Serialize)]
struct Request {
    email: String,
    redirect: Option<String>,
}

/// The operation `read_request`.
pub(crate) fn answer(args: &Args) -> Answer {
    let client_key = client::key(&args.client_address);
    let refuse =
        |app_error| Answer { request: None, app_error: Some(app_error), client_key: client_key.clone() };
    if args.too_large {
        return refuse(app_error::body_too_large());
    }
    let Some(email) = email(&args.body.0) else {
        return refuse(app_error::invalid_body_param("email"));
    };
    // A reset goes nowhere on its own: only verification has Mattermost's `?r=`.
    let redirect = match args.endpoint {
        Purpose::Reset => None,
        Purpose::Verify => args.redirect.as_deref().filter(|path| is_safe_redirect(path)).map(str::to_owned),
    };
    Answer { request: Some(Request { email, redirect }), app_error: None, client_key }
}

/// The address of a body as Mattermost reads it: a JSON object whose values are all strings.
fn email(body: &[u8]) -> Option<String> {
    let mut members: BTreeMap<String, String> = serde_json::from_slice(body).ok()?;
    let email = lower_case(&members.remove("email")?);
    let good = !email.is_empty() && email.len() <= ADDRESS_MAX_OCTETS && !email.chars().any(char::is_control);
    good.then_some(email)
}

/// Lower case as Mattermost stores addresses, but no letter beyond ASCII becomes an ASCII one: the Kelvin
/// sign is not a k, and whoever types it does not mean the k's account (S28).
fn lower_case(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter.to_ascii_lowercase());
        } else if letter.to_lowercase().any(|lower| lower.is_ascii()) {
            out.push(letter);
        } else {
            out.extend(letter.to_lowercase());
        }
    }
    out
}

/// Whether `path` is a relative path of the same origin, safe to go on to after login (S20).
///
/// It begins with one slash, has no empty, `.` or `..` segment, no fragment, no backslash, no escaped slash,
/// backslash or control, and nothing that RFC 3986 keeps out of a path or query.
///
/// ```
/// use postroom_core::request::is_safe_redirect;
/// assert!(is_safe_redirect("/team/channels/town-square"));
/// assert!(!is_safe_redirect("//evil.example"));
/// assert!(!is_safe_redirect("javascript:alert(1)"));
/// assert!(!is_safe_redirect("a&token=b"));
/// ```
#[must_use]
pub fn is_safe_redirect(path: &str) -> bool {
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:@%/?&".contains(&octet);
    if !path.starts_with('/') || path.len() > REDIRECT_MAX_OCTETS || !path.bytes().all(allowed) {
        return false;
    }
    let escapes_are_good = path.split('%').skip(1).all(|after| {
        let octet = after.get(..2).filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        octet
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            .is_some_and(|octet| octet > 0x1f && octet != 0x7f && !b"/\\%".contains(&octet))
    });
    let segments = path.split('?').next().unwrap_or_default().split('/').skip(1);
    let count = segments.clone().count();
    let segments_are_good = segments
        .enumerate()
        .all(|(at, segment)| !is_dot_segment(segment) && (!segment.is_empty() || at + 1 == count));
    escapes_are_good && segments_are_good
}

/// `.`, `..` and their escaped spellings, which browsers resolve alike.
fn is_dot_segment(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_email(body: &str, expected: Option<&str>) {
        assert_eq!(email(body.as_bytes()).as_deref(), expected, "{body}");
    }

    #[test]
    fn bodies() {
        check_email(r#"{"email":"anna@example.com"}"#, Some("anna@example.com"));
        check_email(r#"{"email":"Anna@Example.COM"}"#, Some("anna@example.com"));
        check_email(r#" {"email":"anna@example.com","other":"x"} "#, Some("anna@example.com"));
        check_email(r#"{"email":"a","email":"b"}"#, Some("b"));
        check_email(r#"{"email":"nonsense"}"#, Some("nonsense"));
        check_email(r#"{"email":"\"quoted\"@example.com"}"#, Some("\"quoted\"@example.com"));
        check_email(r#"{"email":"ÄNNA@bücher.example"}"#, Some("änna@bücher.example"));
        check_email("{\"email\":\"\u{212a}im@example.com\"}", Some("\u{212a}im@example.com"));
        check_email("{\"email\":\"\u{130}@example.com\"}", Some("\u{130}@example.com"));
        for body in [
            "",
            "null",
            "[]",
            "\"anna@example.com\"",
            "{}",
            "{\"email\":\"\"}",
            "{\"email\":null}",
            "{\"email\":1}",
            "{\"email\":[\"a\"]}",
            "{\"email\":{\"a\":\"b\"}}",
            "{\"email\":\"a@b.c\",\"x\":1}",
            "{\"Email\":\"a@b.c\"}",
            "{\"email\":\"a@b.c\"",
            "{\"email\":\"a@b.c\"} x",
            "email=a@b.c",
            "{\"email\":\"a@b.c\\r\\nBcc: x@y.z\"}",
            "{\"email\":\"a\\u0000@b.c\"}",
            "{\"email\":\"a\\u0085@b.c\"}",
            "\u{feff}{\"email\":\"a@b.c\"}",
        ] {
            check_email(body, None);
        }
        let long = |len: usize| format!("{{\"email\":\"{}@example.com\"}}", "a".repeat(len - 12));
        assert!(email(long(254).as_bytes()).is_some());
        assert!(email(long(255).as_bytes()).is_none());
        assert!(email(long(400).as_bytes()).is_none());
        assert!(email(b"{\"email\":\"\xff@example.com\"}").is_none());
        assert!(email("[".repeat(100_000).as_bytes()).is_none());
    }

    #[test]
    fn redirects() {
        let check = |path: &str, good: bool| assert_eq!(is_safe_redirect(path), good, "{path:?}");
        for path in [
            "/",
            "/team",
            "/team/",
            "/team/channels/town-square",
            "/team/pl/abc?x=1&y=2",
            "/team/%C3%A4",
            "/a:b@c",
            "/team?next=//x",
        ] {
            check(path, true);
        }
        for path in [
            "",
            "team",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/team//evil",
            "/./",
            "/..//evil.example",
            "/team/../..",
            "/%2e%2E/x",
            "/.%2e/x",
            "/%2fevil",
            "/%5Cevil",
            "/%0d%0aSet-Cookie:x",
            "/%00",
            "/%7f",
            "/%252f",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/team#x",
            "/a b",
            " /team",
            "/team\r\n",
            "/te\tam",
            "/ä",
            "/\"><script>",
            "/a|b",
            "javascript:alert(1)",
            "https://evil.example",
            "a&token=b",
            "/@evil\u{3002}example",
        ] {
            check(path, false);
        }
        check(&format!("/{}", "a".repeat(REDIRECT_MAX_OCTETS - 1)), true);
        check(&format!("/{}", "a".repeat(REDIRECT_MAX_OCTETS)), false);
    }

    proptest! {
        #[test]
        fn any_body_is_answered(body in proptest::collection::vec(any::<u8>(), 0..300), too_large in any::<bool>()) {
            let args = Args {
                endpoint: Purpose::Reset, body: Base64(body), too_large, redirect: None,
                client_address: String::new(),
            };
            let answer = answer(&args);
            prop_assert!(answer.request.is_some() != answer.app_error.is_some());
        }

        #[test]
        fn a_safe_redirect_stays_on_the_origin(path in "[/a-z.%?#:\\\\2eE5cCfF&@]{0,30}") {
            if is_safe_redirect(&path) {
                prop_assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '#']));
            }
        }
    }
}
