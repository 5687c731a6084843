//! Histories of small worlds for PostgreSQL to live through (`server/internal/store/histories_test.go`): what the
//! database was told, and the rows that the core's rules left. `UPDATE_GOLDEN=1` writes them anew (`make golden`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::history::History;
use crate::plan::Plan;
use crate::rules::Rules;
use crate::world::World;

const WORLDS: u64 = 1_500;
const LONGEST: usize = 150;

/// What the histories have to show between them.
const SHOWN: [&str; 43] = [
    "decide false",
    "decide true",
    "end cancelled true",
    "end failed true",
    "end perhaps_delivered true",
    "end_tests",
    "finish deferred false",
    "finish deferred true",
    "finish failed true",
    "finish perhaps_delivered true",
    "finish sent true",
    "hold",
    "hold of deferred",
    "hold of perhaps_delivered",
    "hold of queued",
    "hold of sending",
    "insert",
    "insert of a test",
    "insert without a sender",
    "miss_key of deferred",
    "miss_key of queued",
    "release of sending",
    "renew false",
    "renew true",
    "stranded",
    "stranded none",
    "take_lease another key",
    "take_lease done",
    "take_lease expired",
    "take_lease its link is dead",
    "take_lease leased",
    "take_lease not due",
    "take_lease of deferred",
    "take_lease of perhaps_delivered",
    "take_lease of queued",
    "take_lease of sending",
    "take_lease to be composed anew",
    "use_token",
    "write",
    "write over a used link",
    "write over deferred",
    "write over perhaps_delivered",
    "write over queued",
];

struct Lived {
    seed: u64,
    steps: Vec<Value>,
    shows: BTreeSet<String>,
}

fn live(seed: u64) -> Lived {
    let steps = World::live(&Plan::small(seed), Rules::CORE, History::recorded()).history.steps;
    let mut shows = BTreeSet::new();
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    let mut used = BTreeSet::new();
    for step in &steps {
        shown_by(step, &states, &mut shows);
        if step["op"] == "use_token" {
            used.insert(step["id"].to_string());
        }
        if step["op"] == "write" {
            let ended = step["rows"].as_object().unwrap().keys().filter(|id| states.contains_key(*id));
            for id in ended {
                shows.insert(format!("write over {}", states[id]));
                if used.contains(id) {
                    shows.insert("write over a used link".to_owned());
                }
            }
        }
        for (id, row) in step["rows"].as_object().unwrap() {
            states.insert(id.clone(), row["standing"]["state"].as_str().unwrap().to_owned());
        }
    }
    Lived { seed, steps, shows }
}

/// What a step shows, with the mails' states before it.
fn shown_by(step: &Value, states: &BTreeMap<String, String>, shows: &mut BTreeSet<String>) {
    let op = step["op"].as_str().unwrap();
    let result = &step["result"];
    let before = |id: &str| states.get(id).map_or("nothing", String::as_str);
    let what = match op {
        "take_lease" if result.is_null() => step["why"].as_str().unwrap_or("no such mail").to_owned(),
        "take_lease" | "release" | "miss_key" => format!("of {}", before(&step["id"].to_string())),
        "finish" | "end" => format!("{} {result}", step["state"].as_str().unwrap()),
        "renew" => result.to_string(),
        "decide" => step["go_on"].to_string(),
        "stranded" if result == &json!([]) => "none".to_owned(),
        "insert" if step["mail"]["has_body"] == false => "of a test".to_owned(),
        "insert" if step["mail"]["leased"] == false => "without a sender".to_owned(),
        "hold" => {
            let rows = step["rows"].as_object().unwrap();
            shows.extend(rows.keys().map(|id| format!("hold of {}", before(id))));
            String::new()
        }
        _ => String::new(),
    };
    shows.insert(format!("{op} {what}").trim_end().to_owned());
}

/// The fewest steps that show everything, chosen one after another.
fn chosen() -> Vec<Lived> {
    let mut all: Vec<Lived> = (0..WORLDS).map(live).filter(|lived| lived.steps.len() <= LONGEST).collect();
    let mut missing: BTreeSet<String> = SHOWN.iter().map(|shown| (*shown).to_owned()).collect();
    let mut chosen: Vec<Lived> = Vec::new();
    while !missing.is_empty() {
        let worth =
            |lived: &Lived| lived.shows.intersection(&missing).count() * 1_000 / (lived.steps.len() + 20);
        let best = (0..all.len()).max_by_key(|at| (worth(&all[*at]), Reverse(all[*at].seed))).unwrap();
        assert!(worth(&all[best]) > 0, "no world shows {missing:?}");
        let best = all.swap_remove(best);
        missing.retain(|shown| !best.shows.contains(shown));
        chosen.push(best);
    }
    chosen.sort_by_key(|lived| lived.seed);
    chosen
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract/histories")
}

#[test]
fn the_histories_are_as_written() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let old: BTreeSet<PathBuf> = fs::read_dir(folder())
        .map(|files| files.map(|file| file.unwrap().path()).collect())
        .unwrap_or_default();
    let mut written = BTreeSet::new();
    for lived in chosen() {
        let path = folder().join(format!("seed-{}.json", lived.seed));
        // A step a line, so that a difference can be read.
        let steps: Vec<String> = lived.steps.iter().map(Value::to_string).collect();
        let text = format!("{{\"seed\": {}, \"steps\": [\n{}\n]}}\n", lived.seed, steps.join(",\n"));
        if update {
            fs::create_dir_all(folder()).unwrap();
            fs::write(&path, &text).unwrap();
        } else {
            let golden = fs::read_to_string(&path).unwrap_or_default();
            assert!(golden == text, "{} differs: make golden, and read the difference", path.display());
        }
        written.insert(path);
    }
    for left in old.difference(&written) {
        assert!(update, "{} is left over", left.display());
        fs::remove_file(left).unwrap();
    }
}
