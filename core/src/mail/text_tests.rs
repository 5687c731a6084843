use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::mail::locale;

/// Message ids and the arguments of each, read from the sources.
fn messages(language: &Language) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in language.sources.iter().flat_map(|s| s.lines()) {
        if line.starts_with('#') {
            continue;
        }
        if line.starts_with(|c: char| c.is_ascii_lowercase()) {
            current = line.split_once(" =").expect("an id").0.to_owned();
            assert!(found.insert(current.clone(), BTreeSet::new()).is_none(), "{current} is there twice");
        }
        for part in line.split('$').skip(1) {
            let name: String = part.chars().take_while(char::is_ascii_lowercase).collect();
            found.get_mut(&current).expect("a message").insert(name);
        }
    }
    found
}

#[test]
fn every_locale_has_the_same_messages_with_the_same_arguments() {
    assert_eq!(locale::ALL, LANGUAGES.each_ref().map(|l| l.tag));
    let english = messages(&LANGUAGES[0]);
    assert!(english.len() > 60);
    for language in &LANGUAGES[1..] {
        assert_eq!(messages(language), english, "{}", language.tag);
    }
}

#[test]
fn every_message_can_be_said_whatever_the_numbers() {
    for language in &LANGUAGES {
        for (id, names) in messages(language) {
            for number in [0, 1, 2, 3, 5, 11, 12, 24, 60, 1440] {
                for unit in ["minutes", "hours"] {
                    let facts = names.iter().fold(Facts::default(), |facts, name| {
                        let name: &'static str = Box::leak(name.clone().into_boxed_str());
                        match name {
                            "count" | "year" | "month" | "day" => facts.number(name, number),
                            "unit" => facts.word(name, unit.to_owned()),
                            _ => facts.word(name, format!("<{name}>")),
                        }
                    });
                    let said = language.say(&id, &facts).unwrap();
                    assert!(!said.trim().is_empty() && !said.contains('\n'), "{}/{id}", language.tag);
                    for name in names
                        .iter()
                        .filter(|n| !matches!(n.as_str(), "count" | "year" | "month" | "day" | "unit"))
                    {
                        assert!(
                            said.contains(&format!("<{name}>")),
                            "{}/{id} drops ${name}: {said}",
                            language.tag
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn no_sentence_was_left_in_english() {
    let none = Facts::default();
    for (id, names) in messages(&LANGUAGES[0]).into_iter().filter(|(_, names)| names.is_empty()) {
        assert!(names.is_empty());
        let english = LANGUAGES[0].say(&id, &none).unwrap();
        for language in &LANGUAGES[1..] {
            assert_ne!(language.say(&id, &none).unwrap(), english, "{}/{id}", language.tag);
        }
    }
}

#[test]
fn plurals_and_digits() {
    let say = |tag: &str, unit: &str, count: i64| {
        let facts = Facts::default()
            .word("unit", unit.to_owned())
            .number("count", count)
            .word("until", "then".to_owned());
        language(tag).unwrap().say("link-expiry", &facts).unwrap()
    };
    assert_eq!(say("en", "minutes", 60), "You can use this link once within 60 minutes, until then.");
    assert_eq!(say("en", "minutes", 1), "You can use this link once within 1 minute, until then.");
    assert_eq!(say("en", "minutes", 0), "You can use this link once within a minute, until then.");
    assert_eq!(say("en", "hours", 24), "You can use this link once within 24 hours, until then.");
    assert_eq!(
        say("de", "hours", 1),
        "Du kannst diesen Link einmal innerhalb von 1 Stunde verwenden, bis then."
    );
    assert!(say("ja", "hours", 24).contains("24 時間以内"));
    assert!(say("fa", "minutes", 60).contains("۶۰ دقیقهٔ"));
}

#[test]
fn moments() {
    let moment = Moment::new("now", 1_795_518_480_000).unwrap();
    for (tag, expected) in [
        ("en", "24 November 2026, 11:08 UTC"),
        ("de", "24. November 2026, 11:08 Uhr (UTC)"),
        ("ja", "2026年11月24日 11:08 UTC"),
        ("fa", "۳ آذر ۱۴۰۵، ساعت ۱۱:۰۸ به وقت هماهنگ جهانی (UTC)"),
    ] {
        assert_eq!(language(tag).unwrap().moment(moment).unwrap(), expected);
    }
}

#[test]
fn names_keep_their_direction_and_steer_no_other() {
    let say = |tag: &str, username: &str| {
        let language = language(tag).unwrap();
        let facts = Facts::default().text("username", username, language).text("site", "Acme", language);
        language.say("password-intro", &facts).unwrap()
    };
    assert_eq!(say("en", "ada"), "For the account ada on Acme.");
    assert_eq!(say("en", "\u{202E}ada\u{2066}"), "For the account ada on Acme.");
    assert_eq!(say("en", "سارا"), "For the account \u{2068}سارا\u{2069} on Acme.");
    assert_eq!(say("fa", "ada"), "برای حساب \u{2068}ada\u{2069} در \u{2068}Acme\u{2069}.");
}

#[test]
fn a_missing_argument_is_an_error_and_not_a_hole() {
    let error = language("en").unwrap().say("password-intro", &Facts::default()).unwrap_err();
    assert_eq!((error.code(), error.field()), ("template", "en/password-intro"));
    assert_eq!(language("en").unwrap().say("no-such", &Facts::default()).unwrap_err().field(), "en/no-such");
}
