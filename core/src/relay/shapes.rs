//! What `take_mail` is asked and answers (`wasm/README.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::belief::MattermostToken;
use super::kind::{Class, Kind};
use crate::restraint::{AccountLimit, Restraint};
use crate::wire::{Base64, Clear};
use crate::{Account, Purpose, Site};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    pub(super) message: Base64,
    pub(super) envelope_from: String,
    pub(super) envelope_to: Vec<String>,
    pub(super) site: Site,
    pub(super) key: String,
    pub(super) facts: Facts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub(super) account: Option<Account>,
    /// The token that was looked up; none where none was asked for yet.
    #[serde(default)]
    pub(super) token: Option<String>,
    pub(super) token_row: Option<MattermostToken>,
    pub(super) owner: Option<Account>,
    pub(super) subjects: Option<BTreeMap<String, String>>,
    pub(super) previous: Option<Previous>,
    pub(super) limit: Option<AccountLimit>,
}

/// The owner's live link of the kind that the mail's would be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Previous {
    pub(super) requested_at: i64,
    pub(super) address: String,
}

/// Either of the two.
#[derive(Serialize)]
pub(crate) struct Reply {
    /// The token in a link that the mail has: what is to be looked up and told before it can be taken. Secret.
    pub(super) look_up: Option<String>,
    pub(super) taken: Option<Answer>,
}

#[derive(Serialize)]
pub(super) struct Answer {
    pub(super) kind: Kind,
    pub(super) class: Class,
    pub(super) take_token: bool,
    pub(super) token: Option<TokenToStore>,
    pub(super) limit_tat_ms: Option<i64>,
    pub(super) held_back: Option<HeldBack>,
    pub(super) mail: MailToStore,
    pub(super) recipients: Vec<Recipient>,
    pub(super) clear: Option<Clear>,
    pub(super) notes: Vec<String>,
}

/// All that is stored of the token that replaces Mattermost's.
#[derive(Serialize)]
pub(super) struct TokenToStore {
    pub(super) digest: Base64,
    pub(super) purpose: Purpose,
    pub(super) account_id: String,
    pub(super) address: String,
    pub(super) replaces: Option<String>,
    pub(super) password_stamp: i64,
    pub(super) redirect: Option<String>,
    pub(super) expires_at: i64,
}

/// Why an account's mail is not sent. Its row is kept, without a body.
#[derive(Serialize)]
pub(super) struct HeldBack {
    pub(super) why: Restraint,
    pub(super) reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct MailToStore {
    pub(super) id: String,
    pub(super) message_id: String,
    pub(super) locale: String,
    pub(super) size: usize,
    pub(super) key_id: String,
    pub(super) expires_at: i64,
}

#[derive(Serialize)]
pub(super) struct Recipient {
    pub(super) id: String,
    pub(super) to: String,
    pub(super) masked_to: String,
    pub(super) sealed: Base64,
}
