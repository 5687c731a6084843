//! Whether another link is mailed to an account so soon (S10, S12). Both ways in ask: the plugin's endpoints and
//! the relay.

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::limit::{Rule, decide};

/// A second request this soon after the first is a double press, not a second wish (S10).
const REPEAT_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;

/// `LimitAccountPerHour` and where it stands for one account and kind of link.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountLimit {
    pub(crate) per_hour: u32,
    pub(crate) tat_ms: Option<i64>,
}

/// Why no further link is mailed. The link before it lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Restraint {
    Repeat,
    AccountLimited,
}

impl Restraint {
    /// In words, for the list of mails.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Repeat => {
                "Not sent: a link was asked for less than 15 seconds before, and that one is good."
            }
            Self::AccountLimited => {
                "Not sent: the account has been mailed as many links within an hour as LimitAccountPerHour allows. The \
                 last one is good until it expires."
            }
        }
    }
}

/// The limit's new state where a link asked for at `requested_at` may be mailed. `previous` is when the account's
/// live link of the same kind was asked for.
pub(crate) fn pass(
    requested_at: i64,
    previous: Option<i64>,
    limit: &AccountLimit,
    now: i64,
) -> Result<Result<Option<i64>, Restraint>, Error> {
    // A request from before the live link's is one that was overtaken: its mail would kill the newer link.
    if previous.is_some_and(|previous| requested_at < previous.saturating_add(REPEAT_MS)) {
        return Ok(Err(Restraint::Repeat));
    }
    let rule =
        Rule { name: String::new(), per_window: limit.per_hour, window_ms: HOUR_MS, tat_ms: limit.tat_ms };
    let decision = decide(&[rule], now)?;
    if !decision.allowed {
        return Ok(Err(Restraint::AccountLimited));
    }
    Ok(Ok(decision.tat_ms.into_iter().next().flatten()))
}
