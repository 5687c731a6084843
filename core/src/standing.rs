//! How a mail stands, and the rules that hang on it: who may send it, what ends it, what replaces it.
//!
//! Architecture Invariant: these rules are stated here. PostgreSQL applies them too, as the one guard that is atomic
//! among several nodes (`server/internal/store/lease.go`, `queue.go`); that both say the same is what the histories
//! of `contract/histories/` hold. Every time in here is PostgreSQL's.

use serde::{Deserialize, Serialize};

use crate::Purpose;

/// A mail's state in its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waiting for its first attempt, or given back by a sender that stopped.
    Queued,
    /// Someone has its lease, until that lapses.
    Sending,
    /// Accepted by the server.
    Sent,
    /// Waiting for its next attempt.
    Deferred,
    /// Given up.
    Failed,
    /// Taken out of the queue: nobody should get it any more.
    Cancelled,
    /// Kept from leaving: see [`HeldBy`].
    Held,
    /// The connection broke between the final dot and its reply, or whoever sent it died.
    PerhapsDelivered,
}

/// What keeps a held mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// The connection delivers nothing; for good.
    Capture,
    /// The SiteURL is another than the mail was made for, until an admin decides.
    SiteUrl,
}

/// The token that a mail's link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// When it stops working; `None` where its row is gone: used, or replaced by a newer one.
    pub expires_at: Option<i64>,
}

/// A mail's row, as far as a rule asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `reset`, `verify`, `test`, or a kind of Mattermost's own.
    pub kind: String,
    /// Where it stands.
    pub state: State,
    /// Set if and only if it is held.
    pub held_by: Option<HeldBy>,
    /// Whether its body is there.
    pub has_body: bool,
    /// When it is to be tried again.
    pub next_attempt_at: Option<i64>,
    /// When the lease that was last taken lapses.
    pub lease_until: Option<i64>,
    /// The end of its lifetime.
    pub expires_at: i64,
    /// Names the key that it is sealed under.
    pub key_id: String,
    /// When a node that lacks the key first came across it.
    pub key_missing_since: Option<i64>,
    /// It was made for a SiteURL that is no more.
    pub compose_anew: bool,
    /// An attempt before the last broke off where the server may have had it.
    #[serde(default)]
    pub perhaps: bool,
    /// `None` for a mail without a link of ours.
    pub link: Option<Link>,
}

impl Mail {
    /// Whether it has not left and nobody is sending it.
    #[must_use]
    pub fn waits(&self) -> bool {
        match self.state {
            State::Queued | State::Deferred => true,
            State::Held => self.held_by == Some(HeldBy::SiteUrl),
            State::PerhapsDelivered => self.next_attempt_at.is_some(),
            State::Sending | State::Sent | State::Failed | State::Cancelled => false,
        }
    }

    /// Whether its time has come: not waiting for a later one, or left behind by a lease that lapsed.
    #[must_use]
    pub fn is_due(&self, now: i64) -> bool {
        match self.state {
            State::Queued => self.next_attempt_at.is_none_or(|at| at <= now),
            State::Deferred | State::PerhapsDelivered => self.next_attempt_at.is_some_and(|at| at <= now),
            State::Sending => self.lease_lapsed(now),
            State::Sent | State::Failed | State::Cancelled | State::Held => false,
        }
    }

    /// Whether whoever was sending it has lost the right to.
    #[must_use]
    pub fn lease_lapsed(&self, now: i64) -> bool {
        self.state == State::Sending && self.lease_until.is_none_or(|until| until <= now)
    }

    /// Whether its lifetime is over.
    #[must_use]
    pub fn has_expired(&self, now: i64) -> bool {
        self.expires_at <= now
    }

    /// Whether its link would still work; a mail without one has none to die.
    #[must_use]
    pub fn link_lives(&self, now: i64) -> bool {
        self.link.is_none_or(|link| link.expires_at.is_some_and(|at| at > now))
    }

    /// Whether a node that has that key may become its one sender (R8, R18).
    #[must_use]
    pub fn may_be_taken(&self, key_id: &str, now: i64) -> bool {
        self.key_id == key_id
            && self.has_body
            && !self.has_expired(now)
            && !self.compose_anew
            && self.is_due(now)
            && self.link_lives(now)
    }

    /// Whether it may be taken out of the queue for good: not from under a sender.
    #[must_use]
    pub fn may_be_ended(&self, now: i64) -> bool {
        self.waits() || self.lease_lapsed(now)
    }

    /// Whether a new link of that kind for its account replaces it (S9): `reset`, `verify`, or `email_change_verify` for
    /// a pending new address, which gives way to its like alone. `same_token` says that its link is of the token that
    /// gives way. What is on its way at this moment is past recall.
    #[must_use]
    pub fn is_replaced_by(&self, kind: &str, same_token: bool) -> bool {
        self.waits() && (self.kind == kind || same_token)
    }

    /// Whether it may have reached its recipient although no reply says so: then it is never said to have failed or been
    /// cancelled. Of a lease that lapsed nobody knows how far its sender came.
    #[must_use]
    pub fn perhaps_left(&self) -> bool {
        self.perhaps || matches!(self.state, State::Sending | State::PerhapsDelivered)
    }

    /// Whether the core composed it from an account alone, and can do so again.
    #[must_use]
    pub fn can_be_composed_anew(&self) -> bool {
        self.link.is_some() && [Purpose::Reset, Purpose::Verify].iter().any(|p| p.name() == self.kind)
    }
}
