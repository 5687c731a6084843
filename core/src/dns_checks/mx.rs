//! The step `mx`: would a bounce find its way back to the sender's domain?
//!
//! Receivers ask the same before they take a mail (RFC 5321, section 5.1): many refuse a sender that nothing can be
//! returned to.

use std::net::IpAddr;

use super::Subject;
use super::domain::{self, Domain};
use super::lookups::{Found, Trouble, Type};
use super::step::{Step, quoted};

const NAME: &str = "mx";

/// Mail servers whose addresses are looked up.
const MAX_SERVERS: usize = 3;

/// The server's name in an MX record, `10 mail.example.com.`; `None` where it is none, as in a null MX.
pub(super) fn server_of(record: &str) -> Option<String> {
    let (_, server) = record.trim().split_once(' ')?;
    domain::name(server.trim())
}

/// RFC 7505: `0 .`
fn is_null(record: &str) -> bool {
    record.trim().rsplit(' ').next() == Some(".")
}

/// `None` while answers are missing. The envelope sender's domain counts; the From address's is looked at too where
/// it is another, for people answer to it.
pub(super) fn check(subject: &Subject<'_>) -> Option<Step> {
    let domain = match &subject.envelope {
        Domain::Public(domain) => domain,
        Domain::Private(why) => return Some(Step::skipped(NAME, why)),
    };
    let envelope = of_domain(subject, domain, "Bounces");
    let from = match &subject.from {
        Domain::Public(from) if from != domain => of_domain(subject, from, "Answers"),
        _ => return envelope,
    };
    let (envelope, from) = (envelope?, from?);
    Some(match (envelope.cause, from.cause) {
        // What is wrong with the From address alone is no reason to refuse the mail.
        (None, Some(_)) => from.softened(),
        _ => envelope,
    })
}

fn of_domain(subject: &Subject<'_>, domain: &str, what: &str) -> Option<Step> {
    let records = match subject.lookups.get(domain, Type::Mx) {
        Found::Pending => return None,
        Found::Records(records) => records,
        Found::NoData => return fallback(subject, domain, what),
        Found::NxDomain => {
            return Some(Step::failed(
                NAME,
                "mx_domain_missing",
                format!("{domain} does not exist in the DNS"),
                format!(
                    "{what} can't be delivered, and many receivers refuse mail from a domain that does not exist. Correct the sender's address, or register {domain}."
                ),
            ));
        }
        Found::Trouble(trouble) => return Some(not_looked_up(domain, trouble)),
    };
    let said = records.join(", ");
    if records.iter().all(|record| is_null(record)) {
        return Some(Step::failed(
            NAME,
            "mx_null",
            said,
            format!(
                "{domain} says that it takes no mail at all (a null MX, RFC 7505). {what} have nowhere to go, and receivers may refuse mail from it. Use a sender whose domain takes mail, or give it a mail server."
            ),
        ));
    }
    let mut names: Vec<String> = Vec::new();
    for record in records {
        if let Some(name) = server_of(record)
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    // A name that is only digits and dots is an address that somebody typed into the wrong field.
    if let Some(address) = names.iter().find(|name| name.parse::<IpAddr>().is_ok()) {
        return Some(Step::failed(
            NAME,
            "mx_is_address",
            said,
            format!(
                "The MX record of {domain} has the address {address} where a name belongs; senders can't use it. Give that machine a name, with an A record, and put the name there."
            ),
        ));
    }
    servers(subject, domain, what, &names, &said)
}

fn servers(subject: &Subject<'_>, domain: &str, what: &str, names: &[String], said: &str) -> Option<Step> {
    let found: Vec<Found<'_>> = names.iter().take(MAX_SERVERS).map(|name| addresses(subject, name)).collect();
    if found.iter().any(|found| matches!(found, Found::Pending)) {
        return None;
    }
    if let Some((name, trouble)) = names.iter().zip(&found).find_map(|(name, found)| match found {
        Found::Trouble(trouble) => Some((name, *trouble)),
        _ => None,
    }) && !found.iter().any(|found| matches!(found, Found::Records(_)))
    {
        return Some(not_looked_up(name, trouble));
    }
    let public = |found: &Found<'_>| match found {
        Found::Records(records) => {
            records.iter().filter_map(|text| domain::address(text)).any(|address| domain::is_public(&address))
        }
        _ => false,
    };
    if found.iter().any(public) || names.len() > MAX_SERVERS {
        return Some(Step::ok(NAME, said));
    }
    if found.iter().any(|found| matches!(found, Found::Records(_))) {
        return Some(Step::warning(
            NAME,
            "mx_private",
            said,
            format!(
                "The mail servers of {domain} have private addresses only. That may be so only inside your network; outside, {} could not be delivered.",
                what.to_lowercase()
            ),
        ));
    }
    Some(Step::failed(
        NAME,
        "mx_unresolvable",
        said,
        format!(
            "The MX record of {domain} names {}, which has no address. {what} can't be delivered, and many receivers refuse such a sender. Correct the name, or give it an A record.",
            names.first().map_or_else(|| "no host".to_owned(), |name| quoted(name))
        ),
    ))
}

/// Without an MX record mail goes to the domain's own address (RFC 5321, section 5.1).
fn fallback(subject: &Subject<'_>, domain: &str, what: &str) -> Option<Step> {
    match addresses(subject, domain) {
        Found::Pending => None,
        Found::Trouble(trouble) => Some(not_looked_up(domain, trouble)),
        Found::Records(records) => Some(Step::warning(
            NAME,
            "mx_fallback",
            format!("{domain} has no MX record; its address is {}", records.join(", ")),
            format!(
                "{what} go to the machine that {domain} itself is. If that one takes no mail (often it is the web server), they are lost. Add an MX record that names your mail server."
            ),
        )),
        Found::NoData | Found::NxDomain => Some(Step::failed(
            NAME,
            "mx_missing",
            format!("{domain} has neither an MX record nor an address"),
            format!(
                "{what} can't be delivered, and many receivers refuse mail from such a domain. Add an MX record at {domain} that names your mail server, or use a sender whose domain takes mail."
            ),
        )),
    }
}

/// An A record, or where there is none an AAAA record.
fn addresses<'a>(subject: &Subject<'a>, name: &str) -> Found<'a> {
    match subject.lookups.get(name, Type::A) {
        Found::NoData => subject.lookups.get(name, Type::Aaaa),
        found => found,
    }
}

fn not_looked_up(name: &str, trouble: Trouble) -> Step {
    Step::warning(
        NAME,
        "mx_not_looked_up",
        format!("{}: {}", quoted(name), trouble.words()),
        format!(
            "Where mail to {} goes could not be looked up, so it was not judged. Receivers may have the same trouble: see that its name servers answer, then test again.",
            quoted(name)
        ),
    )
}
