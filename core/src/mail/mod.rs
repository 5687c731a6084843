//! The mails: *password reset*, *address verification*, *test* and *orphaned*, from their facts to octets for SMTP.
//!
//! What this module does *not* do: choose a recipient, mint a token, sign, or send. It takes the link it is given,
//! and refuses one that does not start at the configured SiteURL (S15).
//!
//! A mail is `multipart/alternative`, text first (D11), from `core/templates/<kind>/` and
//! `core/locales/<lang>/mail.ftl`. Date, Message-ID and MIME boundary come from the request's time and entropy, so
//! the same request composes the same octets, on the server and in a browser.

pub mod address;
pub mod base;
pub mod locale;

mod compose;
mod mime;
pub(crate) mod moment;
pub(crate) mod palette;
pub(crate) mod template;
pub(crate) mod text;
mod transfer;

pub use address::mask;
pub use base::Base;
pub use compose::compose;
pub(crate) use compose::site_name;
pub(crate) use moment::{Calendar, Moment};

use crate::Kind;

/// What is to be said. `link` is secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Letter<'a> {
    /// The mail with a link to set a new password.
    Reset {
        /// Absolute URL that starts at the site's; secret.
        link: &'a str,
        /// How long the link works, in milliseconds from now.
        lifetime_ms: i64,
        /// The account's name to log in with.
        username: &'a str,
    },
    /// The mail with a link to verify an address.
    Verify {
        /// Absolute URL that starts at the site's; secret.
        link: &'a str,
        /// How long the link works, in milliseconds from now.
        lifetime_ms: i64,
        /// The account's name to log in with.
        username: &'a str,
    },
    /// The mail that tests a connection.
    Test,
    /// The mail that tells an admin that Mattermost runs the plugin no more, though its mail still comes to the relay.
    Orphaned {
        /// Since when, in milliseconds since the Unix epoch.
        since_ms: i64,
        /// What takes Mattermost's mail back to where it went before; `None` where that is not known.
        way_back: Option<WayBack<'a>>,
    },
}

/// A command for a shell that points Mattermost's mail at its former server. It holds no password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WayBack<'a> {
    /// One line, complete but for the password.
    pub command: &'a str,
    /// Whose password is to stand in it, and at which server; `None` where none is needed.
    pub password_of: Option<(&'a str, &'a str)>,
}

impl Letter<'_> {
    /// Which of the catalogue's kinds this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Reset { .. } => Kind::Reset,
            Self::Verify { .. } => Kind::Verify,
            Self::Test => Kind::Test,
            Self::Orphaned { .. } => Kind::Orphaned,
        }
    }
}

/// A mail ready for SMTP. `message` holds the link: secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Composed {
    /// RFC 5322 octets, CRLF line ends, no dot-stuffing. Secret.
    pub message: Vec<u8>,
    /// For MAIL FROM (RFC 5321 section 4.1.1.2), without angle brackets; the domain in A-labels.
    pub envelope_from: String,
    /// For RCPT TO. Its local part may be non-ASCII and then needs SMTPUTF8 (RFC 6531); the domain is in A-labels.
    pub envelope_to: String,
    /// With angle brackets, as in the header (RFC 5322 section 3.6.4); the same at every attempt.
    pub message_id: String,
    /// `a***@example.com`, for logs and lists.
    pub masked_to: String,
    /// The locale it was written in; one of [`locale::ALL`].
    pub locale: String,
}

/// A text with LF line ends as a part's body, and its Content-Transfer-Encoding.
pub(crate) fn encode_text(text: &str) -> (Vec<u8>, &'static str) {
    let body = transfer::encode(text);
    let encoding = match body.encoding() {
        lettre::message::header::ContentTransferEncoding::Base64 => "base64",
        _ => "quoted-printable",
    };
    (body.into_vec(), encoding)
}
