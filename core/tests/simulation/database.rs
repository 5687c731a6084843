//! PostgreSQL as the service uses it: rows, and one atomic function for each of `server/internal/store`. Whether a row
//! may change is the core's rule; the histories hold the SQL to the same.

use std::collections::{BTreeMap, BTreeSet};

use postroom_core::standing::{HeldBy, Link, Mail, State};
use serde_json::{Value, json};

use crate::clock::{MINUTE, SECOND};
use crate::rules::{Class, Rules};

/// A mail's row, by the order of its making; its token, where it has one, goes by the same.
pub(crate) type MailId = usize;
pub(crate) type JobId = usize;

pub(crate) const LEASE_LIFE: i64 = MINUTE;
pub(crate) const REAPER_GRACE: i64 = 30 * SECOND;
/// How long a job of a dead node counts as running, by what it does.
const RESCUE_REQUEST: i64 = 40 * SECOND;
const RESCUE_SEND: i64 = 40 * MINUTE;

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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    Request { account: usize, kind: &'static str },
    Send(MailId),
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) queue: Queue,
    pub(crate) running: bool,
    pub(crate) created_at: i64,
    pub(crate) scheduled_at: i64,
    pub(crate) attempted_at: i64,
    /// Whether it was made for a later time, so that River has to move it first: every five seconds.
    later: bool,
}

impl Job {
    fn comes_at(&self) -> i64 {
        let period = 5 * SECOND;
        if self.later { (self.scheduled_at + period - 1) / period * period } else { self.scheduled_at }
    }

    fn river_state(&self, now: i64) -> &'static str {
        if self.running {
            "running"
        } else if self.comes_at() > now {
            "scheduled"
        } else {
            "available"
        }
    }

    fn rescued_after(&self) -> i64 {
        if matches!(self.work, Work::Send(_)) { RESCUE_SEND } else { RESCUE_REQUEST }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Queue {
    Requests,
    Mails(Class),
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
    waiting: BTreeMap<Queue, BTreeSet<(i64, JobId)>>,
    next_mail: MailId,
    next_job: JobId,
    /// Rows that the last statement changed.
    pub(crate) touched: Vec<MailId>,
    /// What the last transaction did, as a history has it.
    pub(crate) said: Vec<Value>,
    /// Whether anybody wants to know.
    is_heard: bool,
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

    fn say(&mut self, statement: impl FnOnce() -> Value) {
        if self.is_heard {
            self.said.push(statement());
        }
    }

    fn change(&mut self, id: MailId, change: impl FnOnce(&mut Row)) {
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

    // Jobs: River's.

    pub(crate) fn insert_job(&mut self, work: Work, queue: Queue, at: Option<i64>, now: i64) -> JobId {
        self.next_job += 1;
        let scheduled_at = at.unwrap_or(now);
        let later = scheduled_at > now;
        let job = Job { work, queue, running: false, created_at: now, scheduled_at, attempted_at: 0, later };
        self.jobs.insert(self.next_job, job);
        self.waiting.entry(queue).or_default().insert((scheduled_at, self.next_job));
        self.news = true;
        self.next_job
    }

    /// Gives a mail its next job.
    pub(crate) fn schedule(&mut self, id: MailId, at: Option<i64>, now: i64) {
        let Some(class) = self.mails.get(&id).map(|row| row.class) else { return };
        let job = self.insert_job(Work::Send(id), Queue::Mails(class), at, now);
        self.change(id, |row| row.job = Some(job));
    }

    pub(crate) fn complete(&mut self, job: JobId) {
        if self.jobs.get(&job).is_some_and(|job| job.running) {
            self.jobs.remove(&job);
        }
    }

    pub(crate) fn snooze(&mut self, job: JobId, at: i64) {
        self.wait_again(job, at, true);
    }

    fn wait_again(&mut self, id: JobId, at: i64, later: bool) {
        if let Some(job) = self.jobs.get_mut(&id)
            && job.running
        {
            job.running = false;
            job.scheduled_at = at;
            job.later = later;
            self.waiting.entry(job.queue).or_default().insert((at, id));
            self.news = true;
        }
    }

    pub(crate) fn fetch(&mut self, queue: Queue, now: i64) -> Option<JobId> {
        let (at, first) = self.waiting.get(&queue)?.first().copied()?;
        let job = self.jobs.get_mut(&first)?;
        if job.comes_at() > now {
            return None;
        }
        job.running = true;
        job.attempted_at = now;
        self.waiting.entry(queue).or_default().remove(&(at, first));
        Some(first)
    }

    /// When the next job of that queue comes.
    pub(crate) fn next_job_at(&self, queue: Queue) -> Option<i64> {
        let (_, first) = self.waiting.get(&queue)?.first()?;
        self.jobs.get(first).map(Job::comes_at)
    }

    /// River's rescue of jobs whose node died.
    pub(crate) fn rescue(&mut self, now: i64) {
        let dead = |job: &Job| job.running && job.attempted_at + job.rescued_after() <= now;
        let dead: Vec<JobId> = self.jobs.iter().filter(|(_, job)| dead(job)).map(|(id, _)| *id).collect();
        for job in dead {
            self.wait_again(job, now, false);
        }
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

    /// `Stranded`: mails that should be moving and have no job that will come to them in time.
    pub(crate) fn stranded(&mut self, now: i64) -> Vec<MailId> {
        let found: Vec<MailId> = self
            .mails
            .iter()
            .filter(|(id, row)| self.is_stranded(**id, row, now))
            .map(|(id, _)| *id)
            .collect();
        if self.is_heard {
            let jobs: Vec<Value> =
                self.mails.iter().filter_map(|(id, row)| self.job_of(*id, row, now)).collect();
            self.say(|| json!({"op": "stranded", "grace": REAPER_GRACE, "jobs": jobs, "result": found}));
        }
        found
    }

    fn job_of(&self, mail: MailId, row: &Row, now: i64) -> Option<Value> {
        let id = row.job?;
        let job = self.jobs.get(&id)?;
        Some(json!({
            "id": id, "mail": mail, "state": job.river_state(now), "scheduled_at": job.scheduled_at,
            "attempted_at": job.attempted_at,
        }))
    }

    /// Until when nothing of time alone can strand a mail; `None` where nothing waits.
    pub(crate) fn quiet_until(&self, now: i64) -> Option<i64> {
        let mails = self.mails.values().filter(|row| row.finished_at.is_none()).flat_map(|row| {
            let job = row.job.and_then(|job| self.jobs.get(&job));
            [
                Some(row.queued_at + REAPER_GRACE + 1),
                row.next_attempt_at,
                row.lease_until.map(|until| if row.has_body { until } else { until + MINUTE + 1 }),
                Some(row.expires_at),
                job.map(|job| job.scheduled_at + 4 * REAPER_GRACE + 1),
                job.map(|job| job.attempted_at + REAPER_GRACE),
            ]
        });
        let jobs = self.jobs.values().filter(|job| job.running);
        let rescues = jobs.map(|job| Some(job.attempted_at + job.rescued_after()));
        mails.chain(rescues).flatten().filter(|at| *at > now).min()
    }

    fn is_stranded(&self, id: MailId, row: &Row, now: i64) -> bool {
        if row.finished_at.is_some() || !row.has_body || row.queued_at >= now - REAPER_GRACE {
            return false;
        }
        let mail = self.standing(id).unwrap();
        let waits = matches!(row.state, State::Queued | State::Deferred | State::PerhapsDelivered);
        let should_move = mail.is_due(now) || (waits && mail.has_expired(now));
        if !should_move {
            return false;
        }
        let Some(job) = row.job.and_then(|job| self.jobs.get(&job)) else { return true };
        let grace = REAPER_GRACE;
        !if job.running {
            job.attempted_at > now - grace && row.state != State::Sending
        } else if job.river_state(now) == "scheduled" {
            (now - 4 * grace..=now + grace).contains(&job.scheduled_at)
        } else {
            job.scheduled_at < now + grace
        }
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
