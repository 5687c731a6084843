use super::{Composed, Letter};
use crate::{Error, Site};
/// Composes a mail.
pub fn compose(_letter: &Letter<'_>, _to: &str, _locale: &str, _site: &Site, _now_ms: i64, _seed: &[u8; 32]) -> Result<Composed, Error> {
    Err(Error::internal("being written"))
}
