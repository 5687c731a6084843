//! River's jobs: what looks after a mail until it is sent, and what is found where none does.

use postroom_core::standing::State;
use serde_json::{Value, json};

use crate::clock::{MINUTE, SECOND};
use crate::database::{Database, JobId, MailId, REAPER_GRACE, Row};
use crate::rules::Class;

/// How long a job of a dead node counts as running, by what it does.
const RESCUE_REQUEST: i64 = 40 * SECOND;
const RESCUE_SEND: i64 = 40 * MINUTE;

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

impl Database {
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
}
