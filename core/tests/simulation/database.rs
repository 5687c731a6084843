//! PostgreSQL as the service uses it: rows, and one atomic function for each of `server/internal/store`. Whether a row
//! may change is the core's rule; the histories hold the SQL to the same.

use std::collections::{BTreeMap, BTreeSet};

use postroom_core::standing::{HeldBy, Link, Mail, State};
use serde_json::{Value, json};

use crate::clock::{MINUTE, SECOND};
use crate::river::{Job, Queue, Work};
use crate::rules::{Class, Rules};

/// A mail's row, by the order of its making; its token, where it has one, goes by the same.
pub(crate) type MailId = usize;
pub(crate) type JobId = usize;

pub(crate) const LEASE_LIFE: i64 = MINUTE;
pub(crate) const REAPER_GRACE: i64 = 30 * SECOND;
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) kind: String,
    pub(crate) class: Class,
    pub(crate) account: Option<usize>,
    pub(crate) has_link: bool,
    pub(crate) state: State,
    pub(crate) held_by: Option<HeldBy>,
    pub(crate) has_body: bool,
    pub(crate) next_attempt_at: Option<i64>,
    pub(crate) lease_until: Option<i64>,
    pub(crate) expires_at: i64,
    pub(crate) key_id: &'static str,
    pub(crate) key_missing_since: Option<i64>,
    pub(crate) compose_anew: bool,
    pub(crate) perhaps: bool,
    pub(crate) attempts: u32,
    pub(crate) faults: u32,
    pub(crate) fence: i64,
    pub(crate) queued_at: i64,
    pub(crate) finished_at: Option<i64>,
    pub(crate) reason: String,
    pub(crate) job: Option<JobId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) account: usize,
    /// `reset`, `verify`, or `email_change_verify`.
    pub(crate) kind: &'static str,
    pub(crate) requested_at: i64,
    pub(crate) expires_at: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) deleted: bool,
    pub(crate) verified: bool,
    pub(crate) stamp: i64,
}

/// What `FactsByEmail` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) deleted: bool,
    pub(crate) verified: bool,
    pub(crate) stamp: i64,
    pub(crate) previous: Option<(MailId, i64)>,
    pub(crate) limit_tat: Option<i64>,
}

/// A mail to be queued.
#[derive(Debug, Clone)]
pub(crate) struct NewMail {
    pub(crate) id: MailId,
    pub(crate) kind: String,
    pub(crate) class: Class,
    pub(crate) account: Option<usize>,
    pub(crate) has_link: bool,
    pub(crate) has_body: bool,
    pub(crate) expires_at: i64,
    pub(crate) key_id: &'static str,
    pub(crate) leased: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) mail: MailId,
    pub(crate) fence: i64,
    pub(crate) kind: String,
    pub(crate) class: Class,
    pub(crate) attempts: u32,
    pub(crate) perhaps: bool,
    pub(crate) expires_at: i64,
    pub(crate) taken_at: i64,
}

/// What became of an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) held_by: Option<HeldBy>,
    pub(crate) next: Option<i64>,
    pub(crate) reason: String,
    pub(crate) fault: bool,
}

pub(crate) struct Database {
    rules: Rules,
    pub(crate) mails: BTreeMap<MailId, Row>,
    pub(crate) tokens: BTreeMap<MailId, Token>,
    pub(crate) limits: BTreeMap<(usize, &'static str), i64>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    pub(crate) waiting: BTreeMap<Queue, BTreeSet<(i64, JobId)>>,
    next_mail: MailId,
    pub(crate) next_job: JobId,
    /// Rows that the last statement changed.
    pub(crate) touched: Vec<MailId>,
    /// What the last transaction did, as a history has it.
    pub(crate) said: Vec<Value>,
    /// Whether anybody wants to know.
    pub(crate) is_heard: bool,
    /// Whether a node that waits may have something to do now.
    pub(crate) news: bool,
}

impl Database {
    pub(crate) fn new(rules: Rules, accounts: Vec<Account>, is_heard: bool) -> Self {
        Self {
            rules,
            accounts,
            mails: BTreeMap::new(),
            tokens: BTreeMap::new(),
            limits: BTreeMap::new(),
            jobs: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_mail: 0,
            next_job: 0,
            touched: Vec::new(),
            said: Vec::new(),
            is_heard,
            news: false,
        }
    }

    /// An id that no other mail has: it is made before the row is.
    pub(crate) fn new_id(&mut self) -> MailId {
        self.next_mail += 1;
        self.next_mail
    }

    /// The row as the core's rules see it (`Standing`).
    pub(crate) fn standing(&self, id: MailId) -> Option<Mail> {
        let row = self.mails.get(&id)?;
        Some(Mail {
            kind: row.kind.clone(),
            state: row.state,
            held_by: row.held_by,
            has_body: row.has_body,
            next_attempt_at: row.next_attempt_at,
            lease_until: row.lease_until,
            expires_at: row.expires_at,
            key_id: row.key_id.to_owned(),
            key_missing_since: row.key_missing_since,
            compose_anew: row.compose_anew,
            perhaps: row.perhaps,
            link: row
                .has_link
                .then(|| Link { expires_at: self.tokens.get(&id).map(|token| token.expires_at) }),
        })
    }

    pub(crate) fn say(&mut self, statement: impl FnOnce() -> Value) {
        if self.is_heard {
            self.said.push(statement());
        }
    }

    pub(crate) fn change(&mut self, id: MailId, change: impl FnOnce(&mut Row)) {
        if let Some(row) = self.mails.get_mut(&id) {
            change(row);
            self.touched.push(id);
        }
    }

    fn end_row(&mut self, id: MailId, state: State, reason: &str, now: i64) {
        let reason = reason.to_owned();
        self.change(id, |row| {
            row.state = if row.perhaps || row.state == State::PerhapsDelivered {
                State::PerhapsDelivered
            } else {
                state
            };
            row.held_by = None;
            row.has_body = row.has_body && state != State::Cancelled && !row.has_link;
            row.next_attempt_at = None;
            row.finished_at = Some(now);
            row.lease_until = None;
            row.reason = reason;
        });
    }

    // The store's functions.

    pub(crate) fn facts(&self, account: usize, kind: &'static str, now: i64) -> Facts {
        let of = &self.accounts[account];
        let previous = self
            .tokens
            .iter()
            .find(|(_, token)| token.account == account && token.kind == kind && token.expires_at > now);
        Facts {
            deleted: of.deleted,
            verified: of.verified,
            stamp: of.stamp,
            previous: previous.map(|(id, token)| (*id, token.requested_at)),
            limit_tat: self.limits.get(&(account, kind)).copied(),
        }
    }

    /// `InsertMails`: false where it is there already, by a commit of which nobody heard.
    pub(crate) fn insert(&mut self, mail: &NewMail, now: i64) -> bool {
        if self.mails.contains_key(&mail.id) {
            return false;
        }
        let job = (!mail.leased && mail.has_body)
            .then(|| self.insert_job(Work::Send(mail.id), Queue::Mails(mail.class), None, now));
        let row = Row {
            kind: mail.kind.clone(),
            class: mail.class,
            account: mail.account,
            has_link: mail.has_link,
            state: if mail.leased { State::Sending } else { State::Queued },
            held_by: None,
            has_body: mail.has_body,
            next_attempt_at: None,
            lease_until: mail.leased.then_some(if mail.has_body {
                now + LEASE_LIFE
            } else {
                mail.expires_at
            }),
            expires_at: mail.expires_at,
            key_id: mail.key_id,
            key_missing_since: None,
            compose_anew: false,
            perhaps: false,
            attempts: u32::from(mail.leased),
            faults: 0,
            fence: i64::from(mail.leased),
            queued_at: now,
            finished_at: None,
            reason: String::new(),
            job,
        };
        self.mails.insert(mail.id, row);
        self.touched.push(mail.id);
        self.news = true;
        self.say(|| json!({"op": "insert", "mail": new_mail(mail), "job": job, "life": LEASE_LIFE}));
        true
    }

    /// `Write`: a new token and its mail, in place of the account's older ones.
    pub(crate) fn write(
        &mut self,
        token: Token,
        mail: &NewMail,
        limit: Option<i64>,
        superseded: &str,
        now: i64,
    ) {
        let (account, kind) = (token.account, token.kind);
        if let Some(limit) = limit {
            self.limits.insert((account, kind), limit);
        }
        let old: Vec<MailId> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.account == account && token.kind == kind)
            .map(|(id, _)| *id)
            .collect();
        let of_account: Vec<MailId> =
            self.mails.iter().filter(|(_, row)| row.account == Some(account)).map(|(id, _)| *id).collect();
        for id in of_account {
            let standing = self.standing(id).unwrap();
            if (self.rules.is_replaced_by)(&standing, kind, old.contains(&id)) {
                self.end_row(id, State::Cancelled, superseded, now);
            }
        }
        for id in old {
            self.tokens.remove(&id);
        }
        let of = (token.requested_at, token.expires_at);
        self.tokens.insert(mail.id, token);
        self.insert(mail, now);
        self.said.pop(); // it is part of this
        let job = self.mails[&mail.id].job;
        self.say(|| {
            json!({
                "op": "write", "kind": kind, "account": account, "requested_at": of.0, "expires_at": of.1, "limit": limit,
                "superseded": superseded, "life": LEASE_LIFE, "mail": new_mail(mail), "job": job,
            })
        });
    }

    pub(crate) fn take_lease(&mut self, id: MailId, key_id: &'static str, now: i64) -> Option<Lease> {
        let mail = self.standing(id);
        let may = mail.as_ref().is_some_and(|mail| (self.rules.may_be_taken)(mail, key_id, now));
        let why = mail.filter(|_| !may).map(|mail| refusal(&mail, key_id, now));
        if may {
            self.change(id, |row| {
                row.perhaps |= matches!(row.state, State::Sending | State::PerhapsDelivered);
                row.state = State::Sending;
                row.lease_until = Some(now + LEASE_LIFE);
                row.fence += 1;
                row.attempts += 1;
                row.next_attempt_at = None;
                row.key_missing_since = None;
            });
        }
        let lease = may.then(|| self.lease(id, now));
        let result = lease
            .as_ref()
            .filter(|_| self.is_heard)
            .map(|lease| json!({"fence": lease.fence, "attempts": lease.attempts, "perhaps": lease.perhaps}));
        self.say(|| json!({"op": "take_lease", "id": id, "key": key_id, "life": LEASE_LIFE, "why": why, "result": result}));
        lease
    }

    /// The lease that a mail has now.
    pub(crate) fn lease(&self, id: MailId, now: i64) -> Lease {
        let row = &self.mails[&id];
        Lease {
            mail: id,
            fence: row.fence,
            kind: row.kind.clone(),
            class: row.class,
            attempts: row.attempts,
            perhaps: row.perhaps,
            expires_at: row.expires_at,
            taken_at: now,
        }
    }

    pub(crate) fn holds(&self, lease: &Lease) -> bool {
        self.mails.get(&lease.mail).is_some_and(|row| row.fence == lease.fence && row.state == State::Sending)
    }

    pub(crate) fn renew(&mut self, lease: &Lease, now: i64) -> bool {
        let mine = self.holds(lease);
        if mine {
            self.change(lease.mail, |row| row.lease_until = Some(now + LEASE_LIFE));
        }
        self.say(|| json!({"op": "renew", "id": lease.mail, "fence": lease.fence, "life": LEASE_LIFE, "result": mine}));
        mine
    }

    pub(crate) fn release(&mut self, lease: &Lease) -> bool {
        let mine = self.holds(lease);
        self.news = true;
        if mine {
            self.change(lease.mail, |row| {
                row.state = State::Queued;
                row.lease_until = None;
                row.attempts -= 1;
            });
        }
        self.say(|| json!({"op": "release", "id": lease.mail, "fence": lease.fence}));
        mine
    }

    pub(crate) fn finish(&mut self, lease: &Lease, verdict: &Verdict, now: i64) -> bool {
        let mine = self.holds(lease);
        if mine {
            self.change(lease.mail, |row| {
                row.state = verdict.state;
                row.held_by = verdict.held_by;
                row.next_attempt_at = verdict.next;
                row.reason.clone_from(&verdict.reason);
                row.faults += u32::from(verdict.fault);
                // One without a link of ours may be sent again by an admin.
                let failed = verdict.state == State::Failed
                    || (verdict.state == State::PerhapsDelivered && row.perhaps);
                let again = failed && !row.has_link;
                row.has_body =
                    row.has_body && (verdict.next.is_some() || verdict.state == State::Held || again);
                row.finished_at = verdict.next.is_none().then_some(now);
                row.lease_until = None;
            });
        }
        self.say(|| json!({
            "op": "finish", "id": lease.mail, "fence": lease.fence, "state": verdict.state, "held_by": verdict.held_by,
            "next": verdict.next, "reason": verdict.reason, "fault": verdict.fault, "result": mine,
        }));
        mine
    }

    pub(crate) fn end(&mut self, id: MailId, state: State, reason: &str, now: i64) -> bool {
        let may = self.standing(id).is_some_and(|mail| (self.rules.may_be_ended)(&mail, now));
        if may {
            self.end_row(id, state, reason, now);
        }
        self.say(|| json!({"op": "end", "id": id, "state": state, "reason": reason, "result": may}));
        may
    }

    pub(crate) fn miss_key(&mut self, id: MailId, at: i64, now: i64) {
        let mail = self.standing(id).filter(|mail| mail.state != State::Held);
        if mail.is_some_and(|mail| (self.rules.may_be_ended)(&mail, now)) {
            self.change(id, |row| {
                row.perhaps |= matches!(row.state, State::Sending | State::PerhapsDelivered);
                if row.state == State::Sending {
                    row.state = State::Queued;
                    row.lease_until = None;
                }
                row.key_missing_since = row.key_missing_since.or(Some(now));
                row.next_attempt_at = Some(at);
            });
        }
        self.say(|| json!({"op": "miss_key", "id": id, "look_at": at}));
    }

    /// Gives a mail that is to be looked at again its next job, if this is its own: else another will come to it.
    pub(crate) fn put_off(&mut self, id: MailId, job: JobId, at: i64, now: i64) {
        if self.mails.get(&id).is_some_and(|row| row.job == Some(job)) {
            self.schedule(id, Some(at), now);
        }
        self.complete(job);
    }

    /// A link was opened and its form posted: the token's row goes.
    pub(crate) fn use_token(&mut self, id: MailId) -> bool {
        let gone = self.tokens.remove(&id).is_some();
        self.say(|| json!({"op": "use_token", "id": id}));
        gone
    }

    /// `EndTests`: test mails whose outcome nobody wrote.
    pub(crate) fn end_tests(&mut self, reason: &str, now: i64) {
        let dead: Vec<MailId> = self
            .mails
            .iter()
            .filter(|(_, row)| {
                row.state == State::Sending
                    && !row.has_body
                    && row.lease_until.is_some_and(|until| until < now - MINUTE)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in &dead {
            self.end_row(*id, State::PerhapsDelivered, reason, now);
        }
        self.say(|| json!({"op": "end_tests", "reason": reason}));
    }

    /// `Guard` under another SiteURL: what waits is held.
    pub(crate) fn hold(&mut self, reason: &str, now: i64) {
        let ids: Vec<MailId> = self.mails.keys().copied().collect();
        for id in ids {
            let row = &self.mails[&id];
            let lapsed = row.state == State::Sending && row.lease_until.is_none_or(|until| until <= now);
            let waits = row.state != State::Held && (row.state != State::Sending || lapsed);
            if row.finished_at.is_none() && row.has_body && waits {
                self.change(id, |row| {
                    row.perhaps |= matches!(row.state, State::Sending | State::PerhapsDelivered);
                    row.state = State::Held;
                    row.held_by = Some(HeldBy::SiteUrl);
                    row.lease_until = None;
                    row.fence += 1;
                    reason.clone_into(&mut row.reason);
                });
            }
        }
        self.say(|| json!({"op": "hold", "reason": reason}));
    }

    /// `Decide`: what was held goes on under the new SiteURL, or is discarded.
    pub(crate) fn decide(&mut self, go_on: bool, discarded: &str, now: i64) {
        let held: Vec<MailId> = self
            .mails
            .iter()
            .filter(|(_, row)| row.held_by == Some(HeldBy::SiteUrl))
            .map(|(id, _)| *id)
            .collect();
        for id in held {
            if go_on {
                self.change(id, |row| {
                    row.state = State::Queued;
                    row.held_by = None;
                    row.reason = String::new();
                    row.compose_anew = row.has_link;
                    row.next_attempt_at = None;
                });
            } else {
                self.tokens.remove(&id);
                self.end_row(id, State::Cancelled, discarded, now);
            }
        }
        if !go_on {
            self.jobs.clear();
            self.waiting.clear();
        }
        self.say(|| json!({"op": "decide", "go_on": go_on, "reason": discarded}));
    }
}

/// Why a mail may not be taken: so that the histories show each.
fn refusal(mail: &Mail, key_id: &str, now: i64) -> &'static str {
    match mail.state {
        State::Held => "held",
        State::Sending if !mail.lease_lapsed(now) => "leased",
        State::Sent | State::Failed | State::Cancelled => "done",
        _ if !mail.has_body => "done",
        _ if mail.has_expired(now) => "expired",
        _ if !mail.link_lives(now) => "its link is dead",
        _ if !mail.is_due(now) => "not due",
        _ if mail.compose_anew => "to be composed anew",
        _ if mail.key_id != key_id => "another key",
        _ => "no reason",
    }
}

fn new_mail(mail: &NewMail) -> Value {
    json!({
        "id": mail.id, "kind": mail.kind, "class": mail.class, "account": mail.account, "has_link": mail.has_link,
        "has_body": mail.has_body, "expires_at": mail.expires_at, "key_id": mail.key_id, "leased": mail.leased,
    })
}
