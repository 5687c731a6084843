//! The templates: minijinja over what is compiled in from `core/templates/`.
//!
//! Facts come in as values and are never parsed, so template code in a name is inert (S27). In `.html` everything
//! is escaped unless it was escaped before.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Value};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

use super::palette::{DARK, LIGHT, Scheme};
use super::text::{Facts, ISOLATE, Language, POP};
use crate::Error;

/// Instructions that one rendering may take; ours take a few hundred.
const FUEL: u64 = 20_000;

/// The folder is the catalogue: each template by its path under `core/templates/`.
macro_rules! catalogue {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $path)))),*]
    };
}

const CATALOGUE: &[(&str, &str)] = catalogue![
    "layout/email.html",
    "layout/email.txt",
    "layout/parts.html",
    "reset/email.subject",
    "reset/email.html",
    "reset/email.txt",
    "verify/email.subject",
    "verify/email.html",
    "verify/email.txt",
    "test/email.subject",
    "test/email.html",
    "test/email.txt",
    "orphaned/email.subject",
    "orphaned/email.html",
    "orphaned/email.txt",
    "page/layout.html",
    "page/form.html",
    "page/message.html",
    "page/console.html",
    "page/style.css",
];

static ENVIRONMENT: LazyLock<Result<Environment<'static>, Error>> = LazyLock::new(|| {
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    env.set_syntax(syntax.map_err(|e| fault("syntax", &e))?);
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_formatter(|out, state, value| {
        if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() {
            match value.as_str() {
                Some(text) => {
                    escape_to(text, &mut |part| out.write_str(part)).map_err(minijinja::Error::from)
                }
                None => minijinja::escape_formatter(out, state, value),
            }
        } else {
            minijinja::escape_formatter(out, state, value)
        }
    });
    for (name, scheme) in [("light", &LIGHT), ("dark", &DARK)] {
        env.add_global(name, colours(scheme));
    }
    for (name, source) in CATALOGUE {
        env.add_template(name, source).map_err(|e| fault(name, &e))?;
    }
    Ok(env)
});

fn colours(scheme: &Scheme) -> Value {
    let named = scheme.entries().into_iter();
    let colours: BTreeMap<&'static str, Value> =
        named.map(|(name, value)| (name, Value::from_safe_string(value.to_owned()))).collect();
    Value::from(colours)
}

/// Renders one template of the catalogue.
///
/// # Errors
/// `template`, naming it; the detail holds no value it was rendered with.
pub(crate) fn render(name: &str, context: &Value) -> Result<String, Error> {
    let env = ENVIRONMENT.as_ref().map_err(Clone::clone)?;
    env.get_template(name).and_then(|t| t.render(context)).map_err(|e| fault(name, &e))
}

/// What minijinja says of itself may quote values; its kind and line do not.
fn fault(name: &str, error: &minijinja::Error) -> Error {
    let detail = match error.line() {
        Some(line) => format!("{:?} in {} line {line}", error.kind(), error.name().unwrap_or(name)),
        None => format!("{:?}", error.kind()),
    };
    Error::Template { name: name.to_owned(), detail }
}

/// For text and quoted attributes. Slashes stay, so a link is to be found as it is.
fn escape_to(mut text: &str, out: &mut impl FnMut(&str) -> fmt::Result) -> fmt::Result {
    while let Some(at) = text.bytes().position(|b| matches!(b, b'&' | b'<' | b'>' | b'"' | b'\'')) {
        let (before, rest) = text.split_at(at);
        let (special, rest) = rest.split_at(1);
        out(before)?;
        out(match special {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&quot;",
            _ => "&#39;",
        })?;
        text = rest;
    }
    out(text)
}

/// `t(id)` in a template: a sentence, with the facts of this mail or page in it. In HTML it comes escaped, with
/// `<bdi>` around what must keep its own direction. `t(id, plain=true)` leaves out the markup, for attributes and titles.
#[derive(Debug)]
pub(crate) struct Sentences {
    language: &'static str,
    /// Behind a lock only because a `Value` must be `Sync`; nobody contends for it.
    facts: Mutex<Facts>,
}

impl Sentences {
    pub(crate) fn value(language: &Language, facts: Facts) -> Value {
        Value::from_object(Self { language: language.tag, facts: Mutex::new(facts) })
    }
}

impl Object for Sentences {
    fn call(
        self: &Arc<Self>,
        state: &mut minijinja::State<'_, '_>,
        args: &[Value],
    ) -> Result<Value, minijinja::Error> {
        let (id, options): (&str, minijinja::value::Kwargs) = minijinja::value::from_args(args)?;
        let plain = options.get::<Option<bool>>("plain")?.unwrap_or(false);
        options.assert_all_used()?;
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let said = super::text::language(self.language)
            .and_then(|language| language.say(id, &facts))
            .map_err(|e| minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string()))?;
        if !matches!(state.auto_escape(), AutoEscape::Html) || plain {
            return Ok(Value::from(said));
        }
        Ok(Value::from_safe_string(mark_up(&said)))
    }
}

/// Escapes, and turns isolates into elements.
fn mark_up(said: &str) -> String {
    let mut out = String::with_capacity(said.len() + 32);
    for (at, part) in said.split([ISOLATE, POP]).enumerate() {
        // Facts are cleaned of these characters, and sentences have none: they alternate.
        if at > 0 {
            out.push_str(if at % 2 == 1 { "<bdi>" } else { "</bdi>" });
        }
        // Writing to a String cannot fail.
        let _ = escape_to(part, &mut |piece| out.write_str(piece));
    }
    out
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
