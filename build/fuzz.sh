#!/usr/bin/env bash
# Each fuzz target for a minute (FUZZ_SECONDS), starting from the contract's fixtures; fails at the first crash, whose
# input then lies in core/fuzz/artifacts/. One target: build/fuzz.sh dispatch.
#
# cargo-fuzz wants nightly's -Z sanitizer. RUSTC_BOOTSTRAP lets the release compiler take that flag, so what is fuzzed
# is built by the compiler that builds what ships, and no second toolchain is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
version=0.13.1
seconds=${FUZZ_SECONDS:-60}
export RUSTC_BOOTSTRAP=1 PATH=$root/.build/tools/bin:$PATH

if [ "$(cargo fuzz --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
  echo "building cargo-fuzz $version, once"
  cargo install --quiet --locked --root .build/tools --target-dir .build/tools/cargo-fuzz-target --version $version cargo-fuzz
  rm -rf .build/tools/cargo-fuzz-target
fi

mkdir -p core/fuzz/corpus/dispatch
for request in contract/fixtures/*/*.request.json; do
  name=${request#contract/fixtures/}
  cp "$request" "core/fuzz/corpus/dispatch/${name//\//-}"
done
# The octet before each says how many recipients.
mkdir -p core/fuzz/corpus/relayed_mail
for mail in core/tests/relay/*.eml; do
  { printf '\0'; cat "$mail"; } > "core/fuzz/corpus/relayed_mail/$(basename "$mail")"
done

targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(dispatch landing_form public_body smtp_reply account_mail relayed_mail)
host=$(rustc -vV | sed -n 's/^host: //p')
cd core
for target in "${targets[@]}"; do
  printf '%s\n' "--- $target, $seconds s"
  cargo fuzz run --target "$host" --target-dir "$root/.build/fuzz" "$target" -- -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 2>&1 | grep -vE '^#|INFO|NEW_FUNC|^\s*$'
done
