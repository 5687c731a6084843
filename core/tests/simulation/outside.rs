//! What people, Mattermost, admins and bad luck do to the nodes.

use std::fmt::Write as _;
use std::rc::Rc;

use crate::attempt::test_mail;
use crate::clock::{MINUTE, SECOND};
use crate::database::{NewMail, Token};
use crate::node::{Process, SUPERSEDED, Unreachable, kill};
use crate::plan::Trouble;
use crate::river::{Queue, Work};
use crate::rules::{Taken, relayed};
use crate::world::{Away, OUTSIDE, START, Shared, World};

const DISCARDED: &str = "Discarded by an administrator: it was made for another SiteURL.";

/// Lets everything come that will come.
pub(crate) fn begin(world: &Shared) {
    for _ in 0..world.plan.acts {
        let world = Rc::clone(world);
        let spawn = Rc::clone(&world);
        spawn.clock.spawn(OUTSIDE, async move {
            let span = if world.plan.flood > 0 { MINUTE } else { world.plan.until };
            // Half of all come close together, so that they get in each other's way.
            let at = if world.chance.one_in(2) {
                world.chance.between(0, 40 * SECOND)
            } else {
                world.chance.between(0, span)
            };
            world.clock.sleep(at).await;
            act(&world).await;
            world.acts_left.set(world.acts_left.get() - 1);
        });
    }
    if world.plan.flood > 0 {
        let world = Rc::clone(world);
        let spawn = Rc::clone(&world);
        spawn.clock.spawn(OUTSIDE, async move {
            let notification = relayed().iter().find(|mail| mail.kind == "notification").unwrap();
            for _ in 0..world.plan.flood {
                relay(&world, notification).await;
            }
        });
    }
    for trouble in [Trouble::Crash, Trouble::Database, Trouble::Keys, Trouble::Site] {
        if world.plan.has(trouble) {
            let world = Rc::clone(world);
            let spawn = Rc::clone(&world);
            spawn.clock.spawn(OUTSIDE, async move {
                let mut times = 0;
                loop {
                    world.clock.sleep(world.chance.between(SECOND, world.plan.until / 3)).await;
                    times += 1;
                    if !world.is_troubled() || times > 12 {
                        return;
                    }
                    strike(&world, trouble).await;
                }
            });
        }
    }
    let world = Rc::clone(world);
    let spawn = Rc::clone(&world);
    spawn.clock.spawn(OUTSIDE, async move { calm(&world).await });
}

/// The troubles end, and what waits has to move.
async fn calm(world: &Shared) {
    world.clock.sleep(world.plan.until).await;
    while world.held.get()
        || world.nodes.iter().any(|node| !node.up.get() || node.draining.get())
        || world.away.borrow().iter().any(|away| away.to > world.now())
    {
        world.clock.sleep(SECOND).await;
    }
    for node in &world.nodes {
        node.key_id.set(world.nodes[0].key_id.get());
    }
    world.tell(|text| text.push_str("--- all is well from here on"));
    let due = {
        let mut truth = world.truth.borrow_mut();
        truth.calm(world.now());
        truth.due(&world.db.borrow(), world.now())
    };
    // A flood takes its time.
    for (mail, at, fence, state) in due.into_iter().filter(|_| world.plan.flood == 0) {
        let world = Rc::clone(world);
        let spawn = Rc::clone(&world);
        spawn.clock.spawn(OUTSIDE, async move {
            world.clock.sleep(at - world.now()).await;
            world.truth.borrow_mut().moved(&world.db.borrow(), mail, fence, state, world.now());
        });
    }
}

async fn act(world: &Shared) {
    match world.chance.below(12) {
        0..=4 => ask_for_a_link(world).await,
        5 | 6 if world.plan.has(Trouble::Tokens) => {
            // Again and again: the newest counts.
            for _ in 0..world.chance.between(2, 3) {
                ask_for_a_link(world).await;
                world.clock.sleep(world.chance.between(SECOND, 3 * MINUTE)).await;
            }
        }
        7 => {
            if let Some(process) = process(world) {
                test_mail(&process).await;
            }
        }
        8 if world.plan.has(Trouble::OurOwn) => {
            relay(world, &relayed()[2]).await;
            let last = world.db.borrow().mails.keys().next_back().copied();
            if let Some(mail) = last
                && world.chance.one_in(3)
            {
                world.truth.borrow_mut().spoil(mail);
            }
        }
        _ => {
            let mail = &relayed()[world.chance.below(relayed().len() as u64) as usize];
            relay(world, mail).await;
        }
    }
}

/// A process that takes something in, if any node is up.
fn process(world: &Shared) -> Option<Process> {
    let up: Vec<usize> = (0..world.nodes.len())
        .filter(|at| world.nodes[*at].up.get() && !world.nodes[*at].draining.get())
        .collect();
    let node = *up.get(world.chance.below(up.len() as u64) as usize)?;
    Some(Process { world: Rc::clone(world), node, owner: world.nodes[node].process.get() })
}

/// Does something in a node's process, which may die over it: then whoever waits hears nothing.
async fn through<F: Future<Output = ()> + 'static>(world: &Shared, work: impl FnOnce(Process) -> F) {
    if let Some(process) = process(world) {
        process.spawn(work);
    }
}

async fn ask_for_a_link(world: &Shared) {
    let kind = if world.chance.one_in(3) { "verify" } else { "reset" };
    let account = if world.plan.has(Trouble::Tokens) { 0 } else { world.chance.below(3) as usize };
    through(world, |process| async move {
        let world = Rc::clone(&process.world);
        let _ = process
            .ask("before it took a request", |db, now| {
                let job = db.insert_job(Work::Request { account, kind }, Queue::Requests, None, now);
                // Committed is accepted, whether or not anybody hears of it.
                world.truth.borrow_mut().asked(job, now);
            })
            .await;
    })
    .await;
    if world.plan.has(Trouble::Tokens) && world.chance.one_in(2) {
        let world = Rc::clone(world);
        let spawn = Rc::clone(&world);
        spawn.clock.spawn(OUTSIDE, async move {
            world.clock.sleep(world.chance.between(SECOND, 10 * MINUTE)).await;
            use_a_link(&world);
        });
    }
}

/// A person opens the link that they have and posts its form; or the account is changed by someone.
fn use_a_link(world: &World) {
    if world.is_away(usize::MAX, world.now()) {
        return;
    }
    let newest = world.db.borrow().tokens.keys().next_back().copied();
    let account = world.chance.below(3) as usize;
    let what = world.chance.below(4);
    world.execute("a person", |db, now| match (what, newest) {
        (0, _) => db.accounts[account].verified = true,
        (1, _) => db.accounts[account].stamp += 1,
        (_, Some(mail)) => {
            db.use_token(mail);
            world.truth.borrow_mut().used(mail, now);
        }
        _ => {}
    });
}

/// Mattermost hands a mail to a relay, which answers 250 once it is committed, and tries for half a minute.
async fn relay(world: &Shared, taken: &'static Taken) {
    through(world, |process| async move {
        let world = Rc::clone(&process.world);
        let until = world.now() + 30 * SECOND;
        let class = (world.rules.class)(taken);
        let expires_at = world.now() + taken.life.min(world.plan.life);
        let key_id = world.nodes[process.node].key_id.get();
        let person = if world.plan.has(Trouble::Tokens) { 0 } else { world.chance.below(3) as usize };
        let account = taken.has_token.then_some(person);
        let mails: Vec<NewMail> = (0..taken.recipients)
            .map(|_| NewMail {
                id: world.db.borrow_mut().new_id(),
                kind: taken.kind.clone(),
                class,
                account,
                has_link: taken.has_token,
                has_body: true,
                expires_at,
                key_id,
                leased: process.free_sender(class),
            })
            .collect();
        let owner = process.owner;
        let mut committed: Result<bool, Unreachable> = Err(Unreachable);
        while committed.is_err() && world.now() < until {
            committed = process
                .ask("before it took a mail", |db, now| {
                    if db.mails.contains_key(&mails[0].id) {
                        return false; // committed before, when it did not hear of it
                    }
                    let mut truth = world.truth.borrow_mut();
                    for mail in &mails {
                        match account {
                            Some(account) => {
                                let kind = taken.kind.as_str();
                                let token = Token { account, kind, requested_at: now, expires_at };
                                truth.minted(mail.id, account, kind, now);
                                db.write(token, mail, None, SUPERSEDED, now);
                                truth.made(mail, None, true, now);
                                truth.after_write(db, account, kind, mail.id);
                            }
                            None => {
                                db.insert(mail, now);
                                truth.made(mail, None, true, now);
                            }
                        }
                        if mail.leased {
                            let lease = db.lease(mail.id, now);
                            truth.leased(db, &lease, owner, None, now);
                        }
                    }
                    true
                })
                .await;
        }
        for mail in mails.iter().filter(|mail| mail.leased) {
            // A mail of whose commit it heard is its to send; one that was there already is whoever's committed it.
            let lease =
                world.db.borrow().mails.get(&mail.id).map(|_| world.db.borrow().lease(mail.id, world.now()));
            match lease {
                Some(lease) if committed == Ok(true) => process.send_at_once(lease),
                _ => process.free(class),
            }
        }
    })
    .await;
    world.clock.sleep(world.chance.between(0, 20)).await;
}

async fn strike(world: &Shared, trouble: Trouble) {
    match trouble {
        Trouble::Crash => {
            let node = world.chance.below(world.nodes.len() as u64) as usize;
            if world.chance.one_in(3) {
                drain(world, node).await;
            } else {
                kill(world, node, "");
            }
        }
        Trouble::Database => {
            let all = world.chance.one_in(2);
            let node = (!all).then(|| world.chance.below(world.nodes.len() as u64) as usize);
            let span = world.chance.pick(&[2 * SECOND, 30 * SECOND, 3 * MINUTE]);
            let (from, to) = (world.now(), world.now() + span);
            world.tell(|text| {
                let _ = write!(text, "the database is out of reach for {} s, for {node:?}", span / SECOND);
            });
            world.away.borrow_mut().push(Away { from, to, node });
        }
        Trouble::Keys => {
            // All nodes hear of it at different times, or one has another for good.
            let key = world.chance.pick(&["k1", "k2"]);
            for node in &world.nodes {
                if !world.chance.one_in(3) {
                    node.key_id.set(key);
                }
                world.clock.sleep(world.chance.between(0, 30 * SECOND)).await;
            }
        }
        _ => {
            if world.now() > START + world.plan.until / 2 {
                return;
            }
            world.held.set(true);
            for node in &world.nodes {
                stop_conversations(world, node, 5 * SECOND).await;
            }
            world.clock.sleep(world.chance.between(10 * SECOND, 10 * MINUTE)).await;
            while world.is_away(usize::MAX, world.now()) {
                world.clock.sleep(SECOND).await;
            }
            let go_on = !world.chance.one_in(4);
            world.execute("an admin", |db, now| {
                db.decide(go_on, DISCARDED, now);
                if !go_on {
                    world.truth.borrow_mut().discard();
                }
            });
            world.held.set(false);
            world.ring();
        }
    }
}

/// Waits for what runs, then breaks it off.
async fn stop_conversations(world: &Shared, node: &crate::world::Node, grace: i64) {
    world.clock.sleep(grace).await;
    let stop = node.stop.replace(Rc::default());
    stop.ring(&world.clock);
}

/// A node stops in good order and comes back.
async fn drain(world: &Shared, node: usize) {
    let of = &world.nodes[node];
    if !of.up.get() || of.draining.replace(true) {
        return;
    }
    let process = of.process.get();
    world.tell(|text| {
        let _ = write!(text, "{} stops", world.name(node));
    });
    world.clock.sleep(world.chance.between(0, 20 * SECOND)).await;
    if of.process.get() != process {
        return;
    }
    of.stop.borrow().ring(&world.clock);
    world.clock.sleep(10 * SECOND).await;
    if of.process.get() == process {
        kill(world, node, "in good order");
    }
}
