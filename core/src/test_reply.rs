//! What `email/test` answers: Mattermost's shape, and what to change in its message, as Mattermost's own button shows
//! nothing else.

use serde::{Deserialize, Serialize};

use crate::{AppError, Outcome, Step, app_error, outcome};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Args {
    outcome: Outcome,
    #[serde(default)]
    diagnosis: Option<Diagnosis>,
    #[serde(default)]
    cancelled: bool,
}

/// A diagnosis as the host has it from `diagnose` and `dns_checks`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // what is not read is refused where it is misshapen
struct Diagnosis {
    steps: Vec<Line>,
    sent_to: String,
    #[serde(default)]
    queue_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Line {
    step: String,
    state: String,
    #[serde(default)]
    ms: Option<i64>,
    said: String,
    advice: String,
    #[serde(default)]
    cause: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct Answer {
    app_error: Option<AppError>,
}

/// The operation `test_reply`.
pub(crate) fn answer(args: &Args) -> Answer {
    let accepted = outcome::verdict(&args.outcome) == outcome::Verdict::Accepted;
    Answer { app_error: (!accepted).then(|| error(args)) }
}

fn error(args: &Args) -> AppError {
    let step = args.outcome.step;
    if args.cancelled {
        return app_error::test_cancelled(outcome::step_words(step), step == Step::FinalDot);
    }
    let what = outcome::describe(&args.outcome);
    match advice(args) {
        Some(advice) => app_error::test_failed(&format!("{}. {advice}", what.trim_end_matches(['.', ' ']))),
        None => app_error::test_failed(&what),
    }
}

/// What the step that failed says is to be changed.
fn advice(args: &Args) -> Option<&str> {
    let steps = &args.diagnosis.as_ref()?.steps;
    let failed = steps.iter().find(|line| line.state == "failed")?;
    (!failed.advice.is_empty()).then_some(failed.advice.as_str())
}
