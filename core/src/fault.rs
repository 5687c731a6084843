//! An attempt that failed in our own code (R12, R13), and the service's other fixed words.

use serde::{Deserialize, Serialize};

use crate::outcome::{Verdict, verdict};
use crate::standing::State;
use crate::{Outcome, Step};

/// Until a mail at which our own code failed is tried again.
const RETRY_MS: i64 = 30_000;
/// So many attempts that fail in our own code put a mail aside.
const ALLOWED: u32 = 5;

/// What failed, and how often before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// The code of the core's own error; `None` where it gave none: it trapped, or took too long.
    error: Option<String>,
    /// Attempts at this mail that failed so before this one.
    faults: u32,
    /// Whether an earlier attempt broke off where the server may have had the mail.
    #[serde(default)]
    perhaps: bool,
    /// What the server had answered, where it is that which could not be judged.
    outcome: Option<Outcome>,
    expires_at: i64,
}

/// What becomes of the mail.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    state: State,
    next_attempt_at: Option<i64>,
    reason: String,
}

/// The operation `fault`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let given_up = if args.perhaps { State::PerhapsDelivered } else { State::Failed };
    let done = |state, reason: &str| Answer { state, next_attempt_at: None, reason: reason.to_owned() };
    if let Some(outcome) = &args.outcome {
        match verdict(outcome) {
            Verdict::Accepted => return done(State::Sent, "accepted by your mail server"),
            Verdict::Broken(_) if outcome.step == Step::FinalDot => {
                return done(
                    State::PerhapsDelivered,
                    "the whole message was sent, but the server's receipt never came, and Postroom itself failed at it",
                );
            }
            _ => {}
        }
    } else if matches!(args.error.as_deref(), Some("corrupt" | "wrong_key")) {
        // Its lease was given for this very key.
        return done(given_up, "Its sealed body was damaged in the database.");
    }
    let faults = args.faults.saturating_add(1);
    let next = now.saturating_add(RETRY_MS);
    if faults >= ALLOWED {
        return done(given_up, &format!("Put aside: Postroom itself failed at it {faults} times."));
    }
    if next >= args.expires_at {
        return done(given_up, "Put aside: Postroom itself failed at it, and its lifetime ends.");
    }
    Answer {
        state: State::Deferred,
        next_attempt_at: Some(next),
        reason: "Postroom itself failed at it; it is tried again.".to_owned(),
    }
}

/// No arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoArgs {}

/// The reasons that the service writes by itself, where nothing is left to decide.
#[derive(Serialize)]
pub(crate) struct Reasons {
    superseded: &'static str,
    captured: &'static str,
    other_site: &'static str,
    discarded: &'static str,
    test_ended: &'static str,
    deactivated: &'static str,
    held_too_long: &'static str,
}

/// The operation `reasons`.
pub(crate) fn reasons() -> Reasons {
    Reasons {
        superseded: "A newer request replaced this one before the mail left.",
        captured: "Captured: the connection delivers nothing and keeps every mail for viewing.",
        other_site: "The SiteURL differs from the one this mail was made for.",
        discarded: "Discarded by an administrator: it was made for another SiteURL.",
        test_ended: "Postroom ended, or its database was out of reach, before the outcome could be recorded.",
        deactivated: "The account was deactivated before the mail left.",
        held_too_long: "Its lifetime ended long before anybody decided about the held mails.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Reply};

    const NOW: i64 = 1_764_000_000_000;

    fn ask(error: Option<&str>, faults: u32, outcome: Option<Outcome>, left: i64) -> Answer {
        answer(
            &Args {
                error: error.map(str::to_owned),
                faults,
                perhaps: false,
                outcome,
                expires_at: NOW + left,
            },
            NOW,
        )
    }

    #[test]
    fn tried_a_few_times_then_put_aside() {
        for faults in 0..4 {
            let answer = ask(None, faults, None, 3_600_000);
            assert_eq!((answer.state, answer.next_attempt_at), (State::Deferred, Some(NOW + 30_000)));
        }
        for faults in [4, 5, u32::MAX] {
            let answer = ask(None, faults, None, 3_600_000);
            assert_eq!((answer.state, answer.next_attempt_at), (State::Failed, None));
            assert!(
                answer.reason.starts_with("Put aside: Postroom itself failed at it"),
                "{}",
                answer.reason
            );
        }
        assert_eq!(ask(None, 0, None, 30_000).state, State::Failed, "its lifetime ends first");
        assert_eq!(ask(Some("internal"), 0, None, 30_001).state, State::Deferred);
    }

    #[test]
    fn what_may_have_arrived_is_never_said_to_have_failed() {
        for (error, faults) in [(None, 4), (Some("corrupt"), 0)] {
            let error = error.map(str::to_owned);
            let args = Args { error, faults, perhaps: true, outcome: None, expires_at: NOW + 3_600_000 };
            assert_eq!(answer(&args, NOW).state, State::PerhapsDelivered);
        }
    }

    #[test]
    fn a_damaged_body_is_not_tried_again() {
        for error in ["corrupt", "wrong_key"] {
            let answer = ask(Some(error), 0, None, 3_600_000);
            assert_eq!(answer.state, State::Failed);
            assert!(answer.reason.contains("damaged"));
        }
    }

    #[test]
    fn what_the_server_said_stands() {
        let outcome = |step, code: Option<u16>, failure| Outcome {
            step,
            reply: code.map(|code| Reply { code, text: String::new() }),
            failure,
            detail: String::new(),
        };
        let check = |outcome, expected| {
            assert_eq!(ask(None, 0, Some(outcome), 3_600_000).state, expected);
        };
        check(outcome(Step::FinalDot, Some(250), None), State::Sent);
        check(outcome(Step::FinalDot, None, Some(Failure::Closed)), State::PerhapsDelivered);
        check(outcome(Step::FinalDot, Some(451), None), State::Deferred);
        check(outcome(Step::RcptTo, Some(250), None), State::Deferred);
        assert_eq!(
            ask(None, 4, Some(outcome(Step::RcptTo, Some(550), None)), 3_600_000).state,
            State::Failed
        );
    }
}
