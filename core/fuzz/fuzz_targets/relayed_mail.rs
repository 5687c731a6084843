//! Any message that is handed to the relay: it leaves, to everybody it was for, and ends its lines one way only.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const KEY: &str = "0123456789abcdefghijklmnopqrstuv";

fuzz_target!(|input: (bool, &[u8])| {
    let (several, message) = input;
    let mut to = vec!["anna.en@example.com"];
    if several {
        to.push("bert@example.com");
    }
    let message = postroom_fuzz::base64(message);
    let owner = json!({
        "id": "anna", "email": "anna.en@example.com", "username": "anna", "locale": "de", "auth_service": "",
        "has_auth_data": false, "remote": false, "guest": false, "deleted": false, "email_verified": true, "password_stamp": 1,
    });
    let ask = |token: &Value| {
        // The row is of the kind that the token's first letter says, so that both are tried.
        let row = token.as_str().map(|token| {
            let kind = if token.as_bytes().first().is_some_and(|c| c % 2 == 0) { "password_recovery" } else { "verify_email" };
            json!({"type": kind, "user_id": "anna", "email": "anna.en@example.com", "created_at": 1_764_000_000_000_i64})
        });
        let facts = json!({
            "account": owner, "token": token, "token_row": row, "owner": owner, "previous": null, "limit": null,
            "subjects": {"reset": "[{{ .SiteName }}] Reset your password", "verify": "[{{ .SiteName }}] Email Verification"},
        });
        let args = json!({"message": message, "envelope_from": "noreply@example.com", "envelope_to": to,
            "site": postroom_fuzz::site(), "key": KEY, "facts": facts});
        postroom_fuzz::call("take_mail", &args).expect("a mail is no error")
    };
    let mut reply = ask(&Value::Null);
    if !reply["look_up"].is_null() {
        reply = ask(&reply["look_up"]);
    }
    let taken = &reply["taken"];
    assert_eq!(taken["take_token"] == true, taken["token"] != Value::Null);
    assert!(!(several && taken["take_token"] == true), "one recipient only");
    let rows = taken["recipients"].as_array().expect("rows");
    assert_eq!(rows.len(), to.len());
    for (row, to) in rows.iter().zip(to) {
        let opened = postroom_fuzz::call("open", &json!({"key": KEY, "mail_id": row["id"], "sealed": row["sealed"]}))
            .expect("what was sealed opens");
        assert_eq!(opened["envelope_to"], to);
        let message = postroom_fuzz::decode(opened["message"].as_str().expect("base64"));
        let mut before = 0;
        for octet in &message {
            assert_eq!(*octet == b'\n', before == b'\r', "a bare CR or LF");
            before = *octet;
        }
    }
});
