//! Many seeds, the first that fails, and the smallest world that fails alike.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::history::History;
use crate::plan::Plan;
use crate::rules::Rules;
use crate::truth::Broken;
use crate::world::World;

/// The seeds to live through, and a single plan to tell: `SIM_SEEDS=100000` widens, `SIM_SEED=7` and `SIM_PLAN=…` replay.
pub(crate) fn from_environment(seeds: u64) -> (Range<u64>, Option<Plan>) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect(name));
    if let Ok(text) = std::env::var("SIM_PLAN") {
        return (0..0, Some(Plan::read(&text).expect("SIM_PLAN: as a failure printed it")));
    }
    if let Some(seed) = number("SIM_SEED") {
        return (seed..seed + 1, Some(Plan::of(seed)));
    }
    (0..number("SIM_SEEDS").unwrap_or(seeds), None)
}

fn breaks(plan: &Plan, rules: Rules) -> Option<Broken> {
    World::live(plan, rules, History::silent()).broken
}

/// The lowest of the seeds that fails.
pub(crate) fn find(seeds: Range<u64>, rules: Rules) -> Option<Plan> {
    let (next, first) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || seed >= first.load(Ordering::Relaxed) {
                        return;
                    }
                    if breaks(&Plan::of(seed), rules).is_some() {
                        first.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seed = first.into_inner();
    (seed < u64::MAX).then(|| Plan::of(seed))
}

/// Takes away what the failure does not need, as long as the same invariant breaks. What is left out shifts what chance
/// brings, so a few other seeds are tried for each.
pub(crate) fn shrink(mut plan: Plan, rules: Rules) -> Plan {
    let Some(broken) = breaks(&plan, rules) else { return plan };
    'again: loop {
        for smaller in plan.smaller() {
            for other in 0..20 {
                let tried = Plan { seed: plan.seed + other * 1_000_003, ..smaller.clone() };
                if breaks(&tried, rules).is_some_and(|found| found.invariant == broken.invariant) {
                    plan = tried;
                    continue 'again;
                }
            }
        }
        return plan;
    }
}

/// The history of a plan, with what broke at its end.
pub(crate) fn report(plan: &Plan, rules: Rules) -> String {
    let end = World::live(plan, rules, History::told());
    let shown = end.history.lines.len().saturating_sub(200);
    let mut text = format!("{plan:?}\n");
    if shown > 0 {
        text.push_str(&format!("… {shown} lines before\n"));
    }
    text.push_str(&end.history.lines[shown..].join("\n"));
    match end.broken {
        Some(broken) => text.push_str(&format!(
            "\nBROKEN: {}: {}\nreplay: SIM_PLAN={} cargo test -p postroom-core --test simulation the_promise -- --nocapture\n",
            broken.invariant,
            broken.what,
            plan.written()
        )),
        None => text.push_str("\nevery invariant holds\n"),
    }
    text
}
