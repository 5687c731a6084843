//! What is refused of the message itself, and of where it comes from.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[];
