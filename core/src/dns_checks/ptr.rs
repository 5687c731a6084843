//! The step `ptr`: has the server's address a name, and the name that address (RFC 1912, section 2.1)?
//!
//! Google and others refuse mail from an address without one. A provider's addresses are its own to mend, and what a
//! server has inside a network is not what the world sees: both are passed over. It never fails, for the server may
//! send from another address than the one that takes our mail.

use std::net::IpAddr;

use super::Subject;
use super::domain;
use super::lookups::{Found, Trouble, Type};
use super::step::{State, Step, join, quoted};

const NAME: &str = "ptr";

/// Names of an address that are confirmed.
const MAX_NAMES: usize = 2;

/// `None` while answers are missing.
pub(super) fn check(subject: &Subject<'_>) -> Option<Step> {
    let ehlo = ehlo_name(subject);
    let step = addresses(subject)?;
    if step.state == State::Skipped {
        return Some(step);
    }
    Some(match ehlo? {
        None => step,
        Some(advice) if step.state == State::Ok => {
            Step::warning(NAME, "ehlo_unresolvable", step.said, advice)
        }
        Some(advice) => step.with_advice(&advice),
    })
}

fn addresses(subject: &Subject<'_>) -> Option<Step> {
    let server = quoted(subject.server);
    if let Some(provider) = subject.provider {
        return Some(Step::skipped(
            NAME,
            format!("{server} is {}'s, which sees to the names of its addresses.", provider.name),
        ));
    }
    if subject.public.is_empty() {
        let why = if subject.has_addresses {
            "has a private address: from which one it sends to the world can't be seen from here."
        } else {
            "has no known address."
        };
        return Some(Step::skipped(NAME, format!("{server} {why}")));
    }
    let found: Vec<Option<Step>> =
        subject.public.iter().map(|address| of_address(subject, *address)).collect();
    let steps: Vec<Step> = found.into_iter().collect::<Option<_>>()?;
    let worst = steps.iter().find(|step| step.state != State::Ok).cloned();
    worst.or_else(|| {
        let said: Vec<&str> = steps.iter().map(|step| step.said.as_str()).collect();
        Some(Step::ok(NAME, said.join(", ")))
    })
}

fn of_address(subject: &Subject<'_>, address: IpAddr) -> Option<Step> {
    let names = match subject.lookups.get(&domain::reverse_name(address), Type::Ptr) {
        Found::Pending => return None,
        Found::Trouble(trouble) => return Some(not_looked_up(&address.to_string(), trouble)),
        Found::NoData | Found::NxDomain => {
            return Some(Step::warning(
                NAME,
                "ptr_missing",
                format!("{address} has no name"),
                format!(
                    "Google, Microsoft and others refuse mail from an address without a name. If {} sends from {address}, have whoever gave you the address (hoster, provider) set its PTR record to the mail server's name.",
                    quoted(subject.server)
                ),
            ));
        }
        Found::Records(records) => records,
    };
    let names: Vec<String> = names.iter().take(MAX_NAMES).filter_map(|name| domain::name(name)).collect();
    let r#type = if address.is_ipv4() { Type::A } else { Type::Aaaa };
    let found: Vec<Found<'_>> = names.iter().map(|name| subject.lookups.get(name, r#type)).collect();
    if found.iter().any(|found| matches!(found, Found::Pending)) {
        return None;
    }
    let confirmed = names.iter().zip(&found).find(|(_, found)| match found {
        Found::Records(records) => records.iter().any(|text| domain::address(text) == Some(address)),
        _ => false,
    });
    if let Some((name, _)) = confirmed {
        return Some(judged(address, name));
    }
    let trouble = names.iter().zip(&found).find_map(|(name, found)| match found {
        Found::Trouble(trouble) => Some(not_looked_up(name, *trouble)),
        _ => None,
    });
    trouble.or_else(|| {
        let name = names.first().map_or_else(|| "what is no name".to_owned(), |name| quoted(name));
        Some(Step::warning(
            NAME,
            "ptr_not_confirmed",
            format!("{address} is named {name}"),
            format!("The name does not lead back to the address, so receivers don't believe it. Give {name} {} record with {address}, or have the PTR record name the mail server.", if address.is_ipv4() { "an A" } else { "an AAAA" }),
        ))
    })
}

/// A name made of the address is what dial-up lines and fresh machines have.
fn judged(address: IpAddr, name: &str) -> Step {
    let said = format!("{address} is {}", quoted(name));
    let IpAddr::V4(v4) = address else { return Step::ok(NAME, said) };
    let octets = v4.octets().map(|octet| octet.to_string());
    let numbers: Vec<&str> =
        name.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let is_made_of_it = octets.iter().all(|octet| {
        numbers.iter().any(|number| number.trim_start_matches('0') == octet.trim_start_matches('0'))
    });
    if numbers.len() >= 4 && is_made_of_it {
        return Step::warning(
            NAME,
            "ptr_generic",
            said,
            "The name is the hoster's, made of the address; receivers take that for a machine that should send no mail. Have the PTR record name your mail server.",
        );
    }
    Step::ok(NAME, said)
}

/// What is wrong with the name we greet with, as advice; the outer `None` while answers are missing.
#[expect(clippy::option_option, reason = "pending, fine, or words")]
fn ehlo_name(subject: &Subject<'_>) -> Option<Option<String>> {
    let name = subject.ehlo_name.trim();
    if subject.provider.is_some() || subject.public.is_empty() {
        return Some(None); // it is passed over with the rest
    }
    if name.is_empty() || name.starts_with('[') {
        return Some(None);
    }
    let shown = quoted(name);
    let wrong = |why: &str| {
        Some(Some(format!(
            "Postroom greets the server as {shown}, {why}; some servers mark such mail down. Set the EHLO name to this machine's public name."
        )))
    };
    let Some(asked) = domain::name(name).filter(|name| name.contains('.')) else {
        return wrong("which is no full name");
    };
    let found = match subject.lookups.get(&asked, Type::A) {
        Found::NoData => subject.lookups.get(&asked, Type::Aaaa),
        found => found,
    };
    match found {
        Found::Pending => None,
        Found::NoData | Found::NxDomain => wrong("a name that has no address"),
        Found::Records(_) | Found::Trouble(_) => Some(None),
    }
}

fn not_looked_up(name: &str, trouble: Trouble) -> Step {
    Step::warning(
        NAME,
        "ptr_not_looked_up",
        join(&[&format!("{}:", quoted(name)), trouble.words()]),
        "The name of the server's address could not be looked up, so it was not judged. Test again.",
    )
}
