//! The envelope: who sends, and to whom.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[];
