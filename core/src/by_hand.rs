//! What an admin may do to one mail: cancel it, or have it sent again (S25).

use serde::{Deserialize, Serialize};

use crate::AppError;
use crate::app_error::ours;
use crate::attend::in_words;
use crate::relay::Class;
use crate::standing::{HeldBy, Mail, State};

/// What is asked, and how the mail stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    wish: Wish,
    /// `None`: there is no such mail.
    mail: Option<Mail>,
    class: Class,
    /// Why a new link and mail could not be made for the account, when that was tried: `prepare`'s reason.
    not_composed: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Cancel,
    Resend,
}

/// What to do.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Answer {
    /// Take it out of the queue with that reason, and its link with it.
    Cancel { reason: &'static str },
    /// Queue it as it is, with a lifetime of its own from now on.
    Send { expires_at: i64 },
    /// Make a new link and mail for the account; this one, if it waits, is cancelled as replaced.
    ComposeAnew,
    /// Nothing, and that is why.
    Refuse { app_error: AppError },
}

/// The operation `by_hand`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let Some(mail) = &args.mail else { return Answer::Refuse { app_error: crate::app_error::not_found() } };
    match args.wish {
        Wish::Cancel if mail.may_be_ended(now) && mail.has_body => {
            Answer::Cancel { reason: "Cancelled by an administrator." }
        }
        Wish::Cancel => refuse(
            "not_waiting",
            "Only a mail that waits can be cancelled. This one is being sent at this moment, or has come to its end.",
        ),
        Wish::Resend => resend(args, mail, now),
    }
}

fn resend(args: &Args, mail: &Mail, now: i64) -> Answer {
    if let Some(why) = &args.not_composed {
        return refuse(
            "not_again",
            &format!("No new mail could be made for the account: {}.", in_words(why)),
        );
    }
    match mail.state {
        State::Held if mail.held_by == Some(HeldBy::SiteUrl) => {
            return Answer::Refuse { app_error: crate::app_error::held() };
        }
        State::Queued => return refuse("on_its_way", "This mail is on its way already."),
        State::Sending if !mail.lease_lapsed(now) => {
            return refuse("on_its_way", "This mail is being sent at this moment.");
        }
        _ => {}
    }
    if mail.can_be_composed_anew() {
        return Answer::ComposeAnew; // an account's mail is sent again with a new link, never with the old one
    }
    if mail.link.is_some() {
        return refuse(
            "not_again",
            "A link that verifies a new address is made only by whoever changes the address. Ask for the change to be \
             made again.",
        );
    }
    if mail.kind == "test" {
        return refuse("not_again", "A test mail is sent by the test alone. Make the test again.");
    }
    if !mail.has_body {
        return Answer::Refuse { app_error: crate::app_error::no_body() };
    }
    Answer::Send { expires_at: now.saturating_add(args.class.lifetime_ms()) }
}

fn refuse(id: &str, message: &str) -> Answer {
    Answer::Refuse { app_error: ours(409, id, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Link;

    const NOW: i64 = 1_764_000_000_000;

    fn mail(kind: &str, state: State, held_by: Option<HeldBy>, has_body: bool) -> Mail {
        Mail {
            kind: kind.into(),
            state,
            held_by,
            has_body,
            next_attempt_at: matches!(state, State::Deferred | State::PerhapsDelivered).then_some(NOW + 9),
            lease_until: (state == State::Sending).then_some(NOW + 9),
            expires_at: NOW - 1,
            key_id: "k".into(),
            key_missing_since: None,
            compose_anew: false,
            perhaps: false,
            link: ["reset", "verify", "email_change_verify"]
                .contains(&kind)
                .then_some(Link { expires_at: None }),
        }
    }

    fn check(wish: Wish, mail: Mail, expected: &str) {
        let what = format!("{wish:?} {mail:?}");
        let args = Args { wish, mail: Some(mail), class: Class::Notification, not_composed: None };
        let said = match answer(&args, NOW) {
            Answer::Cancel { .. } => "cancel".to_owned(),
            Answer::Send { expires_at } => {
                assert_eq!(expires_at, NOW + 24 * 3_600_000);
                "send".to_owned()
            }
            Answer::ComposeAnew => "compose".to_owned(),
            Answer::Refuse { app_error } => app_error.id.split('.').nth(2).unwrap_or_default().to_owned(),
        };
        assert_eq!(said, expected, "{what}");
    }

    #[test]
    fn cancel() {
        use State::{Cancelled, Deferred, Failed, Held, PerhapsDelivered, Queued, Sending, Sent};
        let site = Some(HeldBy::SiteUrl);
        for kind in ["reset", "notification"] {
            for state in [Queued, Deferred, PerhapsDelivered] {
                check(Wish::Cancel, mail(kind, state, None, true), "cancel");
            }
            check(Wish::Cancel, mail(kind, Held, site, true), "cancel");
            check(Wish::Cancel, mail(kind, Held, Some(HeldBy::Capture), true), "not_waiting");
            for state in [Sending, Sent, Failed, Cancelled] {
                check(Wish::Cancel, mail(kind, state, None, true), "not_waiting");
            }
        }
    }

    #[test]
    fn resend() {
        use State::{Cancelled, Deferred, Failed, Held, PerhapsDelivered, Queued, Sending, Sent};
        for state in [Sent, Failed, Cancelled, Deferred, PerhapsDelivered] {
            for has_body in [false, true] {
                check(Wish::Resend, mail("reset", state, None, has_body), "compose");
                check(Wish::Resend, mail("verify", state, None, has_body), "compose");
                check(Wish::Resend, mail("email_change_verify", state, None, has_body), "not_again");
                check(Wish::Resend, mail("test", state, None, has_body), "not_again");
                let expected = if has_body { "send" } else { "mail_body" };
                check(Wish::Resend, mail("notification", state, None, has_body), expected);
            }
        }
        for kind in ["reset", "notification"] {
            check(Wish::Resend, mail(kind, Queued, None, true), "on_its_way");
            check(Wish::Resend, mail(kind, Sending, None, true), "on_its_way");
            check(Wish::Resend, mail(kind, Held, Some(HeldBy::SiteUrl), true), "held");
        }
        check(Wish::Resend, mail("invitation", Held, Some(HeldBy::Capture), true), "send");
        check(Wish::Resend, mail("reset", Held, Some(HeldBy::Capture), true), "compose");
    }

    #[test]
    fn whoever_gets_no_mail_is_told_of() {
        let mail = Some(mail("reset", State::Sent, None, false));
        let args = Args { wish: Wish::Resend, mail, class: Class::Account, not_composed: Some("sso".into()) };
        let Answer::Refuse { app_error } = answer(&args, NOW) else { panic!("not refused") };
        assert!(app_error.message.contains("logs in elsewhere"), "{}", app_error.message);
    }
}
