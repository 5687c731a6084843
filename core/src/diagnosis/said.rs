//! The words beside a step: the peer's, or what was found.

use super::advice::dead_words;
use super::facts::{Certificate, Event, EventStep};
use super::line::Part;
use super::view::View;
use crate::outcome;

/// For the step that `view` looks at; `events` are all of it.
pub(super) fn said(part: Part, events: &[&Event], view: &View<'_>) -> String {
    let failed = events.last().is_some_and(|event| !event.succeeded());
    let text = match part {
        Part::Dns if !failed => view.facts.addresses.join(", "),
        Part::Tcp => tcp(events),
        Part::Tls => tls(failed, view),
        Part::Ehlo if !failed => view.facts.extensions.join(", "),
        Part::Auth => auth(events, view),
        _ => words(events),
    };
    outcome::one_line(&text)
}

/// Code and text of the newest reply, or the service's words for what failed.
fn words(events: &[&Event]) -> String {
    let reply = events.iter().rev().find_map(|event| event.reply.as_ref());
    let failure = events.last().filter(|event| event.failure.is_some());
    match (reply, failure) {
        (_, Some(event)) if event.reply.is_none() => event.detail.clone(),
        (Some(reply), _) => format!("{} {}", reply.code, reply.text),
        (None, _) => events.last().map(|event| event.detail.clone()).unwrap_or_default(),
    }
}

fn tcp(events: &[&Event]) -> String {
    let told = events.iter().map(|event| match event.failure {
        None => event.address.clone(),
        Some(_) if event.address.is_empty() => event.detail.clone(),
        Some(failure) => format!("{}: {}", event.address, dead_words(failure)),
    });
    told.collect::<Vec<_>>().join("; ")
}

fn tls(failed: bool, view: &View<'_>) -> String {
    let Some(tls) = view.tls() else { return view.outcome.detail.clone() };
    let mut parts = Vec::new();
    if failed && !view.outcome.detail.is_empty() {
        parts.push(view.outcome.detail.clone());
    }
    if !tls.version.is_empty() {
        parts.push(format!("TLS {}", tls.version));
    }
    if let Some(leaf) = tls.chain.first() {
        let by = tls.chain.last().map_or("", |last| Certificate::common_name(&last.issuer));
        parts.push(format!("certificate of {} by {by}", Certificate::common_name(&leaf.subject)));
    }
    if failed && !tls.not_tls.is_empty() {
        parts.push(format!("it said: {}", tls.not_tls));
    }
    parts.join(", ")
}

fn auth(events: &[&Event], view: &View<'_>) -> String {
    let mechanism = view.facts.mechanism.as_str();
    let words = words(events);
    let about_login =
        events.last().is_some_and(|event| event.step == EventStep::Auth && event.reply.is_some());
    if mechanism.is_empty() || !about_login { words } else { format!("{mechanism}: {words}") }
}
