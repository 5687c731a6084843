//! What is to be done about a mail that its job did not get to send.

use serde::{Deserialize, Serialize};

use crate::standing::{Mail, State};

const SECOND_MS: i64 = 1_000;
/// Until a mail that moved while it was looked at is looked at again.
const MOVED_MS: i64 = SECOND_MS;
/// Until a mail whose key this node lacks is looked at again: another may have it (R27). The longer it has been missed
/// the longer, in these bounds.
const KEY_RETRY_MS: (i64, i64) = (30 * SECOND_MS, 300 * SECOND_MS);
/// Until it is taken for certain that no node has the key.
const KEY_PATIENCE_MS: i64 = 120 * SECOND_MS;

/// How the mail stands, and what this node could do about it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    mail: Option<Mail>,
    /// The key of this node; none where it has none that works.
    key_id: Option<String>,
    /// Whether the settings name a server, or capture.
    connected: bool,
    /// Why the mail could not be composed anew, when that was tried: `prepare`'s reason.
    not_composed: Option<String>,
}

/// What to do.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Nothing: it is done, held, or someone else's.
    Leave,
    /// Take it out of the queue for good, if nobody is sending it.
    End { state: State, reason: String },
    /// Come back to it at that time; `key_missing` is to be noted in its row, and told to the admin.
    LookAgain { at: i64, key_missing: bool },
    /// Make a new link and mail for the account in its place; `reason` goes to this one.
    ComposeAnew { reason: String },
    /// The settings allow nothing: the key or the server has to be mended first.
    Blocked,
}

/// The operation `attend`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let Some(mail) = &args.mail else { return Answer::Leave };
    if !mail.may_be_ended(now) || mail.state == State::Held || !mail.has_body {
        return Answer::Leave;
    }
    let expired = mail.has_expired(now);
    let has_key = args.key_id.as_deref() == Some(mail.key_id.as_str());
    if !mail.link_lives(now) && !expired {
        return end(mail, State::Cancelled, "Its link was replaced or used", " before the mail could leave");
    }
    if expired {
        return if !has_key {
            end(
                mail,
                State::Failed,
                "It was sealed under another AtRestEncryptKey, and no node could open it before it expired",
                "",
            )
        } else if mail.link.is_some() {
            end(mail, State::Cancelled, "Its link expired", " before the mail could leave")
        } else {
            end(mail, State::Failed, "Its lifetime ended", " before it could be sent")
        };
    }
    if args.key_id.is_none() || !args.connected {
        return Answer::Blocked;
    }
    if let (false, Some(at)) = (mail.is_due(now), mail.next_attempt_at) {
        return Answer::LookAgain { at, key_missing: false };
    }
    if let Some(why) = &args.not_composed {
        return end(mail, State::Cancelled, &format!("It could not be composed anew: {}", in_words(why)), "");
    }
    if mail.compose_anew {
        return if mail.can_be_composed_anew() {
            Answer::ComposeAnew { reason: "The SiteURL changed; composed anew under the new one.".to_owned() }
        } else {
            end(
                mail,
                State::Cancelled,
                "Its link is of the former SiteURL, and only whoever asked for it can ask again",
                "",
            )
        };
    }
    if !has_key {
        let missed = mail.key_missing_since.map_or(0, |since| now.saturating_sub(since));
        let (least, most) = KEY_RETRY_MS;
        return if missed >= KEY_PATIENCE_MS && mail.can_be_composed_anew() {
            Answer::ComposeAnew {
                reason: "AtRestEncryptKey changed; composed anew under the new one.".to_owned(),
            }
        } else {
            Answer::LookAgain { at: now.saturating_add((missed / 4).clamp(least, most)), key_missing: true }
        };
    }
    // It could be sent now: it moved between the two looks.
    Answer::LookAgain { at: now.saturating_add(MOVED_MS), key_missing: false }
}

/// A mail that has perhaps arrived is never said to have failed or been cancelled.
fn end(mail: &Mail, state: State, cause: &str, too_early: &str) -> Answer {
    if mail.perhaps_left() {
        let reason = format!("{cause}. Perhaps it had arrived: an attempt broke off without an answer.");
        return Answer::End { state: State::PerhapsDelivered, reason };
    }
    Answer::End { state, reason: format!("{cause}{too_early}.") }
}

/// `prepare`'s reason for a person; one that it never gave stands for itself.
pub(crate) fn in_words(reason: &str) -> &str {
    match reason {
        "no_account" => "the account is gone",
        "remote" => "the account is now of another server",
        "sso" => "the account now logs in elsewhere",
        "magic_link" => "the account now logs in by magic link",
        "deactivated" => "the account is deactivated",
        "already_verified" => "the address is verified",
        "repeat" => "a newer link was asked for",
        "account_limited" => "the account has reached its limit",
        "expired" => "it was asked for too long ago",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::{HeldBy, Link};

    const NOW: i64 = 1_764_000_000_000;

    fn waiting() -> Mail {
        Mail {
            kind: "reset".into(),
            state: State::Queued,
            held_by: None,
            has_body: true,
            next_attempt_at: None,
            lease_until: None,
            expires_at: NOW + 3_600_000,
            key_id: "k".into(),
            key_missing_since: None,
            compose_anew: false,
            perhaps: false,
            link: Some(Link { expires_at: Some(NOW + 3_600_000) }),
        }
    }

    fn ask(mail: Mail, key_id: Option<&str>) -> Answer {
        let key_id = key_id.map(str::to_owned);
        answer(&Args { mail: Some(mail), key_id, connected: true, not_composed: None }, NOW)
    }

    fn check_end(change: impl FnOnce(&mut Mail), key: &str, expected: State, word: &str) {
        let mut mail = waiting();
        change(&mut mail);
        match ask(mail, Some(key)) {
            Answer::End { state, reason } => {
                assert_eq!(state, expected, "{reason}");
                assert!(reason.contains(word), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_ends() {
        use State::{Cancelled, Failed, PerhapsDelivered};
        let gone = |mail: &mut Mail| mail.link = Some(Link { expires_at: None });
        let no_link = |mail: &mut Mail| {
            "notification".clone_into(&mut mail.kind);
            mail.link = None;
        };
        let expired = |mail: &mut Mail| mail.expires_at = NOW;
        check_end(gone, "k", Cancelled, "replaced or used");
        check_end(|m| m.link = Some(Link { expires_at: Some(NOW) }), "k", Cancelled, "replaced or used");
        check_end(expired, "k", Cancelled, "link expired");
        check_end(expired, "other", Failed, "AtRestEncryptKey");
        check_end(
            |m| {
                no_link(m);
                expired(m);
            },
            "k",
            Failed,
            "lifetime ended",
        );
        // What has perhaps arrived stays that.
        check_end(
            |m| {
                gone(m);
                m.state = State::PerhapsDelivered;
                m.next_attempt_at = Some(NOW + 1);
            },
            "k",
            PerhapsDelivered,
            "Perhaps it had arrived",
        );
        check_end(
            |m| {
                gone(m);
                m.state = State::Sending;
                m.lease_until = Some(NOW);
            },
            "k",
            PerhapsDelivered,
            "Perhaps it had arrived",
        );
        check_end(
            |m| {
                gone(m);
                m.perhaps = true;
            },
            "k",
            PerhapsDelivered,
            "Perhaps it had arrived",
        );
        check_end(
            |m| {
                m.compose_anew = true;
                "email_change_verify".clone_into(&mut m.kind);
            },
            "k",
            Cancelled,
            "former SiteURL",
        );
    }

    #[test]
    fn what_is_left_alone() {
        let check = |change: fn(&mut Mail)| {
            let mut mail = waiting();
            change(&mut mail);
            // Whatever else is true of it.
            mail.expires_at = NOW - 1;
            assert_eq!(ask(mail.clone(), Some("k")), Answer::Leave, "{mail:?}");
            assert!(!mail.may_be_taken("k", NOW));
        };
        check(|m| m.state = State::Sent);
        check(|m| m.state = State::Failed);
        check(|m| m.state = State::Cancelled);
        check(|m| m.state = State::PerhapsDelivered);
        check(|m| (m.state, m.held_by) = (State::Held, Some(HeldBy::Capture)));
        check(|m| (m.state, m.held_by) = (State::Held, Some(HeldBy::SiteUrl)));
        check(|m| (m.state, m.lease_until) = (State::Sending, Some(NOW + 1)));
        check(|m| m.has_body = false);
        assert_eq!(
            answer(&Args { mail: None, key_id: None, connected: true, not_composed: None }, NOW),
            Answer::Leave
        );
    }

    #[test]
    fn what_is_looked_at_again() {
        let check = |change: fn(&mut Mail), key: &str, at: i64, key_missing: bool| {
            let mut mail = waiting();
            change(&mut mail);
            assert_eq!(ask(mail, Some(key)), Answer::LookAgain { at: NOW + at, key_missing });
        };
        check(|_| (), "k", 1_000, false);
        check(
            |m| {
                m.state = State::Deferred;
                m.next_attempt_at = Some(NOW + 5_000);
            },
            "k",
            5_000,
            false,
        );
        check(|_| (), "other", 30_000, true);
        check(|m| m.key_missing_since = Some(NOW - 119_999), "other", 30_000, true);
        check(
            |m| {
                m.key_missing_since = Some(NOW - 800_000);
                m.link = None;
            },
            "other",
            200_000,
            true,
        );
        check(
            |m| {
                m.key_missing_since = Some(NOW - 80_000_000);
                m.link = None;
            },
            "other",
            300_000,
            true,
        );
        // Only what comes from an account alone can be made anew.
        check(
            |m| {
                m.key_missing_since = Some(NOW - 120_000);
                m.link = None;
            },
            "other",
            30_000,
            true,
        );
    }

    #[test]
    fn what_is_composed_anew() {
        let check = |change: fn(&mut Mail), key: &str, word: &str| {
            let mut mail = waiting();
            change(&mut mail);
            let Answer::ComposeAnew { reason } = ask(mail.clone(), Some(key)) else { panic!("{mail:?}") };
            assert!(reason.contains(word), "{reason}");
            let args = Args {
                mail: Some(mail),
                key_id: Some(key.into()),
                connected: true,
                not_composed: Some("deactivated".into()),
            };
            let Answer::End { state: State::Cancelled, reason } = answer(&args, NOW) else { panic!() };
            assert_eq!(reason, "It could not be composed anew: the account is deactivated.");
        };
        check(|m| m.compose_anew = true, "k", "SiteURL");
        check(|m| m.key_missing_since = Some(NOW - 120_000), "other", "AtRestEncryptKey");
    }

    #[test]
    fn settings_that_allow_nothing() {
        let ask = |key: Option<&str>, connected| {
            let args =
                Args { mail: Some(waiting()), key_id: key.map(str::to_owned), connected, not_composed: None };
            answer(&args, NOW)
        };
        assert_eq!(ask(None, true), Answer::Blocked);
        assert_eq!(ask(Some("k"), false), Answer::Blocked);
    }
}
