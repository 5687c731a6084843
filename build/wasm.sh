#!/usr/bin/env bash
# The core as WebAssembly: .build/core.wasm for the service, .build/web/ for browsers and Node.
#   build/wasm.sh        builds what is out of date and checks the exports against wasm/exports.txt
#   build/wasm.sh host   .build/core.wasm only: all that the plugin needs
#   build/wasm.sh lint   clippy over the two modules, each for its own target
# Needs rustup, and a C compiler for ring: clang where it is, else PyPI's ziglang, in a folder of its own. No root.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
mkdir -p .build/tools .build/web

rustup target add wasm32-wasip1 wasm32-unknown-unknown >/dev/null 2>&1 || {
  installed=$(rustup target list --installed)
  for target in wasm32-wasip1 wasm32-unknown-unknown; do
    grep -qx "$target" <<<"$installed" || { echo "rustup can't add the target $target; check the network" >&2; exit 1; }
  done
}

# ring's C parts. Debian's clang knows the target; else zig, which brings a clang of its own.
compiler() {
  if [ -n "${CC_wasm32_wasip1:-}" ] || command -v clang >/dev/null; then return; fi
  local zig=$root/.build/tools/zig version=0.16.0
  if ! "$zig/bin/python" -m ziglang version >/dev/null 2>&1; then
    echo "no clang here: fetching the ziglang wheel instead"
    python3 -m venv "$zig"
    "$zig/bin/pip" install --quiet --disable-pip-version-check "ziglang==$version"
  fi
  # Left to itself zig builds for debugging, with a sanitizer whose run-time calls nobody answers.
  # The names carry wasip1 and unknown-unknown apart, as cc looks compilers up by target.
  printf '#!/bin/sh\nexec "%s/bin/python" -m ziglang cc -target wasm32-wasi -O3 -fno-sanitize=undefined "$@"\n' "$zig" > "$zig/cc"
  printf '#!/bin/sh\nexec "%s/bin/python" -m ziglang cc -target wasm32-freestanding -O3 -fno-sanitize=undefined "$@"\n' "$zig" > "$zig/cc-web"
  printf '#!/bin/sh\nexec "%s/bin/python" -m ziglang ar "$@"\n' "$zig" > "$zig/ar"
  chmod +x "$zig/cc" "$zig/cc-web" "$zig/ar"
  export CC_wasm32_wasip1=$zig/cc AR_wasm32_wasip1=$zig/ar
  export CC_wasm32_unknown_unknown=$zig/cc-web AR_wasm32_unknown_unknown=$zig/ar
  export CRATE_CC_NO_DEFAULTS=1
}

compiler
if [ "${1:-}" = lint ]; then
  cargo clippy --quiet --locked -p postroom-wasm-host --target wasm32-wasip1 -- -D warnings
  cargo clippy --quiet --locked -p postroom-wasm-web --target wasm32-unknown-unknown -- -D warnings
  exit
fi

echo "building the core (a minute or two, once)"
cargo build --quiet --locked --release -p postroom-wasm-host --target wasm32-wasip1
build/check-exports.py target/wasm32-wasip1/release/postroom_wasm_host.wasm wasm/exports.txt .build/core.wasm
[ "${1:-}" != host ] || exit 0

cargo build --quiet --locked --release -p postroom-wasm-web --target wasm32-unknown-unknown
web=target/wasm32-unknown-unknown/release/postroom_wasm_web.wasm
if [ ! -e .build/web/nodejs/core.js ] || [ "$web" -nt .build/web/nodejs/core.js ] || [ wasm/bindgen/Cargo.lock -nt .build/web/nodejs/core.js ] || [ wasm/bindgen/src/main.rs -nt .build/web/nodejs/core.js ]; then
  echo "writing the browser's module (its tool is built first, once)"
  cargo run --quiet --locked --release --manifest-path wasm/bindgen/Cargo.toml --target-dir .build/tools/bindgen -- "$web" .build/web
  # Node takes the nearest package.json's word for what a .js file is.
  echo '{"type": "commonjs"}' > .build/web/nodejs/package.json
  echo '{"type": "module"}' > .build/web/web/package.json
  touch .build/web/nodejs/core.js
fi
printf 'core.wasm %s octets, web %s octets\n' "$(stat -c %s .build/core.wasm)" "$(stat -c %s .build/web/web/core_bg.wasm)"
