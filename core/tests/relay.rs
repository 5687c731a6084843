//! The relay over what Mattermost really sends (`core/tests/relay/`): what each mail is taken for, and what leaves in
//! its place, compared whole with `core/tests/golden/relay/` (`make golden` rewrites those).
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // helpers of tests are tests

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders as _};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_795_518_480_000;
const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[allow(clippy::disallowed_methods)] // a test may read files
fn read(path: &str) -> Vec<u8> {
    std::fs::read(folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares with a golden file, or rewrites it.
#[allow(clippy::disallowed_methods)] // a test may read files and the environment
fn check_golden(name: &str, actual: &[u8]) {
    let path = folder().join("golden/relay").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read(&path).unwrap_or_default();
    assert!(expected == actual, "{name} differs; run `make golden`, and look at what changed");
}

fn site() -> Value {
    json!({
        "url": "https://chat.example.com", "name": "Acme Chat", "default_locale": "en", "support_email": "",
        "from_address": "noreply@example.com", "from_name": "Acme Chat", "reply_to": "help@example.com",
        "reset_lifetime_ms": 3_600_000, "verify_lifetime_ms": 86_400_000,
    })
}

fn account(email: &str, locale: &str) -> Value {
    json!({
        "id": "anna4anna4anna4anna4anna4a", "email": email, "username": "anna", "locale": locale, "auth_service": "",
        "has_auth_data": false, "remote": false, "guest": false, "deleted": false, "email_verified": true,
        "password_stamp": 1_764_000_000_000_i64,
    })
}

fn call(op: &str, args: &Value) -> Value {
    let entropy: Vec<u8> = (0..96).collect();
    let request = json!({"op": op, "now": NOW, "entropy": STANDARD.encode(entropy), "args": args});
    let reply: Value =
        serde_json::from_slice(&postroom_core::dispatch(request.to_string().as_bytes())).unwrap();
    assert!(reply["err"].is_null(), "{op}: {}", reply["err"]);
    reply["ok"].clone()
}

fn ask(message: &[u8], to: &[&str], facts: &Value) -> Value {
    call(
        "take_mail",
        &json!({"message": STANDARD.encode(message), "envelope_from": "noreply@example.com", "envelope_to": to,
            "site": site(), "key": KEY, "facts": facts}),
    )
}

/// The token that is asked for is told of as far as the facts go.
fn take(message: &[u8], to: &[&str], facts: &Value) -> Value {
    let mut facts = facts.clone();
    let mut reply = ask(message, to, &facts);
    if !reply["look_up"].is_null() {
        facts["token"] = reply["look_up"].clone();
        reply = ask(message, to, &facts);
    }
    assert!(reply["look_up"].is_null(), "it asks again");
    reply["taken"].clone()
}

/// What leaves for each recipient: address and message.
fn opened(taken: &Value) -> Vec<(String, Vec<u8>)> {
    let recipients = taken["recipients"].as_array().unwrap();
    let open = |recipient: &Value| {
        let args = json!({"key": KEY, "mail_id": recipient["id"], "sealed": recipient["sealed"]});
        let opened = call("open", &args);
        let message = STANDARD.decode(opened["message"].as_str().unwrap()).unwrap();
        (opened["envelope_to"].as_str().unwrap().to_owned(), message)
    };
    recipients.iter().map(open).collect()
}

/// RFC 5322: once each, CRLF only, no line too long, 7 bits.
fn check_form(name: &str, message: &[u8]) {
    let text = std::str::from_utf8(message).unwrap_or_else(|_| panic!("{name} is not ASCII"));
    assert!(text.is_ascii(), "{name}");
    let without = text.replace("\r\n", "");
    assert!(!without.contains(['\r', '\n']), "{name} has a bare CR or LF");
    assert!(text.split("\r\n").all(|line| line.len() <= 998), "{name}");
    let header = text.split("\r\n\r\n").next().unwrap();
    let count = |field: &str| {
        header
            .split("\r\n")
            .filter(|line| line.to_ascii_lowercase().starts_with(&format!("{field}:")))
            .count()
    };
    for field in [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "auto-submitted",
        "x-auto-response-suppress",
        "mime-version",
    ] {
        assert_eq!(count(field), 1, "{name}: {field}\n{header}");
    }
    for field in ["received", "x-smtpapi", "bcc", "list-unsubscribe"] {
        assert_eq!(count(field), 0, "{name}: {field}");
    }
    let id = header.split("\r\n").find(|line| line.starts_with("Message-ID:")).unwrap();
    assert!(id.ends_with("@example.com>"), "{name}: {id}");
}

struct Sample {
    name: String,
    message: Vec<u8>,
    to: String,
    locale: String,
    /// Of the account that it is about, not the one it is sent to.
    owner: String,
}

fn sample(kind: &str, locale: &str) -> Sample {
    let name = format!("{kind}.{locale}");
    let envelope: Value = serde_json::from_slice(&read(&format!("relay/{name}.envelope.json"))).unwrap();
    let to = envelope["to"][0].as_str().unwrap().to_owned();
    let owner = if kind == "email_change_verify" { format!("anna.{locale}@example.com") } else { to.clone() };
    Sample { message: read(&format!("relay/{name}.eml")), name, to, locale: locale.to_owned(), owner }
}

fn subjects(locale: &str) -> Value {
    let all: Value = serde_json::from_slice(&read("relay/subjects.json")).unwrap();
    all[locale].clone()
}

impl Sample {
    /// The token that is to be looked up first.
    fn token(&self) -> Option<String> {
        ask(&self.message, &[&self.to], &self.facts(None))["look_up"].as_str().map(str::to_owned)
    }

    /// What the relay would look up, as far as there is something.
    fn facts(&self, token_type: Option<&str>) -> Value {
        let owner = account(&self.owner, &self.locale);
        let row = token_type.map(
            |kind| json!({"type": kind, "user_id": owner["id"], "email": self.to, "created_at": NOW - 1000}),
        );
        let invited = self.name.starts_with("invitation");
        json!({
            "account": if self.owner == self.to && !invited { account(&self.to, &self.locale) } else { Value::Null },
            "token_row": row,
            "owner": if row.is_some() { owner } else { Value::Null },
            "subjects": subjects(if invited { "en" } else { &self.locale }),
        })
    }
}

/// Taken, composed anew, with a link of ours and nothing of Mattermost's.
fn check_account(kind: &str, purpose: &str, token_type: &str) {
    for locale in ["en", "de", "ja"] {
        let sample = sample(kind, locale);
        assert_eq!(sample.token().map(|token| token.len()), Some(64), "{}", sample.name);
        let taken = take(&sample.message, &[&sample.to], &sample.facts(Some(token_type)));
        assert_eq!(taken["kind"], kind, "{}: {}", sample.name, taken["notes"]);
        assert_eq!((&taken["class"], &taken["take_token"]), (&json!("account"), &json!(true)));
        assert_eq!(
            (&taken["token"]["purpose"], &taken["token"]["address"]),
            (&json!(purpose), &json!(sample.to))
        );
        let replaces = if sample.owner == sample.to { Value::Null } else { json!(sample.owner) };
        assert_eq!(taken["token"]["replaces"], replaces);
        assert_eq!(
            (&taken["mail"]["locale"], &taken["mail"]["expires_at"]),
            (&json!(locale), &taken["token"]["expires_at"])
        );
        assert_eq!(taken["notes"], json!([]));
        let leaving = opened(&taken);
        assert_eq!(leaving.len(), 1);
        let (to, message) = &leaving[0];
        assert_eq!(to, &sample.to);
        check_form(&sample.name, message);
        let parsed = MessageParser::default().parse(message).unwrap();
        let text = parsed.body_text(0).unwrap();
        assert!(
            text.contains(&format!("https://chat.example.com/plugins/postroom/{purpose}?token=")),
            "{text}"
        );
        let theirs = sample.token().unwrap();
        assert!(!text.contains(&theirs) && !parsed.body_html(0).unwrap().contains(&theirs));
        assert!(!taken.to_string().contains(&theirs), "a token in clear");
        check_golden(&format!("{}.eml", sample.name), message);
    }
}

#[test]
fn account_mails_are_composed_anew() {
    check_account("reset", "reset", "password_recovery");
    check_account("verify", "verify", "verify_email");
    check_account("email_change_verify", "verify", "verify_email");
}

/// Passed on: the body as it came from its HTML part on, a text part made, the header repaired.
fn check_passed(sample: &Sample, facts: &Value, kind: &str, class: &str) -> Value {
    let taken = take(&sample.message, &[&sample.to], facts);
    assert_eq!(
        (taken["kind"].as_str(), taken["class"].as_str()),
        (Some(kind), Some(class)),
        "{}: {}",
        sample.name,
        taken["notes"]
    );
    assert_eq!((&taken["take_token"], &taken["token"]), (&json!(false), &Value::Null));
    let (_, message) = opened(&taken).remove(0);
    check_form(&sample.name, &message);
    let (before, after) = (String::from_utf8_lossy(&sample.message), String::from_utf8_lossy(&message));
    let html_at = before.find("Content-Type: text/html").unwrap();
    assert!(after.ends_with(&before[html_at..]), "{}: the HTML part changed", sample.name);
    assert_eq!(
        after.to_ascii_lowercase().contains("\r\nprecedence: bulk"),
        class == "notification",
        "{}",
        sample.name
    );
    let (was, is) = (
        MessageParser::default().parse(&sample.message).unwrap(),
        MessageParser::default().parse(&message).unwrap(),
    );
    assert_eq!(was.parts.len(), is.parts.len(), "{}", sample.name);
    assert_eq!((was.subject(), was.date()), (is.subject(), is.date()));
    let text = is.body_text(0).unwrap();
    assert_eq!(is.text_part(0).unwrap().content_type().unwrap().subtype(), Some("plain"));
    assert!(text.trim().len() > 60 && !text.contains(['{', '}']), "{}: {text}", sample.name);
    let html = is.body_html(0).unwrap();
    let main = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    for link in
        main.filter(|link| link.contains("token=") || link.contains("/pl/") || link.contains("signup_user"))
    {
        assert!(text.contains(&link.replace("&amp;", "&")), "{}: the text lacks {link}\n{text}", sample.name);
    }
    taken
}

#[test]
fn other_mails_are_passed_on() {
    for (name, kind, class) in [
        ("welcome", "welcome", "account"),
        ("welcome_unverified", "welcome", "account"),
        ("password_change", "password_change", "account"),
        ("username_change", "username_change", "account"),
        ("invitation", "invitation", "invitation"),
        ("notification", "notification", "notification"),
    ] {
        for locale in ["en", "de", "ja"] {
            let sample = sample(name, locale);
            let has_link = matches!(name, "welcome_unverified" | "notification"); // which quotes one
            assert_eq!(sample.token().is_some(), has_link, "{}", sample.name);
            let taken = check_passed(&sample, &sample.facts(None), kind, class);
            let lifetime = if name == "invitation" { 48 } else { 24 };
            assert_eq!(taken["mail"]["expires_at"], NOW + lifetime * 3_600_000);
            let expected = if name == "invitation" { "en" } else { locale };
            assert_eq!(taken["mail"]["locale"], expected, "{}", sample.name);
            check_golden(&format!("{}.eml", sample.name), &opened(&taken)[0].1);
        }
    }
}

/// A welcome has the link of a verification, and a notification may quote any: whatever the row says.
#[test]
fn a_link_alone_is_not_believed() {
    let welcome = sample("welcome_unverified", "en");
    assert!(welcome.token().is_some());
    let taken = check_passed(&welcome, &welcome.facts(Some("verify_email")), "welcome", "account");
    assert_eq!(taken["notes"], json!(["not_believed:subject", "text_made"]));

    let notification = sample("notification", "en");
    assert!(notification.token().is_some());
    let taken = check_passed(
        &notification,
        &notification.facts(Some("password_recovery")),
        "notification",
        "notification",
    );
    assert_eq!(taken["notes"], json!(["not_believed:subject", "text_made"]));
}

#[test]
fn without_the_row_a_reset_is_passed_on() {
    let sample = sample("reset", "en");
    let taken = check_passed(&sample, &sample.facts(None), "other", "notification");
    assert_eq!(taken["notes"], json!(["not_believed:no_token", "text_made"]));
    let mut facts = sample.facts(Some("password_recovery"));
    facts["subjects"] = Value::Null;
    assert_eq!(check_passed(&sample, &facts, "other", "notification")["notes"][0], "not_believed:subject");
    // A person whose name the letter can't hold gets Mattermost's own.
    let mut facts = sample.facts(Some("password_recovery"));
    facts["owner"]["username"] = json!("a\nb");
    let taken = check_passed(&sample, &facts, "other", "notification");
    assert_eq!(taken["notes"][0], "not_composed:invalid_argument:username");
}

/// S10, S12: Mattermost's token goes all the same, no link is minted, and nothing is left to be sent.
#[test]
fn a_link_too_many_is_held_back() {
    let check = |kind: &str, token_type: &str, restraints: Value, why: Option<&str>| {
        let sample = sample(kind, "en");
        let mut facts = sample.facts(Some(token_type));
        for (name, fact) in restraints.as_object().unwrap() {
            facts[name] = fact.clone();
        }
        let taken = take(&sample.message, &[&sample.to], &facts);
        assert_eq!((&taken["kind"], &taken["take_token"]), (&json!(kind), &json!(true)), "{restraints}");
        let Some(why) = why else {
            assert!(taken["held_back"].is_null() && taken["token"].is_object(), "{restraints}");
            return taken["limit_tat_ms"].clone();
        };
        assert_eq!(taken["held_back"]["why"], why, "{restraints}");
        assert!(taken["held_back"]["reason"].as_str().unwrap().starts_with("Not sent: "));
        assert!(taken["token"].is_null() && taken["limit_tat_ms"].is_null());
        assert_eq!(taken["recipients"][0]["sealed"], "");
        Value::Null
    };
    let before = |ago: i64, address: &str| json!({"requested_at": NOW - ago, "address": address});
    let anna = "anna.en@example.com";
    let reset = ("reset", "password_recovery");
    check(reset.0, reset.1, json!({"previous": before(14_999, anna)}), Some("repeat"));
    check(reset.0, reset.1, json!({"previous": before(-5_000, anna)}), Some("repeat"));
    check(reset.0, reset.1, json!({"previous": before(15_000, anna)}), None);
    let full = json!({"per_hour": 5, "tat_ms": NOW + 3_600_000});
    check(reset.0, reset.1, json!({"limit": full}), Some("account_limited"));
    let tat = check(reset.0, reset.1, json!({"limit": {"per_hour": 5, "tat_ms": null}}), None);
    assert_eq!(tat, json!(NOW + 720_000));
    check(reset.0, reset.1, json!({"limit": {"per_hour": 0, "tat_ms": NOW + 3_600_000}}), None);
    // Three kinds share the verification's link: one for another address is another wish.
    let pending = ("email_change_verify", "verify_email");
    check(pending.0, pending.1, json!({"previous": before(1_000, anna)}), None);
    check(
        pending.0,
        pending.1,
        json!({"previous": before(1_000, "anna.new.en@example.com")}),
        Some("repeat"),
    );
}

#[test]
fn a_site_that_is_not_set_up_stops_no_mail() {
    let sample = sample("reset", "en");
    let mut site = site();
    site["url"] = json!("");
    let args = json!({"message": STANDARD.encode(&sample.message), "envelope_from": "", "envelope_to": [sample.to],
        "site": site, "key": KEY, "facts": sample.facts(Some("password_recovery"))});
    let taken = &call("take_mail", &args)["taken"];
    assert_eq!((&taken["kind"], &taken["take_token"]), (&json!("other"), &json!(false)));
}

#[test]
fn what_cannot_be_read_goes_as_it_came() {
    for message in [
        "",
        "no header at all",
        "\0\0\0",
        "a: b\r\n broken\r\nline\r\n\r\nbody\r\n",
        "Content-Type: a\r\nContent-Type: b\r\n\r\nx\r\n",
    ] {
        let taken = take(message.as_bytes(), &["anna@example.com"], &json!({}));
        assert_eq!(
            (&taken["kind"], &taken["notes"]),
            (&json!("other"), &json!(["unreadable"])),
            "{message:?}"
        );
        assert_eq!(opened(&taken)[0].1, message.as_bytes());
    }
    let smuggled = "a: b\r\n\r\nx\n.\r\nMAIL FROM:<evil@example.com>\r.\n";
    let taken = take(smuggled.as_bytes(), &["anna@example.com"], &json!({}));
    assert_eq!(taken["notes"], json!(["line_ends"]));
    let (_, message) = opened(&taken).remove(0);
    let text = String::from_utf8(message).unwrap();
    assert!(text.ends_with("\r\n\r\nx\r\n.\r\nMAIL FROM:<evil@example.com>\r\n.\r\n"), "{text}");
}

#[test]
fn every_recipient_has_a_row_of_its_own() {
    let sample = sample("reset", "en");
    let to = ["anna.en@example.com", "bert@example.com", "c\u{e4}@b\u{fc}cher.example", "odd address"];
    let taken = take(&sample.message, &to, &sample.facts(Some("password_recovery")));
    assert_eq!((&taken["kind"], &taken["notes"][0]), (&json!("other"), &json!("not_believed:recipients")));
    let leaving: Vec<String> = opened(&taken).into_iter().map(|(to, _)| to).collect();
    assert_eq!(
        leaving,
        ["anna.en@example.com", "bert@example.com", "c\u{e4}@xn--bcher-kva.example", "odd address"]
    );
    let ids: BTreeSet<&str> =
        taken["recipients"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(taken["mail"]["id"], taken["recipients"][0]["id"]);
}

/// A body of one part: lines too long, eight bits, a NUL.
#[test]
fn what_smtp_has_no_room_for_is_encoded() {
    let long = "x".repeat(3000);
    for (header, body, decoded) in [
        (
            "Content-Type: text/plain; charset=utf-8\r\n",
            format!("a {long}\r\nb\r\n"),
            format!("a {long}\r\nb\r\n"),
        ),
        (
            "Content-Type: text/html; charset=utf-8\r\n",
            "<p>\u{e4}</p>\r\n".to_owned(),
            "<p>\u{e4}</p>\r\n".to_owned(),
        ),
        (
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            format!("=3D{long}=3D"),
            format!("={long}="),
        ),
        (
            "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n",
            STANDARD.encode(&long),
            long.clone(),
        ),
        ("Content-Type: application/x\r\n", format!("\0{long}"), format!("\0{long}")),
        ("", "a\0b\r\n".to_owned(), "a\0b\r\n".to_owned()),
    ] {
        let message = format!("From: a@example.com\r\nTo: b@example.com\r\n{header}\r\n{body}");
        let taken = take(message.as_bytes(), &["b@example.com"], &json!({}));
        assert_eq!(taken["notes"], json!(["encoded"]), "{header}");
        let (_, leaving) = opened(&taken).remove(0);
        check_form(header, &leaving);
        let parsed = MessageParser::default().parse(&leaving).unwrap();
        assert_eq!(parsed.parts[0].contents(), decoded.as_bytes(), "{header}");
    }
}

#[test]
fn copies_are_kept_only_where_they_are_delivered() {
    let message = "From: a@example.com\r\nTo: b@example.com\r\nCC: C@example.com\r\nX-SMTPAPI: {\"category\": \"x\"}\r\n\r\nx\r\n";
    let leaving = |to: &[&str]| {
        String::from_utf8(opened(&take(message.as_bytes(), to, &json!({}))).remove(0).1).unwrap()
    };
    assert!(!leaving(&["b@example.com"]).contains("CC:"));
    assert!(leaving(&["b@example.com", "c@example.com"]).contains("\r\nCC: C@example.com\r\n"));
}

fn mail_of_any_kind() -> impl Strategy<Value = (Vec<u8>, String, Value)> {
    let kinds =
        ["reset", "verify", "email_change_verify", "welcome_unverified", "invitation", "notification"];
    (prop::sample::select(kinds.to_vec()), prop::sample::select(vec!["en", "de", "ja"])).prop_map(
        |(kind, locale)| {
            let sample = sample(kind, locale);
            let facts =
                sample.facts(Some(if kind == "reset" { "password_recovery" } else { "verify_email" }));
            (sample.message, sample.to, facts)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// However a real mail is damaged, it leaves, to everybody it was for.
    #[test]
    fn a_damaged_mail_is_not_lost(
        (mut message, to, facts) in mail_of_any_kind(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..4), 0..40_usize), 0..12),
        more in prop::collection::vec("[a-z]{1,8}@[a-z]{1,8}\\.example", 0..3),
    ) {
        for (at, octets, gone) in damage {
            // Most of it in the header and at the parts' edges, which come first.
            let at = at.index(message.len().min(1600));
            let end = (at + gone).min(message.len());
            message.splice(at..end, octets);
        }
        let mut recipients = vec![to.as_str()];
        recipients.extend(more.iter().map(String::as_str));
        let taken = take(&message, &recipients, &facts);
        let leaving: BTreeSet<String> = opened(&taken).into_iter().map(|(to, _)| to).collect();
        prop_assert_eq!(leaving, recipients.iter().map(|to| (*to).to_owned()).collect::<BTreeSet<_>>());
        for (_, message) in opened(&taken) {
            let text = String::from_utf8_lossy(&message).replace("\r\n", "");
            prop_assert!(!text.contains(['\r', '\n']));
        }
    }

    /// A body that SMTP has room for is not touched, whatever it says.
    #[test]
    fn a_body_stays_as_it_is(
        lines in prop::collection::vec("[ -~]{0,80}", 0..20),
        kind in prop::sample::select(vec!["text/plain", "text/html", "application/json", "multipart/mixed; boundary=b", "x"]),
        header in prop::collection::vec("[A-Za-z-]{1,12}: [ -~]{0,60}", 0..6),
    ) {
        let body = lines.join("\r\n");
        let header: String = header.iter().map(|field| format!("{field}\r\n")).collect();
        let message = format!("Content-Type: {kind}\r\n{header}\r\n{body}");
        let taken = take(message.as_bytes(), &["anna@example.com"], &json!({}));
        let (_, leaving) = opened(&taken).remove(0);
        let leaving = String::from_utf8(leaving).unwrap();
        let (_, after) = leaving.split_once("\r\n\r\n").unwrap();
        prop_assert_eq!(after, body);
    }

    #[test]
    fn noise_goes_as_it_came(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let taken = take(&noise, &["anna@example.com"], &json!({}));
        prop_assert_eq!(opened(&taken).len(), 1);
    }
}
