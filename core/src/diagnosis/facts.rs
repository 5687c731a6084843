//! What the courier saw of a conversation, as `wasm/README.md` gives it (Facts). No secret is among it.

use serde::{Deserialize, Deserializer};

use crate::{Failure, Mechanism, Outcome, Reply, Security, Step};

/// A connection as it may be shown: [`crate::Connection`] less what is secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    #[serde(rename = "name")]
    pub(crate) _name: String,
    pub(crate) server: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) verify_certificate: bool,
    #[serde(default)]
    pub(crate) pinned: bool,
    /// `1.2` or `1.3`; empty where it is not told.
    #[serde(default)]
    pub(crate) min_tls: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) auth: Vec<Mechanism>,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password_set: bool,
    #[serde(default)]
    pub(crate) oauth_set: bool,
}

/// The facts of one conversation, in the order in which it happened.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Facts {
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) events: Vec<Event>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) addresses: Vec<String>,
    #[serde(default)]
    pub(crate) tls: Option<TlsFacts>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) extensions: Vec<String>,
    #[serde(default)]
    pub(crate) mechanism: String,
    #[serde(default)]
    pub(crate) finished: bool,
    #[serde(default)]
    pub(crate) cancelled: bool,
}

/// A step that ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    pub(crate) step: EventStep,
    #[serde(default)]
    pub(crate) ms: i64,
    #[serde(default)]
    pub(crate) reply: Option<Reply>,
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
    #[serde(default)]
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) address: String,
}

/// A [`Step`], or the access token that AUTH needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventStep {
    Dns,
    Connect,
    Tls,
    Greeting,
    Ehlo,
    Starttls,
    Oauth,
    Auth,
    MailFrom,
    RcptTo,
    Data,
    Body,
    FinalDot,
}

impl EventStep {
    /// As an outcome names it.
    pub(crate) fn step(self) -> Step {
        match self {
            Self::Dns => Step::Dns,
            Self::Connect => Step::Connect,
            Self::Tls => Step::Tls,
            Self::Greeting => Step::Greeting,
            Self::Ehlo => Step::Ehlo,
            Self::Starttls => Step::Starttls,
            Self::Oauth | Self::Auth => Step::Auth,
            Self::MailFrom => Step::MailFrom,
            Self::RcptTo => Step::RcptTo,
            Self::Data => Step::Data,
            Self::Body => Step::Body,
            Self::FinalDot => Step::FinalDot,
        }
    }
}

impl Event {
    /// Whether the conversation can go on after it (RFC 5321 section 4.3.2).
    pub(crate) fn succeeded(&self) -> bool {
        self.failure.is_none()
            && self.reply.as_ref().is_none_or(|reply| match self.step {
                EventStep::Data => reply.code == 354,
                EventStep::FinalDot | EventStep::MailFrom | EventStep::RcptTo => {
                    (200..300).contains(&reply.code)
                }
                EventStep::Greeting | EventStep::Starttls => reply.code == 220,
                EventStep::Ehlo => reply.code == 250,
                EventStep::Auth => reply.code == 235,
                _ => false,
            })
    }

    /// As the end of a conversation.
    pub(crate) fn outcome(&self) -> Outcome {
        Outcome {
            step: self.step.step(),
            reply: self.reply.clone(),
            failure: self.failure,
            detail: self.detail.clone(),
        }
    }
}

/// What a handshake showed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFacts {
    #[serde(default)]
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) verified: bool,
    #[serde(default)]
    pub(crate) problem: Problem,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) chain: Vec<Certificate>,
    #[serde(default)]
    pub(crate) alert: String,
    #[serde(default)]
    pub(crate) not_tls: String,
}

/// Why a chain is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Problem {
    /// It is, or none was shown.
    #[default]
    #[serde(rename = "")]
    None,
    Expired,
    NotYetValid,
    SelfSigned,
    UnknownAuthority,
    Name,
    Pin,
    Constraints,
    Other,
}

/// What an admin may ask of a certificate.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    #[serde(default)]
    pub(crate) subject: String,
    #[serde(default)]
    pub(crate) issuer: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) names: Vec<String>,
    #[serde(default)]
    pub(crate) not_before: i64,
    #[serde(default)]
    pub(crate) not_after: i64,
    #[serde(default, rename = "sha256")]
    pub(crate) _sha256: String,
    #[serde(default)]
    pub(crate) spki_sha256: String,
}

impl Certificate {
    /// The part of a distinguished name that people know an authority or a server by.
    pub(crate) fn common_name(name: &str) -> &str {
        let part = |key: &str| name.split([',', '+']).find_map(|part| part.trim().strip_prefix(key));
        part("CN=").or_else(|| part("O=")).unwrap_or(name)
    }
}

/// A list that a Go host may write as `null`.
pub(crate) fn or_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// How long some steps took together.
pub(crate) fn total_ms(events: &[&Event]) -> i64 {
    events.iter().fold(0_i64, |sum, event| sum.saturating_add(event.ms.max(0)))
}
