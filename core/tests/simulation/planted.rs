//! Broken rules, each in place of one of the core's: the simulation has to find it, or it holds nothing.

use std::collections::BTreeMap;

use postroom_core::Step;
use postroom_core::standing::{Link, Mail, State};

use crate::clock::HOUR;
use crate::history::History;
use crate::plan::Plan;
use crate::rules::{Class, Rules, Todo};
use crate::search::{find, report, shrink};
use crate::world::World;

/// Lives seeds through until one fails, which has to be by that invariant.
fn check(rules: Rules, within: u64, invariant: &str) {
    let found = find(0..within, rules).unwrap_or_else(|| panic!("not found in {within} seeds: {invariant}"));
    let told = report(&found, rules);
    assert!(told.contains(&format!("BROKEN: {invariant}")), "found otherwise than by {invariant}:\n{told}");
    if std::env::var_os("SIM_SHOW").is_some() {
        eprintln!("seed {}, made smaller: {}", found.seed, report(&shrink(found.clone(), rules), rules));
    }
}

fn with(mail: &Mail, change: impl FnOnce(&mut Mail)) -> Mail {
    let mut mail = mail.clone();
    change(&mut mail);
    mail
}

#[test]
fn a_lease_that_does_not_keep_others_out() {
    let broken: fn(&Mail, &str, i64) -> bool =
        |mail, key, now| with(mail, |mail| mail.lease_until = Some(now)).may_be_taken(key, now);
    check(Rules { may_be_taken: broken, ..Rules::CORE }, 2_000, "one sender at a time");
}

#[test]
fn a_lease_that_never_lapses() {
    let broken: fn(&Mail, &str, i64) -> bool =
        |mail, key, now| mail.state != State::Sending && mail.may_be_taken(key, now);
    check(Rules { may_be_taken: broken, ..Rules::CORE }, 2_000, "R8");
}

#[test]
fn a_link_that_is_sent_though_it_is_dead() {
    let broken: fn(&Mail, &str, i64) -> bool = |mail, key, now| {
        with(mail, |mail| mail.link = mail.link.map(|_| Link { expires_at: Some(i64::MAX) }))
            .may_be_taken(key, now)
    };
    check(Rules { may_be_taken: broken, ..Rules::CORE }, 2_000, "R18");
}

#[test]
fn a_newer_link_that_leaves_a_deferred_mail_waiting() {
    let broken: fn(&Mail, &str, bool) -> bool =
        |mail, kind, same| mail.state != State::Deferred && mail.is_replaced_by(kind, same);
    check(Rules { is_replaced_by: broken, ..Rules::CORE }, 2_000, "S9");
}

#[test]
fn a_mail_that_is_sent_after_its_lifetime() {
    let broken: fn(&Mail, &str, i64) -> bool = |mail, key, now| {
        with(mail, |mail| {
            mail.expires_at = i64::MAX;
            mail.link = mail.link.map(|_| Link { expires_at: Some(i64::MAX) });
        })
        .may_be_taken(key, now)
            && mail.link_lives(now.min(mail.expires_at - 1))
    };
    check(Rules { may_be_taken: broken, ..Rules::CORE }, 2_000, "nothing is sent after its lifetime");
}

#[test]
fn a_retry_that_gives_up_at_the_third_attempt() {
    let rules = Rules {
        judge: |args, now, entropy| {
            let mut judged = (Rules::CORE.judge)(args, now, entropy);
            if args.attempts >= 3 && judged.state == State::Deferred {
                judged.state = State::Failed;
                judged.next_attempt_at = None;
            }
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "R3, R9");
}

#[test]
fn a_retry_that_outlives_the_mail() {
    let rules = Rules {
        judge: |args, now, entropy| {
            let mut judged = (Rules::CORE.judge)(args, now, entropy);
            judged.next_attempt_at =
                judged.next_attempt_at.map(|at| at.max(now + HOUR / 2 * i64::from(args.attempts / 4)));
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "the schedule");
}

#[test]
fn a_deferred_mail_without_a_time() {
    let rules = Rules {
        judge: |args, now, entropy| {
            let mut judged = (Rules::CORE.judge)(args, now, entropy);
            if args.outcome.reply.as_ref().is_some_and(|reply| reply.code == 421) {
                judged.next_attempt_at = None;
            }
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "what waits has its time");
}

#[test]
fn a_break_after_the_dot_that_is_taken_for_any_other() {
    let rules = Rules {
        judge: |args, now, entropy| {
            let mut judged = (Rules::CORE.judge)(args, now, entropy);
            if judged.state == State::PerhapsDelivered {
                judged.state = State::Deferred;
                judged.next_attempt_at.get_or_insert(now + 10_000);
            }
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "what may have arrived is shown so");
}

#[test]
fn a_mail_that_is_sent_before_the_server_says_so() {
    let rules = Rules {
        judge: |args, now, entropy| {
            let mut judged = (Rules::CORE.judge)(args, now, entropy);
            if args.outcome.step == Step::FinalDot
                && args.outcome.reply.as_ref().is_some_and(|reply| reply.code < 400)
            {
                judged.state = State::Sent;
                judged.next_attempt_at = None;
            }
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "sent is what a 2xx after the dot says");
}

#[test]
fn a_link_that_expired_in_the_queue_and_is_left_there() {
    let rules = Rules {
        attend: |args, now| match (Rules::CORE.attend)(args, now) {
            Todo::End { reason, .. } if reason.contains("expired") || reason.contains("lifetime") => {
                Todo::Leave
            }
            todo => todo,
        },
        ..Rules::CORE
    };
    check(rules, 5_000, "no mail is stuck for ever");
}

#[test]
fn a_mail_that_perhaps_arrived_and_is_called_cancelled() {
    let rules = Rules {
        attend: |args, now| match (Rules::CORE.attend)(args, now) {
            Todo::End { reason, .. } => Todo::End { state: State::Cancelled, reason },
            todo => todo,
        },
        ..Rules::CORE
    };
    check(rules, 20_000, "what may have arrived is shown so");
}

#[test]
fn our_own_failure_for_ever() {
    let rules = Rules {
        fault: |args, now| {
            let mut judged = (Rules::CORE.fault)(args, now);
            if judged.state == State::Failed {
                judged.state = State::Deferred;
                judged.next_attempt_at = Some(now + 30_000);
            }
            judged
        },
        ..Rules::CORE
    };
    check(rules, 2_000, "R13");
}

#[test]
fn a_node_that_goes_by_its_own_clock() {
    check(Rules { clock: |off| off, ..Rules::CORE }, 500, "the schedule");
}

#[test]
fn notifications_in_the_queue_of_account_mail() {
    let rules = Rules { class: |_| Class::Account, ..Rules::CORE };
    check(rules, 5_000, "R11");
}

/// Worlds in which nothing happens hold nothing.
#[test]
fn worlds_hold_everything() {
    let (mut deliveries, mut duplicates) = (0, 0);
    let (mut states, mut todos) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..800 {
        let end = World::live(&Plan::of(seed), Rules::CORE, History::silent());
        deliveries += end.truth.deliveries;
        duplicates += end.truth.duplicates;
        end.states.iter().for_each(|(state, n)| *states.entry(*state).or_insert(0) += n);
        end.todos.iter().for_each(|(todo, n)| *todos.entry(*todo).or_insert(0) += n);
    }
    eprintln!("{deliveries} deliveries, {duplicates} of them again; {states:?}; {todos:?}");
    assert!(deliveries > 2_000 && duplicates > 100, "{deliveries} deliveries, {duplicates} again");
    for state in [State::Sent, State::Failed, State::Cancelled, State::Held, State::PerhapsDelivered] {
        assert!(states.get(&state).is_some_and(|n| *n > 10), "{states:?}");
    }
    for todo in ["leave", "end", "look_again", "compose_anew"] {
        assert!(todos.get(todo).is_some_and(|n| *n > 10), "{todos:?}");
    }
}

/// A history is the same again, or no seed is worth anything.
#[test]
fn a_seed_lives_the_same_life_again() {
    for seed in 0..50 {
        let plan = Plan::of(seed);
        assert_eq!(report(&plan, Rules::CORE), report(&plan, Rules::CORE));
    }
}
