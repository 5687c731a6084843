//! The lines of a diagnosis, one for each step.

use serde::Serialize;

use crate::Step;

/// A step as a person is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    Dns,
    Tcp,
    Tls,
    Greeting,
    Ehlo,
    Starttls,
    Auth,
    MailFrom,
    RcptTo,
    Data,
    Queued,
}

impl Part {
    /// The part that a step of a conversation belongs to.
    pub(crate) fn of(step: Step) -> Self {
        match step {
            Step::Dns => Self::Dns,
            Step::Connect => Self::Tcp,
            Step::Tls => Self::Tls,
            Step::Greeting => Self::Greeting,
            Step::Ehlo => Self::Ehlo,
            Step::Starttls => Self::Starttls,
            Step::Auth => Self::Auth,
            Step::MailFrom => Self::MailFrom,
            Step::RcptTo => Self::RcptTo,
            Step::Data | Step::Body => Self::Data,
            Step::FinalDot => Self::Queued,
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Ok,
    /// It went well, but something should be changed.
    Warning,
    Failed,
    /// It never began.
    Skipped,
}

/// One step of a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    pub(crate) step: Part,
    pub(crate) state: State,
    /// `None` where it took no time of its own.
    pub(crate) ms: Option<i64>,
    /// The peer's words, or what was found.
    pub(crate) said: String,
    /// What to change, in plain words; empty where nothing is to be.
    pub(crate) advice: String,
    /// The cause's name; `None` where none is known.
    pub(crate) cause: Option<&'static str>,
}
