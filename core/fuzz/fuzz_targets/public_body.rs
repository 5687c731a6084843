//! The bodies that the three endpoints are sent, and Mattermost's answer to a redemption.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|octets: &[u8]| {
    let (body, text) = (postroom_fuzz::base64(octets), String::from_utf8_lossy(octets));
    let args = json!({"endpoint": "verify", "body": body, "too_large": false, "redirect": text, "client_address": text});
    let answer = postroom_fuzz::call("read_request", &args).expect("what a client sent is no error");
    assert!((answer["request"] == Value::Null) != (answer["app_error"] == Value::Null));
    if let Some(redirect) = answer["request"]["redirect"].as_str() {
        assert!(redirect.starts_with('/') && !redirect.starts_with("//") && !redirect.contains(['\\', '#', '\r', '\n']));
    }

    let current = json!({"SMTPServer": "smtp.example.com", "SMTPPort": "587", "SMTPPassword": "saved"});
    let answer = postroom_fuzz::call("read_test", &json!({"body": body, "too_large": false, "current": current}))
        .expect("what a client sent is no error");
    assert!((answer["connection"] == Value::Null) != (answer["app_error"] == Value::Null));

    let row = json!({"purpose": "reset", "account_id": "a", "address": "a@example.com", "password_stamp": 1, "expires_at": 2});
    let args = json!({
        "purpose": "reset", "token": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "row": row,
        "reply": {"status": 400, "body": body}, "site": postroom_fuzz::site(), "accept_language": "",
    });
    postroom_fuzz::call("redeem_outcome", &args).expect("what Mattermost answered is no error");
});
