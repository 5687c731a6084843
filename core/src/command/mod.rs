//! The slash command `/postroom`: how it is registered, what is to be looked up for what was typed, and the answer.

use serde::{Deserialize, Serialize};

use crate::standing::State;

mod words;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    /// All that was typed, with the command itself; `None` asks for its registration.
    text: Option<String>,
    /// `RestrictSystemAdmin` is on.
    restricted: bool,
    /// What was looked up, as `ask` said; `None` before.
    facts: Option<Facts>,
}

/// What was found.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Facts {
    Status(Status),
    Mails(Mails),
    Resend(Resend),
    Test(Test),
    /// The database is out of reach.
    Unavailable {},
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    /// The outbox's.
    state: String,
    problem: String,
    warnings: Vec<String>,
    /// Mails by state; `None` where that is not known, as all that follows.
    counts: Option<std::collections::BTreeMap<State, u64>>,
    connections: Vec<Connection>,
    relay: Relay,
    account_mail: Option<AccountMail>,
    incidents: Option<Vec<Incident>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connection {
    name: String,
    /// `host:port`, or empty.
    server: String,
    /// `ok`, `paused`, `failing`, `unused`; empty where there is nothing to say.
    state: String,
    reason: String,
    since: Option<i64>,
    /// Mail goes over it now.
    active: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Relay {
    enabled: bool,
    healthy: bool,
    problem: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountMail {
    oldest: Option<i64>,
    waiting: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Incident {
    kind: crate::incident::Kind,
    key: String,
    opened_at: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mails {
    newest: Vec<Mail>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mail {
    id: String,
    kind: String,
    state: State,
    masked_to: String,
    queued_at: i64,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resend {
    /// How many mails' ids begin as was typed.
    found: u64,
    /// Why it is not sent again, or empty.
    refused: String,
    /// What is sent.
    mail_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    connection: String,
    /// Why no mail was accepted, or empty.
    error: String,
    steps: Vec<Step>,
    sent_to: String,
    queue_id: Option<String>,
}

/// A step of a diagnosis.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    step: String,
    state: StepState,
    ms: Option<i64>,
    said: String,
    advice: String,
    #[serde(rename = "cause")]
    _cause: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StepState {
    Ok,
    Warning,
    Failed,
    Skipped,
}

/// One of `words`, `ask` and `text`; `test` is begun with a `text` besides, and answered later.
#[derive(Default, Serialize)]
pub(crate) struct Answer {
    words: Option<words::Words>,
    ask: Option<Ask>,
    /// What an id was typed to begin with, for `resend`: hex digits and dashes.
    id: String,
    text: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Ask {
    Status,
    Mails,
    Resend,
    Test,
}

/// Digits of an id that are enough to ask for it.
const ID_MIN: usize = 4;

/// The operation `command`.
pub(crate) fn answer(args: &Args, now: i64) -> Answer {
    let Some(text) = &args.text else {
        return Answer { words: Some(words::registration()), ..Answer::default() };
    };
    match &args.facts {
        None => asked(text, args.restricted),
        Some(facts) => said(match facts {
            Facts::Status(status) => words::status(status, now),
            Facts::Mails(mails) => words::mails(&mails.newest, now),
            Facts::Resend(resend) => words::resend(resend),
            Facts::Test(test) => words::test(test),
            Facts::Unavailable {} => words::unavailable(),
        }),
    }
}

fn asked(text: &str, restricted: bool) -> Answer {
    let mut typed = text.split_whitespace().skip(1);
    let (subcommand, argument) = (typed.next().unwrap_or_default(), typed.next());
    let ask = |ask| Answer { ask: Some(ask), ..Answer::default() };
    match (subcommand.to_lowercase().as_str(), argument) {
        ("status", None) => ask(Ask::Status),
        ("mails", None) => ask(Ask::Mails),
        ("test", None) if restricted => said(words::restricted()),
        ("test", None) => Answer { text: Some(words::testing()), ..ask(Ask::Test) },
        ("resend", Some(id)) if typed.next().is_none() => {
            let id = id.trim_matches('`').to_lowercase();
            if is_id(&id) { Answer { id, ..ask(Ask::Resend) } } else { said(words::no_id()) }
        }
        ("resend", _) => said(words::no_id()),
        ("" | "help", None) => said(words::help()),
        _ => said(words::unknown(text)),
    }
}

/// A UUID or its beginning.
fn is_id(id: &str) -> bool {
    let digits = id.chars().filter(char::is_ascii_hexdigit).count();
    digits >= ID_MIN
        && id.len() <= 36
        && id
            .chars()
            .enumerate()
            .all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() })
}

fn said(text: String) -> Answer {
    Answer { text: Some(text), ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let check = |text: &str, expected: Option<Ask>, id: &str| {
            let answer = asked(text, false);
            assert_eq!((answer.ask, answer.id.as_str()), (expected, id), "{text}");
            assert_eq!(answer.text.is_some(), matches!(expected, None | Some(Ask::Test)), "{text}");
        };
        check("/postroom", None, "");
        check("/postroom help", None, "");
        check("/postroom  STATUS ", Some(Ask::Status), "");
        check("/postroom status all", None, "");
        check("/postroom mails", Some(Ask::Mails), "");
        check("/postroom test", Some(Ask::Test), "");
        check("/postroom resend", None, "");
        check("/postroom resend 019A", Some(Ask::Resend), "019a");
        check("/postroom resend `019a91a4-2f`", Some(Ask::Resend), "019a91a4-2f");
        check(
            "/postroom resend 019a91a4-2f00-7000-8000-000000000001",
            Some(Ask::Resend),
            "019a91a4-2f00-7000-8000-000000000001",
        );
        for id in
            ["019", "019a91a4-", "019g", "019a91a42f", "%", "019a91a4-2f00-7000-8000-0000000000012", "019a x"]
        {
            let expected = (id == "019a91a4-").then_some(Ask::Resend);
            check(&format!("/postroom resend {id}"), expected, if expected.is_some() { id } else { "" });
        }
        check("/postroom drop tables", None, "");
    }

    #[test]
    fn a_restricted_admin_tests_nothing() {
        assert_eq!(asked("/postroom test", true).ask, None);
        assert_eq!(asked("/postroom status", true).ask, Some(Ask::Status));
    }
}
