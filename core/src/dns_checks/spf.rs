//! `check_host()` (RFC 7208, section 4), for an address or for nobody.
//!
//! For *nobody* no address ever matches, so all that can be reached is reached, in the order in which a receiver gets
//! there: that tells how many look-ups a record costs, whether a provider's record is among them, and what becomes of
//! strangers. While answers are missing the walk goes on as if they matched nothing, so that a round asks for as much
//! as it can; such a walk's verdict means nothing (`pending`).

use std::net::IpAddr;

use super::domain;
use super::lookups::{Found, Lookups, SPF_SHARE, Trouble, Type};
use super::spf_macro::{Context, DomainSpec};
use super::spf_record::{self, Mechanism, Prefixes, Qualifier, Record};

/// Section 4.6.4: terms that look something up, and look-ups that find nothing.
const MAX_TERMS: u32 = 10;
const MAX_VOID: u32 = 2;
/// Section 4.6.4: mail servers of an `mx`, names of a `ptr`.
const MAX_NAMES: usize = 10;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No record; whether the name exists at all.
    None {
        exists: bool,
    },
    /// By a mechanism, or (`Neutral`) because none matched.
    Is(Qualifier),
    Temporary(Trouble, String),
    Permanent(Problem),
}

/// Why no receiver can make anything of the record: a permerror.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Several(String),
    Syntax { domain: String, why: String },
    TooManyTerms,
    TooManyVoid(String),
    TooManyServers(String),
    Loop(String),
    IncludeMissing(String),
    RedirectMissing(String),
}

/// What the walk came by.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) pending: bool,
    pub(super) terms: u32,
    voids: u32,
    names: Vec<(String, Type)>,
    /// What becomes of mail from the provider: the first place where one of its names was reached.
    pub(super) provider: Option<Qualifier>,
    /// A provider's name stands where nothing gets to: after `all`.
    pub(super) provider_after_all: bool,
    /// Addresses are listed one by one.
    pub(super) has_networks: bool,
    /// `ptr` is used, which section 5.5 says not to.
    pub(super) has_ptr: bool,
    /// A term depends on what only a mail would tell.
    pub(super) unknown: bool,
    /// The outermost record has an `all`, or is redirected.
    pub(super) has_end: bool,
    /// The outermost record has no mechanism but `-all`.
    pub(super) sends_nothing: bool,
}

pub(super) struct Walk<'a, 'b> {
    pub(super) lookups: &'a Lookups<'b>,
    /// `None` is nobody.
    pub(super) address: Option<IpAddr>,
    pub(super) sender_domain: &'a str,
    pub(super) helo: &'a str,
    /// The provider's names.
    pub(super) provider: &'static [&'static str],
    pub(super) trace: Trace,
}

/// How a term ended.
enum Term {
    Matches,
    Passes,
    Ends(Verdict),
}

impl<'b> Walk<'_, 'b> {
    pub(super) fn check(&mut self, domain: &str) -> Verdict {
        self.check_host(domain, &mut Vec::new(), None)
    }

    /// `above`: the domains whose records led here; `outer`: what a match in here counts as, `None` for what it is.
    fn check_host(&mut self, domain: &str, above: &mut Vec<String>, outer: Option<Qualifier>) -> Verdict {
        let text = match self.get(domain, Type::Txt) {
            Found::Pending => return Verdict::None { exists: true },
            Found::Trouble(trouble) => return Verdict::Temporary(trouble, domain.to_owned()),
            Found::NxDomain => return Verdict::None { exists: false },
            Found::NoData => return Verdict::None { exists: true },
            Found::Records(records) => {
                let mut spf = records.iter().filter(|text| spf_record::is_spf(text));
                match (spf.next(), spf.next()) {
                    (None, _) => return Verdict::None { exists: true },
                    (Some(text), None) => text,
                    (Some(_), Some(_)) => return Verdict::Permanent(Problem::Several(domain.to_owned())),
                }
            }
        };
        let record = match spf_record::read(text) {
            Ok(record) => record,
            Err(why) => return Verdict::Permanent(Problem::Syntax { domain: domain.to_owned(), why }),
        };
        if above.is_empty() {
            self.note_outermost(&record);
        }
        above.push(domain.to_owned());
        let verdict = self.walk(&record, domain, above, outer);
        above.pop();
        verdict
    }

    fn note_outermost(&mut self, record: &Record) {
        let ends = |(_, mechanism): &(Qualifier, Mechanism)| *mechanism == Mechanism::All;
        self.trace.has_end = record.redirect.is_some() || record.mechanisms.iter().any(ends);
        self.trace.sends_nothing = record.redirect.is_none()
            && matches!(record.mechanisms.first(), Some((Qualifier::Fail, Mechanism::All)));
        let after_all = record.mechanisms.iter().skip_while(|term| !ends(term));
        let unreached = after_all.filter_map(|(_, mechanism)| match mechanism {
            Mechanism::Include(spec) => Some(spec),
            _ => None,
        });
        let has_all = record.mechanisms.iter().any(ends);
        let unreached = unreached.chain(record.redirect.iter().filter(|_| has_all));
        let context = self.context(self.sender_domain);
        let names: Vec<String> = unreached.filter_map(|spec| spec.expand(&context)).collect();
        self.trace.provider_after_all = names.iter().any(|name| self.provider.contains(&name.as_str()));
    }

    fn walk(
        &mut self,
        record: &Record,
        domain: &str,
        above: &mut Vec<String>,
        outer: Option<Qualifier>,
    ) -> Verdict {
        for (qualifier, mechanism) in &record.mechanisms {
            match self.term(*qualifier, mechanism, domain, above, outer) {
                Term::Matches => return Verdict::Is(*qualifier),
                Term::Passes => {}
                Term::Ends(verdict) => return verdict,
            }
        }
        let Some(redirect) = &record.redirect else { return Verdict::Is(Qualifier::Neutral) };
        if let Err(verdict) = self.count() {
            return verdict;
        }
        let Some(to) = redirect.expand(&self.context(domain)) else {
            self.trace.unknown = true;
            return Verdict::Is(Qualifier::Neutral);
        };
        if above.contains(&to) {
            return Verdict::Permanent(Problem::Loop(to));
        }
        // Section 6.1: the redirected record's result is this one's.
        let is_providers = self.provider.contains(&to.as_str());
        match self.check_host(&to, above, outer) {
            Verdict::None { .. } if !self.is_pending(&to) => Verdict::Permanent(Problem::RedirectMissing(to)),
            verdict => {
                if is_providers && !matches!(verdict, Verdict::Permanent(_)) {
                    self.reach(outer.unwrap_or(Qualifier::Pass));
                }
                verdict
            }
        }
    }

    fn term(
        &mut self,
        qualifier: Qualifier,
        mechanism: &Mechanism,
        domain: &str,
        above: &mut Vec<String>,
        outer: Option<Qualifier>,
    ) -> Term {
        match mechanism {
            Mechanism::All => return Term::Matches,
            Mechanism::Ip(network) => {
                self.trace.has_networks = true;
                let matches = self.address.is_some_and(|address| network.contains(address));
                return if matches { Term::Matches } else { Term::Passes };
            }
            Mechanism::Ptr(_) => self.trace.has_ptr = true,
            _ => {}
        }
        if let Err(verdict) = self.count() {
            return Term::Ends(verdict);
        }
        let spec = match mechanism {
            Mechanism::Include(spec) | Mechanism::Exists(spec) => Some(spec),
            Mechanism::A(spec, _) | Mechanism::Mx(spec, _) | Mechanism::Ptr(spec) => spec.as_ref(),
            Mechanism::All | Mechanism::Ip(_) => None,
        };
        let Some(name) = self.name_of(spec, domain) else { return Term::Passes };
        match mechanism {
            Mechanism::Include(_) => self.include(qualifier, name, above, outer),
            Mechanism::A(_, prefixes) => self.a(&name, *prefixes),
            Mechanism::Mx(_, prefixes) => self.mx(&name, *prefixes),
            Mechanism::Ptr(_) => self.ptr(&name),
            _ => match self.found(&name, Type::A) {
                Ok(Some(_)) => Term::Matches,
                Ok(None) => Term::Passes,
                Err(verdict) => Term::Ends(verdict),
            },
        }
    }

    /// The name that a term is about; `None`, and noted, where only a mail would tell.
    fn name_of(&mut self, spec: Option<&DomainSpec>, domain: &str) -> Option<String> {
        let name = match spec {
            Some(spec) => spec.expand(&self.context(domain)),
            None => Some(domain.to_owned()),
        };
        self.trace.unknown |= name.is_none();
        name
    }

    fn include(
        &mut self,
        qualifier: Qualifier,
        name: String,
        above: &mut Vec<String>,
        outer: Option<Qualifier>,
    ) -> Term {
        if above.contains(&name) {
            return Term::Ends(Verdict::Permanent(Problem::Loop(name)));
        }
        // A match in there is a match here only if it passes there (section 5.2), and counts as what it is out here.
        let counts_as = match (outer, qualifier) {
            (None, qualifier) => Some(qualifier),
            (Some(outer), Qualifier::Pass) => Some(outer),
            (Some(_), _) => None,
        };
        let verdict = self.check_host(&name, above, Some(counts_as.unwrap_or(Qualifier::Neutral)));
        if self.provider.contains(&name.as_str()) && !matches!(verdict, Verdict::Permanent(_)) {
            self.reach(counts_as.unwrap_or(Qualifier::Neutral));
        }
        match verdict {
            Verdict::Is(Qualifier::Pass) => Term::Matches,
            Verdict::Is(_) => Term::Passes,
            Verdict::None { .. } if self.is_pending(&name) => Term::Passes,
            Verdict::None { .. } => Term::Ends(Verdict::Permanent(Problem::IncludeMissing(name))),
            other => Term::Ends(other),
        }
    }

    fn a(&mut self, name: &str, prefixes: Prefixes) -> Term {
        let found = match self.found(name, self.address_type()) {
            Ok(found) => found,
            Err(verdict) => return Term::Ends(verdict),
        };
        if self.any_contains(found, prefixes) { Term::Matches } else { Term::Passes }
    }

    fn mx(&mut self, name: &str, prefixes: Prefixes) -> Term {
        let servers = match self.found(name, Type::Mx) {
            Ok(Some(records)) => records,
            Ok(None) => return Term::Passes,
            Err(verdict) => return Term::Ends(verdict),
        };
        if servers.len() > MAX_NAMES {
            return Term::Ends(Verdict::Permanent(Problem::TooManyServers(name.to_owned())));
        }
        if self.address.is_none() {
            return Term::Passes;
        }
        let mut matches = false;
        for server in servers.iter().filter_map(|record| super::mx::server_of(record)) {
            // The servers' addresses are not terms, and so not counted.
            match self.get(&server, self.address_type()) {
                Found::Records(addresses) => matches |= self.any_contains(Some(addresses), prefixes),
                Found::Trouble(trouble) => return Term::Ends(Verdict::Temporary(trouble, server)),
                Found::Pending | Found::NoData | Found::NxDomain => {}
            }
        }
        if matches { Term::Matches } else { Term::Passes }
    }

    /// Section 5.5: a name of the address, confirmed, within the domain. What can't be looked up does not match.
    fn ptr(&mut self, domain: &str) -> Term {
        let Some(address) = self.address else { return Term::Passes };
        let names = match self.found(&domain::reverse_name(address), Type::Ptr) {
            Ok(Some(names)) => names,
            _ => return Term::Passes,
        };
        let mut matches = false;
        for name in names.iter().take(MAX_NAMES).filter_map(|name| domain::name(name)) {
            if !domain::is_within(&name, domain) {
                continue;
            }
            if let Found::Records(addresses) = self.get(&name, self.address_type()) {
                matches |= addresses.iter().any(|text| domain::address(text) == Some(address));
            }
        }
        if matches { Term::Matches } else { Term::Passes }
    }

    fn any_contains(&self, addresses: Option<&[String]>, prefixes: Prefixes) -> bool {
        let (Some(addresses), Some(address)) = (addresses, self.address) else { return false };
        let parsed = addresses.iter().filter_map(|text| domain::address(text));
        parsed.into_iter().any(|listed| prefixes.around(listed).contains(address))
    }

    fn address_type(&self) -> Type {
        if self.address.is_some_and(|address| address.is_ipv6()) { Type::Aaaa } else { Type::A }
    }

    fn context<'c>(&'c self, domain: &'c str) -> Context<'c> {
        Context { domain, sender_domain: self.sender_domain, helo: self.helo, address: self.address }
    }

    fn reach(&mut self, qualifier: Qualifier) {
        self.trace.provider.get_or_insert(qualifier);
    }

    fn count(&mut self) -> Result<(), Verdict> {
        self.trace.terms += 1;
        if self.trace.terms > MAX_TERMS {
            return Err(Verdict::Permanent(Problem::TooManyTerms));
        }
        Ok(())
    }

    /// The records a term looks up, `None` where there are none (yet).
    fn found(&mut self, name: &str, r#type: Type) -> Result<Option<&'b [String]>, Verdict> {
        match self.get(name, r#type) {
            Found::Records(records) => Ok(Some(records)),
            Found::Pending => Ok(None),
            Found::Trouble(trouble) => Err(Verdict::Temporary(trouble, name.to_owned())),
            Found::NoData | Found::NxDomain => {
                self.trace.voids += 1;
                if self.trace.voids > MAX_VOID {
                    return Err(Verdict::Permanent(Problem::TooManyVoid(name.to_owned())));
                }
                Ok(None)
            }
        }
    }

    fn get(&mut self, name: &str, r#type: Type) -> Found<'b> {
        let key = (name.to_owned(), r#type);
        if !self.trace.names.contains(&key) {
            if self.trace.names.len() >= SPF_SHARE {
                return Found::Trouble(Trouble::TooMany);
            }
            self.trace.names.push(key);
        }
        let found = self.lookups.get(name, r#type);
        self.trace.pending |= matches!(found, Found::Pending);
        found
    }

    fn is_pending(&self, name: &str) -> bool {
        matches!(self.lookups.get(name, Type::Txt), Found::Pending)
    }
}
