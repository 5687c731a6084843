//! How values are written in the boundary's JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Octets as standard padded base64.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Base64;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("standard padded base64")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Base64, E> {
                decode(text)
                    .map(Base64)
                    .ok_or_else(|| E::custom("not base64, expected standard padded base64"))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// A mail that is sealed, in clear for its first sender, which then need not open it. Secret; never stored.
#[derive(Serialize)]
pub(crate) struct Clear {
    envelope_from: String,
    message: Base64,
}

impl Clear {
    /// Longer mails are not sent at once, and would be held twice over.
    const MAX: usize = 1 << 20;

    /// `None` for a mail that is too long.
    pub(crate) fn of(envelope_from: String, message: Vec<u8>) -> Option<Self> {
        (message.len() <= Self::MAX).then_some(Self { envelope_from, message: Base64(message) })
    }
}

/// Octets of standard padded base64; `None` when it is not.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
