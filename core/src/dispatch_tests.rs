use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn call(op: &str, args: &Value) -> Value {
    let request = json!({"op": op, "now": 1_764_000_000_000_i64, "entropy": "AAECAwQFBgc=", "args": args});
    serde_json::from_slice(&dispatch(request.to_string().as_bytes())).unwrap()
}

fn check_raw(request: &[u8], code: &str) {
    let reply: Value = serde_json::from_slice(&dispatch(request)).unwrap();
    assert_eq!(reply["err"]["code"], code, "{}: {reply}", String::from_utf8_lossy(request));
}

fn check(op: &str, args: &Value, code: &str, field: &str) {
    let reply = call(op, args);
    assert_eq!(
        (reply["err"]["code"].as_str(), reply["err"]["field"].as_str()),
        (Some(code), Some(field)),
        "{reply}"
    );
}

#[test]
fn malformed_requests() {
    for request in [
        "",
        "null",
        "[]",
        "{}",
        "{\"op\":\"key\"}",
        "{\"op\":\"key\",\"now\":0,\"entropy\":\"\"}",
        "{\"op\":1,\"now\":0,\"entropy\":\"\",\"args\":{}}",
        "{\"op\":\"key\",\"now\":0.5,\"entropy\":\"\",\"args\":{}}",
        "{\"op\":\"key\",\"now\":\"0\",\"entropy\":\"\",\"args\":{}}",
        "{\"op\":\"key\",\"now\":0,\"entropy\":null,\"args\":{}}",
        "{\"op\":\"key\",\"now\":0,\"entropy\":\"\",\"args\":{},\"more\":1}",
        "{\"op\":\"key\",\"op\":\"key\",\"now\":0,\"entropy\":\"\",\"args\":{}}",
        "{\"op\":\"key\",\"now\":0,\"entropy\":\"\",\"args\":{}} {}",
        "{\"op\":\"key\",\"now\":0,\"entropy\":\"\",\"args\":{}",
    ] {
        check_raw(request.as_bytes(), "malformed_request");
    }
    check_raw(b"\xff", "malformed_request");
    check_raw("[".repeat(100_000).as_bytes(), "malformed_request");
    check_raw(br#"{"op":"nope","now":0,"entropy":"","args":{}}"#, "unknown_op");
    check_raw(br#"{"op":"key","now":-1,"entropy":"","args":{}}"#, "invalid_argument");
    check_raw(br#"{"op":"key","now":253402300800000,"entropy":"","args":{}}"#, "invalid_argument");
    check_raw(br#"{"op":"key","now":0,"entropy":"!","args":{}}"#, "invalid_argument");
    check_raw(br#"{"op":"judge","now":0,"entropy":"","args":{}}"#, "entropy_missing");
    check_raw(br#"{"op":"judge","now":0,"entropy":"AAAAAAAAAAA=","args":{}}"#, "entropy_missing");
}

#[test]
fn arguments_are_named_by_their_path() {
    let bad = "invalid_argument";
    check("key", &json!({}), bad, "key");
    check("key", &json!(null), bad, "");
    check("key", &json!([]), bad, "");
    check("key", &json!(["x"]), bad, "");
    check("key", &json!({"key": 1}), bad, "key");
    check("key", &json!({"key": "x", "more": 1}), bad, "more");
    check("key", &json!({"key": "x", "<script>": 1}), bad, "(a name that is none of ours)");
    check(
        "limit",
        &json!({"rules": [{"name": "a", "per_window": -1, "window_ms": 1}]}),
        bad,
        "rules[0].per_window",
    );
    check("limit", &json!({"rules": [{"name": "a", "per_window": 1}]}), bad, "rules[0].window_ms");
    check("limit", &json!({"rules": [{"name": "a", "per_window": 1, "window_ms": 0}]}), bad, "rules");
    check("page", &json!({"page": "nope", "accept_language": ""}), bad, "page");
    check("page", &json!({"page": "not_found", "accept_language": "", "site": {}}), bad, "site.url");
    check("open", &json!({"key": "x", "mail_id": "x", "sealed": "!"}), bad, "sealed");
    check("digest_token", &json!({"token": "x"}), "invalid_token", "token");
    check("test_reply", &json!({"outcome": {"step": "x", "detail": ""}}), bad, "outcome.step");
}

#[test]
fn an_error_never_repeats_a_value() {
    for args in [
        json!({"key": "x", "mail_id": "x", "sealed": "hunter2"}),
        json!({"key": ["hunter2"], "mail_id": "x", "sealed": ""}),
        json!({"key": {"hunter2, expected hunter2": 1}, "mail_id": "x", "sealed": ""}),
        json!({"key": "hunter2", "mail_id": 1, "sealed": ""}),
        json!("hunter2"),
        json!({"key": "hunter2", "mail_id": "x", "sealed": ""}),
    ] {
        assert!(!call("open", &args).to_string().contains("hunter2"), "{args}");
    }
    for args in
        [json!({"token": "hunter2"}), json!({"token": {"x": "hunter2"}}), json!(["hunter2", "hunter2"])]
    {
        assert!(!call("digest_token", &args).to_string().contains("hunter2"), "{args}");
    }
    let args = json!({"page": "expected hunter2", "accept_language": ""});
    assert!(!call("page", &args).to_string().contains("hunter2"));
}

#[test]
fn the_self_test_holds() {
    let reply = call("self_test", &json!({}));
    let expected = json!({"ok": {
        "version": env!("CARGO_PKG_VERSION"), "kinds": ["reset", "verify", "test", "orphaned"], "locales": ["de", "en", "fa", "ja"],
    }});
    assert_eq!(reply, expected);
}

const OPS: [&str; 20] = [
    "self_test",
    "read_request",
    "client_key",
    "limit",
    "prepare",
    "compose_test",
    "compose_orphaned",
    "read_test",
    "mattermost_connection",
    "test_reply",
    "judge",
    "key",
    "open",
    "digest_token",
    "show_landing",
    "read_form",
    "redeem",
    "redeem_outcome",
    "page",
    "app_error",
];

#[test]
fn no_operation_takes_an_unknown_member() {
    for op in OPS {
        let entropy = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f";
        let request = json!({"op": op, "now": 0, "entropy": entropy, "args": {"unknown": 1}});
        let reply: Value = serde_json::from_slice(&dispatch(request.to_string().as_bytes())).unwrap();
        assert_eq!(reply["err"]["code"], "invalid_argument", "{op}: {reply}");
        assert_eq!(reply["err"]["field"], "unknown", "{op}: {reply}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,20}|[a-z@.\\r\\n]{0,20}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("site".to_owned()),
        Just("url".to_owned()),
        Just("body".to_owned()),
        Just("account".to_owned()),
        Just("row".to_owned()),
        Just("purpose".to_owned()),
        Just("outcome".to_owned()),
        Just("key".to_owned()),
        "[a-z_]{0,8}",
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn noise_is_answered(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let reply: Value = serde_json::from_slice(&dispatch(&noise)).unwrap();
        prop_assert_eq!(&reply["err"]["code"], "malformed_request");
    }

    #[test]
    fn any_arguments_are_answered(op in proptest::sample::select(&OPS[..]), args in any_json()) {
        let reply = call(op, &args);
        prop_assert!(reply.get("ok").is_some() != reply.get("err").is_some());
    }
}
