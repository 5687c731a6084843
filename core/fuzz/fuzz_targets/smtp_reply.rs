//! A peer's reply at any step: never "sent" without a 2xx after the dot, always one line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const STEPS: [&str; 12] = [
    "dns", "connect", "tls", "greeting", "ehlo", "starttls", "auth", "mail_from", "rcpt_to", "data", "body", "final_dot",
];
const FAILURES: [Option<&str>; 12] = [
    None, Some("timeout"), Some("refused"), Some("unreachable"), Some("reset"), Some("closed"), Some("dns"),
    Some("certificate"), Some("tls"), Some("not_offered"), Some("protocol"), Some("other"),
];

fuzz_target!(|input: (u8, u8, u16, u32, i64, &str)| {
    let (step, failure, code, attempts, expires_at, text) = input;
    let (step, failure) = (STEPS[usize::from(step) % STEPS.len()], FAILURES[usize::from(failure) % FAILURES.len()]);
    let outcome = json!({"step": step, "reply": {"code": code, "text": text}, "failure": failure, "detail": text});
    let args = json!({"outcome": outcome, "kind": "reset", "attempts": attempts.max(1), "expires_at": expires_at});
    let answer = postroom_fuzz::call("judge", &args).expect("what a peer said is no error");
    let accepted = step == "final_dot" && (200..300).contains(&code) && failure.is_none();
    assert_eq!(answer["state"] == "sent", accepted);
    let words = answer["text"].as_str().expect("words");
    assert!(words.len() <= 500 && !words.chars().any(char::is_control));

    let reply = postroom_fuzz::call("test_reply", &json!({"outcome": outcome})).expect("what a peer said is no error");
    assert_eq!(reply["app_error"] == Value::Null, accepted);
});
