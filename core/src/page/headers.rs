//! What a page's answer carries beside its HTML (S17).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::context;
use ring::digest;

use crate::Error;
use crate::mail::template;

/// The one style sheet, and the policy that allows it by its hash and nothing else (CSP level 3).
pub(super) struct Style {
    pub(super) css: String,
    policy: String,
}

static STYLE: LazyLock<Result<Style, Error>> = LazyLock::new(|| {
    let css = template::render("page/style.css", &context! {})?;
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, css.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    Ok(Style { css, policy })
});

/// The style sheet, the same in every page.
pub(super) fn style() -> Result<&'static Style, Error> {
    STYLE.as_ref().map_err(Clone::clone)
}

/// What the console may do: run and show what lies beside it, and ask its own server. No inline script or style.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                              frame-ancestors 'self'; base-uri 'none'; form-action 'self'";

/// The console's headers.
pub(super) fn console(language: &str) -> BTreeMap<String, String> {
    with_policy(CONSOLE_POLICY, "SAMEORIGIN", language)
}

/// Every header of a page. Nothing is stored, framed, indexed, or told where the person came from.
pub(super) fn headers(style: &Style, status: u16, language: &str) -> BTreeMap<String, String> {
    let mut headers = with_policy(&style.policy, "DENY", language);
    if matches!(status, 429 | 503) {
        headers.insert("Retry-After".to_owned(), "60".to_owned());
    }
    headers
}

fn with_policy(policy: &str, framed: &str, language: &str) -> BTreeMap<String, String> {
    [
        ("Cache-Control", "no-store"),
        ("Content-Language", language),
        ("Content-Security-Policy", policy),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "Accept-Language"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", framed),
        ("X-Robots-Tag", "noindex"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
