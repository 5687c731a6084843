//! The step `dkim`: are there keys with which receivers could check a signature in the From address's name?
//!
//! Which selector a server signs with stands only in a signed mail. What can be asked: whether there is anything below
//! `_domainkey` (RFC 8020: a name that does not exist has nothing below it), the provider's selectors, and the usual ones.

use super::Subject;
use super::dkim_record::{self, Key};
use super::domain::Domain;
use super::lookups::{Found, Trouble, Type};
use super::step::{State, Step, join, quoted};

const NAME: &str = "dkim";

/// The selectors that installers and hosters choose by themselves: OpenDKIM's and Debian's `default` and `mail`,
/// cPanel's and Plesk's `default`, DirectAdmin's `x`, Mailcow's `dkim`, the providers' above all.
const COMMON: [&str; 10] =
    ["default", "mail", "dkim", "selector1", "selector2", "google", "s1", "k1", "x", "key1"];

/// A selector, its record, and what it is worth.
struct Candidate {
    selector: &'static str,
    text: String,
    key: Key,
}

/// `None` while answers are missing.
pub(super) fn check(subject: &Subject<'_>) -> Option<Step> {
    let domain = match &subject.from {
        Domain::Public(domain) => domain,
        Domain::Private(why) => return Some(Step::skipped(NAME, why)),
    };
    let all = subject.lookups.get(&format!("_domainkey.{domain}"), Type::Txt);
    let own: &[&'static str] = subject.provider.map_or(&[], |provider| provider.selectors);
    let mut selectors: Vec<&'static str> = own.to_vec();
    match all {
        // The provider's few are asked for at once, the usual ones only where there is something to find.
        Found::Pending => {
            ask(subject, domain, own);
            return None;
        }
        Found::NxDomain | Found::Trouble(_) => {}
        _ => selectors.extend(COMMON.iter().filter(|common| !own.contains(common))),
    }
    ask(subject, domain, &selectors);
    let mut found: Vec<Candidate> = Vec::new();
    let mut several = None;
    let mut trouble = match all {
        Found::Trouble(trouble) => Some(trouble),
        _ => None,
    };
    for selector in &selectors {
        match subject.lookups.get(&name(selector, domain), Type::Txt) {
            Found::Pending => return None,
            Found::Trouble(why) => trouble = Some(why),
            Found::NoData | Found::NxDomain => {}
            Found::Records(records) => {
                let mut keys = records.iter().map(|text| (text, dkim_record::read(text)));
                let mut keys: Vec<_> = keys.by_ref().filter(|(_, key)| *key != Key::Other).collect();
                if keys.len() > 1 {
                    several = several.or(Some(*selector));
                }
                if let Some((text, key)) = keys.pop() {
                    found.push(Candidate { selector, text: text.clone(), key });
                }
            }
        }
    }
    Some(step(subject, domain, &found, several, trouble, matches!(all, Found::NxDomain)))
}

fn name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}")
}

fn ask(subject: &Subject<'_>, domain: &str, selectors: &[&str]) {
    for selector in selectors {
        let _ = subject.lookups.get(&name(selector, domain), Type::Txt);
    }
}

fn step(
    subject: &Subject<'_>,
    domain: &str,
    found: &[Candidate],
    several: Option<&str>,
    trouble: Option<Trouble>,
    nothing: bool,
) -> Step {
    if found.is_empty() {
        return none_found(subject, domain, trouble, nothing);
    }
    if let Some(selector) = several {
        return Step::failed(
            NAME,
            "dkim_several",
            found.iter().find(|found| found.selector == selector).map_or("", |found| &found.text),
            format!(
                "There is more than one key at {}; which one a receiver takes is chance. Remove the one that is not in use.",
                name(selector, domain)
            ),
        );
    }
    // One good key is enough: others may lie there from earlier. Without a good one the first fault is told.
    let judged: Vec<Step> = found.iter().map(|found| judge(found, domain)).collect();
    let best = [State::Ok, State::Warning, State::Failed]
        .into_iter()
        .find_map(|state| judged.iter().find(|step| step.state == state));
    let Some(best) = best.cloned() else { return none_found(subject, domain, trouble, nothing) };
    let own: &[&str] = subject.provider.map_or(&[], |provider| provider.selectors);
    match subject.provider {
        Some(provider) if !own.is_empty() && !found.iter().any(|found| own.contains(&found.selector)) => {
            Step::warning(
                NAME,
                "dkim_provider_key_missing",
                best.said,
                format!(
                    "There is a key of somebody else's, but none where {}'s usually are ({}). Its DKIM records are shown {}.",
                    provider.name,
                    own.join(", "),
                    provider.dkim
                ),
            )
        }
        _ => best,
    }
}

fn judge(found: &Candidate, domain: &str) -> Step {
    let at = name(found.selector, domain);
    let said = format!("{}: {}", found.selector, found.text);
    match &found.key {
        Key::Revoked => Step::failed(
            NAME,
            "dkim_revoked",
            said,
            format!(
                "The key at {at} was withdrawn (its p= is empty), so signatures with it are worth nothing. Publish the key that your mail server signs with now."
            ),
        ),
        Key::Damaged => Step::failed(
            NAME,
            "dkim_key_damaged",
            said,
            format!(
                "The key at {at} is cut or garbled: often only its first 255 characters were kept. Enter it again, split into several quoted strings if your DNS asks for that."
            ),
        ),
        Key::Wrong(why) => Step::failed(
            NAME,
            "dkim_malformed",
            said,
            format!(
                "The record at {at} {why}, so receivers can't use it. Copy it again from where it is shown."
            ),
        ),
        Key::Useless(why) => Step::failed(
            NAME,
            "dkim_key_not_for_mail",
            said,
            format!("The key at {at} {why}. Remove that tag."),
        ),
        Key::Rsa { bits, .. } if *bits < 1024 => Step::failed(
            NAME,
            "dkim_key_short",
            said,
            format!(
                "The RSA key at {at} has {bits} bits; receivers take none under 1024 (RFC 8301). Make a new one of 2048."
            ),
        ),
        Key::Rsa { testing: true, .. } | Key::Ed25519 { testing: true } => Step::warning(
            NAME,
            "dkim_testing",
            said,
            format!(
                "The key at {at} is marked as a test (t=y), and receivers may treat mail signed with it as unsigned. Remove t=y."
            ),
        ),
        Key::Rsa { bits, .. } if *bits < 2048 => Step::warning(
            NAME,
            "dkim_key_1024",
            said,
            format!(
                "The RSA key at {at} has {bits} bits. That is still taken; 2048 are recommended (RFC 8301)."
            ),
        ),
        // Receivers need not know Ed25519 (RFC 8463), and several large ones don't.
        Key::Ed25519 { .. } => Step::warning(
            NAME,
            "dkim_only_ed25519",
            said,
            format!(
                "The key at {at} is Ed25519, which several large receivers can't check. Let an RSA key of 2048 bits sign as well."
            ),
        ),
        Key::Rsa { .. } | Key::Other => Step::ok(NAME, said),
    }
}

fn none_found(subject: &Subject<'_>, domain: &str, trouble: Option<Trouble>, nothing: bool) -> Step {
    let where_shown = match subject.provider {
        Some(provider) => format!("The records of {} are shown {}.", provider.name, provider.dkim),
        None => {
            "Have your mail server sign, and publish its key at SELECTOR._domainkey.".to_owned()
                + domain
                + "."
        }
    };
    if nothing {
        return Step::warning(
            NAME,
            "dkim_missing",
            format!("there is nothing at _domainkey.{domain}"),
            format!(
                "Mail from {domain} can't be signed in its own name: there is no DKIM key. Google and Yahoo ask for DKIM or SPF from everybody, and for both from whoever sends much. {where_shown}"
            ),
        );
    }
    if let Some(trouble) = trouble {
        return Step::warning(
            NAME,
            "dkim_not_looked_up",
            format!("_domainkey.{domain}: {}", trouble.words()),
            "The DKIM keys could not be looked up, so they were not judged. Receivers may have the same trouble: see that the domain's name servers answer, then test again.",
        );
    }
    let own: &[&str] = subject.provider.map_or(&[], |provider| provider.selectors);
    if let Some(provider) = subject.provider.filter(|_| !own.is_empty()) {
        return Step::warning(
            NAME,
            "dkim_provider_key_missing",
            format!(
                "no key at {}",
                quoted(&own.iter().map(|selector| name(selector, domain)).collect::<Vec<_>>().join(", "))
            ),
            format!(
                "There are DKIM keys, but none where {}'s usually are. {where_shown} If yours has another selector, the test mail's DKIM-Signature header says which (s=).",
                provider.name
            ),
        );
    }
    Step::warning(
        NAME,
        "dkim_selector_unknown",
        format!("something lies below _domainkey.{domain}, at none of the usual names"),
        join(&[
            "Which key your server signs with can't be seen from here. Look at the test mail: its DKIM-Signature header names the selector (s=), and Authentication-Results should say dkim=pass. Without such a header the server does not sign.",
            &where_shown,
        ]),
    )
}
