//! The pages behind a link. They need no JavaScript and no other resource (S17). And the console's empty frame, which
//! the web app fills.
//!
//! What this module does *not* do: decide whether a link is good. It shows what it is told.

mod headers;
mod render;

pub use render::render;

use crate::Purpose;

/// What a page shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View<'a> {
    /// The form for a new password. 200, or the notice's status.
    ResetForm {
        /// The link's token, sent on in the form; secret.
        token: &'a str,
        /// The account's name to log in with; empty where it is not known, and then not mentioned.
        username: &'a str,
        /// What was wrong with the last try.
        notice: Option<Notice<'a>>,
    },
    /// The form that confirms an address by one press. 200, or the notice's status.
    VerifyForm {
        /// The link's token, sent on in the form; secret.
        token: &'a str,
        /// The address, in full: whoever sees it holds the link sent to it.
        address: &'a str,
        /// What was wrong with the last try.
        notice: Option<Notice<'a>>,
    },
    /// The password was changed. 200.
    ResetDone,
    /// The address is verified. 200.
    VerifyDone {
        /// A relative path of the same origin for the login page to go on to (S20); anything else is left out.
        redirect: Option<&'a str>,
    },
    /// The link cannot be used, said before anybody types (S19). 404 where unknown, else 410.
    Unusable {
        /// What the link was for.
        purpose: Purpose,
        /// Why not.
        why: Why,
    },
    /// Mattermost was asked, and its answer never came. 504.
    OutcomeUnknown {
        /// What the link was for.
        purpose: Purpose,
    },
    /// Too many tries (S14). 429, with Retry-After.
    TooMany,
    /// Something this page needs is down. 503, with Retry-After.
    Unavailable,
    /// No such page. 404.
    NotFound,
    /// The console, which its own script fills: the only page that has one. 200.
    Console,
    /// The console, opened by somebody who is no system admin. 403.
    NotAdmin,
    /// The console, opened by nobody in particular. 401.
    LogIn,
}

/// What was wrong with a form's last try; shown above it with `role="alert"`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notice<'a> {
    /// The password and its repetition differ. 422.
    PasswordsDiffer,
    /// No password came. 422.
    PasswordMissing,
    /// Mattermost refused the password, in its own words. 422.
    Refused(&'a str),
    /// It could not be done just now; the link stays good. 503, with Retry-After.
    Again,
}

/// Why a link cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// No such link, or already used, or replaced by a newer one.
    Unknown,
    /// Its time is over.
    Expired,
    /// The account has changed since it was sent.
    Dead,
}
