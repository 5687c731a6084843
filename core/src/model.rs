//! The shapes that cross the boundary, as `wasm/README.md` gives them ("Shared shapes").
//!
//! Times are milliseconds since the Unix epoch, UTC. Unknown members are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

const MINUTE_MS: i64 = 60_000;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Setting a new password.
    Reset,
    /// Verifying an address.
    Verify,
}

/// What a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The mail with a link to set a new password.
    Reset,
    /// The mail with a link to verify an address.
    Verify,
    /// The mail that tests a connection.
    Test,
    /// The mail that tells admins of a relay whose plugin is gone.
    Orphaned,
}

impl From<Purpose> for Kind {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Reset => Self::Reset,
            Purpose::Verify => Self::Verify,
        }
    }
}

impl Purpose {
    /// As it is written in rows and requests; a mail that carries such a link is mostly of the kind of that name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verify => "verify",
        }
    }
}

impl Kind {
    /// Whether it carries an account's link, and with it a lifetime.
    #[must_use]
    pub fn is_account_mail(self) -> bool {
        matches!(self, Self::Reset | Self::Verify)
    }
}

/// What is true of the whole Mattermost server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Mattermost's SiteURL: absolute, http or https, may have a path.
    pub url: String,
    /// The site's name, as people know it.
    pub name: String,
    /// The locale of those whose own is not known.
    pub default_locale: String,
    /// Where to ask for help; may be empty.
    pub support_email: String,
    /// Header and envelope sender; empty means `noreply@` the host of `url`.
    pub from_address: String,
    /// Display name of the sender; may be empty.
    pub from_name: String,
    /// Reply-To; may be empty.
    pub reply_to: String,
    /// How long a link of [`Purpose::Reset`] lives.
    pub reset_lifetime_ms: i64,
    /// How long a link of [`Purpose::Verify`] lives.
    pub verify_lifetime_ms: i64,
}

impl Site {
    /// A site for examples, tests and benchmarks.
    #[must_use]
    pub fn example() -> Self {
        Self {
            url: "https://chat.example.com".into(),
            name: "Acme Chat".into(),
            default_locale: "en".into(),
            support_email: "help@example.com".into(),
            from_address: "noreply@example.com".into(),
            from_name: "Acme Chat".into(),
            reply_to: String::new(),
            reset_lifetime_ms: 3_600_000,
            verify_lifetime_ms: 86_400_000,
        }
    }

    /// How long a link for `purpose` lives, in milliseconds.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless it is between one minute and thirty days.
    pub fn lifetime_ms(&self, purpose: Purpose) -> Result<i64, Error> {
        let (field, lifetime_ms) = match purpose {
            Purpose::Reset => ("site.reset_lifetime_ms", self.reset_lifetime_ms),
            Purpose::Verify => ("site.verify_lifetime_ms", self.verify_lifetime_ms),
        };
        if (MINUTE_MS..=30 * 24 * 60 * MINUTE_MS).contains(&lifetime_ms) {
            Ok(lifetime_ms)
        } else {
            Err(Error::argument(field, "set a lifetime between one minute and thirty days"))
        }
    }
}

/// Facts of one row of Mattermost's `users`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Mattermost's id.
    pub id: String,
    /// The stored address: the only one that mail goes to (S28).
    pub email: String,
    /// Name to log in with.
    pub username: String,
    /// The account's locale; may be unknown to us or empty.
    pub locale: String,
    /// Empty or `email` for accounts with a password of Mattermost's own.
    pub auth_service: String,
    /// Whether an identity provider vouches for it.
    pub has_auth_data: bool,
    /// Belongs to another, connected server.
    pub remote: bool,
    /// A guest.
    pub guest: bool,
    /// Deactivated.
    pub deleted: bool,
    /// The address is verified.
    pub email_verified: bool,
    /// `users.lastpasswordupdate`: changes whenever the password does.
    pub password_stamp: i64,
}

/// One row of `postroom.tokens`: what a link was bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRow {
    /// What the link is for.
    pub purpose: Purpose,
    /// The account it was made for.
    pub account_id: String,
    /// The address it was sent to.
    pub address: String,
    /// The account's address at that time, where the link verifies another one in its place.
    pub replaces: Option<String>,
    /// The account's password stamp at that time.
    pub password_stamp: i64,
    /// When it stops working.
    pub expires_at: i64,
    /// Where the login page goes on to; a relative path.
    pub redirect: Option<String>,
}

/// Transport security towards an upstream server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Plain text.
    None,
    /// STARTTLS, required (RFC 3207).
    Starttls,
    /// TLS from the first octet (RFC 8314).
    Tls,
}

/// A way to log in to an SMTP server (SASL), as the host knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login).
    Login,
    /// CRAM-MD5 (RFC 2195).
    CramMd5,
    /// SCRAM-SHA-256 (RFC 7677).
    #[serde(rename = "scram_sha_256")]
    ScramSha256,
    /// XOAUTH2 (Google, Microsoft).
    Xoauth2,
}

/// The lowest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V13,
}

/// Where an access token for XOAUTH2 comes from (RFC 6749): by the refresh token where there is one (section 6), else by
/// client credentials (section 4.4). `client_secret` and `refresh_token` are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth {
    /// The token endpoint, https.
    pub token_url: String,
    /// Client id.
    pub client_id: String,
    /// Client secret. Secret.
    pub client_secret: String,
    /// Refresh token, empty for client credentials. Secret.
    pub refresh_token: String,
    /// Scopes, separated by spaces.
    pub scope: String,
}

/// How to reach an upstream SMTP server. `password` and what is secret in `oauth` are secrets.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// `mattermost`, `primary`, `fallback`; what the log, the metrics and an admin know it by.
    pub name: String,
    /// Host name or address.
    pub server: String,
    /// TCP port.
    pub port: u16,
    /// Transport security.
    pub security: Security,
    /// Whether the certificate must be good.
    pub verify_certificate: bool,
    /// The lowest version of TLS.
    pub min_tls: TlsVersion,
    /// Certificates to trust besides the machine's, as PEM; empty for none.
    pub ca: String,
    /// SHA-256 of the server's public key (its SubjectPublicKeyInfo), 64 lower-case hex digits; empty for any.
    pub pin: String,
    /// What EHLO says; empty for the host's own name.
    pub ehlo_name: String,
    /// Goes into MAIL FROM in place of the mail's own; empty for that one.
    pub envelope_sender: String,
    /// Ways to log in, the preferred one first; none: no AUTH.
    pub auth: Vec<Mechanism>,
    /// User name for AUTH.
    pub username: String,
    /// Password for AUTH. Secret.
    pub password: String,
    /// For XOAUTH2.
    pub oauth: Option<OAuth>,
    /// Connect deadline.
    pub timeout_ms: i64,
}

/// Where in an SMTP conversation something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looking the server's name up.
    Dns,
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's 220.
    Greeting,
    /// EHLO.
    Ehlo,
    /// STARTTLS.
    Starttls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    MailFrom,
    /// RCPT TO.
    RcptTo,
    /// DATA, up to its 354.
    Data,
    /// The message itself.
    Body,
    /// The final dot, and the reply that takes the mail over.
    FinalDot,
}

/// How a step failed without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The step's deadline passed.
    Timeout,
    /// Connection refused.
    Refused,
    /// No route to the host or network.
    Unreachable,
    /// Connection reset.
    Reset,
    /// Connection closed.
    Closed,
    /// The name was not resolved.
    Dns,
    /// The certificate is not good.
    Certificate,
    /// Another TLS failure.
    Tls,
    /// The server does not offer what is required (STARTTLS, AUTH, a mechanism, SMTPUTF8).
    NotOffered,
    /// Not SMTP.
    Protocol,
    /// The identity provider refused an access token (invalid_grant, invalid_client, …); its words are in `detail`.
    OauthRefused,
    /// The identity provider gave no answer, or one that is none.
    OauthUnreachable,
    /// Anything else.
    Other,
}

/// A peer's reply (RFC 5321 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// The text after the code, lines joined; as the peer wrote it.
    pub text: String,
}

/// The facts of an SMTP conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The last step reached.
    pub step: Step,
    /// The peer's last reply to that step.
    pub reply: Option<Reply>,
    /// How the step failed; `None` when the peer replied.
    pub failure: Option<Failure>,
    /// The operating system's or library's words.
    pub detail: String,
}

/// Mattermost's error body, less the request id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppError {
    /// HTTP status.
    pub status: u16,
    /// Mattermost's id of the error.
    pub id: String,
    /// For a person.
    pub message: String,
    /// More for an admin; usually empty.
    pub detailed_error: String,
}

/// A complete HTTP answer with an HTML body, to be sent as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// HTTP status.
    pub status: u16,
    /// Every header to set.
    pub headers: BTreeMap<String, String>,
    /// The document.
    pub html: String,
}
