//! The causes that a diagnosis tells apart, held to their fixtures (`contract/causes`) and their page
//! (`docs/diagnosis.md`; `UPDATE_GOLDEN=1` writes its table anew). `server/internal/causes` plays each fixture.

// A fixture that is not there ends the test; the ban on files is for the core, not for what checks it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use postroom_core::diagnosis::causes;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_cause_has_a_fixture_and_every_fixture_a_cause() {
    let shown: BTreeSet<String> = fs::read_dir(root().join("contract/causes"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|file| file.split('.').next().unwrap().to_owned())
        .collect();
    let told: BTreeSet<String> = causes().map(|cause| cause.name.to_owned()).collect();
    assert_eq!(shown, told);
    assert!(told.len() >= 60, "{} causes", told.len());
}

#[test]
fn causes_are_named_and_worded_plainly() {
    let mut names = BTreeSet::new();
    for cause in causes() {
        let name = cause.name;
        assert!(names.insert(name), "{name} is there twice");
        assert!(
            name.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_'),
            "{name}"
        );
        let means = cause.means;
        assert!(!means.is_empty() && !means.ends_with('.') && !means.contains('{'), "{name} means: {means}");
        assert!(
            cause.advice.ends_with('.') && cause.advice.chars().count() <= 400,
            "{name}: {}",
            cause.advice
        );
        for secret in ["{password", "{secret", "{token"] {
            assert!(!cause.advice.contains(secret), "{name}: {}", cause.advice);
        }
    }
}

const BEGIN: &str = "<!-- the causes: core/tests/causes.rs writes what follows -->\n";

#[test]
fn the_page_has_every_cause() {
    let page = root().join("docs/diagnosis.md");
    let text = fs::read_to_string(&page).unwrap();
    let (above, below) = text.split_once(BEGIN).unwrap();
    let mut table = String::from("\n| Cause | What it is | What to do |\n|---|---|---|\n");
    for cause in causes() {
        let kind = if cause.warning { " (warning)" } else { "" };
        let plain = |text: &str| text.replace('|', "\\|").replace(['{', '}'], "*");
        writeln!(table, "| `{}`{kind} | {} | {} |", cause.name, plain(cause.means), plain(cause.advice))
            .unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&page, format!("{above}{BEGIN}{table}")).unwrap();
    } else {
        assert_eq!(below, table, "docs/diagnosis.md (make golden)");
    }
}
