//! From facts to octets.

use minijinja::context;
use ring::digest;

use super::address::{parse, refuse_controls};
use super::moment::Moment;
use super::text::{Facts, Language, clean, language};
use super::{Base, Composed, Letter, WayBack, locale, mime, template};
use crate::{Error, Site};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// In characters. Mattermost's own limits are 30 for a site's name and 64 for a user's.
const MAX_NAME: usize = 250;
/// In octets.
const MAX_LINK: usize = 2048;

/// Composes a mail to `to`, in the account's `locale` (or the site's, or English).
///
/// `now_ms` is milliseconds since the Unix epoch and becomes the Date. `seed` is 32 octets of entropy, from which
/// Message-ID and MIME boundary come by SHA-256; the same seed gives the same mail. It need not stay secret.
///
/// # Errors
/// `invalid_argument` naming `to`, `now`, `username`, `link`, `lifetime_ms` or a `site.` member, for line breaks in
/// any of them, for what is no address, and for a link that does not lie under `site.url`; `template` for a fault in
/// ours. None holds the link.
pub fn compose(
    letter: &Letter<'_>,
    to: &str,
    locale: &str,
    site: &Site,
    now_ms: i64,
    seed: &[u8; 32],
) -> Result<Composed, Error> {
    let base = Base::of(site)?;
    refuse_controls("locale", locale)?;
    let language = language(locale::resolve(locale, &site.default_locale))?;
    let recipient = parse("to", to)?;
    let from = sender(site, &base)?;
    let reply_to = optional_address("site.reply_to", &site.reply_to)?;
    let support = optional_address("site.support_email", &site.support_email)?.map(|a| a.to_string());
    let name = site_name(site, &base)?;
    let from_name = name_of("site.from_name", &site.from_name)?.unwrap_or_else(|| name.clone());
    let date = Moment::new("now", now_ms)?;

    let facts = facts(letter, language, &base, now_ms)?
        .text("site", &name, language)
        .text("url", base.url(), language)
        .text("address", to, language)
        .text("support", support.as_deref().unwrap_or_default(), language)
        .text("moment", &language.moment(date)?, language);
    let kind = match letter {
        Letter::Reset { .. } => "reset",
        Letter::Verify { .. } => "verify",
        Letter::Test => "test",
        Letter::Orphaned { .. } => "orphaned",
    };
    let way_back = match letter {
        Letter::Orphaned { way_back, .. } => *way_back,
        _ => None,
    };
    let context = context! {
        kind,
        lang => language.tag,
        dir => language.direction,
        start => if language.direction == "rtl" { "right" } else { "left" },
        fonts => minijinja::Value::from_safe_string(language.fonts.to_owned()),
        site => clean(&name),
        support => support.unwrap_or_default(),
        link => link(letter),
        command => way_back.map(|way| way.command),
        password => way_back.is_some_and(|way| way.password_of.is_some()),
        t => template::Sentences::value(language, facts),
    };
    let subject = template::render(&format!("{kind}/email.subject"), &context)?;
    let text = template::render(&format!("{kind}/email.txt"), &context)?;
    let html = template::render(&format!("{kind}/email.html"), &context)?;

    let (id, boundary) = names(seed);
    let message_id = format!("<{id}@{}>", from.domain());
    let message = mime::message(&mime::Parts {
        from: &from,
        from_name: &from_name,
        to: &recipient,
        reply_to: reply_to.as_ref(),
        subject: &subject,
        date: &date.rfc5322(),
        message_id: &message_id,
        boundary: &boundary,
        language: language.tag,
        text: &text,
        html: &html,
    })?;
    Ok(Composed {
        message,
        envelope_from: from.to_string(),
        envelope_to: recipient.to_string(),
        message_id,
        masked_to: super::mask(to),
        locale: language.tag.to_owned(),
    })
}

/// The site's name as people know it, else its host.
pub(crate) fn site_name(site: &Site, base: &Base) -> Result<String, Error> {
    Ok(name_of("site.name", &site.name)?.unwrap_or_else(|| base.host().to_owned()))
}

/// The address that mail comes from, in header and envelope: Mattermost's setting, else `noreply@` the site's host.
fn sender(site: &Site, base: &Base) -> Result<lettre::Address, Error> {
    if !site.from_address.is_empty() {
        return parse("site.from_address", &site.from_address);
    }
    let domain = match base.host() {
        v4 if v4.parse::<std::net::Ipv4Addr>().is_ok() => format!("[{v4}]"),
        // A literal of RFC 5321 would be `[IPv6:…]`, which hardly a server takes.
        v6 if v6.starts_with('[') => String::new(),
        name => name.to_owned(),
    };
    parse("site.from_address", &format!("noreply@{domain}")).map_err(|_| {
        Error::argument(
            "site.from_address",
            "is empty, and the Site URL's host cannot stand in for it; set Notification From Address in System \
             Console > Site Configuration > Notifications",
        )
    })
}

fn optional_address(field: &str, text: &str) -> Result<Option<lettre::Address>, Error> {
    if text.is_empty() { Ok(None) } else { parse(field, text).map(Some) }
}

/// A display name: one line, not too long, `None` where there is nothing to be seen.
fn name_of(field: &str, text: &str) -> Result<Option<String>, Error> {
    refuse_controls(field, text)?;
    if text.chars().count() > MAX_NAME {
        return Err(Error::argument(field, format!("has more than {MAX_NAME} characters; shorten it")));
    }
    let name = clean(text);
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

fn link<'a>(letter: &Letter<'a>) -> &'a str {
    match letter {
        Letter::Reset { link, .. } | Letter::Verify { link, .. } => link,
        Letter::Test | Letter::Orphaned { .. } => "",
    }
}

/// What the letter itself says: name, link and its life.
fn facts(letter: &Letter<'_>, language: &Language, base: &Base, now_ms: i64) -> Result<Facts, Error> {
    let (link, lifetime_ms, username) = match *letter {
        Letter::Reset { link, lifetime_ms, username } | Letter::Verify { link, lifetime_ms, username } => {
            (link, lifetime_ms, username)
        }
        Letter::Test => return Ok(Facts::default()),
        Letter::Orphaned { since_ms, way_back } => return orphaned_facts(since_ms, way_back, language),
    };
    let username = name_of("username", username)?.ok_or_else(|| Error::argument("username", "is empty"))?;
    let url_octets = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
    if link.len() > MAX_LINK || !link.bytes().all(url_octets) || !base.covers(link) {
        return Err(Error::argument(
            "link",
            format!("a link is a URL under site.url, of {MAX_LINK} octets at most"),
        ));
    }
    if lifetime_ms <= 0 {
        return Err(Error::argument("lifetime_ms", "a link lives for at least a millisecond"));
    }
    let until = now_ms
        .checked_add(lifetime_ms)
        .ok_or_else(|| Error::argument("lifetime_ms", "is too long"))
        .and_then(|ms| Moment::new("lifetime_ms", ms))?;
    // Rounded down, so that no mail promises more than the link holds.
    let whole_hours = lifetime_ms >= 2 * HOUR_MS && lifetime_ms % HOUR_MS == 0;
    let (unit, count) =
        if whole_hours { ("hours", lifetime_ms / HOUR_MS) } else { ("minutes", lifetime_ms / MINUTE_MS) };
    Ok(Facts::default()
        .text("username", &username, language)
        .text("until", &language.moment(until)?, language)
        .word("unit", unit.to_owned())
        .number("count", count))
}

fn orphaned_facts(since_ms: i64, way_back: Option<WayBack<'_>>, language: &Language) -> Result<Facts, Error> {
    let since = Moment::new("since", since_ms)?;
    let facts = Facts::default().text("since", &language.moment(since)?, language);
    Ok(match way_back.and_then(|way| way.password_of) {
        Some((account, server)) => facts.text("account", account, language).text("server", server, language),
        None => facts,
    })
}

/// The left-hand side of the Message-ID and the MIME boundary. "=_" occurs in neither encoding (RFC 2045 section 6.7).
fn names(seed: &[u8; 32]) -> (String, String) {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"postroom: the names in a mail\0");
    context.update(seed);
    let hash = context.finish();
    let digits = hash.as_ref().iter().flat_map(|b| [b >> 4, b & 15]);
    let hex: String = digits.filter_map(|d| char::from_digit(u32::from(d), 16)).collect();
    let (id, boundary) = hex.split_at(32);
    (id.to_owned(), format!("=_{boundary}"))
}
