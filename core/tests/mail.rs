//! The mails: their headers, their limits, and what they refuse. Read back by mail-parser, which is not what wrote them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

use mail_parser::{Address, MessageParser, MimeHeaders};
use postroom_core::mail::{Base, Composed, Letter, WayBack, compose, locale};
use postroom_core::{Error, Site};

const NOW: i64 = 1_795_518_480_000;
const LINK: &str =
    "https://chat.example.com/plugins/postroom/reset?token=b3VyLXRva2Vucy1hcmUtdGhpcnR5LXR3by1ieXRlcyE";

fn site() -> Site {
    Site {
        url: "https://chat.example.com".to_owned(),
        name: "Acme Chat".to_owned(),
        default_locale: "en".to_owned(),
        support_email: String::new(),
        from_address: "chat@example.com".to_owned(),
        from_name: String::new(),
        reply_to: String::new(),
        reset_lifetime_ms: 3_600_000,
        verify_lifetime_ms: 86_400_000,
    }
}

fn letter(lifetime_ms: i64) -> Letter<'static> {
    Letter::Reset { link: LINK, lifetime_ms, username: "ada" }
}

fn mail(to: &str, locale: &str, site: &Site) -> Result<Composed, Error> {
    compose(&letter(3_600_000), to, locale, site, NOW, &[1; 32])
}

fn headers(message: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8(message.to_vec()).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    head.split("\r\n")
        .map(|l| l.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
        .collect()
}

fn bodies(message: &[u8]) -> (String, String) {
    let parsed = MessageParser::default().parse(message).unwrap();
    (parsed.body_text(0).unwrap().into_owned(), parsed.body_html(0).unwrap().into_owned())
}

#[test]
fn each_header_once_and_no_other() {
    let mail =
        mail("ada@example.org", "en", &Site { reply_to: "help@example.com".to_owned(), ..site() }).unwrap();
    let names: Vec<String> = headers(&mail.message).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "From",
            "To",
            "Subject",
            "Date",
            "Message-ID",
            "Reply-To",
            "Content-Language",
            "Auto-Submitted",
            "X-Auto-Response-Suppress",
            "MIME-Version",
            "Content-Type"
        ]
    );
    let value = |name: &str| headers(&mail.message).into_iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(value("Auto-Submitted"), "auto-generated");
    assert_eq!(value("X-Auto-Response-Suppress"), "All");
    assert_eq!(value("Reply-To"), "help@example.com");
    assert_eq!(value("Message-ID"), mail.message_id);
    assert!(mail.message_id.ends_with("@example.com>"));
    assert_eq!(
        (mail.envelope_from.as_str(), mail.envelope_to.as_str()),
        ("chat@example.com", "ada@example.org")
    );
    assert_eq!(mail.masked_to, "a***@example.org");
}

#[test]
fn the_same_request_is_the_same_mail_and_another_seed_another() {
    let (a, b) =
        (mail("ada@example.org", "de", &site()).unwrap(), mail("ada@example.org", "de", &site()).unwrap());
    assert!(a == b);
    let other = compose(&letter(3_600_000), "ada@example.org", "de", &site(), NOW, &[2; 32]).unwrap();
    assert_ne!(other.message_id, a.message_id);
    assert_eq!(bodies(&other.message), bodies(&a.message));
}

#[test]
fn text_first_and_both_complete() {
    for locale in locale::ALL {
        let mail = mail("ada@example.org", locale, &site()).unwrap();
        let parsed = MessageParser::default().parse(&mail.message).unwrap();
        let kinds: Vec<&str> =
            parsed.parts.iter().map(|p| p.content_type().unwrap().subtype().unwrap()).collect();
        assert_eq!(kinds, ["alternative", "plain", "html"]);
        let (text, html) = bodies(&mail.message);
        let year = if *locale == "fa" { "۱۴۰۵" } else { "2026" };
        for words in ["ada", "Acme Chat", year, "UTC", LINK] {
            assert!(text.contains(words), "{locale}: {words} is not in the text");
            assert!(html.contains(words), "{locale}: {words} is not in the HTML");
        }
        assert!(html.contains(&format!(">{LINK}</a>")), "{locale}: the link is to be seen");
        assert_eq!(
            html.matches(&format!("href=\"{LINK}\"")).count(),
            3,
            "button, Outlook's button, visible link"
        );
    }
}

#[test]
fn the_way_back_stands_whole_in_both_parts() {
    let command = "printf %s '{\"EmailSettings\":{\"SMTPUsername\":\"a<b>&c\"}}' | mmctl --local config patch /dev/stdin";
    let way_back = WayBack { command, password_of: Some(("a<b>&c", "smtp.example.net")) };
    let letter = Letter::Orphaned { since_ms: NOW - 60_000, way_back: Some(way_back) };
    for locale in locale::ALL {
        let mail = compose(&letter, "ada@example.org", locale, &site(), NOW, &[1; 32]).unwrap();
        let (text, html) = bodies(&mail.message);
        assert!(text.lines().any(|line| line == command), "{locale}: one line of its own, to be copied");
        let escaped = command
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;");
        assert!(html.contains(&format!(">{escaped}</p>")), "{locale}");
        for words in ["PASSWORD", "smtp.example.net", "--local", "System Console > Plugins"] {
            assert!(text.contains(words), "{locale}: {words} is not in the text");
        }
        assert!(html.len() <= 15_000, "{locale}: {} octets", html.len());
    }
}

#[test]
fn the_html_is_what_clients_and_people_need() {
    for locale in locale::ALL {
        let (_, html) = bodies(&mail("ada@example.org", locale, &site()).unwrap().message);
        let direction = if *locale == "fa" { "rtl" } else { "ltr" };
        assert!(html.len() <= 15_000, "{locale}: {} octets", html.len());
        for needed in [
            format!("<html lang=\"{locale}\" dir=\"{direction}\"").as_str(),
            "<title>",
            "<meta name=\"color-scheme\" content=\"light dark\">",
            "@media (prefers-color-scheme: dark)",
            "[data-ogsc]",
            "<!--[if mso]>",
            "<v:roundrect",
            "display:none;max-height:0",
        ] {
            assert!(html.contains(needed), "{locale}: no {needed}");
        }
        assert_eq!(html.matches("<table").count(), html.matches("role=\"presentation\"").count());
        // The preheader is hidden; everything a person reads has 16 px or more.
        for size in html.split("font-size:").skip(1).filter_map(|s| s.split("px").next()) {
            assert!(size == "1" || size.parse::<u32>().unwrap() >= 16, "{locale}: font-size {size}px");
        }
        // 12 + 24 + 12 px.
        assert!(
            html.contains("padding:12px 28px")
                && html.contains("font-size:16px;line-height:24px;font-weight:bold;text-align:center")
        );
        for load in ["<img", "<link", "<script", "src=", "url(", "@import", "@font-face"] {
            assert!(!html.contains(load), "{locale}: {load}");
        }
    }
}

#[test]
fn lifetimes_in_words() {
    for (lifetime_ms, words) in [
        (59_999, "once within a minute, until 24 November 2026, 11:08 UTC"),
        (60_000, "within 1 minute, until 24 November 2026, 11:09 UTC"),
        (119_999, "within 1 minute, until"),
        (3_600_000, "within 60 minutes, until 24 November 2026, 12:08 UTC"),
        (5_400_000, "within 90 minutes, until"),
        (7_200_000, "within 2 hours, until"),
        (9_000_000, "within 150 minutes, until"),
        (86_400_000, "within 24 hours, until 25 November 2026, 11:08 UTC"),
    ] {
        let mail = compose(&letter(lifetime_ms), "ada@example.org", "en", &site(), NOW, &[1; 32]).unwrap();
        let (text, _) = bodies(&mail.message);
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn words_beyond_ascii_are_encoded_and_come_back() {
    let site =
        Site { name: "Größe & Söhne, 株式会社 “quoted” =?utf-8?q?x?=".to_owned(), ..site() };
    for locale in locale::ALL {
        let mail = mail("ada@example.org", locale, &site).unwrap();
        assert!(mail.message.is_ascii());
        let parsed = MessageParser::default().parse(&mail.message).unwrap();
        let Some(Address::List(from)) = parsed.from() else { panic!("no From") };
        assert_eq!(from[0].name(), Some(site.name.as_str()));
        let subject = parsed.subject().unwrap().replace(['\u{2068}', '\u{2069}'], "");
        assert!(subject.contains(&site.name), "{subject}");
    }
}

#[test]
fn international_addresses() {
    let composed = mail("ada@bücher.example", "en", &site()).unwrap();
    assert_eq!(composed.envelope_to, "ada@xn--bcher-kva.example");
    assert!(composed.message.is_ascii());
    assert!(bodies(&composed.message).0.len() > 100);

    // RFC 6531: the local part goes out as it is; whether the next server takes it is the courier's to find out.
    let composed = mail("jürgen@bücher.example", "en", &site()).unwrap();
    assert_eq!(composed.envelope_to, "jürgen@xn--bcher-kva.example");
    assert!(
        headers(&composed.message).contains(&("To".to_owned(), "jürgen@xn--bcher-kva.example".to_owned()))
    );

    let composed =
        mail("ada@example.org", "en", &Site { from_address: "chat@bücher.example".to_owned(), ..site() })
            .unwrap();
    assert!(composed.message_id.ends_with("@xn--bcher-kva.example>"));
    assert_eq!(composed.envelope_from, "chat@xn--bcher-kva.example");
}

#[test]
fn the_sender_without_a_setting() {
    let plain = Site { from_address: String::new(), ..site() };
    assert_eq!(mail("ada@example.org", "en", &plain).unwrap().envelope_from, "noreply@chat.example.com");
    for (url, sender) in
        [("http://127.0.0.1:8065", "noreply@[127.0.0.1]"), ("http://localhost:8065", "noreply@localhost")]
    {
        let site = Site { url: url.to_owned(), ..plain.clone() };
        let mail = compose(&Letter::Test, "ada@example.org", "en", &site, NOW, &[1; 32]).unwrap();
        assert_eq!(mail.envelope_from, sender);
    }
    let site = Site { url: "http://[::1]:8065".to_owned(), ..plain };
    let Err(error) = compose(&Letter::Test, "ada@example.org", "en", &site, NOW, &[1; 32]) else { panic!() };
    assert_eq!(error.field(), "site.from_address");
    assert!(error.to_string().contains("System Console"), "{error}");
}

#[test]
fn template_code_and_markup_in_names_are_inert() {
    let hostile = "{{ 7*7 }}{% raw %}<img src=x onerror=alert(1)>\"'&";
    let letter = Letter::Reset { link: LINK, lifetime_ms: 1, username: hostile };
    let site = Site { name: hostile.to_owned(), ..site() };
    for locale in locale::ALL {
        let mail = compose(&letter, "ada@example.org", locale, &site, NOW, &[1; 32]).unwrap();
        let (text, html) = bodies(&mail.message);
        assert!(text.contains(hostile));
        assert!(html.contains("{{ 7*7 }}{% raw %}&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;"));
        assert!(!html.contains("<img"));
    }
}

fn refused(expected: &str, result: Result<Composed, Error>) {
    let Err(error) = result else { panic!("{expected} was taken") };
    assert_eq!((error.code(), error.field()), ("invalid_argument", expected));
    assert!(!error.to_string().contains("b3VyLXRva2Vucy1"), "an error quotes the link");
}

#[test]
fn line_breaks_are_refused_by_name() {
    for bad in ["\r", "\n", "\r\nBcc: eve@example.net", "\0", "\u{85}", "\u{2028}", "\u{7f}"] {
        let with = |text: &str| format!("{text}{bad}x");
        let named = |edit: &dyn Fn(&mut Site)| {
            let mut site = site();
            edit(&mut site);
            mail("ada@example.org", "en", &site)
        };
        refused("to", mail(&format!("ada{bad}@example.org"), "en", &site()));
        refused("to", mail(&with("ada@example.org"), "en", &site()));
        refused("locale", mail("ada@example.org", &with("en"), &site()));
        refused("site.name", named(&|s| s.name = with("Acme")));
        refused("site.from_name", named(&|s| s.from_name = with("Acme")));
        refused("site.from_address", named(&|s| s.from_address = with("a@example.com")));
        refused("site.reply_to", named(&|s| s.reply_to = with("a@example.com")));
        refused("site.support_email", named(&|s| s.support_email = with("a@example.com")));
        refused("site.url", named(&|s| s.url = with("https://chat.example.com/")));
        let letter = Letter::Reset { link: LINK, lifetime_ms: 1, username: &with("ada") };
        refused("username", compose(&letter, "ada@example.org", "en", &site(), NOW, &[1; 32]));
        let letter = Letter::Reset { link: &with(LINK), lifetime_ms: 1, username: "ada" };
        refused("link", compose(&letter, "ada@example.org", "en", &site(), NOW, &[1; 32]));
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for bad in [
        "",
        "ada",
        "@example.org",
        "ada@",
        "ada@exa mple.org",
        "a@b@",
        "ada@-x.example",
        "ada@x..example",
        "<ada@example.org>",
        "Ada <ada@example.org>",
        "ada@example.org,eve@example.net",
        "ada @example.org",
    ] {
        refused("to", mail(bad, "en", &site()));
    }
    refused("to", mail(&format!("{}@example.org", "a".repeat(400)), "en", &site()));
    refused("to", mail(&format!("a@{}.example", "b".repeat(300)), "en", &site()));
    assert!(mail("\"ada lovelace\"@example.org", "en", &site()).is_ok());
    assert!(mail("ada+tag@[192.0.2.1]", "en", &site()).is_ok());
}

#[test]
fn links_lie_under_the_site_and_nowhere_else() {
    for bad in [
        "",
        "https://chat.example.com",
        "https://chat.example.com.evil.example/x",
        "http://chat.example.com/x",
        "https://evil.example/?https://chat.example.com/",
        "//chat.example.com/x",
        "javascript:alert(1)",
        "https://chat.example.com/\"onclick=x",
        "https://chat.example.com/ x",
        "https://chat.example.com/ü",
    ] {
        let letter = Letter::Verify { link: bad, lifetime_ms: 1, username: "ada" };
        refused("link", compose(&letter, "ada@example.org", "en", &site(), NOW, &[1; 32]));
    }
}

#[test]
fn numbers_out_of_range() {
    refused("lifetime_ms", compose(&letter(0), "ada@example.org", "en", &site(), NOW, &[1; 32]));
    refused("lifetime_ms", compose(&letter(-1), "ada@example.org", "en", &site(), NOW, &[1; 32]));
    refused("lifetime_ms", compose(&letter(i64::MAX), "ada@example.org", "en", &site(), NOW, &[1; 32]));
    refused("now", compose(&letter(1), "ada@example.org", "en", &site(), -1, &[1; 32]));
    refused("now", compose(&letter(1), "ada@example.org", "en", &site(), i64::MAX, &[1; 32]));
    refused("site.name", mail("ada@example.org", "en", &Site { name: "x".repeat(251), ..site() }));
}

#[test]
fn site_urls() {
    let good = |text: &str, url: &str, path: &str| {
        let base = Base::parse(text).unwrap();
        assert_eq!((base.url(), base.path()), (url, path), "{text}");
    };
    good("https://chat.example.com", "https://chat.example.com", "");
    good("HTTPS://Chat.Example.COM:8443/a/b//", "https://chat.example.com:8443/a/b", "/a/b");
    good("http://bücher.example/", "http://xn--bcher-kva.example", "");
    good("http://[::1]:8065/x", "http://[::1]:8065/x", "/x");
    good("http://10.0.0.1", "http://10.0.0.1", "");
    assert!(
        Base::parse("https://x.example").unwrap().secure()
            && !Base::parse("http://x.example").unwrap().secure()
    );
    for bad in [
        "",
        "chat.example.com",
        "/relative",
        "ftp://x.example",
        "javascript://x",
        "https://",
        "https:///x",
        "https://u@x.example",
        "https://u:p@x.example",
        "https://x.example?q",
        "https://x.example/#f",
        "https://x.example:0",
        "https://x.example:99999",
        "https://x.example:",
        "https://x.example:+80",
        "https://x.example/a b",
        "https://x.example/\"",
        "https://x.example/../y",
        "https://x.example/a//b",
        "https://x.example\\y",
        "https://[::1",
        "https://[x]",
        "https://-x.example",
        " https://x.example",
        "https://x.example/\u{e9}",
        "https://x_y.example",
        "https://x.example.",
    ] {
        let error = Base::parse(bad).unwrap_err();
        assert_eq!(error.field(), "site.url", "{bad}");
        assert!(error.to_string().contains("System Console > Environment > Web Server"), "{error}");
    }
}
