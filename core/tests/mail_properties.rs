//! Whatever the names, addresses and locales: one message, no header that was not meant, no line too long, no markup.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

use mail_parser::MessageParser;
use postroom_core::Site;
use postroom_core::mail::{Letter, compose, mask};
use postroom_core::page::{Notice, View, render};
use proptest::prelude::*;

const LINK: &str =
    "https://chat.example.com/plugins/postroom/reset?token=b3VyLXRva2Vucy1hcmUtdGhpcnR5LXR3by1ieXRlcyE";

fn site(name: String, from_name: String) -> Site {
    Site {
        url: "https://chat.example.com".to_owned(),
        name,
        default_locale: "en".to_owned(),
        support_email: "help@example.com".to_owned(),
        from_address: "chat@example.com".to_owned(),
        from_name,
        reply_to: String::new(),
        reset_lifetime_ms: 3_600_000,
        verify_lifetime_ms: 86_400_000,
    }
}

/// Words as people and attackers write them: markup, quotes, encoded words, scripts of every direction, line breaks.
fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,20}",
        2 => "\\PC{0,20}",
        1 => any::<String>(),
        1 => Just("\r\nBcc: eve@example.net".to_owned()),
        1 => Just("=?utf-8?b?ZXZl?=".to_owned()),
        1 => Just("<script>{{ 7*7 }}".to_owned()),
        1 => Just("سارا\u{202E}abc\u{2067}".to_owned()),
        1 => Just("株式会社".repeat(20)),
        1 => Just("a".repeat(120)),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn locale() -> impl Strategy<Value = String> {
    prop_oneof![Just("en"), Just("de"), Just("ja"), Just("fa"), Just("pt-BR"), Just("")]
        .prop_map(str::to_owned)
}

fn breaks_lines(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn steers(c: char) -> bool {
    matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Counts the header's fields by name, from the octets.
fn fields(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let head = text.split("\r\n\r\n").next().unwrap().to_owned();
    head.split("\r\n")
        .filter(|l| !l.starts_with([' ', '\t']))
        .map(|l| l.split(':').next().unwrap().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mail_is_one_mail(name in words(), from_name in words(), username in words(), locale in locale(), seed: [u8; 32]) {
        let site = site(name, from_name);
        let letter = Letter::Reset { link: LINK, lifetime_ms: 3_600_000, username: &username };
        match compose(&letter, "ada@example.org", &locale, &site, 1_795_518_480_000, &seed) {
            Err(error) => {
                prop_assert_eq!(error.code(), "invalid_argument");
                prop_assert!(["site.name", "site.from_name", "username"].contains(&error.field()), "{}", error.field());
                let bad = |t: &str| t.chars().count() > 250 || t.chars().any(breaks_lines);
                let nothing_to_see = username.chars().all(|c| c.is_whitespace() || steers(c));
                let expected = bad(&site.name) || bad(&site.from_name) || bad(&username) || nothing_to_see;
                prop_assert!(expected, "refused without a reason: {}", error);
            }
            Ok(mail) => {
                prop_assert_eq!(fields(&mail.message), ["From", "To", "Subject", "Date", "Message-ID", "Content-Language",
                    "Auto-Submitted", "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"]);
                prop_assert!(mail.message.is_ascii());
                for line in mail.message.split(|b| *b == b'\n') {
                    prop_assert!(line.len() <= 999, "{} octets", line.len());
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    prop_assert!(!line.contains(&b'\r') && !line.contains(&0));
                }
                let lone = mail.message.iter().enumerate().any(|(i, b)| *b == b'\n' && (i == 0 || mail.message[i - 1] != b'\r'));
                prop_assert!(!lone, "a line feed on its own");
                let parsed = MessageParser::default().parse(&mail.message).unwrap();
                prop_assert_eq!(parsed.parts.len(), 3);
                let html = parsed.body_html(0).unwrap();
                prop_assert!(html.len() <= 30_000);
                prop_assert!(!html.contains("<script") && html.contains(LINK));
                prop_assert!(parsed.body_text(0).unwrap().contains(LINK));
                let from = parsed.from().and_then(|f| f.first()).unwrap();
                prop_assert_eq!(from.address(), Some("chat@example.com"));
            }
        }
    }

    #[test]
    fn an_address_is_one_recipient_or_none(to in prop_oneof![any::<String>(), "[ -~]{1,30}@[a-z.\\-]{1,20}", "\\PC{1,10}@\\PC{1,10}\\.example"]) {
        if let Ok(mail) = compose(&Letter::Test, &to, "en", &site(String::new(), String::new()), 0, &[3; 32]) {
            prop_assert!(mail.envelope_to.len() <= 254);
            prop_assert!(!mail.envelope_to.contains(['\r', '\n', '\0']));
            let (_, domain) = mail.envelope_to.rsplit_once('@').unwrap();
            prop_assert!(domain.is_ascii());
            let head = String::from_utf8_lossy(&mail.message).into_owned();
            let line = format!("\r\nTo: {}\r\n", mail.envelope_to);
            prop_assert!(head.contains(&line) || mail.envelope_to.contains(' ') || mail.envelope_to.len() > 70, "{}", line);
            prop_assert_eq!(fields(&mail.message).iter().filter(|n| *n == "To").count(), 1);
        }
    }

    #[test]
    fn masking_shows_one_character_and_the_domain(local in "[a-z]{2,20}", domain in "[a-z]{1,10}\\.example") {
        let masked = mask(&format!("{local}@{domain}"));
        prop_assert_eq!(&masked, &format!("{}***@{domain}", &local[..1]));
    }

    #[test]
    fn no_page_holds_markup_that_was_a_name(name in words(), username in words(), message in words(), locale in prop_oneof![Just("en"), Just("fa")]) {
        let site = site(name, String::new());
        let view = View::ResetForm { token: "t", username: &username, notice: Some(Notice::Refused(&message)) };
        if let Ok(page) = render(&view, Some(&site), locale) {
            prop_assert!(!page.html.contains("<script"));
            prop_assert_eq!(page.html.matches("<form").count(), 1);
            prop_assert_eq!(page.html.matches("<input").count(), if username.is_empty() { 3 } else { 4 });
            for value in page.headers.values() {
                prop_assert!(!value.contains(['\r', '\n']));
            }
        }
    }
}
