//! One account mail from request to sealed mail: token, both parts, MIME, sealing (`make bench`).

// A benchmark reports by printing, and a fixture that is not there ends it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};

fn prepare(c: &mut Criterion) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contract/fixtures");
    let mut group = c.benchmark_group("dispatch");
    for case in [
        "prepare/reset_en",
        "prepare/reset_fa",
        "prepare/no_account",
        "judge/deferred",
        "show_landing/reset",
        "open/good",
    ] {
        let request = std::fs::read(fixtures.join(format!("{case}.request.json"))).unwrap();
        group.bench_function(case, |b| b.iter(|| postroom_core::dispatch(black_box(&request))));
    }
    group.finish();
}

criterion_group!(benches, prepare);
criterion_main!(benches);
