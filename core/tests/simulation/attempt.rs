//! One mail being sent under its lease, step for step as in `server/internal/outbox/attempt.go`.

use std::cell::Cell;
use std::fmt::Write as _;
use std::rc::Rc;

use postroom_core::standing::{HeldBy, State};
use postroom_core::{Failure, Outcome, Step};

use crate::clock::{Bell, MINUTE, SECOND};
use crate::database::{JobId, LEASE_LIFE, Lease, NewMail, Verdict};
use crate::node::Process;
use crate::peer::{Due, STEPS, Turn, broke};
use crate::plan::Trouble;
use crate::rules::{Class, Fault, Judge, Judged, judged_as};

/// How long an outcome is tried to be written.
const WRITING: i64 = 14 * MINUTE;

/// Sends the mail and writes what became of it.
pub(crate) async fn attempt(process: &Process, lease: Lease, job: Option<JobId>) {
    let world = &process.world;
    process.step("after it took a lease").await;
    if world.plan.capture {
        let reason = "Captured".to_owned();
        let verdict =
            Verdict { state: State::Held, held_by: Some(HeldBy::Capture), next: None, reason, fault: false };
        return finish(process, &lease, verdict, job, None).await;
    }
    let damaged = world.truth.borrow().is_damaged(lease.mail);
    if damaged || world.strikes(Trouble::OurOwn, 4) {
        let error = damaged.then_some("corrupt");
        let verdict = failed(process, &lease, error, None);
        return finish(process, &lease, verdict, job, None).await;
    }
    process.step("after it opened the mail").await;

    let talk = Talk { lost: Rc::default(), over: Rc::default(), given_up: Rc::default() };
    process.spawn({
        let (lease, talk) = (lease.clone(), talk.clone());
        |process| async move { renew(&process, &lease, &talk).await }
    });
    let turn = Turn::of(&world.plan, &world.chance, world.is_troubled());
    let stop = world.nodes[process.node].stop.borrow().clone();
    world.truth.borrow_mut().turn(lease.mail, lease.fence, turn.due());
    let outcome = converse(process, &lease, turn, &talk.lost, &stop).await;
    talk.over.ring(&world.clock);
    let broken_off = stop.has_rung() && !talk.given_up.get();
    if broken_off && outcome.step != Step::FinalDot {
        return give_back(process, &lease, job).await;
    }
    process.step("after the conversation").await;

    // By PostgreSQL's clock, as it was when the lease was taken, and what has passed since.
    let now = world.now();
    let verdict = if world.strikes(Trouble::OurOwn, 12) {
        failed(process, &lease, None, Some(outcome))
    } else {
        let args = Judge {
            outcome,
            kind: judged_as(&lease.kind, lease.class),
            attempts: lease.attempts,
            expires_at: lease.expires_at,
            perhaps: lease.perhaps,
        };
        let judged = (world.rules.judge)(
            &args,
            now + (world.rules.clock)(world.nodes[process.node].off),
            &world.chance.octets(8),
        );
        world.truth.borrow_mut().judged(&lease, &judged, now);
        of(judged, false)
    };
    finish(process, &lease, verdict, job, Some(turn.due())).await;
}

fn of(judged: Judged, fault: bool) -> Verdict {
    Verdict { state: judged.state, held_by: None, next: judged.next_attempt_at, reason: judged.reason, fault }
}

/// An attempt that failed in our own code.
fn failed(
    process: &Process,
    lease: &Lease,
    error: Option<&'static str>,
    outcome: Option<Outcome>,
) -> Verdict {
    let world = &process.world;
    let faults = world.db.borrow().mails.get(&lease.mail).map_or(0, |row| row.faults);
    let args = Fault { error, faults, perhaps: lease.perhaps, outcome, expires_at: lease.expires_at };
    of((world.rules.fault)(&args, world.now()), true)
}

#[derive(Clone)]
struct Talk {
    lost: Rc<Bell>,
    over: Rc<Bell>,
    /// The lease was lost, or could not be renewed in time.
    given_up: Rc<Cell<bool>>,
}

/// Keeps the lease alive while the conversation lasts.
async fn renew(process: &Process, lease: &Lease, talk: &Talk) {
    let world = &process.world;
    let mut safe = world.now();
    loop {
        if talk.over.has_rung() || !world.clock.sleep_unless(LEASE_LIFE / 3, &[&talk.over]).await {
            return;
        }
        let began = world.now();
        let mine = process.ask("while it sent a mail", |db, now| db.renew(lease, now)).await;
        if talk.over.has_rung() {
            return;
        }
        if mine == Ok(true) {
            safe = began;
        }
        if mine == Ok(false) || world.now() - safe > LEASE_LIFE * 5 / 6 {
            world.tell(|text| {
                let _ =
                    write!(text, "{} gives up its lease of mail {}", world.name(process.node), lease.mail);
            });
            talk.given_up.set(true);
            talk.lost.ring(&world.clock);
            return;
        }
    }
}

/// The conversation, until it ends or is broken off.
async fn converse(process: &Process, lease: &Lease, turn: Turn, lost: &Bell, stop: &Bell) -> Outcome {
    let world = &process.world;
    world.tell(|text| {
        let _ = write!(
            text,
            "{} sends mail {} (fence {}): {turn:?}",
            world.name(process.node),
            lease.mail,
            lease.fence
        );
    });
    for (step, deadline) in STEPS {
        process.step("in a conversation").await;
        // The message is the server's from here on, whether or not it says so, and whoever is still there to hear it.
        if step == Step::FinalDot && matches!(turn, Turn::Accept { .. } | Turn::NoReceipt { taken: true, .. })
        {
            world.arrived(lease.mail, lease.fence);
            process.step("after the final dot").await;
        }
        if lost.has_rung() || stop.has_rung() {
            return broke(step, Failure::Other);
        }
        if !world.clock.sleep_unless(turn.takes(step, deadline, &world.chance), &[lost, stop]).await {
            return broke(step, Failure::Other);
        }
        if let Some(outcome) = turn.ends_at(step) {
            if turn.due() == Due::Sent {
                world.truth.borrow_mut().heard(lease.mail, lease.fence);
            }
            return outcome;
        }
    }
    broke(Step::FinalDot, Failure::Protocol)
}

/// A conversation that we broke off before the server could have the mail.
async fn give_back(process: &Process, lease: &Lease, job: Option<JobId>) {
    let _ = process
        .ask("before it gave a mail back", |db, now| {
            db.release(lease);
            db.schedule(lease.mail, None, now);
            if let Some(job) = job {
                db.complete(job);
            }
        })
        .await;
}

/// Writes the verdict, with the job that comes next where there is one, until that is done or another has the mail.
async fn finish(process: &Process, lease: &Lease, verdict: Verdict, job: Option<JobId>, due: Option<Due>) {
    let world = &process.world;
    let mut until = world.now() + WRITING;
    loop {
        let written = process
            .ask("before it wrote an outcome", |db, now| {
                let mine = db.finish(lease, &verdict, now);
                world.truth.borrow_mut().finished(lease, &verdict, mine, due);
                if mine && verdict.next.is_some() {
                    db.schedule(lease.mail, verdict.next, now);
                }
                if let Some(job) = job {
                    db.complete(job);
                }
            })
            .await;
        if written.is_ok() || world.now() > until {
            return;
        }
        if world.nodes[process.node].stop.borrow().has_rung() {
            until = until.min(world.now() + 3 * SECOND);
        }
        world.clock.sleep(200).await;
    }
}

/// An admin's test mail: sent at once, recorded, tried once.
pub(crate) async fn test_mail(process: &Process) {
    process.spawn(|process| async move {
        let world = Rc::clone(&process.world);
        let life = 3 * MINUTE;
        let new = NewMail {
            id: world.db.borrow_mut().new_id(),
            kind: "test".into(),
            class: Class::Account,
            account: None,
            has_link: false,
            has_body: false,
            expires_at: world.now() + life,
            key_id: "",
            leased: true,
        };
        let owner = process.owner;
        let recorded = process
            .ask("before it recorded a test", |db, now| {
                db.insert(&new, now);
                let mut truth = world.truth.borrow_mut();
                truth.made(&new, None, true, now);
                let lease = db.lease(new.id, now);
                truth.leased(db, &lease, owner, None, now);
                lease
            })
            .await;
        let Ok(lease) = recorded else { return };
        let turn = Turn::of(&world.plan, &world.chance, world.is_troubled());
        world.truth.borrow_mut().turn(lease.mail, lease.fence, turn.due());
        let never = Bell::default();
        let outcome = converse(&process, &lease, turn, &never, &never).await;
        let args = Judge { outcome, kind: "test", attempts: 1, expires_at: lease.expires_at, perhaps: false };
        let verdict = of((world.rules.judge)(&args, world.now(), &world.chance.octets(8)), false);
        let _ = process
            .ask("before it recorded a test's outcome", |db, now| {
                let mine = db.finish(&lease, &verdict, now);
                world.truth.borrow_mut().finished(&lease, &verdict, mine, Some(turn.due()));
            })
            .await;
    });
}
