//! Hostile account facts: no header is injected, whatever is composed can be opened again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (email, username, locale, name) = input;
    let key = "0123456789abcdefghijklmnopqrstuv";
    let mut site = postroom_fuzz::site();
    site["name"] = name.into();
    let account = json!({
        "id": "a", "email": email, "username": username, "locale": locale, "auth_service": "", "has_auth_data": false,
        "remote": false, "guest": false, "deleted": false, "email_verified": false, "password_stamp": 1,
    });
    let args = json!({
        "kind": "reset", "requested_at": 1_764_000_000_000_i64, "account": account,
        "limit": {"per_hour": 0}, "site": site, "key": key,
    });
    let Some(answer) = postroom_fuzz::call("prepare", &args) else { return };
    let mail = &answer["mail"];
    let opened = postroom_fuzz::call("open", &json!({"key": key, "mail_id": mail["id"], "sealed": mail["sealed"]}))
        .expect("what was sealed opens");
    assert!(!opened["envelope_to"].as_str().expect("an address").chars().any(char::is_control));
});
