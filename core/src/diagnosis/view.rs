//! What a cause looks at: one step of a conversation, and all that was known by then.

use std::cell::OnceCell;

use super::facts::{Certificate, EventStep, Facts, Problem, Shown, TlsFacts};
use crate::outcome::{Verdict, enhanced_code, verdict};
use crate::{Failure, Mechanism, Outcome, Security, Step};

/// Octets of a peer's words that are looked at.
const LOOKED_AT: usize = 4_000;

/// One step, how it ended, and what surrounds it. Texts are lower-cased.
pub(crate) struct View<'a> {
    pub(crate) now: i64,
    pub(crate) connection: Option<&'a Shown>,
    pub(crate) facts: &'a Facts,
    /// The envelope sender, empty where it is not known or there is none.
    pub(crate) from: &'a str,
    pub(crate) outcome: &'a Outcome,
    text: OnceCell<String>,
    detail: OnceCell<String>,
}

impl<'a> View<'a> {
    pub(crate) fn new(
        now: i64,
        connection: Option<&'a Shown>,
        facts: &'a Facts,
        from: &'a str,
        outcome: &'a Outcome,
    ) -> Self {
        Self { now, connection, facts, from, outcome, text: OnceCell::new(), detail: OnceCell::new() }
    }

    // The step and its reply.

    pub(crate) fn at(&self, steps: &[Step]) -> bool {
        steps.contains(&self.outcome.step)
    }

    /// The code of a reply that refuses, now (4yz) or for good (5yz).
    pub(crate) fn refusal(&self) -> Option<u16> {
        let code = self.outcome.reply.as_ref()?.code;
        matches!(verdict(self.outcome), Verdict::Transient | Verdict::Permanent).then_some(code)
    }

    pub(crate) fn code(&self, codes: &[u16]) -> bool {
        self.refusal().is_some_and(|code| codes.contains(&code))
    }

    pub(crate) fn refused(&self) -> bool {
        self.refusal().is_some()
    }

    pub(crate) fn temporary(&self) -> bool {
        self.refusal().is_some_and(|code| code < 500)
    }

    /// The reply's enhanced code is one of these, as `5.7.8`; `x.7.8` stands for 4.7.8 and 5.7.8.
    pub(crate) fn enhanced(&self, codes: &[&str]) -> bool {
        let Some(found) = self.outcome.reply.as_ref().and_then(enhanced_code) else { return false };
        codes.iter().any(|code| match code.strip_prefix("x.") {
            Some(rest) => found.get(2..) == Some(rest),
            None => found == *code,
        })
    }

    /// The reply's text, lower-cased, on one line.
    pub(crate) fn text(&self) -> &str {
        self.text.get_or_init(|| lower(self.outcome.reply.as_ref().map_or("", |reply| &reply.text)))
    }

    /// One of these is in the reply's text.
    pub(crate) fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.text().contains(words))
    }

    // Failures without a reply.

    pub(crate) fn failed(&self, failure: Failure) -> bool {
        !self.refused() && self.outcome.failure == Some(failure)
    }

    /// The service's own words for it, lower-cased.
    pub(crate) fn detail(&self) -> &str {
        self.detail.get_or_init(|| lower(&self.outcome.detail))
    }

    /// What answered in place of SMTP or TLS, lower-cased; empty where nothing did.
    pub(crate) fn heard(&self) -> String {
        if self.at(&[Step::Tls]) {
            return self.facts.tls.as_ref().map(|tls| lower(&tls.not_tls)).unwrap_or_default();
        }
        self.detail().split_once("is not smtp: ").map(|(_, heard)| heard.to_owned()).unwrap_or_default()
    }

    /// What answered begins with one of these.
    pub(crate) fn hears(&self, any: &[&str]) -> bool {
        let heard = self.heard();
        any.iter().any(|words| heard.starts_with(words))
    }

    // The connection.

    pub(crate) fn security(&self, security: Security) -> bool {
        self.connection.is_some_and(|connection| connection.security == security)
    }

    pub(crate) fn port(&self, ports: &[u16]) -> bool {
        self.connection.is_some_and(|connection| ports.contains(&connection.port))
    }

    pub(crate) fn server(&self) -> String {
        self.connection.map(|connection| connection.server.to_lowercase()).unwrap_or_default()
    }

    /// The server's name is this or ends in it: `example.com` also for `smtp.example.com`.
    pub(crate) fn server_in(&self, domains: &[&str]) -> bool {
        let server = self.server();
        let server = server.trim_end_matches('.');
        domains.iter().any(|domain| {
            server.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    pub(crate) fn logs_in(&self) -> bool {
        self.connection.is_some_and(|connection| !connection.auth.is_empty())
    }

    pub(crate) fn uses(&self, mechanism: Mechanism) -> bool {
        let name = match mechanism {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::CramMd5 => "CRAM-MD5",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::Xoauth2 => "XOAUTH2",
        };
        self.facts.mechanism.eq_ignore_ascii_case(name)
    }

    // What was seen before.

    /// The text with which the server greeted, lower-cased.
    pub(crate) fn greeting(&self) -> String {
        let greeting = self.facts.events.iter().find(|event| event.step == EventStep::Greeting);
        greeting.and_then(|event| event.reply.as_ref()).map(|reply| lower(&reply.text)).unwrap_or_default()
    }

    /// The parameters of an extension that EHLO offered.
    pub(crate) fn extension(&self, keyword: &str) -> Option<&str> {
        self.facts.extensions.iter().find_map(|line| {
            let (name, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
            name.eq_ignore_ascii_case(keyword).then_some(parameters)
        })
    }

    pub(crate) fn offers(&self, keyword: &str) -> bool {
        self.extension(keyword).is_some()
    }

    pub(crate) fn tls(&self) -> Option<&'a TlsFacts> {
        self.facts.tls.as_ref()
    }

    pub(crate) fn problem(&self, problem: Problem) -> bool {
        self.tls().is_some_and(|tls| tls.problem == problem)
    }

    pub(crate) fn alert(&self, alerts: &[&str]) -> bool {
        self.tls().is_some_and(|tls| alerts.contains(&tls.alert.as_str()))
    }

    /// The server's own certificate.
    pub(crate) fn certificate(&self) -> Option<&'a Certificate> {
        self.tls()?.chain.first()
    }

    /// Addresses to which no connection came about, and why.
    pub(crate) fn dead(&self) -> impl Iterator<Item = (&'a str, Failure)> {
        let tried = self.facts.events.iter().filter(|event| event.step == EventStep::Connect);
        tried.filter_map(|event| Some((event.address.as_str(), event.failure?)))
    }
}

/// `[2001:db8::1]:25`, as host:port has it.
pub(crate) fn is_ipv6(address: &str) -> bool {
    address.starts_with('[')
}

fn lower(text: &str) -> String {
    let end = text.floor_char_boundary(text.len().min(LOOKED_AT));
    let text = text.get(..end).unwrap_or_default().to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl View<'_> {
    /// The blocklist that a refusal names.
    pub(crate) fn blocklist(&self) -> Option<String> {
        let text = self.text();
        let named =
            text.split_once("blocked using ").and_then(|(_, rest)| rest.split([' ', ';', ',']).next());
        if let Some(list) = named.filter(|list| list.contains('.')) {
            return Some(list.trim_end_matches('.').to_owned());
        }
        let known = [
            ("spamhaus", "Spamhaus"),
            ("barracuda", "Barracuda"),
            ("spamcop", "SpamCop"),
            ("sorbs", "SORBS"),
            ("uceprotect", "UCEPROTECT"),
        ];
        known.iter().find(|(word, _)| text.contains(word)).map(|(_, name)| format!("{name}'s blocklist"))
    }
}
