//! A node's process: its workers, keeper, start and death, step for step as in `server/internal/outbox`.

use std::fmt::Write as _;
use std::rc::Rc;

use postroom_core::standing::State;
use serde_json::json;

use crate::attempt::attempt;
use crate::clock::{Bell, MINUTE, Owner, SECOND, for_ever};
use crate::database::{Database, Facts, JobId, Lease, MailId, NewMail, Token};
use crate::plan::Trouble;
use crate::river::{Queue, Work};
use crate::rules::{self, Attend, Class, Prepared, Todo};
use crate::world::{STATEMENT, Shared};

const SENDERS: [usize; 3] = [32, 16, 16];
const REQUEST_WORKERS: usize = 8;
const MAIL_WORKERS: usize = 16;

pub(crate) const SUPERSEDED: &str = "A newer request replaced this one before the mail left.";

/// The database is out of reach, or its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// One process of a node. It is a handle: every task of the process has one.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) world: Shared,
    pub(crate) node: usize,
    pub(crate) owner: Owner,
}

/// Starts a process of that node.
pub(crate) fn start(world: &Shared, node: usize) {
    let owner = world.new_process();
    let of = &world.nodes[node];
    of.process.set(owner);
    of.up.set(true);
    of.draining.set(false);
    of.stop.replace(Rc::new(Bell::default()));
    of.sending.iter().chain(&of.working).for_each(|places| places.set(0));
    world.tell(|text| {
        let _ = write!(text, "{} starts", world.name(node));
    });
    let process = Process { world: Rc::clone(world), node, owner };
    for queue in [
        Queue::Requests,
        Queue::Mails(Class::Account),
        Queue::Mails(Class::Invitation),
        Queue::Mails(Class::Notification),
    ] {
        process.spawn(|process| async move { process.work_on(queue).await });
    }
    process.spawn(|process| async move { process.keep().await });
}

/// Ends the process at once.
pub(crate) fn kill(world: &Shared, node: usize, why: &str) {
    let of = &world.nodes[node];
    if !of.up.replace(false) {
        return;
    }
    world.clock.kill(of.process.get());
    world.truth.borrow_mut().process_died(of.process.get());
    world.tell(|text| {
        let _ = write!(text, "{} dies {why}", world.name(node));
    });
    // Most come back within seconds; some machines are away for longer, and one node has to be left.
    let away = if world.nodes.len() > 1 && world.chance.one_in(4) {
        world.chance.between(MINUTE, 20 * MINUTE)
    } else {
        world.chance.between(SECOND, 30 * SECOND)
    };
    let again = Rc::clone(world);
    world.clock.spawn(crate::world::OUTSIDE, async move {
        again.clock.sleep(away).await;
        start(&again, node);
    });
}

fn queue_place(queue: Queue) -> usize {
    match queue {
        Queue::Requests => 3,
        Queue::Mails(class) => class as usize,
    }
}

impl Process {
    pub(crate) fn spawn<F>(&self, task: impl FnOnce(Self) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        self.world.clock.spawn(self.owner, task(self.clone()));
    }

    /// Between two steps: here the process may die.
    pub(crate) async fn step(&self, after: &str) {
        if self.world.strikes(Trouble::Crash, 400) {
            kill(&self.world, self.node, after);
            for_ever().await;
        }
    }

    /// Asks the database. An error may mean that the statement was executed all the same.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        work: impl FnOnce(&mut Database, i64) -> T,
    ) -> Result<T, Unreachable> {
        let world = &self.world;
        world.clock.sleep(world.chance.between(1, 15)).await;
        self.step(what).await;
        if world.is_away(self.node, world.now()) {
            world.clock.sleep(world.chance.between(100, STATEMENT)).await;
            return Err(Unreachable);
        }
        let out = world.execute(world.name(self.node), work);
        self.step(what).await;
        if world.strikes(Trouble::Database, 60) {
            world.tell(|text| {
                let _ = write!(text, "{} does not hear of it", world.name(self.node));
            });
            world.clock.sleep(world.chance.between(100, STATEMENT)).await;
            return Err(Unreachable);
        }
        world.clock.sleep(world.chance.between(1, 10)).await;
        Ok(out)
    }

    pub(crate) fn works(&self) -> bool {
        !self.world.held.get() && !self.world.nodes[self.node].draining.get()
    }

    /// A free place among this node's senders of that class.
    pub(crate) fn free_sender(&self, class: Class) -> bool {
        let places = &self.world.nodes[self.node].sending[class as usize];
        let free = self.works() && places.get() < SENDERS[class as usize];
        places.set(places.get() + usize::from(free));
        free
    }

    pub(crate) fn free(&self, class: Class) {
        let places = &self.world.nodes[self.node].sending[class as usize];
        places.set(places.get() - 1);
    }

    /// Sends a mail that was born with a lease.
    pub(crate) fn send_at_once(&self, lease: Lease) {
        self.spawn(|process| async move {
            let class = lease.class;
            attempt(&process, lease, None).await;
            process.free(class);
        });
    }

    /// Fetches jobs of a queue while workers are free.
    async fn work_on(&self, queue: Queue) {
        let world = &self.world;
        let node = &world.nodes[self.node];
        let workers = if queue == Queue::Requests { REQUEST_WORKERS } else { MAIL_WORKERS };
        let busy = &node.working[queue_place(queue)];
        loop {
            if !self.works() || busy.get() >= workers {
                self.rest(None).await;
                continue;
            }
            let next = world.db.borrow().next_job_at(queue);
            let now = world.now();
            if next.is_none_or(|at| at > now) {
                self.rest(next.map(|at| at - now)).await;
                continue;
            }
            world.clock.sleep(world.chance.between(1, 50)).await;
            if world.is_away(self.node, world.now()) {
                world.clock.sleep(SECOND).await;
                continue;
            }
            while self.works() && busy.get() < workers {
                let Some(job) = world.execute("", |db, now| db.fetch(queue, now)) else { break };
                busy.set(busy.get() + 1);
                self.step("after it fetched a job").await;
                self.spawn(|process| async move {
                    process.work(job).await;
                    let busy = &process.world.nodes[process.node].working[queue_place(queue)];
                    busy.set(busy.get() - 1);
                    process.world.nodes[process.node].work.ring(&process.world.clock);
                });
            }
        }
    }

    /// Sleeps until something happened.
    pub(crate) async fn rest(&self, span: Option<i64>) {
        let bell = &self.world.nodes[self.node].work;
        self.world.clock.sleep_unless(span.unwrap_or(1_000 * MINUTE), &[bell]).await;
    }

    async fn work(&self, job: JobId) {
        let Some(of) = self.world.db.borrow().jobs.get(&job).cloned() else { return };
        let done = match of.work {
            Work::Request { account, kind } => self.work_request(job, account, kind, of.created_at).await,
            Work::Send(mail) => self.work_send(job, mail).await,
        };
        if done.is_err() {
            // The job comes again, the later the older it is.
            let age = self.world.now() - of.created_at;
            let again = (age / 4).clamp(SECOND, MINUTE);
            while self.ask("with a job to put off", |db, now| db.snooze(job, now + again)).await.is_err() {}
        }
    }

    async fn work_request(
        &self,
        job: JobId,
        account: usize,
        kind: &'static str,
        created: i64,
    ) -> Result<(), Unreachable> {
        for _ in 0..5 {
            let (facts, now) =
                self.ask("before it read the facts", |db, now| (db.facts(account, kind, now), now)).await?;
            let decision = self.prepare(account, kind, created, &facts, now, true);
            self.step("after it composed a mail").await;
            if self.write(job, account, kind, created, &facts, decision).await? {
                return Ok(());
            }
        }
        Err(Unreachable)
    }

    fn prepare(
        &self,
        account: usize,
        kind: &'static str,
        requested: i64,
        facts: &Facts,
        now: i64,
        limited: bool,
    ) -> Prepared {
        let args = json!({
            "kind": kind, "requested_at": requested, "redirect": null, "site": rules::site(), "key": rules::KEY,
            "account": {
                "id": account.to_string(), "email": format!("p{account}@example.com"), "username": "p", "locale": "en",
                "auth_service": "", "has_auth_data": false, "remote": false, "guest": false, "deleted": facts.deleted,
                "email_verified": facts.verified, "password_stamp": facts.stamp,
            },
            "previous": if limited { facts.previous.map(|(_, at)| json!({"requested_at": at})) } else { None },
            "limit": {"per_hour": if limited { rules::LIMIT_PER_HOUR } else { 0 }, "tat_ms": if limited { facts.limit_tat } else { None }},
        });
        rules::prepare(&args, now, &self.world.chance)
    }

    /// Commits a decision with its job's completion; false where the facts have moved.
    async fn write(
        &self,
        job: JobId,
        account: usize,
        kind: &'static str,
        requested: i64,
        facts: &Facts,
        decision: Prepared,
    ) -> Result<bool, Unreachable> {
        let world = &self.world;
        let made = decision.mail.zip(decision.token);
        let Some((mail, token)) = made else {
            return self
                .ask("before it wrote a decision", |db, now| {
                    if db.facts(account, kind, now) != *facts {
                        return false;
                    }
                    db.complete(job);
                    world.truth.borrow_mut().skipped(job, decision.reason.as_deref());
                    true
                })
                .await;
        };
        let leased = self.free_sender(Class::Account);
        let new = NewMail {
            id: world.db.borrow_mut().new_id(),
            kind: kind.to_owned(),
            class: Class::Account,
            account: Some(account),
            has_link: true,
            has_body: true,
            expires_at: mail.expires_at,
            key_id: world.nodes[self.node].key_id.get(),
            leased,
        };
        let token = Token { account, kind, requested_at: requested, expires_at: token.expires_at };
        let owner = self.owner;
        let written = self
            .ask("before it wrote a decision", |db, now| {
                let undecided = db.jobs.contains_key(&job);
                if db.facts(account, kind, now) != *facts {
                    return None;
                }
                world.truth.borrow_mut().minted(new.id, account, kind, now);
                db.write(token, &new, decision.limit_tat_ms, SUPERSEDED, now);
                db.complete(job);
                let mut truth = world.truth.borrow_mut();
                truth.made(&new, Some(job), undecided, now);
                truth.after_write(db, account, kind, new.id);
                let lease = db.lease(new.id, now);
                if leased {
                    truth.leased(db, &lease, owner, None, now);
                }
                Some(lease)
            })
            .await;
        match written {
            Ok(Some(lease)) => {
                if leased {
                    self.send_at_once(lease);
                }
                Ok(true)
            }
            not => {
                if leased {
                    self.free(Class::Account);
                }
                not.map(|_| false)
            }
        }
    }

    /// Takes the mail if it may be taken, and else does what the core says.
    async fn work_send(&self, job: JobId, mail: MailId) -> Result<(), Unreachable> {
        let world = &self.world;
        let key = world.nodes[self.node].key_id.get();
        let owner = self.owner;
        let lease = self
            .ask("before it took a lease", |db, now| {
                let before = db.mails.get(&mail).cloned();
                let lease = db.take_lease(mail, key, now)?;
                world.truth.borrow_mut().leased(db, &lease, owner, before.as_ref(), now);
                Some(lease)
            })
            .await?;
        if let Some(lease) = lease {
            attempt(self, lease, Some(job)).await;
            return Ok(());
        }
        let (standing, now) =
            self.ask("before it read how a mail stands", |db, now| (db.standing(mail), now)).await?;
        let mut args = Attend { mail: standing, key_id: Some(key), connected: true, not_composed: None };
        let todo = (world.rules.attend)(&args, now);
        *world.todos.borrow_mut().entry(todo.name()).or_default() += 1;
        self.step("after it was told what to do").await;
        world.tell(|text| {
            let _ = write!(text, "{} attends to mail {mail}: {todo:?}", world.name(self.node));
        });
        match todo {
            Todo::Leave => {}
            Todo::Blocked => return Err(Unreachable),
            Todo::End { state, reason } => self.end(mail, state, &reason).await?,
            Todo::LookAgain { at, key_missing } => {
                self.ask("before it put a mail off", |db, now| {
                    if key_missing {
                        db.miss_key(mail, at, now);
                    }
                    db.put_off(mail, job, at, now);
                })
                .await?;
            }
            Todo::ComposeAnew { reason } => self.compose_anew(job, mail, &mut args, &reason).await?,
        }
        self.ask("before a job was completed", |db, _| db.complete(job)).await
    }

    async fn end(&self, mail: MailId, state: State, reason: &str) -> Result<(), Unreachable> {
        self.ask("before it ended a mail", |db, now| db.end(mail, state, reason, now)).await.map(|_| ())
    }

    async fn compose_anew(
        &self,
        job: JobId,
        mail: MailId,
        args: &mut Attend,
        why: &str,
    ) -> Result<(), Unreachable> {
        let world = &self.world;
        let Some(row) = world.db.borrow().mails.get(&mail).cloned() else { return Ok(()) };
        let Some(account) = row.account else { return Ok(()) };
        let kind = if row.kind == "reset" { "reset" } else { "verify" };
        let (facts, now) =
            self.ask("before it read the facts", |db, now| (db.facts(account, kind, now), now)).await?;
        let decision = self.prepare(account, kind, row.queued_at, &facts, now, false);
        let Some((made, token)) = decision.mail.zip(decision.token) else {
            args.not_composed = decision.reason;
            if let Todo::End { state, reason } = (world.rules.attend)(args, now) {
                self.end(mail, state, &reason).await?;
            }
            return Ok(());
        };
        let new = NewMail {
            id: world.db.borrow_mut().new_id(),
            kind: row.kind,
            class: Class::Account,
            account: Some(account),
            has_link: true,
            has_body: true,
            expires_at: made.expires_at,
            key_id: world.nodes[self.node].key_id.get(),
            leased: false,
        };
        let token = Token { account, kind, requested_at: row.queued_at, expires_at: token.expires_at };
        self.ask("before it wrote a mail composed anew", |db, now| {
            if db.facts(account, kind, now) != facts {
                return Err(Unreachable);
            }
            world.truth.borrow_mut().minted(new.id, account, kind, now);
            db.write(token, &new, None, why, now);
            db.complete(job);
            let mut truth = world.truth.borrow_mut();
            truth.made(&new, None, true, now);
            truth.after_write(db, account, kind, new.id);
            Ok(())
        })
        .await?
    }
}
