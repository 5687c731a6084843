//! The body of a landing page's POST.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|body: &[u8]| {
    for purpose in ["reset", "verify"] {
        let args = json!({
            "purpose": purpose, "body": postroom_fuzz::base64(body), "too_large": false, "site": postroom_fuzz::site(),
            "accept_language": String::from_utf8_lossy(body),
        });
        let answer = postroom_fuzz::call("read_form", &args).expect("what a person sent is no error");
        assert!((answer["form"] == Value::Null) != (answer["page"] == Value::Null));
    }
});
