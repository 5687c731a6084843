//! What the fuzz targets share: a call of the core, and what must hold of every answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Bytes as the boundary writes them.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes that the boundary wrote.
pub fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}

/// A site that works.
pub fn site() -> Value {
    json!({
        "url": "https://chat.example.com", "name": "Acme Chat", "default_locale": "en", "support_email": "",
        "from_address": "", "from_name": "", "reply_to": "", "reset_lifetime_ms": 3_600_000, "verify_lifetime_ms": 86_400_000,
    })
}

/// Calls an operation and checks the reply's form; `None` where it is an `err`.
pub fn call(op: &str, args: &Value) -> Option<Value> {
    let entropy: Vec<u8> = (0..96).collect();
    let request = json!({"op": op, "now": 1_764_000_000_000_i64, "entropy": base64(&entropy), "args": args});
    let mut reply = check(&postroom_core::dispatch(request.to_string().as_bytes()));
    reply.get_mut("ok").map(Value::take)
}

/// What holds of any reply: JSON, either `ok` or `err`, a known code, and no fault of our own.
pub fn check(reply: &[u8]) -> Value {
    let reply: Value = serde_json::from_slice(reply).expect("a reply is JSON");
    let members = reply.as_object().expect("a reply is an object");
    assert_eq!(members.len(), 1);
    if let Some(err) = members.get("err") {
        let code = err["code"].as_str().expect("a code is text");
        assert!(!matches!(code, "internal" | "template"), "{err}");
        assert!(err["detail"].as_str().is_some_and(|detail| !detail.is_empty() && detail.len() < 2_000));
    } else {
        assert!(members.contains_key("ok"));
    }
    reply
}
