//! The step `spf`: may the server that mail is handed to send for the envelope sender's domain?

use std::net::IpAddr;

use super::Subject;
use super::domain::Domain;
use super::lookups::{Found, Type};
use super::provider::Provider;
use super::spf::{Problem, Trace, Verdict, Walk};
use super::spf_record::{self, Qualifier};
use super::step::{State, Step, join, quoted};

const NAME: &str = "spf";

/// `None` while answers are missing.
pub(super) fn check(subject: &Subject<'_>) -> Option<Step> {
    let domain = match &subject.envelope {
        Domain::Public(domain) => domain,
        Domain::Private(why) => return Some(Step::skipped(NAME, why)),
    };
    let mut nobody = walk(subject, domain, None);
    let strangers = nobody.check(domain);
    let trace = nobody.trace;
    let known = if trace.pending { None } else { subject.provider };
    let addresses: Vec<(IpAddr, Verdict, Trace)> = subject
        .public
        .iter()
        .filter(|_| subject.provider.is_none())
        .map(|address| {
            let mut walk = walk(subject, domain, Some(*address));
            let verdict = walk.check(domain);
            (*address, verdict, walk.trace)
        })
        .collect();
    if trace.pending || addresses.iter().any(|(_, _, trace)| trace.pending) {
        return None;
    }
    let text = record_of(subject, domain);
    let check = Check { subject, domain, text: &text, trace: &trace };
    Some(check.step(strangers, known, &addresses))
}

fn walk<'a, 'b>(subject: &'a Subject<'b>, domain: &'a str, address: Option<IpAddr>) -> Walk<'a, 'b> {
    Walk {
        lookups: &subject.lookups,
        address,
        sender_domain: domain,
        helo: subject.ehlo_name,
        provider: subject.provider.map_or(&[], |provider| provider.spf),
        trace: Trace::default(),
    }
}

/// The record as it stands, or what stands in its place.
fn record_of(subject: &Subject<'_>, domain: &str) -> String {
    match subject.lookups.get(domain, Type::Txt) {
        Found::Records(records) => {
            let spf: Vec<&str> =
                records.iter().map(String::as_str).filter(|text| spf_record::is_spf(text)).collect();
            spf.join(" and ")
        }
        _ => String::new(),
    }
}

struct Check<'a> {
    subject: &'a Subject<'a>,
    domain: &'a str,
    text: &'a str,
    trace: &'a Trace,
}

impl Check<'_> {
    fn step(
        &self,
        strangers: Verdict,
        known: Option<&Provider>,
        addresses: &[(IpAddr, Verdict, Trace)],
    ) -> Step {
        let domain = self.domain;
        let step = match strangers {
            Verdict::Temporary(trouble, name) => {
                return Step::warning(
                    NAME,
                    "spf_not_looked_up",
                    format!("{}: {}", quoted(&name), trouble.words()),
                    format!(
                        "The SPF record of {domain} could not be looked up, so it was not judged. Receivers may have the same trouble: see that its name servers answer, then test again."
                    ),
                );
            }
            Verdict::None { exists: false } => {
                return Step::failed(
                    NAME,
                    "spf_domain_missing",
                    format!("{domain} does not exist in the DNS"),
                    format!(
                        "Many receivers refuse mail from a domain that does not exist. Correct the sender's address, or register {domain}."
                    ),
                );
            }
            Verdict::None { exists: true } => self.missing(known),
            Verdict::Permanent(problem) => self.permanent(problem),
            Verdict::Is(qualifier) => self.judged(qualifier, known, addresses),
        };
        match known {
            Some(provider) if provider.own_sender && step.state != State::Ok => {
                step.softened().after(&own_sender(provider))
            }
            _ => step,
        }
    }

    fn missing(&self, known: Option<&Provider>) -> Step {
        let domain = self.domain;
        let advice = format!("Add a TXT record at {domain}: {}", self.record_to_add(known));
        // The usual slips: a version that is none, so that no receiver sees the record.
        if let Found::Records(records) = self.subject.lookups.get(domain, Type::Txt)
            && let Some(near) = records.iter().find(|text| looks_like_spf(text))
        {
            return Step::failed(
                NAME,
                "spf_not_recognised",
                near,
                format!(
                    "A record looks like SPF but is none: it has to begin with v=spf1 and a space, without quotes of its own. Correct it. A good one is: {}",
                    self.record_to_add(known)
                ),
            );
        }
        Step::failed(NAME, "spf_missing", format!("{domain} has no SPF record"), advice)
    }

    fn permanent(&self, problem: Problem) -> Step {
        let domain = self.domain;
        let (cause, said, advice) = match problem {
            Problem::Several(name) => (
                "spf_several",
                self.text.to_owned(),
                format!(
                    "{} has more than one SPF record, and receivers then take none of them. Make one record of them: v=spf1 once, all their terms, one all at the end.",
                    quoted(&name)
                ),
            ),
            Problem::Syntax { domain: name, why } => (
                "spf_syntax",
                self.text.to_owned(),
                format!(
                    "The SPF record of {} {why}. One wrong term spoils the whole record. Correct it.",
                    quoted(&name)
                ),
            ),
            Problem::TooManyTerms => (
                "spf_too_many_lookups",
                self.text.to_owned(),
                format!(
                    "To read the SPF record of {domain}, receivers would have to look up more than 10 times, and give up at the eleventh. Remove what no longer sends mail (include, a, mx, ptr, exists and redirect count, also those inside an include), or let mail be sent from a subdomain with a record of its own."
                ),
            ),
            Problem::TooManyVoid(name) => (
                "spf_too_many_void_lookups",
                self.text.to_owned(),
                format!(
                    "The SPF record of {domain} names more than two hosts that do not exist (the third is {}), at which receivers give up. Remove them.",
                    quoted(&name)
                ),
            ),
            Problem::TooManyServers(name) => (
                "spf_too_many_servers",
                self.text.to_owned(),
                format!(
                    "The SPF record of {domain} has an mx term for {}, which has more than 10 mail servers; receivers give up there. Name the senders' addresses with ip4: and ip6: instead.",
                    quoted(&name)
                ),
            ),
            Problem::Loop(name) => (
                "spf_include_loop",
                self.text.to_owned(),
                format!(
                    "The SPF record of {domain} leads to itself: {} is included by what it includes. Remove one of the two.",
                    quoted(&name)
                ),
            ),
            Problem::IncludeMissing(name) => (
                "spf_include_missing",
                self.text.to_owned(),
                format!(
                    "The SPF record of {domain} includes {0}, which has no SPF record; that spoils the whole record. Remove include:{0}, or correct its name.",
                    quoted(&name)
                ),
            ),
            Problem::RedirectMissing(name) => (
                "spf_redirect_missing",
                self.text.to_owned(),
                format!(
                    "The SPF record of {domain} is redirected to {}, which has no SPF record. Correct the name.",
                    quoted(&name)
                ),
            ),
        };
        let step = Step::failed(NAME, cause, said, advice);
        if self.trace.provider == Some(Qualifier::Pass) {
            return step.softened().with_advice("Your server's part of the record comes before that place, so mail may pass meanwhile; some receivers read the whole record first.");
        }
        step
    }

    fn judged(
        &self,
        strangers: Qualifier,
        known: Option<&Provider>,
        addresses: &[(IpAddr, Verdict, Trace)],
    ) -> Step {
        let domain = self.domain;
        if strangers == Qualifier::Pass {
            return Step::warning(
                NAME,
                "spf_open",
                self.text,
                format!(
                    "The SPF record of {domain} lets every machine in the world send in its name (+all, or something included that says so). Receivers give nothing for such a record. End it with ~all or -all: {}",
                    self.record_to_add(known)
                ),
            );
        }
        if self.trace.sends_nothing {
            return Step::failed(
                NAME,
                "spf_sends_no_mail",
                self.text,
                format!(
                    "The SPF record of {domain} says that no mail comes from this domain at all. Put who sends before the all: {}",
                    self.record_to_add(known)
                ),
            );
        }
        if let Some(provider) = known {
            return self.by_provider(strangers, provider);
        }
        if addresses.is_empty() {
            return self.by_nothing();
        }
        self.by_address(addresses)
    }

    fn by_provider(&self, strangers: Qualifier, provider: &Provider) -> Step {
        let (domain, who) = (self.domain, provider.name);
        let include = provider.spf.first().copied().unwrap_or_default();
        match self.trace.provider {
            Some(Qualifier::Pass) => return self.passed(&format!("{who} is included.")),
            Some(Qualifier::Neutral) => {
                return Step::warning(
                    NAME,
                    "spf_provider_neutral",
                    self.text,
                    format!(
                        "The SPF record of {domain} names {who}, but with a question mark before it, which says nothing for its mail. Write include:{include} without it."
                    ),
                );
            }
            Some(Qualifier::Fail | Qualifier::SoftFail) => {
                return Step::failed(
                    NAME,
                    "spf_provider_refused",
                    self.text,
                    format!(
                        "The SPF record of {domain} names {who}, but with - or ~ before it, which tells receivers to refuse its mail. Write include:{include} without it."
                    ),
                );
            }
            None => {}
        }
        if self.trace.provider_after_all {
            return Step::failed(
                NAME,
                "spf_after_all",
                self.text,
                format!(
                    "The SPF record of {domain} names {who} after its all, where no receiver reads on. Move include:{include} before it."
                ),
            );
        }
        if self.trace.unknown {
            return Step::warning(
                NAME,
                "spf_macro",
                self.text,
                format!(
                    "The SPF record of {domain} is worked out anew for each mail (it has macros), so it can't be seen from here whether it covers {who}. Look at the Authentication-Results header of the test mail: it should say spf=pass."
                ),
            );
        }
        let step = Step::failed(
            NAME,
            "spf_provider_not_included",
            self.text,
            format!(
                "The SPF record of {domain} does not let {who} send. Add include:{include} to it, before its all."
            ),
        );
        if self.trace.has_networks || strangers == Qualifier::Neutral {
            let why = if self.trace.has_networks {
                "Addresses are listed there one by one; should those of your provider be among them, they have to be kept up by hand."
            } else {
                ""
            };
            return step.softened().with_advice(why);
        }
        step
    }

    fn by_address(&self, addresses: &[(IpAddr, Verdict, Trace)]) -> Step {
        let (domain, server) = (self.domain, quoted(self.subject.server));
        let refused: Vec<&(IpAddr, Verdict, Trace)> = addresses
            .iter()
            .filter(|(_, verdict, _)| !matches!(verdict, Verdict::Is(Qualifier::Pass)))
            .collect();
        if refused.is_empty() {
            let list = list(addresses.iter().map(|(address, _, _)| *address));
            return self.passed(&format!("{list} may send."));
        }
        if let Some((_, Verdict::Temporary(trouble, name), _)) = refused.first() {
            return Step::warning(
                NAME,
                "spf_not_looked_up",
                format!("{}: {}", quoted(name), trouble.words()),
                format!(
                    "A part of the SPF record of {domain} could not be looked up, so it was not judged. Test again."
                ),
            );
        }
        if refused.iter().any(|(_, _, trace)| trace.unknown) {
            return Step::warning(
                NAME,
                "spf_macro",
                self.text,
                format!(
                    "The SPF record of {domain} is worked out anew for each mail (it has macros), so it can't be seen from here whether it covers {server}. Look at the Authentication-Results header of the test mail: it should say spf=pass."
                ),
            );
        }
        let terms: Vec<String> = refused.iter().map(|(address, _, _)| term(*address)).collect();
        Step::warning(
            NAME,
            "spf_address_not_covered",
            self.text,
            format!(
                "The SPF record of {domain} does not cover {}, the address of {server}. That server may send from another address. If it sends from this one: add {} to the record, before its all.",
                list(refused.iter().map(|(address, _, _)| *address)),
                terms.join(" ")
            ),
        )
    }

    /// Nothing is known of where the mail leaves for the world.
    fn by_nothing(&self) -> Step {
        let step = self.passed("");
        let server = quoted(self.subject.server);
        step.with_advice(&format!("The record can be read. Whether it covers the address from which {server} sends mail on to the world can't be seen from here: its Authentication-Results header at the receiver should say spf=pass."))
    }

    fn passed(&self, advice: &str) -> Step {
        if !self.trace.has_end {
            return Step::warning(
                NAME,
                "spf_no_all",
                self.text,
                join(&[
                    advice,
                    &format!(
                        "The SPF record of {} has no all at its end, so it says nothing about everybody else. End it with ~all or -all.",
                        self.domain
                    ),
                ]),
            );
        }
        if self.trace.has_ptr {
            return Step::warning(
                NAME,
                "spf_ptr",
                self.text,
                join(&[
                    advice,
                    "The record uses ptr, which is slow, and which the standard says not to use (RFC 7208, 5.5); some receivers ignore it. Name addresses with ip4: and ip6: instead.",
                ]),
            );
        }
        Step::ok(NAME, self.text).with_advice(advice)
    }

    /// A whole record for a domain that has none.
    fn record_to_add(&self, known: Option<&Provider>) -> String {
        let first = known.and_then(|provider| provider.spf.first());
        if let Some(include) = first {
            return format!("v=spf1 include:{include} ~all");
        }
        if self.subject.public.is_empty() || self.subject.provider.is_some() {
            return "v=spf1 ip4:ADDRESS ~all (ADDRESS: from which your mail server sends)".to_owned();
        }
        let terms: Vec<String> = self.subject.public.iter().map(|address| term(*address)).collect();
        format!("v=spf1 {} ~all (or the addresses from which your mail server sends)", terms.join(" "))
    }
}

fn own_sender(provider: &Provider) -> String {
    format!(
        "{} usually puts an envelope sender of its own on each mail, for which its own SPF record counts; then this record does not decide, and DKIM does.",
        provider.name
    )
}

fn term(address: IpAddr) -> String {
    if address.is_ipv4() { format!("ip4:{address}") } else { format!("ip6:{address}") }
}

fn list(addresses: impl Iterator<Item = IpAddr>) -> String {
    addresses.map(|address| address.to_string()).collect::<Vec<_>>().join(" and ")
}

fn looks_like_spf(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || "\"'\u{201c}".contains(c));
    text.split_at_checked(5).is_some_and(|(start, _)| start.eq_ignore_ascii_case("v=spf"))
        || text.split_at_checked(4).is_some_and(|(start, _)| start.eq_ignore_ascii_case("spf1"))
}
