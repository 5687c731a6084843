//! The kinds of mail that Mattermost sends, and which comes first.

use serde::{Deserialize, Serialize};

use super::link;
use super::pattern;

/// What a mail is. Only [`Kind::Reset`], [`Kind::Verify`] and [`Kind::EmailChangeVerify`] mean that we took its
/// token; the others are for lists and queues, and nothing hangs on them that a forged subject could harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Reset,
    Verify,
    EmailChangeVerify,
    Welcome,
    EmailChange,
    PasswordChange,
    UsernameChange,
    MfaChange,
    SigninChange,
    UserAccessToken,
    Deactivate,
    GuestMagicLink,
    Invitation,
    Notification,
    License,
    IpFilters,
    Other,
}

/// Which queue it waits in (R11), in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Account,
    Invitation,
    Notification,
}

const HOUR_MS: i64 = 3_600_000;

impl Class {
    /// How long a mail without a link of ours is tried.
    pub(crate) fn lifetime_ms(self) -> i64 {
        match self {
            Self::Invitation => 48 * HOUR_MS,
            Self::Account | Self::Notification => 24 * HOUR_MS,
        }
    }
}

impl Kind {
    pub(super) fn class(self) -> Class {
        match self {
            Self::Invitation => Class::Invitation,
            Self::Notification | Self::License | Self::IpFilters | Self::Other => Class::Notification,
            _ => Class::Account,
        }
    }

    /// The kind of a subject's name: the middle of `api.templates.…_subject`, as the server's translations spell it.
    fn of_subject(name: &str) -> Option<Self> {
        Some(match name {
            "reset" => Self::Reset,
            "verify" => Self::Verify,
            "email_change_verify" => Self::EmailChangeVerify,
            "welcome" | "cloud_welcome_email" => Self::Welcome,
            "email_change" => Self::EmailChange,
            "password_change" => Self::PasswordChange,
            "username_change" => Self::UsernameChange,
            "mfa_change" => Self::MfaChange,
            "signin_change" | "signin_change_email" => Self::SigninChange,
            "user_access_token" => Self::UserAccessToken,
            "deactivate" => Self::Deactivate,
            "guest_magic_link" => Self::GuestMagicLink,
            "license_up_for_renewal" | "remove_expired_license" => Self::License,
            "ip_filters_changed" => Self::IpFilters,
            name if name.starts_with("invite") => Self::Invitation,
            name if name.starts_with("notification") => Self::Notification,
            _ => return None,
        })
    }
}

/// The kinds whose pattern a subject fits, the one that says most first.
pub(super) fn of_subject<'a>(
    subject: &str,
    patterns: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<Kind> {
    let fitting = patterns.into_iter().filter(|(_, pattern)| pattern::fits(subject, pattern));
    let mut fitting: Vec<(usize, Kind)> = fitting
        .filter_map(|(name, pattern)| Some((pattern::weight(pattern), Kind::of_subject(name)?)))
        .collect();
    fitting.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    fitting.into_iter().map(|(_, kind)| kind).collect()
}

/// What a mail is that is none of an account's: by its subject, which people have less of a hand in than in a body,
/// else by where it leads. A subject of an account mail without the rest of one is *other*.
pub(super) fn of_the_rest(by_subject: &[Kind], texts: &[String], origins: &[String]) -> Kind {
    if let Some(kind) = by_subject.first() {
        return match kind {
            Kind::Reset | Kind::Verify | Kind::EmailChangeVerify => Kind::Other,
            kind => *kind,
        };
    }
    let any = |leads: &dyn Fn(&str) -> bool| texts.iter().any(|text| leads(text));
    if any(&|text| link::leads_to_a_post(text, origins)) {
        Kind::Notification
    } else if any(&|text| link::leads_to(text, "/signup_user_complete/?", origins)) {
        Kind::Invitation
    } else if any(&|text| link::leads_to(text, "/landing#/login/one_time_link?", origins)) {
        Kind::GuestMagicLink
    } else {
        Kind::Other
    }
}
