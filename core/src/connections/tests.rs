use serde_json::{Value, json};

use super::*;

fn ask(settings: &Value, missing: &Value, saved: &Value) -> Answer {
    answer(serde_json::from_value(json!({"settings": settings, "missing": missing, "saved": saved})).unwrap())
}

/// A primary that works, with those settings changed.
fn with(change: &Value) -> Value {
    let mut settings =
        json!({"PrimaryHost": "smtp.example.com", "PrimaryUsername": "u", "PrimaryPassword": "secret pass"});
    for (key, value) in change.as_object().unwrap() {
        settings[key] = value.clone();
    }
    settings
}

fn good(change: &Value) -> Own {
    let mut answer = ask(&with(change), &json!([]), &Value::Null);
    assert_eq!(answer.problems, [], "{change}");
    answer.connections.remove(0)
}

/// The settings named by problems; no mend quotes what was typed.
fn problems(settings: &Value) -> Vec<String> {
    let answer = ask(settings, &json!([]), &Value::Null);
    for problem in &answer.problems {
        assert!(problem.mend.len() > 20, "{problem:?}");
        for secret in ["hunter2", "secret pass"] {
            assert!(!problem.mend.contains(secret), "{problem:?}");
        }
    }
    answer.problems.into_iter().map(|problem| problem.field).collect()
}

fn check_problem(change: &Value, fields: &[&str]) {
    assert_eq!(problems(&with(change)), fields, "{change}");
}

#[test]
fn what_is_left_out() {
    let own = good(&json!({}));
    assert_eq!((own.connections, own.per_minute), (50, 0));
    let it = own.connection;
    assert_eq!((it.name.as_str(), it.server.as_str(), it.port), ("primary", "smtp.example.com", 587));
    assert!(it.security == Security::Starttls && it.verify_certificate && it.min_tls == TlsVersion::V12);
    assert_eq!((it.auth.len(), it.password.as_str()), (4, "secret pass"));
    assert_eq!(good(&json!({"PrimarySecurity": "tls", "PrimaryPort": "0"})).connection.port, 465);
    let bare = ask(&json!({"PrimaryHost": "127.0.0.1", "PrimarySecurity": "none"}), &json!([]), &Value::Null);
    assert!(
        bare.own
            && bare.connections[0].connection.auth.is_empty()
            && bare.connections[0].connection.port == 25
    );
}

#[test]
fn which_connection_mail_goes_by() {
    let check = |settings: Value, own: bool, fields: &[&str]| {
        let answer = ask(&settings, &json!([]), &Value::Null);
        assert_eq!(answer.own, own, "{settings}");
        assert_eq!(problems(&settings), fields, "{settings}");
    };
    check(json!({}), false, &[]);
    check(json!({"Connection": "auto", "PrimaryHost": "a.example"}), true, &[]);
    check(json!({"Connection": "postroom"}), true, &["PrimaryHost"]);
    check(json!({"Connection": "mattermost", "PrimaryHost": "a.example"}), false, &[]);
    check(json!({"Connection": "capture", "PrimaryHost": "a.example"}), false, &[]);
    check(json!({"FallbackHost": "b.example"}), false, &["FallbackHost"]);
    check(json!({"PrimaryHost": "a.example", "FallbackHost": "b.example"}), true, &[]);
}

#[test]
fn what_is_wrong_is_named() {
    check_problem(&json!({"PrimaryHost": "smtp://hunter2"}), &["PrimaryHost"]);
    check_problem(&json!({"PrimaryPort": "hunter2"}), &["PrimaryPort"]);
    check_problem(&json!({"PrimaryPort": "65536"}), &["PrimaryPort"]);
    check_problem(&json!({"PrimarySecurity": "ssl"}), &["PrimarySecurity"]);
    check_problem(&json!({"PrimaryMinimumTLS": "1.1"}), &["PrimaryMinimumTLS"]);
    check_problem(&json!({"PrimaryCA": "hunter2"}), &["PrimaryCA"]);
    check_problem(&json!({"PrimaryCA": "-----BEGIN PRIVATE KEY-----\nhunter2"}), &["PrimaryCA"]);
    check_problem(&json!({"PrimaryPin": "hunter2"}), &["PrimaryPin"]);
    check_problem(&json!({"PrimaryEHLOName": "a b"}), &["PrimaryEHLOName"]);
    check_problem(&json!({"PrimaryEnvelopeSender": "bounce"}), &["PrimaryEnvelopeSender"]);
    check_problem(&json!({"PrimaryAuth": "ntlm"}), &["PrimaryAuth"]);
    check_problem(&json!({"PrimaryAuth": "plain", "PrimaryUsername": ""}), &["PrimaryUsername"]);
    check_problem(&json!({"PrimaryPassword": ""}), &["PrimaryPassword"]);
    check_problem(&json!({"PrimaryPassword": "hunter2\nMAIL FROM:<>"}), &["PrimaryPassword"]);
    check_problem(&json!({"FromAddress": "hunter2"}), &["FromAddress"]);
    check_problem(&json!({"FromName": "a\r\nBcc: b"}), &["FromName"]);
    check_problem(&json!({"ClearTextHosts": "a, b c/d"}), &["ClearTextHosts"]);
}

#[test]
fn clear_text_stays_at_home() {
    let none = json!({"PrimarySecurity": "none", "PrimaryAuth": "none"});
    check_problem(&none, &["PrimarySecurity"]);
    check_problem(&with(&json!({"PrimarySecurity": "none"})), &["PrimarySecurity", "PrimaryAuth"]);
    let mut allowed = none.clone();
    allowed["ClearTextHosts"] = "relay.example, SMTP.Example.com.".into();
    assert!(good(&allowed).connection.auth.is_empty());
    allowed["PrimaryAuth"] = "plain".into();
    check_problem(&allowed, &["PrimaryAuth"]);
    let here = json!({"PrimaryHost": "[::1]", "PrimarySecurity": "none"});
    assert_eq!(good(&here).connection.auth.len(), 4);
}

#[test]
fn a_number_that_is_none_stops_no_mail() {
    let settings = with(&json!({"PrimaryConnections": "1", "PrimaryPerMinute": "many"}));
    let answer = ask(&settings, &json!([]), &Value::Null);
    assert_eq!(problems(&settings), ["PrimaryConnections", "PrimaryPerMinute"]);
    assert_eq!((answer.connections[0].connections, answer.connections[0].per_minute), (50, 0));
}

#[test]
fn a_problem_keeps_its_connection_back_and_one_of_all_keeps_both() {
    let names = |change: &Value| -> Vec<String> {
        let mut settings = with(&json!({"FallbackHost": "b.example", "FallbackAuth": "none"}));
        for (key, value) in change.as_object().unwrap() {
            settings[key] = value.clone();
        }
        let answer = ask(&settings, &json!([]), &Value::Null);
        answer.connections.into_iter().map(|own| own.connection.name).collect()
    };
    assert_eq!(names(&json!({})), ["primary", "fallback"]);
    assert_eq!(names(&json!({"FallbackPin": "x"})), ["primary"]);
    assert_eq!(names(&json!({"PrimaryPin": "x"})), ["fallback"]);
    assert!(names(&json!({"FromAddress": "x"})).is_empty());
}

#[test]
fn oauth() {
    let microsoft = json!({"PrimaryHost": "smtp.office365.com", "PrimaryTokenURL": "https://login.microsoftonline.com/T/oauth2/v2.0/token",
        "PrimaryClientID": "id", "PrimaryClientSecret": "s"});
    let it = good(&microsoft).connection;
    let oauth = it.oauth.unwrap();
    assert_eq!((oauth.scope.as_str(), it.password.as_str()), ("https://outlook.office365.com/.default", ""));
    let google = json!({"PrimaryHost": "smtp.gmail.com", "PrimaryAuth": "xoauth2", "PrimaryClientID": "id", "PrimaryClientSecret": "s", "PrimaryRefreshToken": "r"});
    let oauth = good(&google).connection.oauth.unwrap();
    assert_eq!((oauth.token_url.as_str(), oauth.scope.as_str()), ("https://oauth2.googleapis.com/token", ""));
    let lacking = |setting: &str| {
        let mut google = google.clone();
        google[setting] = "".into();
        check_problem(&google, &[setting]);
    };
    lacking("PrimaryClientID");
    lacking("PrimaryClientSecret");
    lacking("PrimaryRefreshToken");
    lacking("PrimaryUsername");
    check_problem(
        &json!({"PrimaryAuth": "xoauth2"}),
        &["PrimaryTokenURL", "PrimaryClientID", "PrimaryClientSecret"],
    );
    check_problem(
        &json!({"PrimaryTokenURL": "http://id.example/", "PrimaryClientID": "i", "PrimaryClientSecret": "s"}),
        &["PrimaryTokenURL"],
    );
}

#[test]
fn the_relay_is_no_mail_server() {
    let to = |port: u16| {
        let settings = json!({"PrimaryHost": "localhost", "PrimaryPort": "10030", "PrimarySecurity": "tls"});
        let args = json!({"settings": settings, "missing": [], "relay_port": port});
        answer(serde_json::from_value(args).unwrap())
    };
    assert!(to(10_030).connections.is_empty() && to(10_030).problems[0].field == "PrimaryHost");
    assert!(to(10_031).problems.is_empty());
}

#[test]
fn references_that_lead_nowhere() {
    for why in
        ["unset", "unsaved", "forbidden", "not_absolute", "not_found", "unreadable", "too_large", "not_text"]
    {
        let settings = json!({"PrimaryHost": "a.example", "PrimaryUsername": "u"});
        let missing = json!([{"field": "PrimaryPassword", "why": why}, {"field": "FallbackCA", "why": why}]);
        let answer = ask(&settings, &missing, &Value::Null);
        assert!(answer.own && answer.connections.is_empty());
        assert_eq!(answer.problems.len(), 1, "{:?}", answer.problems);
        assert_eq!(answer.problems[0].field, "PrimaryPassword");
    }
    let webhook = ask(&with(&json!({})), &json!([{"field": "AlertWebhook", "why": "unset"}]), &Value::Null);
    assert_eq!((webhook.problems.len(), webhook.connections.len()), (1, 1));
}

#[test]
fn a_placeholder_stands_for_the_saved_secret_of_the_same_server() {
    let saved = with(&json!({"PrimaryPort": "587"}));
    let check = |change: &Value, password: Option<&str>| {
        let mut form = saved.clone();
        form["PrimaryPassword"] = crate::email_settings::PLACEHOLDER.into();
        for (key, value) in change.as_object().unwrap() {
            if value.is_null() {
                form.as_object_mut().unwrap().remove(key);
            } else {
                form[key] = value.clone();
            }
        }
        let answer = ask(&form, &json!([]), &saved);
        let found = answer.connections.first().map(|own| own.connection.password.as_str());
        assert_eq!(found, password, "{change}: {:?}", answer.problems);
        if password.is_none() {
            assert_eq!(answer.problems[0].field, "PrimaryPassword");
        }
    };
    check(&json!({}), Some("secret pass"));
    check(&json!({"PrimaryPassword": null}), Some("secret pass"));
    check(&json!({"PrimarySecurity": "tls"}), Some("secret pass"));
    check(&json!({"PrimaryPassword": "new", "PrimaryHost": "evil.example"}), Some("new"));
    for (key, value) in [("PrimaryHost", "evil.example"), ("PrimaryPort", "25"), ("PrimaryUsername", "x")] {
        check(&json!({key: value}), None);
        check(&json!({key: value, "PrimaryPassword": null}), None);
    }
}
