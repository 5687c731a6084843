//! A deterministic simulation of the outbox: seeded worlds of nodes, a database and a mail server, in virtual time,
//! driven by the core's own decisions and held to the promise after every statement. `docs/simulation.md` tells what it
//! holds and how a failing seed is replayed.

// A world that can't be made ends the test; the bans on files and the environment are for the core, not for what checks it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods
)]

mod attempt;
mod clock;
mod database;
mod end;
mod histories;
mod history;
mod keeper;
mod node;
mod outside;
mod peer;
mod plan;
mod planted;
mod river;
mod rules;
mod search;
mod truth;
mod world;

use search::{find, from_environment, report, shrink};

/// How many seeds a plain `cargo test` lives through.
const SEEDS: u64 = 30_000;

#[test]
fn the_promise_holds() {
    let (seeds, told) = from_environment(SEEDS);
    if let Some(plan) = told {
        eprintln!("{}", report(&plan, rules::Rules::CORE));
    }
    if let Some(found) = find(seeds, rules::Rules::CORE) {
        panic!(
            "seed {}, made smaller: {}",
            found.seed,
            report(&shrink(found.clone(), rules::Rules::CORE), rules::Rules::CORE)
        );
    }
}
