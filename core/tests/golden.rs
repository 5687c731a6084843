//! Whole mails and whole pages, compared whole. `UPDATE_GOLDEN=1 cargo test -p postroom-core --test golden` (or
//! `make golden`) rewrites them; look at the difference before committing it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

use std::path::PathBuf;

use postroom_core::mail::{Letter, WayBack, compose, locale};
use postroom_core::page::{Notice, View, Why, render};
use postroom_core::{Purpose, Site};

const NOW: i64 = 1_795_518_480_000;
const TOKEN: &str = "b3VyLXRva2Vucy1hcmUtdGhpcnR5LXR3by1ieXRlcyE";

fn site() -> Site {
    Site {
        url: "https://chat.example.com/team".to_owned(),
        name: "Acme Chat".to_owned(),
        default_locale: "en".to_owned(),
        support_email: "help@example.com".to_owned(),
        from_address: "chat@example.com".to_owned(),
        from_name: String::new(),
        reply_to: "help@example.com".to_owned(),
        reset_lifetime_ms: 3_600_000,
        verify_lifetime_ms: 86_400_000,
    }
}

/// Compares with a file under `core/tests/golden/`, or rewrites it.
#[allow(clippy::disallowed_methods)] // a test may read files and the environment
fn check(name: &str, actual: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{name} differs; run `make golden`, and look at what changed\n--- actual ---\n{}",
        String::from_utf8_lossy(actual)
    );
}

#[test]
fn mails() {
    let reset = format!("https://chat.example.com/team/plugins/postroom/reset?token={TOKEN}");
    let verify = format!("https://chat.example.com/team/plugins/postroom/verify?token={TOKEN}");
    let way_back = WayBack {
        command: r#"printf %s '{"EmailSettings":{"SMTPServer":"smtp.example.com","SMTPPort":"587"}}' | mmctl --local config patch /dev/stdin"#,
        password_of: Some(("chat@example.com", "smtp.example.com")),
    };
    for locale in locale::ALL {
        for (kind, letter) in [
            ("reset", Letter::Reset { link: &reset, lifetime_ms: 3_600_000, username: "ada.lovelace" }),
            ("verify", Letter::Verify { link: &verify, lifetime_ms: 86_400_000, username: "ada.lovelace" }),
            ("test", Letter::Test),
            ("orphaned", Letter::Orphaned { since_ms: NOW - 180_000, way_back: Some(way_back) }),
            ("orphaned-unknown", Letter::Orphaned { since_ms: NOW - 180_000, way_back: None }),
        ] {
            let mail = compose(&letter, "ada@example.com", locale, &site(), NOW, &[7; 32]).unwrap();
            assert_eq!(mail.locale, *locale);
            check(&format!("mail/{kind}.{locale}.eml"), &mail.message);
        }
    }
}

#[test]
fn pages() {
    let reset = |notice| View::ResetForm { token: TOKEN, username: "ada.lovelace", notice };
    // Judged before the account is looked up.
    let unnamed = |notice| View::ResetForm { token: TOKEN, username: "", notice };
    let verify = |notice| View::VerifyForm { token: TOKEN, address: "ada@example.com", notice };
    let refused = Notice::Refused("Your password must contain at least 12 characters.");
    let unusable = |purpose, why| View::Unusable { purpose, why };
    let views = [
        ("reset-form", reset(None)),
        ("reset-form-differ", unnamed(Some(Notice::PasswordsDiffer))),
        ("reset-form-missing", unnamed(Some(Notice::PasswordMissing))),
        ("reset-form-refused", reset(Some(refused))),
        ("reset-form-again", reset(Some(Notice::Again))),
        ("reset-done", View::ResetDone),
        ("reset-unknown", unusable(Purpose::Reset, Why::Unknown)),
        ("reset-expired", unusable(Purpose::Reset, Why::Expired)),
        ("reset-dead", unusable(Purpose::Reset, Why::Dead)),
        ("reset-outcome", View::OutcomeUnknown { purpose: Purpose::Reset }),
        ("verify-form", verify(None)),
        ("verify-form-again", verify(Some(Notice::Again))),
        ("verify-done", View::VerifyDone { redirect: None }),
        ("verify-done-redirect", View::VerifyDone { redirect: Some("/acme/channels/off-topic?a=1&b=2") }),
        ("verify-unknown", unusable(Purpose::Verify, Why::Unknown)),
        ("verify-expired", unusable(Purpose::Verify, Why::Expired)),
        ("verify-dead", unusable(Purpose::Verify, Why::Dead)),
        ("verify-outcome", View::OutcomeUnknown { purpose: Purpose::Verify }),
        ("too-many", View::TooMany),
        ("unavailable", View::Unavailable),
        ("not-found", View::NotFound),
        ("console", View::Console),
        ("console-not-admin", View::NotAdmin),
        ("console-log-in", View::LogIn),
    ];
    for locale in locale::ALL {
        for (name, view) in &views {
            let page = render(view, Some(&site()), locale).unwrap();
            // The answer as it goes out: status, headers, document.
            let headers: String = page.headers.iter().map(|(k, v)| format!("{k}: {v}\n")).collect();
            let whole = format!("{}\n{headers}\n{}", page.status, page.html);
            check(&format!("page/{name}.{locale}.http"), whole.as_bytes());
        }
        for (name, view) in
            views.iter().filter(|(name, _)| matches!(*name, "unavailable" | "not-found" | "too-many"))
        {
            let page = render(view, None, locale).unwrap();
            check(&format!("page/{name}-no-site.{locale}.html"), page.html.as_bytes());
        }
    }
}
