//! The pages: what their headers allow, what their HTML holds, and where their links lead.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

use base64::Engine as _;
use postroom_core::mail::locale;
use postroom_core::page::{Notice, View, Why, render};
use postroom_core::{Page, Purpose, Site};

fn site(url: &str) -> Site {
    Site {
        url: url.to_owned(),
        name: "Acme <Chat>".to_owned(),
        default_locale: "en".to_owned(),
        support_email: String::new(),
        from_address: String::new(),
        from_name: String::new(),
        reply_to: String::new(),
        reset_lifetime_ms: 3_600_000,
        verify_lifetime_ms: 86_400_000,
    }
}

fn page(view: View<'_>) -> Page {
    render(&view, Some(&site("https://chat.example.com/sub/")), "en").unwrap()
}

fn views() -> Vec<(u16, View<'static>)> {
    let form = |notice| View::ResetForm { token: "t", username: "ada", notice };
    let mut views = vec![
        (200, form(None)),
        (422, form(Some(Notice::PasswordsDiffer))),
        (422, form(Some(Notice::PasswordMissing))),
        (422, form(Some(Notice::Refused("Too short.")))),
        (503, form(Some(Notice::Again))),
        (200, View::VerifyForm { token: "t", address: "ada@example.com", notice: None }),
        (200, View::ResetDone),
        (200, View::VerifyDone { redirect: None }),
        (429, View::TooMany),
        (503, View::Unavailable),
        (404, View::NotFound),
        (403, View::NotAdmin),
        (401, View::LogIn),
    ];
    for purpose in [Purpose::Reset, Purpose::Verify] {
        views.push((404, View::Unusable { purpose, why: Why::Unknown }));
        views.push((410, View::Unusable { purpose, why: Why::Expired }));
        views.push((410, View::Unusable { purpose, why: Why::Dead }));
        views.push((504, View::OutcomeUnknown { purpose }));
    }
    views
}

#[test]
fn every_page_is_locked_down() {
    for (status, view) in views() {
        for locale in locale::ALL {
            let page = render(&view, Some(&site("https://chat.example.com")), locale).unwrap();
            assert_eq!(page.status, status);
            let css = page.html.split("<style>").nth(1).and_then(|s| s.split("</style>").next()).unwrap();
            let hash = ring::digest::digest(&ring::digest::SHA256, css.as_bytes());
            let hash = base64::engine::general_purpose::STANDARD.encode(hash);
            let header = |name: &str| page.headers.get(name).map(String::as_str);
            assert_eq!(
                header("Content-Security-Policy").unwrap(),
                format!(
                    "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
                     frame-ancestors 'none'"
                )
            );
            assert_eq!(header("Referrer-Policy"), Some("no-referrer"));
            assert_eq!(header("Cache-Control"), Some("no-store"));
            assert_eq!(header("X-Content-Type-Options"), Some("nosniff"));
            assert_eq!(header("X-Frame-Options"), Some("DENY"));
            assert_eq!(header("X-Robots-Tag"), Some("noindex"));
            assert_eq!(header("Content-Type"), Some("text/html; charset=utf-8"));
            assert_eq!(header("Content-Language"), Some(*locale));
            assert_eq!(header("Retry-After").is_some(), matches!(status, 429 | 503));
            for forbidden in ["<script", "style=", "<img", "<link", "src=", "url(", " on", "javascript:"] {
                let body = page.html.split("</style>").nth(1).unwrap();
                assert!(
                    !body.contains(forbidden) || forbidden == " on" && !body.contains(" onclick"),
                    "{forbidden}"
                );
            }
        }
    }
}

#[test]
fn every_page_can_be_used_by_everybody() {
    for (_, view) in views() {
        for locale in locale::ALL {
            let html = render(&view, Some(&site("https://chat.example.com")), locale).unwrap().html;
            let direction = if *locale == "fa" { "rtl" } else { "ltr" };
            assert!(html.contains(&format!("<html lang=\"{locale}\" dir=\"{direction}\">")));
            assert_eq!(html.matches("<h1>").count(), 1);
            assert_eq!((html.matches("<main>").count(), html.matches("<header>").count()), (1, 1));
            assert!(html.contains("<title>") && html.contains("width=device-width"));
            for id in html.split("<label for=\"").skip(1).filter_map(|s| s.split('"').next()) {
                assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
            }
            for id in html.split("aria-describedby=\"").skip(1).filter_map(|s| s.split('"').next()) {
                assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{id}");
            }
        }
    }
}

/// The console is the one page with a script. Nothing of it is inline, and all of it lies beside the page.
#[test]
fn the_console_runs_its_own_script_and_no_other() {
    for (url, locale) in [("https://chat.example.com", "en"), ("https://chat.example.com/sub", "fa")] {
        let page = render(&View::Console, Some(&site(url)), locale).unwrap();
        let header = |name: &str| page.headers.get(name).map(String::as_str);
        assert_eq!(
            header("Content-Security-Policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                 frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
            )
        );
        assert_eq!(header("Cache-Control"), Some("no-store"));
        assert_eq!(header("X-Frame-Options"), Some("SAMEORIGIN"));
        let version = env!("CARGO_PKG_VERSION");
        let (script, style) =
            (format!("public/console.js?v={version}"), format!("public/console.css?v={version}"));
        assert_eq!(page.html.matches("<script").count(), 1);
        assert!(page.html.contains(&format!("<script src=\"{script}\" defer></script>")));
        assert_eq!(hrefs(&page), [style]);
        assert_eq!((page.html.matches("<style").count(), page.html.matches(" style=").count()), (0, 0));
        assert_eq!(page.html.matches("<h1>").count(), 1);
    }
    let again = hrefs(&page(View::LogIn));
    assert_eq!(
        again,
        ["https://chat.example.com/sub/login", "https://chat.example.com/sub/plugins/postroom/console"]
    );
    assert!(render(&View::Console, None, "en").unwrap().html.contains("<title>Postroom</title>"));
}

#[test]
fn forms_post_to_the_site_and_help_password_managers() {
    let reset = page(View::ResetForm { token: "tok", username: "ada", notice: None }).html;
    assert!(reset.contains("<form method=\"post\" action=\"/sub/plugins/postroom/reset\">"));
    assert!(reset.contains("<input type=\"hidden\" name=\"token\" value=\"tok\">"));
    assert!(reset.contains("name=\"username\" value=\"ada\" autocomplete=\"username\""));
    assert_eq!(reset.matches("autocomplete=\"new-password\"").count(), 2);
    assert!(!reset.contains("role=\"alert\""));
    let verify = page(View::VerifyForm { token: "tok", address: "ada@example.com", notice: None }).html;
    assert!(verify.contains("<form method=\"post\" action=\"/sub/plugins/postroom/verify\">"));
    assert!(verify.contains("ada@example.com") && !verify.contains("type=\"password\""));
}

#[test]
fn a_notice_is_an_alert_with_mattermosts_own_words() {
    let words = "Your password must contain <12> characters.";
    let page = page(View::ResetForm { token: "t", username: "ada", notice: Some(Notice::Refused(words)) });
    assert!(page.html.contains("role=\"alert\""));
    assert!(page.html.contains("Your password must contain &lt;12&gt; characters."));
    assert!(page.html.contains("<title>Error: Choose a new password · Acme &lt;Chat&gt;</title>"));
    assert!(page.html.contains("aria-invalid=\"true\" aria-describedby=\"notice\""));
}

fn hrefs(page: &Page) -> Vec<String> {
    page.html.split("href=\"").skip(1).filter_map(|s| s.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn links_lead_on_and_stay_on_the_site() {
    assert_eq!(hrefs(&page(View::ResetDone)), ["https://chat.example.com/sub/login"]);
    let unusable = |purpose| page(View::Unusable { purpose, why: Why::Expired });
    assert_eq!(hrefs(&unusable(Purpose::Reset)), ["https://chat.example.com/sub/reset_password"]);
    assert_eq!(hrefs(&unusable(Purpose::Verify)), ["https://chat.example.com/sub/login"]);
    for (redirect, query) in [
        ("/acme/channels/town-square", "?redirect_to=/acme/channels/town-square"),
        ("/a?b=1&token=x#y", "?redirect_to=/a%3Fb%3D1%26token%3Dx%23y"),
        ("/ü\"><script>", "?redirect_to=/%C3%BC%22%3E%3Cscript%3E"),
        ("//evil.example", ""),
        ("/\\evil.example", ""),
        ("https://evil.example", ""),
        ("javascript:alert(1)", ""),
        ("/a\r\nb", ""),
        ("", ""),
    ] {
        let page = page(View::VerifyDone { redirect: Some(redirect) });
        assert_eq!(hrefs(&page), [format!("https://chat.example.com/sub/login{query}")], "{redirect}");
    }
}

#[test]
fn without_a_site_there_is_still_a_page_but_no_form() {
    for view in [View::TooMany, View::Unavailable, View::NotFound] {
        let page = render(&view, None, "fa").unwrap();
        assert!(hrefs(&page).is_empty() && !page.html.contains("<header>"));
    }
    let form = View::ResetForm { token: "s3cret", username: "ada", notice: None };
    let error = render(&form, None, "en").unwrap_err();
    assert_eq!(error.code(), "internal");
    let error = render(&form, Some(&site("nonsense")), "en").unwrap_err();
    assert_eq!(error.field(), "site.url");
    assert!(!error.to_string().contains("s3cret"));
}
