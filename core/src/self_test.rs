//! A run through every kind of work with fixed inputs, for a host to make before it trusts its module.

use serde::{Deserialize, Serialize};

use crate::mail::{Base, Letter, WayBack, compose, locale};
use crate::page::{View, render};
use crate::seal::{SealingKey, Stored};
use crate::token::Token;
use crate::{Error, Kind, Purpose, Site};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {}

#[derive(Serialize)]
pub(crate) struct Answer {
    version: &'static str,
    kinds: [Kind; 4],
    locales: Vec<&'static str>,
}

const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
/// How the SHA-256 of [`TOKEN`] begins.
const DIGEST_STARTS: [u8; 4] = [0xea, 0x86, 0x6a, 0x75];
const NOW: i64 = 1_764_000_000_000;
const LIFETIME_MS: i64 = 3_600_000;

/// The operation `self_test`. Any disagreement is [`Error::Internal`].
pub(crate) fn answer(_: &Args) -> Result<Answer, Error> {
    let holds = |good: bool, what: &str| {
        if good { Ok(()) } else { Err(Error::internal(format!("self-test: {what}"))) }
    };
    let disagrees =
        |what: &'static str| move |error: Error| Error::internal(format!("self-test: {what}: {error}"));

    let counting: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap_or_default());
    let token = Token::mint(&counting).map_err(disagrees("minting"))?;
    holds(token.reveal() == TOKEN, "a token is not what it was")?;
    holds(token.digest().starts_with(&DIGEST_STARTS), "a digest is not what it was")?;
    holds(Token::mint(&[0; 32]).is_err(), "no entropy was taken for some")?;

    let site = Site::example();
    let base = Base::of(&site).map_err(disagrees("the site"))?;
    let link = token.link(Purpose::Reset, &base);
    let letters = [
        Letter::Reset { link: &link, lifetime_ms: LIFETIME_MS, username: "anna" },
        Letter::Verify { link: &link, lifetime_ms: LIFETIME_MS, username: "anna" },
        Letter::Test,
        Letter::Orphaned {
            since_ms: NOW,
            way_back: Some(WayBack { command: "true", password_of: Some(("anna", "smtp.example.com")) }),
        },
    ];
    let mut last = Vec::new();
    for letter in &letters {
        for locale in locale::ALL {
            let composed = compose(letter, "anna@example.com", locale, &site, NOW, &counting)
                .map_err(disagrees("composing"))?;
            holds(
                composed.locale == *locale && composed.envelope_to == "anna@example.com",
                "a mail is not as asked for",
            )?;
            last = composed.message;
        }
    }

    let key = SealingKey::derive("self-test self-test self-test 32").map_err(disagrees("the key"))?;
    let stored =
        Stored { envelope_from: "a@example.com".into(), envelope_to: "b@example.com".into(), message: last };
    let mut sealed = key.seal("id", &stored, [7; 12]).map_err(disagrees("sealing"))?;
    holds(
        key.open("id", &sealed).map_err(disagrees("opening"))? == stored,
        "what was opened is not what was sealed",
    )?;
    if let Some(octet) = sealed.last_mut() {
        *octet ^= 1;
    }
    holds(key.open("id", &sealed).is_err(), "an altered mail was opened")?;

    for locale in locale::ALL {
        let page = render(&View::ResetDone, Some(&site), locale).map_err(disagrees("a page"))?;
        holds(page.status == 200, "a page is not what it was")?;
    }

    let mut locales = locale::ALL.to_vec();
    locales.sort_unstable();
    let kinds = letters.map(|letter| letter.kind());
    Ok(Answer { version: env!("CARGO_PKG_VERSION"), kinds, locales })
}
