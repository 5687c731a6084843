//! What the end of a conversation says of its connection.

use serde::{Deserialize, Serialize};

use super::{Cause, Health, State};
use crate::outcome::{Verdict, describe, enhanced_code, verdict};
use crate::{Failure, Outcome, Step};

/// Conversations in a row that do not come about before a connection fails.
const FAILURES: u32 = 3;
/// Different mails in a row that are put off before it does: one alone may be greylisted, or have a full mailbox. And
/// on trial, after a probe.
const PUT_OFF: usize = 5;
const PUT_OFF_ON_TRIAL: usize = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    health: Option<Health>,
    /// How a conversation ended; `None` for a probe that came through.
    outcome: Option<Outcome>,
    /// The mail's id; `None` for a probe.
    mail: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    health: Health,
    /// The server had nothing of the mail, which may go by another connection at once.
    elsewhere: bool,
    /// It is no attempt of the mail's: where it can't go elsewhere, it waits for the connection.
    unspent: bool,
    /// Once the connection is well again, the mail need wait no longer.
    hurry: bool,
}

/// What is to be thought of a connection.
enum Sign {
    /// It took a mail, or said of one what only a server that does its work says.
    Works,
    Trouble(Cause),
    Nothing,
}

/// The operation `conclude`.
pub(crate) fn conclude(args: &Args, now: i64) -> Answer {
    let before = args.health.clone().unwrap_or_default();
    let Some(outcome) = &args.outcome else {
        let health = if before.state == State::Ok { before } else { on_trial(&before, now) };
        return Answer { health, elsewhere: false, unspent: false, hurry: false };
    };
    let sign = sign(outcome);
    let Sign::Trouble(cause) = sign else {
        let works = matches!(sign, Sign::Works) && before.state != State::Paused;
        let health = if works { recovered(before, now) } else { before };
        return Answer { health, elsewhere: false, unspent: false, hurry: false };
    };
    let health = troubled(before, cause, outcome, args.mail.as_deref(), now);
    let nothing_sent = !matches!(outcome.step, Step::Body | Step::FinalDot);
    let unwell = health.state != State::Ok;
    Answer {
        elsewhere: args.mail.is_some() && nothing_sent && (cause != Cause::PutsOff || unwell),
        unspent: args.mail.is_some() && cause.state() == State::Paused,
        hurry: args.mail.is_some() && nothing_sent && cause == Cause::Reach && unwell,
        health,
    }
}

fn sign(outcome: &Outcome) -> Sign {
    let code = outcome.reply.as_ref().map(|reply| reply.code);
    let about_the_mail =
        matches!(outcome.step, Step::MailFrom | Step::RcptTo | Step::Data | Step::Body | Step::FinalDot);
    match verdict(outcome) {
        Verdict::Accepted => Sign::Works,
        // RFC 4954 section 6: what is missing is a login, whatever the step.
        Verdict::Permanent if matches!(code, Some(530 | 534 | 535 | 538)) => Sign::Trouble(Cause::Login),
        Verdict::Permanent if outcome.step == Step::Auth => Sign::Trouble(Cause::Login),
        Verdict::Permanent if about_the_mail => Sign::Works,
        Verdict::Transient if about_the_mail && code != Some(421) => {
            // RFC 3463 sections 3.2 and 3.3: the address, the mailbox.
            let enhanced = outcome.reply.as_ref().and_then(enhanced_code).unwrap_or_default();
            if enhanced.starts_with("4.1.") || enhanced.starts_with("4.2.") {
                Sign::Works
            } else {
                Sign::Trouble(Cause::PutsOff)
            }
        }
        Verdict::Permanent | Verdict::Transient => Sign::Trouble(Cause::Reach),
        Verdict::Broken(Failure::OauthRefused) => Sign::Trouble(Cause::Oauth),
        Verdict::Broken(Failure::OauthUnreachable) => Sign::Trouble(Cause::OauthAway),
        // What this mail needs and the server lacks.
        Verdict::Broken(Failure::NotOffered) if about_the_mail => Sign::Works,
        Verdict::Broken(Failure::Other) => Sign::Nothing,
        Verdict::Broken(Failure::Protocol) if about_the_mail => Sign::Nothing,
        Verdict::Broken(_) => Sign::Trouble(Cause::Reach),
    }
}

/// A connection that is used again. Until a mail was taken, its next trouble is not its first.
fn on_trial(before: &Health, now: i64) -> Health {
    let rounds = if before.cause.map(Cause::state) == Some(State::Paused) { 0 } else { before.rounds };
    Health { since: Some(now), rounds, ..Health::default() }
}

/// After a mail was taken.
fn recovered(before: Health, now: i64) -> Health {
    let since = if before.state == State::Ok { before.since } else { Some(now) };
    Health { since, ..Health::default() }
}

fn troubled(before: Health, cause: Cause, outcome: &Outcome, mail: Option<&str>, now: i64) -> Health {
    let mut health = before;
    let trial = health.rounds > 0;
    match (cause, mail) {
        (Cause::PutsOff, Some(id)) => {
            if !health.put_off.iter().any(|known| known == id) {
                health.put_off.push(id.to_owned());
            }
            // More of them say no more.
            health.put_off.truncate(PUT_OFF);
        }
        (Cause::Reach, _) => health.failures = health.failures.saturating_add(1).min(FAILURES),
        _ => {}
    }
    let enough = match cause {
        Cause::Login | Cause::Oauth | Cause::OauthAway => true,
        Cause::Reach => trial || health.failures >= FAILURES,
        Cause::PutsOff => health.put_off.len() >= if trial { PUT_OFF_ON_TRIAL } else { PUT_OFF },
    };
    let worse = health.state == State::Ok && enough
        || health.state == State::Failing && cause.state() == State::Paused;
    if worse {
        let first = if health.state == State::Ok { health.rounds } else { 0 };
        return unwell(health, cause, outcome, first, now);
    }
    // A probe that failed; what was on its way when the connection failed says nothing new.
    if health.state != State::Ok && mail.is_none() {
        let same = health.cause.map(Cause::state) == Some(cause.state());
        let rounds = if same { health.rounds } else { 0 };
        // A server that is away while its login is refused may have another opinion when it is back.
        let cause =
            if health.state == State::Paused && !same { health.cause.unwrap_or(cause) } else { cause };
        return unwell(health, cause, outcome, rounds, now);
    }
    health
}

fn unwell(before: Health, cause: Cause, outcome: &Outcome, rounds: u32, now: i64) -> Health {
    let same = before.state == cause.state();
    Health {
        state: cause.state(),
        since: if same { before.since } else { Some(now) },
        cause: Some(cause),
        reason: describe(outcome),
        failures: 0,
        put_off: Vec::new(),
        rounds: rounds.saturating_add(1),
        probe_at: Some(now.saturating_add(cause.wait_ms(rounds))),
    }
}
