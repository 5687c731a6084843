//! What really happened, kept apart from the rows, and the promise that every statement and delivery is held to
//! (`docs/simulation.md` lists it).

use std::collections::{BTreeMap, BTreeSet};

use postroom_core::standing::State;

use crate::clock::{HOUR, MINUTE, Owner, SECOND};
use crate::database::{Database, JobId, Lease, MailId, NewMail, Row, Verdict};
use crate::peer::Due;
use crate::plan::Plan;
use crate::rules::{Class, Judged};

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// One mail, as the world knows it.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    pub(crate) expires_at: i64,
    pub(crate) is_test: bool,
    pub(crate) class: Option<Class>,
    /// When it was asked for.
    pub(crate) made_at: i64,
    /// Since when nobody should get it any more, and why.
    pub(crate) dead: Option<(i64, &'static str)>,
    pub(crate) damaged: bool,
    pub(crate) first_attempt_at: Option<i64>,
    pub(crate) attempts: BTreeMap<i64, Attempt>,
    /// Whether it was set aside by our own failures at least once, or its key was ever missing.
    pub(crate) own_trouble: bool,
}

#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) by: Owner,
    pub(crate) due: Option<Due>,
    /// The server has it.
    pub(crate) delivered: bool,
    /// And its 2xx was heard.
    pub(crate) heard: bool,
    pub(crate) died: bool,
    pub(crate) lapsed: bool,
    pub(crate) written: bool,
}

/// The ledger.
pub(crate) struct Truth {
    pub(crate) broken: Option<Broken>,
    plan: Plan,
    pub(crate) fates: BTreeMap<MailId, Fate>,
    seen: BTreeMap<MailId, Row>,
    tokens: BTreeMap<(usize, &'static str), MailId>,
    pub(crate) open: BTreeSet<MailId>,
    pub(crate) requests: BTreeMap<JobId, i64>,
    pub(crate) calm_at: Option<i64>,
    pub(crate) discarded: bool,
    pub(crate) deliveries: usize,
    pub(crate) duplicates: usize,
}

/// Waits after the first, second, … attempt in seconds, as `checklists.md` promises them; then an hour.
const SCHEDULE: [i64; 8] = [10, 30, 60, 120, 300, 600, 900, 1_800];
/// A reset leaves within that, whatever else waits (R11).
const FLOOD_BOUND: i64 = 5 * SECOND;

impl Truth {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            broken: None,
            plan: plan.clone(),
            fates: BTreeMap::new(),
            seen: BTreeMap::new(),
            tokens: BTreeMap::new(),
            open: BTreeSet::new(),
            requests: BTreeMap::new(),
            calm_at: None,
            discarded: false,
            deliveries: 0,
            duplicates: 0,
        }
    }

    pub(crate) fn check(&mut self, holds: bool, invariant: &'static str, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(Broken { invariant, what: what() });
        }
    }

    pub(crate) fn outstanding(&self, now: i64) -> bool {
        // A little longer, so that what would change a final row has its chance.
        !self.open.is_empty() || !self.requests.is_empty() || self.calm_at.is_none_or(|at| now < at + MINUTE)
    }

    // What comes in.

    pub(crate) fn asked(&mut self, job: JobId, now: i64) {
        self.requests.insert(job, now);
    }

    /// No mail was made of it.
    pub(crate) fn skipped(&mut self, job: JobId, reason: Option<&str>) {
        let asked = self.requests.remove(&job).is_some();
        self.check(!asked || reason.is_some(), "a request that brings no mail says why", || {
            format!("job {job}")
        });
    }

    /// A new token takes the place of the account's older one, from this commit on.
    pub(crate) fn minted(&mut self, mail: MailId, account: usize, kind: &'static str, now: i64) {
        if let Some(old) = self.tokens.insert((account, kind), mail)
            && let Some(old) = self.fates.get_mut(&old)
        {
            old.dead.get_or_insert((now, "replaced"));
        }
    }

    pub(crate) fn used(&mut self, mail: MailId, now: i64) {
        if let Some(fate) = self.fates.get_mut(&mail) {
            fate.dead.get_or_insert((now, "used"));
        }
        self.tokens.retain(|_, of| *of != mail);
    }

    pub(crate) fn made(&mut self, mail: &NewMail, request: Option<JobId>, first: bool, now: i64) {
        let mut made_at = now;
        if let Some(job) = request {
            let asked = self.requests.remove(&job);
            made_at = asked.unwrap_or(now);
            let once = asked.is_some() == first;
            self.check(once, "a request is decided once", || format!("job {job} made mail {}", mail.id));
        }
        self.open.insert(mail.id);
        self.fates.insert(
            mail.id,
            Fate {
                expires_at: mail.expires_at,
                is_test: mail.kind == "test",
                class: Some(mail.class),
                made_at,
                ..Fate::default()
            },
        );
    }

    /// The server that keeps bodies spoilt one.
    pub(crate) fn spoil(&mut self, mail: MailId) {
        if let Some(fate) = self.fates.get_mut(&mail) {
            fate.damaged = true;
        }
    }

    pub(crate) fn is_damaged(&self, mail: MailId) -> bool {
        self.fates.get(&mail).is_some_and(|fate| fate.damaged)
    }

    pub(crate) fn discard(&mut self) {
        self.discarded = true;
        self.requests.clear();
    }

    // What is sent.

    /// Someone has become a mail's sender; `before` is its row until then, `None` where it was born so.
    pub(crate) fn leased(&mut self, db: &Database, lease: &Lease, by: Owner, before: Option<&Row>, now: i64) {
        let id = lease.mail;
        let Some(fate) = self.fates.get_mut(&id) else { return };
        let (dead, expires_at, test) = (fate.dead, fate.expires_at, fate.is_test);
        fate.first_attempt_at.get_or_insert(now);
        let mut duplicate = false;
        let mut fenced = true;
        if let Some(row) = before {
            let was_leased = row.state == State::Sending;
            let live = was_leased && row.lease_until.is_some_and(|until| until > now);
            fenced = !live;
            if let Some(last) = fate.attempts.get_mut(&row.fence) {
                last.lapsed |= was_leased && !live;
            }
            duplicate = fate.attempts.values().any(|one| {
                // It arrived, and its sender heard so, lived, and had the right to write it.
                one.delivered && one.heard && !one.died && !one.lapsed
            });
        }
        fate.attempts.insert(
            lease.fence,
            Attempt {
                by,
                due: None,
                delivered: false,
                heard: false,
                died: false,
                lapsed: false,
                written: false,
            },
        );
        let row = &db.mails[&id];
        self.check(fenced, "one sender at a time", || format!("mail {id} was taken while its lease held"));
        self.check(!duplicate, "a duplicate has its excuse", || {
            format!("mail {id} is sent again although its receipt was heard by a sender that had its lease")
        });
        self.check(dead.is_none_or(|(at, _)| at > now), "R18: a dead link is not sent", || {
            format!("mail {id} was taken {} ms after its link was {}", now - dead.unwrap().0, dead.unwrap().1)
        });
        self.check(expires_at > now, "nothing is sent after its lifetime", || {
            format!("mail {id} was taken {} ms after its end", now - expires_at)
        });
        self.check(row.attempts >= 1 && row.fence == lease.fence, "each lease has its number", || {
            format!("mail {id}: {row:?}")
        });
        self.check(!test || lease.fence == 1, "a test is tried once", || {
            format!("mail {id} was taken again")
        });
        if self.plan.flood > 0 && lease.class == Class::Account {
            self.check_flood(id, now);
        }
    }

    /// Of a first attempt only: later ones wait for their time.
    fn check_flood(&mut self, id: MailId, now: i64) {
        let Some(fate) = self.fates.get(&id) else { return };
        if fate.attempts.len() == 1 && fate.class == Some(Class::Account) {
            let waited = now - fate.made_at;
            self.check(waited <= FLOOD_BOUND, "R11: account mail does not wait", || {
                format!("mail {id} waited {waited} ms for its first attempt")
            });
        }
    }

    pub(crate) fn turn(&mut self, mail: MailId, fence: i64, due: Due) {
        if let Some(one) = self.attempt(mail, fence) {
            one.due = Some(due);
        }
    }

    pub(crate) fn delivered(&mut self, mail: MailId, fence: i64) {
        self.deliveries += 1;
        let Some(fate) = self.fates.get_mut(&mail) else { return };
        self.duplicates += usize::from(fate.attempts.values().any(|one| one.delivered));
        if let Some(one) = fate.attempts.get_mut(&fence) {
            one.delivered = true;
        }
    }

    pub(crate) fn heard(&mut self, mail: MailId, fence: i64) {
        if let Some(one) = self.attempt(mail, fence) {
            one.heard = true;
        }
    }

    fn attempt(&mut self, mail: MailId, fence: i64) -> Option<&mut Attempt> {
        self.fates.get_mut(&mail)?.attempts.get_mut(&fence)
    }

    pub(crate) fn process_died(&mut self, process: Owner) {
        for fate in self.fates.values_mut() {
            for one in fate.attempts.values_mut().filter(|one| one.by == process && !one.written) {
                one.died = true;
            }
        }
    }

    /// The core has judged an outcome: when does the mail go again?
    pub(crate) fn judged(&mut self, lease: &Lease, judged: &Judged, now: i64) {
        let Some(next) = judged.next_attempt_at else { return };
        let at = usize::try_from(lease.attempts).unwrap_or(usize::MAX) - 1;
        let wait = SCHEDULE.get(at).map_or(HOUR, |seconds| seconds * SECOND);
        let left = lease.expires_at - now;
        let (least, most) = ((wait * 8 / 10).min(left / 2), wait * 12 / 10);
        let waits = next - now;
        let mail = lease.mail;
        self.check(
            (least - 2..=most + 2).contains(&waits) && next < lease.expires_at,
            "the schedule",
            || {
                format!(
                    "mail {mail} waits {waits} ms after attempt {}, with {left} ms to live",
                    lease.attempts
                )
            },
        );
    }

    /// An outcome was written, if that was still its sender's right.
    pub(crate) fn finished(&mut self, lease: &Lease, verdict: &Verdict, mine: bool, due: Option<Due>) {
        if !mine {
            return;
        }
        let (id, class, fence) = (lease.mail, lease.class, lease.fence);
        let Some(one) = self.attempt(id, fence) else { return };
        one.written = true;
        let (delivered, heard) = (one.delivered, one.heard);
        if verdict.fault
            && let Some(fate) = self.fates.get_mut(&id)
        {
            fate.own_trouble = true;
        }
        let state = verdict.state;
        let left = lease.expires_at - lease.taken_at;
        self.check((state == State::Sent) == heard, "sent is what a 2xx after the dot says", || {
            format!("mail {id} is {state:?}, receipt heard: {heard}")
        });
        self.check(
            !delivered || matches!(state, State::Sent | State::PerhapsDelivered),
            "what may have arrived is shown so",
            || format!("mail {id} is {state:?}, and the server has it"),
        );
        let waits = matches!(state, State::Deferred | State::Queued);
        self.check(
            waits == verdict.next.is_some() || state == State::PerhapsDelivered,
            "what waits has its time",
            || format!("mail {id} is {state:?}, next {:?}", verdict.next),
        );
        if verdict.fault || self.fates.get(&id).is_some_and(|fate| fate.is_test) {
            return;
        }
        let gave_up = state == State::Failed
            || (lease.perhaps && state == State::PerhapsDelivered && verdict.next.is_none());
        let promised = match due {
            Some(Due::Again) => state == State::Deferred || (gave_up && left < 26 * MINUTE),
            Some(Due::Never) => gave_up,
            Some(Due::Perhaps) => {
                let again = verdict.next.is_some();
                state == State::PerhapsDelivered
                    && (again == (class != Class::Notification) || left < 26 * MINUTE)
            }
            Some(Due::Sent) | None => true,
        };
        self.check(promised, "R3, R9: what a reply means", || format!("mail {id}: {due:?} became {state:?}"));
    }

    // What stands in the rows.

    /// After a new link was written: the account's older mails for it wait no more (S9).
    pub(crate) fn after_write(&mut self, db: &Database, account: usize, kind: &str, new: MailId) {
        let waits = |row: &&Row| {
            matches!(row.state, State::Queued | State::Deferred)
                || (row.state == State::PerhapsDelivered && row.next_attempt_at.is_some())
        };
        let mut left = db.mails.iter().filter(|(id, row)| {
            **id != new && row.account == Some(account) && row.kind == kind && waits(row)
        });
        let left = left.next().map(|(id, _)| *id);
        self.check(left.is_none(), "S9: a newer link's commit cancels the older mail", || {
            format!("mail {} still waits beside mail {new}", left.unwrap())
        });
    }

    pub(crate) fn after_statement(&mut self, db: &Database, now: i64) {
        for id in &db.touched {
            let row = &db.mails[id];
            let before = self.seen.insert(*id, row.clone());
            if let Some(fate) = self.fates.get_mut(id) {
                fate.own_trouble |= row.key_missing_since.is_some() || row.compose_anew;
            }
            // Whoever takes a lapsed lease away: its holder may no longer write.
            if let Some(before) = before.as_ref().filter(|before| before.state == State::Sending)
                && before.lease_until.is_some_and(|until| until <= now)
                && let Some(one) = self.attempt(*id, before.fence)
            {
                one.lapsed |= !one.written;
            }
            let finished = row.finished_at.is_some();
            if finished {
                self.open.remove(id);
            }
            let is_final = |row: &Row| row.finished_at.is_some();
            // A job more, which will find it done, is no change.
            let same = |before: &Row| Row { job: row.job, ..before.clone() } == *row;
            let changed = before.as_ref().is_some_and(|before| is_final(before) && !same(before));
            self.check(!changed, "what is final stays", || format!("mail {id}: {before:?} became {row:?}"));
            let body = match row.state {
                State::Sent | State::Cancelled => !row.has_body,
                // An admin may have one sent again that holds no link of ours.
                State::Failed => !(row.has_body && row.has_link),
                State::Queued | State::Deferred => row.has_body,
                State::Sending | State::Held | State::PerhapsDelivered => true,
            };
            self.check(body, "a body is kept while it is needed, and no longer", || {
                format!("mail {id}: {row:?}")
            });
            let terminal = matches!(row.state, State::Sent | State::Failed | State::Cancelled);
            self.check(!terminal || finished, "a final state is finished", || format!("mail {id}: {row:?}"));
            self.check(row.faults <= 5, "R13: put aside after five", || format!("mail {id}: {row:?}"));
            let Some(fate) = self.fates.get(id) else { continue };
            let arrived = fate.attempts.values().any(|one| one.delivered);
            let hidden = arrived && matches!(row.state, State::Failed | State::Cancelled);
            let suppressed =
                fate.is_test && matches!(row.state, State::Cancelled | State::Held | State::Queued);
            self.check(!hidden, "what may have arrived is shown so", || {
                format!("mail {id} is {:?} ({}), and the server has it", row.state, row.reason)
            });
            self.check(!suppressed, "an admin's test is never suppressed", || format!("mail {id}: {row:?}"));
            let reason = !terminal || row.state == State::Sent || !row.reason.is_empty();
            self.check(reason, "a failure says why", || format!("mail {id}: {row:?}"));
        }
    }
}
