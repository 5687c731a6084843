//! Limits: of a mailbox, a server, an hour.

use super::Cause;

pub(super) const CAUSES: &[Cause] = &[];
