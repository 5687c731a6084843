//! The core for browsers and Node: one function, text in and text out, the operations of `wasm/README.md`.
#![forbid(unsafe_code)]

use wasm_bindgen::prelude::wasm_bindgen;

/// Answers one request. Request and reply may hold secrets.
#[wasm_bindgen]
#[must_use]
pub fn core_call(request: &str) -> String {
    String::from_utf8_lossy(&postroom_core::dispatch(request.as_bytes())).into_owned()
}
