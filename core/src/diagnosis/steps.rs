//! From facts to steps: what went well, what failed and why, what never began.

use super::advice::fill;
use super::facts::{Event, EventStep, Facts, Shown};
use super::line::{Line, Part, State};
use super::said::said;
use super::view::View;
use super::{causes, facts};
use crate::{Failure, Outcome, Security, Step};

/// All that a conversation is judged by.
pub(super) struct Subject<'a> {
    pub(super) now: i64,
    pub(super) connection: &'a Shown,
    pub(super) facts: &'a Facts,
    pub(super) from: &'a str,
}

/// The parts of a conversation, in the order in which they happen, each with the step that its failure has where it
/// never began.
fn parts(security: Security) -> Vec<(Part, Step)> {
    let tls = (Part::Tls, Step::Tls);
    let mut parts = vec![(Part::Dns, Step::Dns), (Part::Tcp, Step::Connect)];
    parts.extend((security == Security::Tls).then_some(tls));
    parts.extend([(Part::Greeting, Step::Greeting), (Part::Ehlo, Step::Ehlo)]);
    if security == Security::Starttls {
        parts.extend([(Part::Starttls, Step::Starttls), tls]);
    }
    parts.extend([
        (Part::Auth, Step::Auth),
        (Part::MailFrom, Step::MailFrom),
        (Part::RcptTo, Step::RcptTo),
        (Part::Data, Step::Data),
        (Part::Queued, Step::FinalDot),
    ]);
    parts
}

/// Whether the server took the mail over.
pub(super) fn accepted(facts: &Facts) -> Option<&Event> {
    facts.events.iter().find(|event| event.step == EventStep::FinalDot && event.succeeded())
}

impl Subject<'_> {
    /// A line for each step; only those that ended, while the conversation goes on.
    pub(super) fn lines(&self) -> Vec<Line> {
        let parts = parts(self.connection.security);
        // A conversation that ended without its last step ended at its last event, or before the next.
        let ended = self.facts.finished && accepted(self.facts).is_none();
        let last = self.facts.events.last();
        let failing =
            last.filter(|event| ended && !event.succeeded()).map(|event| Part::of(event.step.step()));
        let failing = failing.or_else(|| {
            let begins = parts.iter().find(|(part, _)| !self.is_over(*part) && !self.needless(*part));
            begins.filter(|_| ended).map(|(part, _)| *part)
        });
        parts.iter().filter_map(|(part, step)| self.line(*part, *step, failing)).collect()
    }

    fn events(&self, part: Part) -> Vec<&Event> {
        self.facts.events.iter().filter(|event| Part::of(event.step.step()) == part).collect()
    }

    /// Whether a part went well to its end: some are made of two.
    fn is_over(&self, part: Part) -> bool {
        let done =
            |step: EventStep| self.facts.events.iter().any(|event| event.step == step && event.succeeded());
        match part {
            Part::Auth => done(EventStep::Auth),
            Part::Data => done(EventStep::Body) || done(EventStep::FinalDot),
            part => self.events(part).last().is_some_and(|event| event.succeeded()),
        }
    }

    /// There is nothing to do at that part.
    fn needless(&self, part: Part) -> bool {
        match part {
            Part::Dns => self.connection.server.parse::<std::net::IpAddr>().is_ok(),
            Part::Auth => self.connection.auth.is_empty(),
            _ => false,
        }
    }

    fn line(&self, part: Part, step: Step, failing: Option<Part>) -> Option<Line> {
        let events = self.events(part);
        if failing == Some(part) {
            let outcome = events.last().filter(|event| !event.succeeded()).map(|event| event.outcome());
            let outcome = outcome.unwrap_or(Outcome {
                step,
                reply: None,
                failure: Some(Failure::Other),
                detail: String::new(),
            });
            return Some(self.told(part, State::Failed, &events, &outcome));
        }
        if self.is_over(part) {
            let outcome = events.last().map(|event| event.outcome())?;
            return Some(self.told(part, State::Ok, &events, &outcome));
        }
        let why = if self.needless(part) { self.why_needless(part) } else { "" };
        (self.facts.finished || (!why.is_empty() && self.went_past(part))).then(|| skipped(part, why))
    }

    /// Whether a later part was reached.
    fn went_past(&self, part: Part) -> bool {
        let parts = parts(self.connection.security);
        let later = parts.iter().map(|(other, _)| *other).skip_while(|other| *other != part).skip(1);
        later.into_iter().any(|other| !self.events(other).is_empty())
    }

    fn why_needless(&self, part: Part) -> &'static str {
        match part {
            Part::Dns => "the server is given as an address",
            _ => "the settings have no login",
        }
    }

    fn told(&self, part: Part, state: State, events: &[&Event], outcome: &Outcome) -> Line {
        let view = View::new(self.now, Some(self.connection), self.facts, self.from, outcome);
        let cause =
            if state == State::Failed { causes::of_failure(&view) } else { causes::of_success(&view) };
        let state = if state == State::Ok && cause.is_some() { State::Warning } else { state };
        Line {
            step: part,
            state,
            ms: (!events.is_empty()).then(|| facts::total_ms(events)),
            said: said(part, events, &view),
            advice: cause.map(|cause| fill(cause.advice, &view)).unwrap_or_default(),
            cause: cause.map(|cause| cause.name),
        }
    }
}

fn skipped(step: Part, said: &str) -> Line {
    Line { step, state: State::Skipped, ms: None, said: said.to_owned(), advice: String::new(), cause: None }
}
