//! The large providers' own texts, a file each. Their causes come before all others.

use super::causes::Cause;

/// A slice for each provider.
pub(crate) const CAUSES: &[&[Cause]] = &[];
