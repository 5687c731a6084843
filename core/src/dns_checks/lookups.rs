//! The answers so far, and what is still to be looked up.

use std::cell::RefCell;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::domain;

/// Look-ups in all. SPF has [`SPF_SHARE`] of them, the others need fewer than are left.
pub(super) const MAX: usize = 80;

/// Distinct look-ups that SPF may need: its own limit of 10 terms (RFC 7208, section 4.6.4) times what an `mx` may have.
pub(super) const SPF_SHARE: usize = 36;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Type {
    A,
    Aaaa,
    Mx,
    Txt,
    Ptr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    NxDomain,
    NoData,
    ServFail,
    Refused,
    Timeout,
    Failed,
}

/// What was looked up, and what came of it. Records are in the DNS's presentation, TXT records joined and unescaped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    name: String,
    r#type: Type,
    status: Status,
    records: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) struct Question {
    name: String,
    r#type: Type,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// At least one record.
    Records(&'a [String]),
    NoData,
    NxDomain,
    Trouble(Trouble),
    /// Asked for just now.
    Pending,
}

/// Why there is no answer, and never will be in this test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    ServFail,
    Refused,
    Timeout,
    Failed,
    TooMany,
}

impl Trouble {
    /// Said of the look-up.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::ServFail => "the name server answered SERVFAIL",
            Self::Refused => "the name server refused to answer",
            Self::Timeout => "no name server answered in time",
            Self::Failed => "no name server could be asked",
            Self::TooMany => "it would have taken too many look-ups",
        }
    }
}

pub(super) struct Lookups<'a> {
    answers: HashMap<Question, &'a Answer>,
    asked: RefCell<Vec<Question>>,
}

impl<'a> Lookups<'a> {
    /// Of two answers to one question the first counts.
    pub(super) fn new(given: &'a [Answer]) -> Self {
        let mut answers = HashMap::new();
        for answer in given {
            let question = Question { name: domain::folded(&answer.name), r#type: answer.r#type };
            answers.entry(question).or_insert(answer);
        }
        Self { answers, asked: RefCell::default() }
    }

    /// What is known of a valid name; asks for it where nothing is.
    pub(super) fn get(&self, name: &str, r#type: Type) -> Found<'a> {
        let question = Question { name: domain::folded(name), r#type };
        if let Some(answer) = self.answers.get(&question) {
            return match answer.status {
                Status::Ok if answer.records.is_empty() => Found::NoData,
                Status::Ok => Found::Records(&answer.records),
                Status::NoData => Found::NoData,
                Status::NxDomain => Found::NxDomain,
                Status::ServFail => Found::Trouble(Trouble::ServFail),
                Status::Refused => Found::Trouble(Trouble::Refused),
                Status::Timeout => Found::Trouble(Trouble::Timeout),
                Status::Failed => Found::Trouble(Trouble::Failed),
            };
        }
        let mut asked = self.asked.borrow_mut();
        if asked.contains(&question) {
            return Found::Pending;
        }
        if self.answers.len() + asked.len() >= MAX {
            return Found::Trouble(Trouble::TooMany);
        }
        asked.push(question);
        Found::Pending
    }

    pub(super) fn asked(self) -> Vec<Question> {
        self.asked.into_inner()
    }
}
