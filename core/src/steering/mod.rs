//! Which connection mail goes by, and what the end of a conversation does to a connection's health (R14, R15).
//!
//! A login that is refused *pauses* a connection: more tries would lock the account, and no mail is at fault, so that none
//! spends an attempt. A server out of reach, or one that puts off one mail after another, *fails*: its mail goes by the
//! fallback, and by the failing connection only where nothing better is left. Both are probed, by a conversation without
//! mail, and used again once that succeeds; on trial at first, until a mail was taken.

mod conclude;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use conclude::conclude;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

/// Between two probes of a login, which too many tries may lock.
const LOGIN_WAITS_MS: [i64; 6] =
    [MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS];
/// Between two probes of whatever else.
const WAITS_MS: [i64; 5] = [10 * SECOND_MS, 30 * SECOND_MS, MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS];

/// All that there can be: of what is not set up any more nothing is the matter.
const NAMES: [&str; 3] = ["mattermost", "primary", "fallback"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    #[default]
    Ok,
    Paused,
    Failing,
}

/// Why a connection is not well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The login was refused.
    Login,
    /// The identity provider refused an access token.
    Oauth,
    /// The identity provider gave no answer.
    OauthAway,
    /// No conversation comes about, or none lasts.
    Reach,
    /// The server puts off one mail after another.
    PutsOff,
}

impl Cause {
    fn state(self) -> State {
        match self {
            Self::Login | Self::Oauth | Self::OauthAway => State::Paused,
            Self::Reach | Self::PutsOff => State::Failing,
        }
    }

    fn wait_ms(self, rounds: u32) -> i64 {
        let waits: &[i64] = match self {
            Self::Login | Self::Oauth => &LOGIN_WAITS_MS,
            _ => &WAITS_MS,
        };
        let at = usize::try_from(rounds).unwrap_or(usize::MAX).min(waits.len() - 1);
        waits.get(at).copied().unwrap_or(MINUTE_MS)
    }
}

/// How a connection does, over all nodes. Hosts keep it as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    pub(crate) state: State,
    /// Since when it is in that state; `None` where it was never otherwise.
    pub(crate) since: Option<i64>,
    pub(crate) cause: Option<Cause>,
    /// Why it is not well, in plain words.
    pub(crate) reason: String,
    /// Conversations in a row that did not come about.
    pub(crate) failures: u32,
    /// Mails in a row that were put off, by their ids.
    pub(crate) put_off: Vec<String>,
    /// Probes since a mail was last taken.
    pub(crate) rounds: u32,
    pub(crate) probe_at: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// Those that the settings would have used, the preferred first.
    connections: Vec<Candidate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Candidate {
    name: String,
    /// `host:port`, for whoever is told.
    server: String,
    /// `None` of one that nothing is known of.
    health: Option<Health>,
}

impl Candidate {
    fn state(&self) -> State {
        self.health.as_ref().map_or(State::Ok, |health| health.state)
    }

    fn reason(&self) -> &str {
        self.health.as_ref().map_or("", |health| health.reason.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Answer {
    /// By which a mail may go now, to be tried in this order; none while it waits.
    #[serde(rename = "use")]
    may_use: Vec<String>,
    /// Whether the first of them is well, so that what waited may go.
    well: bool,
    /// To be asked now whether they do again.
    probe: Vec<String>,
    /// Until when mail waits, and why; null and empty while it may go.
    wait_until: Option<i64>,
    reason: String,
    /// What is the matter now, for the admins, and what is not.
    open: Vec<Incident>,
    close: Vec<Incident>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Incident {
    kind: &'static str,
    key: String,
    facts: BTreeMap<&'static str, String>,
}

/// The operation `steer`.
pub(crate) fn steer(args: &Args, now: i64) -> Answer {
    let in_state = |state: State| -> Vec<String> {
        args.connections.iter().filter(|it| it.state() == state).map(|it| it.name.clone()).collect()
    };
    let well = in_state(State::Ok);
    let (may_use, well) = if well.is_empty() { (in_state(State::Failing), false) } else { (well, true) };
    let health = |it: &Candidate| it.health.clone().unwrap_or_default();
    let waits = may_use.is_empty() && !args.connections.is_empty();
    let next = |it: &Candidate| health(it).probe_at.unwrap_or(now).max(now.saturating_add(SECOND_MS));
    let reasons = args.connections.iter().map(|it| format!("{}: {}", it.name, it.reason()));
    let probe = args
        .connections
        .iter()
        .filter(|it| it.state() != State::Ok && health(it).probe_at.is_none_or(|at| at <= now));
    let open = incidents(args, &may_use, well);
    let close = NAMES
        .into_iter()
        .flat_map(|name| ["connection_paused", "failed_over", "oauth_refused"].map(|kind| (kind, name)))
        .filter(|(kind, name)| !open.iter().any(|it| it.kind == *kind && it.key == *name))
        .map(|(kind, name)| Incident { kind, key: name.to_owned(), facts: BTreeMap::new() })
        .collect();
    Answer {
        well,
        probe: probe.map(|it| it.name.clone()).collect(),
        wait_until: waits.then(|| args.connections.iter().map(next).min().unwrap_or(now)),
        reason: if waits {
            format!(
                "waits until the mail server can be logged in to again; {}",
                reasons.collect::<Vec<_>>().join("; ")
            )
        } else {
            String::new()
        },
        may_use,
        open,
        close,
    }
}

fn incidents(args: &Args, may_use: &[String], well: bool) -> Vec<Incident> {
    let mut open = Vec::new();
    for (at, it) in args.connections.iter().enumerate() {
        let Some(health) = it.health.as_ref().filter(|health| health.state != State::Ok) else { continue };
        let facts = BTreeMap::from([("server", it.server.clone()), ("reason", health.reason.clone())]);
        let mut incident = |kind, facts: BTreeMap<&'static str, String>| {
            open.push(Incident { kind, key: it.name.clone(), facts });
        };
        match health.cause {
            Some(Cause::Oauth) => incident("oauth_refused", facts.clone()),
            Some(Cause::Login | Cause::OauthAway) => incident("connection_paused", facts.clone()),
            _ => {}
        }
        if let (0, true, Some(to)) = (at, well, may_use.first()) {
            let mut facts = facts;
            facts.insert("to", to.clone());
            incident("failed_over", facts);
        }
    }
    open
}

#[cfg(test)]
mod tests;
