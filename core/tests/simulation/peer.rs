//! The mail server upstream, and what it does to a conversation.

use postroom_core::{Failure, Outcome, Reply, Step};

use crate::clock::{Chance, MINUTE, SECOND};
use crate::plan::{Plan, Trouble};

/// A conversation's steps, and the deadline of each (RFC 5321 section 4.5.3.2, as the courier has them).
pub(crate) const STEPS: [(Step, i64); 9] = [
    (Step::Connect, 30 * SECOND),
    (Step::Greeting, 5 * MINUTE),
    (Step::Ehlo, 5 * MINUTE),
    (Step::Auth, 5 * MINUTE),
    (Step::MailFrom, 5 * MINUTE),
    (Step::RcptTo, 5 * MINUTE),
    (Step::Data, 2 * MINUTE),
    (Step::Body, 3 * MINUTE),
    (Step::FinalDot, 10 * MINUTE),
];

/// What the server does at the step where it does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// 250 after the dot, after a body that takes so long.
    Accept {
        body: i64,
    },
    Reply {
        at: Step,
        code: u16,
    },
    Stall {
        at: Step,
    },
    Close {
        at: Step,
    },
    /// The message was taken, or not, and no reply comes: the connection breaks, or nothing ever comes.
    NoReceipt {
        taken: bool,
        stall: bool,
    },
}

/// What an attempt should come to, whatever the core says of it: the promise in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    Sent,
    Again,
    Never,
    Perhaps,
}

impl Turn {
    pub(crate) fn of(plan: &Plan, chance: &Chance, troubled: bool) -> Self {
        let slow = if plan.has(Trouble::Slow) && troubled && chance.one_in(4) {
            chance.between(MINUTE, 8 * MINUTE)
        } else if plan.flood > 0 {
            chance.between(200, 2 * SECOND)
        } else {
            chance.between(5, 300)
        };
        if !troubled {
            return Self::Accept { body: slow };
        }
        let at = STEPS[chance.below(8) as usize].0;
        let speaking = STEPS[1 + chance.below(8) as usize].0;
        match chance.below(10) {
            0..=2 if plan.has(Trouble::Replies) => {
                let (at, code) = chance.pick(&[
                    (speaking, 421),
                    (Step::MailFrom, 451),
                    (Step::RcptTo, 450),
                    (Step::RcptTo, 452),
                    (Step::FinalDot, 451),
                    (Step::FinalDot, 421),
                    (Step::Auth, 535),
                    (Step::Greeting, 554),
                    (Step::RcptTo, 550),
                    (Step::FinalDot, 554),
                    (Step::FinalDot, 354),
                    (Step::Data, 250),
                ]);
                Self::Reply { at, code }
            }
            3 if plan.has(Trouble::Breaks) => Self::Stall { at },
            4 | 5 if plan.has(Trouble::Breaks) => Self::Close { at },
            6 | 7 if plan.has(Trouble::AfterDot) => {
                Self::NoReceipt { taken: !chance.one_in(3), stall: chance.one_in(3) }
            }
            _ => Self::Accept { body: slow },
        }
    }

    pub(crate) fn due(self) -> Due {
        match self {
            Self::Accept { .. } => Due::Sent,
            Self::NoReceipt { .. } => Due::Perhaps,
            Self::Stall { .. } | Self::Close { .. } => Due::Again,
            Self::Reply { at: Step::FinalDot, code: 354 } => Due::Perhaps,
            Self::Reply { at: Step::FinalDot | Step::RcptTo | Step::MailFrom, code: 550 | 554 } => Due::Never,
            Self::Reply { .. } => Due::Again,
        }
    }

    /// What the courier says when the conversation ends at that step; `None` where it goes on.
    pub(crate) fn ends_at(self, step: Step) -> Option<Outcome> {
        match self {
            Self::Reply { at, code } if at == step => Some(replied(step, code)),
            Self::Stall { at } if at == step => Some(broke(step, Failure::Timeout)),
            Self::Close { at } if at == step => Some(broke(step, Failure::Closed)),
            Self::NoReceipt { stall, .. } if step == Step::FinalDot => {
                Some(broke(step, if stall { Failure::Timeout } else { Failure::Closed }))
            }
            Self::Accept { .. } if step == Step::FinalDot => Some(replied(step, 250)),
            _ => None,
        }
    }

    /// How long the server takes over a step.
    pub(crate) fn takes(self, step: Step, deadline: i64, chance: &Chance) -> i64 {
        match self {
            Self::Stall { at } if at == step => deadline,
            Self::NoReceipt { stall: true, .. } if step == Step::FinalDot => deadline,
            Self::Accept { body } if step == Step::Body => body,
            _ => chance.between(1, 60),
        }
    }
}

pub(crate) fn broke(step: Step, failure: Failure) -> Outcome {
    Outcome { step, reply: None, failure: Some(failure), detail: String::new() }
}

fn replied(step: Step, code: u16) -> Outcome {
    Outcome { step, reply: Some(Reply { code, text: "words".into() }), failure: None, detail: String::new() }
}
