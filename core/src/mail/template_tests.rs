use minijinja::context;

use super::*;
use crate::mail::text::language;

#[test]
fn the_folder_is_the_catalogue() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/templates");
    let mut files: Vec<String> = Vec::new();
    for kind in std::fs::read_dir(root).unwrap() {
        let kind = kind.unwrap().path();
        for file in std::fs::read_dir(&kind).unwrap() {
            let file = file.unwrap().path();
            files.push(file.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
    files.sort();
    let mut known: Vec<&str> = CATALOGUE.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(files, known);
}

#[test]
fn colours_come_from_the_palette_alone() {
    for (name, source) in CATALOGUE {
        // `&#847;` is a character, not a colour.
        let hex = source
            .replace("&#", "&")
            .split('#')
            .skip(1)
            .map(|rest| rest.chars().take(3).collect::<String>())
            .find(|rest| rest.len() == 3 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        assert!(hex.is_none(), "{name} has a colour of its own: #{}", hex.unwrap_or_default());
    }
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    // What the console loads, tests/pages.rs says whole.
    for (name, source) in CATALOGUE.iter().filter(|(name, _)| *name != "page/console.html") {
        for load in
            ["src=", "url(", "@import", "<link", "<img", "<script", "<iframe", "@font-face", " background="]
        {
            assert!(!source.contains(load), "{name} has {load}");
        }
    }
}

#[test]
fn values_are_escaped_and_never_run() {
    let env = ENVIRONMENT.as_ref().unwrap();
    let hostile = "{{ 7*7 }}<b>\"'&/{% raw %}";
    let html = env.render_named_str("x.html", "{{ v }}", context! { v => hostile }).unwrap();
    assert_eq!(html, "{{ 7*7 }}&lt;b&gt;&quot;&#39;&amp;/{% raw %}");
    let text = env.render_named_str("x.txt", "{{ v }}", context! { v => hostile }).unwrap();
    assert_eq!(text, hostile);
}

#[test]
fn what_is_missing_is_an_error_in_both() {
    let env = ENVIRONMENT.as_ref().unwrap();
    for name in ["x.html", "x.txt"] {
        assert!(env.render_named_str(name, "{{ missing }}", context! {}).is_err(), "{name}");
    }
}

#[test]
fn an_error_quotes_no_value() {
    let env = ENVIRONMENT.as_ref().unwrap();
    let error = env.render_named_str("x.html", "\n{{ v + 1 }}", context! { v => "s3cret" }).unwrap_err();
    let error = fault("x.html", &error);
    assert!(!error.to_string().contains("s3cret") && error.to_string().contains("line 2"), "{error}");
}

#[test]
fn a_loop_runs_out_of_fuel() {
    let env = ENVIRONMENT.as_ref().unwrap();
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}";
    assert_eq!(env.render_str(endless, context! {}).unwrap_err().kind(), ErrorKind::OutOfFuel);
}

#[test]
fn sentences_in_html_are_escaped_and_isolated() {
    let fa = language("fa").unwrap();
    let facts = Facts::default().text("username", "<i>", fa).text("site", "A&B", fa);
    let t = Sentences::value(fa, facts);
    let env = ENVIRONMENT.as_ref().unwrap();
    let html =
        env.render_named_str("x.html", "{{ t('password-intro') }}", context! { t => t.clone() }).unwrap();
    assert_eq!(html, "برای حساب <bdi>&lt;i&gt;</bdi> در <bdi>A&amp;B</bdi>.");
    let plain = env
        .render_named_str("x.html", "{{ t('password-intro', plain=true) }}", context! { t => t.clone() })
        .unwrap();
    assert_eq!(plain, "برای حساب \u{2068}&lt;i&gt;\u{2069} در \u{2068}A&amp;B\u{2069}.");
}
