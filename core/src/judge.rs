//! What a conversation's outcome means for its mail, and when to try again (R2, R3, R9, R14).
//!
//! What a server says of the *mail* (its sender, recipient, content) is final when it is permanent. What it
//! says of *us* (login, TLS, policy at the door) is not: an admin can mend that while the link still lives.

use serde::{Deserialize, Serialize};

use crate::diagnosis::{self, Shown, TlsFacts};
use crate::entropy::Entropy;
use crate::outcome::{Verdict, describe_with, enhanced_code, peer_words, verdict};
use crate::standing::State;
use crate::{Error, Failure, Outcome, Step};

/// Octets of entropy that a judgement takes, for the jitter.
pub(crate) const ENTROPY: usize = 8;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Waits after the first, second, … attempt; then one hour each.
const WAITS_MS: [i64; 8] = [
    10 * SECOND_MS,
    30 * SECOND_MS,
    MINUTE_MS,
    2 * MINUTE_MS,
    5 * MINUTE_MS,
    10 * MINUTE_MS,
    15 * MINUTE_MS,
    30 * MINUTE_MS,
];

/// What matters of a mail's kind here; a mail that Mattermost sent through the relay is told by its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    Reset,
    Verify,
    Test,
    Account,
    Invitation,
    Notification,
}

impl Sort {
    /// Whether a mail that has perhaps arrived is sent again: one whose link someone waits for.
    fn goes_again(self) -> bool {
        matches!(self, Self::Reset | Self::Verify | Self::Account | Self::Invitation)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    outcome: Outcome,
    kind: Sort,
    attempts: u32,
    expires_at: i64,
    /// An earlier attempt broke off where the server may have had the mail.
    #[serde(default)]
    perhaps: bool,
    /// Over which connection, for advice.
    #[serde(default)]
    connection: Option<Shown>,
    #[serde(default)]
    tls: Option<TlsFacts>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    state: State,
    next_attempt_at: Option<i64>,
    code: Option<u16>,
    enhanced: Option<String>,
    text: String,
    reason: String,
}

/// The operation `judge`.
pub(crate) fn answer(args: &Args, now: i64, mut entropy: Entropy<'_>) -> Result<Answer, Error> {
    if args.attempts == 0 {
        return Err(Error::argument("attempts", "counts the attempt that is judged, so it is at least 1"));
    }
    let random = u64::from_le_bytes(entropy.take::<ENTROPY>()?);
    let next = next_attempt(args.attempts, args.expires_at, now, random);
    let advise = |connection| diagnosis::advise(now, connection, args.tls.as_ref(), &args.outcome);
    let advice = args.connection.as_ref().and_then(advise);
    let what = describe_with(&args.outcome, advice.as_deref());
    let (state, next_attempt_at, reason) = match (fate(&args.outcome), next) {
        (Fate::Sent, _) => (State::Sent, None, "accepted by your mail server".to_owned()),
        (Fate::Final, _) => (State::Failed, None, format!("refused for good: {what}")),
        // Whoever pressed the button waits for the answer.
        (Fate::Again, _) if args.kind == Sort::Test => (State::Failed, None, format!("not accepted: {what}")),
        (Fate::Again, Some(at)) => (State::Deferred, Some(at), format!("not accepted yet: {what}")),
        (Fate::Again, None) => {
            (State::Failed, None, format!("given up, as the mail's lifetime ends: {what}"))
        }
        (Fate::Unknown, next) => {
            // The same Message-ID goes again; a link that never came is worse than one that came twice.
            let next = next.filter(|_| args.kind.goes_again());
            let then = if next.is_some() { "; it is sent again" } else { "" };
            (
                State::PerhapsDelivered,
                next,
                format!("the whole message was sent, but the server's receipt never came{then}: {what}"),
            )
        }
    };
    let (state, reason) = if args.perhaps && state == State::Failed {
        (State::PerhapsDelivered, format!("perhaps it arrived at an earlier attempt; {reason}"))
    } else {
        (state, reason)
    };
    let reply = args.outcome.reply.as_ref();
    Ok(Answer {
        state,
        next_attempt_at,
        code: reply.map(|reply| reply.code),
        enhanced: reply.and_then(enhanced_code).map(str::to_owned),
        text: peer_words(&args.outcome),
        reason,
    })
}

enum Fate {
    Sent,
    Again,
    Final,
    Unknown,
}

fn fate(outcome: &Outcome) -> Fate {
    let code = outcome.reply.as_ref().map(|reply| reply.code);
    match (verdict(outcome), outcome.step) {
        (Verdict::Accepted, _) => Fate::Sent,
        (Verdict::Transient, _) => Fate::Again,
        // RFC 4954 section 6: what is missing is a login or TLS, whatever the step.
        (Verdict::Permanent, _) if matches!(code, Some(530 | 534 | 535 | 538)) => Fate::Again,
        (Verdict::Permanent, step) | (Verdict::Broken(Failure::NotOffered), step)
            if !is_about_the_mail(step) =>
        {
            Fate::Again
        }
        (Verdict::Permanent, _) => Fate::Final,
        (Verdict::Broken(_), Step::FinalDot) => Fate::Unknown,
        (Verdict::Broken(Failure::NotOffered), _) => Fate::Final,
        (Verdict::Broken(_), _) => Fate::Again,
    }
}

fn is_about_the_mail(step: Step) -> bool {
    matches!(step, Step::MailFrom | Step::RcptTo | Step::Data | Step::Body | Step::FinalDot)
}

/// When to try again: the schedule, jittered by 20 %, but never later than half of what is left of the
/// mail's life, so that a link which still lives is still tried for. `None` when too little is left.
fn next_attempt(attempts: u32, expires_at: i64, now: i64, random: u64) -> Option<i64> {
    let at = usize::try_from(attempts).ok()?.checked_sub(1)?;
    let wait = WAITS_MS.get(at).copied().unwrap_or(HOUR_MS);
    let thousandths = 800 + i64::try_from(random % 401).ok()?;
    let left = expires_at.saturating_sub(now);
    let wait = (wait * thousandths / 1_000).min(left / 2);
    (wait >= WAITS_MS[0] / 2).then(|| now.saturating_add(wait))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Reply;

    const NOW: i64 = 1_764_000_000_000;

    fn judge(
        step: Step,
        reply: Option<(u16, &str)>,
        failure: Option<Failure>,
        kind: Sort,
        attempts: u32,
        left: i64,
    ) -> Answer {
        let args = Args {
            outcome: Outcome {
                step,
                reply: reply.map(|(code, text)| Reply { code, text: text.into() }),
                failure,
                detail: String::new(),
            },
            kind,
            attempts,
            expires_at: NOW + left,
            perhaps: false,
            connection: None,
            tls: None,
        };
        // 200 % 401: the middle of the jitter.
        let entropy = [200, 0, 0, 0, 0, 0, 0, 0];
        answer(&args, NOW, Entropy::new(&entropy, ENTROPY).unwrap()).unwrap()
    }

    const STEPS: [Step; 12] = [
        Step::Dns,
        Step::Connect,
        Step::Tls,
        Step::Greeting,
        Step::Ehlo,
        Step::Starttls,
        Step::Auth,
        Step::MailFrom,
        Step::RcptTo,
        Step::Data,
        Step::Body,
        Step::FinalDot,
    ];
    const FAILURES: [Failure; 11] = [
        Failure::Timeout,
        Failure::Refused,
        Failure::Unreachable,
        Failure::Reset,
        Failure::Closed,
        Failure::Dns,
        Failure::Certificate,
        Failure::Tls,
        Failure::NotOffered,
        Failure::Protocol,
        Failure::Other,
    ];

    fn check_reply(step: Step, code: u16, expected: State) {
        let answer = judge(step, Some((code, "words")), None, Sort::Reset, 1, HOUR_MS);
        assert_eq!(answer.state, expected, "{code} at {step:?}: {}", answer.reason);
        assert_eq!(answer.next_attempt_at.is_some(), !matches!(expected, State::Sent | State::Failed));
        assert_eq!((answer.code, answer.text.as_str()), (Some(code), "words"));
    }

    #[test]
    fn replies() {
        use State::{Deferred, Failed, PerhapsDelivered, Sent};
        for step in STEPS {
            let about_the_mail = is_about_the_mail(step);
            for code in [400, 421, 450, 451, 452, 454, 499] {
                check_reply(step, code, Deferred);
            }
            for code in [500, 501, 502, 503, 504, 521, 541, 550, 552, 553, 554, 555, 599] {
                check_reply(step, code, if about_the_mail { Failed } else { Deferred });
            }
            for code in [530, 534, 535, 538] {
                check_reply(step, code, Deferred);
            }
            // Never "sent" without a 2xx after the dot.
            for code in [0, 1, 99, 100, 199, 300, 334, 354, 600, 999] {
                check_reply(step, code, if step == Step::FinalDot { PerhapsDelivered } else { Deferred });
            }
            for code in [200, 220, 235, 250, 251, 299] {
                check_reply(step, code, if step == Step::FinalDot { Sent } else { Deferred });
            }
        }
    }

    #[test]
    fn failures() {
        for step in STEPS {
            for failure in FAILURES {
                let answer = judge(step, None, Some(failure), Sort::Verify, 1, HOUR_MS);
                let expected = match (step, failure) {
                    (Step::FinalDot, _) => State::PerhapsDelivered,
                    (Step::MailFrom | Step::RcptTo | Step::Data | Step::Body, Failure::NotOffered) => {
                        State::Failed
                    }
                    _ => State::Deferred,
                };
                assert_eq!(answer.state, expected, "{failure:?} at {step:?}");
                assert_eq!(answer.next_attempt_at.is_none(), expected == State::Failed);
                assert!(answer.reason.contains(crate::outcome::step_words(step)), "{}", answer.reason);
            }
        }
    }

    #[test]
    fn contradictory_facts_are_never_sent() {
        let check = |step, reply, failure, expected| {
            let answer = judge(step, reply, failure, Sort::Reset, 1, HOUR_MS);
            assert_eq!(answer.state, expected, "{reply:?} {failure:?} at {step:?}");
        };
        check(Step::FinalDot, Some((250, "ok")), Some(Failure::Closed), State::PerhapsDelivered);
        check(Step::FinalDot, Some((554, "no")), Some(Failure::Closed), State::Failed);
        check(Step::FinalDot, Some((421, "bye")), Some(Failure::Closed), State::Deferred);
        check(Step::FinalDot, None, None, State::PerhapsDelivered);
        check(Step::Greeting, None, None, State::Deferred);
        check(Step::RcptTo, Some((250, "ok")), Some(Failure::Timeout), State::Deferred);
    }

    #[test]
    fn only_account_mail_goes_again_when_perhaps_delivered() {
        let check = |kind, left, again| {
            let answer = judge(Step::FinalDot, None, Some(Failure::Timeout), kind, 1, left);
            assert_eq!(
                (answer.state, answer.next_attempt_at.is_some()),
                (State::PerhapsDelivered, again),
                "{kind:?}"
            );
            assert_eq!(answer.reason.contains("sent again"), again);
        };
        check(Sort::Reset, HOUR_MS, true);
        check(Sort::Verify, HOUR_MS, true);
        check(Sort::Test, HOUR_MS, false);
        check(Sort::Account, HOUR_MS, true);
        check(Sort::Invitation, HOUR_MS, true);
        check(Sort::Notification, HOUR_MS, false);
        check(Sort::Reset, 0, false);
        check(Sort::Reset, -1, false);
    }

    #[test]
    fn the_schedule() {
        let check = |attempts, left, expected: Option<i64>| {
            let answer = judge(Step::Connect, None, Some(Failure::Refused), Sort::Reset, attempts, left);
            assert_eq!(
                answer.next_attempt_at.map(|at| (at - NOW) / SECOND_MS),
                expected,
                "after {attempts}, {left} left"
            );
            assert_eq!(answer.state, if expected.is_some() { State::Deferred } else { State::Failed });
        };
        let day = 24 * HOUR_MS;
        for (attempts, seconds) in [
            (1, 10),
            (2, 30),
            (3, 60),
            (4, 120),
            (5, 300),
            (6, 600),
            (7, 900),
            (8, 1_800),
            (9, 3_600),
            (99, 3_600),
        ] {
            check(attempts, day, Some(seconds));
        }
        check(u32::MAX, day, Some(3_600));
        check(8, 20 * MINUTE_MS, Some(600));
        check(1, 12 * SECOND_MS, Some(6));
        check(1, 9 * SECOND_MS, None);
        check(1, 0, None);
        check(1, -1, None);
        check(1, i64::MIN + NOW, None);
    }

    #[test]
    fn reasons_name_the_step_and_the_words() {
        let check = |answer: &Answer, expected: &str| assert_eq!(answer.reason, expected);
        check(
            &judge(
                Step::RcptTo,
                Some((550, "5.1.1 <anna@example.com>: unknown")),
                None,
                Sort::Reset,
                1,
                HOUR_MS,
            ),
            "refused for good: at naming the recipient (RCPT TO), the mail server answered 550 5.1.1 \
             <a***@example.com>: unknown",
        );
        check(
            &judge(Step::Starttls, None, Some(Failure::NotOffered), Sort::Reset, 1, HOUR_MS),
            "not accepted yet: at starting TLS (STARTTLS): the mail server does not offer STARTTLS, which the settings \
             require; nothing was sent in clear text",
        );
        check(
            &judge(Step::Auth, Some((535, "5.7.8 bad")), None, Sort::Reset, 1, 0),
            "given up, as the mail's lifetime ends: at logging in to the mail server (AUTH), the mail server answered \
             535 5.7.8 bad",
        );
        check(
            &judge(Step::FinalDot, Some((250, "2.0.0 Ok")), None, Sort::Reset, 1, HOUR_MS),
            "accepted by your mail server",
        );
    }

    #[test]
    fn what_may_have_arrived_is_never_said_to_have_failed() {
        let judge = |code, left| {
            let outcome = Outcome {
                step: Step::RcptTo,
                reply: Some(Reply { code, text: "words".into() }),
                failure: None,
                detail: String::new(),
            };
            let args = Args {
                outcome,
                kind: Sort::Reset,
                attempts: 2,
                expires_at: NOW + left,
                perhaps: true,
                connection: None,
                tls: None,
            };
            let entropy = [200, 0, 0, 0, 0, 0, 0, 0];
            answer(&args, NOW, Entropy::new(&entropy, ENTROPY).unwrap()).unwrap()
        };
        let refused = judge(550, HOUR_MS);
        assert_eq!((refused.state, refused.next_attempt_at), (State::PerhapsDelivered, None));
        assert!(refused.reason.starts_with("perhaps it arrived at an earlier attempt; refused for good: "));
        assert_eq!(judge(450, 0).state, State::PerhapsDelivered);
        assert_eq!(judge(450, HOUR_MS).state, State::Deferred);
    }

    #[test]
    fn attempts_start_at_one() {
        let args = Args {
            outcome: Outcome { step: Step::Dns, reply: None, failure: None, detail: String::new() },
            kind: Sort::Test,
            attempts: 0,
            expires_at: NOW,
            perhaps: false,
            connection: None,
            tls: None,
        };
        let error =
            answer(&args, NOW, Entropy::new(&[1, 2, 3, 4, 5, 6, 7, 8], ENTROPY).unwrap()).unwrap_err();
        assert_eq!(error.field(), "attempts");
    }

    proptest! {
        #[test]
        fn the_jitter_is_a_fifth(attempts in 1_u32..20, random in any::<u64>()) {
            let wait = WAITS_MS.get(attempts as usize - 1).copied().unwrap_or(HOUR_MS);
            let at = next_attempt(attempts, NOW + 999 * HOUR_MS, NOW, random).unwrap();
            prop_assert!((NOW + wait * 8 / 10..=NOW + wait * 12 / 10).contains(&at));
        }

        #[test]
        fn no_attempt_outlives_the_link(attempts in any::<u32>(), expires_at in any::<i64>(), now in any::<i64>(), random in any::<u64>()) {
            if let Some(at) = next_attempt(attempts, expires_at, now, random) {
                prop_assert!(at > now && at < expires_at);
            }
        }
    }
}
