//! The causes that are told apart: a table, the most special first. The first one that fits is the answer.
//!
//! Each has fixtures, `contract/causes/<name>[.<variant>].json`, which name a source and are played through a real
//! socket (`server/internal/causes`).

mod broken;
mod content;
mod limits;
mod login;
mod ports;
mod reach;
mod sender;
mod tls;

use super::view::View;

/// Something that goes wrong, or should be changed, and what to do about it.
pub struct Cause {
    /// As fixtures, the console and `docs/diagnosis.md` know it.
    pub name: &'static str,
    /// It does not keep mail from leaving, but should be changed.
    pub warning: bool,
    /// What it is, in a clause.
    pub means: &'static str,
    /// What to change, with parts in braces, as `{server}`. 400 characters at most, filled in.
    pub advice: &'static str,
    when: fn(&View<'_>) -> bool,
}

impl Cause {
    /// What ended a conversation.
    pub(crate) const fn fails(
        name: &'static str,
        means: &'static str,
        when: fn(&View<'_>) -> bool,
        advice: &'static str,
    ) -> Self {
        Self { name, warning: false, means, advice, when }
    }

    /// What should be changed although its step went well.
    pub(crate) const fn warns(
        name: &'static str,
        means: &'static str,
        when: fn(&View<'_>) -> bool,
        advice: &'static str,
    ) -> Self {
        Self { name, warning: true, means, advice, when }
    }
}

/// Every cause, in the order in which they are tried: a provider's own text says more than its code, a code with a text
/// more than a code, and that more than how the connection ended.
pub fn all() -> impl Iterator<Item = &'static Cause> {
    let generic = [
        broken::OURS,
        ports::CAUSES,
        reach::CAUSES,
        tls::CAUSES,
        login::CAUSES,
        content::CAUSES,
        limits::CAUSES,
        sender::CAUSES,
        broken::CAUSES,
    ];
    super::providers::CAUSES.iter().copied().chain(generic).flatten()
}

/// Why a step failed.
pub(crate) fn of_failure(view: &View<'_>) -> Option<&'static Cause> {
    all().filter(|cause| !cause.warning).find(|cause| (cause.when)(view))
}

/// What should be changed although a step went well.
pub(crate) fn of_success(view: &View<'_>) -> Option<&'static Cause> {
    all().filter(|cause| cause.warning).find(|cause| (cause.when)(view))
}
