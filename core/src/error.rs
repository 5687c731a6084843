//! The one error type: what a host did wrongly, or a configuration that cannot work.

use serde::Serialize;

/// Why a request was not answered. Never carries a token, link, password, key or body.
///
/// What a *user* got wrong is no error but an answer, with an [`AppError`](crate::AppError) or a
/// [`Page`](crate::Page) to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is not UTF-8 JSON of the documented shape.
    #[error("the request is not of the documented shape: {detail}")]
    MalformedRequest {
        /// What is wrong with it.
        detail: String,
    },
    /// No operation has this name.
    #[error("no such operation; wasm/README.md lists them")]
    UnknownOp,
    /// Fewer bytes of entropy than the operation needs; the core never makes its own.
    #[error("this operation needs {needed} bytes of entropy, {given} were given or they were all equal")]
    EntropyMissing {
        /// Octets that the operation needs.
        needed: usize,
        /// Octets that came.
        given: usize,
    },
    /// An argument that is missing, unknown, of the wrong type or out of range.
    #[error("{field}: {detail}")]
    InvalidArgument {
        /// Path of the member inside `args`, as `site.url`.
        field: String,
        /// What is wrong and how to mend it.
        detail: String,
    },
    /// Sealed under another key than the one given.
    #[error("sealed under another AtRestEncryptKey")]
    WrongKey,
    /// Not what was sealed: altered, cut, or of another mail.
    #[error("the sealed mail was altered, cut short, or belongs to another mail")]
    Corrupt,
    /// Not a token: 43 characters of unpadded base64url are.
    #[error("a token is 43 characters of base64url")]
    InvalidToken,
    /// A template could not be rendered.
    #[error("template {name}: {detail}")]
    Template {
        /// Name of the template.
        name: String,
        /// What went wrong, without the values it was rendered with.
        detail: String,
    },
    /// A fault in the core itself.
    #[error("a fault in the core: {detail}")]
    Internal {
        /// What did not hold.
        detail: String,
    },
}

impl Error {
    /// An [`Error::InvalidArgument`].
    ///
    /// ```
    /// let error = postroom_core::Error::argument("site.url", "set Mattermost's SiteURL");
    /// assert_eq!((error.code(), error.field()), ("invalid_argument", "site.url"));
    /// ```
    pub fn argument(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::InvalidArgument { field: field.into(), detail: detail.into() }
    }

    /// An [`Error::Internal`].
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::Internal { detail: detail.into() }
    }

    /// The code of the boundary's contract (`wasm/README.md`).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::MalformedRequest { .. } => "malformed_request",
            Self::UnknownOp => "unknown_op",
            Self::EntropyMissing { .. } => "entropy_missing",
            Self::InvalidArgument { .. } => "invalid_argument",
            Self::WrongKey => "wrong_key",
            Self::Corrupt => "corrupt",
            Self::InvalidToken => "invalid_token",
            Self::Template { .. } => "template",
            Self::Internal { .. } => "internal",
        }
    }

    /// The member at fault, or the empty string.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::InvalidArgument { field, .. } => field,
            Self::Template { name, .. } => name,
            Self::EntropyMissing { .. } => "entropy",
            Self::UnknownOp => "op",
            Self::InvalidToken => "token",
            Self::WrongKey => "key",
            Self::Corrupt => "sealed",
            Self::MalformedRequest { .. } | Self::Internal { .. } => "",
        }
    }

    /// As it crosses the boundary: `{"code", "field", "detail"}`.
    pub(crate) fn wire(&self) -> WireError {
        let detail = match self {
            Self::InvalidArgument { detail, .. } | Self::Template { detail, .. } => detail.clone(),
            other => other.to_string(),
        };
        WireError { code: self.code(), field: self.field().to_owned(), detail }
    }
}

/// An [`Error`] as it crosses the boundary.
#[derive(Debug, Serialize)]
pub(crate) struct WireError {
    code: &'static str,
    field: String,
    detail: String,
}
