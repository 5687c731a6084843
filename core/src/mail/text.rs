//! The sentences: Fluent messages in `core/locales/<lang>/`, and the facts that stand in them.
//!
//! Facts are cleaned and isolated here, once, so that no template need think of it: a Latin name inside a Persian
//! sentence (or the reverse) keeps its own direction, and none can turn the direction of what follows.

use std::sync::OnceLock;

use fluent_bundle::{FluentArgs, FluentError, FluentResource, FluentValue, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

use super::moment::{Calendar, Moment};
use crate::Error;

/// FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE (Unicode Standard Annex 9).
pub(crate) const ISOLATE: char = '\u{2068}';
pub(crate) const POP: char = '\u{2069}';

type Bundle = FluentBundle<FluentResource>;

/// One language: how it is written, and its sentences.
pub(crate) struct Language {
    /// For `lang` and Content-Language (RFC 5646).
    pub(crate) tag: &'static str,
    /// For `dir`: `ltr` or `rtl`.
    pub(crate) direction: &'static str,
    /// CSS font-family, of fonts that systems bring along (D16).
    pub(crate) fonts: &'static str,
    calendar: Calendar,
    digits: Digits,
    sources: [&'static str; 2],
    bundle: OnceLock<Result<Bundle, Error>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digits {
    Latin,
    Persian,
}

macro_rules! sources {
    ($tag:literal) => {
        [
            include_str!(concat!("../../locales/", $tag, "/mail.ftl")),
            include_str!(concat!("../../locales/", $tag, "/page.ftl")),
        ]
    };
}

const LATIN_FONTS: &str =
    "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif";

static LANGUAGES: [Language; 4] = [
    Language {
        tag: "en",
        direction: "ltr",
        fonts: LATIN_FONTS,
        calendar: Calendar::Gregorian,
        digits: Digits::Latin,
        sources: sources!("en"),
        bundle: OnceLock::new(),
    },
    Language {
        tag: "de",
        direction: "ltr",
        fonts: LATIN_FONTS,
        calendar: Calendar::Gregorian,
        digits: Digits::Latin,
        sources: sources!("de"),
        bundle: OnceLock::new(),
    },
    Language {
        tag: "ja",
        direction: "ltr",
        fonts: "-apple-system,'Hiragino Sans','Yu Gothic UI',Meiryo,'Noto Sans JP','Noto Sans CJK JP',sans-serif",
        calendar: Calendar::Gregorian,
        digits: Digits::Latin,
        sources: sources!("ja"),
        bundle: OnceLock::new(),
    },
    Language {
        tag: "fa",
        direction: "rtl",
        fonts: "-apple-system,Vazirmatn,'Segoe UI',Tahoma,'Noto Sans Arabic',Arial,sans-serif",
        calendar: Calendar::Jalali,
        digits: Digits::Persian,
        sources: sources!("fa"),
        bundle: OnceLock::new(),
    },
];

/// The language of one of [`super::locale::ALL`].
pub(crate) fn language(tag: &str) -> Result<&'static Language, Error> {
    LANGUAGES.iter().find(|l| l.tag == tag).ok_or_else(|| Error::internal("a locale without texts"))
}

/// What may stand in a sentence, by argument name.
#[derive(Debug, Default)]
pub(crate) struct Facts(FluentArgs<'static>);

impl Facts {
    /// Adds words: names, addresses, times. They are cleaned, and isolated where they must be.
    pub(crate) fn text(mut self, name: &'static str, value: &str, language: &Language) -> Self {
        self.0.set(name, language.isolate(value));
        self
    }

    /// Adds a word that a sentence selects by and never shows, or that needs no isolation.
    pub(crate) fn word(mut self, name: &'static str, value: String) -> Self {
        self.0.set(name, value);
        self
    }

    /// Adds a number, which a sentence may select its plural by.
    pub(crate) fn number(mut self, name: &'static str, value: i64) -> Self {
        self.0.set(name, value);
        self
    }
}

impl Language {
    /// One sentence.
    ///
    /// # Errors
    /// `template`, naming the message, where it or one of its arguments is missing.
    pub(crate) fn say(&self, id: &str, facts: &Facts) -> Result<String, Error> {
        let bundle = self.bundle.get_or_init(|| self.load()).as_ref().map_err(Clone::clone)?;
        let fault = |detail: String| Error::Template { name: format!("{}/{id}", self.tag), detail };
        let message = bundle.get_message(id).ok_or_else(|| fault("no such message".to_owned()))?;
        let pattern = message.value().ok_or_else(|| fault("a message without a value".to_owned()))?;
        let mut errors: Vec<FluentError> = Vec::new();
        let said = bundle.format_pattern(pattern, Some(&facts.0), &mut errors).into_owned();
        // A resolver's error quotes the pattern's own source, never a value.
        errors.first().map_or(Ok(said), |e| Err(fault(e.to_string())))
    }

    /// A moment in words, in this language's calendar, UTC.
    pub(crate) fn moment(&self, moment: Moment) -> Result<String, Error> {
        let date = moment.date(self.calendar);
        let facts = Facts::default()
            .number("year", date.year)
            .number("month", date.month)
            .number("day", date.day)
            .word("clock", self.digits.write(&moment.clock()));
        self.say("moment", &facts)
    }

    fn load(&self) -> Result<Bundle, Error> {
        let fault = |detail: &str| Error::Template {
            name: format!("locales/{}", self.tag),
            detail: detail.to_owned(),
        };
        let tag: LanguageIdentifier = self.tag.parse().map_err(|_| fault("not a language tag"))?;
        let mut bundle = Bundle::new_concurrent(vec![tag]);
        // Our own isolation is finer: see `isolate`.
        bundle.set_use_isolating(false);
        if self.digits == Digits::Persian {
            bundle.set_formatter(Some(|value, _| match value {
                FluentValue::Number(number) => Some(Digits::Persian.write(&number.as_string())),
                _ => None,
            }));
        }
        for source in self.sources {
            let resource = FluentResource::try_new(source.to_owned()).map_err(|_| fault("a syntax error"))?;
            bundle.add_resource(resource).map_err(|_| fault("a message is there twice"))?;
        }
        Ok(bundle)
    }

    /// Drops what steers direction, and wraps in an isolate what may run against the sentence.
    fn isolate(&self, text: &str) -> String {
        let clean = text.chars().filter(|c| !steers_direction(*c));
        if self.direction == "rtl" || text.chars().any(is_right_to_left) {
            std::iter::once(ISOLATE).chain(clean).chain(std::iter::once(POP)).collect()
        } else {
            clean.collect()
        }
    }
}

impl Digits {
    fn write(self, text: &str) -> String {
        match self {
            Self::Latin => text.to_owned(),
            Self::Persian => text
                .chars()
                .map(|c| c.to_digit(10).and_then(|d| char::from_u32(0x06F0 + d)).unwrap_or(c))
                .collect(),
        }
    }
}

/// Text as a template may show it outside a sentence: without characters that steer direction.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !steers_direction(*c)).collect()
}

/// The explicit formatting characters of Unicode Standard Annex 9.
fn steers_direction(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The blocks whose letters are of the classes R and AL.
fn is_right_to_left(c: char) -> bool {
    matches!(c, '\u{0590}'..='\u{08FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFF}'
        | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
