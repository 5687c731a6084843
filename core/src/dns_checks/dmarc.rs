//! The step `dmarc`: what should receivers do with mail in the From address's name, and what will this server's meet?
//!
//! DMARC passes where SPF passes for a domain of the same organisation as the From address's, or a DKIM signature of such
//! a domain does. Whose organisation a name is of is found by the walk up the tree of RFC 9989; receivers that still follow
//! RFC 7489 use the list of public suffixes, and may see another where a suffix has a record of its own.

use super::Subject;
use super::dmarc_record::{self, Fault, Node, Policy, Record, Tree};
use super::domain::{self, Domain};
use super::lookups::{Found, Type};
use super::step::{State, Step, join, quoted};

const NAME: &str = "dmarc";

/// Domains that reports go to which are looked at.
const MAX_REPORTS: usize = 2;

/// Asks for what the walk needs, before SPF asks for what it needs.
pub(super) fn ask(subject: &Subject<'_>) {
    for domain in [&subject.from, &subject.envelope] {
        if let Domain::Public(domain) = domain {
            let _ = dmarc_record::walk(&subject.lookups, domain);
        }
    }
}

/// `None` while answers are missing, also those of the two steps before it.
pub(super) fn check(subject: &Subject<'_>, spf: Option<&Step>, dkim: Option<&Step>) -> Option<Step> {
    let from = match &subject.from {
        Domain::Public(from) => from,
        Domain::Private(why) => return Some(Step::skipped(NAME, why)),
    };
    let tree = dmarc_record::walk(&subject.lookups, from)?;
    if let Some((name, trouble)) = &tree.trouble {
        return Some(Step::warning(
            NAME,
            "dmarc_not_looked_up",
            format!("{name}: {}", trouble.words()),
            "The DMARC record could not be looked up, so it was not judged. Receivers may have the same trouble: see that the domain's name servers answer, then test again.",
        ));
    }
    if let Some(several) = tree
        .several
        .as_deref()
        .filter(|several| tree.record(from).is_none_or(|node| node.domain.len() < several.len()))
    {
        return Some(Step::failed(
            NAME,
            "dmarc_several",
            format!("_dmarc.{several} has more than one DMARC record"),
            format!("Receivers then take none of them. Leave one record at _dmarc.{several}."),
        ));
    }
    let Some(node) = tree.record(from) else { return Some(missing(subject, from, &tree)) };
    let record = match dmarc_record::read(node.text) {
        Ok(record) => record,
        Err(fault) => return Some(faulty(node, fault)),
    };
    let reports = reports(subject, &tree, from, node, &record);
    let aligned = alignment(subject, from, &tree, &record)?;
    let judge = Judge { subject, from, node, record: &record, aligned, spf: spf?, dkim: dkim? };
    let step = judge.step();
    Some(match reports? {
        Some(trouble) if step.state == State::Ok => trouble,
        Some(trouble) => step.with_advice(&trouble.advice),
        None => step,
    })
}

fn missing(subject: &Subject<'_>, from: &str, tree: &Tree<'_>) -> Step {
    let organisation = tree.organisation(from);
    let add = format!(
        "Add a TXT record at _dmarc.{organisation}: v=DMARC1; p=none; rua=mailto:postmaster@{organisation}"
    );
    let stray = |name: &str| match subject.lookups.get(name, Type::Txt) {
        Found::Records(records) => {
            records.iter().find(|text| dmarc_record::looks_like_dmarc(text)).map(String::as_str)
        }
        _ => None,
    };
    if let Some(text) = stray(&format!("_dmarc.{from}")) {
        return Step::failed(
            NAME,
            "dmarc_not_recognised",
            text,
            format!(
                "A record looks like DMARC but is none: it has to begin with v=DMARC1; (in capitals, without quotes of its own). {add}"
            ),
        );
    }
    // Where SPF asked for it anyway.
    let is_envelope = matches!(&subject.envelope, Domain::Public(envelope) if envelope == from);
    if let Some(text) = is_envelope.then(|| stray(from)).flatten() {
        return Step::failed(
            NAME,
            "dmarc_wrong_place",
            text,
            format!("The DMARC record stands at {from}, where no receiver looks. Move it to _dmarc.{from}."),
        );
    }
    Step::warning(
        NAME,
        "dmarc_missing",
        format!("{from} has no DMARC record"),
        format!(
            "Google, Yahoo and Microsoft ask for one from whoever sends much, and think less of mail without it. {add}"
        ),
    )
}

fn faulty(node: &Node<'_>, fault: Fault) -> Step {
    let at = format!("_dmarc.{}", node.domain);
    match fault {
        Fault::Syntax(why) => Step::failed(
            NAME,
            "dmarc_malformed",
            node.text,
            format!(
                "The record at {at} {why}; receivers may ignore all of it. Its parts are tag=value with a semicolon between them. Correct it."
            ),
        ),
        Fault::NoPolicy => Step::failed(
            NAME,
            "dmarc_no_policy",
            node.text,
            format!(
                "The record at {at} has no policy, so many receivers ignore it. Put p=none; after v=DMARC1;."
            ),
        ),
        Fault::BadPolicy(policy) => Step::failed(
            NAME,
            "dmarc_bad_policy",
            node.text,
            format!(
                "The record at {at} has the policy “{}”, which there is not, so receivers ignore it. It is p=none, p=quarantine or p=reject.",
                quoted(&policy)
            ),
        ),
    }
}

/// Whether SPF for the envelope sender counts for the From address. `None` while answers are missing.
fn alignment(subject: &Subject<'_>, from: &str, tree: &Tree<'_>, record: &Record) -> Option<bool> {
    let Domain::Public(envelope) = &subject.envelope else { return Some(false) };
    if envelope == from {
        return Some(true);
    }
    let other = dmarc_record::walk(&subject.lookups, envelope)?;
    Some(!record.strict_spf && other.organisation(envelope) == tree.organisation(from))
}

/// What is wrong with the addresses for reports; the outer `None` while answers are missing.
#[expect(clippy::option_option, reason = "pending, fine, or a step")]
fn reports(
    subject: &Subject<'_>,
    tree: &Tree<'_>,
    from: &str,
    node: &Node<'_>,
    record: &Record,
) -> Option<Option<Step>> {
    if record.bad_reports {
        return Some(Some(Step::warning(
            NAME,
            "dmarc_rua_malformed",
            node.text,
            "The address for reports (rua=) can't be read, so none come. It is written rua=mailto:name@domain, several with a comma between them.",
        )));
    }
    let organisation = tree.organisation(from);
    let elsewhere = record
        .reports
        .iter()
        .filter(|to| !domain::is_within(to, organisation) && !domain::is_within(organisation, to));
    let mut unwanted = None;
    let mut pending = false;
    for to in elsewhere.take(MAX_REPORTS) {
        // RFC 9990, section 4 (RFC 7489, 7.1): the domain that they go to has to say that it wants them.
        let Some(name) = domain::name(&format!("{}._report._dmarc.{to}", node.domain)) else { continue };
        match subject.lookups.get(&name, Type::Txt) {
            Found::Pending => pending = true,
            Found::Records(records)
                if records.iter().any(|text| text.trim_start().starts_with("v=DMARC1")) => {}
            Found::Records(_) | Found::NoData | Found::NxDomain => unwanted = unwanted.or(Some((to, name))),
            Found::Trouble(_) => {}
        }
    }
    if pending {
        return None;
    }
    Some(unwanted.map(|(to, name)| {
        Step::warning(
            NAME,
            "dmarc_rua_not_authorised",
            node.text,
            format!("Reports are to go to {to}, which does not say that it wants them, so none are sent there. It needs a TXT record at {name}: v=DMARC1"),
        )
    }))
}

struct Judge<'a> {
    subject: &'a Subject<'a>,
    from: &'a str,
    node: &'a Node<'a>,
    record: &'a Record,
    aligned: bool,
    spf: &'a Step,
    dkim: &'a Step,
}

impl Judge<'_> {
    fn policy(&self) -> Policy {
        let inherited = self.node.domain != self.from;
        self.record.subdomains.filter(|_| inherited).unwrap_or(self.record.policy)
    }

    fn step(&self) -> Step {
        let provider_sender = self.subject.provider.filter(|provider| provider.own_sender);
        let no_spf = self.spf.state == State::Failed || !self.aligned || provider_sender.is_some();
        let no_dkim = self.dkim.state == State::Failed || self.dkim.cause == Some("dkim_missing");
        let meets = match self.policy() {
            Policy::None => "is watched for",
            Policy::Quarantine => "goes to spam",
            Policy::Reject => "is refused",
        };
        if no_spf && no_dkim {
            let why = if self.spf.state == State::Failed {
                "SPF does not pass".to_owned()
            } else if let Some(provider) = provider_sender.filter(|_| self.aligned) {
                format!(
                    "{} usually sends with an envelope sender of its own, for which SPF counts",
                    provider.name
                )
            } else {
                format!("SPF counts for {}, which is of another organisation", self.envelope())
            };
            let step = Step::failed(
                NAME,
                "dmarc_nothing_aligned",
                self.node.text,
                format!(
                    "Nothing vouches for {}: {why}, and there is no good DKIM key. By its DMARC policy such mail {meets}. Set up DKIM for {0} first.",
                    self.from
                ),
            );
            let certain = self.policy() != Policy::None && provider_sender.is_none();
            return if certain { step } else { step.softened() };
        }
        if !self.aligned {
            return Step::warning(
                NAME,
                "dmarc_spf_not_aligned",
                self.node.text,
                format!(
                    "The envelope sender is of {}, the From address of {}: SPF does not count for it, so everything hangs on DKIM, and without a good signature mail {meets}. Use an envelope sender of {1}{}.",
                    self.envelope(),
                    self.from,
                    if self.record.strict_spf { " itself (aspf=s)" } else { "" }
                ),
            );
        }
        let advice = match (self.policy(), self.record.reports.is_empty()) {
            (Policy::None, true) => {
                "The policy p=none only watches, and without rua= nobody hears what it sees. Add rua=mailto: with an address."
            }
            (Policy::None, false) => {
                "The policy p=none only watches; once the reports show that all mail passes, p=quarantine protects the domain."
            }
            _ => "",
        };
        Step::ok(NAME, join(&[self.node.text, &self.inherited()])).with_advice(advice)
    }

    fn inherited(&self) -> String {
        if self.node.domain == self.from {
            String::new()
        } else {
            format!("(at _dmarc.{})", self.node.domain)
        }
    }

    fn envelope(&self) -> &str {
        match &self.subject.envelope {
            Domain::Public(envelope) => envelope,
            Domain::Private(_) => "a domain that nobody can look up",
        }
    }
}
