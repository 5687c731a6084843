//! What the system admins are told of: when an incident is told, when it is over, and in what words.
//!
//! An incident is told once when it opens and once when it is over. What opens and closes within moments is one
//! incident or none: it must last a while before it is told, and stay closed for a while before it is over. One that
//! comes again and again must last the longer each time.

use serde::{Deserialize, Serialize};

use crate::Error;

mod watch;
mod words;

pub(crate) use watch::watch;
pub(crate) use words::{span, written};

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// How long an incident must have been closed to be over.
const CALM_MS: i64 = 30 * SECOND_MS;
/// How long one must last that was told within the last hour, for each time it was, and at most.
const AGAIN_MS: i64 = 5 * MINUTE_MS;
const AGAIN_MOST_MS: i64 = 30 * MINUTE_MS;
/// When a certificate that is still the same is told of again, before its end.
const LAST_CALL_MS: i64 = 3 * DAY_MS;

/// What can be the matter. Its key is the connection's name; of account mail there is one, "outbox".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    ConnectionPaused,
    FailedOver,
    AccountMailWaits,
    CertificateExpires,
    OauthRefused,
}

impl Kind {
    /// What mends itself sooner than that is told to nobody.
    fn patience_ms(self) -> i64 {
        match self {
            Self::FailedOver => 30 * SECOND_MS,
            // These are certain when they open.
            Self::ConnectionPaused
            | Self::AccountMailWaits
            | Self::CertificateExpires
            | Self::OauthRefused => 0,
        }
    }
}

/// An incident as its row has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    kind: Kind,
    key: String,
    facts: Facts,
    opened_at: i64,
    /// `None` while it is open.
    closed_at: Option<i64>,
    /// How often its opening was told.
    told: u32,
    /// How many of its kind and key were told and over within the last hour.
    recent: u32,
}

/// What is known of it; each may be missing. Numbers are strings of digits.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Facts {
    /// `host:port`.
    server: String,
    /// The peer's words, or what failed.
    reason: String,
    /// The connection that mail goes over instead.
    to: String,
    /// Milliseconds since the epoch: since when the oldest account mail waits.
    oldest: String,
    /// How many account mails wait.
    waiting: String,
    /// Milliseconds since the epoch: when the certificate ends.
    not_after: String,
    subject: String,
    issuer: String,
}

/// What to do about it now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    tell: bool,
    phase: Phase,
    title: String,
    text: String,
    /// When to ask again if nothing happens before; `None`: not until something does.
    wait_until: Option<i64>,
    /// It is over.
    done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Open,
    Over,
}

/// The operation `alert`.
pub(crate) fn alert(args: &Args, now: i64) -> Result<Answer, Error> {
    match args.closed_at {
        None => opened(args, now),
        Some(closed) => over(args, closed, now),
    }
}

fn opened(args: &Args, now: i64) -> Result<Answer, Error> {
    let due = match args.told {
        0 => Some(args.opened_at.saturating_add(patience(args))),
        1 => last_call(args),
        _ => None,
    };
    let tell = due.is_some_and(|due| due <= now);
    let wait_until = if tell && args.told == 0 { last_call(args) } else { due };
    let (title, text) = if tell { words::opened(args, now)? } else { (String::new(), String::new()) };
    Ok(Answer {
        tell,
        phase: Phase::Open,
        title,
        text,
        wait_until: wait_until.filter(|at| *at > now),
        done: false,
    })
}

fn patience(args: &Args) -> i64 {
    let again = AGAIN_MS.saturating_mul(i64::from(args.recent)).min(AGAIN_MOST_MS);
    args.kind.patience_ms().max(again)
}

/// A certificate is told of twice. One that is told of for the first time in its last days is not.
fn last_call(args: &Args) -> Option<i64> {
    let not_after = args.facts.not_after.parse::<i64>().ok()?;
    let at = not_after.saturating_sub(LAST_CALL_MS);
    (args.kind == Kind::CertificateExpires && at > args.opened_at).then_some(at)
}

fn over(args: &Args, closed: i64, now: i64) -> Result<Answer, Error> {
    let due = closed.saturating_add(CALM_MS);
    let done = due <= now;
    let tell = done && args.told > 0;
    let (title, text) = if tell { words::over(args, closed)? } else { (String::new(), String::new()) };
    Ok(Answer { tell, phase: Phase::Over, title, text, wait_until: (!done).then_some(due), done })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_764_000_000_000;

    fn incident(kind: Kind) -> Args {
        Args {
            kind,
            key: "primary".into(),
            facts: Facts { not_after: (NOW + 10 * DAY_MS).to_string(), ..Facts::default() },
            opened_at: NOW,
            closed_at: None,
            told: 0,
            recent: 0,
        }
    }

    /// What is told and until when it waits, at so long after the opening.
    fn check(args: &Args, after: i64, expected: (bool, Option<i64>, bool)) {
        let answer = alert(args, NOW + after).unwrap();
        let got = (answer.tell, answer.wait_until.map(|at| at - NOW), answer.done);
        assert_eq!(got, expected, "{:?} told {} after {after}", args.kind, args.told);
        assert_eq!(answer.tell, !answer.text.is_empty());
    }

    #[test]
    fn told_once_when_it_opens() {
        let paused = incident(Kind::ConnectionPaused);
        check(&paused, 0, (true, None, false));
        check(&Args { told: 1, ..paused }, DAY_MS, (false, None, false));
        let failed = incident(Kind::FailedOver);
        check(&failed, 0, (false, Some(30_000), false));
        check(&failed, 29_999, (false, Some(30_000), false));
        check(&failed, 30_000, (true, None, false));
    }

    #[test]
    fn told_once_when_it_is_over() {
        let closed = |told| Args { closed_at: Some(NOW + 5_000), told, ..incident(Kind::OauthRefused) };
        check(&closed(1), 5_000, (false, Some(35_000), false));
        check(&closed(1), 35_000, (true, None, true));
        check(&closed(0), 34_999, (false, Some(35_000), false));
        check(&closed(0), 35_000, (false, None, true)); // nobody was told that it opened
    }

    #[test]
    fn what_comes_again_and_again_must_last_longer() {
        for (recent, patience) in [(1, 5), (2, 10), (6, 30), (1_000_000, 30)] {
            let again = Args { recent, ..incident(Kind::ConnectionPaused) };
            check(&again, patience * MINUTE_MS - 1, (false, Some(patience * MINUTE_MS), false));
            check(&again, patience * MINUTE_MS, (true, None, false));
        }
    }

    #[test]
    fn a_certificate_is_told_of_again_in_its_last_days() {
        let expires = incident(Kind::CertificateExpires);
        check(&expires, 0, (true, Some(7 * DAY_MS), false));
        check(&Args { told: 1, ..expires }, 6 * DAY_MS, (false, Some(7 * DAY_MS), false));
        check(&Args { told: 1, ..incident(Kind::CertificateExpires) }, 7 * DAY_MS, (true, None, false));
        check(&Args { told: 2, ..incident(Kind::CertificateExpires) }, 8 * DAY_MS, (false, None, false));
        // First seen two days before its end: once is enough.
        let mut late = incident(Kind::CertificateExpires);
        late.facts.not_after = (NOW + 2 * DAY_MS).to_string();
        check(&late, 0, (true, None, false));
        check(&Args { told: 1, ..late }, DAY_MS, (false, None, false));
    }
}
