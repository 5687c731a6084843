//! A line of the diagnosis, and the words in it.

use serde::Serialize;

pub(super) use crate::diagnosis::State;
use crate::outcome::is_unprintable;

/// `ms` is for whoever looks up: the core has no clock.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    pub(super) step: &'static str,
    pub(super) state: State,
    ms: Option<i64>,
    pub(super) said: String,
    pub(super) advice: String,
    pub(super) cause: Option<&'static str>,
}

impl Step {
    pub(super) fn ok(step: &'static str, said: impl Into<String>) -> Self {
        Self::new(step, State::Ok, said, "", None)
    }

    pub(super) fn skipped(step: &'static str, said: impl Into<String>) -> Self {
        Self::new(step, State::Skipped, said, "", None)
    }

    pub(super) fn warning(
        step: &'static str,
        cause: &'static str,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(step, State::Warning, said, advice, Some(cause))
    }

    pub(super) fn failed(
        step: &'static str,
        cause: &'static str,
        said: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(step, State::Failed, said, advice, Some(cause))
    }

    /// The same, but worth only a warning.
    pub(super) fn softened(self) -> Self {
        Self { state: if self.state == State::Failed { State::Warning } else { self.state }, ..self }
    }

    /// Advice that comes with it, after its own.
    pub(super) fn with_advice(mut self, advice: &str) -> Self {
        self.advice = join(&[&self.advice, advice]);
        self
    }

    /// Advice that is read first.
    pub(super) fn after(mut self, advice: &str) -> Self {
        self.advice = join(&[advice, &self.advice]);
        self
    }

    fn new(
        step: &'static str,
        state: State,
        said: impl Into<String>,
        advice: impl Into<String>,
        cause: Option<&'static str>,
    ) -> Self {
        Self { step, state, ms: None, said: one_line(&said.into()), advice: advice.into(), cause }
    }
}

/// Octets of what was found that are shown.
const SAID_MAX: usize = 300;

/// One line without controls and of [`SAID_MAX`] octets at most: what stands in the DNS is anybody's.
pub(super) fn one_line(text: &str) -> String {
    shortened(text, SAID_MAX)
}

/// A name or a term from somebody's record, as a sentence may quote it.
pub(super) fn quoted(text: &str) -> String {
    shortened(text, 80)
}

fn shortened(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    let mut line = String::new();
    for word in text.split(|c: char| is_unprintable(c) || c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > max {
            line.truncate(line.floor_char_boundary(max - MARK.len()));
            line.push_str(MARK);
            break;
        }
    }
    line
}

/// Sentences after one another, less the empty ones.
pub(super) fn join(sentences: &[&str]) -> String {
    let said: Vec<&str> = sentences.iter().copied().filter(|sentence| !sentence.is_empty()).collect();
    said.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines() {
        let check = |text: &str, expected: &str| assert_eq!(one_line(text), expected, "{text:?}");
        check("v=spf1 -all", "v=spf1 -all");
        check(" a\r\n\tb\0c\u{1b}[31m\u{202e}d ", "a b c [31m d");
        check("", "");
        assert_eq!(one_line(&"é".repeat(400)).len(), 299);
        assert!(one_line(&"é".repeat(400)).ends_with('…'));
        assert_eq!(one_line(&"x".repeat(300)).len(), 300);
    }

    proptest! {
        #[test]
        fn any_text_is_one_short_line(text in "\\PC{0,400}|[\\x00-\\xff]{0,900}") {
            let line = one_line(&text);
            prop_assert!(line.len() <= SAID_MAX && !line.chars().any(char::is_control));
        }
    }
}
