//! What a conversation with a mail server shows: its steps, why one failed, what to change.
//!
//! Facts come from the courier ([`facts`]); each step is looked at ([`view`]) for the first cause in a table
//! ([`causes`]) that fits, whose advice is filled in ([`advice`]). A step that no cause fits still has the peer's words.

mod advice;
mod causes;
mod facts;
mod line;
mod providers;
mod queue_id;
mod said;
mod steps;
mod view;

use serde::{Deserialize, Serialize};

pub use causes::{Cause, all as causes};
use facts::Facts;
pub(crate) use facts::{Shown, TlsFacts};
use line::Line;
pub(crate) use line::State;
use view::View;

use crate::Outcome;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    connection: Shown,
    facts: Facts,
    envelope_from: String,
    to: String,
}

/// A diagnosis as it crosses the boundary.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    steps: Vec<Line>,
    sent_to: String,
    queue_id: Option<String>,
}

/// What to change after an outcome, where a cause is known; for a mail's own history, which has no more room.
pub(crate) fn advise(
    now: i64,
    connection: &Shown,
    tls: Option<&TlsFacts>,
    outcome: &Outcome,
) -> Option<String> {
    let facts = Facts { tls: tls.cloned(), ..Facts::default() };
    let view = View::new(now, Some(connection), &facts, "", outcome);
    causes::of_failure(&view).map(|cause| advice::fill(cause.advice, &view))
}

/// The operation `diagnose`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let subject =
        steps::Subject { now, connection: &args.connection, facts: &args.facts, from: &args.envelope_from };
    let accepted = steps::accepted(&args.facts);
    let reply = accepted.and_then(|event| event.reply.as_ref());
    Answer {
        steps: subject.lines(),
        sent_to: accepted.map(|_| args.to.clone()).unwrap_or_default(),
        queue_id: reply.and_then(|reply| queue_id::queue_id(&reply.text)),
    }
}
