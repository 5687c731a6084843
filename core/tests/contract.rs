//! The fixtures of `contract/`, asserted natively. `UPDATE_GOLDEN=1` writes the responses anew (`make golden`).

// A fixture that is not there ends the test; the ban on files is for the core, not for what checks it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract/fixtures")
}

fn files(ending: &str) -> BTreeSet<PathBuf> {
    let list = |folder: &Path| -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let cases = list(&fixtures()).into_iter().flat_map(|operation| list(&operation));
    cases.filter(|file| file.to_string_lossy().ends_with(ending)).collect()
}

fn response_of(request: &Path) -> PathBuf {
    PathBuf::from(request.to_string_lossy().replace(".request.json", ".response.json"))
}

#[test]
fn every_request_is_answered_as_written() {
    let requests = files(".request.json");
    assert!(requests.len() > 100, "the fixtures are not where they should be");
    let mut wrong = Vec::new();
    for path in &requests {
        let reply: Value =
            serde_json::from_slice(&postroom_core::dispatch(&fs::read(path).unwrap())).unwrap();
        let golden = response_of(path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, format!("{reply:#}\n")).unwrap();
            continue;
        }
        let expected = fs::read(&golden).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        if expected.as_ref() != Some(&reply) {
            wrong.push(format!(
                "{}\n  expected {}\n  got      {reply}",
                path.display(),
                expected.unwrap_or_default()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ (make golden):\n{}",
        wrong.len(),
        requests.len(),
        wrong.join("\n")
    );
}

#[test]
fn no_response_is_left_over() {
    let answered: BTreeSet<PathBuf> =
        files(".request.json").iter().map(|request| response_of(request)).collect();
    assert_eq!(files(".response.json"), answered);
}

#[test]
fn every_operation_has_two_cases() {
    let contract =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wasm/README.md")).unwrap();
    let operations = contract.lines().filter_map(|line| line.strip_prefix("### `")?.split('`').next());
    let mut count = 0;
    for operation in operations {
        count += 1;
        let folder = fixtures().join(operation);
        let cases = files(".request.json").iter().filter(|case| case.starts_with(&folder)).count();
        assert!(cases >= 2, "{operation} has {cases} cases");
    }
    assert!(count > 15, "wasm/README.md lists {count} operations");
}

/// What must never be in an `err`: it may be logged.
#[test]
fn no_error_holds_a_secret() {
    let secrets =
        ["0123456789abcdef", "saved password", "AAECAwQFBgcICQoL", "correct horse", "anna@example.com"];
    for path in files(".response.json") {
        let reply: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        if let Some(err) = reply.get("err") {
            let err = err.to_string();
            assert!(!secrets.iter().any(|secret| err.contains(secret)), "{}: {err}", path.display());
        }
    }
}
