//! The core's own decisions, by its own way in: what the world is driven by. A rule can be replaced by a broken one, to
//! see that the simulation finds it.

use std::sync::OnceLock;

use base64::Engine as _;
use postroom_core::Outcome;
use postroom_core::standing::{Mail, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Chance;

/// What the world asks. [`Rules::CORE`] is what ships.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) may_be_taken: fn(&Mail, &str, i64) -> bool,
    pub(crate) may_be_ended: fn(&Mail, i64) -> bool,
    pub(crate) is_replaced_by: fn(&Mail, &str, bool) -> bool,
    pub(crate) attend: fn(&Attend, i64) -> Todo,
    pub(crate) judge: fn(&Judge, i64, &[u8]) -> Judged,
    pub(crate) fault: fn(&Fault, i64) -> Judged,
    pub(crate) class: fn(&Taken) -> Class,
    /// What is added to PostgreSQL's time where the core is asked, given how far the node's clock is off.
    pub(crate) clock: fn(i64) -> i64,
}

impl Rules {
    pub(crate) const CORE: Self = Self {
        may_be_taken: Mail::may_be_taken,
        may_be_ended: Mail::may_be_ended,
        is_replaced_by: Mail::is_replaced_by,
        attend: |args, now| ask("attend", now, &[], args),
        judge: |args, now, entropy| ask("judge", now, entropy, args),
        fault: |args, now| ask("fault", now, &[], args),
        class: |taken| taken.class,
        clock: |_| 0,
    };
}

/// `attend`'s arguments and answer.
#[derive(Serialize)]
pub(crate) struct Attend {
    pub(crate) mail: Option<Mail>,
    pub(crate) key_id: Option<&'static str>,
    pub(crate) connected: bool,
    pub(crate) not_composed: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub(crate) enum Todo {
    Leave,
    End { state: State, reason: String },
    LookAgain { at: i64, key_missing: bool },
    ComposeAnew { reason: String },
    Blocked,
}

impl Todo {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Leave => "leave",
            Self::End { .. } => "end",
            Self::LookAgain { .. } => "look_again",
            Self::ComposeAnew { .. } => "compose_anew",
            Self::Blocked => "blocked",
        }
    }
}

/// `judge`'s arguments.
#[derive(Serialize)]
pub(crate) struct Judge {
    pub(crate) outcome: Outcome,
    pub(crate) kind: &'static str,
    pub(crate) attempts: u32,
    pub(crate) expires_at: i64,
    pub(crate) perhaps: bool,
}

/// `fault`'s arguments.
#[derive(Serialize)]
pub(crate) struct Fault {
    pub(crate) error: Option<&'static str>,
    pub(crate) faults: u32,
    pub(crate) perhaps: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) expires_at: i64,
}

/// What both answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Judged {
    pub(crate) state: State,
    pub(crate) next_attempt_at: Option<i64>,
    pub(crate) reason: String,
}

/// `prepare`'s answer, as far as the world stores it.
#[derive(Debug, Deserialize)]
pub(crate) struct Prepared {
    pub(crate) reason: Option<String>,
    pub(crate) limit_tat_ms: Option<i64>,
    pub(crate) token: Option<PreparedToken>,
    pub(crate) mail: Option<PreparedMail>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PreparedToken {
    pub(crate) expires_at: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PreparedMail {
    pub(crate) expires_at: i64,
}

/// Which queue a mail waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Account,
    Invitation,
    Notification,
}

impl Class {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Invitation => "invitation",
            Self::Notification => "notification",
        }
    }
}

/// What `take_mail` made of a mail of Mattermost's.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) kind: String,
    pub(crate) class: Class,
    pub(crate) recipients: usize,
    pub(crate) life: i64,
    /// Whether a token of ours goes with it.
    pub(crate) has_token: bool,
}

/// Real mails of Mattermost's, taken by the core once: what it makes of them depends on the time only by their lifetime.
pub(crate) fn relayed() -> &'static [Taken] {
    static TAKEN: OnceLock<Vec<Taken>> = OnceLock::new();
    const MAILS: [&str; 6] = [
        include_str!("../../../contract/fixtures/take_mail/reset.request.json"),
        include_str!("../../../contract/fixtures/take_mail/email_change_verify.request.json"),
        include_str!("../../../contract/fixtures/take_mail/invitation.request.json"),
        include_str!("../../../contract/fixtures/take_mail/quoted_link.request.json"),
        include_str!("../../../contract/fixtures/take_mail/several_recipients.request.json"),
        include_str!("../../../contract/fixtures/take_mail/unreadable.request.json"),
    ];
    TAKEN.get_or_init(|| MAILS.iter().map(|request| take(request)).collect())
}

fn take(request: &str) -> Taken {
    let now = serde_json::from_str::<Value>(request).unwrap()["now"].as_i64().unwrap();
    let answer: Value = serde_json::from_slice(&postroom_core::dispatch(request.as_bytes())).unwrap();
    let answer = &answer["ok"]["taken"];
    Taken {
        kind: answer["kind"].as_str().unwrap().to_owned(),
        class: serde_json::from_value(answer["class"].clone()).unwrap(),
        recipients: answer["recipients"].as_array().unwrap().len(),
        life: answer["mail"]["expires_at"].as_i64().unwrap() - now,
        has_token: !answer["token"].is_null(),
    }
}

/// The kind by which `judge` is asked, as the service names it.
pub(crate) fn judged_as(kind: &str, class: Class) -> &'static str {
    match kind {
        "reset" => "reset",
        "verify" => "verify",
        "test" => "test",
        _ => class.name(),
    }
}

pub(crate) const KEY: &str = "0123456789abcdefghijklmnopqrstuv";
pub(crate) const LIMIT_PER_HOUR: u32 = 5;

pub(crate) fn prepare(args: &Value, now: i64, chance: &Chance) -> Prepared {
    ask("prepare", now, &chance.octets(96), args)
}

pub(crate) fn site() -> Value {
    json!({
        "url": "https://chat.example.com", "name": "Acme Chat", "default_locale": "en", "support_email": "",
        "from_address": "", "from_name": "", "reply_to": "", "reset_lifetime_ms": 3_600_000, "verify_lifetime_ms": 86_400_000,
    })
}

fn ask<A: DeserializeOwned>(op: &str, now: i64, entropy: &[u8], args: &impl Serialize) -> A {
    #[derive(Serialize)]
    struct Request<'a, A> {
        op: &'a str,
        now: i64,
        entropy: String,
        args: &'a A,
    }
    #[derive(Deserialize)]
    struct Reply<A> {
        ok: A,
    }
    let entropy = base64::engine::general_purpose::STANDARD.encode(entropy);
    let request = serde_json::to_vec(&Request { op, now, entropy, args }).unwrap();
    let reply = postroom_core::dispatch(&request);
    match serde_json::from_slice::<Reply<A>>(&reply) {
        Ok(reply) => reply.ok,
        Err(error) => panic!("{op}: {error}: {}", String::from_utf8_lossy(&reply)),
    }
}
