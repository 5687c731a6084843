//! Any octets at all; the corpus starts from the contract's fixtures.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: &[u8]| {
    postroom_fuzz::check(&postroom_core::dispatch(request));
});
