//! How a conversation broke: silence, an end, and what can only be said of the step.

use super::Cause;
use crate::{Failure, Step};

/// Before all others: it was us.
pub(super) const OURS: &[Cause] = &[Cause::fails(
    "cancelled",
    "whoever began the test ended it",
    |v| v.facts.cancelled,
    "The test was cancelled while this step was under way. Start it again to see how it ends.",
)];

pub(super) const CAUSES: &[Cause] = &[Cause::fails(
    "stall_at_greeting",
    "the server takes the connection and says nothing",
    |v| v.at(&[Step::Greeting]) && v.failed(Failure::Timeout),
    "The server took the connection but did not greet. Check the port and the connection security: a port for TLS waits \
         in silence. Else the server is overloaded, or delays those whom it does not know.",
)];
