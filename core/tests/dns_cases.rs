//! The zones of `contract/dns`, each named after the cause it shows. `UPDATE_GOLDEN=1` writes the steps anew.

// A case that is not there ends the test; the ban on files is for the core, not for what checks it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract/dns")
}

/// Names of the cases, less their endings.
fn cases(ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names = files.map(|name| name.to_string_lossy().into_owned());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect()
}

fn read(name: &str, ending: &str) -> Value {
    serde_json::from_slice(&fs::read(folder().join(format!("{name}{ending}"))).unwrap()).unwrap()
}

/// The zone's answer: a name that has something below it exists (RFC 8020).
fn answer(zone: &BTreeMap<String, Value>, question: &Value) -> Value {
    let (name, kind) = (question["name"].as_str().unwrap(), question["type"].as_str().unwrap());
    let (status, records) = match zone.get(&format!("{name} {kind}")) {
        Some(Value::String(trouble)) => (trouble.as_str(), json!([])),
        Some(records) => ("ok", records.clone()),
        None => {
            let exists = zone.keys().filter_map(|key| key.split(' ').next()).any(|known| {
                known.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            });
            (if exists { "nodata" } else { "nxdomain" }, json!([]))
        }
    };
    json!({"name": name, "type": kind, "status": status, "records": records})
}

/// The steps, and how often the core was asked.
fn play(case: &Value) -> (Value, usize) {
    let zone: BTreeMap<String, Value> = serde_json::from_value(case["zone"].clone()).unwrap();
    let mut args = case["args"].clone();
    args["answers"] = json!([]);
    for round in 1..=20 {
        let request = json!({"op": "dns_checks", "now": 0, "entropy": "", "args": args});
        let reply: Value =
            serde_json::from_slice(&postroom_core::dispatch(request.to_string().as_bytes())).unwrap();
        let ask = reply["ok"]["ask"].as_array().unwrap_or_else(|| panic!("{reply}"));
        let answers = args["answers"].as_array_mut().unwrap();
        if ask.is_empty() {
            assert!(answers.len() <= 80);
            return (reply["ok"]["steps"].clone(), round);
        }
        for question in ask {
            let given = answer(&zone, question);
            assert!(
                !answers.iter().any(|a| a["name"] == given["name"] && a["type"] == given["type"]),
                "asked twice: {question}"
            );
            answers.push(given);
        }
    }
    panic!("it asks on and on");
}

#[test]
fn every_case_is_judged_as_written() {
    let mut wrong = Vec::new();
    for name in cases(".case.json") {
        let (steps, rounds) = play(&read(&name, ".case.json"));
        assert!(rounds <= 14, "{name}: {rounds} rounds");
        let golden = folder().join(format!("{name}.steps.json"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, format!("{steps:#}\n")).unwrap();
        }
        let expected = fs::read(&golden).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        if expected.as_ref() != Some(&steps) {
            wrong.push(format!("{name}:\n  expected {}\n  got      {steps}", expected.unwrap_or_default()));
        }
        // A case may be a variant of its cause: spf_syntax-address.
        let cause = name.split('-').next().unwrap();
        let steps = steps.as_array().unwrap();
        assert_eq!(
            steps.iter().map(|step| step["step"].as_str().unwrap()).collect::<Vec<_>>(),
            ["spf", "dkim", "dmarc", "mx", "ptr"]
        );
        if cause != "fine" && !steps.iter().any(|step| step["cause"] == cause) {
            wrong.push(format!("{name}: no step has this cause"));
        }
        if cause == "fine" && steps.iter().any(|step| step["cause"] != Value::Null) {
            wrong.push(format!("{name}: something is found"));
        }
        for step in steps {
            let said = step["said"].as_str().unwrap();
            assert!(said.len() <= 300 && !said.chars().any(char::is_control), "{name}: {said}");
            let needs_advice = step["state"] == "failed" || step["state"] == "warning";
            assert!(!needs_advice || !step["advice"].as_str().unwrap().is_empty(), "{name}: {step}");
            assert_eq!(needs_advice, step["cause"] != Value::Null, "{name}: {step}");
        }
    }
    assert!(wrong.is_empty(), "{} differ (make golden):\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_steps_are_left_over() {
    assert_eq!(cases(".steps.json"), cases(".case.json"));
}

/// Each has its source, and none that the core can tell lacks one.
#[test]
fn every_cause_has_a_case() {
    let mut shown = BTreeSet::new();
    for name in cases(".case.json") {
        assert!(
            read(&name, ".case.json")["source"].as_str().is_some_and(|source| source.len() > 8),
            "{name}"
        );
        shown.insert(name.split('-').next().unwrap().to_owned());
    }
    let code = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dns_checks");
    let mut causes = BTreeSet::new();
    for file in fs::read_dir(code).unwrap() {
        let path = file.unwrap().path();
        if path.ends_with("tests.rs") {
            continue; // which names arguments
        }
        let text = fs::read_to_string(path).unwrap();
        for word in text
            .split('"')
            .filter(|word| word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'))
        {
            let family = word.split('_').next().unwrap();
            if ["spf", "dkim", "dmarc", "mx", "ptr", "ehlo"].contains(&family) && word.contains('_') {
                causes.insert(word.to_owned());
            }
        }
    }
    shown.remove("fine");
    assert!(causes.len() > 40, "{causes:?}");
    assert_eq!(causes, shown);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dns.md")).unwrap();
    let told: Vec<&String> = causes.iter().filter(|cause| !page.contains(&format!("`{cause}`"))).collect();
    assert!(told.is_empty(), "docs/dns.md does not name {told:?}");
}
